//! From a configuration to running pipelines.
//!
//! [`Plan::check`] holds a configuration against the components that a distribution has (its
//! [`Registry`]) and finds every problem in one run. [`Graph::build`] creates the components and
//! connects them, without IO; [`Graph::start`] starts them from the exporters to the receivers;
//! [`Graph::shutdown`] stops them the other way round, each with a deadline.
//!
//! The graph's edges count what every component would otherwise count for itself: items, bytes,
//! time and outcome, under the Collector's metric names. Fan-out shares a batch without copying it.
//! Scraping receivers are collected by the graph: on demand for exporters that are scraped, on
//! their schedule for those that push.

mod collecting;
mod edge;
mod fanout;
mod graph;
mod plan;

pub use graph::{Graph, GraphError, Surroundings};
pub use plan::{PipelinePlan, Plan, Registry};

/// A meter whose instruments count nothing.
#[cfg(test)]
pub(crate) fn no_meter() -> opentelemetry::metrics::Meter {
    use opentelemetry::metrics::MeterProvider;
    opentelemetry::metrics::noop::NoopMeterProvider::new().meter("test")
}
