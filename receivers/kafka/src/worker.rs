//! The loop of one signal's consumer.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use corten_component::{Batch, Consumer, Context, Signal, Tasks};
use corten_config::settings::Retry;
use corten_kafka::{Events, Seldom};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Headers as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::config::{Config, Marking};
use crate::decode::{self, Decoder, Headers};
use crate::group::Group;
use crate::metadata::Metrics;
use crate::progress::Place;

/// How long the loop waits for room before it pauses the partitions. Pausing throws away what was read ahead.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long what is under way may take at the end.
const DRAIN: Duration = Duration::from_secs(5);
/// How long after an error that ends a consumer the next one begins.
const AGAIN: Duration = Duration::from_secs(5);
/// What a message under way takes beside its bytes.
const OVERHEAD: usize = 512;

/// What stays the same when a consumer has to be made anew.
pub(crate) struct Worker {
    signal: Signal,
    topics: Vec<String>,
    properties: ClientConfig,
    events: Events,
    decoder: Decoder,
    next: Arc<dyn Consumer>,
    metrics: Metrics,
    marking: Marking,
    backoff: Retry,
    commits: bool,
    limit: usize,
    tasks: Tasks,
    name: Arc<str>,
    malformed: Seldom,
    skipped: Seldom,
}

type Client = StreamConsumer<Group>;

/// How a consumer ended.
enum End {
    Stopping,
    Fatal(KafkaError),
}

/// How a message ended.
struct Landed {
    place: Place,
    weight: usize,
    outcome: Outcome,
}

enum Outcome {
    Kept,
    /// Nobody kept it; the offset moves on.
    Skipped(String),
    /// Nobody kept it, and the offset stays.
    Stopped,
}

impl Worker {
    pub(crate) fn new(
        cx: &Context,
        config: &Config,
        signal: Signal,
        alone: bool,
        next: Arc<dyn Consumer>,
    ) -> Result<Self, corten_kafka::UnknownEncoding> {
        let own = &config.own;
        let encoding = own.encoding(signal)?;
        Ok(Self {
            signal,
            topics: own.topics(signal).into_iter().map(str::to_owned).collect(),
            properties: config.properties(signal, alone),
            events: Events::new(format!("{} ({signal})", cx.id()), Some(cx.health().clone())),
            decoder: Decoder::new(signal, encoding, &own.header_extraction),
            next,
            metrics: Metrics::new(cx, signal),
            marking: own.message_marking.clone(),
            backoff: own.error_backoff.clone(),
            commits: !own.autocommit.enable,
            limit: own.max_in_flight_size.as_usize(),
            tasks: cx.tasks().clone(),
            name: cx.id().to_string().into(),
            malformed: Seldom::default(),
            skipped: Seldom::default(),
        })
    }

    /// A new consumer, a member of the group as soon as the brokers answer.
    ///
    /// # Errors
    ///
    /// librdkafka does not take the settings, or a certificate cannot be read.
    pub(crate) fn connect(&self) -> KafkaResult<Client> {
        let group = Group::new(self.events.clone());
        let client = Client::from_config_and_context(&self.properties, group)?;
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        client.subscribe(&topics)?;
        Ok(client)
    }

    /// Works until the component is told to stop.
    pub(crate) async fn run(self: Arc<Self>, mut client: Client) {
        loop {
            let end = self.consume(&client).await;
            // Leaves the group, which commits what was stored: a call that blocks.
            close(client).await;
            let End::Fatal(error) = end else {
                return;
            };
            tracing::error!(receiver = %self.name, signal = %self.signal, %error, "the consumer ended and begins anew");
            client = loop {
                tokio::select! {
                    () = tokio::time::sleep(AGAIN) => {}
                    () = self.tasks.stopping() => return,
                }
                match self.connect() {
                    Ok(client) => break client,
                    Err(error) => {
                        tracing::error!(receiver = %self.name, %error, "the consumer cannot begin anew");
                    }
                }
            };
        }
    }

    async fn consume(&self, client: &Client) -> End {
        let mut messages = client.stream();
        let mut flights = FuturesUnordered::new();
        let mut weight = 0_usize;
        let mut paused = false;
        let mut stopping = std::pin::pin!(self.tasks.stopping());
        let end = loop {
            // Neither messages that are there already nor a pipeline that answers at once may hold a thread for ever.
            tokio::task::coop::consume_budget().await;
            let full = weight >= self.limit;
            if paused && weight <= self.limit / 2 {
                paused = !self.turn(client, false);
            }
            let message = tokio::select! {
                biased;
                () = &mut stopping => break End::Stopping,
                Some(landed) = flights.next(), if !flights.is_empty() => {
                    weight = weight.saturating_sub(self.land(client, landed));
                    continue;
                }
                message = messages.next(), if !full || paused => message,
                () = tokio::time::sleep(PATIENCE), if full && !paused => {
                    paused = self.turn(client, true);
                    continue;
                }
            };
            match message {
                Some(Ok(message)) => {
                    if paused {
                        // Of a partition that came meanwhile.
                        paused = self.turn(client, true);
                    }
                    if let Some((place, batch, bytes)) = self.take(client, &message) {
                        weight += bytes;
                        flights.push(self.fly(place, batch, bytes));
                    }
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    break End::Fatal(error);
                }
                // Told by the client's own error events; librdkafka goes on by itself.
                Some(Err(error)) => tracing::debug!(receiver = %self.name, %error, "no message"),
                None => break End::Stopping,
            }
        };
        let landing = async {
            while let Some(landed) = flights.next().await {
                self.land(client, landed);
            }
        };
        if tokio::time::timeout(DRAIN, landing).await.is_err() {
            tracing::info!(receiver = %self.name, signal = %self.signal, "what was under way is read again after the next start");
        }
        end
    }

    /// Pauses every partition, or lets them go on. Whether that was done.
    fn turn(&self, client: &Client, pause: bool) -> bool {
        let turned = client.assignment().and_then(|partitions| {
            if pause {
                return client.pause(&partitions);
            }
            let mut free = TopicPartitionList::new();
            let progress = client.context().progress.lock();
            for partition in partitions.elements() {
                let (topic, partition) = (partition.topic(), partition.partition());
                if !progress.is_crowded(topic, partition) {
                    free.add_partition(topic, partition);
                }
            }
            drop(progress);
            client.resume(&free)
        });
        if let Err(error) = &turned {
            tracing::debug!(receiver = %self.name, %error, pause, "partitions did not turn");
        }
        turned.is_ok()
    }

    /// Pauses one partition, which is far ahead of its offset, or lets it go on.
    fn turn_one(&self, client: &Client, place: &Place, pause: bool) {
        let mut one = TopicPartitionList::new();
        one.add_partition(&place.topic, place.partition);
        let turned = match pause {
            true => client.pause(&one),
            false => client.resume(&one),
        };
        if let Err(error) = turned {
            tracing::debug!(receiver = %self.name, %error, pause, "a partition did not turn");
        }
    }

    /// A message becomes a batch; `None` when there is nothing in it to send on.
    fn take(
        &self,
        client: &Client,
        message: &BorrowedMessage<'_>,
    ) -> Option<(Place, Batch, usize)> {
        self.metrics.message();
        self.events.works();
        let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
        let mut progress = client.context().progress.lock();
        let (place, crowded) = progress.began(topic, partition, offset);
        drop(progress);
        if crowded {
            self.turn_one(client, &place, true);
        }
        let payload = message.payload().unwrap_or_default();
        let headers = headers(message);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
        let data = if message.payload().is_none() {
            // A tombstone.
            None
        } else {
            let bytes = Bytes::copy_from_slice(payload);
            match self.decoder.decode(bytes, &headers, now) {
                Ok(data) => Some(data).filter(|data| !data.is_empty()),
                Err(error) => {
                    self.metrics.malformed();
                    if let Some(unsaid) = self.malformed.may_tell() {
                        tracing::warn!(
                            receiver = %self.name, topic, partition, offset, error, unsaid,
                            "a message is not what 'encoding' says; it was passed over"
                        );
                    }
                    None
                }
            }
        };
        let Some(data) = data else {
            self.end(client, &place);
            return None;
        };
        let batch = Batch::new(data)
            .replayable()
            .with_metadata(decode::metadata(&headers));
        Some((place, batch, payload.len() + OVERHEAD))
    }

    /// Offers a batch until it is kept, or never will be.
    async fn fly(&self, place: Place, batch: Batch, weight: usize) -> Landed {
        let outcome = self.deliver(batch).await;
        Landed {
            place,
            weight,
            outcome,
        }
    }

    async fn deliver(&self, mut batch: Batch) -> Outcome {
        let mut pause = self.backoff.initial_interval.get();
        let started = Instant::now();
        loop {
            let refused = match self.next.consume(batch).await {
                Ok(()) => return Outcome::Kept,
                Err(refused) => refused,
            };
            let overdue = self.backoff.enabled
                && self
                    .backoff
                    .max_elapsed_time
                    .non_zero()
                    .is_some_and(|limit| started.elapsed() >= limit);
            let passes = match refused.is_retryable() {
                true => overdue && self.marking.passes_overdue(),
                false => self.marking.passes_refused(),
            };
            if passes {
                return Outcome::Skipped(refused.to_string());
            }
            if !refused.is_retryable()
                && let Some(unsaid) = self.skipped.may_tell()
            {
                tracing::warn!(
                    receiver = %self.name, signal = %self.signal, reason = %refused, unsaid,
                    "a message was refused for good and stops its partition, as 'message_marking' says"
                );
            }
            let wait = pause.max(refused.delay().unwrap_or_default());
            pause = pause
                .mul_f64(self.backoff.multiplier.clamp(1.0, 10.0))
                .min(self.backoff.max_interval.get());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.tasks.stopping() => return Outcome::Stopped,
            }
            batch = refused.into_rest();
        }
    }

    /// A message has ended. Returns its weight.
    fn land(&self, client: &Client, landed: Landed) -> usize {
        match landed.outcome {
            Outcome::Kept => self.end(client, &landed.place),
            Outcome::Skipped(reason) => {
                self.metrics.skipped();
                if let Some(unsaid) = self.skipped.may_tell() {
                    let place = &landed.place;
                    tracing::warn!(
                        receiver = %self.name, topic = %place.topic, partition = place.partition, offset = place.offset,
                        reason, unsaid, "a message was refused and passed over"
                    );
                }
                self.end(client, &landed.place);
            }
            Outcome::Stopped => {}
        }
        landed.weight
    }

    /// Moves the partition's offset as far as everything has ended.
    fn end(&self, client: &Client, place: &Place) {
        let mut progress = client.context().progress.lock();
        let ended = progress.ended(place);
        let Some(offset) = ended.safe else {
            return;
        };
        // Under the lock, so that no older offset is stored after a newer one.
        let stored = client.store_offset(&place.topic, place.partition, offset);
        drop(progress);
        if ended.relieved {
            // Even while all others are paused: the next message pauses it with them.
            self.turn_one(client, place, false);
        }
        let committed = stored.and_then(|()| {
            if !self.commits {
                return Ok(());
            }
            let mut offsets = TopicPartitionList::new();
            offsets.add_partition_offset(
                &place.topic,
                place.partition,
                Offset::Offset(offset + 1),
            )?;
            client.commit(&offsets, CommitMode::Async)
        });
        if let Err(error) = committed {
            // The partition is somebody else's by now: they read it again.
            tracing::debug!(receiver = %self.name, %error, "an offset was not stored");
        }
    }
}

fn headers(message: &BorrowedMessage<'_>) -> Headers {
    let Some(headers) = message.headers() else {
        return Headers::new();
    };
    let text = headers.iter().filter_map(|header| {
        let value = String::from_utf8(header.value?.to_vec()).ok()?;
        Some((header.key.to_owned(), value))
    });
    text.collect()
}

/// Leaves the group.
async fn close(client: Client) {
    if !corten_kafka::let_go(client).await {
        tracing::info!(
            "no broker has heard yet that a Kafka consumer leaves; what it did not commit is read again"
        );
    }
}
