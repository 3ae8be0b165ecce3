//! What users set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use corten_config::types::{ByteSize, ComponentId, Duration};
use corten_config::{Check, Checker};
use corten_lines::Shape;
use corten_tail::container::Format;
use corten_tail::{Framing, OverLimit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `file_log` receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Globs of the files to follow, such as `/var/log/pods/*/*/*.log`; `**` is any number of
    /// directories, `{a,b}` alternatives. Rotated generations of these files (`0.log.20260101-000000`,
    /// `app.log.1`) need not match: they are found beside them.
    pub(crate) include: Vec<String>,
    /// Globs of files among them to leave alone; `/dir/**` leaves out a whole directory.
    pub(crate) exclude: Vec<String>,
    /// A file that nothing is known of and that was last written longer ago is begun at its end. `0`: no limit.
    pub(crate) exclude_older_than: Duration,
    /// Where a file is begun that was there before the receiver ever ran. Files that appear later are
    /// always read whole, and known ones where they were left.
    pub(crate) start_at: StartAt,
    /// The extension that keeps the positions, such as `file_storage`. Without one every start is a first one.
    pub(crate) storage: Option<ComponentId>,
    /// How lines are understood, in order. Supported: `container`.
    pub(crate) operators: Vec<Operator>,
    /// Adds the attribute `log.file.name`.
    pub(crate) include_file_name: bool,
    /// Adds the attribute `log.file.path`.
    pub(crate) include_file_path: bool,
    /// Adds the attribute `log.file.record_offset`: where the record begins in its file, bytes.
    pub(crate) include_file_record_offset: bool,
    /// Not supported yet.
    pub(crate) include_file_name_resolved: bool,
    /// Not supported yet.
    pub(crate) include_file_path_resolved: bool,
    /// Not supported yet.
    pub(crate) include_file_owner_name: bool,
    /// Not supported yet.
    pub(crate) include_file_owner_group_name: bool,
    /// Not supported yet.
    pub(crate) include_file_permissions: bool,
    /// Not supported yet.
    pub(crate) include_file_record_number: bool,
    /// Attributes that every record gets.
    pub(crate) attributes: BTreeMap<String, String>,
    /// Resource attributes that every record gets.
    pub(crate) resource: BTreeMap<String, String>,
    /// How often files are looked at.
    pub(crate) poll_interval: Duration,
    /// How long a last line without newline waits until it is a record nevertheless. `0`: until
    /// the file is rotated. Lines of containers always wait for their newline.
    pub(crate) force_flush_period: Duration,
    /// `utf-8` (bytes that are none become U+FFFD), `utf-8-raw` and `ascii` (the same), or `nop` (the body is bytes).
    pub(crate) encoding: String,
    /// Keeps white space at the beginning of plain lines. A container's message is never trimmed.
    pub(crate) preserve_leading_whitespaces: bool,
    /// Keeps white space at the end of plain lines. A container's message is never trimmed.
    pub(crate) preserve_trailing_whitespaces: bool,
    /// How many first bytes of a file tell it apart, 16 to 65535.
    pub(crate) fingerprint_size: ByteSize,
    /// The longest record.
    pub(crate) max_log_size: ByteSize,
    /// What a longer one becomes: pieces (`split`), or its beginning (`truncate`).
    pub(crate) max_log_size_behavior: Behavior,
    /// How many files are kept open; others are opened when they grow.
    pub(crate) max_concurrent_files: usize,
    /// Bytes that were read and that the pipeline has not acknowledged; reading stops there.
    pub(crate) max_in_flight: ByteSize,
    /// Directories beneath which a symbolic link may end, besides the literal part of `include`.
    /// Links that lead elsewhere are refused. For the links that Kubernetes makes these are known.
    pub(crate) symlink_roots: Vec<String>,
    /// Accepted: what is refused for now is offered again without end, since a file can wait.
    pub(crate) retry_on_failure: RetryOnFailure,
    /// Accepted without effect: a file that was truncated is read from its beginning.
    pub(crate) on_truncate: OnTruncate,
    /// `auto` reads what is not compressed. Compressed files are not supported yet.
    pub(crate) compression: String,
    /// Accepted without effect.
    pub(crate) initial_buffer_size: ByteSize,
    /// Accepted without effect: there are no batches of files.
    pub(crate) max_batches: usize,
    /// Accepted without effect.
    pub(crate) polls_to_archive: usize,
    /// Accepted without effect.
    pub(crate) file_cache_advise: bool,
    /// Not supported.
    pub(crate) delete_after_read: bool,
    /// Not supported.
    pub(crate) acquire_fs_lock: bool,
    /// Not supported yet.
    pub(crate) multiline: Option<serde_json::Value>,
    /// Not supported yet.
    pub(crate) header: Option<serde_json::Value>,
    /// Not supported yet.
    pub(crate) ordering_criteria: Option<serde_json::Value>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            include: Vec::new(),
            exclude: Vec::new(),
            exclude_older_than: Duration::ZERO,
            start_at: StartAt::End,
            storage: None,
            operators: Vec::new(),
            include_file_name: true,
            include_file_path: false,
            include_file_record_offset: false,
            include_file_name_resolved: false,
            include_file_path_resolved: false,
            include_file_owner_name: false,
            include_file_owner_group_name: false,
            include_file_permissions: false,
            include_file_record_number: false,
            attributes: BTreeMap::new(),
            resource: BTreeMap::new(),
            poll_interval: Duration::from_millis(200),
            force_flush_period: Duration::from_millis(500),
            encoding: "utf-8".to_owned(),
            preserve_leading_whitespaces: false,
            preserve_trailing_whitespaces: false,
            fingerprint_size: ByteSize::new(1000),
            max_log_size: ByteSize::mib(1),
            max_log_size_behavior: Behavior::Split,
            max_concurrent_files: 1024,
            max_in_flight: ByteSize::mib(8),
            symlink_roots: Vec::new(),
            retry_on_failure: RetryOnFailure::default(),
            on_truncate: OnTruncate::Ignore,
            compression: String::new(),
            initial_buffer_size: ByteSize::kib(16),
            max_batches: 0,
            polls_to_archive: 0,
            file_cache_advise: false,
            delete_after_read: false,
            acquire_fs_lock: false,
            multiline: None,
            header: None,
            ordering_criteria: None,
        }
    }
}

/// Where a file is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StartAt {
    /// At its beginning.
    Beginning,
    /// At its end.
    End,
}

/// What a record over the limit becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Behavior {
    /// Pieces.
    Split,
    /// Its beginning.
    Truncate,
}

/// What to do with a truncated file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnTruncate {
    /// Nothing in particular.
    Ignore,
    /// Read it from its beginning.
    ReadWholeFile,
    /// Read what is new.
    ReadNew,
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

/// One step of understanding a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Operator {
    /// Which: `container`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Its name, for messages.
    pub(crate) id: Option<String>,
    /// Of `container`: how the runtime writes its lines; `auto` tells by each line.
    pub(crate) format: ContainerFormat,
    /// Of `container`: whether the file's path gives `k8s.namespace.name`, `k8s.pod.name`,
    /// `k8s.pod.uid`, `k8s.container.name` and `k8s.container.restart_count`.
    pub(crate) add_metadata_from_filepath: bool,
    /// Of `container`: the longest message; the receiver's `max_log_size` when it is smaller. `0`: that alone.
    pub(crate) max_log_size: ByteSize,
    /// What becomes of a line that the operator can't read.
    pub(crate) on_error: OnError,
    /// Of `container`: `body`, where the line is.
    pub(crate) parse_from: Option<String>,
    /// Of `container`: `attributes`, where its fields go.
    pub(crate) parse_to: Option<String>,
    /// Not supported yet.
    pub(crate) output: Option<serde_json::Value>,
    /// Not supported yet.
    #[serde(rename = "if")]
    pub(crate) condition: Option<String>,
}

impl Default for Operator {
    fn default() -> Self {
        Self {
            kind: String::new(),
            id: None,
            format: ContainerFormat::Auto,
            add_metadata_from_filepath: true,
            max_log_size: ByteSize::default(),
            on_error: OnError::Send,
            parse_from: None,
            parse_to: None,
            output: None,
            condition: None,
        }
    }
}

/// How a container runtime writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum ContainerFormat {
    /// Any of them.
    #[default]
    #[serde(rename = "auto", alias = "")]
    Auto,
    /// Docker's JSON.
    #[serde(rename = "docker")]
    Docker,
    /// CRI-O.
    #[serde(rename = "crio")]
    Crio,
    /// containerd.
    #[serde(rename = "containerd")]
    Containerd,
}

/// What becomes of a line that can't be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnError {
    /// It is passed on as it is.
    #[default]
    Send,
    /// The same.
    SendQuiet,
    /// It is dropped and counted.
    Drop,
    /// The same.
    DropQuiet,
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if self.include.is_empty() {
            at.on("include").error(
                "required argument `include` is empty: name the files, such as /var/log/*.log",
            );
        }
        for (name, patterns) in [("include", &self.include), ("exclude", &self.exclude)] {
            for pattern in patterns {
                if let Err(error) = corten_tail::check_pattern(pattern) {
                    at.field(name)
                        .error(format!("has a glob that can't be read: {error}"));
                }
            }
        }
        if !(16..=65_535).contains(&self.fingerprint_size.get()) {
            at.field("fingerprint_size")
                .error("must be from 16 to 65535 bytes");
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
        if !matches!(
            self.encoding.as_str(),
            "" | "utf-8" | "utf8" | "utf-8-raw" | "ascii" | "nop"
        ) {
            at.field("encoding")
                .error("is not supported yet; supported are utf-8, utf-8-raw, ascii and nop");
        }
        match self.compression.as_str() {
            "" => {}
            "auto" => at
                .field("compression")
                .warning("compressed files are not read yet, all others are"),
            _ => at
                .field("compression")
                .error("is not supported yet; take `auto` or leave it out"),
        }
        let absent = [
            ("multiline", self.multiline.is_some()),
            ("header", self.header.is_some()),
            ("ordering_criteria", self.ordering_criteria.is_some()),
            ("delete_after_read", self.delete_after_read),
            ("acquire_fs_lock", self.acquire_fs_lock),
            (
                "include_file_name_resolved",
                self.include_file_name_resolved,
            ),
            (
                "include_file_path_resolved",
                self.include_file_path_resolved,
            ),
            ("include_file_owner_name", self.include_file_owner_name),
            (
                "include_file_owner_group_name",
                self.include_file_owner_group_name,
            ),
            ("include_file_permissions", self.include_file_permissions),
            (
                "include_file_record_number",
                self.include_file_record_number,
            ),
        ];
        for (name, wanted) in absent {
            if wanted {
                at.field(name).error("is not supported yet");
            }
        }
        for (name, values) in [
            ("attributes", &self.attributes),
            ("resource", &self.resource),
        ] {
            if values.values().any(|value| value.starts_with("EXPR(")) {
                at.field(name)
                    .error("has an expression: only plain text is supported yet");
            }
        }
        for (index, operator) in self.operators.iter().enumerate() {
            operator.check_at(index, &mut at.item("operators", index));
        }
    }
}

/// The operators of the Collector that are none here yet.
const KNOWN_OPERATORS: &[&str] = &[
    "add",
    "assign_keys",
    "copy",
    "csv_parser",
    "file_input",
    "filter",
    "flatten",
    "json_array_parser",
    "json_parser",
    "key_value_parser",
    "move",
    "noop",
    "recombine",
    "regex_parser",
    "regex_replace",
    "remove",
    "retain",
    "router",
    "sanitize_utf8",
    "scope_name_parser",
    "severity_parser",
    "syslog_parser",
    "time_parser",
    "trace_parser",
    "unquote",
    "uri_parser",
];

impl Operator {
    fn check_at(&self, index: usize, at: &mut Checker<'_>) {
        match self.kind.as_str() {
            "container" if index == 0 => {}
            "container" => at.on("type").error("operator 'container' must be the first: it reads the lines of the file"),
            "" => at.on("type").error("missing required field `type`"),
            kind if KNOWN_OPERATORS.contains(&kind) => at.on("type").error(format!(
                "operator '{kind}' is not supported yet: supported is 'container'; change records in a processor such as 'attributes'"
            )),
            kind => at.on("type").error(format!("unsupported type '{kind}': supported is 'container'")),
        }
        if self
            .parse_from
            .as_deref()
            .is_some_and(|from| from != "body")
        {
            at.field("parse_from")
                .error("is not supported yet, it must be body");
        }
        if self
            .parse_to
            .as_deref()
            .is_some_and(|to| to != "attributes")
        {
            at.field("parse_to")
                .error("is not supported yet, it must be attributes");
        }
        if self.output.is_some() {
            at.field("output")
                .error("is not supported yet: operators run in their order");
        }
        if self.condition.is_some() {
            at.field("if").error("is not supported yet");
        }
    }
}

impl Config {
    /// The operator `container`, when there is one.
    pub(crate) fn container(&self) -> Option<&Operator> {
        self.operators
            .iter()
            .find(|operator| operator.kind == "container")
    }

    /// What records look like.
    pub(crate) fn shape(&self) -> Shape {
        let container = self.container();
        let pairs = |map: &BTreeMap<String, String>| {
            map.iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        Shape {
            container: container.is_some(),
            drop_unparsed: container.is_some_and(|operator| {
                matches!(operator.on_error, OnError::Drop | OnError::DropQuiet)
            }),
            metadata: container.is_some_and(|operator| operator.add_metadata_from_filepath),
            trim_start: container.is_none() && !self.preserve_leading_whitespaces,
            trim_end: container.is_none() && !self.preserve_trailing_whitespaces,
            raw_bytes: self.encoding == "nop",
            name: self.include_file_name,
            path: self.include_file_path,
            offset: self.include_file_record_offset,
            attributes: pairs(&self.attributes),
            resource: pairs(&self.resource),
        }
    }

    /// What the engine is told.
    pub(crate) fn tail(&self, name: &str) -> corten_tail::Settings {
        let mut max_log_size = self.max_log_size.as_usize();
        let framing = match self.container() {
            None => Framing::Lines,
            Some(operator) => {
                if operator.max_log_size.get() > 0 {
                    max_log_size = max_log_size.min(operator.max_log_size.as_usize());
                }
                let format = match operator.format {
                    ContainerFormat::Auto => Format::Auto,
                    ContainerFormat::Docker => Format::Docker,
                    ContainerFormat::Crio | ContainerFormat::Containerd => Format::Cri,
                };
                Framing::Container {
                    format,
                    join_docker: true,
                }
            }
        };
        let mut link_roots: Vec<PathBuf> = self.symlink_roots.iter().map(PathBuf::from).collect();
        for include in &self.include {
            link_roots.extend(kubernetes_roots(Path::new(include)));
        }
        corten_tail::Settings {
            name: name.to_owned(),
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            link_roots,
            start_at: match self.start_at {
                StartAt::Beginning => corten_tail::StartAt::Beginning,
                StartAt::End => corten_tail::StartAt::End,
            },
            exclude_older_than: self.exclude_older_than.non_zero(),
            framing,
            poll_interval: self.poll_interval.get(),
            force_flush_period: self.force_flush_period.non_zero(),
            max_log_size,
            over_limit: match self.max_log_size_behavior {
                Behavior::Split => OverLimit::Split,
                Behavior::Truncate => OverLimit::Truncate,
            },
            fingerprint_size: u16::try_from(self.fingerprint_size.get()).unwrap_or(1000),
            max_open_files: self.max_concurrent_files,
            max_in_flight_bytes: self.max_in_flight.get(),
            ..corten_tail::Settings::default()
        }
    }
}

/// Where the links of kubelet's log directories lead: from `containers` to `pods`, from there to docker's own.
fn kubernetes_roots(include: &Path) -> Vec<PathBuf> {
    let mut roots = Vec::new();
    for directory in include.ancestors() {
        let name = directory.file_name().and_then(|name| name.to_str());
        if matches!(name, Some("containers" | "pods"))
            && let Some(logs) = directory.parent()
        {
            roots.push(logs.join("pods"));
            roots.push(PathBuf::from("/var/lib/docker/containers"));
            break;
        }
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_config::from_str;

    fn problems(yaml: &str) -> String {
        from_str::<Config>(yaml).unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_the_collectors() {
        let config: Config = from_str("include: [/var/log/*.log]").unwrap();
        let tail = config.tail("x");
        assert_eq!(tail.poll_interval.as_millis(), 200);
        assert_eq!(tail.fingerprint_size, 1000);
        assert_eq!(tail.max_log_size, 1 << 20);
        assert_eq!(tail.start_at, corten_tail::StartAt::End);
        assert_eq!(tail.framing, Framing::Lines);
    }

    #[test]
    fn a_collectors_file_is_understood() {
        let config: Config = from_str(
            "include: [/var/log/pods/*/*/*.log]\n\
             exclude: [/var/log/pods/kube-system_*/**]\n\
             start_at: beginning\n\
             include_file_path: true\n\
             include_file_name: false\n\
             fingerprint_size: 1kb\n\
             max_log_size: 2MiB\n\
             max_log_size_behavior: truncate\n\
             retry_on_failure: {enabled: true, max_elapsed_time: 0}\n\
             resource: {cluster: a}\n\
             storage: file_storage\n\
             operators:\n\
             - id: container-parser\n\
             \x20 type: container\n\
             \x20 format: containerd\n\
             \x20 max_log_size: 102400\n",
        )
        .unwrap();
        let tail = config.tail("x");
        assert_eq!(tail.max_log_size, 102_400);
        assert_eq!(
            tail.framing,
            Framing::Container {
                format: Format::Cri,
                join_docker: true
            }
        );
        assert!(tail.link_roots.contains(&PathBuf::from("/var/log/pods")));
    }

    #[test]
    fn what_is_not_supported_says_what_is() {
        let text = problems(
            "include: [/x]\nmultiline: {line_start_pattern: a}\ncompression: gzip\noperators: [{type: json_parser}, {type: jsonparser}, {type: container}]",
        );
        for expected in [
            "config:2:12: multiline is not supported yet",
            "compression is not supported yet",
            "operators[0]: operator 'json_parser' is not supported yet: supported is 'container'",
            "unsupported type 'jsonparser'",
            "operator 'container' must be the first",
        ] {
            assert!(text.contains(expected), "{expected} in\n{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(problems("start_at: end").contains("`include` is empty"));
        assert!(problems("include: ['/a/[']").contains("include has a glob"));
        assert!(problems("include: [/x]\nfingerprint_size: 8").contains("from 16 to 65535"));
        assert!(problems("includes: [/x]").contains("did you mean 'include'"));
    }
}
