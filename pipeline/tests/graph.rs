//! Whole graphs of small components: what is built, in which order it starts and stops, who gets
//! what.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::sync::Arc;
use std::time::Duration;

use corten_component::{
    Batch, BoxError, CollectRequest, Component, Connector, Consumer, Context, Exporter, Extension,
    Factory, Feed, Health, Kind, Metadata, Next, Processor, Receiver, Refused, Schedule, Services,
    Signal, Source, Stability, async_trait,
};
use corten_config::{Check, Problems, Sources};
use corten_pdata::Data;
use corten_pdata::build::MetricsBuilder;
use corten_pipeline::{Graph, Plan, Registry, Surroundings};
use opentelemetry::metrics::MeterProvider;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const ALL: &[Signal] = &[Signal::Logs, Signal::Metrics, Signal::Traces];

/// What happened, in order; found in the services of the run.
#[derive(Default)]
struct Diary(Mutex<Vec<String>>);

impl Diary {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().push(what.into());
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Settings {
    /// Fails to start.
    fails: bool,
}

impl Check for Settings {}

/// Serves as every kind of component.
struct Anything {
    cx: Context,
    settings: Settings,
    next: Option<Arc<dyn Consumer>>,
    feeds: Mutex<Vec<Arc<dyn Feed>>>,
}

impl Anything {
    fn new(cx: Context, settings: Settings, next: Option<Arc<dyn Consumer>>) -> Self {
        Self {
            cx,
            settings,
            next,
            feeds: Mutex::default(),
        }
    }

    fn diary(&self) -> Arc<Diary> {
        self.cx.services().get_or_insert_with(Diary::default)
    }
}

#[async_trait]
impl Component for Anything {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        if self.settings.fails {
            return Err("as it was told".into());
        }
        self.diary().note(format!("start {}", self.cx.id()));
        if self.cx.id().component_type() == "probe" {
            // An exporter that can be asked from outside.
            self.cx.services().insert(Arc::clone(&self));
        }
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        self.diary().note(format!("stop {}", self.cx.id()));
        Ok(())
    }
}

#[async_trait]
impl Consumer for Anything {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        self.diary()
            .note(format!("{} gets {}", self.cx.id(), batch.items()));
        match &self.next {
            Some(next) => next.consume(batch).await,
            None => Ok(()),
        }
    }
}

impl Receiver for Anything {
    fn source(&self) -> Option<Arc<dyn Source>> {
        (self.cx.id().component_type() == "scraper").then(|| Arc::new(OnePoint) as Arc<dyn Source>)
    }
}

impl Processor for Anything {}
impl Connector for Anything {}
impl Extension for Anything {}

impl Exporter for Anything {
    fn collects_on_demand(&self) -> bool {
        self.cx.id().component_type() == "probe"
    }

    fn attach(&self, feeds: Vec<Arc<dyn Feed>>) {
        self.feeds.lock().extend(feeds);
    }
}

struct OnePoint;

#[async_trait]
impl Source for OnePoint {
    fn schedule(&self) -> Schedule {
        Schedule {
            interval: Duration::from_secs(10),
            initial_delay: Duration::from_secs(1),
            timeout: Duration::ZERO,
        }
    }

    async fn collect(&self, _request: &CollectRequest) -> Result<Data, BoxError> {
        let mut metrics = MetricsBuilder::new();
        metrics.resource(|_| {});
        metrics.scope("", "");
        metrics.metric("m", "", "").gauge().point(|point| {
            point.int(1);
        });
        Ok(metrics.finish().into())
    }
}

const fn metadata(kind: Kind, type_name: &'static str, signals: &'static [Signal]) -> Metadata {
    Metadata {
        kind,
        type_name,
        aliases: &[],
        signals,
        produces: signals,
        stability: Stability::Beta,
        summary: "for a test",
    }
}

static IN: Metadata = metadata(Kind::Receiver, "in", ALL);
static SCRAPER: Metadata = metadata(Kind::Receiver, "scraper", &[Signal::Metrics]);
static STEP: Metadata = metadata(Kind::Processor, "step", ALL);
static OUT: Metadata = metadata(Kind::Exporter, "out", ALL);
/// Has the receiver's name, as `otlp` and `otlp` have.
static NAMESAKE: Metadata = metadata(Kind::Exporter, "in", ALL);
static PROBE: Metadata = metadata(Kind::Exporter, "probe", &[Signal::Metrics]);
static JOIN: Metadata = metadata(Kind::Connector, "join", ALL);
static HELP: Metadata = metadata(Kind::Extension, "help", &[]);

fn registry() -> Registry {
    let receiver = |cx: Context, settings, next: Next| {
        Ok(Anything::new(cx, settings, Some(Arc::new(next) as _)))
    };
    let exporter = |cx, settings| Ok(Anything::new(cx, settings, None));
    Registry::new(vec![
        Factory::receiver(&IN, receiver),
        Factory::receiver(&SCRAPER, receiver),
        Factory::processor(&STEP, |cx, settings, next| {
            Ok(Anything::new(cx, settings, Some(next)))
        }),
        Factory::exporter(&OUT, exporter),
        Factory::exporter(&NAMESAKE, exporter),
        Factory::exporter(&PROBE, exporter),
        Factory::connector(&JOIN, |cx, settings, next: Next| {
            Ok(Anything::new(cx, settings, Some(Arc::new(next) as _)))
        }),
        Factory::extension(&HELP, |cx, settings| Ok(Anything::new(cx, settings, None))),
    ])
}

fn plan(yaml: &str) -> Result<Plan, String> {
    let mut problems = Problems::new();
    let document = Sources::new()
        .text("t.yaml", yaml)
        .resolve(&corten_config::Process, &mut problems);
    let model = document.model(&mut problems);
    Plan::check(&model, &registry(), &mut problems).ok_or_else(|| problems.to_string())
}

fn surroundings() -> Surroundings {
    Surroundings {
        services: Services::new(),
        health: Health::new(),
        meter: opentelemetry::metrics::noop::NoopMeterProvider::new().meter("test"),
    }
}

fn diary(around: &Surroundings) -> Vec<String> {
    let diary = around.services.get_or_insert_with(Diary::default);
    std::mem::take(&mut *diary.0.lock())
}

const JOINED: &str = "
receivers: {in: }
processors: {step: }
exporters: {out: }
connectors: {join: }
extensions: {help: }
service:
  extensions: [help]
  pipelines:
    logs/first: {receivers: [in], processors: [step], exporters: [join]}
    logs/second: {receivers: [join], exporters: [out]}
";

#[tokio::test]
async fn exporters_start_before_receivers_and_stop_after_them() {
    let around = surroundings();
    let mut graph = Graph::build(&plan(JOINED).unwrap(), &around).unwrap();
    assert!(diary(&around).is_empty(), "creating does nothing yet");
    graph.start().await.unwrap();
    let expected = [
        "start help",
        "start out",
        "start join",
        "start step",
        "start in",
    ];
    assert_eq!(diary(&around), expected);
    assert!(around.health.not_ready(Duration::ZERO).is_empty());
    assert!(graph.shutdown(Duration::from_secs(5)).await);
    let expected = ["stop in", "stop step", "stop join", "stop out", "stop help"];
    assert_eq!(diary(&around), expected);
}

#[tokio::test]
async fn what_had_started_stops_again_when_one_does_not() {
    let around = surroundings();
    let yaml = JOINED.replace("{in: }", "{in: {fails: true}}");
    let mut graph = Graph::build(&plan(&yaml).unwrap(), &around).unwrap();
    let error = graph.start().await.unwrap_err();
    assert_eq!(error.to_string(), "receivers::in: as it was told");
    let stopped = diary(&around);
    assert!(stopped.contains(&"stop out".to_owned()), "{stopped:?}");
}

#[tokio::test(start_paused = true)]
async fn scrapers_are_collected_on_demand_and_on_schedule_for_whom_it_is_meant() {
    let around = surroundings();
    let yaml = "
receivers: {scraper: }
processors: {step: }
exporters: {probe: , out: }
service:
  pipelines:
    metrics: {receivers: [scraper], processors: [step], exporters: [probe, out]}
";
    let mut graph = Graph::build(&plan(yaml).unwrap(), &around).unwrap();
    graph.start().await.unwrap();
    diary(&around);
    let probe = around.services.get::<Anything>().unwrap();
    let feed = Arc::clone(probe.feeds.lock().first().unwrap());
    let batches = feed
        .collect(&CollectRequest::all(Duration::from_secs(5)))
        .await
        .unwrap();
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].items(), 1);
    assert_eq!(
        diary(&around),
        ["step gets 1"],
        "through the processors, to nobody else"
    );

    tokio::time::sleep(Duration::from_secs(12)).await;
    let expected = ["step gets 1", "out gets 1", "step gets 1", "out gets 1"];
    assert_eq!(diary(&around), expected, "after 1 s and 11 s");
    graph.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn without_push_exporters_nothing_is_collected_by_itself() {
    let around = surroundings();
    let yaml = "
receivers: {scraper: }
processors: {step: }
exporters: {probe: }
service:
  pipelines:
    metrics: {receivers: [scraper], processors: [step], exporters: [probe]}
";
    let mut graph = Graph::build(&plan(yaml).unwrap(), &around).unwrap();
    graph.start().await.unwrap();
    diary(&around);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(diary(&around).is_empty());
    graph.shutdown(Duration::from_secs(5)).await;
}

fn problems(yaml: &str) -> String {
    match plan(yaml) {
        Ok(plan) => panic!("no problem in {plan:?}"),
        Err(problems) => problems,
    }
}

#[test]
fn what_cannot_be_built_is_said_in_the_collectors_words() {
    let text = problems(
        "{receivers: {in: }, exporters: {probe: }, service: {pipelines: {traces: {receivers: [in], exporters: [probe]}}}}",
    );
    assert!(
        text.contains("failed to create \"probe\" exporter for data type \"traces\": telemetry type is not supported"),
        "{text}"
    );
    let text = problems(
        "{receivers: {in: }, exporters: {outt: }, service: {pipelines: {traces: {receivers: [in], exporters: [outt]}}}}",
    );
    assert!(
        text.contains("'exporters' unknown type: \"outt\" for id: \"outt\" (valid values: [in out probe]), did you mean 'out'?"),
        "{text}"
    );
    let text = problems(
        "{receivers: {in: }, exporters: {out: }, connectors: {join: }, service: {pipelines: {traces: {receivers: [in], exporters: [join, out]}}}}",
    );
    assert!(
        text.contains("connector \"join\" used as exporter in [traces] pipeline but not used in any supported receiver pipeline"),
        "{text}"
    );
}

#[test]
fn connectors_that_lead_in_a_circle_are_named() {
    let text = problems(
        "
receivers: {in: }
exporters: {out: }
connectors: {join/a: , join/b: }
service:
  pipelines:
    traces/1: {receivers: [in, join/b], exporters: [join/a]}
    traces/2: {receivers: [join/a], exporters: [join/b, out]}
",
    );
    assert!(text.contains("cycle detected"), "{text}");
    assert!(
        text.contains("traces/1") && text.contains("traces/2"),
        "{text}"
    );
}

#[tokio::test]
async fn an_exporter_may_have_the_name_of_a_receiver() {
    let around = surroundings();
    let yaml = "
receivers: {in: }
exporters: {in: }
service:
  pipelines:
    traces: {receivers: [in], exporters: [in]}
    logs: {receivers: [in], exporters: [in]}
";
    let mut graph = Graph::build(&plan(yaml).unwrap(), &around).unwrap();
    assert_eq!(graph.order(), ["exporters::in", "receivers::in"]);
    graph.start().await.unwrap();
    assert!(graph.shutdown(Duration::from_secs(5)).await);
}

#[test]
fn one_run_finds_every_problem() {
    let text = problems(
        "
receivers: {in: {fials: true}}
exporters: {out: {fails: 3}}
service:
  pipelines:
    logs: {receivers: [in], processors: [batch], exporters: [out]}
",
    );
    for expected in [
        "t.yaml:2:18: receivers::in: unknown field 'fials', did you mean 'fails'?",
        "t.yaml:3:26: exporters::out::fails",
        "service::pipelines::logs: references processor \"batch\" which is not configured",
    ] {
        assert!(text.contains(expected), "no {expected:?} in:\n{text}");
    }
}
