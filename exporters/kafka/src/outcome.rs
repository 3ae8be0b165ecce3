//! What librdkafka's codes mean.

use corten_component::{GrpcCode, Status};
use corten_delivery::{SendError, Sent};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

/// Whether another attempt can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It can.
    Again,
    /// It can when somebody grants the right; librdkafka has to forget that it was denied.
    Denied,
    /// The broker takes no message of that size.
    TooLarge,
    /// It can't; with a label for metrics, and what upstream hears.
    Never(&'static str, GrpcCode),
}

/// The verdict on one message. What Kafka's protocol calls retriable is tried again, and so is everything that
/// happened between here and the broker. A missing right is no fault of the data either: it waits for the right.
pub(crate) fn verdict(error: &KafkaError) -> Verdict {
    let Some(code) = error.rdkafka_error_code() else {
        return Verdict::Again;
    };
    match code {
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => Verdict::TooLarge,
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => Verdict::Denied,
        Code::InvalidTopic
        | Code::InvalidRequiredAcks
        | Code::InvalidTimestamp
        | Code::InvalidRecord
        | Code::InvalidMessageSize
        | Code::InvalidRequest
        | Code::InvalidArgument
        | Code::UnsupportedForMessageFormat
        | Code::UnsupportedCompressionType
        | Code::UnsupportedVersion
        | Code::UnknownPartition
        | Code::PolicyViolation => Verdict::Never("invalid_argument", GrpcCode::InvalidArgument),
        _ => Verdict::Again,
    }
}

/// What became of the messages of one attempt.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    again: Option<String>,
    denied: bool,
    too_large: Option<String>,
    never: Option<(&'static str, GrpcCode, String)>,
    refused: usize,
}

impl Outcomes {
    /// A message with so many items was not delivered.
    pub(crate) fn failed(&mut self, items: usize, error: &KafkaError) {
        let text = || match error.rdkafka_error_code() {
            Some(code) => code.to_string(),
            None => error.to_string(),
        };
        match verdict(error) {
            verdict @ (Verdict::Again | Verdict::Denied) => {
                self.denied |= verdict == Verdict::Denied;
                self.again.get_or_insert_with(text);
            }
            Verdict::TooLarge => {
                self.too_large.get_or_insert_with(text);
            }
            Verdict::Never(reason, code) => {
                self.refused += items;
                self.never.get_or_insert_with(|| (reason, code, text()));
            }
        }
    }

    /// A message whose report never comes.
    pub(crate) fn lost(&mut self) {
        self.again
            .get_or_insert_with(|| "the producer was closed".to_owned());
    }

    /// Whether a message was denied for want of a right.
    pub(crate) fn denied(&self) -> bool {
        self.denied
    }

    /// The answer for all of the request, of which `delivered` says whether some message was delivered, now or before.
    /// `explain` puts words around librdkafka's.
    pub(crate) fn answer(
        self,
        delivered: bool,
        explain: impl Fn(String) -> String,
    ) -> Result<Sent, SendError> {
        // First what can still change; the rest fails again with it, and is told then.
        if let Some(text) = self.again {
            let status = Status::Grpc(GrpcCode::Unavailable);
            return Err(SendError::retryable(status, explain(text)));
        }
        if let Some(text) = self.too_large {
            return Err(SendError::TooLarge {
                status: Status::Grpc(GrpcCode::InvalidArgument),
                message: explain(text),
            });
        }
        match self.never {
            None => Ok(Sent::all()),
            Some((reason, code, text)) => Err(SendError::Permanent {
                status: Status::Grpc(code),
                reason,
                message: explain(text),
                rejected: delivered.then_some(self.refused),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: Code) -> KafkaError {
        KafkaError::MessageProduction(code)
    }

    #[test]
    fn codes_are_judged_as_kafka_judges_them() {
        let again = [
            Code::MessageTimedOut,
            Code::BrokerTransportFailure,
            Code::AllBrokersDown,
            Code::QueueFull,
            Code::Authentication,
            Code::SaslAuthenticationFailed,
            Code::UnknownTopic,
            Code::UnknownTopicOrPartition,
            Code::NotLeaderForPartition,
            Code::LeaderNotAvailable,
            Code::NotEnoughReplicas,
            Code::NotEnoughReplicasAfterAppend,
            Code::RequestTimedOut,
            Code::KafkaStorageError,
            Code::InvalidMessage,
            Code::PurgeQueue,
            Code::ThrottlingQuotaExceeded,
        ];
        for code in again {
            assert_eq!(verdict(&error(code)), Verdict::Again, "{code:?}");
        }
        for code in [Code::MessageSizeTooLarge, Code::MessageBatchTooLarge] {
            assert_eq!(verdict(&error(code)), Verdict::TooLarge);
        }
        assert_eq!(
            verdict(&error(Code::TopicAuthorizationFailed)),
            Verdict::Denied
        );
        for code in [Code::PolicyViolation, Code::InvalidTopic] {
            assert!(matches!(verdict(&error(code)), Verdict::Never(..)));
        }
    }

    #[test]
    fn what_can_still_change_comes_first() {
        let explain = |text: String| text;
        let mut both = Outcomes::default();
        both.failed(1, &error(Code::InvalidTopic));
        both.failed(2, &error(Code::MessageTimedOut));
        assert!(matches!(
            both.answer(true, explain),
            Err(SendError::Retryable { .. })
        ));
        let never = |delivered| {
            let mut outcomes = Outcomes::default();
            outcomes.failed(1, &error(Code::InvalidTopic));
            outcomes.failed(2, &error(Code::InvalidTopic));
            match outcomes.answer(delivered, explain) {
                Err(SendError::Permanent { rejected, .. }) => rejected,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(never(true), Some(3));
        assert_eq!(never(false), None);
        assert_eq!(
            Outcomes::default().answer(true, explain).unwrap(),
            Sent::all()
        );
    }
}
