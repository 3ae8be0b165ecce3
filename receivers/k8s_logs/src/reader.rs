//! One container's log, from its first line to its end.

use std::hash::{BuildHasher as _, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use corten_kubernetes::{ApiClient, ApiError, LogQuery, LogStream, is_idle};
use corten_lines::{Delivery, Progress, Shipment};
use corten_pdata::build::{LineAttributes, LogsBuilder};
use corten_tail::container::Timestamps;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::metadata::Metrics;
use crate::positions::{Advance, Positions};
use crate::targets::{Life, Target};
use crate::window::{Mark, Replay, Window, hash};

/// A batch goes out when it has this many bytes.
const FULL: usize = 256 << 10;
/// How long a line waits for others.
const LINGER: Duration = Duration::from_millis(100);
/// A log that ended while its container runs, as far as is known, is opened again after this long, or when more is known.
const ENDED: Duration = Duration::from_secs(1);
/// Pauses after failures, doubled from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A pod that is refused is asked for again after this long: the rule may have been added.
const REFUSED: Duration = Duration::from_secs(120);
/// How long a log that was asked for keeps others from being asked for.
const OPENING: Duration = Duration::from_millis(250);
/// While nothing is found by opening an idle log again, the pause grows up to this many times.
const IDLER: u32 = 8;

/// What all readers share.
pub(crate) struct Shared {
    pub(crate) client: ApiClient,
    pub(crate) positions: Arc<Positions>,
    pub(crate) outbox: mpsc::Sender<Shipment<Delivery<Advance>>>,
    /// What may be under way, in KiB.
    pub(crate) room: Arc<Semaphore>,
    pub(crate) most_room: u32,
    /// Logs that may be open.
    pub(crate) streams: Semaphore,
    /// Logs that may be asked for at once: after an absence all want to be opened.
    pub(crate) opening: Semaphore,
    pub(crate) metrics: Metrics,
    /// Pods of which it was said that they are refused.
    pub(crate) refused: Mutex<std::collections::HashSet<String>>,
    pub(crate) longest_line: usize,
    pub(crate) idle: Duration,
    /// Whether logs that were there before the receiver are begun at their end.
    pub(crate) from_end: bool,
    pub(crate) attributes: LineAttributes,
    pub(crate) resource: Vec<(String, String)>,
}

/// How a log that was open came to its end.
enum End {
    /// The server ended it.
    Over,
    /// Nothing was written for a while.
    Idle,
    /// Something broke.
    Failed(ApiError),
    /// The receiver is shut down.
    Closed,
}

/// Reads one container.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    target: Target,
    life: watch::Receiver<Life>,
    progress: Arc<Progress<Advance>>,
    window: Window,
    /// The time of the last line and whether it was known, when it was cut: what follows is the rest of it.
    cut: Option<(u64, bool)>,
    times: Timestamps,
    batch: Batch,
}

/// What is read and not sent.
#[derive(Default)]
struct Batch {
    builder: LogsBuilder,
    marks: Vec<Mark>,
    restart: u32,
    observed: u64,
    repeated: u64,
}

impl Reader {
    pub(crate) fn new(
        shared: Arc<Shared>,
        target: Target,
        life: watch::Receiver<Life>,
        progress: Arc<Progress<Advance>>,
    ) -> Self {
        Self {
            shared,
            target,
            life,
            progress,
            window: Window::default(),
            cut: None,
            times: Timestamps::default(),
            batch: Batch::default(),
        }
    }

    /// Reads until the pod is gone. What was not sent when this is dropped is read again.
    pub(crate) async fn run(mut self) {
        let key = self.target.key();
        let now = *self.life.borrow_and_update();
        let position = self.shared.positions.open(&key, &self.progress);
        let mut read = now.restart;
        match position {
            Some(position) => {
                self.window = position.window;
                read = position.restart;
            }
            None if self.shared.from_end && self.target.old && now.begun => {
                self.window = Window::from(unix_nanos());
                let shared = &self.shared;
                shared.positions.begin(&key, now.restart, &self.window);
            }
            None => {}
        }
        if self.lives(read).await {
            self.shared.positions.close(&key);
        }
        self.shared.refused.lock().remove(&self.target.uid);
    }

    /// Reads one life after another, from `read` on; whether the pod is gone (and not the receiver).
    async fn lives(&mut self, mut read: u32) -> bool {
        let mut failures = 0;
        let mut idle = 1;
        // Whether the log of the present life was read to its end.
        let mut done = false;
        loop {
            let life = *self.life.borrow_and_update();
            let gone = self.life.has_changed().is_err();
            if life.restart != read {
                if life.restart > read {
                    self.finish_previous(life.restart - 1).await;
                }
                read = life.restart;
                done = false;
            }
            if done || !life.begun {
                if gone || self.life.changed().await.is_err() {
                    return true;
                }
                done &= !self.life.borrow().running;
                continue;
            }
            let before = self.window.since();
            let wait = self.shared.idle.saturating_mul(idle);
            let end = self.read_once(life, wait).await;
            if self.window.since() != before {
                (failures, idle) = (0, 1);
            }
            match end {
                End::Closed => return false,
                End::Over if !life.running || gone => done = true,
                End::Over => {
                    self.shared.metrics.reopened("ended");
                    // Most probably there is news of the container on the way. A log that always ends at once is opened ever
                    // more seldom.
                    let pause = self.pause(&mut failures).max(ENDED);
                    drop(timeout(pause, self.life.changed()).await);
                }
                End::Idle => {
                    self.shared.metrics.reopened("idle");
                    idle = (idle * 2).min(IDLER);
                }
                End::Failed(error) => {
                    if gone {
                        return true;
                    }
                    self.shared.metrics.reopened("failed");
                    let pause = self.failed(&error, &mut failures);
                    tokio::select! {
                        () = sleep(pause) => {}
                        // What was waited for may be there. Not at once, should there be much news.
                        _ = self.life.changed() => sleep(ENDED.min(pause)).await,
                    }
                }
            }
        }
    }

    /// What an error means, and how long to wait after it.
    fn failed(&self, error: &ApiError, failures: &mut u32) -> Duration {
        let Target {
            namespace,
            pod,
            container,
            uid,
            ..
        } = &self.target;
        if error.status() == Some(403) {
            if self.shared.refused.lock().insert(uid.clone()) {
                self.shared.metrics.refused();
                let remedy = LogQuery::rule().remedy(error);
                tracing::error!("the logs of pod {namespace}/{pod} are refused: {error}{remedy}");
            }
            return REFUSED;
        }
        // 400: the container waits to start; 404: the pod is about to go.
        if !matches!(error.status(), Some(400 | 404)) && *failures == 1 {
            tracing::warn!(
                "the log of {namespace}/{pod}/{container} breaks off: {error}; it is opened again"
            );
        }
        self.pause(failures)
    }

    /// The pause before the next attempt: growing, and half of it left to chance.
    fn pause(&self, failures: &mut u32) -> Duration {
        let (first, longest) = PAUSES;
        let step = first.saturating_mul(1 << (*failures).min(6)).min(longest);
        *failures += 1;
        // Every `RandomState` has keys of its own, which is all the chance that is needed.
        let chance = RandomState::new().hash_one(&self.target.uid) % 1024;
        step / 2 + (step / 2).mul_f64(f64::from(u16::try_from(chance).unwrap_or(0)) / 1024.0)
    }

    /// Reads what is left of the life before the present one.
    async fn finish_previous(&mut self, restart: u32) {
        let query = self.query(false, true);
        let life = Life {
            restart,
            begun: true,
            running: false,
        };
        for _ in 0..3 {
            match self.stream(&query, life, LINGER * 50).await {
                // 400 and 404: the kubelet has nothing of it any more.
                End::Failed(error) if !matches!(error.status(), Some(400 | 403 | 404)) => {
                    sleep(ENDED).await;
                }
                _ => return,
            }
        }
    }

    fn query(&self, follow: bool, previous: bool) -> LogQuery {
        LogQuery {
            namespace: self.target.namespace.clone(),
            pod: self.target.pod.clone(),
            container: self.target.container.clone(),
            follow,
            previous,
            since: self.window.since(),
        }
    }

    async fn read_once(&mut self, life: Life, idle: Duration) -> End {
        let query = self.query(life.running, false);
        self.stream(&query, life, idle).await
    }

    /// Opens a log and reads it until it ends.
    async fn stream(&mut self, query: &LogQuery, life: Life, idle: Duration) -> End {
        let shared = Arc::clone(&self.shared);
        // Never closed.
        let _permit = shared.streams.acquire().await;
        let mut replay = self.window.replay();
        self.cut = None;
        let quiet = Instant::now();
        let opening = LogStream::open(&shared.client, query, shared.longest_line, idle);
        let opened = {
            let mut opening = pin!(opening);
            let permit = shared.opening.acquire().await;
            // A quiet log has no answer for long, and must not keep the others from being asked for.
            match timeout(OPENING, opening.as_mut()).await {
                Ok(opened) => opened,
                Err(_) => {
                    drop(permit);
                    opening.await
                }
            }
        };
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(error) if is_idle(&error) => return End::Idle,
            Err(error) => return End::Failed(error),
        };
        let mut quiet = quiet;
        let end = loop {
            let wait = if self.batch.marks.is_empty() {
                idle.saturating_sub(quiet.elapsed())
            } else {
                LINGER
            };
            match stream.next(wait).await {
                Ok(Some(lines)) => {
                    quiet = Instant::now();
                    for line in lines {
                        self.line(line, life.restart, &mut replay);
                    }
                    if self.batch.builder.len_bytes() >= FULL && !self.send().await {
                        return End::Closed;
                    }
                }
                Ok(None) => break End::Over,
                Err(error) if is_idle(&error) => {
                    if self.batch.marks.is_empty() {
                        break End::Idle;
                    }
                    if !self.send().await {
                        return End::Closed;
                    }
                }
                Err(error) => break End::Failed(error),
            }
        };
        if self.send().await { end } else { End::Closed }
    }

    /// Takes a line in: its time, a space, and the text.
    fn line(&mut self, line: &[u8], restart: u32, replay: &mut Replay) {
        let at = line.iter().take(64).position(|byte| *byte == b' ');
        let stamped = at.and_then(|at| {
            let (time, text) = line.split_at_checked(at)?;
            Some((self.times.parse(time)?, text.get(1..)?))
        });
        let whole = line.len() < self.shared.longest_line;
        let (time, text) = match (stamped, self.cut.take()) {
            (Some((time, text)), _) => {
                let mark = (time, hash(text));
                let known = replay.knows(mark);
                self.cut = (!whole).then_some((time, known));
                if known {
                    self.batch.repeated += 1;
                    return;
                }
                self.window.push(mark);
                self.batch.marks.push(mark);
                (time, text)
            }
            (None, Some((time, known))) => {
                self.cut = (!whole).then_some((time, known));
                if known || line.is_empty() {
                    return;
                }
                (time, line)
            }
            // The kubelet puts its own troubles among the lines, and would again each time.
            (None, None) => {
                let said = String::from_utf8_lossy(line);
                tracing::debug!(pod = self.target.pod, %said, "no line of a log");
                return;
            }
        };
        if self.batch.builder.is_empty() {
            self.begin(restart);
        }
        let text = String::from_utf8_lossy(text);
        let Batch {
            builder, observed, ..
        } = &mut self.batch;
        builder.line(time, *observed, &text, &self.shared.attributes);
    }

    /// The same resource as `pod_logs` has.
    fn begin(&mut self, restart: u32) {
        self.batch.restart = restart;
        self.batch.observed = unix_nanos();
        let (target, shared) = (&self.target, &self.shared);
        self.batch.builder.resource(|resource| {
            resource.attribute_str("k8s.namespace.name", &target.namespace);
            resource.attribute_str("k8s.pod.name", &target.pod);
            resource.attribute_str("k8s.pod.uid", &target.uid);
            resource.attribute_str("k8s.container.name", &target.container);
            resource.attribute_str("k8s.container.restart_count", &restart.to_string());
            for (name, value) in &shared.resource {
                resource.attribute_str(name, value);
            }
        });
    }

    /// Sends what was read; `false` when nobody takes it any more.
    async fn send(&mut self) -> bool {
        let shared = &self.shared;
        shared
            .metrics
            .repeated(std::mem::take(&mut self.batch.repeated));
        if self.batch.builder.is_empty() {
            return true;
        }
        let bytes = self.batch.builder.len_bytes();
        let kib = u32::try_from(bytes >> 10).unwrap_or(shared.most_room);
        let kib = kib.clamp(1, shared.most_room);
        let permit = Arc::clone(&shared.room).acquire_many_owned(kib).await.ok();
        let Ok(place) = shared.outbox.reserve().await else {
            return false;
        };
        let batch = std::mem::take(&mut self.batch);
        let advance = Advance {
            restart: batch.restart,
            marks: batch.marks,
        };
        place.send(Shipment {
            logs: batch.builder.finish(),
            receipt: self.progress.begin(advance, permit),
        });
        true
    }
}

fn unix_nanos() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}
