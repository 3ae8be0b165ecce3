//! Over a real socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use corten_component::{
    Batch, BoxError, CollectRequest, Component, ComponentId, Consumer, Context, Denied, Exporter,
    Extension, Extensions, Feed, Health, Kind, ServerAuth, Services, async_trait,
};
use corten_pdata::Metrics;
use corten_pdata::model::ExportMetricsServiceRequest;
use corten_pdata::model::common::{AnyValue, KeyValue, any_value};
use corten_pdata::model::metrics::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::exporter::Prometheus;

fn kv(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

/// A gauge that is Prometheus's already, unless `declared` is empty.
fn gauge(name: &str, declared: &str, value: f64) -> Metrics {
    let metadata = match declared {
        "" => Vec::new(),
        kind => vec![kv("prometheus.type", kind)],
    };
    Metrics::from_model(&ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics {
                metrics: vec![Metric {
                    name: name.to_owned(),
                    description: "A gauge.".to_owned(),
                    data: Some(Data::Gauge(Gauge {
                        data_points: vec![NumberDataPoint {
                            time_unix_nano: 1,
                            value: Some(number_data_point::Value::AsDouble(value)),
                            ..NumberDataPoint::default()
                        }],
                    })),
                    metadata,
                    ..Metric::default()
                }],
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    })
    .unwrap()
}

/// Brings the gauge `node_<collector>` for each collector wanted.
struct Node {
    id: ComponentId,
    broken: AtomicBool,
}

impl Node {
    fn new(id: &str) -> Arc<Self> {
        Arc::new(Self {
            id: id.parse().unwrap(),
            broken: AtomicBool::new(false),
        })
    }
}

#[async_trait]
impl Feed for Node {
    fn source(&self) -> &ComponentId {
        &self.id
    }

    async fn collect(&self, request: &CollectRequest) -> Result<Vec<Batch>, BoxError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err("procfs is gone".into());
        }
        let collectors = ["cpu", "meminfo"];
        if let Some(name) = request
            .include
            .iter()
            .find(|name| !collectors.contains(&name.as_str()))
        {
            return Err(format!("missing collector: {name}").into());
        }
        let wanted = collectors.iter().filter(|name| request.wants(name));
        Ok(wanted
            .map(|name| Batch::new(gauge(&format!("node_{name}"), "gauge", 1.0)))
            .collect())
    }
}

async fn started(yaml: &str, feeds: Vec<Arc<dyn Feed>>) -> Arc<Prometheus> {
    let cx = Context::detached(Kind::Exporter, "prometheus".parse().unwrap());
    let exporter = Prometheus::create(cx, corten_config::from_str(yaml).unwrap()).unwrap();
    let exporter = Arc::new(exporter);
    exporter.attach(feeds);
    Arc::clone(&exporter).start().await.unwrap();
    exporter
}

/// The whole answer, head and body.
async fn request(exporter: &Prometheus, head: &str) -> String {
    let mut stream = TcpStream::connect(exporter.local_addr().unwrap())
        .await
        .unwrap();
    let request = format!("{head}\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn get(exporter: &Prometheus, target: &str) -> (String, String) {
    let answer = request(exporter, &format!("GET {target} HTTP/1.1")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

#[tokio::test]
async fn conforms() {
    corten_testing::conforms(crate::factory(), "endpoint: localhost:0").await;
}

#[tokio::test]
async fn a_scrape_collects_and_shows_what_was_pushed() {
    let exporter = started("endpoint: localhost:0", vec![Node::new("node_exporter")]).await;
    exporter
        .consume(Batch::new(gauge("app.load", "", 0.5)))
        .await
        .unwrap();
    let (head, body) = get(&exporter, "/metrics").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(
        head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{head}"
    );
    assert_eq!(
        body,
        "# HELP app_load A gauge.\n# TYPE app_load gauge\napp_load 0.5\n\
         # HELP node_cpu A gauge.\n# TYPE node_cpu gauge\nnode_cpu 1\n\
         # HELP node_meminfo A gauge.\n# TYPE node_meminfo gauge\nnode_meminfo 1\n"
    );
    exporter.shutdown().await.unwrap();
}

/// Brings a gauge that is one more at each collection, and from the fourth on a second family.
#[derive(Default)]
struct Growing {
    id: std::sync::OnceLock<ComponentId>,
    collections: std::sync::atomic::AtomicU32,
}

#[async_trait]
impl Feed for Growing {
    fn source(&self) -> &ComponentId {
        self.id.get_or_init(|| "growing".parse().unwrap())
    }

    async fn collect(&self, _: &CollectRequest) -> Result<Vec<Batch>, BoxError> {
        let number = self.collections.fetch_add(1, Ordering::Relaxed);
        let mut batches = vec![Batch::new(gauge("grows", "gauge", number.into()))];
        if number > 2 {
            batches.push(Batch::new(gauge("came_later", "gauge", 7.0)));
        }
        Ok(batches)
    }
}

#[tokio::test]
async fn a_page_that_comes_again_has_new_numbers() {
    let exporter = started("endpoint: localhost:0", vec![Arc::new(Growing::default())]).await;
    let grows = |number| format!("# HELP grows A gauge.\n# TYPE grows gauge\ngrows {number}\n");
    let later = "# HELP came_later A gauge.\n# TYPE came_later gauge\ncame_later 7\n";
    for number in 0..6 {
        let expected = match number {
            0..=2 => grows(number),
            _ => format!("{later}{}", grows(number)),
        };
        assert_eq!(get(&exporter, "/metrics").await.1, expected);
    }
    // What was pushed meanwhile stands beside it.
    let pushed = Batch::new(gauge("pushed", "gauge", 1.0));
    exporter.consume(pushed).await.unwrap();
    let (_, body) = get(&exporter, "/metrics").await;
    assert!(
        body.contains("grows 6\n") && body.contains("pushed 1\n"),
        "{body}"
    );
    exporter.shutdown().await.unwrap();
}

#[tokio::test]
async fn collectors_are_chosen_by_the_query() {
    let exporter = started("endpoint: localhost:0", vec![Node::new("node_exporter")]).await;
    let (_, body) = get(&exporter, "/metrics?collect[]=cpu").await;
    assert!(
        body.contains("node_cpu 1") && !body.contains("node_meminfo"),
        "{body}"
    );
    let (_, body) = get(&exporter, "/metrics?exclude%5B%5D=cpu").await;
    assert!(
        !body.contains("node_cpu") && body.contains("node_meminfo 1"),
        "{body}"
    );
    let (head, body) = get(&exporter, "/metrics?collect[]=nfs").await;
    assert!(head.starts_with("http/1.1 400"), "{head}");
    assert_eq!(
        body,
        "Couldn't create filtered metrics handler: couldn't create collector: missing collector: nfs"
    );
    let (head, body) = get(&exporter, "/metrics?collect[]=cpu&exclude[]=cpu").await;
    assert!(head.starts_with("http/1.1 400"), "{head}");
    assert_eq!(
        body,
        "Combined collect and exclude queries are not allowed."
    );
    exporter.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_failing_receiver_costs_only_itself() {
    let (node, containers) = (Node::new("node_exporter"), Node::new("container_metrics"));
    containers.broken.store(true, Ordering::Relaxed);
    let exporter = started("endpoint: localhost:0", vec![node.clone(), containers]).await;
    let (head, body) = get(&exporter, "/metrics").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(body.contains("node_cpu 1\n"), "{body}");
    assert!(
        body.contains("corten_scrape_source_up{receiver=\"container_metrics\"} 0\n"),
        "{body}"
    );
    node.broken.store(true, Ordering::Relaxed);
    let (head, body) = get(&exporter, "/metrics").await;
    assert!(head.starts_with("http/1.1 500"), "{head}");
    assert_eq!(
        body,
        "node_exporter: procfs is gone\ncontainer_metrics: procfs is gone\n"
    );
    exporter
        .consume(Batch::new(gauge("app", "", 1.0)))
        .await
        .unwrap();
    let (head, body) = get(&exporter, "/metrics").await;
    assert!(
        head.starts_with("http/1.1 200") && body.contains("app 1\n"),
        "{head} {body}"
    );
    exporter.shutdown().await.unwrap();
}

/// Lets in who says the password.
struct Door;

impl Component for Door {}

impl Extension for Door {
    fn server_auth(&self) -> Option<&dyn ServerAuth> {
        Some(self)
    }
}

impl ServerAuth for Door {
    fn authenticate(&self, headers: &http::HeaderMap) -> Result<(), Denied> {
        match headers.get("authorization") {
            Some(said) if said == "swordfish" => Ok(()),
            _ => Err(Denied {
                reason: "who are you?".to_owned(),
                challenge: Some("Basic realm=\"test\""),
            }),
        }
    }
}

#[tokio::test]
async fn only_the_authenticated_are_answered() {
    let door: Arc<dyn Extension> = Arc::new(Door);
    let extensions = Extensions::new([("door".parse().unwrap(), door)].into());
    let yaml = "{endpoint: localhost:0, auth: {authenticator: door}, response_headers: {x-served-by: corten}}";
    let create = |extensions: Extensions| {
        let meter = Context::detached(Kind::Exporter, "x".parse().unwrap())
            .meter()
            .clone();
        let id = "prometheus".parse().unwrap();
        let cx = Context::new(
            Kind::Exporter,
            id,
            extensions,
            Services::new(),
            &Health::new(),
            meter,
        );
        Prometheus::create(cx, corten_config::from_str(yaml).unwrap())
    };
    assert!(
        create(Extensions::default()).is_err(),
        "an authenticator that is not there is no open door"
    );
    let exporter = Arc::new(create(extensions).unwrap());
    Arc::clone(&exporter).start().await.unwrap();
    let (head, body) = get(&exporter, "/metrics").await;
    assert!(
        head.starts_with("http/1.1 401") && head.contains("www-authenticate: basic"),
        "{head}"
    );
    assert_eq!(body, "who are you?");
    let answer = request(
        &exporter,
        "GET /metrics HTTP/1.1\r\nAuthorization: swordfish",
    )
    .await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("x-served-by: corten"),
        "{answer}"
    );
    exporter.shutdown().await.unwrap();
}

/// Knows no collectors: brings the same whatever is asked for, as long as something is.
struct Simple(ComponentId);

#[async_trait]
impl Feed for Simple {
    fn source(&self) -> &ComponentId {
        &self.0
    }

    async fn collect(&self, request: &CollectRequest) -> Result<Vec<Batch>, BoxError> {
        Ok(if request.wants("load") {
            vec![Batch::new(gauge("load", "", 1.0))]
        } else {
            Vec::new()
        })
    }
}

#[tokio::test]
async fn a_collector_of_one_receiver_is_no_failure_of_another() {
    let simple = Arc::new(Simple("host_metrics".parse().unwrap()));
    let exporter = started(
        "endpoint: localhost:0",
        vec![Node::new("node_exporter"), simple],
    )
    .await;
    let (head, body) = get(&exporter, "/metrics?collect[]=load").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(
        body.contains("load 1\n") && !body.contains("corten_scrape"),
        "{body}"
    );
    let (head, _) = get(&exporter, "/metrics?collect[]=nfs").await;
    assert!(head.starts_with("http/1.1 400"), "{head}");
    exporter.shutdown().await.unwrap();
}

#[tokio::test]
async fn one_source_twice_is_shown_once() {
    let exporter = started(
        "endpoint: localhost:0",
        vec![Node::new("node_exporter"), Node::new("node_exporter/2")],
    )
    .await;
    let (_, body) = get(&exporter, "/metrics").await;
    assert_eq!(body.matches("\nnode_cpu 1\n").count(), 1, "{body}");
    exporter.shutdown().await.unwrap();
}

#[tokio::test]
async fn formats_and_encodings_are_negotiated() {
    let exporter = started(
        "{endpoint: localhost:0, enable_open_metrics: true, metrics_path: /m}",
        vec![Node::new("node_exporter")],
    )
    .await;
    let accept = "GET /m HTTP/1.1\r\nAccept: application/openmetrics-text;version=1.0.0";
    let answer = request(&exporter, accept).await;
    assert!(
        answer.contains("application/openmetrics-text; version=1.0.0"),
        "{answer}"
    );
    assert!(answer.ends_with("node_meminfo 1.0\n# EOF\n"), "{answer}");
    for number in 0..50 {
        let name = format!("padding_{number}");
        exporter
            .consume(Batch::new(gauge(&name, "", 1.0)))
            .await
            .unwrap();
    }
    let answer = request(&exporter, "GET /m HTTP/1.1\r\nAccept-Encoding: gzip").await;
    assert!(
        answer
            .to_ascii_lowercase()
            .contains("content-encoding: gzip"),
        "{answer}"
    );
    let (head, _) = get(&exporter, "/metrics").await;
    assert!(head.starts_with("http/1.1 404"), "{head}");
    let answer = request(&exporter, "POST /m HTTP/1.1\r\nContent-Length: 0").await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    let answer = request(&exporter, "HEAD /m HTTP/1.1").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    exporter.shutdown().await.unwrap();
}

#[tokio::test]
async fn exporters_at_one_address_share_it() {
    // A port that is free now; two exporters cannot share port 0.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let cx = Context::detached(Kind::Exporter, "prometheus/node".parse().unwrap());
    let other = Context::new(
        Kind::Exporter,
        "prometheus/containers".parse().unwrap(),
        Extensions::default(),
        cx.services().clone(),
        &Health::new(),
        cx.meter().clone(),
    );
    let create = |cx: &Context, path: &str| {
        let yaml = format!("{{endpoint: '127.0.0.1:{port}', metrics_path: {path}}}");
        Prometheus::create(cx.clone(), corten_config::from_str(&yaml).unwrap())
    };
    let node = Arc::new(create(&cx, "/api/v0/node/metrics").unwrap());
    let containers = Arc::new(create(&other, "/metrics/cadvisor").unwrap());
    let problem = create(&other, "/metrics/cadvisor")
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(
        problem.contains("is served by exporters::prometheus/containers already"),
        "{problem}"
    );
    node.consume(Batch::new(gauge("node", "", 1.0)))
        .await
        .unwrap();
    containers
        .consume(Batch::new(gauge("containers", "", 1.0)))
        .await
        .unwrap();
    Arc::clone(&node).start().await.unwrap();
    Arc::clone(&containers).start().await.unwrap();
    assert!(
        get(&node, "/api/v0/node/metrics")
            .await
            .1
            .ends_with("\nnode 1\n")
    );
    assert!(
        get(&node, "/metrics/cadvisor")
            .await
            .1
            .ends_with("\ncontainers 1\n")
    );
    containers.shutdown().await.unwrap();
    assert!(
        get(&node, "/metrics/cadvisor")
            .await
            .0
            .starts_with("http/1.1 503")
    );
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn other_signals_are_refused() {
    let exporter = started("endpoint: localhost:0", Vec::new()).await;
    let logs = Batch::new(corten_pdata::Data::empty(corten_component::Signal::Logs));
    let refused = exporter.consume(logs).await.unwrap_err();
    assert!(!refused.is_retryable());
    exporter.shutdown().await.unwrap();
}
