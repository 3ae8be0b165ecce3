//! Building the graph from a checked plan, starting it, shutting it down.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use corten_component::{
    BoxError, Closing, Component, ComponentId, Connector, Consumer, Context, Create, Exporter,
    Extension, Extensions, Feed, Health, Kind, Next, Prepared, Processor, Receiver, Recent,
    Services, Signal, Tasks,
};
use opentelemetry::metrics::Meter;
use tokio::time::Instant;

use crate::collecting::{Collector, PipelineFeed};
use crate::edge::{ExporterEdge, ProcessorEdge, ReceiverEdge};
use crate::fanout::{Branch, FanOut};
use crate::plan::{PipelinePlan, Plan};

/// What the graph takes from the process around it.
#[derive(Clone)]
pub struct Surroundings {
    /// What components share; distro puts in what they may use of the process.
    pub services: Services,
    /// The board for this run.
    pub health: Health,
    /// The process's own metrics.
    pub meter: Meter,
}

/// A component could not be made or did not start.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {source}")]
pub struct GraphError {
    /// `receivers::otlp`.
    pub place: String,
    /// Why.
    #[source]
    pub source: BoxError,
}

impl GraphError {
    fn new(kind: Kind, id: &ComponentId, source: impl Into<BoxError>) -> Self {
        Self {
            place: format!("{}::{id}", kind.plural()),
            source: source.into(),
        }
    }
}

/// One component with what the graph needs to start and stop it.
struct Node {
    kind: Kind,
    id: ComponentId,
    component: Arc<dyn Component>,
    cx: Context,
}

/// What exporters leave to the extensions behind them.
const AFTER_EXPORTERS: Duration = Duration::from_millis(500);

impl Node {
    /// Whether it has come back and its tasks have ended before `until`.
    async fn shutdown(&self, until: Instant) -> bool {
        let mut clean = true;
        let place = || format!("{}::{}", self.kind.plural(), self.id);
        self.cx.tasks().stop();
        match tokio::time::timeout_at(until, self.component.shutdown()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                clean = false;
                tracing::error!(component = place(), %error, "shutdown: something was left undone");
            }
            Err(_) => {
                clean = false;
                tracing::error!(
                    component = place(),
                    "shutdown: still busy at the deadline; what only its memory held is lost"
                );
            }
        }
        let left = until.saturating_duration_since(Instant::now());
        let tasks = self.cx.tasks();
        if !tasks.shutdown(left.max(Duration::from_millis(20))).await {
            clean = false;
            tracing::warn!(
                component = place(),
                tasks = tasks.len(),
                "shutdown: tasks were still running at the deadline"
            );
        }
        self.cx.health().stopped();
        clean
    }
}

/// The running (or not yet started) pipelines of one configuration.
///
/// Nodes stand in the order of their start: extensions as listed, exporters, then whatever stands
/// before them, receivers last. Shutdown takes them in reverse.
pub struct Graph {
    nodes: Vec<Node>,
    schedules: Vec<(Arc<Collector>, Arc<dyn Consumer>)>,
    tasks: Tasks,
    closing: Closing,
    started: usize,
}

impl Graph {
    /// Creates every component that a pipeline or `service::extensions` names and connects them.
    /// Nothing does IO yet.
    ///
    /// # Errors
    ///
    /// The component that could not be made, and why.
    pub fn build(plan: &Plan, around: &Surroundings) -> Result<Self, GraphError> {
        Builder::new(plan, around)?.build()
    }

    /// Starts every component, exporters before receivers.
    ///
    /// # Errors
    ///
    /// The first that did not start; those that had started are shut down again.
    pub async fn start(&mut self) -> Result<(), GraphError> {
        for (index, node) in self.nodes.iter().enumerate() {
            tracing::debug!(kind = %node.kind, id = %node.id, "starting");
            // Counted before: one whose start fails or is given up has things to end, too.
            self.started = index + 1;
            let started = Arc::clone(&node.component).start().await;
            if let Err(error) = started {
                let failed = GraphError::new(node.kind, &node.id, error);
                self.shutdown(Duration::from_secs(5)).await;
                return Err(failed);
            }
            node.cx.health().ok();
        }
        for (collector, next) in self.schedules.drain(..) {
            collector.run_on_schedule(next, &self.tasks);
        }
        Ok(())
    }

    /// Shuts every started component down, receivers first, within `grace` in all. Components
    /// that do not come back in time are named in the log and left behind. `true` when all did.
    ///
    /// Receivers end side by side, and so do exporters. Nobody takes all the time there is: half of what is left
    /// belongs to those behind, which have something to send yet. May be called again when it was dropped.
    pub async fn shutdown(&mut self, grace: Duration) -> bool {
        let deadline = Instant::now() + grace;
        // Whoever only waits to try again stops waiting, or receivers would wait for it in vain.
        self.closing.begin();
        self.tasks.stop();
        let mut clean = true;
        let started = self.nodes.get(..self.started).unwrap_or_default();
        let side_by_side = |a: &Node, b: &Node| {
            a.kind == b.kind && matches!(a.kind, Kind::Receiver | Kind::Exporter)
        };
        for together in started.chunk_by(side_by_side).rev() {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = match together.first().map(|node| node.kind) {
                // Extensions keep a little time of their own: storage closes last.
                Some(Kind::Exporter) => left.saturating_sub((grace / 10).min(AFTER_EXPORTERS)),
                Some(Kind::Extension) => left,
                _ => left / 2,
            };
            let until = Instant::now() + share;
            let ended =
                futures_util::future::join_all(together.iter().map(|node| node.shutdown(until)));
            clean &= ended.await.into_iter().all(|clean| clean);
        }
        self.started = 0;
        clean
    }

    /// The components in the order of their start, `receivers::otlp` and the like.
    #[must_use]
    pub fn order(&self) -> Vec<String> {
        self.nodes
            .iter()
            .map(|node| match node.cx.pipeline() {
                Some(pipeline) => format!("{}::{} in {pipeline}", node.kind.plural(), node.id),
                None => format!("{}::{}", node.kind.plural(), node.id),
            })
            .collect()
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.order()).finish()
    }
}

/// Gathers what has been made so far; everything is made after what it sends to.
struct Builder<'p> {
    plan: &'p Plan,
    around: &'p Surroundings,
    extensions: Extensions,
    nodes: Vec<Node>,
    tasks: Tasks,
    exporters: BTreeMap<ComponentId, Arc<dyn Exporter>>,
    connectors: BTreeMap<ComponentId, Arc<dyn Connector>>,
    /// The first consumer of every pipeline.
    entries: BTreeMap<Arc<str>, Arc<dyn Consumer>>,
}

impl<'p> Builder<'p> {
    fn new(plan: &'p Plan, around: &'p Surroundings) -> Result<Self, GraphError> {
        let mut builder = Self {
            plan,
            around,
            extensions: Extensions::default(),
            nodes: Vec::new(),
            tasks: Tasks::new(),
            exporters: BTreeMap::new(),
            connectors: BTreeMap::new(),
            entries: BTreeMap::new(),
        };
        let factories = Arc::new(plan.factories.clone());
        around.services.insert(factories);
        let mut extensions: BTreeMap<ComponentId, Arc<dyn Extension>> = BTreeMap::new();
        for id in &plan.extensions {
            let prepared = find(&plan.prepared, Kind::Extension, id)?;
            if let Create::Extension(create) = &prepared.create {
                let cx = builder.context(Kind::Extension, id);
                let made = create(cx.clone(), ())
                    .map_err(|error| GraphError::new(Kind::Extension, id, error))?;
                builder.keep(cx, Arc::clone(&made) as Arc<dyn Component>);
                extensions.insert(id.clone(), made);
                // The next one may use it: a server of an extension has authenticators too.
                builder.extensions = Extensions::new(extensions.clone());
            }
        }
        Ok(builder)
    }

    fn build(mut self) -> Result<Graph, GraphError> {
        let plan = self.plan;
        for id in plan.used(Kind::Exporter) {
            let prepared = find(&plan.prepared, Kind::Exporter, id)?;
            if let Create::Exporter(create) = &prepared.create {
                let cx = self.context(Kind::Exporter, id);
                let made = create(cx.clone(), ())
                    .map_err(|error| GraphError::new(Kind::Exporter, id, error))?;
                self.keep(cx, Arc::clone(&made) as Arc<dyn Component>);
                self.exporters.insert(id.clone(), made);
            }
        }
        // Downstream pipelines come first in the plan, so a connector's targets are there.
        for pipeline in &plan.pipelines {
            self.connectors_into(pipeline)?;
            let entry = self.pipeline(pipeline)?;
            self.entries.insert(Arc::clone(&pipeline.name), entry);
        }
        let (feeds, schedules) = self.receivers()?;
        for (exporter, feeds) in feeds {
            if let Some(exporter) = self.exporters.get(&exporter) {
                exporter.attach(feeds);
            }
        }
        Ok(Graph {
            nodes: self.nodes,
            schedules,
            tasks: self.tasks,
            closing: (*self.around.services.get_or_insert_with(Closing::new)).clone(),
            started: 0,
        })
    }

    /// Makes the connectors that this pipeline ends in.
    fn connectors_into(&mut self, pipeline: &PipelinePlan) -> Result<(), GraphError> {
        for id in &pipeline.exporters {
            if self.connectors.contains_key(id) || self.exporters.contains_key(id) {
                continue;
            }
            let prepared = find(&self.plan.prepared, Kind::Connector, id)?;
            if let Create::Connector(create) = &prepared.create {
                let cx = self.context(Kind::Connector, id);
                let next = self.next_of(id, false);
                let made = create(cx.clone(), next)
                    .map_err(|error| GraphError::new(Kind::Connector, id, error))?;
                self.keep(cx, Arc::clone(&made) as Arc<dyn Component>);
                self.connectors.insert(id.clone(), made);
            }
        }
        Ok(())
    }

    /// Makes the processors of one pipeline, last to first, and answers its first consumer.
    fn pipeline(&mut self, pipeline: &PipelinePlan) -> Result<Arc<dyn Consumer>, GraphError> {
        let (meter, signal) = (&self.around.meter, pipeline.signal);
        let branches = pipeline
            .exporters
            .iter()
            .filter_map(|id| {
                if let Some(exporter) = self.exporters.get(id) {
                    let edge = ExporterEdge::before(
                        Arc::clone(exporter) as Arc<dyn Consumer>,
                        id,
                        &pipeline.name,
                        signal,
                        exporter.counts_deliveries(),
                        meter,
                    );
                    return Some(if exporter.collects_on_demand() {
                        Branch::Pull(id.clone(), edge)
                    } else {
                        Branch::Push(edge)
                    });
                }
                let connector = self.connectors.get(id)?;
                Some(Branch::Onward(Arc::clone(connector) as Arc<dyn Consumer>))
            })
            .collect();
        let mut end = FanOut::new(branches, &pipeline.name, meter, self.tasks.clone());
        if let Some(recent) = self.around.services.get::<Recent>() {
            end = end.showing(recent.tap(Arc::clone(&pipeline.name)));
        }
        let mut next: Arc<dyn Consumer> = Arc::new(end);
        for id in pipeline.processors.iter().rev() {
            let prepared = find(&self.plan.prepared, Kind::Processor, id)?;
            if let Create::Processor(create) = &prepared.create {
                let cx = self
                    .context(Kind::Processor, id)
                    .in_pipeline(Arc::clone(&pipeline.name));
                let out = ProcessorEdge::outgoing(next, id, signal, &self.around.meter);
                let made: Arc<dyn Processor> = create(cx.clone(), out)
                    .map_err(|error| GraphError::new(Kind::Processor, id, error))?;
                self.keep(cx, Arc::clone(&made) as Arc<dyn Component>);
                next = ProcessorEdge::incoming(made, id, signal, &self.around.meter);
            }
        }
        Ok(next)
    }

    /// Makes the receivers, and what collects from those that scrape.
    #[expect(
        clippy::type_complexity,
        reason = "taken apart at once by the only caller"
    )]
    fn receivers(
        &mut self,
    ) -> Result<
        (
            BTreeMap<ComponentId, Vec<Arc<dyn Feed>>>,
            Vec<(Arc<Collector>, Arc<dyn Consumer>)>,
        ),
        GraphError,
    > {
        let mut feeds: BTreeMap<ComponentId, Vec<Arc<dyn Feed>>> = BTreeMap::new();
        let mut schedules = Vec::new();
        for id in self.plan.used(Kind::Receiver) {
            let prepared = find(&self.plan.prepared, Kind::Receiver, id)?;
            let Create::Receiver(create) = &prepared.create else {
                continue;
            };
            let cx = self.context(Kind::Receiver, id);
            let made: Arc<dyn Receiver> = create(cx.clone(), self.next_of(id, true))
                .map_err(|error| GraphError::new(Kind::Receiver, id, error))?;
            self.keep(cx, Arc::clone(&made) as Arc<dyn Component>);
            let Some(source) = made.source() else {
                continue;
            };
            let collector = Collector::new(id.clone(), source);
            let mut pushed = Vec::new();
            for pipeline in self.plan.pipelines_of(id) {
                let Some(entry) = self.entries.get(&pipeline.name) else {
                    continue;
                };
                let counted = ReceiverEdge::before(
                    Arc::clone(entry),
                    id,
                    pipeline.signal,
                    &self.around.meter,
                );
                let reached = self.plan.exporters_reached(pipeline);
                let mut pushes = false;
                for exporter in reached {
                    let pulls = self
                        .exporters
                        .get(exporter)
                        .is_some_and(|exporter| exporter.collects_on_demand());
                    if pulls {
                        feeds
                            .entry(exporter.clone())
                            .or_default()
                            .push(Arc::new(PipelineFeed {
                                collector: Arc::clone(&collector),
                                entry: Arc::clone(&counted),
                                exporter: exporter.clone(),
                            }));
                    } else {
                        pushes = true;
                    }
                }
                if pushes {
                    pushed.push(Branch::Onward(counted));
                }
            }
            if !pushed.is_empty() {
                let place = format!("receivers::{id}");
                let all = FanOut::new(pushed, &place, &self.around.meter, self.tasks.clone());
                schedules.push((collector, Arc::new(all) as Arc<dyn Consumer>));
            }
        }
        Ok((feeds, schedules))
    }

    /// Where the batches of a receiver or a connector go.
    fn next_of(&self, id: &ComponentId, receiver: bool) -> Next {
        let meter = &self.around.meter;
        let mut next = Next::new();
        let mut named = Vec::new();
        for signal in [Signal::Logs, Signal::Metrics, Signal::Traces] {
            let mut entries: Vec<Arc<dyn Consumer>> = Vec::new();
            for pipeline in self.plan.pipelines_of(id) {
                if pipeline.signal == signal
                    && let Some(entry) = self.entries.get(&pipeline.name)
                {
                    named.push((pipeline.name.to_string(), Arc::clone(entry)));
                    entries.push(Arc::clone(entry));
                }
            }
            let entry: Arc<dyn Consumer> = match entries.len() {
                0 => continue,
                1 => entries.remove(0),
                _ => Arc::new(FanOut::new(
                    entries.into_iter().map(Branch::Onward).collect(),
                    &id.to_string(),
                    meter,
                    self.tasks.clone(),
                )),
            };
            next = next.with(
                signal,
                if receiver {
                    ReceiverEdge::before(entry, id, signal, meter)
                } else {
                    entry
                },
            );
        }
        next.with_pipelines(named)
    }

    fn context(&self, kind: Kind, id: &ComponentId) -> Context {
        Context::new(
            kind,
            id.clone(),
            self.extensions.clone(),
            self.around.services.clone(),
            &self.around.health,
            self.around.meter.clone(),
        )
    }

    fn keep(&mut self, cx: Context, component: Arc<dyn Component>) {
        self.nodes.push(Node {
            kind: cx.kind(),
            id: cx.id().clone(),
            component,
            cx,
        });
    }
}

fn find<'p>(
    prepared: &'p BTreeMap<(Kind, ComponentId), Prepared>,
    kind: Kind,
    id: &ComponentId,
) -> Result<&'p Prepared, GraphError> {
    prepared
        .get(&(kind, id.clone()))
        .ok_or_else(|| GraphError::new(kind, id, "not configured"))
}
