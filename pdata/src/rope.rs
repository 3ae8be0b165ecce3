//! A short rope of validated requests: one signal's telemetry on its way.

use std::fmt;
use std::marker::PhantomData;

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use smallvec::SmallVec;

use crate::signal::{LogsSignal, MetricsSignal, SignalKind, TracesSignal};
use crate::validate::{self, Malformed};
use crate::{Signal, schema};

/// A serialized `Export…ServiceRequest` that is known to be well formed, and how many items it
/// carries. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Segment {
    bytes: Bytes,
    items: u32,
}

impl Segment {
    /// Checks and counts a request. Where protobuf asks for merging (a message that occurs twice
    /// where it may occur once), the segment holds the merged request.
    ///
    /// # Errors
    ///
    /// [`Malformed`] with the first problem.
    pub fn validate(signal: Signal, bytes: Bytes) -> Result<Self, Malformed> {
        let checked = validate::check(signal, &bytes)?;
        if !checked.merges {
            return Ok(Self::new_unchecked(bytes, checked.items));
        }
        let merged = Bytes::from(validate::normalise(schema::request(signal), &bytes));
        let items = validate::check(signal, &merged)?.items;
        Ok(Self::new_unchecked(merged, items))
    }

    /// A request made by this crate out of validated pieces.
    pub(crate) fn new_unchecked(bytes: Bytes, items: u32) -> Self {
        Self { bytes, items }
    }

    /// Log records, data points or spans.
    #[inline]
    #[must_use]
    pub fn items(&self) -> usize {
        usize::try_from(self.items).unwrap_or(usize::MAX)
    }

    /// The serialized request.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Segment({} items, {} bytes)",
            self.items,
            self.bytes.len()
        )
    }
}

/// Logs on their way.
pub type Logs = Rope<LogsSignal>;
/// Metrics on their way.
pub type Metrics = Rope<MetricsSignal>;
/// Traces on their way.
pub type Traces = Rope<TracesSignal>;

/// Telemetry of one signal: a sequence of requests that together mean one request, since repeated
/// fields concatenate in protobuf. Cloning shares the bytes; appending copies none.
///
/// Two ropes are equal if their segments are; use [`Rope::to_bytes`] or [`Rope::decode`] to compare
/// regardless of the cuts.
#[derive(Clone, PartialEq, Eq)]
pub struct Rope<S> {
    segments: SmallVec<[Segment; 1]>,
    items: usize,
    bytes_len: usize,
    signal: PhantomData<S>,
}

impl<S: SignalKind> Rope<S> {
    /// A rope without anything.
    #[must_use]
    pub fn new() -> Self {
        Self {
            segments: SmallVec::new(),
            items: 0,
            bytes_len: 0,
            signal: PhantomData,
        }
    }

    /// Checks, counts and takes a serialized `Export…ServiceRequest`.
    ///
    /// # Errors
    ///
    /// [`Malformed`] with the first problem.
    pub fn parse(bytes: Bytes) -> Result<Self, Malformed> {
        let mut rope = Self::new();
        rope.push(Segment::validate(S::SIGNAL, bytes)?);
        Ok(rope)
    }

    /// Appends a segment of the same signal. One without bytes is left out.
    pub fn push(&mut self, segment: Segment) {
        if segment.bytes.is_empty() {
            return;
        }
        self.items = self.items.saturating_add(segment.items());
        self.bytes_len = self.bytes_len.saturating_add(segment.bytes.len());
        self.segments.push(segment);
    }

    /// Appends what another rope carries. Copies no telemetry.
    pub fn append(&mut self, other: Self) {
        for segment in other.segments {
            self.push(segment);
        }
    }

    /// The signal as a value.
    #[must_use]
    pub fn signal(&self) -> Signal {
        S::SIGNAL
    }

    /// The requests that this rope consists of, in order.
    #[inline]
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Log records, data points or spans.
    #[inline]
    #[must_use]
    pub fn items(&self) -> usize {
        self.items
    }

    /// Bytes of the OTLP encoding.
    #[inline]
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        self.bytes_len
    }

    /// Whether there is no item in it. (There may be resources without any.)
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// The whole as one serialized request. Copies only if there are several segments.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match self.segments.as_slice() {
            [] => Bytes::new(),
            [segment] => segment.bytes.clone(),
            segments => {
                let mut joined = BytesMut::with_capacity(self.bytes_len);
                for segment in segments {
                    joined.extend_from_slice(&segment.bytes);
                }
                joined.freeze()
            }
        }
    }

    /// The owned model of the whole. Slow: every record becomes objects.
    ///
    /// # Errors
    ///
    /// Never for validated telemetry; the decoder's own error otherwise.
    pub fn decode(&self) -> Result<S::Model, prost::DecodeError> {
        let mut model = S::Model::default();
        for segment in &self.segments {
            model.merge(segment.bytes.clone())?;
        }
        Ok(model)
    }

    /// The rope of a model.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the model nests values more than [`validate::MAX_DEPTH`] messages deep.
    pub fn from_model(model: &S::Model) -> Result<Self, Malformed> {
        Self::parse(Bytes::from(model.encode_to_vec()))
    }
}

impl<S: SignalKind> Default for Rope<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: SignalKind> From<Segment> for Rope<S> {
    fn from(segment: Segment) -> Self {
        Self::from_iter([segment])
    }
}

impl<S: SignalKind> FromIterator<Segment> for Rope<S> {
    fn from_iter<I: IntoIterator<Item = Segment>>(segments: I) -> Self {
        let mut rope = Self::new();
        for segment in segments {
            rope.push(segment);
        }
        rope
    }
}

impl<S: SignalKind> fmt::Debug for Rope<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", S::SIGNAL, self.segments)
    }
}
