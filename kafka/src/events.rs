//! What a client of librdkafka says about itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use corten_component::HealthHandle;
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Where a client's log lines and errors go: to this process's log, a line of a kind once a minute, and to the
/// component's health. Cheap to clone; clones share what they know.
#[derive(Clone)]
pub struct Events {
    component: Arc<str>,
    health: HealthHandle,
    last: Arc<Mutex<Option<String>>>,
    seldom: Arc<Seldom>,
}

impl Events {
    /// Of the component `component`.
    #[must_use]
    pub fn new(component: &str, health: HealthHandle) -> Self {
        Self {
            component: component.into(),
            health,
            last: Arc::default(),
            seldom: Arc::default(),
        }
    }

    /// The last error since something worked, in librdkafka's words.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.last.lock().clone()
    }

    /// Something went through: what was wrong is over.
    pub fn works(&self) {
        if self.last.lock().take().is_some() {
            tracing::info!(component = %self.component, "Kafka answers again");
        }
        self.health.ok();
    }
}

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // Whatever keeps it from working comes as an error as well; its lines repeat at every attempt to connect.
        tracing::debug!(component = %self.component, ?level, facility, "librdkafka: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        // That nobody answers is the end of a list of errors which say why.
        let summary = code == Some(RDKafkaErrorCode::AllBrokersDown);
        let mut last = self.last.lock();
        if !summary || last.is_none() {
            *last = Some(reason.to_owned());
        }
        drop(last);
        self.health.failing(reason);
        if let Some(unsaid) = self.seldom.may_tell() {
            tracing::warn!(component = %self.component, unsaid, "Kafka: {reason}");
        }
    }
}

/// Lets one message a minute through, and counts the others.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    const PAUSE: Duration = Duration::from_secs(60);

    /// Whether to tell now; then how often it was not told since the last time.
    #[must_use]
    pub fn may_tell(&self) -> Option<u64> {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        let told_lately = state
            .0
            .is_some_and(|told| now.saturating_duration_since(told) < Self::PAUSE);
        if told_lately {
            state.1 += 1;
            return None;
        }
        state.0 = Some(now);
        Some(std::mem::take(&mut state.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_passes_between_two_messages() {
        let seldom = Seldom::default();
        let start = Instant::now();
        assert_eq!(seldom.at(start), Some(0));
        assert_eq!(seldom.at(start + Duration::from_secs(1)), None);
        assert_eq!(seldom.at(start + Duration::from_secs(59)), None);
        assert_eq!(seldom.at(start + Duration::from_secs(60)), Some(2));
        assert_eq!(seldom.at(start + Duration::from_secs(61)), None);
    }
}
