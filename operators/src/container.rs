//! The operator `container`, where it can't be the first: the lines of container runtimes, partial ones joined.

use std::sync::Arc;
use std::time::{Duration, Instant};

use corten_config::types::ByteSize;
use corten_config::{Checker, Problems, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chain::{Built, Edit, Work};
use crate::embedded::text;
use crate::entry::Entry;
use crate::failure::{Failure, Reason};
use crate::field::Field;
use crate::parse::container::{self, Format};
use crate::parse::json::Json;
use crate::parsers::put;
use crate::recombine::{Batches, Limits, Source};
use crate::settings::{Defaults, OnError, Parser};
use crate::value::{Map, Value};

/// How long a partial line waits for its end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Settings of `container`: the lines that container runtimes write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Settings {
    /// Of `container`: how the runtime writes its lines; `auto` tells by each line.
    pub(crate) format: ContainerFormat,
    /// Of `container`: whether the file's path gives `k8s.namespace.name`, `k8s.pod.name`, `k8s.pod.uid`, `k8s.container.name` and
    /// `k8s.container.restart_count`.
    pub(crate) add_metadata_from_filepath: bool,
    /// Of `container`: the longest message that is joined of partial lines. `0`: no limit.
    pub(crate) max_log_size: ByteSize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            format: ContainerFormat::Auto,
            add_metadata_from_filepath: true,
            max_log_size: ByteSize::mib(1),
        }
    }
}

impl Defaults for Settings {}

/// How a container runtime writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ContainerFormat {
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

/// What a receiver needs to know to do the work of a `container` that comes first itself, which is quicker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeadingContainer {
    /// How the runtime writes its lines.
    pub format: ContainerFormat,
    /// Whether the resource says what the path tells.
    pub metadata: bool,
    /// The longest message, bytes; 0 has no limit.
    pub max_log_size: usize,
    /// What becomes of a line that no runtime writes.
    pub on_error: OnError,
}

/// The operator as one that a receiver can do itself: it has no condition, no output, and its fields where they always are.
pub(crate) fn leading(section: &Section) -> Option<LeadingContainer> {
    let settings: Parser<Settings> = section.decode(&mut Problems::new())?;
    let (common, parsing, own) = (settings.common, settings.parsing, settings.own);
    let plain = common.condition.is_none()
        && common.output.is_empty()
        && parsing == crate::settings::Parsing::default();
    plain.then_some(LeadingContainer {
        format: own.format,
        metadata: own.add_metadata_from_filepath,
        max_log_size: own.max_log_size.as_usize(),
        on_error: common.on_error,
    })
}

pub(crate) fn build(section: &Section, problems: &mut Problems) -> Option<Built> {
    let settings: Parser<Settings> = section.decode(problems)?;
    let mut at = Checker::new(section, problems);
    let after = crate::parsers::embedded(&settings.parsing, &mut at);
    let own = settings.own;
    Some(Built {
        common: settings.common,
        work: Work::Container(Box::new(Container {
            format: match own.format {
                ContainerFormat::Auto => Format::Auto,
                ContainerFormat::Docker => Format::Docker,
                ContainerFormat::Crio | ContainerFormat::Containerd => Format::Cri,
            },
            metadata: own.add_metadata_from_filepath,
            from: settings.parsing.parse_from,
            to: settings.parsing.parse_to,
            preserve_to: settings.parsing.preserve_to,
            after: after?,
            json: Json::new(false),
            batches: Batches::new(Limits {
                with: String::new(),
                entries: usize::MAX,
                sources: 4096,
                bytes: own.max_log_size.as_usize(),
                period: PATIENCE,
            }),
        })),
    })
}

/// Reads lines of containers.
pub(crate) struct Container {
    format: Format,
    metadata: bool,
    from: Field,
    to: Field,
    preserve_to: Option<Field>,
    after: Vec<Box<dyn Edit>>,
    json: Json,
    batches: Batches,
}

impl Container {
    /// Takes an entry, and puts what is complete into `out`. An entry that it can't read comes back.
    pub(crate) fn take(
        &mut self,
        mut entry: Entry,
        now: Instant,
        out: &mut Vec<Entry>,
    ) -> Result<(), Box<(Entry, Failure)>> {
        let partial = match self.read(&mut entry) {
            Ok(partial) => partial,
            Err(failure) => return Err(Box::new((entry, failure))),
        };
        let log = entry
            .attributes
            .get("log.file.path")
            .and_then(Value::as_str);
        let log = log.map_or_else(|| entry.log.to_string(), str::to_owned);
        let stream = entry.attributes.get("log.iostream").and_then(Value::as_str);
        let source = Source::Stream(log, stream.unwrap_or_default().to_owned());
        if !partial && !self.batches.is_open(&source) {
            out.push(entry);
            return Ok(());
        }
        let body = Field::body();
        let part = match &entry.body {
            Value::Str(part) => part.clone(),
            _ => String::new(),
        };
        self.batches
            .add(source, entry, &part, false, now, &body, out);
        self.batches.settle(!partial, &body, out);
        Ok(())
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        self.batches.due()
    }

    pub(crate) fn expire(&mut self, now: Instant, out: &mut Vec<Entry>) {
        self.batches.expire(now, &Field::body(), out);
    }

    /// Whether the rest of the line follows.
    fn read(&mut self, entry: &mut Entry) -> Result<bool, Failure> {
        let written = text(&self.from, entry)?;
        let line = container::read(self.format, &mut self.json, written)
            .map_err(|detail| Failure::new(Reason::Format, detail))?;
        if let Some(field) = &self.preserve_to {
            let original = Value::from(written);
            put(field, entry, original)?;
        }
        let partial = line.is_partial();
        let mut fields: Map = line.more;
        fields.insert("log.iostream", line.stream);
        if let Some(tag) = line.tag {
            fields.insert("logtag", tag);
        }
        put(&self.to, entry, fields.into())?;
        entry.time = Some(line.time);
        let mut message = line.message;
        if message.ends_with('\n') {
            message.pop();
        }
        entry.body = Value::Str(message);
        let mut outcome = Ok(());
        if self.metadata {
            outcome = metadata(entry);
        }
        for edit in &mut self.after {
            outcome = outcome.and(edit.edit(entry));
        }
        outcome.map(|()| partial)
    }
}

/// What the path tells of the pod.
fn metadata(entry: &mut Entry) -> Result<(), Failure> {
    let path = entry
        .attributes
        .get("log.file.path")
        .and_then(Value::as_str);
    let Some(path) = path else {
        return Err(Failure::new(
            Reason::Missing,
            "there is no attribute log.file.path: set include_file_path, or add_metadata_from_filepath to false",
        ));
    };
    let Some(parts) = container::path(path) else {
        return Err(Failure::new(
            Reason::Format,
            format!(
                "the path '{}' is none of a container",
                crate::time::short(path)
            ),
        ));
    };
    let resource = Arc::make_mut(&mut entry.resource);
    for (name, value) in parts {
        resource.insert(name, value);
    }
    Ok(())
}
