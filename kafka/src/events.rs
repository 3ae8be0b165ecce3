//! What a client of librdkafka says about itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use corten_component::HealthHandle;
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;

/// Where a client's log lines and errors go: to this process's log, once a minute, and to the component's health where
/// nobody else tells that. Cheap to clone; clones share what they know.
#[derive(Clone)]
pub struct Events(Arc<Inner>);

struct Inner {
    component: String,
    health: Option<HealthHandle>,
    /// Whether `last` holds anything, for those who ask at every message.
    troubled: AtomicBool,
    last: Mutex<Option<Trouble>>,
    seldom: Seldom,
}

struct Trouble {
    reason: String,
    /// It is over as soon as a broker is there.
    connection: bool,
}

impl Events {
    /// Of the component `component`, whose `health` they are to tell.
    #[must_use]
    pub fn new(component: impl Into<String>, health: Option<HealthHandle>) -> Self {
        Self(Arc::new(Inner {
            component: component.into(),
            health,
            troubled: AtomicBool::new(false),
            last: Mutex::default(),
            seldom: Seldom::default(),
        }))
    }

    /// The last error since something worked, in librdkafka's words.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        let last = self.0.last.lock();
        last.as_ref().map(|trouble| trouble.reason.clone())
    }

    /// Something went through: what was wrong is over.
    pub fn works(&self) {
        if self.0.troubled.load(Ordering::Acquire) {
            self.over(|_| true);
        }
    }

    fn over(&self, is_over: impl FnOnce(&Trouble) -> bool) {
        let mut last = self.0.last.lock();
        if last.take_if(|trouble| is_over(trouble)).is_some() {
            self.0.troubled.store(false, Ordering::Release);
            tracing::info!(component = self.0.component, "Kafka answers again");
            if let Some(health) = &self.0.health {
                health.ok();
            }
        }
    }
}

/// What a broker that is there puts an end to.
fn is_connection(code: Option<RDKafkaErrorCode>) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::Resolve
                | Code::OperationTimedOut
                | Code::SSL
                | Code::Authentication
        )
    )
}

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // Whatever keeps it from working comes as an error as well; its lines repeat at every attempt to connect.
        tracing::debug!(
            component = self.0.component,
            ?level,
            facility,
            "librdkafka: {message}"
        );
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        // That nobody answers is the end of a list of errors which say why.
        let summary = code == Some(RDKafkaErrorCode::AllBrokersDown);
        let mut last = self.0.last.lock();
        if !summary || last.is_none() {
            *last = Some(Trouble {
                reason: reason.to_owned(),
                connection: is_connection(code),
            });
        }
        self.0.troubled.store(true, Ordering::Release);
        if let Some(health) = &self.0.health {
            health.failing(reason);
        }
        drop(last);
        if let Some(unsaid) = self.0.seldom.may_tell() {
            tracing::warn!(component = self.0.component, unsaid, "Kafka: {reason}");
        }
    }

    /// Only where `statistics.interval.ms` is set: a quiet topic would never show that the brokers are back.
    fn stats(&self, statistics: Statistics) {
        let mut brokers = statistics.brokers.values();
        // Those found through others have a number; the connection of a coordinator has none.
        if brokers.any(|broker| broker.nodeid >= 0 && broker.state == "UP") {
            self.over(|trouble| trouble.connection);
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
    use corten_component::{Condition, Health, Kind};
    use rdkafka::statistics::Broker;

    use super::*;

    #[test]
    fn health_recovers_when_a_broker_is_back() {
        let board = Health::new();
        let health = board.register(Kind::Receiver, "kafka".parse().unwrap());
        health.ok();
        let events = Events::new("kafka", Some(health));
        let is_ok = || matches!(board.components()[0].condition, Condition::Ok);
        let fail = |code| events.error(KafkaError::Global(code), "why");
        let seen = |state: &str| {
            let mut statistics = Statistics::default();
            let broker = Broker {
                nodeid: 1,
                state: state.to_owned(),
                ..Broker::default()
            };
            statistics.brokers.insert("1".to_owned(), broker);
            events.stats(statistics);
        };
        fail(RDKafkaErrorCode::BrokerTransportFailure);
        fail(RDKafkaErrorCode::AllBrokersDown);
        assert!(!is_ok());
        assert_eq!(events.last_error().as_deref(), Some("why"));
        seen("TRY_CONNECT");
        assert!(!is_ok());
        seen("UP");
        assert!(is_ok() && events.last_error().is_none());
        // A broker that is there does not help against a missing right.
        fail(RDKafkaErrorCode::TopicAuthorizationFailed);
        seen("UP");
        assert!(!is_ok());
        events.works();
        assert!(is_ok());
    }

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
