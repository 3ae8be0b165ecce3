//! Writing OTLP bytes straight into a growing buffer, without an object per record.
//!
//! A builder is told what comes in the order of the encoding: a resource, a scope in it, records in
//! that. Whatever begins ends what was open before. A record without a scope, or a scope without a
//! resource, gets an empty one. What comes out needs no validation.
//!
//! ```
//! use corten_pdata::build::LogsBuilder;
//!
//! let mut logs = LogsBuilder::new();
//! logs.resource(|resource| {
//!     resource.attribute_str("k8s.pod.name", "web-0");
//! });
//! logs.scope("", "");
//! logs.record(|record| {
//!     record.time(1_700_000_000_000_000_000).body_str("hello").attribute_int("line", 1);
//! });
//! assert_eq!(logs.items(), 1);
//! let logs = logs.finish();
//! assert_eq!(logs.items(), 1);
//! ```

mod logs;
mod metrics;
mod pool;
mod traces;
mod value;

pub use logs::{LineAttributes, LogRecordBuilder, LogsBuilder};
pub use metrics::{
    ExemplarBuilder, ExponentialHistogramPointBuilder, ExponentialHistogramPoints,
    HistogramPointBuilder, HistogramPoints, MetricBuilder, MetricsBuilder, NumberPointBuilder,
    NumberPoints, SummaryPointBuilder, SummaryPoints,
};
pub use pool::Pool;
pub use traces::{EventBuilder, LinkBuilder, SpanBuilder, TracesBuilder};
pub use value::OwnedValue;
pub(crate) use value::{put_any_value, put_attribute, put_attribute_raw};

use bytes::Bytes;

use crate::rope::{Rope, Segment};
use crate::signal::SignalKind;
use crate::wire::{self, Opened};

/// Bytes left for the length of a container: enough for 256 MiB without moving it.
const CONTAINER_WIDTH: usize = 4;

/// The attributes of a resource or a scope, being written.
#[derive(Debug)]
pub struct AttributesBuilder<'a> {
    out: &'a mut Vec<u8>,
    number: u32,
}

/// The methods that write attributes, for everything that has some.
macro_rules! attribute_methods {
    ($number:expr) => {
        /// Adds an attribute with a text value.
        #[inline]
        pub fn attribute_str(&mut self, key: &str, value: &str) -> &mut Self {
            let number = $number(&*self);
            $crate::build::put_attribute(self.out, number, key, &$crate::AnyValue::String(value));
            self
        }

        /// Adds an attribute with an integer value.
        #[inline]
        pub fn attribute_int(&mut self, key: &str, value: i64) -> &mut Self {
            let number = $number(&*self);
            $crate::build::put_attribute(self.out, number, key, &$crate::AnyValue::Int(value));
            self
        }

        /// Adds an attribute with a floating-point value.
        #[inline]
        pub fn attribute_double(&mut self, key: &str, value: f64) -> &mut Self {
            let number = $number(&*self);
            $crate::build::put_attribute(self.out, number, key, &$crate::AnyValue::Double(value));
            self
        }

        /// Adds an attribute that is true or false.
        #[inline]
        pub fn attribute_bool(&mut self, key: &str, value: bool) -> &mut Self {
            let number = $number(&*self);
            $crate::build::put_attribute(self.out, number, key, &$crate::AnyValue::Bool(value));
            self
        }

        /// Adds an attribute with any value.
        #[inline]
        pub fn attribute(&mut self, key: &str, value: &$crate::AnyValue<'_>) -> &mut Self {
            let number = $number(&*self);
            $crate::build::put_attribute(self.out, number, key, value);
            self
        }

        /// Adds copies of other attributes.
        #[inline]
        pub fn attributes(&mut self, attributes: $crate::Attributes<'_>) -> &mut Self {
            let number = $number(&*self);
            for attribute in attributes {
                let raw = $crate::Cursor::raw(&attribute);
                $crate::wire::put_bytes_field(self.out, number, raw);
            }
            self
        }
    };
}
pub(crate) use attribute_methods;

impl<'a> AttributesBuilder<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, number: u32) -> Self {
        Self { out, number }
    }

    attribute_methods!(|this: &Self| this.number);
}

/// What the builders of all signals share: the buffer and the open containers.
#[derive(Debug, Default)]
pub(crate) struct Containers {
    pub(crate) out: Vec<u8>,
    items: u32,
    resource: Option<Opened>,
    scope: Option<Opened>,
    /// What is open within a scope: a metric and its data.
    inner: [Option<Opened>; 2],
    /// Where the buffer comes from and goes to.
    pool: Option<Pool>,
}

impl Containers {
    fn with_capacity(bytes: usize) -> Self {
        Self {
            out: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    fn pooled(pool: &Pool) -> Self {
        Self {
            out: pool.take(),
            pool: Some(pool.clone()),
            ..Self::default()
        }
    }

    fn close(&mut self, opened: Option<Opened>) {
        if let Some(opened) = opened {
            wire::close_message(&mut self.out, opened);
        }
    }

    fn end_inner(&mut self) {
        let [metric, data] = std::mem::take(&mut self.inner);
        self.close(data);
        self.close(metric);
    }

    fn end_scope(&mut self) {
        self.end_inner();
        let scope = self.scope.take();
        self.close(scope);
    }

    fn end_resource(&mut self) {
        self.end_scope();
        let resource = self.resource.take();
        self.close(resource);
    }

    fn begin_resource(&mut self, schema_url: &str, write: impl FnOnce(&mut AttributesBuilder<'_>)) {
        self.end_resource();
        self.resource = Some(wire::open_message(&mut self.out, 1, CONTAINER_WIDTH));
        let resource = wire::open_message(&mut self.out, 1, 2);
        write(&mut AttributesBuilder::new(&mut self.out, 1));
        wire::close_message(&mut self.out, resource);
        self.put_str(3, schema_url);
    }

    fn begin_scope(
        &mut self,
        name: &str,
        version: &str,
        schema_url: &str,
        write: impl FnOnce(&mut AttributesBuilder<'_>),
    ) {
        self.end_scope();
        if self.resource.is_none() {
            self.resource = Some(wire::open_message(&mut self.out, 1, CONTAINER_WIDTH));
        }
        self.scope = Some(wire::open_message(&mut self.out, 2, CONTAINER_WIDTH));
        let scope = wire::open_message(&mut self.out, 1, 1);
        self.put_str(1, name);
        self.put_str(2, version);
        write(&mut AttributesBuilder::new(&mut self.out, 3));
        wire::close_message(&mut self.out, scope);
        self.put_str(3, schema_url);
    }

    fn put_str(&mut self, number: u32, text: &str) {
        if !text.is_empty() {
            wire::put_bytes_field(&mut self.out, number, text.as_bytes());
        }
    }

    /// Sees to it that there is a scope for what comes.
    #[inline]
    fn scope_is_open(&mut self) {
        if self.scope.is_none() {
            self.begin_scope("", "", "", |_| {});
        }
    }

    /// Begins a record or a metric within the open scope.
    fn open_in_scope(&mut self, width: usize) -> Opened {
        self.scope_is_open();
        wire::open_message(&mut self.out, 2, width)
    }

    fn count_item(&mut self) {
        self.items = self.items.saturating_add(1);
    }

    fn items(&self) -> usize {
        usize::try_from(self.items).unwrap_or(usize::MAX)
    }

    fn finish<S: SignalKind>(mut self) -> Rope<S> {
        self.end_resource();
        if let Some(pool) = &self.pool {
            return Segment::new_unchecked(pool.lend(self.out), self.items).into();
        }
        // Growing by doubling may have left nearly as much room again; telemetry may wait for long.
        if self.out.capacity() > self.out.len() + self.out.len() / 4 {
            self.out.shrink_to_fit();
        }
        Segment::new_unchecked(Bytes::from(self.out), self.items).into()
    }
}

/// The methods that the builders of all signals have.
macro_rules! container_methods {
    ($rope:ty) => {
        /// An empty builder.
        #[must_use]
        pub fn new() -> Self {
            Self::default()
        }

        /// An empty builder with room for `bytes`.
        #[must_use]
        pub fn with_capacity(bytes: usize) -> Self {
            Self {
                containers: Containers::with_capacity(bytes),
            }
        }

        /// An empty builder with a buffer of `pool`, which gets it back when the telemetry is gone.
        #[must_use]
        pub fn pooled(pool: &$crate::build::Pool) -> Self {
            Self {
                containers: Containers::pooled(pool),
            }
        }

        /// Begins a resource with the attributes that `write` adds.
        pub fn resource(&mut self, write: impl FnOnce(&mut AttributesBuilder<'_>)) -> &mut Self {
            self.containers.begin_resource("", write);
            self
        }

        /// Begins a resource whose attributes follow a schema.
        pub fn resource_with_schema(
            &mut self,
            schema_url: &str,
            write: impl FnOnce(&mut AttributesBuilder<'_>),
        ) -> &mut Self {
            self.containers.begin_resource(schema_url, write);
            self
        }

        /// Begins a scope within the resource.
        pub fn scope(&mut self, name: &str, version: &str) -> &mut Self {
            self.containers.begin_scope(name, version, "", |_| {});
            self
        }

        /// Begins a scope with a schema and the attributes that `write` adds.
        pub fn scope_with(
            &mut self,
            name: &str,
            version: &str,
            schema_url: &str,
            write: impl FnOnce(&mut AttributesBuilder<'_>),
        ) -> &mut Self {
            self.containers
                .begin_scope(name, version, schema_url, write);
            self
        }

        /// Log records, data points or spans so far.
        #[must_use]
        pub fn items(&self) -> usize {
            self.containers.items()
        }

        /// Bytes so far.
        #[must_use]
        pub fn len_bytes(&self) -> usize {
            self.containers.out.len()
        }

        /// Whether there is no item yet.
        #[must_use]
        pub fn is_empty(&self) -> bool {
            self.items() == 0
        }

        /// Ends what is open and hands over the telemetry.
        #[must_use]
        pub fn finish(self) -> $rope {
            self.containers.finish()
        }
    };
}
pub(crate) use container_methods;
