//! What both protocols share.

use std::sync::Arc;
use std::time::Duration;

use corten_component::{Batch, ClientMetadata, Consumer, Context, GrpcCode, Next, Refused, Signal};
use corten_net::admission::{Admission, Reservation};
use corten_pdata::Data;

use crate::config::Config;
use crate::metadata::Metrics;

/// How long a sender should wait when nobody downstream said how long.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Where requests become batches.
pub(crate) struct Intake {
    next: Next,
    admission: Arc<Admission>,
    pub(crate) metrics: Metrics,
}

/// What became of a request that was in order.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// All of it is safe.
    Kept,
    /// All but `rejected` items is; those are lost for good.
    Partly {
        /// Log records, data points or spans.
        rejected: usize,
        /// Why.
        message: String,
    },
    /// Nothing is.
    Refused(Refused),
}

impl Intake {
    pub(crate) fn new(cx: &Context, config: &Config, next: Next) -> Self {
        Self {
            next,
            admission: Admission::new(config.max_in_flight_size.as_usize()),
            metrics: Metrics::new(cx),
        }
    }

    /// The signals that some pipeline takes from this receiver.
    pub(crate) fn signals(&self) -> impl Iterator<Item = Signal> {
        Signal::ALL
            .into_iter()
            .filter(|signal| self.next.accepts(*signal))
    }

    /// Room for one more request, to grow as it is read. `None` when there is none: nothing is read then.
    pub(crate) fn room(&self) -> Option<Reservation> {
        // One byte: with the room used up, not even a request without a declared length may come in.
        self.admission.reserve(1)
    }

    /// Hands telemetry on. What has no item in it is nobody's business: it is kept at once.
    pub(crate) async fn take(&self, data: Data, metadata: Arc<ClientMetadata>) -> Outcome {
        let offered = data.items();
        if offered == 0 {
            return Outcome::Kept;
        }
        let batch = Batch::new(data).with_metadata(metadata);
        match self.next.consume(batch).await {
            Ok(()) => Outcome::Kept,
            Err(refused) => {
                let rejected = refused.rest().items();
                if !refused.is_retryable() && rejected < offered {
                    Outcome::Partly {
                        rejected,
                        message: refused.to_string(),
                    }
                } else {
                    Outcome::Refused(refused)
                }
            }
        }
    }
}

/// How long the sender should wait before it tries again. A sender drops what it hears `RESOURCE_EXHAUSTED` about
/// unless it is also told a time, so that always has one; for the rest its own back-off is better than a guess.
pub(crate) fn delay(refused: &Refused) -> Option<Duration> {
    if !refused.is_retryable() {
        return None;
    }
    let exhausted = refused.grpc_code() == GrpcCode::ResourceExhausted;
    refused.delay().or(exhausted.then_some(RETRY_AFTER))
}
