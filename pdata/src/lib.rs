//! Telemetry in memory is OTLP bytes.

pub mod attributes;
pub mod build;
pub mod cursor;
mod data;
pub mod edit;
pub mod json;
pub mod logs;
pub mod metrics;
pub mod model;
mod rope;
pub mod schema;
mod signal;
mod split;
#[doc(hidden)]
pub mod testing;
pub mod text;
pub mod traces;
pub mod validate;
pub mod wire;

pub use attributes::{AnyValue, Attributes, KeyValue, Resource, Scope};
pub use cursor::Cursor;
pub use data::{Data, SignalMismatch};
pub use json::JsonError;
pub use rope::{Logs, Metrics, Rope, Segment, Traces};
pub use signal::{LogsSignal, MetricsSignal, Signal, SignalKind, TracesSignal};
pub use validate::Malformed;
