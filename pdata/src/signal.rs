//! The three signals, as values and as types.

use std::fmt;

/// A kind of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// Log records.
    Logs,
    /// Metric data points.
    Metrics,
    /// Spans.
    Traces,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Logs, Self::Metrics, Self::Traces];

    /// The name that configuration files use: `logs`, `metrics`, `traces`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Metrics => "metrics",
            Self::Traces => "traces",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::LogsSignal {}
    impl Sealed for super::MetricsSignal {}
    impl Sealed for super::TracesSignal {}
}

/// A signal as a type, so that a [`Rope`](crate::Rope) of logs is not one of spans.
pub trait SignalKind: sealed::Sealed + Copy + Default + fmt::Debug + Send + Sync + 'static {
    /// The same signal as a value.
    const SIGNAL: Signal;
    /// Its request in the owned model.
    type Model: prost::Message + Default;
}

/// Logs as a type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogsSignal;

impl SignalKind for LogsSignal {
    const SIGNAL: Signal = Signal::Logs;
    type Model = crate::model::ExportLogsServiceRequest;
}

/// Metrics as a type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetricsSignal;

impl SignalKind for MetricsSignal {
    const SIGNAL: Signal = Signal::Metrics;
    type Model = crate::model::ExportMetricsServiceRequest;
}

/// Traces as a type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TracesSignal;

impl SignalKind for TracesSignal {
    const SIGNAL: Signal = Signal::Traces;
    type Model = crate::model::ExportTraceServiceRequest;
}
