//! What users set.

use std::collections::BTreeMap;
use std::path::PathBuf;

use corten_config::types::{ByteSize, ComponentId, Duration};
use corten_config::{Check, Checker};
use corten_lines::Shape;
use corten_tail::container::Format;
use corten_tail::{Framing, OverLimit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::paths;

/// Settings of the `pod_logs` receiver; every one may be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Where kubelet keeps the logs of pods.
    #[serde(alias = "root")]
    pub(crate) path: PathBuf,
    /// The namespaces whose pods are followed.
    pub(crate) namespaces: Names,
    /// The containers that are followed, by their names in the pod.
    pub(crate) containers: Names,
    /// The extension that keeps the positions, such as `file_storage`. Without one every start reads again what kubelet still has.
    pub(crate) storage: Option<ComponentId>,
    /// Where a log is begun that was there before the receiver ever ran: what kubelet still has of it (`beginning`), or
    /// only what comes (`end`). Logs that appear later are always read whole, and known ones where they were left.
    pub(crate) start_at: StartAt,
    /// A log that nothing is known of and that was last written longer ago is begun at its end. `0`: no limit.
    pub(crate) exclude_older_than: Duration,
    /// Adds the attribute `log.file.path`.
    pub(crate) include_file_path: bool,
    /// Attributes that every record gets.
    pub(crate) attributes: BTreeMap<String, String>,
    /// Resource attributes that every record gets.
    pub(crate) resource: BTreeMap<String, String>,
    /// The longest message, its partial lines joined.
    pub(crate) max_log_size: ByteSize,
    /// What a longer one becomes: pieces (`split`), or its beginning (`truncate`).
    pub(crate) max_log_size_behavior: Behavior,
    /// How many files are kept open, and never more than half of what the process may open; others are opened when they grow.
    pub(crate) max_concurrent_files: usize,
    /// Bytes that were read and that the pipeline has not acknowledged; reading stops there.
    pub(crate) max_in_flight: ByteSize,
    /// How often files are looked at.
    pub(crate) poll_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: PathBuf::from("/var/log/pods"),
            namespaces: Names::default(),
            containers: Names::default(),
            storage: None,
            start_at: StartAt::Beginning,
            exclude_older_than: Duration::ZERO,
            include_file_path: false,
            attributes: BTreeMap::new(),
            resource: BTreeMap::new(),
            max_log_size: ByteSize::mib(1),
            max_log_size_behavior: Behavior::Split,
            max_concurrent_files: 4096,
            max_in_flight: ByteSize::mib(8),
            poll_interval: Duration::from_millis(200),
        }
    }
}

/// A choice of names. Globs: `*` any text, `?` one character, `{a,b}` alternatives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Names {
    /// Only these; all when empty.
    pub(crate) include: Vec<String>,
    /// Not these, also when they are included.
    pub(crate) exclude: Vec<String>,
}

/// Where a log is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StartAt {
    /// At its beginning.
    Beginning,
    /// At its end.
    End,
}

/// What a message over the limit becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Behavior {
    /// Pieces.
    Split,
    /// Its beginning.
    Truncate,
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if !self.path.is_absolute() {
            at.field("path")
                .error("must be an absolute path, such as /var/log/pods");
        }
        for (field, names) in [
            ("namespaces", &self.namespaces),
            ("containers", &self.containers),
        ] {
            let mut at = at.section(field);
            for (field, globs) in [("include", &names.include), ("exclude", &names.exclude)] {
                for problem in globs.iter().filter_map(|glob| paths::wrong(glob)) {
                    at.field(field).error(problem);
                }
            }
        }
        for (name, values) in [
            ("attributes", &self.attributes),
            ("resource", &self.resource),
        ] {
            if values.values().any(|value| value.starts_with("EXPR(")) {
                at.field(name)
                    .error("has an expression: take the receiver `file_log` for it");
            }
        }
        if self.max_log_size.get() < 4 {
            at.field("max_log_size").error("must be positive");
        }
        if self.max_concurrent_files < 2 {
            at.field("max_concurrent_files")
                .error("must be greater than 1");
        }
        if self.poll_interval.is_zero() {
            at.field("poll_interval").error("must be positive");
        }
        if self.max_in_flight.get() == 0 {
            at.field("max_in_flight").error("must be positive");
        }
    }
}

impl Config {
    /// What records look like. The path says more than the file's name, and the pod and container say all that it does.
    pub(crate) fn shape(&self) -> Shape {
        let pairs = |map: &BTreeMap<String, String>| {
            map.iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        Shape {
            container: true,
            metadata: true,
            path: self.include_file_path,
            attributes: pairs(&self.attributes),
            resource: pairs(&self.resource),
            ..Shape::default()
        }
    }

    /// What the engine is told.
    pub(crate) fn tail(&self, name: &str) -> corten_tail::Settings {
        corten_tail::Settings {
            name: name.to_owned(),
            include: paths::include(&self.path, &self.namespaces, &self.containers),
            exclude: paths::exclude(&self.path, &self.namespaces, &self.containers),
            // Docker keeps the files, kubelet only links to them.
            link_roots: vec![
                self.path.clone(),
                PathBuf::from("/var/lib/docker/containers"),
            ],
            start_at: match self.start_at {
                StartAt::Beginning => corten_tail::StartAt::Beginning,
                StartAt::End => corten_tail::StartAt::End,
            },
            exclude_older_than: self.exclude_older_than.non_zero(),
            framing: Framing::Container {
                format: Format::Auto,
                join_docker: true,
            },
            poll_interval: self.poll_interval.get(),
            max_log_size: self.max_log_size.as_usize(),
            over_limit: match self.max_log_size_behavior {
                Behavior::Split => OverLimit::Split,
                Behavior::Truncate => OverLimit::Truncate,
            },
            max_open_files: self.max_concurrent_files,
            max_in_flight_bytes: self.max_in_flight.get(),
            ..corten_tail::Settings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_config::from_str;

    #[test]
    fn nothing_needs_to_be_set() {
        let config: Config = from_str("{}").unwrap();
        let tail = config.tail("pod_logs");
        assert_eq!(tail.include, ["/var/log/pods/*_*_*/*/*.log"]);
        assert!(tail.exclude.is_empty());
        assert_eq!(tail.start_at, corten_tail::StartAt::Beginning);
        assert_eq!(tail.max_log_size, 1 << 20);
        let shape = config.shape();
        assert!(shape.metadata && shape.container && !shape.path && !shape.name);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let problems = from_str::<Config>(
            "root: var\nnamespaces: {include: [a/b]}\ncontainers: {exclude: ['[']}\nmax_log_size: 0\nmax_in_flight: 0\npoll_interval: 0s\nmax_concurrent_files: 1\nresource: {a: EXPR(1)}",
        )
        .unwrap_err()
        .to_string();
        for expected in [
            "path must be an absolute path",
            "namespaces: include has 'a/b'",
            "containers: exclude has a glob that can't be read",
            "max_log_size must be positive",
            "max_in_flight must be positive",
            "poll_interval must be positive",
            "max_concurrent_files must be greater than 1",
            "resource has an expression",
        ] {
            assert!(problems.contains(expected), "{expected} in\n{problems}");
        }
    }
}
