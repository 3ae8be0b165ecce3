//! Corten's own log lines: stderr, human or JSON.

use corten_config::model::Logs;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging as `service::telemetry::logs` says. `RUST_LOG` wins over its level.
pub(crate) fn start(logs: &Logs) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        let level = logs.level.as_str();
        // The HTTP and gRPC libraries say little of use below warnings.
        EnvFilter::new(format!("{level},h2=warn,hyper=warn,tonic=warn,rustls=warn,opentelemetry=warn,opentelemetry_sdk=warn"))
    });
    let registry = tracing_subscriber::registry().with(filter);
    let stderr = std::io::stderr;
    if logs.is_json() {
        let layer = tracing_subscriber::fmt::layer().json().flatten_event(true);
        drop(registry.with(layer.with_writer(stderr)).try_init());
    } else {
        let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let layer = tracing_subscriber::fmt::layer().with_ansi(colours).with_target(false);
        drop(registry.with(layer.with_writer(stderr)).try_init());
    }
}
