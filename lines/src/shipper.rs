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
