//! One attempt to push.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use corten_component::{BoxError, async_trait};

/// Brings a body to Loki.
#[async_trait]
pub(crate) trait Transport: Send + Sync + 'static {
    /// What has to be there before anything is sent: certificates.
    ///
    /// # Errors
    ///
    /// It is not there.
    fn start(&self) -> Result<(), BoxError> {
        Ok(())
    }

    /// Posts a push body (snappy, protobuf) in the name of a tenant.
    ///
    /// # Errors
    ///
    /// There was no answer; the text says why, without the address.
    async fn post(&self, tenant: Option<&str>, body: Bytes) -> Result<Answer, BoxError>;

    /// Where it goes, without credentials.
    fn address(&self) -> Cow<'_, str>;
}

/// What Loki said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `Retry-After`.
    pub(crate) retry_after: Option<Duration>,
    /// The beginning of the body.
    pub(crate) body: String,
}
