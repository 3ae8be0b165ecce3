//! Lines become OTLP bytes, without an object per record.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use corten_pdata::build::{LogRecordBuilder, LogsBuilder};
use corten_pdata::{AnyValue, Logs};
use corten_tail::{Record, Sink, Source, Ticket};
use tokio::sync::mpsc;

use crate::config::{Config, OnError};

/// A batch goes out when it has this many bytes; what is read at once is no larger by much.
const FULL: usize = 256 << 10;

/// A batch and what it answers for.
#[derive(Debug)]
pub(crate) struct Shipment {
    pub(crate) logs: Logs,
    pub(crate) tickets: Vec<Ticket>,
}

/// Takes lines from the engine, on its thread.
pub(crate) struct Encoder {
    shape: Shape,
    builder: LogsBuilder,
    tickets: Vec<Ticket>,
    /// Whose resource is open in the builder.
    source: Option<u64>,
    observed: u64,
    outbox: mpsc::Sender<Shipment>,
    /// What the outbox had no room for. Bounded by what the engine lets be in flight.
    backlog: VecDeque<Shipment>,
}

/// What a record looks like.
struct Shape {
    container: bool,
    drop_unparsed: bool,
    metadata: bool,
    trim_start: bool,
    trim_end: bool,
    raw_bytes: bool,
    name: bool,
    path: bool,
    offset: bool,
    attributes: Vec<(String, String)>,
    resource: Vec<(String, String)>,
}

impl Encoder {
    pub(crate) fn new(config: &Config, outbox: mpsc::Sender<Shipment>) -> Self {
        let container = config.container();
        let pairs = |map: &std::collections::BTreeMap<String, String>| {
            map.iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        let shape = Shape {
            container: container.is_some(),
            drop_unparsed: container.is_some_and(|operator| {
                matches!(operator.on_error, OnError::Drop | OnError::DropQuiet)
            }),
            metadata: container.is_some_and(|operator| operator.add_metadata_from_filepath),
            trim_start: container.is_none() && !config.preserve_leading_whitespaces,
            trim_end: container.is_none() && !config.preserve_trailing_whitespaces,
            raw_bytes: config.encoding == "nop",
            name: config.include_file_name,
            path: config.include_file_path,
            offset: config.include_file_record_offset,
            attributes: pairs(&config.attributes),
            resource: pairs(&config.resource),
        };
        Self {
            shape,
            builder: LogsBuilder::with_capacity(FULL + FULL / 4),
            tickets: Vec::new(),
            source: None,
            observed: 0,
            outbox,
            backlog: VecDeque::new(),
        }
    }

    fn begin(&mut self, source: &Source) {
        if self.source.is_none() {
            self.observed = now();
        }
        self.source = Some(source.id);
        let shape = &self.shape;
        self.builder.resource(|resource| {
            if let Some(at) = source.container.as_ref().filter(|_| shape.metadata) {
                resource.attribute_str("k8s.namespace.name", &at.namespace);
                resource.attribute_str("k8s.pod.name", &at.pod);
                resource.attribute_str("k8s.pod.uid", &at.uid);
                resource.attribute_str("k8s.container.name", &at.container);
                resource.attribute_str("k8s.container.restart_count", &at.restart.to_string());
            }
            for (key, value) in &shape.resource {
                resource.attribute_str(key, value);
            }
        });
    }

    fn ship(&mut self) {
        self.source = None;
        if !self.tickets.is_empty() {
            let tickets = std::mem::take(&mut self.tickets);
            if self.builder.is_empty() {
                // Nothing but blank lines.
                self.builder = LogsBuilder::new();
                tickets.into_iter().for_each(Ticket::delivered);
            } else {
                let room = self.builder.len_bytes().min(FULL + FULL / 4);
                let builder =
                    std::mem::replace(&mut self.builder, LogsBuilder::with_capacity(room));
                self.backlog.push_back(Shipment {
                    logs: builder.finish(),
                    tickets,
                });
            }
        }
        while let Some(shipment) = self.backlog.pop_front() {
            match self.outbox.try_send(shipment) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(shipment)) => {
                    self.backlog.push_front(shipment);
                    return;
                }
                // The receiver is gone: the tickets go with it, and the lines are read again one day.
                Err(mpsc::error::TrySendError::Closed(_)) => {}
            }
        }
    }
}

impl Sink for Encoder {
    fn record(&mut self, source: &Source, record: &Record<'_>) {
        let shape = &self.shape;
        if shape.drop_unparsed && record.stream.is_none() {
            return;
        }
        let mut body = record.body;
        if shape.trim_start {
            body = body.trim_ascii_start();
        }
        if shape.trim_end {
            body = body.trim_ascii_end();
        }
        if body.is_empty() && !shape.container {
            return;
        }
        if self.source != Some(source.id) {
            self.begin(source);
        }
        let (shape, observed) = (&self.shape, self.observed);
        self.builder.record(|out: &mut LogRecordBuilder<'_>| {
            if let Some(time) = record.time {
                out.time(time);
            }
            out.observed_time(observed);
            if shape.raw_bytes {
                out.body(&AnyValue::Bytes(body));
            } else {
                out.body_str(&text(body));
            }
            if let Some(stream) = record.stream {
                out.attribute_str("log.iostream", stream.as_str());
            }
            if let Some(tag) = record.tag {
                out.attribute_str("logtag", &text(tag));
            }
            if shape.name {
                out.attribute_str("log.file.name", &source.name);
            }
            if shape.path {
                out.attribute_str("log.file.path", &source.path);
            }
            if shape.offset {
                let offset = i64::try_from(record.offset).unwrap_or(i64::MAX);
                out.attribute_int("log.file.record_offset", offset);
            }
            for (key, value) in &shape.attributes {
                out.attribute_str(key, value);
            }
        });
    }

    fn chunk(&mut self, _: &Arc<Source>, ticket: Ticket) {
        self.tickets.push(ticket);
        if self.builder.len_bytes() >= FULL {
            self.ship();
        }
    }

    fn flush(&mut self) {
        self.ship();
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}
