//! An observer as the test says, receivers that write down what happens to them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use corten_component::{
    Batch, BoxError, CollectRequest, Component, Consumer as _, Context, Create, Endpoint,
    Endpoints, Extension, Factories, Factory, Health, Kind, Metadata, Next, Observer, Receiver,
    Schedule, Signal, Source, Stability, async_trait,
};
use corten_config::{Check, types};
use corten_pdata::Data;
use corten_pdata::build::{LogsBuilder, MetricsBuilder};
use corten_receiver_creator_receiver::factory;
use corten_testing::{RecordingSink, conforms, context_with, decode, eventually};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::watch;

/// Observes what the test says.
struct Scripted(watch::Sender<Arc<Endpoints>>);

impl Component for Scripted {}

impl Extension for Scripted {
    fn observer(&self) -> Option<&dyn Observer> {
        Some(self)
    }
}

impl Observer for Scripted {
    fn endpoints(&self) -> watch::Receiver<Arc<Endpoints>> {
        self.0.subscribe()
    }
}

impl Scripted {
    fn new() -> Arc<Self> {
        Arc::new(Self(watch::channel(Arc::default()).0))
    }

    /// A port of the pod `name`, or another state of it.
    fn put(&self, name: &str, fields: serde_json::Value) {
        let mut all = json!({"name": "redis", "port": 6379, "transport": "TCP", "pod": {
            "name": name, "namespace": "shop", "uid": name, "labels": {}, "annotations": {}}});
        for (key, value) in fields.as_object().unwrap() {
            all["pod"][key] = value.clone();
        }
        let id: Arc<str> = format!("o/{name}/redis(6379)").into();
        let endpoint = Endpoint {
            id: Arc::clone(&id),
            target: format!("{name}:6379"),
            kind: "port",
            fields: all.as_object().unwrap().clone(),
        };
        self.0.send_modify(|state| {
            Arc::make_mut(state).insert(id, Arc::new(endpoint));
        });
    }

    fn remove(&self, name: &str) {
        self.0.send_modify(|state| {
            Arc::make_mut(state).remove(format!("o/{name}/redis(6379)").as_str());
        });
    }
}

type Diary = Arc<Mutex<Vec<String>>>;

#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct PusherConfig {
    endpoint: String,
    label: String,
    limit: u16,
    fails: bool,
}

impl Check for PusherConfig {}

/// Sends one log record when it starts.
struct Pusher {
    config: PusherConfig,
    next: Next,
    diary: Diary,
}

impl Pusher {
    fn note(&self, what: &str) {
        let PusherConfig {
            endpoint,
            label,
            limit,
            ..
        } = &self.config;
        let line = format!("{what} {endpoint} {label} {limit}");
        self.diary.lock().push(line.trim_end().to_owned());
    }
}

#[async_trait]
impl Component for Pusher {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        if self.config.fails {
            return Err("it is told to fail".into());
        }
        self.note("start");
        let mut logs = LogsBuilder::new();
        logs.resource(|resource| {
            resource.attribute_str("k8s.pod.name", "wrong");
        });
        logs.record(|record| {
            record.body_str(&self.config.endpoint);
        });
        drop(self.next.consume(Batch::new(logs.finish())).await);
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        self.note("stop");
        Ok(())
    }
}

impl Receiver for Pusher {}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct ScraperConfig {
    target: String,
    collection_interval: types::Duration,
}

impl Default for ScraperConfig {
    fn default() -> Self {
        Self {
            target: String::new(),
            collection_interval: types::Duration::from_secs(60),
        }
    }
}

impl Check for ScraperConfig {}

/// Has one metric whenever it is collected.
#[derive(Clone)]
struct Scraper(ScraperConfig);

#[async_trait]
impl Source for Scraper {
    fn schedule(&self) -> Schedule {
        Schedule {
            interval: self.0.collection_interval.get(),
            ..Schedule::default()
        }
    }

    async fn collect(&self, _request: &CollectRequest) -> Result<Data, BoxError> {
        let mut metrics = MetricsBuilder::new();
        metrics.metric("up", "", "1").gauge().point(|point| {
            point.int(1);
        });
        Ok(metrics.finish().into())
    }
}

impl Component for Scraper {}

impl Receiver for Scraper {
    fn source(&self) -> Option<Arc<dyn Source>> {
        Some(Arc::new(self.clone()))
    }
}

const PUSHER: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "pusher",
    aliases: &[],
    signals: &[Signal::Logs, Signal::Metrics],
    produces: &[],
    stability: Stability::Beta,
    summary: "pushes",
};
const SCRAPER: Metadata = Metadata {
    type_name: "scraper",
    signals: &[Signal::Metrics],
    ..PUSHER
};

struct Play {
    observer: Arc<Scripted>,
    diary: Diary,
    sink: Arc<RecordingSink>,
    health: Health,
}

impl Play {
    fn new() -> Self {
        Self {
            observer: Scripted::new(),
            diary: Diary::default(),
            sink: RecordingSink::new(),
            health: Health::new(),
        }
    }

    fn create(&self, yaml: &str, next: Next) -> Result<Arc<dyn Receiver>, BoxError> {
        let yaml = format!("watch_observers: [o]\n{yaml}");
        let prepared = decode(&factory(), &yaml).unwrap_or_else(|problems| panic!("{problems}"));
        let Create::Receiver(create) = prepared.create else {
            panic!("no receiver");
        };
        let observer = Arc::clone(&self.observer) as Arc<dyn Extension>;
        let extensions = [("o", observer)];
        let cx = context_with(
            Kind::Receiver,
            "receiver_creator",
            &extensions,
            &self.health,
        );
        let diary = Arc::clone(&self.diary);
        let pusher = move |_: Context, config: PusherConfig, next: Next| {
            let diary = Arc::clone(&diary);
            Ok(Pusher {
                config,
                next,
                diary,
            })
        };
        let scraper = |_: Context, config: ScraperConfig, _: Next| Ok(Scraper(config));
        let factories = vec![
            Factory::receiver(&PUSHER, pusher),
            Factory::receiver(&SCRAPER, scraper),
        ];
        cx.services().insert(Arc::new(Factories::new(factories)));
        create(cx, next)
    }

    async fn start(&self, yaml: &str) -> Arc<dyn Receiver> {
        let creator = self.create(yaml, self.sink.next()).unwrap();
        Arc::clone(&creator).start().await.unwrap();
        creator
    }

    /// Waits until exactly this is in the diary, and takes it out.
    async fn happened(&self, wanted: &[&str]) {
        eventually(&format!("{wanted:?}"), Duration::from_secs(20), || async {
            let mut diary = self.diary.lock();
            if diary.len() < wanted.len() {
                return None;
            }
            // Endpoints start and stop side by side.
            diary.sort();
            assert_eq!(*diary, wanted);
            diary.clear();
            Some(())
        })
        .await;
    }
}

/// The resource attributes of everything, sorted.
fn attributes(batches: &[Batch]) -> Vec<String> {
    let mut all = Vec::new();
    for batch in batches {
        let attributes = match &batch.data {
            Data::Logs(rope) => {
                let resource = rope.resources().next().unwrap().resource();
                shown(&resource)
            }
            Data::Metrics(rope) => {
                let resource = rope.resources().next().unwrap().resource();
                shown(&resource)
            }
            Data::Traces(_) => panic!("no traces"),
        };
        all.push(attributes);
    }
    all
}

fn shown(resource: &corten_pdata::Resource<'_>) -> String {
    let names = ["k8s.namespace.name", "k8s.pod.name", "k8s.pod.uid", "app"];
    let found = names.iter().filter_map(|name| {
        let value = resource.attributes().get_str(name)?;
        Some(format!("{name}={value}"))
    });
    found.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn conforms_to_the_contract() {
    conforms(factory(), "{watch_observers: []}").await;
}

const TEMPLATE: &str = r#"
receivers:
  pusher:
    rule: type == "port" && pod.name startsWith "redis"
    config: {label: '`pod.labels["app"]`'}
    resource_attributes: {app: '`pod.labels["app"]`'}
"#;

#[tokio::test]
async fn receivers_follow_the_endpoints() {
    let play = Play::new();
    play.observer
        .put("redis-0", json!({"labels": {"app": "a"}}));
    let creator = play.start(TEMPLATE).await;
    // What is there from the beginning, what comes, and what no rule wants.
    play.happened(&["start redis-0:6379 a 0"]).await;
    play.observer.put("web-0", json!({}));
    play.observer
        .put("redis-1", json!({"labels": {"app": "b"}}));
    play.happened(&["start redis-1:6379 b 0"]).await;
    let batches = play.sink.wait_for_items(2).await;
    assert_eq!(
        attributes(&batches),
        [
            "k8s.namespace.name=shop k8s.pod.name=redis-0 k8s.pod.uid=redis-0 app=a",
            "k8s.namespace.name=shop k8s.pod.name=redis-1 k8s.pod.uid=redis-1 app=b",
        ],
        "the endpoint's attributes, over those that the data had"
    );

    // A change that means nothing to it does not interrupt it, one that does restarts it.
    play.observer
        .put("redis-0", json!({"labels": {"app": "a", "other": "x"}}));
    play.observer
        .put("redis-1", json!({"labels": {"app": "c"}}));
    play.happened(&["start redis-1:6379 c 0", "stop redis-1:6379 b 0"])
        .await;

    play.observer.remove("redis-0");
    play.happened(&["stop redis-0:6379 a 0"]).await;
    creator.shutdown().await.unwrap();
    play.happened(&["stop redis-1:6379 c 0"]).await;
}

#[tokio::test]
async fn a_bad_receiver_is_its_endpoints_affair() {
    let play = Play::new();
    let yaml = r#"
receivers:
  pusher:
    rule: type == "port"
    config:
      limit: '`pod.labels["limit"]`'
      fails: '`"fails" in pod.labels`'
"#;
    let creator = play.start(yaml).await;
    play.observer
        .put("bad", json!({"labels": {"limit": "many"}}));
    play.observer
        .put("fails", json!({"labels": {"limit": "1", "fails": ""}}));
    play.observer.put("good", json!({"labels": {"limit": "7"}}));
    // One that did not start is shut down again.
    play.happened(&["start good:6379  7", "stop fails:6379  1"])
        .await;
    // Mended, it starts.
    play.observer.put("bad", json!({"labels": {"limit": "8"}}));
    play.happened(&["start bad:6379  8"]).await;
    assert!(
        play.health
            .components()
            .iter()
            .all(|component| component.id.name().is_empty()),
        "the agent's health is not theirs"
    );
    creator.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn sources_are_collected_on_their_interval() {
    let play = Play::new();
    let yaml = r#"
receivers:
  scraper:
    rule: type == "port"
    config: {target: '`endpoint`', collection_interval: '`pod.annotations["interval"]`'}
"#;
    play.observer
        .put("redis-0", json!({"annotations": {"interval": "10s"}}));
    let creator = play.start(yaml).await;
    tokio::time::sleep(Duration::from_secs(35)).await;
    let batches = play.sink.take();
    assert_eq!(batches.len(), 4, "after 1, 11, 21 and 31 seconds");
    assert_eq!(
        attributes(&batches[..1]),
        ["k8s.namespace.name=shop k8s.pod.name=redis-0 k8s.pod.uid=redis-0"]
    );
    play.observer.remove("redis-0");
    tokio::time::sleep(Duration::from_secs(35)).await;
    assert_eq!(
        play.sink.offered(),
        4,
        "it is collected although it is gone"
    );
    creator.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_no_pipeline_takes_is_not_started() {
    let play = Play::new();
    let sink = Arc::clone(&play.sink);
    let logs = Next::new().with(Signal::Logs, sink);
    let yaml = "
receivers:
  scraper: {rule: type == 'port'}
  pusher: {rule: type == 'port'}
discovery: {enabled: true}
";
    let creator = play.create(yaml, logs).unwrap();
    Arc::clone(&creator).start().await.unwrap();
    play.observer.put("redis-0", json!({}));
    play.happened(&["start redis-0:6379  0"]).await;
    // Annotations ask for metrics, and only logs are taken: what the rules started stops.
    play.observer.put(
        "redis-0",
        json!({"annotations": {"io.opentelemetry.discovery.metrics/enabled": "true", "io.opentelemetry.discovery.metrics/scraper": "pusher"}}),
    );
    play.happened(&["stop redis-0:6379  0"]).await;
    creator.shutdown().await.unwrap();
}

#[tokio::test]
async fn annotations_create_receivers() {
    let play = Play::new();
    let creator = play.start("discovery: {enabled: true}").await;
    let on = |label: &str| {
        json!({"annotations": {
            "io.opentelemetry.discovery.metrics/enabled": "true",
            "io.opentelemetry.discovery.metrics.6379/scraper": "pusher",
            "io.opentelemetry.discovery.metrics/config": format!("label: {label}\nendpoint: 'http://`endpoint`/x'"),
        }})
    };
    play.observer.put("a", on("one"));
    play.observer.put("b", json!({}));
    play.happened(&["start http://a:6379/x one 0"]).await;
    assert_eq!(
        play.sink.items(),
        0,
        "an annotation asks for metrics, and gets nothing else"
    );
    play.observer.put("a", on("two"));
    play.happened(&["start http://a:6379/x two 0", "stop http://a:6379/x one 0"])
        .await;
    play.observer.put("a", json!({}));
    play.happened(&["stop http://a:6379/x two 0"]).await;
    creator.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_can_never_work_stops_the_creation() {
    let play = Play::new();
    let error = |yaml: &str| match play.create(yaml, Next::new()) {
        Ok(_) => panic!("it is created"),
        Err(error) => error.to_string(),
    };
    let unknown = error("receivers: {pushr/1: {rule: type == 'port'}}");
    assert_eq!(
        unknown,
        "receivers::pushr/1: there is no receiver \"pushr\", did you mean \"pusher\"?"
    );
    let prepared = decode(&factory(), "watch_observers: [nobody]").unwrap();
    let Create::Receiver(create) = prepared.create else {
        panic!("no receiver");
    };
    let cx = context_with(Kind::Receiver, "receiver_creator", &[], &Health::new());
    let Err(missing) = create(cx, Next::new()) else {
        panic!("it is created");
    };
    assert!(
        missing.to_string().contains("\"nobody\" is not running"),
        "{missing}"
    );
}

/// What runs by the diary: every start without its stop.
fn running(diary: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in diary {
        let (what, which) = line.split_once(' ').unwrap();
        if what == "start" {
            assert!(!all.contains(&which.to_owned()), "twice: {diary:?}");
            all.push(which.to_owned());
        } else {
            let at = all.iter().position(|known| known == which);
            all.remove(at.unwrap_or_else(|| panic!("{which} stops without a start: {diary:?}")));
        }
    }
    all.sort();
    all
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Whatever comes, changes and goes, and however often the creator looks: in the end that runs which should.
    #[test]
    fn what_runs_is_what_is_wanted(
        happens in proptest::collection::vec((0..4_usize, 0..4_usize, proptest::bool::ANY), 0..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let play = Play::new();
            let creator = play.start(TEMPLATE).await;
            let mut wanted = std::collections::BTreeMap::new();
            for (pod, label, looks) in happens {
                let name = format!("redis-{pod}");
                if label == 0 {
                    play.observer.remove(&name);
                    wanted.remove(&name);
                } else {
                    play.observer.put(&name, json!({"labels": {"app": format!("{label}")}}));
                    wanted.insert(name.clone(), format!("{name}:6379 {label} 0"));
                }
                if looks {
                    tokio::task::yield_now().await;
                }
            }
            let wanted: Vec<String> = wanted.into_values().collect();
            eventually(&format!("{wanted:?}"), Duration::from_secs(20), || async {
                (running(&play.diary.lock()) == wanted).then_some(())
            })
            .await;
            creator.shutdown().await.unwrap();
            assert!(running(&play.diary.lock()).is_empty());
        });
    }
}
