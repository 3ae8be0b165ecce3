//! Metrics on demand: receivers that scrape, and exporters that collect from them.
//!
//! Prometheus pulls, and an interval in between only makes values old. So a scraping receiver has
//! no timer: it is a [`Source`], and the pipeline collects from it either when an exporter asks
//! through its [`Feed`] or, when a push exporter stands at the end, on the source's [`Schedule`].
//! When nobody asks, nothing is computed.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use corten_pdata::Data;

use crate::{Batch, BoxError, ComponentId};

/// What one collection should contain, and by when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectRequest {
    /// Only these collectors (`collect[]`); empty: all that are enabled.
    pub include: Vec<String>,
    /// Not these collectors (`exclude[]`).
    pub exclude: Vec<String>,
    /// What is not there by then is left out.
    pub deadline: Instant,
}

impl CollectRequest {
    /// Everything, within `timeout` from now.
    #[must_use]
    pub fn all(timeout: Duration) -> Self {
        Self {
            include: Vec::new(),
            exclude: Vec::new(),
            deadline: Instant::now() + timeout,
        }
    }

    /// Whether the collector `name` is wanted.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        (self.include.is_empty() || self.include.iter().any(|wanted| wanted == name))
            && !self.exclude.iter().any(|unwanted| unwanted == name)
    }

    /// Whether two requests ask for the same, so that one collection can answer both.
    #[must_use]
    pub fn asks_the_same(&self, other: &Self) -> bool {
        self.include == other.include && self.exclude == other.exclude
    }
}

/// How often a source is collected when push exporters stand at the end of its pipelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// `collection_interval`.
    pub interval: Duration,
    /// `initial_delay`: time between the start and the first collection.
    pub initial_delay: Duration,
    /// `timeout` of one collection; zero means the interval.
    pub timeout: Duration,
}

impl Default for Schedule {
    /// The Collector's: once a minute, first after one second.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            initial_delay: Duration::from_secs(1),
            timeout: Duration::ZERO,
        }
    }
}

/// The scraping side of a receiver.
#[async_trait]
pub trait Source: Send + Sync {
    /// When to collect for exporters that do not ask.
    fn schedule(&self) -> Schedule;

    /// Reads the present state of what this receiver observes. A part that fails costs its own
    /// metrics and is reported among them, never the collection.
    ///
    /// # Errors
    ///
    /// Nothing at all could be read; the text says what and why.
    async fn collect(&self, request: &CollectRequest) -> Result<Data, BoxError>;
}

/// One scraping receiver as an exporter sees it: behind the processors of one pipeline.
#[async_trait]
pub trait Feed: Send + Sync {
    /// The receiver that is read.
    fn source(&self) -> &ComponentId;

    /// Collects now and brings what comes out of the pipeline's processors. Simultaneous calls
    /// with requests that [ask the same](CollectRequest::asks_the_same) share one collection.
    ///
    /// # Errors
    ///
    /// Nothing could be collected, or a processor refused it.
    async fn collect(&self, request: &CollectRequest) -> Result<Vec<Batch>, BoxError>;
}
