//! The configuration file: from what the user gives to typed settings.
//!
//! ```text
//! --config, --set ──▶ tree ──▶ merge ──▶ expand ──▶ sections ──▶ typed, checked
//!    Sources          Node     maps join,  ${env:X}   Document     Section::decode_checked
//!                              later wins  $$         Model
//! ```
//!
//! 1. **Sources.** [`Sources`] takes every `--config` and `--set` in order; [`Environment`] is what they may refer to, so that
//!    a test needs no process.
//! 2. **Tree.** YAML becomes a [`Node`] tree in which every key and value knows its [`Span`]. YAML does not leave this crate.
//! 3. **Merge.** Maps are merged key by key, everything else is replaced; an explicit null clears.
//! 4. **Expand.** `${env:X:-default}`, `${file:…}`, `${yaml:…}` and `$$` are replaced *after* parsing, so a value
//!    never becomes structure by accident.
//! 5. **Sections.** [`Document::model`] reads the top level into a [`Model`]: components by id, each with its [`Section`],
//!    and the pipelines that connect them. It checks every reference in the Collector's words.
//! 6. **Types.** A component decodes its [`Section`] into its `Config`: any `serde` type whose fields have defaults.
//!    [`types`] and [`settings`] are what configs are made of, [`Check`] says what types cannot.
//!
//! The idea behind it is that **one run reports every problem**, each with its place, what was expected, what
//! was found, and the nearest valid name. So no step stops at the first error: each adds to [`Problems`] and hands on what is left.
//! `serde` does stop; [`Section::decode`] records the error, leaves the bad value out and decodes again.
//!
//! Secrets are [`types::Secret`], which prints as `[REDACTED]`; what has no type is never printed.
//!
//! ```
//! use corten_config::{Check, Checker, Problems, Sources, types::Duration};
//!
//! /// What users set.
//! #[derive(Debug, serde::Deserialize)]
//! #[serde(default)]
//! struct Config {
//!     timeout: Duration,
//!     send_batch_size: u32,
//!     send_batch_max_size: u32,
//! }
//!
//! impl Default for Config {
//!     fn default() -> Self {
//!         Self { timeout: Duration::from_millis(200), send_batch_size: 8192, send_batch_max_size: 0 }
//!     }
//! }
//!
//! impl Check for Config {
//!     fn check(&self, at: &mut Checker<'_>) {
//!         if self.send_batch_max_size > 0 && self.send_batch_max_size < self.send_batch_size {
//!             at.field("send_batch_max_size").error("must be greater or equal to send_batch_size");
//!         }
//!     }
//! }
//!
//! let file = "
//! receivers:
//!   otlp:
//! processors:
//!   batch:
//!     tiemout: 5s
//!     timeout: ${env:TIMEOUT:-soon}
//!     send_batch_max_size: 10
//! exporters:
//!   debug:
//! service:
//!   pipelines:
//!     traces:
//!       receivers: [otlp]
//!       processors: [batch, memory]
//!       exporters: [debug]
//! ";
//! let mut problems = Problems::new();
//! let document = Sources::new().text("corten.yaml", file).resolve(&corten_config::Process, &mut problems);
//! let model = document.model(&mut problems);
//! for batch in &model.processors {
//!     let config: Option<Config> = batch.section.decode_checked(&mut problems);
//!     assert!(config.is_none());
//! }
//! assert_eq!(problems.to_string(), "\
//! corten.yaml:6:5: processors::batch: unknown field 'tiemout', did you mean 'timeout'?
//! corten.yaml:7:14: processors::batch::timeout: expected a duration such as 5s, 1m30s or 200ms, found 'soon'
//! corten.yaml:8:26: processors::batch: send_batch_max_size must be greater or equal to send_batch_size
//! corten.yaml:15:27: service::pipelines::traces: references processor \"memory\" which is not configured");
//! ```

mod decode;
#[doc(hidden)]
pub mod defaults;
mod expand;
mod merge;
pub mod model;
mod node;
mod parse;
pub mod print;
mod problem;
mod resolve;
pub mod schema;
mod section;
pub mod settings;
pub mod types;

pub use defaults::over;
pub use model::{Document, Model};
pub use node::{Entry, Map, Node, Scalar, Source, Span, Style, Value};
pub use problem::{Problem, Problems, Severity, nearest};
pub use resolve::{Environment, Process, Sources};
pub use section::{Check, Checker, Section, Spot, from_data, from_str, section};
