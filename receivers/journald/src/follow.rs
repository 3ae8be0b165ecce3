//! Runs `journalctl` for as long as the receiver runs, and reads it.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use corten_component::HealthHandle;
use corten_lines::Shipment;
use corten_operators::Chain;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::batches::Batches;
use crate::command::{From, command};
use crate::config::Config;
use crate::entry::{Entry, repair};
use crate::lines::Lines;
use crate::metadata::{Event, Metrics};
use crate::progress::{Claim, Position, Progress};

/// Batches under way at most, of a quarter of a megabyte each.
pub(crate) const UNDER_WAY: usize = 16;
/// How long an entry waits for others.
const LINGER: Duration = Duration::from_millis(200);
/// How often operators are asked for what has waited long enough.
const TICK: Duration = Duration::from_millis(500);
/// Bytes read at once.
const READ: usize = 64 << 10;
/// One that has run this long is well.
const WELL: Duration = Duration::from_secs(5);
/// The pauses before it is started again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// What is kept of its complaints.
const COMPLAINTS: usize = 2048;
/// How long a killed process may take to be gone.
const GONE: Duration = Duration::from_secs(2);

/// Reads the journal.
pub(crate) struct Follow {
    pub(crate) config: Config,
    pub(crate) health: HealthHandle,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) outbox: mpsc::Sender<Shipment<Claim>>,
    pub(crate) stop: CancellationToken,
    /// The last entry that was read.
    pub(crate) position: Position,
    pub(crate) pause: Duration,
}

/// Why reading one process ended.
enum End {
    /// The receiver stops.
    Stopped,
    /// The process is gone, or never was.
    Process(String),
}

impl Follow {
    pub(crate) const PAUSE: Duration = FIRST_PAUSE;

    /// Until the receiver stops.
    pub(crate) async fn run(mut self, chain: Option<Chain>) {
        let room = Arc::new(Semaphore::new(UNDER_WAY));
        let mut batches = Batches::new(&self.config, chain, &self.progress, self.position.clone());
        let first = self.pause;
        let mut trusted = true;
        loop {
            let begun = Instant::now();
            let from = From::position(&self.position, trusted);
            let before = self.position.clone();
            let reason = match self.process(&from, &mut batches, &room).await {
                End::Stopped => return,
                End::Process(reason) => reason,
            };
            self.metrics.count(Event::Ended);
            if self.position != before {
                trusted = true;
            } else if matches!(from, From::After(_)) && reason.contains("cursor") {
                // The journal that it is of may be gone.
                trusted = false;
            }
            if begun.elapsed() > LONGEST_PAUSE {
                self.pause = first;
            }
            tracing::warn!(reason, again_in = ?self.pause, "journalctl ended");
            self.health.failing(reason);
            tokio::select! {
                () = sleep(self.pause) => {}
                () = self.stop.cancelled() => return,
            }
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn process(&mut self, from: &From, batches: &mut Batches, room: &Arc<Semaphore>) -> End {
        let (program, arguments) = command(&self.config, from);
        let spawned = Command::new(&program)
            .args(arguments)
            // Its complaints are read by us.
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => {
                return End::Process(format!(
                    "{}: {error}: install systemd's journalctl where Corten runs, or set journalctl_path (root_path for the host's own)",
                    program.display()
                ));
            }
        };
        let mut complaints = Vec::new();
        let stopped = self.read(&mut child, &mut complaints, batches, room).await;
        // What was read is on its way also when no more comes.
        let delivered = stopped || self.ship(batches, room).await;
        if let Err(error) = child.start_kill() {
            tracing::debug!(%error, "journalctl was gone already");
        }
        let status = timeout(GONE, child.wait()).await;
        if stopped || !delivered {
            return End::Stopped;
        }
        let status = match status {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not end".to_owned(),
        };
        let complaints = String::from_utf8_lossy(&complaints);
        let complaints = complaints.trim();
        End::Process(if complaints.is_empty() {
            status
        } else {
            format!("{status}: {complaints}")
        })
    }

    /// Reads until the process closes its output; `true` when the receiver stops.
    async fn read(
        &mut self,
        child: &mut Child,
        complaints: &mut Vec<u8>,
        batches: &mut Batches,
        room: &Arc<Semaphore>,
    ) -> bool {
        let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take())
        else {
            return false;
        };
        let stop = self.stop.clone();
        let mut lines = Lines::new(self.config.max_log_size.as_usize());
        let mut chunk = vec![0; READ];
        let mut complaint = [0; 1024];
        let mut complaining = true;
        let mut due: Option<Instant> = None;
        let mut tick = batches.holds().then(|| Instant::now() + TICK);
        let mut well = Some(Instant::now() + WELL);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    // As much as there is room for.
                    if !batches.is_empty() && let Ok(permit) = Arc::clone(room).try_acquire_owned() {
                        self.send(batches, permit).await;
                    }
                    return true;
                }
                () = at(due) => {
                    due = None;
                    if !self.ship(batches, room).await {
                        return true;
                    }
                }
                () = at(tick) => {
                    batches.flush();
                    tick = Some(Instant::now() + TICK);
                    if due.is_none() && !batches.is_empty() {
                        due = Some(Instant::now());
                    }
                }
                () = at(well) => {
                    well = None;
                    self.health.ok();
                }
                read = stderr.read(&mut complaint), if complaining => match read {
                    Ok(len @ 1..) => {
                        let text = complaint.get(..len).unwrap_or_default();
                        complaints.extend_from_slice(text);
                        let over = complaints.len().saturating_sub(COMPLAINTS);
                        complaints.drain(..over);
                    }
                    _ => complaining = false,
                },
                read = stdout.read(&mut chunk) => match read {
                    Ok(len @ 1..) => {
                        self.take(chunk.get(..len).unwrap_or_default(), &mut lines, batches);
                        if batches.is_full() {
                            due = None;
                            if !self.ship(batches, room).await {
                                return true;
                            }
                        } else if due.is_none() && !batches.is_empty() {
                            due = Some(Instant::now() + LINGER);
                        }
                    }
                    _ => break,
                },
            }
        }
        // Why it ended is said last.
        if complaining {
            let mut stderr = stderr.take(COMPLAINTS as u64);
            drop(timeout(GONE, stderr.read_to_end(complaints)).await);
        }
        false
    }

    fn take(&mut self, chunk: &[u8], lines: &mut Lines, batches: &mut Batches) {
        let (metrics, position) = (&self.metrics, &mut self.position);
        lines.feed(chunk, |line, cut| {
            let entry = if cut {
                metrics.count(Event::Cut);
                repair(line);
                Entry::beginning(line)
            } else {
                Entry::parse(line)
            };
            match entry {
                Some(entry) => position.clone_from(batches.add(&entry)),
                // What journalctl says to people, such as `-- Boot … --`.
                None if line.starts_with(b"-- ") => {}
                None => {
                    metrics.count(Event::Unparsed);
                    tracing::debug!(
                        bytes = line.len(),
                        "journalctl wrote a line that is no entry"
                    );
                }
            }
        });
    }

    /// Waits for room and sends what there is; `false` when the receiver stops first.
    async fn ship(&self, batches: &mut Batches, room: &Arc<Semaphore>) -> bool {
        if batches.is_empty() {
            return true;
        }
        let permit = tokio::select! {
            permit = Arc::clone(room).acquire_owned() => permit,
            () = self.stop.cancelled() => return false,
        };
        match permit {
            Ok(permit) => self.send(batches, permit).await,
            Err(_) => false,
        }
    }

    async fn send(&self, batches: &mut Batches, permit: OwnedSemaphorePermit) -> bool {
        let Some((logs, answer)) = batches.take() else {
            return true;
        };
        let receipt = Claim {
            answer,
            _permit: permit,
        };
        self.outbox.send(Shipment { logs, receipt }).await.is_ok()
    }
}

/// Resolves then, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
