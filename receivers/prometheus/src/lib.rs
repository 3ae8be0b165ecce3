//! The `prometheus` receiver: scrapes what exposes metrics to Prometheus, as `scrape_configs` of a
//! `prometheus.yml` say, and makes OTLP of it.
//!
//! ```text
//! discovery ──▶ groups ──relabel──▶ targets ──▶ a loop each: request ──▶ page ──▶ OTLP
//! ```
//!
//! - [`discovery`]: who may be there; every mechanism is a stream of groups of labels;
//! - [`relabel`]: Prometheus's rules, which choose targets, name them, and choose and rename series;
//! - [`target`]: from labels to something that can be asked;
//! - [`scrape`]: asks it, on time;
//! - [`page`]: makes OTLP of the answer while reading it. No model of it is kept between
//!   two scrapes: only the page itself, and a hash of every series, so that one which went is told as ended.

mod access;
mod config;
mod discovery;
mod manager;
mod metadata;
mod page;
mod receiver;
mod relabel;
mod scrape;
mod target;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `prometheus`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::Prometheus::create)
}
