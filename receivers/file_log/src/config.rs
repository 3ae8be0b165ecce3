//! What users set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use corten_config::types::{ByteSize, ComponentId, Duration, Regex, in_engines_syntax};
use corten_config::{Check, Checker, Problems};
use corten_lines::{Facts, Marks, Shape};
use corten_operators::{Chain, ContainerFormat, Key, Operators, Template};
use corten_tail::container::Format;
use corten_tail::{Compression, Encoding, Framing, OverLimit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ordering::OrderingCriteria;

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
    /// Where a file is begun that was there before the receiver ever ran: of a container's log the beginning is that of its oldest
    /// rotated generation. Files that appear later are always read whole, and known ones where they were left.
    pub(crate) start_at: StartAt,
    /// The extension that keeps the positions, such as `file_storage`. Without one every start is a first one.
    pub(crate) storage: Option<ComponentId>,
    /// What is done with the lines, in order: the Collector's operators, such as `container`, `json_parser`, `regex_parser`, `recombine`,
    /// `move`. A `container` that comes first costs next to nothing; the others make an object of every line.
    pub(crate) operators: Operators,
    /// Adds the attribute `log.file.name`.
    pub(crate) include_file_name: bool,
    /// Adds the attribute `log.file.path`.
    pub(crate) include_file_path: bool,
    /// Adds the attribute `log.file.record_offset`: where the record begins in its file, bytes.
    pub(crate) include_file_record_offset: bool,
    /// Adds the attribute `log.file.name_resolved`: the name with symbolic links followed.
    pub(crate) include_file_name_resolved: bool,
    /// Adds the attribute `log.file.path_resolved`: the path with symbolic links followed.
    pub(crate) include_file_path_resolved: bool,
    /// Adds the attribute `log.file.owner.name`: the user that the file belongs to.
    pub(crate) include_file_owner_name: bool,
    /// Adds the attribute `log.file.owner.group.name`: its group.
    pub(crate) include_file_owner_group_name: bool,
    /// Adds the attribute `log.file.permissions`, such as `0640`.
    pub(crate) include_file_permissions: bool,
    /// Adds the attribute `log.file.record_number`: which of its file's records it is, from where reading began.
    pub(crate) include_file_record_number: bool,
    /// Attributes that every record gets; values may have expressions, `EXPR(env("NODE"))`.
    pub(crate) attributes: BTreeMap<String, String>,
    /// Resource attributes that every record gets; values may have expressions.
    pub(crate) resource: BTreeMap<String, String>,
    /// How often files are looked at.
    pub(crate) poll_interval: Duration,
    /// How long a last line without newline waits until it is a record nevertheless. `0`: until
    /// the file is rotated. Lines of containers always wait for their newline.
    pub(crate) force_flush_period: Duration,
    /// How the files are encoded: `utf-8` (bytes that are none become U+FFFD), `utf-16le`, `utf-16be`, `ascii`, `big5` and others by their IANA names, or
    /// `nop` (the body is bytes).
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
    /// How many files are kept open, and never more than half of what the process may open; others are opened when they grow.
    pub(crate) max_concurrent_files: usize,
    /// Bytes that were read and that the pipeline has not acknowledged; reading stops there.
    pub(crate) max_in_flight: ByteSize,
    /// Directories beneath which a symbolic link may end, besides the literal part of `include`.
    /// Links that lead elsewhere are refused. For the links that Kubernetes makes these are known.
    pub(crate) symlink_roots: Vec<String>,
    /// Accepted: what is refused for now is offered again without end, since a file can wait.
    pub(crate) retry_on_failure: RetryOnFailure,
    /// What is read when a file is shorter than what was read of it, but begins as before. A file that begins otherwise is another one and is
    /// read whole in any case. What was cut off before it was read is lost whatever is chosen, and counted as a `gap`.
    pub(crate) on_truncate: OnTruncate,
    /// Which of the files are compressed: `gzip` (all), `auto` (those whose names end in `.gz`), or none. Rotated generations are told by their
    /// names in any case.
    pub(crate) compression: String,
    /// Accepted without effect: the buffers grow by themselves.
    pub(crate) initial_buffer_size: ByteSize,
    /// Accepted without effect: there are no batches of files.
    pub(crate) max_batches: usize,
    /// Accepted without effect: a file is known as long as it is there.
    pub(crate) polls_to_archive: usize,
    /// Accepted without effect: the kernel keeps or drops the pages of the files as it likes.
    pub(crate) file_cache_advise: bool,
    /// Deletes a file when it was read to its end and all of it was acknowledged. Needs `start_at: beginning`, and is for files that are
    /// finished when they appear: what is written to one a minute after it was deleted is lost.
    pub(crate) delete_after_read: bool,
    /// Not supported: files are read without locks.
    pub(crate) acquire_fs_lock: bool,
    /// Makes one record of several lines.
    pub(crate) multiline: Option<Multiline>,
    /// Lines at the beginning of each file that describe the others; they make no records.
    pub(crate) header: Option<Header>,
    /// Follows only some of the files that match: the newest ones of a series, for example. A file that is no longer among the first of them
    /// is read to its end.
    pub(crate) ordering_criteria: Option<OrderingCriteria>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            include: Vec::new(),
            exclude: Vec::new(),
            exclude_older_than: Duration::ZERO,
            start_at: StartAt::End,
            storage: None,
            operators: Operators::default(),
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
            max_concurrent_files: 4096,
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
    /// The same as `read_whole_file`. The Collector reads nothing until the file is as long as it was, and so loses what is written until then;
    /// here lines rather come twice.
    Ignore,
    /// It is read from its beginning: what was kept of it comes twice.
    ReadWholeFile,
    /// Only what is written from then on is read.
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

/// Lines at the beginning of a file that describe the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Header {
    /// A regular expression that matches the lines of the header.
    pub(crate) pattern: Option<Regex>,
    /// Operators that read them, such as those in `operators`; the attributes that come of it are those of every record of the file.
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub(crate) metadata_operators: Operators,
}

impl Header {
    fn check(&self, start_at: StartAt, container: bool, at: &mut Checker<'_>) {
        if self.pattern.is_none() {
            at.on("pattern").error("missing required field `pattern`");
        }
        if self.metadata_operators.is_empty() {
            at.on("metadata_operators")
                .error("missing required field `metadata_operators`");
        }
        if start_at == StartAt::End {
            at.error("'header' cannot be specified with 'start_at: end'");
        }
        if container {
            at.error("'header' is of plain files, and the first operator is 'container'");
        }
        drop(self.metadata_operators.build(at.problems()));
    }

    fn lines(&self) -> Option<corten_lines::Header> {
        let chain = self.metadata_operators.build(&mut Problems::new())?;
        Some(corten_lines::Header::new(self.pattern.clone()?, chain))
    }
}

/// Records of several lines.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Multiline {
    /// A regular expression that matches where a record begins.
    pub(crate) line_start_pattern: String,
    /// A regular expression that matches where a record ends.
    pub(crate) line_end_pattern: String,
    /// Leaves out of the records what the pattern matched.
    pub(crate) omit_pattern: bool,
}

impl Multiline {
    /// What the engine is told.
    fn tail(&self) -> Result<corten_tail::Multiline, String> {
        let patterns = [&self.line_start_pattern, &self.line_end_pattern];
        let [start, end] = patterns.map(|pattern| in_engines_syntax(pattern));
        let (name, multiline) = match (start.is_empty(), end.is_empty()) {
            (false, true) => {
                let multiline = corten_tail::Multiline::line_start(&start, self.omit_pattern);
                ("line_start_pattern", multiline)
            }
            (true, false) => {
                let multiline = corten_tail::Multiline::line_end(&end, self.omit_pattern);
                ("line_end_pattern", multiline)
            }
            _ => {
                return Err("needs one of line_start_pattern and line_end_pattern".to_owned());
            }
        };
        multiline.map_err(|error| {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default();
            format!(
                "has a {name} that can't be read: {}",
                why.strip_prefix("error: ").unwrap_or(why)
            )
        })
    }
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
        if Encoding::named(&self.encoding).is_none() {
            at.field("encoding").error(format!(
                "is none of the names that the IANA registry has, such as utf-8, utf-16le or iso-8859-1: '{}'",
                self.encoding
            ));
        }
        if !matches!(self.compression.as_str(), "" | "auto" | "gzip") {
            at.field("compression").error(format!(
                "must be gzip, auto or empty, found '{}'",
                self.compression
            ));
        }
        if let Some(Err(error)) = self.multiline.as_ref().map(Multiline::tail) {
            at.field("multiline").error(error);
        }
        if self.multiline.is_some() && self.operators.leading_container().is_some() {
            at.field("multiline").error(
                "is of plain files: what runtimes write is joined by the operator 'container', and then by 'recombine'",
            );
        }
        let container = self.operators.leading_container().is_some();
        if let Some(header) = &self.header {
            header.check(self.start_at, container, &mut at.section("header"));
        }
        self.check_files(at);
        self.check_without_effect(at);
        for (name, values) in [
            ("attributes", &self.attributes),
            ("resource", &self.resource),
        ] {
            for (key, value) in values {
                match Template::parse(value.as_str().into()) {
                    Ok(template) => template.check_names(name, at),
                    Err(error) => at.field(name).error(format!(
                        "has a value for '{key}' that can't be read: {error}"
                    )),
                }
            }
        }
        // Built for what it says; the one that works is built at start.
        drop(self.operators.build(at.problems()));
    }
}

impl Config {
    /// What is accepted so that a Collector's file starts, and does nothing here: said once, at start.
    fn check_without_effect(&self, at: &mut Checker<'_>) {
        let default = Self::default();
        for (name, set, why) in [
            (
                "initial_buffer_size",
                self.initial_buffer_size != default.initial_buffer_size,
                "is without effect: the buffers grow by themselves",
            ),
            (
                "max_batches",
                self.max_batches != 0,
                "is without effect: there are no batches of files, all are read",
            ),
            (
                "polls_to_archive",
                self.polls_to_archive != 0,
                "is without effect: a file is known as long as it is there",
            ),
            (
                "file_cache_advise",
                self.file_cache_advise,
                "is without effect: the kernel keeps or drops the pages of the files as it likes",
            ),
        ] {
            if set {
                at.field(name).warning(why);
            }
        }
    }

    /// What is done with the files themselves.
    fn check_files(&self, at: &mut Checker<'_>) {
        if let Some(criteria) = &self.ordering_criteria {
            criteria.check(&mut at.section("ordering_criteria"));
        }
        if self.delete_after_read && self.start_at == StartAt::End {
            at.field("delete_after_read")
                .error("needs start_at: beginning, or files would be deleted that were never read");
        }
        if self.acquire_fs_lock {
            at.field("acquire_fs_lock").error(
                "is not supported: files are read without locks. Remove it; if writers must not be read half way, let them write elsewhere and rename",
            );
        }
    }

    /// What records look like.
    pub(crate) fn shape(&self) -> Shape {
        let container = self.operators.leading_container();
        let pairs = |map: &BTreeMap<String, String>| {
            map.iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        Shape {
            container: container.is_some(),
            drop_unparsed: container.is_some_and(|operator| operator.on_error.drops()),
            metadata: container.is_some_and(|operator| operator.metadata),
            trim_start: container.is_none() && !self.preserve_leading_whitespaces,
            trim_end: container.is_none() && !self.preserve_trailing_whitespaces,
            raw_bytes: self.encoding == "nop",
            name: self.include_file_name,
            path: self.include_file_path,
            offset: self.include_file_record_offset,
            number: self.include_file_record_number,
            facts: Facts {
                name_resolved: self.include_file_name_resolved,
                path_resolved: self.include_file_path_resolved,
                owner: self.include_file_owner_name,
                group: self.include_file_owner_group_name,
                permissions: self.include_file_permissions,
            },
            attributes: pairs(&self.attributes),
            resource: pairs(&self.resource),
        }
    }

    /// The operators and attributes that need entries; `None` when there are none, and lines become bytes without them.
    pub(crate) fn slow_path(&self) -> Option<SlowPath> {
        let templates = |map: &BTreeMap<String, String>| {
            map.iter()
                .filter_map(|(key, value)| {
                    let template = Template::parse(value.as_str().into()).ok()?;
                    Some((Key::from(key.as_str()), template))
                })
                .collect()
        };
        let marks = Marks {
            attributes: templates(&self.attributes),
            resource: templates(&self.resource),
        };
        let done = usize::from(self.operators.leading_container().is_some());
        let header = self.header.as_ref().and_then(Header::lines);
        if self.operators.len() == done && marks.are_constant() && header.is_none() {
            return None;
        }
        let chain = self.operators.build_after(done, &mut Problems::new())?;
        Some(SlowPath {
            chain,
            marks,
            header,
        })
    }

    /// What the engine is told.
    pub(crate) fn tail(&self, name: &str) -> corten_tail::Settings {
        let mut max_log_size = self.max_log_size.as_usize();
        let framing = match self.operators.leading_container() {
            None => Framing::Lines,
            Some(operator) => {
                if operator.max_log_size > 0 {
                    max_log_size = max_log_size.min(operator.max_log_size);
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
            ordering: self
                .ordering_criteria
                .as_ref()
                .and_then(OrderingCriteria::tail),
            on_truncate: match self.on_truncate {
                OnTruncate::Ignore | OnTruncate::ReadWholeFile => {
                    corten_tail::OnTruncate::ReadWholeFile
                }
                OnTruncate::ReadNew => corten_tail::OnTruncate::ReadNew,
            },
            delete_after_read: self.delete_after_read,
            compression: match self.compression.as_str() {
                "gzip" => Compression::Gzip,
                "auto" => Compression::Auto,
                _ => Compression::None,
            },
            framing,
            multiline: self.multiline.as_ref().and_then(|m| m.tail().ok()),
            encoding: Encoding::named(&self.encoding).flatten(),
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

/// What needs entries.
pub(crate) struct SlowPath {
    pub(crate) chain: Chain,
    pub(crate) marks: Marks,
    pub(crate) header: Option<corten_lines::Header>,
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
            "include: [/x]\nheader: {pattern: '('}\nordering_criteria: {regex: a}\ndelete_after_read: true\nacquire_fs_lock: true\ncompression: zip\nencoding: utf-7\noperators: [{type: jsonparser}, {type: regex_parser, regex: '(?P<a>x)', if: 'bdy == 1'}]\nattributes: {a: 'EXPR(1 +)'}",
        );
        for expected in [
            "config:2:19: header::pattern: expected a regular expression, found '(': unclosed group",
            "header: missing required field `metadata_operators`",
            "header: 'header' cannot be specified with 'start_at: end'",
            "ordering_criteria: missing required field `sort_by`",
            "delete_after_read needs start_at: beginning",
            "acquire_fs_lock is not supported",
            "config:6:14: compression must be gzip, auto or empty, found 'zip'",
            "encoding is none of the names",
            "config:8:20: operators[0]: unsupported type 'jsonparser', did you mean 'json_parser'?",
            "warning: operators[1]: if has the name 'bdy', which no entry has: it is nothing, did you mean 'body'?",
            "attributes has a value for 'a' that can't be read: the expression can't be read at character 4",
        ] {
            assert!(text.contains(expected), "{expected} in\n{text}");
        }
    }

    #[test]
    fn only_what_needs_entries_takes_the_slow_path() {
        for (operators, slow) in [
            ("", false),
            ("operators: [{type: container}]", false),
            (
                "operators: [{type: container, on_error: drop, format: crio}]",
                false,
            ),
            ("attributes: {a: b}\nresource: {c: d}", false),
            ("operators: [{type: container, if: 'true'}]", true),
            ("operators: [{type: container, parse_to: body}]", true),
            ("operators: [{type: container}, {type: json_parser}]", true),
            ("operators: [{type: noop}]", true),
            ("resource: {node: 'EXPR(env(\"NODE\"))'}", true),
        ] {
            let config: Config = from_str(&format!("include: [/x]\n{operators}")).unwrap();
            assert_eq!(config.slow_path().is_some(), slow, "{operators}");
        }
    }

    #[test]
    fn lines_encodings_and_compression_reach_the_engine() {
        let config: Config = from_str(
            "include: [/x]\nmultiline: {line_start_pattern: '^\\d{4}'}\nencoding: utf-16le\ncompression: auto",
        )
        .unwrap();
        let tail = config.tail("x");
        assert!(tail.multiline.is_some() && tail.encoding.is_some());
        assert_eq!(tail.compression, Compression::Auto);
        for multiline in ["{}", "{line_start_pattern: a, line_end_pattern: b}"] {
            let text = problems(&format!("include: [/x]\nmultiline: {multiline}"));
            assert!(
                text.contains("needs one of line_start_pattern and line_end_pattern"),
                "{text}"
            );
        }
        // In Go's syntax, where a brace that begins no repetition is one.
        let json = "include: [/x]\nmultiline: {line_start_pattern: '^{'}";
        assert!(
            from_str::<Config>(json)
                .unwrap()
                .tail("x")
                .multiline
                .is_some()
        );
        let text = problems("include: [/x]\nmultiline: {line_start_pattern: '('}");
        assert!(
            text.contains("line_start_pattern that can't be read: unclosed group"),
            "{text}"
        );
        let text = problems(
            "include: [/x]\nmultiline: {line_start_pattern: a}\noperators: [{type: container}]",
        );
        assert!(text.contains("multiline is of plain files"), "{text}");
    }

    #[test]
    fn what_becomes_of_files_reaches_the_engine() {
        let config: Config =
            from_str("include: [/x]\nstart_at: beginning\ndelete_after_read: true").unwrap();
        assert!(config.tail("x").delete_after_read);
        for (on_truncate, expected) in [
            ("ignore", corten_tail::OnTruncate::ReadWholeFile),
            ("read_whole_file", corten_tail::OnTruncate::ReadWholeFile),
            ("read_new", corten_tail::OnTruncate::ReadNew),
        ] {
            let yaml = format!("include: [/x]\non_truncate: {on_truncate}");
            let config: Config = from_str(&yaml).unwrap();
            assert_eq!(config.tail("x").on_truncate, expected);
        }
    }

    #[test]
    fn nothing_is_silently_without_effect() {
        // The error makes the warnings visible.
        let text = problems(
            "initial_buffer_size: 1MiB\nmax_batches: 2\npolls_to_archive: 3\nfile_cache_advise: true",
        );
        for name in [
            "initial_buffer_size is without effect",
            "max_batches is without effect",
            "polls_to_archive is without effect",
            "file_cache_advise is without effect",
        ] {
            assert!(
                text.contains(&format!("warning: {name}")),
                "{name} in\n{text}"
            );
        }
        let text = problems("retry_on_failure: {enabled: true, max_elapsed_time: 5m}");
        assert!(!text.contains("warning"), "{text}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(problems("start_at: end").contains("`include` is empty"));
        assert!(problems("include: ['/a/[']").contains("include has a glob"));
        assert!(problems("include: [/x]\nfingerprint_size: 8").contains("from 16 to 65535"));
        assert!(problems("includes: [/x]").contains("did you mean 'include'"));
    }
}
