//! Lines become OTLP bytes, without an object per record.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use corten_pdata::AnyValue;
use corten_pdata::build::{LineAttributes, LogsBuilder, Pool};
use corten_tail::container::StdStream;
use corten_tail::{Record, Sink, Source, Ticket};
use tokio::sync::mpsc;

use crate::facts::Facts;
use crate::shipper::Shipment;

/// A batch goes out when it has this many bytes.
const FULL: usize = 256 << 10;
/// What a batch has room for: nearly full, and then all that is read at once, half again as large as records.
const ROOM: usize = FULL + 384 * 1024;
/// When nothing was read for this long, unused buffers are given back.
const QUIET: Duration = Duration::from_secs(1);
/// Unused buffers at most, enough for what is acknowledged at once.
const UNUSED: usize = 32;

/// Takes lines from the engine, on its thread.
#[derive(Debug)]
pub struct Encoder {
    shape: Shape,
    /// Attribute `logtag`.
    tagged: bool,
    builder: LogsBuilder,
    pool: Pool,
    tickets: Vec<Ticket>,
    /// Whose resource is open in the builder.
    source: Option<u64>,
    observed: u64,
    plain: Common,
    stdout: Common,
    stderr: Common,
    outbox: mpsc::Sender<Shipment<Vec<Ticket>>>,
    /// What the outbox had no room for. Bounded by what the engine lets be in flight.
    backlog: VecDeque<Shipment<Vec<Ticket>>>,
    /// When there was something to ship.
    busy: Instant,
}

/// What a record looks like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    /// Lines are a container's: what it wrote is not trimmed, and an empty line is a record.
    pub container: bool,
    /// Container lines that no runtime writes are left out.
    pub drop_unparsed: bool,
    /// The resource says which pod and container it was, as kubelet's path tells.
    pub metadata: bool,
    /// Plain lines lose white space at their beginning.
    pub trim_start: bool,
    /// Plain lines lose white space at their end.
    pub trim_end: bool,
    /// The body is bytes and not text.
    pub raw_bytes: bool,
    /// Attribute `log.file.name`.
    pub name: bool,
    /// Attribute `log.file.path`.
    pub path: bool,
    /// Attribute `log.file.record_offset`.
    pub offset: bool,
    /// Attribute `log.file.record_number`.
    pub number: bool,
    /// Attributes that say what the file is.
    pub facts: Facts,
    /// Attributes of every record.
    pub attributes: Vec<(String, String)>,
    /// Attributes of every resource.
    pub resource: Vec<(String, String)>,
}

/// The attributes that the lines of one source, stream and tag have in common.
#[derive(Debug, Default)]
struct Common {
    source: Option<u64>,
    tag: Vec<u8>,
    attributes: LineAttributes,
}

impl Common {
    /// Those of this record: nearly always the ones of the record before.
    #[inline]
    fn of(
        &mut self,
        shape: &Shape,
        source: &Source,
        stream: Option<StdStream>,
        tag: Option<&[u8]>,
    ) -> &LineAttributes {
        let wanted = tag.unwrap_or_default();
        if self.source != Some(source.id) || !same_tag(&self.tag, wanted) {
            self.source = Some(source.id);
            self.tag.clear();
            self.tag.extend_from_slice(wanted);
            self.attributes = LineAttributes::new(|out| {
                if let Some(stream) = stream {
                    out.attribute_str("log.iostream", stream.as_str());
                }
                if let Some(tag) = tag {
                    out.attribute_str("logtag", &text(tag));
                }
                if shape.name {
                    out.attribute_str("log.file.name", &source.name);
                }
                if shape.path {
                    out.attribute_str("log.file.path", &source.path);
                }
                shape.facts.of(Path::new(&source.path), |key, value| {
                    out.attribute_str(key, value);
                });
                for (key, value) in &shape.attributes {
                    out.attribute_str(key, value);
                }
            });
        }
        &self.attributes
    }
}

impl Encoder {
    /// Leaves out `logtag`: of joined lines it says nothing.
    #[must_use]
    pub fn without_tag(mut self) -> Self {
        self.tagged = false;
        self
    }

    /// Batches go to `outbox`.
    #[must_use]
    pub fn new(shape: Shape, outbox: mpsc::Sender<Shipment<Vec<Ticket>>>) -> Self {
        let pool = Pool::new(ROOM, UNUSED);
        Self {
            shape,
            tagged: true,
            builder: LogsBuilder::new(),
            pool,
            tickets: Vec::new(),
            source: None,
            observed: 0,
            plain: Common::default(),
            stdout: Common::default(),
            stderr: Common::default(),
            outbox,
            backlog: VecDeque::new(),
            busy: Instant::now(),
        }
    }

    fn begin(&mut self, source: &Source) {
        if self.source.is_none() {
            self.observed = now();
            self.builder = LogsBuilder::pooled(&self.pool);
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
                let builder = std::mem::take(&mut self.builder);
                self.backlog.push_back(Shipment {
                    logs: builder.finish(),
                    receipt: tickets,
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
        let mut body = match record.text {
            Some(text) => Body::Text(text),
            None => Body::Bytes(record.body),
        };
        if shape.trim_start {
            body = body.trim_start();
        }
        if shape.trim_end {
            body = body.trim_end();
        }
        if body.bytes().is_empty() && !shape.container {
            return;
        }
        if self.source != Some(source.id) {
            self.begin(source);
        }
        let shape = &self.shape;
        let common = match record.stream {
            None => &mut self.plain,
            Some(StdStream::Stdout) => &mut self.stdout,
            Some(StdStream::Stderr) => &mut self.stderr,
        };
        let tag = record.tag.filter(|_| self.tagged);
        let common = common.of(shape, source, record.stream, tag);
        let (time, observed) = (record.time.unwrap_or_default(), self.observed);
        if shape.raw_bytes || shape.offset || shape.number {
            self.builder.record(|out| {
                if time != 0 {
                    out.time(time);
                }
                out.observed_time(observed);
                if shape.raw_bytes {
                    out.body(&AnyValue::Bytes(body.bytes()));
                } else {
                    out.body_str(&body.text());
                }
                out.line_attributes(common);
                if shape.offset {
                    let offset = i64::try_from(record.offset).unwrap_or(i64::MAX);
                    out.attribute_int("log.file.record_offset", offset);
                }
                if shape.number {
                    let number = i64::try_from(record.number).unwrap_or(i64::MAX);
                    out.attribute_int("log.file.record_number", number);
                }
            });
        } else {
            self.builder.line(time, observed, &body.text(), common);
        }
    }

    fn chunk(&mut self, _: &Arc<Source>, ticket: Ticket) {
        self.tickets.push(ticket);
        if self.builder.len_bytes() >= FULL {
            self.ship();
        }
    }

    fn flush(&mut self) {
        if !self.tickets.is_empty() {
            self.busy = Instant::now();
        } else if self.pool.unused() > 0 && self.busy.elapsed() > QUIET {
            self.pool.trim();
        }
        self.ship();
    }
}

/// Nearly always of one byte, for which comparing is a call too many.
#[inline]
fn same_tag(known: &[u8], wanted: &[u8]) -> bool {
    match (known, wanted) {
        ([known], [wanted]) => known == wanted,
        _ => known == wanted,
    }
}

/// What a line says, and what is known of it.
#[derive(Clone, Copy)]
enum Body<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> Body<'a> {
    fn trim_start(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(text.trim_ascii_start()),
            Self::Bytes(bytes) => Self::Bytes(bytes.trim_ascii_start()),
        }
    }

    fn trim_end(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(text.trim_ascii_end()),
            Self::Bytes(bytes) => Self::Bytes(bytes.trim_ascii_end()),
        }
    }

    #[inline]
    fn bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    #[inline]
    fn text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Bytes(bytes) => text(bytes),
        }
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
