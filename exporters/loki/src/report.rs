//! What the log says about Loki: changes at once, the rest once a minute.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How often the same thing is said.
const EVERY: Duration = Duration::from_secs(60);

/// Says each thing once a minute at most.
pub(crate) struct Reporter {
    exporter: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failing_since: Option<Instant>,
    failure: Option<Instant>,
    streams: Option<Instant>,
    too_large: Option<Instant>,
}

fn may_say(said: &mut Option<Instant>) -> bool {
    let now = Instant::now();
    if said.is_some_and(|at| now.duration_since(at) < EVERY) {
        return false;
    }
    *said = Some(now);
    true
}

impl Reporter {
    pub(crate) fn new(exporter: String) -> Self {
        Self {
            exporter,
            state: Mutex::default(),
        }
    }

    /// Loki has answered for so many lines; none: it works, but has not taken anything.
    pub(crate) fn delivered(&self, lines: usize) {
        let mut state = self.state.lock();
        state.failure = None;
        if let Some(since) = state.failing_since.take() {
            let seconds = since.elapsed().as_secs();
            tracing::info!(
                exporter = self.exporter,
                lines,
                "Loki answers again after {seconds} s"
            );
        }
    }

    pub(crate) fn attempt_failed(&self, lines: usize, pause: Option<Duration>, why: &str) {
        let mut state = self.state.lock();
        state.failing_since.get_or_insert_with(Instant::now);
        if !may_say(&mut state.failure) {
            return;
        }
        match pause {
            Some(pause) => {
                tracing::warn!(
                    exporter = self.exporter,
                    lines,
                    error = why,
                    "push failed, sending the same again in {pause:?}"
                );
            }
            None => tracing::warn!(
                exporter = self.exporter,
                lines,
                error = why,
                "push failed, not sent again"
            ),
        }
    }

    pub(crate) fn streams_refused(&self, streams: usize, why: &str) {
        if may_say(&mut self.state.lock().streams) {
            tracing::warn!(
                exporter = self.exporter,
                streams,
                error = why,
                "Loki limits some streams; they wait, the others go on"
            );
        }
    }

    pub(crate) fn too_large(&self, size: usize, smaller: usize, why: &str) {
        if may_say(&mut self.state.lock().too_large) {
            tracing::warn!(
                exporter = self.exporter,
                size,
                error = why,
                "push too large, from now on requests have at most {smaller} bytes"
            );
        }
    }
}
