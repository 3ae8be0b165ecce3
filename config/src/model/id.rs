//! What parts of the configuration are called.

use std::fmt;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::node::{Span, quoted};
use crate::section::Section;
use crate::types::{ComponentId, ParseIdError};

/// What a component does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Brings data in.
    Receiver,
    /// Changes it on its way.
    Processor,
    /// Sends it out.
    Exporter,
    /// Joins pipelines.
    Connector,
    /// Helps the others.
    Extension,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Receiver,
        Self::Processor,
        Self::Exporter,
        Self::Connector,
        Self::Extension,
    ];

    /// `receiver`, ….
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receiver => "receiver",
            Self::Processor => "processor",
            Self::Exporter => "exporter",
            Self::Connector => "connector",
            Self::Extension => "extension",
        }
    }

    /// The section of the file: `receivers`, ….
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Receiver => "receivers",
            Self::Processor => "processors",
            Self::Exporter => "exporters",
            Self::Connector => "connectors",
            Self::Extension => "extensions",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A kind of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Data points.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    /// `traces`, `metrics` or `logs`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A pipeline's id: its signal, and a name when there are several of the signal, such as `metrics/node`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipelineId {
    signal: Signal,
    /// Empty when there is none.
    name: String,
}

impl PipelineId {
    /// What flows through it.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// The part after the slash; empty when there is none.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The text is not a pipeline's id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParsePipelineIdError {
    /// It is not even a component's.
    #[error(transparent)]
    Id(#[from] ParseIdError),
    /// The signal is none.
    #[error("unknown signal {} (valid: traces, metrics, logs)", quoted(.0))]
    Signal(String),
    /// Profiles are not there yet.
    #[error("pipeline \"{0}\": profiling signal support is at alpha level, and not there yet")]
    Profiles(String),
}

impl FromStr for PipelineId {
    type Err = ParsePipelineIdError;

    fn from_str(text: &str) -> Result<Self, ParsePipelineIdError> {
        let id: ComponentId = text.parse()?;
        let signal = match id.component_type() {
            "profiles" => return Err(ParsePipelineIdError::Profiles(id.to_string())),
            name => Signal::ALL.into_iter().find(|signal| signal.name() == name),
        };
        match signal {
            Some(signal) => Ok(Self {
                signal,
                name: id.name().to_owned(),
            }),
            None => Err(ParsePipelineIdError::Signal(id.component_type().to_owned())),
        }
    }
}

impl fmt::Display for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.signal.name())?;
        if self.name.is_empty() {
            Ok(())
        } else {
            write!(f, "/{}", self.name)
        }
    }
}

impl fmt::Debug for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A component's id where something uses the component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The id.
    pub id: ComponentId,
    /// Where it is written.
    pub span: Span,
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let section = Section::deserialize(deserializer)?;
        let node = section.node();
        let text = node.as_str().ok_or_else(|| {
            D::Error::custom(format_args!(
                "expected a component's id such as otlp, found {}",
                node.describe()
            ))
        })?;
        Ok(Self {
            id: text.parse().map_err(D::Error::custom)?,
            span: node.span.clone(),
        })
    }
}
