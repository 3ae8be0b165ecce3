//! Messages become log records.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use corten_component::{BoxError, Context};
use corten_config::Problems;
use corten_operators::syslog::{Element, Message, Parser, severity};
use corten_operators::{Chain, Entry, EntryWriter, Map, Value};
use corten_pdata::build::{LineAttributes, LogRecordBuilder, LogsBuilder, OwnedValue};
use corten_pdata::{AnyValue, Logs};
use parking_lot::Mutex;

use crate::config::{Body, Config, OnError};
use crate::metadata::{Event, Metrics};

/// A batch goes out when it has this many bytes.
const FULL: usize = 256 << 10;
/// Between two messages to people about what can't be read.
const TOLD: Duration = Duration::from_secs(60);

/// What all connections share.
pub(crate) struct Format {
    receiver: String,
    parser: Parser,
    on_error: OnError,
    body: Body,
    attributes: Vec<(String, String)>,
    resource: Vec<(String, String)>,
    operators: Option<Mutex<Operated>>,
    pub(crate) metrics: Arc<Metrics>,
    told: Mutex<Option<Instant>>,
}

/// Operators, and what has passed them. Some of them look at several entries, so all connections have one chain.
struct Operated {
    chain: Chain,
    writer: EntryWriter,
    resource: Arc<Map>,
}

impl Operated {
    fn write(&mut self, entry: Option<Entry>, now: Instant) {
        let writer = &mut self.writer;
        let mut out = |entry| writer.write(entry);
        match entry {
            Some(entry) => self.chain.process(entry, now, &mut out),
            None => self.chain.flush(now, &mut out),
        }
    }
}

impl Format {
    pub(crate) fn new(
        cx: &Context,
        config: &Config,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, BoxError> {
        let pairs = |map: &std::collections::BTreeMap<String, String>| -> Vec<_> {
            map.iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        let operators = if config.operators.is_empty() {
            None
        } else {
            let mut problems = Problems::new();
            let chain = config.operators.build(&mut problems);
            let chain = chain.ok_or_else(|| problems.to_string())?;
            corten_lines::observe_operators(cx, chain.stats());
            let mut resource = Map::new();
            for (key, value) in &config.resource {
                resource.insert(key.as_str(), value.as_str());
            }
            Some(Mutex::new(Operated {
                chain,
                writer: EntryWriter::default(),
                resource: Arc::new(resource),
            }))
        };
        Ok(Arc::new(Self {
            receiver: cx.id().to_string(),
            parser: config.parser()?,
            on_error: config.on_error,
            body: config.body,
            attributes: pairs(&config.attributes),
            resource: pairs(&config.resource),
            operators,
            metrics,
            told: Mutex::new(None),
        }))
    }

    /// Whether entries may wait in operators.
    pub(crate) fn has_operators(&self) -> bool {
        self.operators.is_some()
    }

    /// What has waited long enough in operators; at the end (`all`) everything.
    pub(crate) fn waited(&self, all: bool) -> Option<Logs> {
        let mut operated = self.operators.as_ref()?.lock();
        let mut now = Instant::now();
        if all {
            now += Duration::from_secs(24 * 3600);
        }
        operated.write(None, now);
        let writer = std::mem::take(&mut operated.writer);
        drop(operated);
        finish(writer)
    }

    fn tell(&self, error: &dyn std::fmt::Display) {
        if matches!(self.on_error, OnError::SendQuiet | OnError::DropQuiet) {
            return;
        }
        let mut told = self.told.lock();
        if told.is_none_or(|told| told.elapsed() > TOLD) {
            *told = Some(Instant::now());
            drop(told);
            tracing::warn!(
                receiver = self.receiver,
                %error,
                "a message can't be read (told once a minute, all are counted)"
            );
        }
    }
}

fn finish(writer: EntryWriter) -> Option<Logs> {
    let (logs, origins) = writer.finish();
    // Nobody reads a message again.
    origins.settle();
    (!logs.is_empty()).then_some(logs)
}

/// Fills the batches of one connection or socket.
pub(crate) struct Writer {
    format: Arc<Format>,
    builder: LogsBuilder,
    trim_start: bool,
    trim_end: bool,
    /// Messages in the batch with operators, where the batch is somewhere else.
    operated: usize,
}

impl Writer {
    pub(crate) fn new(format: &Arc<Format>, trim_start: bool, trim_end: bool) -> Self {
        Self {
            format: Arc::clone(format),
            builder: LogsBuilder::new(),
            trim_start,
            trim_end,
            operated: 0,
        }
    }

    /// Adds a message; `ends` says between whom it went.
    pub(crate) fn add(&mut self, message: &[u8], cut: bool, ends: &Ends) {
        let format = &self.format;
        if cut {
            format.metrics.count(Event::Cut, 1);
        }
        let text = String::from_utf8_lossy(message);
        let mut text = &*text;
        // What frames a message may stand in it, and a zero at the end is a habit of C.
        if self.trim_end {
            text = text.trim_end_matches(|c: char| c.is_ascii_whitespace() || c == '\0');
        }
        if self.trim_start {
            text = text.trim_ascii_start();
        }
        if text.is_empty() {
            return;
        }
        let now = now();
        let parsed = match format.parser.parse(text, now) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                format.metrics.count(Event::Unparsed, 1);
                format.tell(&error);
                if matches!(format.on_error, OnError::Drop | OnError::DropQuiet) {
                    return;
                }
                None
            }
        };
        if let Some(operated) = &format.operators {
            let mut operated = operated.lock();
            let mut entry = entry(format, text, parsed.as_ref(), now, ends);
            entry.resource = Arc::clone(&operated.resource);
            operated.write(Some(entry), Instant::now());
            self.operated += 1;
            return;
        }
        if self.builder.is_empty() {
            self.builder.resource(|out| {
                for (key, value) in &format.resource {
                    out.attribute_str(key, value);
                }
            });
        }
        self.builder.record(|out| {
            record(out, format, text, parsed.as_ref(), now);
            out.line_attributes(&ends.attributes);
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.builder.is_empty() && self.operated == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        let bytes = match &self.format.operators {
            None => self.builder.len_bytes(),
            Some(operated) => operated.lock().writer.len_bytes(),
        };
        bytes >= FULL
    }

    /// The batch, if there is anything in it; a new one begins.
    pub(crate) fn take(&mut self) -> Option<Logs> {
        if let Some(operated) = &self.format.operators {
            self.operated = 0;
            let writer = std::mem::take(&mut operated.lock().writer);
            return finish(writer);
        }
        if self.builder.is_empty() {
            return None;
        }
        Some(std::mem::take(&mut self.builder).finish())
    }
}

/// The body, when it is not all of the text.
fn body<'a>(format: &Format, text: &'a str, parsed: Option<&Message<'a>>) -> &'a str {
    match (format.body, parsed) {
        (Body::Message, Some(parsed)) => parsed.message.unwrap_or_default(),
        _ => text,
    }
}

fn record(
    out: &mut LogRecordBuilder<'_>,
    format: &Format,
    text: &str,
    parsed: Option<&Message<'_>>,
    now: u64,
) {
    if let Some(time) = parsed.and_then(|parsed| parsed.time) {
        out.time(time);
    }
    out.observed_time(now);
    if let Some(priority) = parsed.and_then(|parsed| parsed.priority) {
        let (number, text) = severity(priority);
        out.severity(number, text);
    }
    out.body_str(body(format, text, parsed));
    if let Some(parsed) = parsed {
        for (key, value) in texts(format, parsed) {
            if let Some(value) = value {
                out.attribute_str(key, value);
            }
        }
        for (key, value) in numbers(parsed) {
            if let Some(value) = value {
                out.attribute_int(key, value);
            }
        }
        if !parsed.structured_data.is_empty() {
            let data = structured(&parsed.structured_data);
            out.attribute("structured_data", &data.get());
        }
    }
    for (key, value) in &format.attributes {
        out.attribute_str(key, value);
    }
}

/// The attributes that are text, under the Collector's names.
fn texts<'a>(format: &Format, parsed: &Message<'a>) -> [(&'static str, Option<&'a str>); 5] {
    [
        ("appname", parsed.appname),
        ("hostname", parsed.hostname),
        (
            "message",
            parsed.message.filter(|_| format.body == Body::Raw),
        ),
        ("msg_id", parsed.msg_id),
        ("proc_id", parsed.proc_id),
    ]
}

fn numbers(parsed: &Message<'_>) -> [(&'static str, Option<i64>); 3] {
    [
        ("facility", parsed.facility().map(i64::from)),
        ("priority", parsed.priority.map(i64::from)),
        ("version", parsed.version.map(i64::from)),
    ]
}

/// A map of maps. Of what repeats the last counts, as in the Collector.
fn structured(elements: &[Element<'_>]) -> OwnedValue {
    OwnedValue::map(|out| {
        for (index, element) in elements.iter().enumerate() {
            let later = elements.get(index + 1..).unwrap_or_default();
            // Few elements, as a rule one.
            if later.iter().take(64).any(|other| other.id == element.id) {
                continue;
            }
            let params = OwnedValue::map(|out| {
                for (key, value) in &element.params {
                    out.attribute_str(key, value);
                }
            });
            out.attribute(element.id, &params.get());
        }
    })
}

fn entry(
    format: &Format,
    text: &str,
    parsed: Option<&Message<'_>>,
    now: u64,
    ends: &Ends,
) -> Entry {
    let mut entry = Entry::text(body(format, text, parsed));
    entry.observed = now;
    entry.log = ends.log;
    if let Some(parsed) = parsed {
        entry.time = parsed.time;
        if let Some(priority) = parsed.priority {
            let (number, text) = severity(priority);
            entry.severity = number;
            entry.severity_text = text.to_owned();
        }
        for (key, value) in texts(format, parsed) {
            if let Some(value) = value {
                entry.attributes.insert(key, value);
            }
        }
        for (key, value) in numbers(parsed) {
            if let Some(value) = value {
                entry.attributes.insert(key, value);
            }
        }
        if !parsed.structured_data.is_empty() {
            let mut data = Map::new();
            for element in &parsed.structured_data {
                let mut params = Map::new();
                for (key, value) in &element.params {
                    params.insert(*key, value.clone().into_owned());
                }
                data.insert(element.id, Value::Map(params));
            }
            entry.attributes.insert("structured_data", data);
        }
    }
    for (key, value) in &format.attributes {
        entry.attributes.insert(key.as_str(), value.as_str());
    }
    for (key, value) in &ends.named {
        entry.attributes.insert(*key, value.as_str());
    }
    entry
}

/// Who sent a message and who got it, written once for all messages of a connection.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    attributes: LineAttributes,
    named: Vec<(&'static str, String)>,
    /// Tells connections apart.
    log: u64,
}

impl Ends {
    /// Nobody in particular.
    pub(crate) fn unnamed(log: u64) -> Self {
        Self {
            log,
            ..Self::default()
        }
    }

    /// Two addresses.
    pub(crate) fn addresses(
        log: u64,
        transport: &'static str,
        peer: std::net::SocketAddr,
        host: Option<std::net::SocketAddr>,
    ) -> Self {
        let mut named = vec![("net.transport", transport.to_owned())];
        let plain = |address: std::net::SocketAddr| address.ip().to_canonical().to_string();
        named.push(("net.peer.ip", plain(peer)));
        named.push(("net.peer.port", peer.port().to_string()));
        if let Some(host) = host {
            named.push(("net.host.ip", plain(host)));
            named.push(("net.host.port", host.port().to_string()));
        }
        let attributes = LineAttributes::new(|out| {
            for (key, value) in &named {
                out.attribute(key, &AnyValue::String(value));
            }
        });
        Self {
            attributes,
            named,
            log,
        }
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}
