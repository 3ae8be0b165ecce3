//! Telemetry in memory is OTLP bytes.
//!
//! Most telemetry passes through an agent unread: it comes in as OTLP, is batched, and goes out as
//! OTLP. Decoding a span into objects takes a microsecond and a dozen allocations; stepping over it in
//! the bytes takes three nanoseconds. So a batch stays what it was on the wire until somebody has to
//! look inside, and whoever looks inside reads only what they ask for.
//!
//! # The pieces
//!
//! - A [`Segment`] is a serialized `Export…ServiceRequest` that has been checked, with the number of
//!   its items. A [`Rope`] is a short sequence of them, for one signal: [`Logs`], [`Metrics`],
//!   [`Traces`]. Repeated fields concatenate in protobuf, so appending ropes merges requests without
//!   copying them. [`Data`] is a rope whose signal is known at run time.
//! - **Checked once, at ingress.** [`Rope::parse`] goes over the bytes once: wire format, UTF-8,
//!   nesting, and counting ([`validate`]). After that nothing in this crate can meet malformed bytes;
//!   if it did, it would end early, not panic.
//! - **Read by cursors.** [`logs`], [`metrics`], [`traces`] and [`attributes`] are places in the
//!   bytes, small and `Copy`, written by hand. They take fields in any order, last values, packed and
//!   unpacked numbers.
//! - **Written by builders.** [`build`] appends to one growing buffer, without an object per record.
//! - **Edited by splicing.** [`edit`] changes attributes and drops records; what does not change is
//!   copied in bulk, unknown fields among it. [`Rope::split_items`] and [`Rope::split_bytes`] cut.
//! - **Spelled out** as OTLP/JSON by [`json`], for people by [`text`], as objects by [`model`].
//! - One table, [`schema`], describes the messages to the validator and the JSON codec; [`wire`] is
//!   the protobuf wire format, for exporters that write other protobuf messages too.
//!
//! # Example
//!
//! ```
//! use corten_pdata::build::LogsBuilder;
//! use corten_pdata::edit::{AttributeEdits, edit_resource_attributes};
//! use corten_pdata::Logs;
//!
//! let mut builder = LogsBuilder::new();
//! builder.resource(|resource| {
//!     resource.attribute_str("k8s.pod.name", "web-0");
//! });
//! builder.record(|record| {
//!     record.time(1_700_000_000_000_000_000).severity(9, "INFO").body_str("started");
//! });
//! let mut logs = builder.finish();
//!
//! // What came over the network joins it without a copy.
//! let received = logs.to_bytes();
//! logs.append(Logs::parse(received)?);
//! assert_eq!((logs.items(), logs.segments().len()), (2, 2));
//!
//! let edits = AttributeEdits::new().insert("k8s.cluster.name", "eu-1");
//! let logs = edit_resource_attributes(&logs, &edits);
//! for resource in logs.resources() {
//!     assert_eq!(resource.resource().attributes().get_str("k8s.cluster.name"), Some("eu-1"));
//!     for scope in resource.scopes() {
//!         for record in scope.records() {
//!             assert_eq!(record.body().and_then(|body| body.as_str()), Some("started"));
//!         }
//!     }
//! }
//! # Ok::<_, corten_pdata::Malformed>(())
//! ```
//!
//! # Invariants
//!
//! - A segment validates. Every function that makes one is held to that by property tests.
//! - After validation a message field that is not repeated, and a `oneof` with messages in it, occurs
//!   once: what protobuf would merge has been merged.
//! - `decode(edit(bytes)) == edit(decode(bytes))`, for every edit, filter and cut; the oracle is prost.
//! - Unknown fields outlive everything but the owned model and JSON, which have no place for them.
//! - No panic on any input, no recursion deeper than [`validate::MAX_DEPTH`].

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
