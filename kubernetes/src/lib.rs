//! The node's view of the API server.
//!
//! The API server is somebody else's machine: it is away, restarts, forgets versions and rotates
//! tokens. So nothing here makes data wait for it. A [`watch`](run) runs in a task of its own,
//! survives all of that with growing, jittered pauses, and keeps a small index, [`Pods`], up to date;
//! looking something up reads memory alone, and what was known last still stands while the API
//! server is away.
//!
//! - [`ApiConfig`], [`ApiClient`]: how the API server is reached, as `auth_type` says;
//! - [`Selection`], [`run`]: list in pages, watch from there, list again when the version is gone;
//! - [`Pods`]: pods by uid, address, name and container, the deleted ones for a grace time;
//! - [`Changes`]: what happens to objects, each thing once, for whoever writes it down;
//! - [`Elector`]: one of many, by a `Lease`;
//! - [`LogStream`]: the log of a container, through the API server;
//! - [`parse_quantity`]: `500m`, `128Mi`;
//! - [`Rule`]: what to add to a ClusterRole when the answer is 403;
//! - [`object`], [`Anything`]: the few fields of objects that are read. The rest is skipped while parsing.

mod anything;
mod backoff;
mod changes;
mod client;
mod config;
mod error;
mod lease;
mod logs;
pub mod object;
mod page;
mod pods;
mod quantity;
mod rbac;
mod watch;

pub use anything::Anything;
pub use changes::{Begin, Change, ChangeKind, Changes, Round};
pub use client::{ApiClient, Body, Surroundings};
pub use config::{ApiConfig, AuthType, node_from_environment};
pub use error::ApiError;
pub use lease::{Elector, LeaseSettings, Standing};
pub use logs::{Lines, LogQuery, LogStream, is_idle};
pub use pods::{Limits, Pods};
pub use quantity::parse_quantity;
pub use rbac::Rule;
pub use watch::{Keep, Selection, Timing, run};
