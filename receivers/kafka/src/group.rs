//! A consumer's place in its group: what it hears of rebalances and commits.

use corten_kafka::{Events, Seldom};
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::progress::Progress;

/// What librdkafka calls, on the task that polls the consumer.
pub(crate) struct Group {
    pub(crate) events: Events,
    pub(crate) progress: Mutex<Progress>,
    uncommitted: Seldom,
}

impl Group {
    pub(crate) fn new(events: Events) -> Self {
        Self {
            events,
            progress: Mutex::default(),
            uncommitted: Seldom::default(),
        }
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.events.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.events.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.events.stats(statistics);
    }
}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) => {
                tracing::debug!(count = partitions.count(), "partitions were assigned");
                self.events.works();
            }
            // What was kept of them has been stored, and librdkafka commits that before it lets go. What is under way is
            // read again by whoever has them next.
            Rebalance::Revoke(partitions) => {
                tracing::debug!(count = partitions.count(), "partitions were taken away");
                let mut progress = self.progress.lock();
                for partition in partitions.elements() {
                    progress.revoked(partition.topic(), partition.partition());
                }
            }
            Rebalance::Error(_) => self.progress.lock().clear(),
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        // A partition that was paused when it was taken away is not to come back paused.
        if let Rebalance::Assign(partitions) = rebalance
            && let Err(error) = consumer.resume(partitions)
        {
            tracing::debug!(%error, "new partitions did not resume");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        // Stored offsets are committed with the next; nothing is lost, some messages may come twice.
        if let Err(error) = result
            && error.rdkafka_error_code() != Some(rdkafka::types::RDKafkaErrorCode::NoOffset)
            && let Some(unsaid) = self.uncommitted.may_tell()
        {
            tracing::warn!(%error, unsaid, "offsets could not be committed; they are with the next");
        }
    }
}
