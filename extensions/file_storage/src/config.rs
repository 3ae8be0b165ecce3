//! Settings.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use corten_config::types::{ByteSize, Duration};
use corten_config::{Check, Checker};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where queues and checkpoints are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// The root directory. Every component that names this extension gets a directory of its own in it.
    pub(crate) directory: PathBuf,
    /// Create the root directory when it is missing. Otherwise a missing one stops the start: it may be a volume
    /// that has not been mounted.
    pub(crate) create_directory: bool,
    /// Permissions of a root directory that is created, in octal. The directories in it are always readable by
    /// Corten's user alone.
    pub(crate) directory_permissions: Permissions,
    /// Accepted for compatibility; nothing here waits for a file lock.
    pub(crate) timeout: Duration,
    /// Accepted for compatibility: what a component calls safe is always synced to the disk.
    pub(crate) fsync: bool,
    /// Accepted for compatibility: damage never stops a start, the records around it are kept.
    pub(crate) recreate: bool,
    /// Accepted for compatibility; queues are bounded by their own `queue_size`.
    pub(crate) max_size: ByteSize,
    /// Accepted for compatibility: space is given back as queues empty.
    pub(crate) compaction: Compaction,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("/var/lib/corten"),
            create_directory: false,
            directory_permissions: Permissions::default(),
            timeout: Duration::from_secs(1),
            fsync: false,
            recreate: false,
            max_size: ByteSize::default(),
            compaction: Compaction::default(),
        }
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if self.directory.as_os_str().is_empty() {
            at.field("directory").error("must not be empty");
        }
    }
}

/// How the Collector's storage file is made smaller. None of it is needed here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Compaction {
    /// Accepted for compatibility.
    pub(crate) on_start: bool,
    /// Accepted for compatibility.
    pub(crate) on_rebound: bool,
    /// Accepted for compatibility.
    pub(crate) directory: PathBuf,
    /// Accepted for compatibility.
    pub(crate) max_transaction_size: i64,
    /// Accepted for compatibility.
    pub(crate) rebound_needed_threshold_mib: i64,
    /// Accepted for compatibility.
    pub(crate) rebound_trigger_threshold_mib: i64,
    /// Accepted for compatibility.
    pub(crate) check_interval: Duration,
    /// Accepted for compatibility.
    pub(crate) cleanup_on_start: bool,
}

impl Default for Compaction {
    fn default() -> Self {
        Self {
            on_start: false,
            on_rebound: false,
            directory: PathBuf::new(),
            max_transaction_size: 65_536,
            rebound_needed_threshold_mib: 100,
            rebound_trigger_threshold_mib: 10,
            check_interval: Duration::from_secs(5),
            cleanup_on_start: false,
        }
    }
}

/// Permission bits, written in octal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permissions(u32);

impl Permissions {
    /// As `chmod` takes them.
    pub(crate) fn mode(self) -> u32 {
        self.0
    }
}

impl Default for Permissions {
    fn default() -> Self {
        Self(0o750)
    }
}

impl FromStr for Permissions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match u32::from_str_radix(text, 8) {
            // The owner must be able to use it.
            Ok(bits) if bits <= 0o777 && bits & 0o700 == 0o700 => Ok(Self(bits)),
            Ok(bits) if bits <= 0o777 => Err(format!(
                "the owner must be able to read, write and enter the directory, found '{text}'"
            )),
            _ => Err(format!(
                "expected octal permissions such as \"0750\", found '{text}'"
            )),
        }
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0{:o}", self.0)
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Permissions {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Permissions".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-7]{3,4}$", "examples": ["0750"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(yaml: &str) -> String {
        corten_config::from_str::<Config>(yaml)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_collectors_settings_are_accepted() {
        let yaml = "
directory: /var/lib/otelcol/file_storage
create_directory: true
directory_permissions: \"0700\"
timeout: 10s
fsync: true
recreate: true
max_size: 1GiB
compaction: {on_start: true, on_rebound: true, directory: /tmp, max_transaction_size: 1, cleanup_on_start: true}
";
        let config: Config = corten_config::from_str(yaml).unwrap();
        assert_eq!(config.directory_permissions.mode(), 0o700);
        let defaults: Config = corten_config::from_str("{}").unwrap();
        assert_eq!(defaults, Config::default());
    }

    #[test]
    fn bad_settings_are_told() {
        assert!(problems("directory_permissions: 0770").contains("write it in quotes"));
        assert!(problems("directory: ''").contains("directory must not be empty"));
        assert!(problems("directory_permissions: rwx").contains("expected octal permissions"));
        assert!(problems("directory_permissions: '0444'").contains("the owner must be able to"));
    }
}
