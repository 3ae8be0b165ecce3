//! Taking batches in, and the workers that push them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use corten_component::{BoxError, HealthHandle};
use corten_config::settings::Retry;
use corten_pdata::logs::{LogRecord, ResourceLogs, ScopeLogs};
use corten_pdata::wire::{Fields, Value};
use corten_pdata::{Cursor, Segment};
use opentelemetry::metrics::Counter;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::pause;
use crate::job::{GaveUp, Job};
use crate::labels::{LabelSet, truncated};
use crate::mapping::{Common, Mapping};
use crate::report::Reporter;
use crate::request::{Request, Workshop};
use crate::response::{self, Verdict};
use crate::streams::{Due, Key, Outcome, Run, Streams, Taken};
use crate::transport::{Answer, Transport};

/// A learned limit never falls below this.
const SMALLEST_LIMIT: usize = 16 << 10;

/// Labels of a record that has none: Loki takes no stream without.
const NO_LABELS: (&str, &str) = ("service_name", "unknown_service");

/// What the sender needs to know.
pub(crate) struct Settings {
    pub(crate) mapping: Mapping,
    pub(crate) batchwait: Duration,
    pub(crate) batchsize: usize,
    pub(crate) timeout: Duration,
    pub(crate) retry: Retry,
}

/// Counters of what only this exporter does.
pub(crate) struct Counters {
    /// Label values that were cut to Loki's limit.
    pub(crate) labels_cut: Counter<u64>,
    /// Structured metadata that went beyond Loki's limits.
    pub(crate) metadata_trimmed: Counter<u64>,
    pub(crate) attributes: [opentelemetry::KeyValue; 1],
}

/// Pushes what it is given, in order per stream.
pub(crate) struct Sender<T> {
    settings: Settings,
    transport: T,
    health: HealthHandle,
    reporter: Reporter,
    counters: Counters,
    streams: Mutex<Streams>,
    /// Buffers to make requests in, as many as requests were ever made at the same moment: one per thread.
    workshops: Mutex<Vec<Workshop>>,
    /// Something came in, a request ended, or the sender is to stop.
    changed: Notify,
    /// The most bytes of a request; shrinks when Loki says that one was too large.
    limit: AtomicUsize,
    /// No more waiting: everything gets one attempt.
    hurry: CancellationToken,
    /// Nothing more comes in.
    closed: AtomicBool,
}

impl<T: Transport> Sender<T> {
    pub(crate) fn new(
        settings: Settings,
        transport: T,
        health: HealthHandle,
        reporter: Reporter,
        counters: Counters,
    ) -> Self {
        Self {
            limit: AtomicUsize::new(settings.batchsize),
            settings,
            transport,
            health,
            reporter,
            counters,
            streams: Mutex::default(),
            workshops: Mutex::default(),
            changed: Notify::new(),
            hurry: CancellationToken::new(),
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn transport(&self) -> &T {
        &self.transport
    }

    /// Puts the records of a batch to the ends of their streams, all at once, so that batches stay in the order in
    /// which they were given.
    pub(crate) fn accept(&self, segments: &[Segment], job: &Arc<Job>) {
        let Sorter {
            runs, cut, trimmed, ..
        } = sort(segments, &self.settings.mapping, job);
        self.counters.labels_cut.add(cut, &self.counters.attributes);
        self.counters
            .metadata_trimmed
            .add(trimmed, &self.counters.attributes);
        let now = Instant::now();
        let mut streams = self.streams.lock();
        for (key, labels, run) in runs {
            streams.push(&key, &labels, run, now);
        }
        drop(streams);
        self.changed.notify_one();
    }

    /// From now on nothing waits: what is here gets one attempt, and what Loki does not take then is given up.
    pub(crate) fn hurry(&self) {
        self.hurry.cancel();
        self.streams.lock().release(Instant::now());
        self.changed.notify_waiters();
    }

    /// Nothing more will be accepted: workers end when nothing is left.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    fn is_hurried(&self) -> bool {
        self.hurry.is_cancelled()
    }

    /// Pushes until the sender is closed and nothing is left.
    pub(crate) async fn work(self: Arc<Self>) {
        while let Some(taken) = self.next().await {
            // Whether there is enough for another request is for another worker to see.
            self.changed.notify_one();
            self.push(taken).await;
            if self.is_hurried() {
                self.changed.notify_waiters();
            }
        }
    }

    async fn next(&self) -> Option<Taken> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            let patience = if self.is_hurried() {
                Duration::ZERO
            } else {
                self.settings.batchwait
            };
            let due = {
                let mut streams = self.streams.lock();
                let limit = self.limit.load(Ordering::Relaxed);
                match streams.due(limit, patience, Instant::now()) {
                    Due::Now => match streams.take(limit) {
                        Some(taken) => return Some(taken),
                        None => Due::Idle,
                    },
                    Due::Idle if self.closed.load(Ordering::SeqCst) && streams.is_empty() => {
                        return None;
                    }
                    due => due,
                }
            };
            match due {
                Due::At(at) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                Due::Now | Due::Idle => changed.await,
            }
        }
    }

    async fn push(&self, taken: Taken) {
        let limit = self.limit.load(Ordering::Relaxed);
        let workshop = self.workshops.lock().pop();
        let mut workshop = workshop.unwrap_or_default();
        let made = workshop.make(taken, &self.settings.mapping, limit);
        let trimmed = std::mem::take(&mut workshop.encoder.trimmed);
        self.workshops.lock().push(workshop);
        self.counters
            .metadata_trimmed
            .add(trimmed, &self.counters.attributes);
        let (request, left_out) = match made {
            Ok(made) => made,
            Err((error, request)) => {
                // More than 4 GB in one line.
                request.settle(
                    &[(response::Reason::TOO_LARGE, request.lines)],
                    &Arc::from(error.to_string()),
                );
                return self.settle(request, |_| Outcome::Done);
            }
        };
        if !left_out.is_empty() {
            let mut streams = self.streams.lock();
            for stream in left_out {
                streams.give_back(stream.key, stream.runs, Outcome::Back, Instant::now());
            }
        }
        if request.lines == 0 {
            // Nobody waits for it any more.
            return self.settle(request, |_| Outcome::Done);
        }
        self.attempts(request).await;
    }

    /// Sends the same bytes until the request has ended.
    async fn attempts(&self, request: Request) {
        let started = Instant::now();
        let mut failed: u32 = 0;
        loop {
            let answer = self.attempt(&request).await;
            let (status, verdict, why) = match &answer {
                Ok(answer) => {
                    let verdict = response::read(answer.status, &answer.body, &request.sent());
                    (
                        Some(answer.status),
                        verdict,
                        explain(answer, &self.transport.address()),
                    )
                }
                Err(error) => (
                    None,
                    Verdict::Again,
                    format!("{}: {error}", self.transport.address()),
                ),
            };
            match verdict {
                Verdict::Stored => {
                    self.reached(request.lines);
                    request.settle(&[], &Arc::from(""));
                    return self.settle(request, |_| Outcome::Done);
                }
                Verdict::Partly(dropped) => {
                    self.reached(request.lines);
                    request.settle(&dropped, &Arc::from(why));
                    return self.settle(request, |_| Outcome::Done);
                }
                Verdict::Split(reason) if request.lines == 1 => {
                    request.settle(&[(reason, 1)], &Arc::from(why));
                    return self.settle(request, |_| Outcome::Done);
                }
                Verdict::Split(_) => {
                    let smaller =
                        (request.size / 2).max(SMALLEST_LIMIT.min(request.size.saturating_sub(1)));
                    self.limit.fetch_min(smaller, Ordering::Relaxed);
                    self.reporter.too_large(request.size, smaller, &why);
                    return self.undo(request, |_, _| Outcome::Back);
                }
                Verdict::AgainBecauseOf(to_blame)
                    if !self.is_hurried() && self.settings.retry.enabled =>
                {
                    // Loki works; it is these streams that are over their limit.
                    self.reached(0);
                    self.reporter.streams_refused(to_blame.len(), &why);
                    let asked = answer.ok().and_then(|answer| answer.retry_after);
                    return self.undo(request, |at, refused| match to_blame.contains(&at) {
                        true => Outcome::Wait(pause(
                            &self.settings.retry,
                            refused.saturating_add(1),
                            asked,
                        )),
                        false => Outcome::Back,
                    });
                }
                Verdict::Again | Verdict::AgainBecauseOf(_) => {
                    failed = failed.saturating_add(1);
                    self.health.failing(why.clone());
                    let asked = answer.ok().and_then(|answer| answer.retry_after);
                    let pause = pause(&self.settings.retry, failed, asked);
                    let gave_up = GaveUp {
                        status,
                        why: Arc::from(why.as_str()),
                    };
                    if self.is_hurried() || !self.settings.retry.enabled {
                        self.reporter.attempt_failed(request.lines, None, &why);
                        request.give_up(&gave_up, |_| true);
                        return self.settle(request, |_| Outcome::Done);
                    }
                    self.reporter
                        .attempt_failed(request.lines, Some(pause), &why);
                    let longest = self.settings.retry.max_elapsed_time.non_zero();
                    if longest.is_some_and(|longest| started.elapsed() + pause > longest) {
                        // What its source still has goes on with the next request.
                        request.give_up(&gave_up, |job| !job.replayable);
                        return self.undo(request, |_, _| Outcome::Back);
                    }
                    self.wait(pause).await;
                }
            }
        }
    }

    async fn attempt(&self, request: &Request) -> Result<Answer, BoxError> {
        let post = self
            .transport
            .post(request.tenant.as_deref(), request.body.clone());
        match tokio::time::timeout(self.settings.timeout, post).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {:?}", self.settings.timeout).into()),
        }
    }

    /// Waits, unless it is time to stop.
    async fn wait(&self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.hurry.cancelled() => {}
        }
    }

    fn reached(&self, lines: usize) {
        self.health.ok();
        self.reporter.delivered(lines);
    }

    /// The request has ended; what did not fit goes next.
    fn settle(&self, request: Request, outcome: impl Fn(usize) -> Outcome) {
        let ended = request.streams.into_iter().enumerate().map(|(at, part)| {
            let (key, runs) = part.rest();
            (key, runs, outcome(at))
        });
        let ended: Vec<_> = ended.collect();
        self.streams.lock().settle(ended, Instant::now());
    }

    /// The request has ended without effect; everything in it goes back.
    fn undo(&self, request: Request, outcome: impl Fn(usize, u32) -> Outcome) {
        let mut streams = self.streams.lock();
        let ended = request.streams.into_iter().enumerate().map(|(at, part)| {
            let (key, runs) = part.undo();
            let outcome = outcome(at, streams.refused(&key));
            (key, runs, outcome)
        });
        let ended: Vec<_> = ended.collect();
        streams.settle(ended, Instant::now());
    }
}

/// Sorts a batch's records into runs of one stream.
pub(crate) fn sort<'a>(
    segments: &[Segment],
    mapping: &'a Mapping,
    job: &'a Arc<Job>,
) -> Sorter<'a> {
    let mut sorter = Sorter {
        mapping,
        job,
        runs: Vec::new(),
        cut: 0,
        trimmed: 0,
    };
    for segment in segments {
        sorter.segment(segment.bytes());
    }
    sorter
}

/// A batch's records, sorted.
pub(crate) struct Sorter<'a> {
    mapping: &'a Mapping,
    job: &'a Arc<Job>,
    pub(crate) runs: Vec<(Key, LabelSet, Run)>,
    cut: u64,
    trimmed: u64,
}

impl Sorter<'_> {
    fn segment(&mut self, segment: &Bytes) {
        for resource in messages(segment, 1) {
            let resource = ResourceLogs::new(resource);
            let (mut labels, tenant) = self.mapping.resource(resource.resource(), &mut self.cut);
            let by_record = self.mapping.looks_at_records();
            let mut key = None;
            for scope in resource.scopes() {
                let common = self.mapping.common_metadata(
                    resource.resource(),
                    scope.scope(),
                    &mut self.trimmed,
                );
                let common = Arc::new(Common::from(common));
                if by_record {
                    self.by_record(segment, scope, &labels, tenant.as_ref(), &common);
                    continue;
                }
                // The same for all scopes of the resource.
                let key = key.get_or_insert_with(|| key_of(&mut labels, tenant.clone()));
                let run = Run {
                    records: segment.slice_ref(scope.raw()),
                    common,
                    job: Arc::clone(self.job),
                };
                self.runs.push((key.clone(), labels.clone(), run));
            }
        }
    }

    /// Labels may differ from record to record; neighbours with the same ones make one run.
    fn by_record(
        &mut self,
        segment: &Bytes,
        scope: ScopeLogs<'_>,
        base: &LabelSet,
        tenant: Option<&Arc<str>>,
        common: &Arc<Common>,
    ) {
        let mut current: Option<(LabelSet, Key, std::ops::Range<usize>)> = None;
        let raw = scope.raw();
        let mut labels = LabelSet::default();
        let finish =
            |runs: &mut Vec<(Key, LabelSet, Run)>,
             (labels, key, range): (LabelSet, Key, std::ops::Range<usize>)| {
                let records = segment.slice_ref(raw.get(range).unwrap_or_default());
                runs.push((
                    key,
                    labels,
                    Run {
                        records,
                        common: Arc::clone(common),
                        job: Arc::clone(self.job),
                    },
                ));
            };
        let mut fields = Fields::new(raw);
        while let Some(field) = fields.next() {
            let (2, Value::Bytes(record)) = (field.number, field.value) else {
                continue;
            };
            let end = raw.len() - fields.rest().len();
            labels.clone_from(base);
            self.mapping
                .record(&LogRecord::new(record), &mut labels, &mut self.cut);
            let mut known = labels.clone();
            if known.is_empty() {
                known.set(NO_LABELS.0, NO_LABELS.1);
            }
            match &mut current {
                Some((labels, _, range)) if *labels == known => range.end = end,
                _ => {
                    if let Some(done) = current.take() {
                        finish(&mut self.runs, done);
                    }
                    let key = key_of(&mut known, tenant.cloned());
                    current = Some((known, key, end - field.raw.len()..end));
                }
            }
        }
        if let Some(done) = current {
            finish(&mut self.runs, done);
        }
    }
}

/// The messages in field `number`.
fn messages(bytes: &Bytes, number: u32) -> impl Iterator<Item = &[u8]> {
    Fields::new(bytes).filter_map(move |field| match field.value {
        Value::Bytes(message) if field.number == number => Some(message),
        _ => None,
    })
}

fn key_of(labels: &mut LabelSet, tenant: Option<Arc<str>>) -> Key {
    if labels.is_empty() {
        labels.set(NO_LABELS.0, NO_LABELS.1);
    }
    let mut text = String::new();
    labels.write(&mut text);
    Key {
        tenant,
        labels: text.into(),
    }
}

/// What an answer that is no success says, and what to do about it where that is known.
fn explain(answer: &Answer, address: &str) -> String {
    let words = truncated(answer.body.trim(), 300);
    let words = if words.is_empty() { "no text" } else { words };
    let remedy = match answer.status {
        401 => "; Loki wants to know who sends: set tenant_id, or credentials with auth",
        403 => "; the credentials are not allowed to push: see auth and tenant_id",
        404 | 405 => "; nothing takes pushes there: Loki's path is /loki/api/v1/push",
        _ => "",
    };
    format!("{address}: {} {words}{remedy}", answer.status)
}
