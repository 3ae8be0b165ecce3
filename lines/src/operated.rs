//! Lines become entries, pass operators, and become OTLP bytes: the slow path, for receivers whose users ask for it.
//!
//! **What is acknowledged when.** A chunk of a file is one origin of all entries that its lines became. It is delivered when the last of
//! them is done with: its batch was kept, or an operator dropped it on purpose. An entry that `recombine` holds is not done with, nor is one whose
//! batch is still under way, so the position of the file stays before the chunk of the oldest of them, however many later chunks
//! are acknowledged. A crash then, or a shutdown, costs duplicates and no line: the chunk is read again.
//!
//! A held entry keeps its chunk's place, not its weight: the bytes in flight, at whose limit reading stops, are given back
//! with the batch that has the chunk's other records. Otherwise a few dozen logs with a stack trace each that waits for its end would stop reading.
//! What operators hold has limits of its own.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use corten_component::Context;
use corten_operators::{
    Chain, Entry, EntryWriter, Key, Map, OperatorStats, Origin, Origins, Reason, Template, Value,
};
use corten_tail::{Record, Sink, Source, Ticket, Weight};
use opentelemetry::KeyValue;
use tokio::sync::mpsc;

use crate::encoder::Shape;
use crate::header::Header;
use crate::shipper::{Receipt, Shipment};

/// A batch goes out when it has this many bytes.
const FULL: usize = 256 << 10;

/// What a batch of entries answers for.
#[derive(Debug, Default)]
pub struct Claims {
    origins: Origins,
    /// Counted as in flight as long as the batch is.
    weights: Vec<Weight>,
}

impl Receipt for Claims {
    fn kept(self) {
        let Self { origins, weights } = self;
        origins.settle();
        drop(weights);
    }
}

/// A chunk of a file, shared by the entries that its lines became.
#[derive(Debug, Default)]
struct Chunk {
    ticket: OnceLock<Ticket>,
    lost: AtomicBool,
}

impl Origin for Chunk {
    fn lost(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // A ticket that is dropped otherwise has its lines read again.
        if let Some(ticket) = self.ticket.take()
            && !self.lost.load(Ordering::Relaxed)
        {
            ticket.delivered();
        }
    }
}

/// Attributes that every entry gets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Marks {
    /// Of the record.
    pub attributes: Vec<(Key, Template)>,
    /// Of the resource.
    pub resource: Vec<(Key, Template)>,
}

impl Marks {
    /// Whether all values are the same for all entries.
    #[must_use]
    pub fn are_constant(&self) -> bool {
        self.attributes
            .iter()
            .chain(&self.resource)
            .all(|(_, value)| value.is_constant())
    }
}

/// Takes lines from the engine, on its thread, and sends them through operators.
#[derive(Debug)]
pub struct Operated {
    shape: Shape,
    marks: Marks,
    chain: Chain,
    header: Option<Header>,
    writer: EntryWriter,
    weights: Vec<Weight>,
    /// Of nothing: what more of the same engine is weighed with.
    scale: Option<Weight>,
    /// The open chunk.
    chunk: Option<Arc<Chunk>>,
    source: Option<u64>,
    /// What all entries of the source have.
    attributes: Map,
    resource: Arc<Map>,
    observed: u64,
    now: Instant,
    outbox: mpsc::Sender<Shipment<Claims>>,
    /// What the outbox had no room for. Bounded by what the engine lets be in flight.
    backlog: VecDeque<Shipment<Claims>>,
}

impl Operated {
    /// Entries of this shape, with these marks, pass `chain`; batches go to `outbox`. The attributes of the shape itself are left out: they
    /// are among the marks.
    #[must_use]
    pub fn new(
        shape: Shape,
        marks: Marks,
        chain: Chain,
        outbox: mpsc::Sender<Shipment<Claims>>,
    ) -> Self {
        Self {
            shape,
            marks,
            chain,
            header: None,
            writer: EntryWriter::with_capacity(0),
            weights: Vec::new(),
            scale: None,
            chunk: None,
            source: None,
            attributes: Map::new(),
            resource: Arc::default(),
            observed: 0,
            now: Instant::now(),
            outbox,
            backlog: VecDeque::new(),
        }
    }

    /// The first lines of files are a header.
    #[must_use]
    pub fn with_header(mut self, header: Option<Header>) -> Self {
        self.header = header;
        self
    }

    fn begin(&mut self, source: &Source) {
        self.source = Some(source.id);
        let shape = &self.shape;
        let mut attributes = Map::new();
        if shape.name {
            attributes.insert("log.file.name", source.name.as_str());
        }
        if shape.path {
            attributes.insert("log.file.path", source.path.as_str());
        }
        shape.facts.of(Path::new(&source.path), |key, value| {
            attributes.insert(key, value);
        });
        let mut resource = Map::new();
        if let Some(at) = source.container.as_ref().filter(|_| shape.metadata) {
            resource.insert("k8s.namespace.name", at.namespace.as_str());
            resource.insert("k8s.pod.name", at.pod.as_str());
            resource.insert("k8s.pod.uid", at.uid.as_str());
            resource.insert("k8s.container.name", at.container.as_str());
            resource.insert("k8s.container.restart_count", at.restart.to_string());
        }
        for (marks, map) in [
            (&self.marks.attributes, &mut attributes),
            (&self.marks.resource, &mut resource),
        ] {
            for (key, value) in marks {
                if let Template::Value(value) = value {
                    map.insert(key.clone(), value.clone());
                }
            }
        }
        self.attributes = attributes;
        self.resource = Arc::new(resource);
    }

    /// The chunk that records belong to now.
    fn origin(&mut self) -> Arc<dyn Origin> {
        if self.chunk.is_none() {
            self.observed = now();
            self.now = Instant::now();
        }
        Arc::<Chunk>::clone(self.chunk.get_or_insert_default())
    }

    /// Values that differ from entry to entry.
    fn mark(&self, entry: &mut Entry) {
        let mut values = Vec::new();
        for (marks, of_resource) in [
            (&self.marks.attributes, false),
            (&self.marks.resource, true),
        ] {
            for (key, template) in marks {
                // What can't be evaluated is left out.
                if !template.is_constant()
                    && let Ok(value) = template.text(entry)
                {
                    values.push((of_resource, key.clone(), value));
                }
            }
        }
        for (of_resource, key, value) in values {
            if of_resource {
                Arc::make_mut(&mut entry.resource).insert(key, value);
            } else {
                entry.attributes.insert(key, value);
            }
        }
    }

    fn ship(&mut self) {
        if !self.writer.is_empty() {
            let writer = std::mem::take(&mut self.writer);
            let (logs, origins) = writer.finish();
            let mut weights = std::mem::take(&mut self.weights);
            if weights.is_empty()
                && let Some(scale) = &self.scale
            {
                // What was held goes out later than its chunk: the engine has to look for its answer nevertheless.
                weights.push(scale.another(1));
            }
            self.backlog.push_back(Shipment {
                logs,
                receipt: Claims { origins, weights },
            });
        }
        // What is left of chunks without a record in a batch is held or done with.
        self.weights.clear();
        while let Some(shipment) = self.backlog.pop_front() {
            match self.outbox.try_send(shipment) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(shipment)) => {
                    self.backlog.push_front(shipment);
                    return;
                }
                // The receiver is gone: the claims go with it, and the lines are read again one day.
                Err(mpsc::error::TrySendError::Closed(_)) => {}
            }
        }
    }
}

impl Sink for Operated {
    fn record(&mut self, source: &Source, record: &Record<'_>) {
        if self.shape.drop_unparsed && record.stream.is_none() {
            return;
        }
        let mut body = record.body;
        if self.shape.trim_start {
            body = body.trim_ascii_start();
        }
        if self.shape.trim_end {
            body = body.trim_ascii_end();
        }
        if body.is_empty() && !self.shape.container {
            return;
        }
        if self.source != Some(source.id) {
            self.begin(source);
        }
        let of_header = match &mut self.header {
            None => None,
            Some(header) => {
                let text = String::from_utf8_lossy(body);
                match header.attributes(source, record.offset, &text) {
                    Some(attributes) => Some(attributes.clone()),
                    None => return,
                }
            }
        };
        let origins = Origins::of(self.origin());
        let mut entry = Entry {
            time: record.time,
            observed: self.observed,
            body: if self.shape.raw_bytes {
                Value::Bytes(body.to_vec())
            } else {
                Value::Str(String::from_utf8_lossy(body).into_owned())
            },
            attributes: self.attributes.clone(),
            resource: Arc::clone(&self.resource),
            log: source.id,
            origins,
            ..Entry::default()
        };
        if let Some(attributes) = of_header {
            entry.attributes.merge(attributes);
        }
        if let Some(stream) = record.stream {
            entry.attributes.insert("log.iostream", stream.as_str());
        }
        if let Some(tag) = record.tag {
            entry
                .attributes
                .insert("logtag", String::from_utf8_lossy(tag).into_owned());
        }
        if self.shape.offset {
            let offset = i64::try_from(record.offset).unwrap_or(i64::MAX);
            entry.attributes.insert("log.file.record_offset", offset);
        }
        if self.shape.number {
            let number = i64::try_from(record.number).unwrap_or(i64::MAX);
            entry.attributes.insert("log.file.record_number", number);
        }
        self.mark(&mut entry);
        let Self {
            chain, writer, now, ..
        } = self;
        chain.process(entry, *now, &mut |entry| writer.write(entry));
    }

    fn chunk(&mut self, _: &Arc<Source>, mut ticket: Ticket) {
        let weight = ticket.take_weight();
        self.scale.get_or_insert_with(|| weight.another(0));
        self.weights.push(weight);
        let chunk = self.chunk.take().unwrap_or_default();
        // A chunk is closed once.
        let _set = chunk.ticket.set(ticket);
        drop(chunk);
        if self.writer.len_bytes() >= FULL {
            self.ship();
        }
    }

    fn flush(&mut self) {
        let Self { chain, writer, .. } = self;
        chain.flush(Instant::now(), &mut |entry| writer.write(entry));
        self.ship();
    }

    fn due(&self) -> Option<Instant> {
        self.chain.due()
    }
}

/// Registers the instruments of a receiver's operators.
pub fn observe_operators(cx: &Context, stats: Vec<Arc<OperatorStats>>) {
    let meter = cx.meter();
    let receiver = KeyValue::new("receiver", cx.id().to_string());
    let labels = |stats: &OperatorStats| {
        [
            receiver.clone(),
            KeyValue::new("operator", stats.id().to_owned()),
        ]
    };
    let labelled: Vec<_> = stats
        .into_iter()
        .map(|stats| (labels(&stats), stats))
        .collect();
    let failing = labelled.clone();
    meter
        .u64_observable_counter("corten_operator_failures")
        .with_description("Log records that an operator could not work on, by reason")
        .with_callback(move |counter| {
            for ([receiver, operator], stats) in &failing {
                for reason in Reason::ALL {
                    let count = stats.failures(reason);
                    if count > 0 {
                        let reason = KeyValue::new("reason", reason.name());
                        counter.observe(count, &[receiver.clone(), operator.clone(), reason]);
                    }
                }
            }
        })
        .build();
    meter
        .u64_observable_counter("corten_operator_dropped_records")
        .with_description("Log records that an operator took out, as its settings say")
        .with_callback(move |counter| {
            for (labels, stats) in &labelled {
                if stats.dropped() > 0 {
                    counter.observe(stats.dropped(), labels);
                }
            }
        })
        .build();
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}
