//! The sender as `corten-delivery` sees it.
//!
//! Delivery queues and counts; it knows nothing of streams. So it hands whole batches over, many at a time and in
//! their order, and the sender answers for each when Loki has answered for all of its lines.

use std::borrow::Cow;
use std::sync::Arc;

use corten_component::{Batch, BoxError, Status, async_trait};
use corten_delivery::{Encoded, Rejected, SendError, Sent, Sink};
use corten_pdata::{Data, Logs};

use crate::job::{GaveUp, Job};
use crate::sender::Sender;
use crate::transport::Transport;

/// Hands batches to the sender.
pub(crate) struct LokiSink<T> {
    pub(crate) sender: Arc<Sender<T>>,
}

/// A batch as it is handed over.
pub(crate) struct Handed {
    logs: Logs,
    replayable: bool,
}

#[async_trait]
impl<T: Transport> Sink for LokiSink<T> {
    type Request = Handed;

    fn start(&self) -> Result<(), BoxError> {
        self.sender.transport().start()
    }

    fn encode(&self, batch: &Batch) -> Result<Vec<Encoded<Handed>>, BoxError> {
        let Data::Logs(logs) = &batch.data else {
            return Err(format!("Loki takes logs only, not {}", batch.signal()).into());
        };
        if logs.items() == 0 {
            return Ok(Vec::new());
        }
        Ok(vec![Encoded {
            request: Handed {
                logs: logs.clone(),
                replayable: batch.replayable,
            },
            items: logs.items(),
            data: batch.data.clone(),
        }])
    }

    async fn send(&self, request: &Handed) -> Result<Sent, SendError> {
        let (job, end) = Job::new(request.logs.items(), request.replayable);
        // Before the first await: this is what keeps batches in their order.
        self.sender.accept(request.logs.segments(), &job);
        drop(job);
        match end.await {
            Ok(Ok(rejected)) => {
                let rejected = rejected.into_iter().map(|part| Rejected {
                    items: part.lines,
                    reason: part.reason.0,
                    message: part.message.to_string(),
                });
                Ok(Sent {
                    rejected: rejected.collect(),
                })
            }
            Ok(Err(GaveUp { status, why })) => {
                let status = status.map_or(Status::UNAVAILABLE, Status::Http);
                Err(SendError::retryable(status, why.to_string()))
            }
            // Every run of it was dropped without an answer.
            Err(_) => Err(SendError::retryable(
                Status::UNAVAILABLE,
                "stopped before Loki had answered",
            )),
        }
    }

    fn compresses(&self) -> bool {
        // Handing over costs nothing, and it must not leave its place in the order.
        false
    }

    fn address(&self) -> Cow<'_, str> {
        self.sender.transport().address()
    }
}
