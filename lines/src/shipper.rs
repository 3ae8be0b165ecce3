//! Offers batches to the pipeline and says what became of them.
//!
//! Many are on their way at once. When one is refused for now no new ones begin until it was taken, so that the
//! order of a log is kept as well as it can be; a file can wait, so that goes on without end.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use corten_component::{Batch, Consumer, Context, Next, Status};
use corten_pdata::Logs;
use corten_tail::Ticket;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use opentelemetry::KeyValue;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// A batch and what it answers for.
#[derive(Debug)]
pub struct Shipment<R> {
    /// The records.
    pub logs: Logs,
    /// Their origin hears of it through this.
    pub receipt: R,
}

/// Tells the origin of records that they are safe. Dropped without that, they have to be read again.
pub trait Receipt: Send + 'static {
    /// They are safe, or refused for good and counted: they need not be read again.
    fn kept(self);
}

impl Receipt for Vec<Ticket> {
    fn kept(self) {
        self.into_iter().for_each(Ticket::delivered);
    }
}

/// The pauses between two offers.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    /// After the first refusal; doubled from there.
    pub first: Duration,
    /// At most.
    pub longest: Duration,
}

/// A batch on its way, by its place in the order.
struct Parcel<R> {
    number: u64,
    batch: Batch,
    receipt: R,
}

enum Outcome<R> {
    Kept(R),
    Refused {
        parcel: Parcel<R>,
        after: Option<Duration>,
    },
    Lost {
        receipt: R,
        items: usize,
        status: Status,
        reason: String,
    },
}

async fn offer<R>(next: &Next, parcel: Parcel<R>) -> Outcome<R> {
    let Parcel {
        number,
        batch,
        receipt,
    } = parcel;
    match next.consume(batch).await {
        Ok(()) => Outcome::Kept(receipt),
        Err(refused) if refused.is_retryable() => {
            let after = refused.delay();
            let batch = refused.into_rest().replayable();
            Outcome::Refused {
                parcel: Parcel {
                    number,
                    batch,
                    receipt,
                },
                after,
            }
        }
        Err(refused) => Outcome::Lost {
            receipt,
            items: refused.rest().items(),
            status: refused.status(),
            reason: refused.reason().to_string(),
        },
    }
}

/// A status as a metric's label: there are few of them, unlike of the texts that come with them.
fn label(status: Status) -> String {
    match status {
        Status::Unset => "unknown".to_owned(),
        Status::Http(code) => format!("http_{code}"),
        Status::Grpc(code) => format!("grpc_{}", code.number()),
    }
}

/// Runs until the engine is gone and everything was answered, or until `end`. Once a shutdown has
/// begun, what is refused is not offered again: its lines are read again after the next start.
///
/// What is refused for good is counted by the status that came with it: `corten_receiver_lost_log_records{receiver, reason}`, where the
/// reason is `http_400`, `grpc_3` or, without a status, `unknown`.
pub async fn ship<R: Receipt>(
    cx: Context,
    next: Next,
    mut inbox: mpsc::Receiver<Shipment<R>>,
    pauses: Pauses,
    end: CancellationToken,
) {
    let closing = cx.closing();
    let lost = cx
        .meter()
        .u64_counter("corten_receiver_lost_log_records")
        .with_description("Number of log records that the pipeline refused for good, by its status")
        .build();
    let receiver = KeyValue::new("receiver", cx.id().to_string());
    let mut running = FuturesUnordered::new();
    let mut refused: BTreeMap<u64, Parcel<R>> = BTreeMap::new();
    let mut retry = pin!(sleep_until(Instant::now()));
    let mut pause = pauses.first;
    let mut number = 0;
    let mut open = true;
    let mut told: Option<Instant> = None;
    let mut begun = pin!(closing.begun());
    while open || !running.is_empty() || !refused.is_empty() {
        if closing.has_begun() {
            refused.clear();
        }
        tokio::select! {
            biased;
            () = end.cancelled() => return,
            Some(outcome) = running.next() => match outcome {
                Outcome::Kept(receipt) => {
                    R::kept(receipt);
                    pause = pauses.first;
                }
                Outcome::Lost { receipt, items, status, reason } => {
                    let why = label(status);
                    let count = u64::try_from(items).unwrap_or(u64::MAX);
                    lost.add(count, &[receiver.clone(), KeyValue::new("reason", why)]);
                    if told.is_none_or(|told| told.elapsed() > Duration::from_secs(60)) {
                        tracing::error!(
                            receiver = %cx.id(),
                            items,
                            reason,
                            "log records refused for good; they are lost (see corten_receiver_lost_log_records)"
                        );
                        told = Some(Instant::now());
                    }
                    receipt.kept();
                }
                Outcome::Refused { parcel, after } => {
                    if refused.is_empty() {
                        let wait = after.unwrap_or(pause).max(pause);
                        retry.as_mut().reset(Instant::now() + wait);
                        pause = (pause * 2).min(pauses.longest);
                    }
                    refused.insert(parcel.number, parcel);
                }
            },
            () = begun.as_mut(), if !refused.is_empty() => {}
            () = retry.as_mut(), if !refused.is_empty() => {
                for parcel in std::mem::take(&mut refused).into_values() {
                    running.push(offer(&next, parcel));
                }
            }
            shipment = inbox.recv(), if open && refused.is_empty() => match shipment {
                Some(Shipment { logs, receipt }) => {
                    number += 1;
                    let batch = Batch::new(logs).replayable();
                    running.push(offer(&next, Parcel { number, batch, receipt }));
                }
                None => open = false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use corten_component::{Extensions, Health, Kind, Services};
    use corten_pdata::build::LogsBuilder;
    use corten_testing::{Answer, RecordingSink};
    use opentelemetry::metrics::MeterProvider as _;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
    use opentelemetry_sdk::metrics::reader::MetricReader;
    use opentelemetry_sdk::metrics::{
        InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Temporality,
    };
    use parking_lot::Mutex;

    use super::*;

    /// A reader that two can hold.
    #[derive(Clone, Debug)]
    struct Reader(Arc<ManualReader>);

    impl MetricReader for Reader {
        fn register_pipeline(&self, pipeline: std::sync::Weak<Pipeline>) {
            self.0.register_pipeline(pipeline);
        }

        fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
            self.0.collect(metrics)
        }

        fn force_flush(&self) -> OTelSdkResult {
            self.0.force_flush()
        }

        fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
            self.0.shutdown_with_timeout(timeout)
        }

        fn temporality(&self, kind: InstrumentKind) -> Temporality {
            self.0.temporality(kind)
        }
    }

    /// What is counted as lost, by receiver and reason.
    fn lost(reader: &Reader) -> BTreeMap<(String, String), u64> {
        let mut own = ResourceMetrics::default();
        reader.collect(&mut own).unwrap();
        let metrics = own.scope_metrics().flat_map(|scope| scope.metrics());
        let mut counts = BTreeMap::new();
        for metric in metrics.filter(|one| one.name() == "corten_receiver_lost_log_records") {
            let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() else {
                continue;
            };
            for point in sum.data_points() {
                let label = |key: &str| {
                    let mut pairs = point.attributes();
                    let pair = pairs.find(|pair| pair.key.as_str() == key).unwrap();
                    pair.value.to_string()
                };
                counts.insert((label("receiver"), label("reason")), point.value());
            }
        }
        counts
    }

    fn batch(records: usize) -> Logs {
        let mut builder = LogsBuilder::new();
        builder.resource(|_| {});
        for _ in 0..records {
            builder.record(|record| {
                record.body_str("x");
            });
        }
        builder.finish()
    }

    /// Notes which batches' origin was told that they are done.
    struct Told(usize, Arc<Mutex<Vec<usize>>>);

    impl Receipt for Told {
        fn kept(self) {
            self.1.lock().push(self.0);
        }
    }

    #[tokio::test]
    async fn what_is_refused_for_good_is_counted_by_its_status() {
        let reader = Reader(Arc::new(ManualReader::builder().build()));
        let provider = SdkMeterProvider::builder()
            .with_reader(reader.clone())
            .build();
        let cx = Context::new(
            Kind::Receiver,
            "file_log/pods".parse().unwrap(),
            Extensions::default(),
            Services::new(),
            &Health::new(),
            provider.meter("corten"),
        );
        let sink = RecordingSink::scripted([
            Answer::Never(Status::Http(400)),
            Answer::Keep,
            Answer::Never(Status::Http(400)),
            Answer::Never(Status::Unset),
        ]);
        let told = Arc::new(Mutex::new(Vec::new()));
        let (sender, inbox) = mpsc::channel(4);
        for records in 1..=4 {
            let logs = batch(records);
            let receipt = Told(records, Arc::clone(&told));
            let shipment = Shipment { logs, receipt };
            assert!(sender.send(shipment).await.is_ok());
        }
        drop(sender);
        let pauses = Pauses {
            first: Duration::ZERO,
            longest: Duration::ZERO,
        };
        ship(cx, sink.next(), inbox, pauses, CancellationToken::new()).await;
        let count = |reason: &str| ("file_log/pods".to_owned(), reason.to_owned());
        let expected = BTreeMap::from([(count("http_400"), 1 + 3), (count("unknown"), 4)]);
        assert_eq!(lost(&reader), expected);
        assert_eq!(sink.items(), 2, "the others are kept");
        told.lock().sort_unstable();
        assert_eq!(*told.lock(), [1, 2, 3, 4], "none of them is read again");
    }
}
