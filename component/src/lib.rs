//! The contract that every component of Corten is written against.
//!
//! Telemetry moves through a pipeline as a [`Batch`]: OTLP bytes with what is known about their
//! sender. Whoever takes batches is a [`Consumer`], and the value that
//! [`consume`](Consumer::consume) returns *is* the acknowledgement: `Ok` means that the batch is
//! safe, [`Refused`] says why nobody kept it and whether sending it again can help. There is no
//! other path for acknowledgements, so back-pressure and errors reach the receiver by `await`.
//!
//! Components come in five kinds: [`Receiver`], [`Processor`], [`Exporter`], [`Connector`] and
//! [`Extension`]. A component's crate exposes two items: its [`Metadata`] (who it is) and a
//! [`Factory`] (its configuration type and how to create it). What a component may ask of its
//! surroundings comes in a [`Context`]: tracked tasks, storage and authenticators by the name of
//! their extension, its health, and a meter for what only it can count. Items, bytes, latency and
//! outcome are counted on the edges between components, never in them.
//!
//! A component's life: *decode* (configuration only, every problem reported) → *create* (no IO, no
//! tasks) → [`start`](Component::start) (exporters first, receivers last) → work →
//! [`shutdown`](Component::shutdown) (receivers first, exporters last, each with a deadline).
//!
//! ```
//! use std::sync::Arc;
//! use async_trait::async_trait;
//! use corten_component::{Batch, Consumer, Refused};
//!
//! /// Forgets whatever it is given; `Ok` because nothing more will ever be wanted of it.
//! struct Nowhere;
//!
//! #[async_trait]
//! impl Consumer for Nowhere {
//!     async fn consume(&self, _batch: Batch) -> Result<(), Refused> {
//!         Ok(())
//!     }
//! }
//! let _sink: Arc<dyn Consumer> = Arc::new(Nowhere);
//! ```

mod auth;
mod batch;
mod blocking;
mod consumer;
mod context;
mod factory;
mod health;
mod kinds;
mod leadership;
mod observer;
mod recent;
mod refused;
mod secret_file;
mod services;
mod source;
mod storage;
mod tasks;

pub use auth::{ClientAuth, Denied, ServerAuth};
pub use batch::{Batch, ClientMetadata, Collection, Demand};
pub use blocking::{BlockingSource, Reader};
pub use consumer::{Consumer, Next};
pub use context::{Context, Extensions, MissingExtension};
pub use factory::{Create, CreateFn, Factories, Factory, Metadata, Prepared, Settings, Stability};
pub use health::{ComponentHealth, Condition, Health, HealthHandle};
pub use kinds::{Component, Connector, Exporter, Extension, Kind, Processor, Receiver};
pub use leadership::Leadership;
pub use observer::{Endpoint, Endpoints, Observer};
pub use recent::{Recent, RecentBatch, Tap};
pub use refused::{GrpcCode, Refused, Status};
pub use secret_file::{SecretFile, SecretFileError};
pub use services::{Reload, SelfMetrics, Services};
pub use source::{CollectRequest, Feed, Schedule, Source};
pub use storage::{Storage, StorageError};
pub use tasks::{Closing, Tasks};

pub use async_trait::async_trait;
pub use corten_config::types::ComponentId;
pub use corten_pdata::Signal;

/// An error whose only reader is a person: it is shown, never matched on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
