//! Telemetry of any signal.

use bytes::Bytes;
use thiserror::Error;

use crate::rope::{Logs, Metrics, Segment, Traces};
use crate::validate::Malformed;
use crate::{Rope, Signal};

/// Telemetry of one signal, which one being known at run time. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Log records.
    Logs(Logs),
    /// Metric data points.
    Metrics(Metrics),
    /// Spans.
    Traces(Traces),
}

/// Two signals do not go into one rope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("cannot append {found} to {expected}")]
pub struct SignalMismatch {
    /// What was there.
    pub expected: Signal,
    /// What was to be appended.
    pub found: Signal,
}

macro_rules! each {
    ($data:expr, $rope:ident => $body:expr) => {
        match $data {
            Data::Logs($rope) => $body,
            Data::Metrics($rope) => $body,
            Data::Traces($rope) => $body,
        }
    };
}

impl Data {
    /// Nothing, of this signal.
    #[must_use]
    pub fn empty(signal: Signal) -> Self {
        Self::from_segments(signal, [])
    }

    /// Checks, counts and takes a serialized `Export…ServiceRequest` of `signal`.
    ///
    /// # Errors
    ///
    /// [`Malformed`] with the first problem.
    pub fn parse(signal: Signal, bytes: Bytes) -> Result<Self, Malformed> {
        Ok(Self::from_segments(
            signal,
            [Segment::validate(signal, bytes)?],
        ))
    }

    /// Puts together segments that were validated as `signal`.
    #[must_use]
    pub fn from_segments(signal: Signal, segments: impl IntoIterator<Item = Segment>) -> Self {
        match signal {
            Signal::Logs => Self::Logs(Rope::from_iter(segments)),
            Signal::Metrics => Self::Metrics(Rope::from_iter(segments)),
            Signal::Traces => Self::Traces(Rope::from_iter(segments)),
        }
    }

    /// Which signal it is.
    #[must_use]
    pub fn signal(&self) -> Signal {
        each!(self, rope => rope.signal())
    }

    /// The requests that it consists of, in order.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        each!(self, rope => rope.segments())
    }

    /// Log records, data points or spans.
    #[must_use]
    pub fn items(&self) -> usize {
        each!(self, rope => rope.items())
    }

    /// Bytes of the OTLP encoding.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        each!(self, rope => rope.bytes_len())
    }

    /// Whether there is no item in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        each!(self, rope => rope.is_empty())
    }

    /// The whole as one serialized request. Copies only if there are several segments.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        each!(self, rope => rope.to_bytes())
    }

    /// Appends `other`. Copies no telemetry.
    ///
    /// # Errors
    ///
    /// [`SignalMismatch`] if it is of another signal; nothing is appended then.
    pub fn append(&mut self, other: Self) -> Result<(), SignalMismatch> {
        match (self, other) {
            (Self::Logs(rope), Self::Logs(other)) => rope.append(other),
            (Self::Metrics(rope), Self::Metrics(other)) => rope.append(other),
            (Self::Traces(rope), Self::Traces(other)) => rope.append(other),
            (this, other) => {
                return Err(SignalMismatch {
                    expected: this.signal(),
                    found: other.signal(),
                });
            }
        }
        Ok(())
    }

    /// Cuts it into pieces of at most `max` items, in order. See [`Rope::split_items`].
    #[must_use]
    pub fn split_items(self, max: usize) -> Vec<Self> {
        each!(self, rope => rope.split_items(max).into_iter().map(Self::from).collect())
    }

    /// Cuts it into pieces of at most `max` bytes, in order. See [`Rope::split_bytes`].
    #[must_use]
    pub fn split_bytes(self, max: usize) -> Vec<Self> {
        each!(self, rope => rope.split_bytes(max).into_iter().map(Self::from).collect())
    }

    /// Takes the first `count` items out of it. See [`Rope::take_items`].
    #[must_use]
    pub fn take_items(&mut self, count: usize) -> Self {
        each!(self, rope => rope.take_items(count).into())
    }
}

impl From<Logs> for Data {
    fn from(logs: Logs) -> Self {
        Self::Logs(logs)
    }
}

impl From<Metrics> for Data {
    fn from(metrics: Metrics) -> Self {
        Self::Metrics(metrics)
    }
}

impl From<Traces> for Data {
    fn from(traces: Traces) -> Self {
        Self::Traces(traces)
    }
}
