//! The whole configuration: components by id, pipelines, the agent's own telemetry.
//!
//! Everything that can be said without knowing any component is checked here, in the Collector's
//! words. Whether a type exists is for the caller to say; [`unknown_type`] and [`deprecated_alias`] have the
//! words for it.

mod id;
mod service;
mod telemetry;

use std::collections::HashSet;
use std::fmt;

pub use id::{Kind, PipelineId, Reference, Signal};
pub use service::{Pipeline, Service};
pub use telemetry::{
    Attribute, BatchProcessor, LogEncoding, LogLevel, Logs, Metrics, MetricsLevel, OtlpExporter,
    OtlpProtocol, PeriodicExporter, PeriodicReader, PrometheusReader, PullExporter, PullReader,
    Reader, Resource, SimpleProcessor, SpanExporter, SpanProcessor, Telemetry, Traces, TracesLevel,
};

use crate::node::{Entry, Node, Span};
use crate::problem::{Problem, Problems, nearest};
use crate::section::Section;
use crate::types::ComponentId;

/// The configuration as one tree, merged and expanded.
#[derive(Clone, PartialEq)]
pub struct Document {
    root: Node,
}

impl Document {
    /// From a tree whose root is a map.
    pub fn new(root: Node) -> Self {
        Self { root }
    }

    /// The whole tree.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Reads the top level: which components there are and how pipelines connect them.
    ///
    /// Adds every problem to `problems` and returns what is left without the bad parts, so that components'
    /// settings can be checked in the same run; do not build it when `problems` has errors.
    pub fn model(&self, problems: &mut Problems) -> Model {
        let mut model = Model {
            receivers: self.components(Kind::Receiver, problems),
            processors: self.components(Kind::Processor, problems),
            exporters: self.components(Kind::Exporter, problems),
            connectors: self.components(Kind::Connector, problems),
            extensions: self.components(Kind::Extension, problems),
            service: Service::default(),
        };
        let mut service_span = self.root.span.clone();
        let mut service_node = None;
        for entry in self.root.as_map().into_iter().flat_map(|map| map.iter()) {
            match entry.key.as_str() {
                "service" => {
                    service_span = entry.key_span.clone();
                    service_node = Some(&entry.value);
                }
                key if Kind::ALL.iter().any(|kind| kind.plural() == key) => {}
                key => problems.push(unknown_section(key, &entry.key_span)),
            }
        }
        for kind in [Kind::Receiver, Kind::Exporter] {
            // Unless something stood there that was not understood.
            if model.components(kind).is_empty()
                && self.root.get(kind.plural()).is_none_or(is_empty)
            {
                problems.push(
                    Problem::error(format!("no {kind} configuration specified in config"))
                        .span(&self.root.span),
                );
            }
        }
        model.service = Service::read(service_node, &service_span, problems);
        model.check(problems);
        model
    }

    fn components(&self, kind: Kind, problems: &mut Problems) -> Components {
        let mut list: Vec<Component> = Vec::new();
        let mut ids = HashSet::new();
        let Some(node) = self.root.get(kind.plural()).filter(|node| !node.is_null()) else {
            return Components { list };
        };
        let Some(map) = node.as_map() else {
            let message = format!(
                "expected a map of {}s by their ids, found {}",
                kind,
                node.describe()
            );
            problems.push(Problem::error(message).span(&node.span).path(kind.plural()));
            return Components { list };
        };
        for Entry {
            key,
            key_span,
            value,
        } in map.iter()
        {
            match key.parse::<ComponentId>() {
                Ok(id) if ids.insert(id.clone()) => {
                    let section = Section::new(value.clone(), format!("{}::{id}", kind.plural()));
                    list.push(Component {
                        id,
                        span: key_span.clone(),
                        section,
                    });
                }
                Ok(id) => {
                    let message = format!("duplicate name \"{id}\"");
                    problems.push(Problem::error(message).span(key_span).path(kind.plural()));
                }
                Err(error) => problems.push(
                    Problem::error(error.to_string())
                        .span(key_span)
                        .path(kind.plural()),
                ),
            }
        }
        Components { list }
    }
}

fn is_empty(node: &Node) -> bool {
    node.is_null() || node.as_map().is_some_and(crate::node::Map::is_empty)
}

fn unknown_section(key: &str, span: &Span) -> Problem {
    let names: Vec<&str> = Kind::ALL
        .iter()
        .map(|kind| kind.plural())
        .chain(["service"])
        .collect();
    let problem =
        Problem::error(format!("unknown section {}", crate::node::quoted(key))).span(span);
    match nearest(key, names.iter().copied()) {
        Some(_) => problem.nearest(key, names),
        None => Problem {
            message: format!("{} (valid: {})", problem.message, names.join(", ")),
            ..problem
        },
    }
}

/// The components of one kind, in the order they are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Components {
    list: Vec<Component>,
}

/// A component as it is written: its id and its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Its id, spelled as it is written.
    pub id: ComponentId,
    /// Where its id is written.
    pub span: Span,
    /// Its settings.
    pub section: Section,
}

impl Components {
    /// The component with this id.
    pub fn get(&self, id: &ComponentId) -> Option<&Component> {
        self.list.iter().find(|component| component.id == *id)
    }

    /// All of them in the order they are written.
    pub fn iter(&self) -> std::slice::Iter<'_, Component> {
        self.list.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl<'a> IntoIterator for &'a Components {
    type Item = &'a Component;
    type IntoIter = std::slice::Iter<'a, Component>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The configuration, its components' settings not yet typed.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What brings data in.
    pub receivers: Components,
    /// What changes it on its way.
    pub processors: Components,
    /// What sends it out.
    pub exporters: Components,
    /// What joins pipelines: the end of some, the beginning of others.
    pub connectors: Components,
    /// What helps the others: storage, authentication, health.
    pub extensions: Components,
    /// How they work together.
    pub service: Service,
}

impl Model {
    /// The components of one kind.
    pub fn components(&self, kind: Kind) -> &Components {
        match kind {
            Kind::Receiver => &self.receivers,
            Kind::Processor => &self.processors,
            Kind::Exporter => &self.exporters,
            Kind::Connector => &self.connectors,
            Kind::Extension => &self.extensions,
        }
    }

    /// What the references between the parts get wrong.
    fn check(&self, problems: &mut Problems) {
        self.ambiguous(problems);
        for reference in &self.service.extensions {
            self.referenced(Kind::Extension, reference, "service::extensions", problems);
        }
        repeated(
            Kind::Extension,
            &self.service.extensions,
            "service::extensions",
            problems,
        );
        for pipeline in &self.service.pipelines {
            let path = format!("service::pipelines::{}", pipeline.id);
            for (kind, references) in pipeline.references() {
                for reference in references {
                    self.referenced(kind, reference, &path, problems);
                }
                repeated(kind, references, &path, problems);
            }
        }
        self.unused(problems);
    }

    /// Ids that could mean a connector or something else.
    fn ambiguous(&self, problems: &mut Problems) {
        for connector in &self.connectors {
            let id = &connector.id;
            for kind in [Kind::Receiver, Kind::Exporter] {
                if self.components(kind).get(id).is_some() {
                    let message = format!(
                        "ambiguous ID: Found both \"{id}\" {kind} and \"{id}\" connector. Change one of the components' IDs to \
                         eliminate ambiguity (e.g. rename \"{id}\" connector to \"{id}/connector\")"
                    );
                    problems.push(
                        Problem::error(message)
                            .span(&connector.span)
                            .path(format!("connectors::{id}")),
                    );
                }
            }
        }
    }

    fn referenced(&self, kind: Kind, reference: &Reference, path: &str, problems: &mut Problems) {
        // At its ends a pipeline may have a connector as well.
        let others: &[Kind] = match kind {
            Kind::Receiver | Kind::Exporter => &[Kind::Connector],
            Kind::Processor | Kind::Connector | Kind::Extension => &[],
        };
        let known = || {
            std::iter::once(&kind)
                .chain(others)
                .flat_map(|kind| self.components(*kind).iter())
        };
        if known().any(|component| component.id == reference.id) {
            return;
        }
        let message = format!(
            "references {kind} \"{}\" which is not configured",
            reference.id
        );
        let names: Vec<String> = known().map(|component| component.id.to_string()).collect();
        let problem = Problem::error(message).span(&reference.span).path(path);
        problems.push(problem.nearest(&reference.id.to_string(), names.iter().map(String::as_str)));
    }

    /// Components that nothing uses: decoded and checked, but not built.
    fn unused(&self, problems: &mut Problems) {
        let mut used: HashSet<(Kind, &ComponentId)> = HashSet::new();
        used.extend(
            self.service
                .extensions
                .iter()
                .map(|reference| (Kind::Extension, &reference.id)),
        );
        for pipeline in &self.service.pipelines {
            for (kind, references) in pipeline.references() {
                for reference in references {
                    used.insert((kind, &reference.id));
                    if kind != Kind::Processor {
                        used.insert((Kind::Connector, &reference.id));
                    }
                }
            }
        }
        for kind in Kind::ALL {
            for component in self.components(kind) {
                if !used.contains(&(kind, &component.id)) {
                    let by = if kind == Kind::Extension {
                        "listed in service::extensions"
                    } else {
                        "used in any pipeline"
                    };
                    let path = component.section.path();
                    problems.push(
                        Problem::warning(format!("configured but not {by}"))
                            .span(&component.span)
                            .path(path),
                    );
                }
            }
        }
    }
}

fn repeated(kind: Kind, references: &[Reference], path: &str, problems: &mut Problems) {
    let mut seen = HashSet::new();
    for reference in references
        .iter()
        .filter(|reference| !seen.insert(&reference.id))
    {
        let message = format!("references {kind} \"{}\" multiple times", reference.id);
        problems.push(Problem::error(message).span(&reference.span).path(path));
    }
}

/// The problem of a component whose type is none of `valid`.
///
/// ```
/// use corten_config::{Source, Span, model::{Kind, unknown_type}};
/// let span = Span::new(&Source::new("corten.yaml"), 7, 3);
/// let problem = unknown_type(Kind::Processor, &"batchl".parse()?, &span, ["attributes", "batch"]);
/// assert_eq!(
///     problem.to_string(),
///     "corten.yaml:7:3: 'processors' unknown type: \"batchl\" for id: \"batchl\" \
///      (valid values: [attributes batch]), did you mean 'batch'?",
/// );
/// # Ok::<(), corten_config::types::ParseIdError>(())
/// ```
pub fn unknown_type<'a>(
    kind: Kind,
    id: &ComponentId,
    span: &Span,
    valid: impl IntoIterator<Item = &'a str>,
) -> Problem {
    let valid: Vec<&str> = valid.into_iter().collect();
    let message = format!(
        "'{}' unknown type: \"{}\" for id: \"{id}\" (valid values: [{}])",
        kind.plural(),
        id.component_type(),
        valid.join(" ")
    );
    Problem::error(message)
        .span(span)
        .nearest(id.component_type(), valid)
}

/// The warning about a component that is called by an old name of its type.
///
/// ```
/// use corten_config::{Source, Span, model::{Kind, deprecated_alias}};
/// let span = Span::new(&Source::new("corten.yaml"), 2, 3);
/// let warning = deprecated_alias(Kind::Receiver, &"filelog".parse()?, &span, "file_log");
/// assert_eq!(
///     warning.to_string(),
///     "corten.yaml:2:3: warning: receivers::filelog: \"filelog\" alias is deprecated; use \"file_log\" instead",
/// );
/// # Ok::<(), corten_config::types::ParseIdError>(())
/// ```
pub fn deprecated_alias(kind: Kind, id: &ComponentId, span: &Span, canonical: &str) -> Problem {
    Problem::warning(format!(
        "\"{}\" alias is deprecated; use \"{canonical}\" instead",
        id.component_type()
    ))
    .span(span)
    .path(format!("{}::{id}", kind.plural()))
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the content: nobody has said yet what in it is secret.
        write!(f, "Document(at {})", self.root.span)
    }
}

#[cfg(test)]
mod tests;
