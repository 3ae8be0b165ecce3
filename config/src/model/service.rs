//! The section `service`.

use serde::Deserialize;

use super::id::{Kind, ParsePipelineIdError, PipelineId, Reference, Signal};
use super::telemetry::Telemetry;
use crate::node::{Node, Span};
use crate::problem::{Problem, Problems};
use crate::section::{Check, Section};

/// How the components work together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    /// The extensions to start, in this order.
    pub extensions: Vec<Reference>,
    /// The pipelines in the order they are written; every id once.
    pub pipelines: Vec<Pipeline>,
    /// What Corten tells about itself.
    pub telemetry: Telemetry,
}

/// A path of data from receivers through processors to exporters.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Its id.
    pub id: PipelineId,
    /// Where its id is written.
    pub span: Span,
    /// Receivers, and connectors that begin it.
    pub receivers: Vec<Reference>,
    /// Processors in the order the data passes them.
    pub processors: Vec<Reference>,
    /// Exporters, and connectors that end it.
    pub exporters: Vec<Reference>,
}

impl Pipeline {
    /// Its references by what they are meant to name.
    pub fn references(&self) -> [(Kind, &[Reference]); 3] {
        [
            (Kind::Receiver, self.receivers.as_slice()),
            (Kind::Processor, self.processors.as_slice()),
            (Kind::Exporter, self.exporters.as_slice()),
        ]
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Written {
    extensions: Vec<Reference>,
    pipelines: Option<Section>,
    telemetry: Option<Section>,
}

impl Check for Written {}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WrittenPipeline {
    receivers: Vec<Reference>,
    processors: Vec<Reference>,
    exporters: Vec<Reference>,
}

impl Service {
    /// Reads the section; `span` is where it is, or would be.
    pub(super) fn read(node: Option<&Node>, span: &Span, problems: &mut Problems) -> Self {
        let section = Section::new(
            node.cloned().unwrap_or_else(|| Node::empty(span.clone())),
            "service",
        );
        let Some(written) = section.lenient::<Written>(problems) else {
            return Self::default();
        };
        let mut pipelines: Vec<Pipeline> = Vec::new();
        let mut understood = true;
        match written.pipelines.as_ref().map(Section::node) {
            None => {}
            Some(node) => match node.as_map() {
                None => {
                    understood = false;
                    let message = format!(
                        "expected a map of pipelines by their ids, found {}",
                        node.describe()
                    );
                    problems.push(
                        Problem::error(message)
                            .span(&node.span)
                            .path("service::pipelines"),
                    );
                }
                Some(map) => {
                    for entry in map.iter() {
                        let pipeline =
                            pipeline(&entry.key, &entry.key_span, &entry.value, problems);
                        match pipeline {
                            Some(new) if pipelines.iter().any(|old| old.id == new.id) => {
                                let message = format!("duplicate name \"{}\"", new.id);
                                problems.push(
                                    Problem::error(message)
                                        .span(&new.span)
                                        .path("service::pipelines"),
                                );
                            }
                            Some(new) => pipelines.push(new),
                            None => understood = false,
                        }
                    }
                }
            },
        }
        if pipelines.is_empty() && understood {
            problems.push(
                Problem::error("service must have at least one pipeline")
                    .span(span)
                    .path("service::pipelines"),
            );
        }
        let telemetry = match &written.telemetry {
            Some(section) => section.decode_checked(problems).unwrap_or_default(),
            None => Telemetry::default(),
        };
        Self {
            extensions: written.extensions,
            pipelines,
            telemetry,
        }
    }
}

fn pipeline(key: &str, span: &Span, node: &Node, problems: &mut Problems) -> Option<Pipeline> {
    let id: PipelineId = match key.parse() {
        Ok(id) => id,
        Err(error) => {
            let problem = Problem::error(error.to_string())
                .span(span)
                .path("service::pipelines");
            problems.push(match &error {
                ParsePipelineIdError::Signal(wrong) => {
                    problem.nearest(wrong, Signal::ALL.map(Signal::name))
                }
                _ => problem,
            });
            return None;
        }
    };
    let path = format!("service::pipelines::{id}");
    let before = problems.error_count();
    let section = Section::new(node.clone(), path.clone());
    let WrittenPipeline {
        receivers,
        processors,
        exporters,
    } = section.lenient(problems)?;
    if problems.error_count() == before {
        for (kind, references) in [(Kind::Receiver, &receivers), (Kind::Exporter, &exporters)] {
            if references.is_empty() {
                problems.push(
                    Problem::error(format!("must have at least one {kind}"))
                        .span(span)
                        .path(&path),
                );
            }
        }
    }
    Some(Pipeline {
        id,
        span: span.clone(),
        receivers,
        processors,
        exporters,
    })
}
