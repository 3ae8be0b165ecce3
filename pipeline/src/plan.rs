//! What a configuration asks for, checked against the components that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use corten_component::{ComponentId, Factories, Factory, Kind, Metadata, Prepared, Signal};
use corten_config::model::{self, Component, Model, Reference, Telemetry};
use corten_config::{Problem, Problems, Span};

/// The components that a distribution has.
#[derive(Clone, Debug)]
pub struct Registry {
    factories: Factories,
    /// Types that another build has, and how one comes by it.
    elsewhere: &'static [(&'static str, &'static str)],
}

impl Registry {
    /// These components.
    #[must_use]
    pub fn new(factories: Vec<Factory>) -> Self {
        Self {
            factories: Factories::new(factories),
            elsewhere: &[],
        }
    }

    /// Names types that were left out of this build, each with what to do to have it: whoever configures one is told so.
    #[must_use]
    pub fn with_elsewhere(mut self, types: &'static [(&'static str, &'static str)]) -> Self {
        self.elsewhere = types;
        self
    }

    /// All of them.
    #[must_use]
    pub fn factories(&self) -> &[Factory] {
        self.factories.all()
    }

    /// The component of this type or with this older spelling.
    #[must_use]
    pub fn find(&self, kind: Kind, type_name: &str) -> Option<&Factory> {
        self.factories.find(kind, type_name)
    }

    fn type_names(&self, kind: Kind) -> Vec<&'static str> {
        let mut names: Vec<_> = self
            .factories
            .of_kind(kind)
            .map(|factory| factory.metadata().type_name)
            .collect();
        names.sort_unstable();
        names
    }
}

/// One pipeline of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelinePlan {
    /// Its name in the configuration: `logs`, `traces/backend`.
    pub name: Arc<str>,
    /// What it carries.
    pub signal: Signal,
    /// Receivers and connectors that feed it.
    pub receivers: Vec<ComponentId>,
    /// In the order in which telemetry passes them.
    pub processors: Vec<ComponentId>,
    /// Exporters and connectors at its end.
    pub exporters: Vec<ComponentId>,
}

/// A configuration that can be built: every component read and checked, every reference resolved.
pub struct Plan {
    /// Everything that is configured, used or not.
    pub(crate) prepared: BTreeMap<(Kind, ComponentId), Prepared>,
    /// `service::extensions`, in order.
    pub(crate) extensions: Vec<ComponentId>,
    /// Downstream pipelines before those whose connectors lead to them.
    pub(crate) pipelines: Vec<PipelinePlan>,
    /// For components that make others.
    pub(crate) factories: Factories,
    /// `service::telemetry`.
    pub telemetry: Telemetry,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.pipelines).finish()
    }
}

impl Plan {
    /// Reads every component's settings and connects the pipelines. All problems of the
    /// configuration are found in one run; `None` when one of them is an error.
    #[must_use]
    pub fn check(model: &Model, registry: &Registry, problems: &mut Problems) -> Option<Self> {
        let mut checker = Check {
            registry,
            problems,
            prepared: BTreeMap::new(),
            metadata: BTreeMap::new(),
        };
        for kind in Kind::ALL {
            for component in model.components(kind) {
                checker.component(kind, component);
            }
        }
        let pipelines: Vec<Planned> = model
            .service
            .pipelines
            .iter()
            .map(|pipeline| Planned {
                plan: PipelinePlan {
                    name: pipeline.id.to_string().into(),
                    signal: signal_of(pipeline.id.signal()),
                    receivers: ids(&pipeline.receivers),
                    processors: ids(&pipeline.processors),
                    exporters: ids(&pipeline.exporters),
                },
                span: pipeline.span.clone(),
            })
            .collect();
        for pipeline in &pipelines {
            checker.signals(pipeline);
        }
        checker.connectors(&pipelines);
        let ordered = checker.order(pipelines)?;
        let prepared = checker.prepared;
        (!problems.has_errors()).then(|| Self {
            prepared,
            extensions: ids(&model.service.extensions),
            pipelines: ordered,
            factories: registry.factories.clone(),
            telemetry: model.service.telemetry.clone(),
        })
    }

    /// The pipelines, downstream before upstream.
    #[must_use]
    pub fn pipelines(&self) -> &[PipelinePlan] {
        &self.pipelines
    }

    /// Every component with the settings in force, secrets redacted: section, name, settings.
    pub fn effective(&self) -> impl Iterator<Item = (Kind, &ComponentId, &serde_json::Value)> {
        let all = self.prepared.iter();
        all.map(|((kind, id), prepared)| (*kind, id, &prepared.effective))
    }

    /// The receivers or exporters that some pipeline names, in a stable order.
    pub(crate) fn used(&self, kind: Kind) -> BTreeSet<&ComponentId> {
        let named = self.pipelines.iter().flat_map(|pipeline| match kind {
            Kind::Receiver => &pipeline.receivers,
            Kind::Processor => &pipeline.processors,
            _ => &pipeline.exporters,
        });
        named
            .filter(|id| self.prepared.contains_key(&(kind, (*id).clone())))
            .collect()
    }

    /// The pipelines that `id` feeds.
    pub(crate) fn pipelines_of<'p>(
        &'p self,
        id: &'p ComponentId,
    ) -> impl Iterator<Item = &'p PipelinePlan> {
        // The plan is downstream first; readers expect the file's order, which is nearer the reverse.
        let feeds = move |pipeline: &&PipelinePlan| pipeline.receivers.contains(id);
        self.pipelines.iter().rev().filter(feeds)
    }

    /// The exporters that telemetry entering `pipeline` can reach, through connectors too.
    pub(crate) fn exporters_reached<'p>(
        &'p self,
        pipeline: &'p PipelinePlan,
    ) -> BTreeSet<&'p ComponentId> {
        let mut reached = BTreeSet::new();
        let mut visit = vec![pipeline];
        while let Some(pipeline) = visit.pop() {
            for id in &pipeline.exporters {
                if self.prepared.contains_key(&(Kind::Exporter, id.clone())) {
                    reached.insert(id);
                } else {
                    visit.extend(self.pipelines_of(id));
                }
            }
        }
        reached
    }
}

/// A pipeline on the way into the plan.
struct Planned {
    plan: PipelinePlan,
    span: Span,
}

impl Planned {
    fn path(&self) -> String {
        format!("service::pipelines::{}", self.plan.name)
    }

    fn problem(&self, message: String) -> Problem {
        Problem::error(message).path(self.path()).span(&self.span)
    }
}

struct Check<'c> {
    registry: &'c Registry,
    problems: &'c mut Problems,
    prepared: BTreeMap<(Kind, ComponentId), Prepared>,
    metadata: BTreeMap<(Kind, ComponentId), &'static Metadata>,
}

impl Check<'_> {
    /// Reads one component's settings.
    fn component(&mut self, kind: Kind, component: &Component) {
        let Component { id, span, section } = component;
        let Some(factory) = self.registry.find(kind, id.component_type()) else {
            let names = self.registry.type_names(kind);
            let mut elsewhere = self.registry.elsewhere.iter();
            let left_out = elsewhere.find(|(name, _)| *name == id.component_type());
            self.problems.push(match left_out {
                Some((name, remedy)) => Problem::error(format!(
                    "'{}' type \"{name}\" is not in this build: {remedy}",
                    kind.plural()
                ))
                .span(span),
                None => model::unknown_type(kind, id, span, names),
            });
            return;
        };
        let metadata = factory.metadata();
        if metadata.type_name != id.component_type() {
            let canonical = metadata.type_name;
            self.problems
                .push(model::deprecated_alias(kind, id, span, canonical));
        }
        self.metadata.insert((kind, id.clone()), metadata);
        if let Some(prepared) = factory.decode(section, self.problems) {
            self.prepared.insert((kind, id.clone()), prepared);
        }
    }

    fn metadata(&self, kind: Kind, id: &ComponentId) -> Option<&'static Metadata> {
        self.metadata.get(&(kind, id.clone())).copied()
    }

    /// Whether every component of a pipeline can carry its signal.
    fn signals(&mut self, pipeline: &Planned) {
        let signal = pipeline.plan.signal;
        let plan = &pipeline.plan;
        let named = [
            (Kind::Receiver, &plan.receivers),
            (Kind::Processor, &plan.processors),
            (Kind::Exporter, &plan.exporters),
        ];
        for (kind, ids) in named {
            for id in ids {
                let Some(metadata) = self.metadata(kind, id) else {
                    continue;
                };
                if !metadata.signals.contains(&signal) {
                    self.problems.push(pipeline.problem(format!(
                        "failed to create \"{id}\" {kind} for data type \"{signal}\": telemetry type is not supported, it takes {}",
                        words(metadata.signals)
                    )));
                }
            }
        }
    }

    /// Whether every connector stands at the end of a pipeline and at the beginning of another.
    fn connectors(&mut self, pipelines: &[Planned]) {
        for (kind, id) in self.metadata.keys().cloned().collect::<Vec<_>>() {
            if kind != Kind::Connector {
                continue;
            }
            let ends = |pipeline: &&Planned| pipeline.plan.exporters.contains(&id);
            let begins = |pipeline: &&Planned| pipeline.plan.receivers.contains(&id);
            let metadata = self.metadata(kind, &id);
            let produces = |signal| metadata.is_some_and(|m| m.produces.contains(&signal));
            for pipeline in pipelines.iter().filter(ends) {
                if !pipelines
                    .iter()
                    .filter(begins)
                    .any(|to| produces(to.plan.signal))
                {
                    self.problems.push(pipeline.problem(format!(
                        "connector \"{id}\" used as exporter in [{}] pipeline but not used in any supported receiver pipeline",
                        pipeline.plan.name
                    )));
                }
            }
            for pipeline in pipelines.iter().filter(begins) {
                if !pipelines.iter().any(|other| ends(&other)) {
                    self.problems.push(pipeline.problem(format!(
                        "connector \"{id}\" used as receiver in [{}] pipeline but not used in any supported exporter pipeline",
                        pipeline.plan.name
                    )));
                }
            }
        }
    }

    /// Downstream pipelines first; `None` when connectors lead in a circle.
    fn order(&mut self, pipelines: Vec<Planned>) -> Option<Vec<PipelinePlan>> {
        let mut waiting = pipelines;
        let mut ordered: Vec<PipelinePlan> = Vec::new();
        while !waiting.is_empty() {
            let blocked = |pipeline: &Planned, waiting: &[Planned]| {
                waiting
                    .iter()
                    .any(|other| self.leads_to(&pipeline.plan, &other.plan))
            };
            let free = waiting
                .iter()
                .rposition(|pipeline| !blocked(pipeline, &waiting));
            let Some(free) = free else {
                let names: Vec<_> = waiting.iter().map(|p| &*p.plan.name).collect();
                if let Some(first) = waiting.first() {
                    let problem = first.problem(format!(
                        "cycle detected: connectors lead from pipeline to pipeline in a circle: {}",
                        names.join(" -> ")
                    ));
                    self.problems.push(problem);
                }
                return None;
            };
            ordered.push(waiting.remove(free).plan);
        }
        Some(ordered)
    }

    /// Whether a connector leads from one pipeline to the other. A receiver and an exporter may have
    /// the same name (`otlp` and `otlp`, in most configurations) and have nothing to do with each
    /// other.
    fn leads_to(&self, from: &PipelinePlan, to: &PipelinePlan) -> bool {
        from.exporters
            .iter()
            .any(|id| to.receivers.contains(id) && self.metadata(Kind::Connector, id).is_some())
    }
}

fn ids(references: &[Reference]) -> Vec<ComponentId> {
    references
        .iter()
        .map(|reference| reference.id.clone())
        .collect()
}

fn signal_of(signal: model::Signal) -> Signal {
    match signal {
        model::Signal::Logs => Signal::Logs,
        model::Signal::Metrics => Signal::Metrics,
        model::Signal::Traces => Signal::Traces,
    }
}

fn words(signals: &[Signal]) -> String {
    let names: Vec<_> = signals.iter().map(|signal| signal.as_str()).collect();
    names.join(", ")
}
