//! One attempt to send messages.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use corten_component::{Batch, BoxError, Context, GrpcCode, Status, async_trait};
use corten_delivery::{Encoded, SendError, Sent, Sink};
use corten_kafka::Events;
use parking_lot::{Mutex, RwLock};
use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;

use crate::config::Config;
use crate::layout::{Layout, Message};
use crate::outcome::Outcomes;

/// How long to wait for room in librdkafka's buffer when nothing of this request is on its way.
const ROOM: Duration = Duration::from_millis(20);

/// The least time between two producers in one another's place.
const RENEWAL: Duration = Duration::from_secs(1);

/// The producer, from start to shutdown.
pub(crate) struct Connection {
    properties: ClientConfig,
    events: Events,
    address: String,
    producer: RwLock<Option<FutureProducer<Events>>>,
    renewed: Mutex<Option<Instant>>,
}

impl Connection {
    pub(crate) fn new(cx: &Context, config: &Config) -> Self {
        Self {
            properties: config.properties(),
            // Health is the delivery's to tell.
            events: Events::new(cx.id().to_string(), None),
            address: config.client.address(),
            producer: RwLock::new(None),
            renewed: Mutex::default(),
        }
    }

    fn open(&self) -> KafkaResult<()> {
        let made = FutureProducer::from_config_and_context(&self.properties, self.events.clone())?;
        *self.producer.write() = Some(made);
        Ok(())
    }

    /// A new producer in the old one's place. A topic that was denied once stays denied to a producer until its next look
    /// at all topics, which may be ten minutes away.
    async fn renew(&self) {
        {
            let mut renewed = self.renewed.lock();
            if renewed.is_some_and(|at| at.elapsed() < RENEWAL) {
                return;
            }
            *renewed = Some(Instant::now());
        }
        let properties = self.properties.clone();
        let Ok(made) = FutureProducer::from_config_and_context(&properties, self.events.clone())
        else {
            return;
        };
        let old = {
            let mut producer = self.producer.write();
            // Not after the end.
            match producer.is_some() {
                true => producer.replace(made),
                false => Some(made),
            }
        };
        corten_kafka::let_go(old).await;
    }

    /// Lets the producer go; its threads end.
    pub(crate) async fn close(&self) {
        let producer = self.producer.write().take();
        // What it still holds was told as not delivered.
        corten_kafka::let_go(producer).await;
    }

    fn explain(&self, text: &str) -> String {
        match self.events.last_error() {
            Some(why) => format!("{}: {text} ({why})", self.address),
            None => format!("{}: {text}", self.address),
        }
    }
}

/// Messages, and which of them were delivered: a retry sends only the others.
pub(crate) struct Request {
    messages: Vec<(Message, AtomicBool)>,
    headers: Option<OwnedHeaders>,
}

/// The brokers' topics.
pub(crate) struct KafkaSink {
    layout: Layout,
    connection: Arc<Connection>,
}

impl KafkaSink {
    pub(crate) fn new(config: &Config, connection: Arc<Connection>) -> Result<Self, BoxError> {
        Ok(Self {
            layout: Layout::new(config)?,
            connection,
        })
    }
}

/// What waits for its report.
struct Flying<'a> {
    message: &'a (Message, AtomicBool),
    report: DeliveryFuture,
}

impl Flying<'_> {
    async fn land(self, outcomes: &mut Outcomes) {
        match self.report.await {
            Ok(Ok(_)) => self.message.1.store(true, Ordering::Release),
            Ok(Err((error, _))) => outcomes.failed(self.message.0.items, &error),
            Err(_) => outcomes.lost(),
        }
    }
}

#[async_trait]
impl Sink for KafkaSink {
    type Request = Request;

    fn start(&self) -> Result<(), BoxError> {
        Ok(self.connection.open()?)
    }

    fn encode(&self, batch: &Batch) -> Result<Vec<Encoded<Request>>, BoxError> {
        let headers = self.layout.headers(&batch.metadata);
        let headers = (!headers.is_empty()).then(|| {
            let empty = OwnedHeaders::new_with_capacity(headers.len());
            headers.iter().fold(empty, |all, (key, value)| {
                let value = Some(value.as_str());
                all.insert(Header { key, value })
            })
        });
        let bundles = self.layout.bundles(batch)?.into_iter();
        let encoded = bundles.map(|bundle| {
            let messages = bundle.messages.into_iter();
            Encoded {
                request: Request {
                    messages: messages
                        .map(|message| (message, AtomicBool::new(false)))
                        .collect(),
                    headers: headers.clone(),
                },
                items: bundle.data.items(),
                data: bundle.data,
            }
        });
        Ok(encoded.collect())
    }

    async fn send(&self, request: &Request) -> Result<Sent, SendError> {
        let producer = self.connection.producer.read().clone();
        let Some(producer) = producer else {
            let status = Status::Grpc(GrpcCode::Unavailable);
            return Err(SendError::retryable(status, "the exporter is not running"));
        };
        let mut outcomes = Outcomes::default();
        let mut flying = VecDeque::new();
        let undelivered = |message: &&(Message, AtomicBool)| !message.1.load(Ordering::Acquire);
        for message in request.messages.iter().filter(undelivered) {
            loop {
                let mut record = FutureRecord::to(&message.0.topic).payload(&*message.0.payload);
                if let Some(key) = &message.0.key {
                    record = record.key(&**key);
                }
                if let Some(headers) = &request.headers {
                    record = record.headers(headers.clone());
                }
                match producer.send_result(record) {
                    Ok(report) => flying.push_back(Flying { message, report }),
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                        match flying.pop_front() {
                            Some(first) => first.land(&mut outcomes).await,
                            None => tokio::time::sleep(ROOM).await,
                        }
                        continue;
                    }
                    Err((error, _)) => outcomes.failed(message.0.items, &error),
                }
                break;
            }
        }
        for flying in flying {
            flying.land(&mut outcomes).await;
        }
        let delivered = !request.messages.iter().all(|message| undelivered(&message));
        if delivered {
            self.connection.events.works();
        }
        if outcomes.denied() {
            self.connection.renew().await;
        }
        outcomes.answer(delivered, |text| self.connection.explain(&text))
    }

    fn address(&self) -> Cow<'_, str> {
        self.connection.address.as_str().into()
    }
}
