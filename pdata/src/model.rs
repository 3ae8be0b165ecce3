//! The owned model: the generated OTLP types.
//!
//! The slow path, for what truly needs whole records, and what the tests hold everything else
//! against. A rope becomes a model by [`Rope::decode`](crate::Rope::decode) and is made from one by
//! [`Rope::from_model`](crate::Rope::from_model). Unknown fields do not survive the way through it.

pub use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
pub use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
pub use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
pub use opentelemetry_proto::tonic::{
    common::v1 as common, logs::v1 as logs, metrics::v1 as metrics, resource::v1 as resource,
    trace::v1 as trace,
};
pub use prost::{DecodeError, Message};
