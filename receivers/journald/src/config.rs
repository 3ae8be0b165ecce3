//! What users set.

use std::collections::BTreeMap;
use std::path::PathBuf;

use corten_config::types::{ByteSize, ComponentId, Duration};
use corten_config::{Check, Checker};
use corten_operators::Operators;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `journald` receiver. Of several filters (units, identifiers, matches, priority, grep, dmesg) all must hold; of
/// several values of one filter, one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// The directory of the journal's files, when it is not the machine's own: `/host/var/log/journal`.
    pub(crate) directory: Option<PathBuf>,
    /// Files of the journal to read, in place of a directory. Globs are allowed.
    pub(crate) files: Vec<PathBuf>,
    /// Where to begin when nothing is known: all that the journal has (`beginning`), or only what comes (`end`).
    pub(crate) start_at: StartAt,
    /// Only entries of these systemd units, such as `kubelet` or `ssh.service`.
    pub(crate) units: Vec<String>,
    /// Only entries with one of these as `SYSLOG_IDENTIFIER`.
    pub(crate) identifiers: Vec<String>,
    /// Only entries that have all fields of one of these maps: `- _SYSTEMD_UNIT: kubelet.service`.
    pub(crate) matches: Vec<BTreeMap<String, String>>,
    /// Only entries that are at least as important: `emerg`, `alert`, `crit`, `err`, `warning`, `notice`, `info`, `debug`, or 0 to 7;
    /// or a range, `warning..err`.
    pub(crate) priority: String,
    /// Only entries whose `MESSAGE` matches this regular expression (of PCRE2).
    pub(crate) grep: String,
    /// Only the kernel's messages, of the current boot.
    pub(crate) dmesg: bool,
    /// Long fields and such with unprintable characters come in full. Without, `journalctl` leaves out what is longer than
    /// 4096 bytes.
    pub(crate) all: bool,
    /// The journal's namespace.
    pub(crate) namespace: String,
    /// Also the journals of other machines that are in the directory.
    pub(crate) merge: bool,
    /// The program to run, beneath `root_path` when that is set.
    pub(crate) journalctl_path: PathBuf,
    /// Changes the root directory (with `chroot`) before running the program, so that the host's own is run: `/host`.
    pub(crate) root_path: Option<PathBuf>,
    /// A `MESSAGE` of bytes that are no UTF-8 becomes text, with U+FFFD where they are none. Without, it stays bytes. What is
    /// UTF-8 is always text.
    pub(crate) convert_message_bytes: bool,
    /// What the body is: all fields of the entry, as a map (`entry`), or its `MESSAGE`, with the other fields as attributes
    /// (`message`).
    pub(crate) body: Body,
    /// The longest entry, as JSON text. Of a longer one its beginning remains.
    pub(crate) max_log_size: ByteSize,
    /// The extension that keeps the cursor, such as `file_storage`. Without one every start is a first one.
    pub(crate) storage: Option<ComponentId>,
    /// Attributes that every record gets.
    pub(crate) attributes: BTreeMap<String, String>,
    /// Resource attributes that every record gets.
    pub(crate) resource: BTreeMap<String, String>,
    /// Accepted: what is refused for now is offered again without end, since the journal can wait.
    pub(crate) retry_on_failure: RetryOnFailure,
    /// What is done with entries, in order.
    pub(crate) operators: Operators,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            directory: None,
            files: Vec::new(),
            start_at: StartAt::End,
            units: Vec::new(),
            identifiers: Vec::new(),
            matches: Vec::new(),
            priority: "info".to_owned(),
            grep: String::new(),
            dmesg: false,
            all: true,
            namespace: String::new(),
            merge: false,
            journalctl_path: PathBuf::from("journalctl"),
            root_path: None,
            convert_message_bytes: false,
            body: Body::Entry,
            max_log_size: ByteSize::mib(1),
            storage: None,
            attributes: BTreeMap::new(),
            resource: BTreeMap::new(),
            retry_on_failure: RetryOnFailure::default(),
            operators: Operators::default(),
        }
    }
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StartAt {
    /// With the oldest entry.
    Beginning,
    /// With what comes.
    End,
}

/// What the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Body {
    /// All fields.
    Entry,
    /// `MESSAGE`.
    Message,
}

/// How a refusal is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct RetryOnFailure {
    /// Without effect: always on.
    pub(crate) enabled: bool,
    /// The pause after the first refusal.
    pub(crate) initial_interval: Duration,
    /// The longest pause.
    pub(crate) max_interval: Duration,
    /// Without effect: there is no end.
    pub(crate) max_elapsed_time: Duration,
}

impl Default for RetryOnFailure {
    fn default() -> Self {
        Self {
            enabled: true,
            initial_interval: Duration::from_secs(1),
            max_interval: Duration::from_secs(30),
            max_elapsed_time: Duration::ZERO,
        }
    }
}

const PRIORITIES: [&str; 8] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];

fn is_priority(text: &str) -> bool {
    let one = |text: &str| {
        PRIORITIES.contains(&text)
            || matches!(text.as_bytes(), [digit] if (b'0'..=b'7').contains(digit))
    };
    match text.split_once("..") {
        Some((from, to)) => one(from) && one(to),
        None => one(text),
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if !self.priority.is_empty() && !is_priority(&self.priority) {
            at.field("priority").error(format!(
                "has '{}': expected one of {}, a number from 0 to 7, or a range such as warning..err",
                self.priority,
                PRIORITIES.join(", ")
            ));
        }
        if self.directory.is_some() && !self.files.is_empty() {
            at.on("files")
                .error("only one of `directory` and `files` can be set");
        }
        for (index, fields) in self.matches.iter().enumerate() {
            let mut at = at.item("matches", index);
            if fields.is_empty() {
                at.error("has no field: expected one such as _SYSTEMD_UNIT: kubelet.service");
            }
            for name in fields.keys() {
                let legal =
                    |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
                if name.is_empty() || !name.bytes().all(legal) {
                    at.on(name).error(format!(
                        "'{name}' is no field of the journal: they have upper case letters, digits and _, such as _SYSTEMD_UNIT"
                    ));
                }
            }
        }
        // What would be taken for another option.
        for (field, values) in [("units", &self.units), ("identifiers", &self.identifiers)] {
            if values.iter().any(String::is_empty) {
                at.field(field).error("has an empty name");
            }
        }
        if self.journalctl_path.as_os_str().is_empty() {
            at.field("journalctl_path").error("must not be empty");
        }
        if self
            .root_path
            .as_ref()
            .is_some_and(|path| !path.is_absolute())
        {
            at.field("root_path").error("must be an absolute path");
        }
        if self.max_log_size.get() < 1024 {
            at.field("max_log_size")
                .error("must be at least 1024 bytes");
        }
        for (name, values) in [
            ("attributes", &self.attributes),
            ("resource", &self.resource),
        ] {
            if values.values().any(|value| value.starts_with("EXPR(")) {
                at.field(name)
                    .error("has an expression: take the operator `add` for it");
            }
        }
        // Their problems have places of their own.
        drop(self.operators.build(at.problems()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_config::from_str;

    #[test]
    fn a_collectors_file_is_understood() {
        let config: Config = from_str(
            "directory: /run/log/journal\nunits: [ssh, kubelet]\npriority: info\nstart_at: beginning\nall: true\nmerge: true\n\
             matches:\n- _SYSTEMD_UNIT: ssh\n- _SYSTEMD_UNIT: kubelet\n\x20 _UID: \"1000\"\n\
             storage: file_storage\nretry_on_failure: {enabled: true}\nconvert_message_bytes: true\n",
        )
        .unwrap();
        assert_eq!(config.matches.len(), 2);
        assert_eq!(config.start_at, StartAt::Beginning);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let problems = from_str::<Config>(
            "directory: /a\nfiles: [/b]\npriority: loud\nmatches: [{unit: x}, {}]\nunits: ['']\nroot_path: host\njournalctl_path: ''\nmax_log_size: 10\nattributes: {a: EXPR(1)}\noperators: [{type: json_parse}]",
        )
        .unwrap_err()
        .to_string();
        for expected in [
            "priority has 'loud': expected one of emerg",
            "only one of `directory` and `files`",
            "'unit' is no field of the journal",
            "has no field",
            "units has an empty name",
            "root_path must be an absolute path",
            "journalctl_path must not be empty",
            "max_log_size must be at least 1024",
            "attributes has an expression",
            "json_parse",
        ] {
            assert!(problems.contains(expected), "{expected} in\n{problems}");
        }
    }

    #[test]
    fn priorities_are_names_numbers_and_ranges() {
        for legal in ["info", "0", "7", "warning..err", "0..emerg"] {
            assert!(is_priority(legal), "{legal}");
        }
        for other in ["8", "warn", "info..", "..", "12", ""] {
            assert!(!is_priority(other), "{other}");
        }
    }
}
