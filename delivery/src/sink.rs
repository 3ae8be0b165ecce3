//! What an exporter brings: one sink's protocol, without queues and retries.

use std::borrow::Cow;
use std::time::Duration;

use corten_component::{Batch, BoxError, Status, async_trait};
use corten_pdata::Data;

/// One sink's protocol.
///
/// [`Delivery`](crate::Delivery) does the rest: it queues, merges, retries, splits, counts and tells.
/// A request is encoded (and compressed) once; every retry sends the identical bytes, so that a sink that
/// recognises duplicates can.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// One request, ready for the wire.
    type Request: Send + Sync + 'static;

    /// What has to be there before anything is sent, such as certificates; called once, by
    /// [`Delivery::start`](crate::Delivery::start).
    ///
    /// # Errors
    ///
    /// It is not there.
    fn start(&self) -> Result<(), BoxError> {
        Ok(())
    }

    /// Cuts a batch into requests within the sink's limits and encodes them, in the order in which they
    /// should be sent. An empty vector means that there is nothing to send.
    ///
    /// # Errors
    ///
    /// The batch can't be encoded, ever. When it was merged from several, its parts are encoded one by
    /// one, so that one bad part costs only itself.
    fn encode(&self, batch: &Batch) -> Result<Vec<Encoded<Self::Request>>, BoxError>;

    /// Sends one request: a single attempt. It is dropped when the attempt takes longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`SendError`] says whether trying again can help.
    async fn send(&self, request: &Self::Request) -> Result<Sent, SendError>;

    /// Whether encoding costs so much (compression, another format) that large batches are better encoded
    /// away from the runtime's workers.
    fn compresses(&self) -> bool {
        true
    }

    /// Where it sends, for messages (`http://127.0.0.1:3100`); never a secret.
    fn address(&self) -> Cow<'_, str>;
}

/// A request and what it carries.
#[derive(Debug)]
pub struct Encoded<R> {
    /// Ready for the wire.
    pub request: R,
    /// Log records, data points or spans in it.
    pub items: usize,
    /// The telemetry in it (cheap: it shares the batch's bytes): what is sent in parts when the request
    /// is too large or is refused, and what the caller hears was not kept.
    pub data: Data,
}

/// The sink took the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// What it left out all the same (a partial success). Counted, told, never sent again.
    pub rejected: Vec<Rejected>,
}

impl Sent {
    /// Everything was taken.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// All but `items` were taken.
    #[must_use]
    pub fn partly(items: usize, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            rejected: vec![Rejected {
                items,
                reason,
                message: message.into(),
            }],
        }
    }
}

/// Items that a sink refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// How many.
    pub items: usize,
    /// A label for metrics, from a small fixed set: `partial_success`, `too_far_behind`, ….
    pub reason: &'static str,
    /// The sink's words.
    pub message: String,
}

/// An attempt that did not deliver.
#[derive(Clone, Debug)]
pub enum SendError {
    /// The same request can never succeed.
    Permanent {
        /// What upstream hears.
        status: Status,
        /// A label for metrics, from a small fixed set: `invalid_argument`, `unauthenticated`, ….
        reason: &'static str,
        /// The sink's words.
        message: String,
        /// Items that were refused, when the sink kept the others; `None`: none was kept.
        rejected: Option<usize>,
    },
    /// Trying again later can help.
    Retryable {
        /// What upstream hears if nobody can wait that long.
        status: Status,
        /// How long the sink asked to wait.
        after: Option<Duration>,
        /// What happened, with the address where it helps.
        message: String,
    },
    /// Over the sink's size limit: the data is sent in halves. A single item that is too large is refused for good.
    TooLarge {
        /// What upstream hears of a single item.
        status: Status,
        /// The sink's words.
        message: String,
    },
}

impl SendError {
    /// Trying again later can help.
    #[must_use]
    pub fn retryable(status: Status, message: impl Into<String>) -> Self {
        Self::Retryable {
            status,
            after: None,
            message: message.into(),
        }
    }

    /// None of the request was kept, and never will be.
    #[must_use]
    pub fn permanent(status: Status, reason: &'static str, message: impl Into<String>) -> Self {
        Self::Permanent {
            status,
            reason,
            message: message.into(),
            rejected: None,
        }
    }
}
