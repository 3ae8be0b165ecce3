//! Corten's own log lines: stderr, human or JSON; and its own spans, where they are sent somewhere.

use corten_config::model::{LogEncoding, Logs};
use opentelemetry_sdk::trace::Tracer;
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging as `service::telemetry::logs` says, `RUST_LOG` winning over its level, and
/// recording spans with `tracer`.
pub(crate) fn start(logs: &Logs, tracer: Option<Tracer>) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        let level = logs.level.name();
        // The HTTP and gRPC libraries say little of use below warnings.
        EnvFilter::new(format!(
            "{level},h2=warn,hyper=warn,tonic=warn,rustls=warn,opentelemetry=warn,opentelemetry_sdk=warn"
        ))
    });
    let spans = tracer.map(|tracer| {
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_filter(filter_fn(|metadata| {
                metadata.target() == "corten::own_traces"
            }))
    });
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if logs.encoding == LogEncoding::Json {
        layer.json().flatten_event(true).with_filter(filter).boxed()
    } else {
        let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
        layer
            .with_ansi(colours)
            .with_target(false)
            .with_filter(filter)
            .boxed()
    };
    let registry = tracing_subscriber::registry().with(lines).with(spans);
    // Only a second start in one process fails here, and the first one's lines go on.
    drop(registry.try_init());
}
