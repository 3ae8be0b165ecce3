//! Health and log lines: one when a backend goes, one when it is back, few in between.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use corten_component::{Context, HealthHandle, Signal};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::metrics::items_name;

/// A reason is told again after this long.
const QUIET: Duration = Duration::from_secs(60);

/// Tells the operator.
pub(crate) struct Reporter {
    exporter: String,
    health: HealthHandle,
    is_failing: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failing_since: Option<Instant>,
    failed_attempts: u64,
    told: HashMap<&'static str, Told>,
}

struct Told {
    at: Instant,
    suppressed: u64,
}

impl Reporter {
    pub(crate) fn new(cx: &Context) -> Self {
        Self {
            exporter: cx.id().to_string(),
            health: cx.health().clone(),
            is_failing: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// An attempt failed and will be made again.
    pub(crate) fn attempt_failed(&self, address: &str, reason: &str, kept: &str, next: Duration) {
        self.health.failing(format!("{address}: {reason}"));
        let mut state = self.state.lock();
        state.failed_attempts += 1;
        if state.failing_since.is_none() {
            state.failing_since = Some(Instant::now());
            self.is_failing.store(true, Ordering::Release);
            drop(state);
            tracing::warn!(
                exporter = self.exporter,
                address,
                reason,
                "delivery fails; data waits {kept}, next attempt in {:.1} s",
                next.as_secs_f64(),
            );
        }
    }

    /// An attempt succeeded.
    pub(crate) fn delivered(&self, address: &str, items: usize) {
        if !self.is_failing.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.state.lock();
        self.is_failing.store(false, Ordering::Release);
        self.health.ok();
        let Some(since) = state.failing_since.take() else {
            return;
        };
        let attempts = std::mem::take(&mut state.failed_attempts);
        drop(state);
        tracing::info!(
            exporter = self.exporter,
            address,
            items,
            failed_attempts = attempts,
            "delivering again after {:.0} s",
            since.elapsed().as_secs_f64(),
        );
    }

    /// Data was refused for good.
    pub(crate) fn rejected(
        &self,
        address: &str,
        signal: Signal,
        items: usize,
        reason: &'static str,
        message: &str,
    ) {
        if let Some(suppressed) = self.may_tell(reason) {
            tracing::warn!(
                exporter = self.exporter,
                address,
                reason,
                suppressed,
                "{items} {} refused for good: {message}",
                items_name(signal),
            );
        }
    }

    /// Nothing of a request was taken, and it isn't tried again: the exporter isn't doing its job unless
    /// others go through.
    pub(crate) fn refused_for_good(&self, address: &str, message: &str) {
        self.fails(format!("{address}: {message}"));
        self.state.lock().failed_attempts += 1;
    }

    /// Until something is delivered.
    fn fails(&self, reason: String) {
        self.health.failing(reason);
        self.state
            .lock()
            .failing_since
            .get_or_insert_with(Instant::now);
        self.is_failing.store(true, Ordering::Release);
    }

    /// Data was given up after `retry_on_failure::max_elapsed_time`.
    pub(crate) fn gave_up(&self, signal: Signal, items: usize, message: &str) {
        if let Some(suppressed) = self.may_tell("gave_up") {
            tracing::error!(
                exporter = self.exporter,
                suppressed,
                "{items} {} given up after retry_on_failure::max_elapsed_time: {message}",
                items_name(signal),
            );
        }
    }

    /// Data gave way to newer data.
    pub(crate) fn dropped(&self, signal: Signal, items: usize, records: u64, why: &str) {
        if let Some(suppressed) = self.may_tell("dropped") {
            tracing::error!(
                exporter = self.exporter,
                records,
                suppressed,
                "{items} {} dropped, the oldest first: {why}",
                items_name(signal),
            );
        }
    }

    /// What was refused for good could not be kept.
    pub(crate) fn letter_lost(&self, directory: &str, error: &str) {
        if let Some(suppressed) = self.may_tell("dead_letters") {
            tracing::error!(
                exporter = self.exporter,
                directory,
                suppressed,
                "dead letters can't be written: {error}; what the backend refuses for good is lost",
            );
        }
    }

    /// The disk queue does not work.
    pub(crate) fn disk_failed(&self, directory: &str, error: &str) {
        self.fails(format!("{directory}: {error}"));
        if let Some(suppressed) = self.may_tell("disk") {
            tracing::error!(
                exporter = self.exporter,
                directory,
                suppressed,
                "the queue can't be written: {error}; senders are told to try again"
            );
        }
    }

    /// Bytes of the disk queue were skipped.
    pub(crate) fn damaged(&self, file: &str, offset: u64, bytes: u64, reason: &str) {
        if let Some(suppressed) = self.may_tell("damage") {
            tracing::warn!(
                exporter = self.exporter,
                file,
                offset,
                bytes,
                suppressed,
                "the queue is damaged here, skipped: {reason}"
            );
        }
    }

    /// The disk queue could not be read.
    pub(crate) fn unreadable(&self, directory: &str, error: &str) {
        self.fails(format!("{directory}: {error}"));
        if let Some(suppressed) = self.may_tell("unreadable") {
            tracing::error!(
                exporter = self.exporter,
                directory,
                suppressed,
                "the queue can't be read: {error}; trying again"
            );
        }
    }

    /// What memory held at the end of shutdown.
    pub(crate) fn lost(&self, signal: Signal, items: u64) {
        tracing::error!(
            exporter = self.exporter,
            items,
            "shutdown: {items} {} that only memory held could not be delivered and are lost",
            items_name(signal),
        );
    }

    /// Whether it is time to tell `what` again; how often it was kept quiet since the last time.
    fn may_tell(&self, what: &'static str) -> Option<u64> {
        let mut state = self.state.lock();
        let now = Instant::now();
        match state.told.get_mut(what) {
            Some(told) if now.duration_since(told.at) < QUIET => {
                told.suppressed += 1;
                None
            }
            Some(told) => {
                told.at = now;
                Some(std::mem::take(&mut told.suppressed))
            }
            None => {
                let told = Told {
                    at: now,
                    suppressed: 0,
                };
                state.told.insert(what, told);
                Some(0)
            }
        }
    }
}
