//! The `prometheus` exporter: serves metrics to whoever scrapes them.
//!
//! Two kinds of metrics meet on its page. Scraping receivers (the host, the node, containers) are
//! collected when somebody asks, at that moment; nothing is remembered and nothing expires. What is
//! *pushed* to it (by applications over OTLP) goes into a [`store`] that keeps the last value of each
//! series until it is replaced, ends or expires.
//!
//! # `job` and `instance`
//!
//! They say which target was scraped, so only the scraper knows them, and no series has them here. A
//! page that had them would be changed by every Prometheus (`exported_job`), or, with `honor_labels`, would replace
//! what its configuration says. What tells one pushing application from another keeps its own name instead:
//! `service.name`, `service.namespace` and `service.instance.id` are the labels `service_name`,
//! `service_namespace` and `service_instance_id` of every translated series and of its `target_info`, so that
//! `requests_total * on (service_name, service_instance_id) group_left (k8s_pod_name) target_info`
//! joins them. Without them two applications with the same metrics would be one series. The Collector makes `job` and
//! `instance` of these attributes; Prometheus's own OTLP endpoint, told to promote them, names them as they are named here.
//!
//! An attribute or a constant label that is called `job`, `instance` or `__name__` is shown as `exported_job` and so on,
//! as Prometheus itself would name it. Only labels of metrics that already are Prometheus's (a textfile's)
//! stay as they are.
//!
//! # Bad input
//!
//! | What | What becomes of it |
//! |---|---|
//! | a second type or unit under one name, one series twice, a name that is a part of a histogram's, a label `le` on a histogram | left out, logged once, counted; the rest of the page stands |
//! | names of which nothing is left | as above |
//! | two attributes that become one label | one label, values joined with `;` |
//! | attributes without a name | left out |
//! | text that is not UTF-8 | refused where it enters the agent; bytes are shown as base64 |
//! | more series than `max_series` | dropped and counted |
//! | buckets that do not fit their bounds | as many as there are of both; unordered and infinite bounds are merged into the next |
//! | a count smaller than its buckets | the buckets' |
//! | a native histogram's count that is not its buckets' | the buckets', since Prometheus would refuse the whole page |
//! | exponential histograms below scale -4 or with indexes beyond every double | classic buckets, over protobuf too |
//! | quantiles outside of 0 to 1 | left out |
//! | NaN and infinite values | shown |
//!
//! [`METADATA`] says who it is, `config.rs` what users set, `scrape.rs` answers requests, `store.rs`
//! remembers.

mod config;
mod exporter;
mod notices;
mod query;
mod remembered;
mod scrape;
mod store;
#[cfg(test)]
mod tests;

use corten_component::{Factory, Kind, Metadata, Signal, Stability};

/// `prometheus`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Exporter,
    type_name: "prometheus",
    aliases: &[],
    signals: &[Signal::Metrics],
    produces: &[],
    stability: Stability::Beta,
    summary: "Serves metrics to Prometheus: collected when it asks, or kept from what was pushed",
};

/// The factory of `prometheus`.
#[must_use]
pub fn factory() -> Factory {
    Factory::exporter(&METADATA, exporter::Prometheus::create)
}
