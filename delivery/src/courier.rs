//! Bringing one batch to the sink: encode once, try, wait, try again, split, isolate.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use corten_component::{Batch, BoxError, Closing, GrpcCode, Status, Tasks};
use corten_config::settings::Retry;
use corten_pdata::Data;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::dead_letters::DeadLetters;
use crate::metrics::Metrics;
use crate::part::{Failure, Part};
use crate::report::Reporter;
use crate::{Encoded, SendError, Sent, Sink};

/// Encoding batches larger than this leaves the runtime's worker, so that compressing one does not hold up
/// everything else.
const HEAVY: usize = 256 << 10;

/// How long data is worth trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It was answered early: up to `max_elapsed_time`.
    Limited,
    /// Its source waits and can send it again, or it lies on the disk.
    Endless,
}

/// Where data waits while the sink is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In the disk queue.
    OnDisk,
    /// In the memory queue.
    InMemory,
    /// There is no queue: the caller waits.
    BySource,
}

impl Kept {
    fn words(self) -> &'static str {
        match self {
            Self::OnDisk => "on the disk",
            Self::InMemory => "in memory",
            Self::BySource => "with its source",
        }
    }
}

/// Several parts that travel as one.
pub(crate) struct Group {
    /// All of one provenance, at least one.
    pub(crate) parts: Vec<Part>,
}

/// Delivers with one sink.
pub(crate) struct Courier<S> {
    pub(crate) sink: Arc<S>,
    pub(crate) retry: Retry,
    /// Of one attempt; `None`: no limit.
    pub(crate) timeout: Option<Duration>,
    pub(crate) tasks: Tasks,
    pub(crate) closing: Closing,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) reporter: Arc<Reporter>,
    /// Where what is refused for good is kept; between start and shutdown.
    pub(crate) dead_letters: Mutex<Option<Arc<DeadLetters>>>,
}

/// What is still to be done for a batch.
enum Work<R> {
    Encode(Data),
    Send(Encoded<R>),
}

/// The end of all attempts for one request.
enum Ended {
    Sent(Sent),
    TooLarge(Status, String),
    Permanent {
        status: Status,
        reason: &'static str,
        message: String,
        rejected: Option<usize>,
    },
    Retryable {
        status: Status,
        after: Option<Duration>,
        message: String,
    },
}

impl<S: Sink> Courier<S> {
    /// Delivers a group and settles its parts. `true` when the sink could be reached for everything.
    pub(crate) async fn deliver(&self, group: Group, kept: Kept) -> bool {
        let mut parts = group.parts.into_iter();
        let Some(first) = parts.next() else {
            return true;
        };
        let patience = if first.batch.replayable || first.is_on_disk() {
            Patience::Endless
        } else {
            Patience::Limited
        };
        // The parts keep their data until it is known how they end.
        let batch = first.batch.clone();
        if parts.len() == 0 {
            let failures = self.transmit(batch.clone(), patience, kept).await;
            self.keep_dead_letters(&batch, &failures, kept).await;
            let reached = !failures.iter().any(|failure| failure.retryable);
            first.settle(failures);
            return reached;
        }
        let parts: Vec<Part> = std::iter::once(first).chain(parts).collect();
        let mut data = Data::empty(batch.signal());
        for part in &parts {
            if data.append(part.batch.data.clone()).is_err() {
                tracing::error!("parts of different signals were grouped: this is a bug in Corten");
            }
        }
        let failures = self.transmit(batch.with_data(data), patience, kept).await;
        self.keep_dead_letters(&batch, &failures, kept).await;
        let reached = !failures.iter().any(|failure| failure.retryable);
        settle_each(parts, failures);
        reached
    }

    /// Keeps what was refused for good before its record leaves the queue.
    async fn keep_dead_letters(&self, batch: &Batch, failures: &[Failure], kept: Kept) {
        if failures.iter().all(|failure| failure.retryable) || kept != Kept::OnDisk {
            return;
        }
        let Some(letters) = self.dead_letters.lock().clone() else {
            return;
        };
        for failure in failures.iter().filter(|failure| !failure.retryable) {
            let letters = Arc::clone(&letters);
            let batch = batch.with_data(failure.data.clone());
            let (reason, message) = (failure.reason, Arc::clone(&failure.message));
            let kept = tokio::task::spawn_blocking(move || letters.keep(&batch, reason, &message));
            if let Err(error) = kept.await {
                tracing::error!(%error, "a dead letter was not written");
            }
        }
    }

    /// Sends a batch; returns what of it was not delivered. What was refused for good has been counted.
    pub(crate) async fn transmit(
        &self,
        batch: Batch,
        patience: Patience,
        kept: Kept,
    ) -> Vec<Failure> {
        let started = Instant::now();
        let signal = batch.signal();
        let mut failures = Vec::new();
        let mut work = VecDeque::from([Work::Encode(batch.data.clone())]);
        while let Some(next) = work.pop_front() {
            let encoded = match next {
                Work::Encode(data) => {
                    match self.encode(batch.with_data(data.clone())).await {
                        Ok(requests) => {
                            for request in requests.into_iter().rev() {
                                work.push_front(Work::Send(request));
                            }
                        }
                        Err(_) if data.segments().len() > 1 => isolate(&data, &mut work),
                        Err(error) => {
                            let message = error.to_string();
                            failures.push(self.reject(
                                data,
                                Status::INVALID_ARGUMENT,
                                "not_encodable",
                                &message,
                            ));
                        }
                    }
                    continue;
                }
                Work::Send(encoded) => encoded,
            };
            match self.attempts(&encoded, patience, started, kept).await {
                Ended::Sent(sent) => {
                    let mut rejected = 0;
                    for part in &sent.rejected {
                        let items = part.items.min(encoded.items - rejected);
                        if items > 0 {
                            rejected += items;
                            self.count_rejected(signal, items, part.reason, &part.message);
                        }
                    }
                    self.metrics.sent(signal, encoded.items - rejected);
                    self.reporter.delivered(&self.sink.address(), encoded.items);
                }
                Ended::TooLarge(status, message) => match halves(&encoded.data) {
                    Some((first, second)) => {
                        work.push_front(Work::Encode(second));
                        work.push_front(Work::Encode(first));
                    }
                    None => {
                        failures.push(self.reject(encoded.data, status, "too_large", &message));
                    }
                },
                Ended::Permanent {
                    reason,
                    message,
                    rejected: Some(rejected),
                    ..
                } => {
                    // The sink kept the others.
                    let rejected = rejected.min(encoded.items);
                    self.count_rejected(signal, rejected, reason, &message);
                    self.metrics.sent(signal, encoded.items - rejected);
                    self.reporter.delivered(&self.sink.address(), encoded.items);
                }
                Ended::Permanent {
                    status,
                    reason,
                    message,
                    rejected: None,
                } => {
                    if encoded.data.segments().len() > 1 && !is_about_sender(status) {
                        isolate(&encoded.data, &mut work);
                    } else {
                        self.reporter
                            .refused_for_good(&self.sink.address(), &message);
                        failures.push(self.reject(encoded.data, status, reason, &message));
                    }
                }
                Ended::Retryable {
                    status,
                    after,
                    message,
                } => failures.push(Failure {
                    retryable: true,
                    status,
                    reason: "retryable",
                    after,
                    message: message.into(),
                    data: encoded.data,
                }),
            }
        }
        failures
    }

    async fn encode(&self, batch: Batch) -> Result<Vec<Encoded<S::Request>>, BoxError> {
        if batch.bytes_len() < HEAVY || !self.sink.compresses() {
            return self.sink.encode(&batch);
        }
        // A core compresses one batch after the other; each that is begun takes megabytes.
        static ENCODERS: LazyLock<Semaphore> = LazyLock::new(|| {
            Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get))
        });
        let _turn = ENCODERS.acquire().await?;
        let sink = Arc::clone(&self.sink);
        match tokio::task::spawn_blocking(move || sink.encode(&batch)).await {
            Ok(result) => result,
            Err(error) => Err(format!("encoding ended early: {error}").into()),
        }
    }

    fn reject(&self, data: Data, status: Status, reason: &'static str, message: &str) -> Failure {
        self.count_rejected(data.signal(), data.items(), reason, message);
        Failure {
            retryable: false,
            status,
            reason,
            after: None,
            message: message.into(),
            data,
        }
    }

    fn count_rejected(
        &self,
        signal: corten_pdata::Signal,
        items: usize,
        reason: &'static str,
        message: &str,
    ) {
        self.metrics.rejected(signal, items, reason);
        self.reporter
            .rejected(&self.sink.address(), signal, items, reason, message);
    }

    /// Tries until it is delivered, refused for good, given up, or time to stop.
    async fn attempts(
        &self,
        encoded: &Encoded<S::Request>,
        patience: Patience,
        started: Instant,
        kept: Kept,
    ) -> Ended {
        let mut backoff = Backoff::new(&self.retry);
        loop {
            let (status, after, message) = match self.attempt(&encoded.request).await {
                Ok(sent) => return Ended::Sent(sent),
                Err(SendError::TooLarge { status, message }) => {
                    return Ended::TooLarge(status, message);
                }
                Err(SendError::Permanent {
                    status,
                    reason,
                    message,
                    rejected,
                }) => {
                    return Ended::Permanent {
                        status,
                        reason,
                        message,
                        rejected,
                    };
                }
                Err(SendError::Retryable {
                    status,
                    after,
                    message,
                }) => (status, after, message),
            };
            let pause = backoff.next().max(after.unwrap_or_default());
            let limit = self.retry.max_elapsed_time;
            let over = patience == Patience::Limited
                && !limit.is_zero()
                && started.elapsed() + pause > limit.get();
            // Without retries the source of replayable data decides; what the disk keeps is always tried
            // again, since its source has been told that it is safe.
            let never = !self.retry.enabled && kept != Kept::OnDisk;
            let address = self.sink.address();
            self.reporter
                .attempt_failed(&address, &message, kept.words(), pause);
            // When a shutdown begins, sources that can replay hear at once that they will have to.
            let closing = patience == Patience::Endless && self.closing.has_begun();
            let stopping = self.tasks.is_stopping() || closing;
            if stopping || never || over {
                if over && !stopping {
                    let signal = encoded.data.signal();
                    self.reporter.gave_up(signal, encoded.items, &message);
                }
                return Ended::Retryable {
                    status,
                    after,
                    message,
                };
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // One last attempt.
                () = self.tasks.stopping() => {}
                () = self.closing.begun(), if patience == Patience::Endless => {}
            }
        }
    }

    async fn attempt(&self, request: &S::Request) -> Result<Sent, SendError> {
        let _in_flight = self.metrics.in_flight();
        let Some(timeout) = self.timeout else {
            return self.sink.send(request).await;
        };
        match tokio::time::timeout(timeout, self.sink.send(request)).await {
            Ok(result) => result,
            Err(_) => Err(SendError::retryable(
                Status::Grpc(GrpcCode::DeadlineExceeded),
                format!("no answer within {timeout:?}"),
            )),
        }
    }
}

/// Whether the refusal is about who sends, not what: sending the pieces alone would change nothing.
fn is_about_sender(status: Status) -> bool {
    matches!(
        status,
        Status::Grpc(
            GrpcCode::Unauthenticated | GrpcCode::PermissionDenied | GrpcCode::Unimplemented
        ) | Status::Http(401 | 403 | 404 | 405)
    )
}

/// Every segment alone.
fn isolate<R>(data: &Data, work: &mut VecDeque<Work<R>>) {
    let signal = data.signal();
    for segment in data.segments().iter().rev() {
        let alone = Data::from_segments(signal, [segment.clone()]);
        work.push_front(Work::Encode(alone));
    }
}

fn halves(data: &Data) -> Option<(Data, Data)> {
    let items = data.items();
    if items < 2 {
        return None;
    }
    let mut second = data.clone();
    let first = second.take_items(items / 2);
    Some((first, second))
}

/// Tells every part which of the failures are its own.
///
/// A failure's segments share memory with the part that they were cut from. Where a sink copied them, a refusal for
/// good has been counted and is nobody's in particular; data that should be tried again goes back whole to
/// everybody, since twice is better than never.
fn settle_each(parts: Vec<Part>, failures: Vec<Failure>) {
    let mut own: Vec<Vec<Failure>> = parts.iter().map(|_| Vec::new()).collect();
    for failure in failures {
        let signal = failure.data.signal();
        for segment in failure.data.segments() {
            let owner = parts
                .iter()
                .zip(&mut own)
                .find(|(part, _)| shares_memory(&part.batch.data, segment.bytes()));
            let one = |data| Failure {
                data,
                ..failure.clone()
            };
            match owner {
                Some((_, failures)) => {
                    failures.push(one(Data::from_segments(signal, [segment.clone()])));
                }
                None if failure.retryable => {
                    for (part, failures) in parts.iter().zip(&mut own) {
                        failures.clear();
                        failures.push(one(part.batch.data.clone()));
                    }
                }
                None => {}
            }
        }
    }
    for (part, failures) in parts.into_iter().zip(own) {
        part.settle(failures);
    }
}

fn shares_memory(data: &Data, bytes: &[u8]) -> bool {
    let at = bytes.as_ptr();
    data.segments()
        .iter()
        .any(|segment| segment.bytes().as_ptr_range().contains(&at))
}
