//! Settings.

use std::path::PathBuf;

use corten_config::types::{Duration, Optional};
use corten_config::{Check, Checker};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Writes telemetry to a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// The file. What is in it already is cut off at the start unless `append` or `rotation` says otherwise.
    pub(crate) path: PathBuf,
    /// Go on at the end of a file that is there.
    pub(crate) append: bool,
    /// `json`: one OTLP/JSON object per line. `proto`: OTLP protobuf, each request after its length in four bytes,
    /// the highest first.
    pub(crate) format: Format,
    /// `zstd` or `none`. Each request is compressed by itself and stands after its length in four bytes, the highest
    /// first, in both formats.
    pub(crate) compression: Compression,
    /// How hard to compress.
    pub(crate) compression_params: CompressionParams,
    /// How often what was written is synced to the disk. Whatever the exporter has taken is with the operating
    /// system: it outlives this process, and a power failure once it is synced.
    pub(crate) flush_interval: Duration,
    /// Begin a new file when the old one is full. Off unless it is written.
    pub(crate) rotation: Optional<Rotation>,
    /// Create the directory of the file when it is missing.
    pub(crate) create_directory: bool,
    /// Not supported.
    pub(crate) group_by: GroupBy,
    /// Not supported.
    pub(crate) encoding: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            append: false,
            format: Format::Json,
            compression: Compression::None,
            compression_params: CompressionParams::default(),
            flush_interval: Duration::from_secs(1),
            rotation: Optional::Off,
            create_directory: false,
            group_by: GroupBy::default(),
            encoding: None,
        }
    }
}

/// A file for every value of a resource attribute. Not supported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct GroupBy {
    /// Must be `false`.
    pub(crate) enabled: bool,
    /// Accepted for compatibility.
    pub(crate) resource_attribute: String,
    /// Accepted for compatibility.
    pub(crate) max_open_files: u32,
}

impl Default for GroupBy {
    fn default() -> Self {
        Self {
            enabled: false,
            resource_attribute: "fileexporter.path_segment".to_owned(),
            max_open_files: 100,
        }
    }
}

/// How telemetry is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// OTLP/JSON.
    Json,
    /// OTLP protobuf.
    Proto,
}

/// How what is written is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Compression {
    /// Not at all.
    #[serde(alias = "")]
    None,
    /// zstd.
    Zstd,
}

/// How hard to compress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct CompressionParams {
    /// 1 (fastest) to 22 (smallest); `0`: zstd's own default.
    pub(crate) level: i32,
}

/// When a new file begins, and which old ones are kept. An old file is called after its time:
/// `name-2026-01-31T12-00-00.000.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Rotation {
    /// How large a file may become, in MiB.
    pub(crate) max_megabytes: u64,
    /// For how many days old files are kept; `0`: for ever.
    pub(crate) max_days: u32,
    /// How many old files are kept; `0`: all.
    pub(crate) max_backups: usize,
    /// Name old files in local time instead of UTC.
    pub(crate) localtime: bool,
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            max_megabytes: 100,
            max_days: 0,
            max_backups: 100,
            localtime: false,
        }
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if self.path.as_os_str().is_empty() {
            at.on("path").error("path must be non-empty");
        }
        if self.append && self.compression != Compression::None {
            at.on("append")
                .error("append and compression enabled at the same time is not supported");
        }
        if self.append && self.rotation.is_on() {
            at.on("append").error("append and rotation enabled at the same time is not supported: a rotated file is always appended to");
        }
        if self.flush_interval.is_zero() {
            at.on("flush_interval")
                .error("flush_interval must be larger than zero");
        }
        if self
            .rotation
            .as_ref()
            .is_some_and(|rotation| rotation.max_megabytes == 0)
        {
            at.section("rotation")
                .field("max_megabytes")
                .error("must be positive");
        }
        if !(0..=22).contains(&self.compression_params.level) {
            at.section("compression_params")
                .field("level")
                .error("must be 0 to 22 for zstd");
        }
        if self.group_by.enabled {
            at.on("group_by").error("group_by is not supported: use an exporter per file, with a routing connector in front");
        }
        if self.encoding.is_some() {
            at.on("encoding")
                .error("encoding is not supported: use format, json or proto");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_collectors_settings_are_accepted() {
        let yaml = "
path: /tmp/x.json
format: proto
compression: zstd
compression_params: {level: 3}
flush_interval: 5s
rotation: {max_megabytes: 10, max_days: 3, max_backups: 3, localtime: true}
";
        let config: Config = corten_config::from_str(yaml).unwrap();
        assert_eq!(config.rotation.as_ref().unwrap().max_backups, 3);
        let config: Config = corten_config::from_str("{path: /tmp/x, rotation: }").unwrap();
        assert_eq!(config.rotation.as_ref(), Some(&Rotation::default()));
        assert_eq!(
            (config.format, config.compression),
            (Format::Json, Compression::None)
        );
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let problems = |yaml: &str| {
            corten_config::from_str::<Config>(yaml)
                .map(|_| ())
                .unwrap_err()
                .to_string()
        };
        assert!(problems("{}").contains("path must be non-empty"));
        assert!(
            problems("{path: x, append: true, rotation: {}}")
                .contains("append and rotation enabled at the same time")
        );
        assert!(
            problems("{path: x, append: true, compression: zstd}")
                .contains("append and compression enabled at the same time")
        );
        assert!(
            problems("{path: x, flush_interval: 0s}")
                .contains("flush_interval must be larger than zero")
        );
        assert!(
            problems("{path: x, group_by: {enabled: true, resource_attribute: a}}")
                .contains("group_by is not supported")
        );
        assert!(problems("{path: x, format: xml}").contains("xml"));
        assert!(corten_config::from_str::<Config>("{path: x, group_by: {enabled: false}}").is_ok());
    }
}
