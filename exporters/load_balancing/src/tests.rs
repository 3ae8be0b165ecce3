//! Real backends on loopback.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use corten_component::{
    Batch, Component, Consumer, Context, GrpcCode, Kind, Signal, Status as Outcome,
};
use corten_config::settings::GrpcServer;
use corten_kubernetes::{ApiClient, ApiConfig, AuthType, Surroundings};
use corten_net::body::{Body, Limits};
use corten_net::grpc::{self, Status};
use corten_net::listen::{Listener, Listeners, handler};
use corten_pdata::build::{LogsBuilder, MetricsBuilder, TracesBuilder};
use corten_pdata::{Data, Metrics, Traces};
use corten_testing::{Cluster, Reply, eventually, http_server};
use http::{Method, Request};
use parking_lot::Mutex;
use proptest::prelude::*;

use crate::config::{Config, K8s, RoutingKey};
use crate::exporter::LoadBalancing;
use crate::resolver;
use crate::ring::Ring;
use crate::route::Router;

const SOON: Duration = Duration::from_secs(20);

/// What a backend has: trace and span ids.
type Spans = BTreeSet<([u8; 16], [u8; 8])>;

struct Backend {
    name: String,
    listener: Listener,
    spans: Arc<Mutex<Spans>>,
    refuses: Arc<AtomicBool>,
}

impl Backend {
    async fn start() -> Self {
        let cx = Context::detached(Kind::Receiver, "backend".parse().unwrap());
        let settings = GrpcServer::at("127.0.0.1", 0);
        let listener = Listeners::of(&cx).grpc(&cx, "", &settings).unwrap();
        let spans: Arc<Mutex<Spans>> = Arc::default();
        let refuses = Arc::new(AtomicBool::new(false));
        let (all, no) = (Arc::clone(&spans), Arc::clone(&refuses));
        let handler = handler(move |request: Request<Body>| {
            let (all, no) = (Arc::clone(&all), Arc::clone(&no));
            async move {
                let mut request = request;
                let message = grpc::read_message(&mut request, &Limits::new(4 << 20), None).await;
                if no.load(Ordering::Relaxed) {
                    return grpc::refuse(&Status::new(GrpcCode::Unavailable, "not now"));
                }
                let traces = Traces::parse(message.unwrap()).unwrap();
                all.lock().extend(ids(&traces));
                grpc::reply(&[])
            }
        });
        let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        listener.route(&[Method::POST], path, handler).unwrap();
        listener.start().await.unwrap();
        Self {
            name: listener.local_addr().unwrap().to_string(),
            listener,
            spans,
            refuses,
        }
    }

    fn spans(&self) -> Spans {
        self.spans.lock().clone()
    }
}

fn ids(traces: &Traces) -> Vec<([u8; 16], [u8; 8])> {
    let mut ids = Vec::new();
    for resource in traces.resources() {
        for scope in resource.scopes() {
            for span in scope.spans() {
                let (trace, id) = (span.trace_id(), span.span_id());
                ids.push((trace.try_into().unwrap(), id.try_into().unwrap()));
            }
        }
    }
    ids
}

fn trace_id(n: u64) -> [u8; 16] {
    (u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(n) | 1).to_be_bytes()
}

/// Three spans of every trace from `from` on, mixed over two resources.
fn batch(from: u64, traces: u64) -> Batch {
    let mut builder = TracesBuilder::new();
    for service in ["shop", "cart"] {
        builder.resource(|resource| {
            resource.attribute_str("service.name", service);
        });
        for span in 0u64..3 {
            // A span belongs to one resource alone.
            let own = (span % 2 == 0) == (service == "shop");
            for trace in (from..from + traces).filter(|_| own) {
                builder.span(|to| {
                    to.ids(&trace_id(trace), &(span + 1).to_be_bytes());
                });
            }
        }
    }
    Batch::new(builder.finish())
}

fn settings(names: &[&Backend]) -> String {
    let names: Vec<_> = names.iter().map(|backend| &backend.name).collect();
    format!(
        "resolver: {{static: {{hostnames: {names:?}}}}}, protocol: {{otlp: {{tls: {{insecure: true}}, \
         retry_on_failure: {{initial_interval: 20ms, max_interval: 50ms}}}}}}"
    )
}

async fn start(settings: &str) -> Arc<LoadBalancing> {
    let config: Config = corten_config::from_str(&format!("{{{settings}}}")).unwrap();
    let cx = Context::detached(Kind::Exporter, "load_balancing".parse().unwrap());
    let exporter = Arc::new(LoadBalancing::create(cx, config).unwrap());
    Arc::clone(&exporter).start().await.unwrap();
    exporter
}

async fn have(backends: &[&Backend], spans: usize) {
    let what = format!("{spans} spans");
    eventually(&what, SOON, || async {
        let all: Spans = backends
            .iter()
            .flat_map(|backend| backend.spans())
            .collect();
        (all.len() >= spans).then_some(())
    })
    .await;
}

async fn three() -> [Backend; 3] {
    [
        Backend::start().await,
        Backend::start().await,
        Backend::start().await,
    ]
}

#[tokio::test]
async fn a_trace_has_one_backend_and_every_backend_its_share() {
    let [a, b, c] = &three().await;
    let exporter = start(&settings(&[a, b, c])).await;
    for n in 0..10 {
        exporter.consume(batch(n * 100, 100)).await.unwrap();
    }
    have(&[a, b, c], 3000).await;
    exporter.shutdown().await.unwrap();
    let mut names = [&a.name, &b.name, &c.name];
    names.sort();
    let ring = Ring::new(&names);
    for backend in [a, b, c] {
        let spans = backend.spans();
        assert!(spans.len() > 450, "{}", spans.len());
        for (trace, _) in spans {
            assert_eq!(names[ring.place(&trace)], &backend.name);
        }
    }
}

#[tokio::test]
async fn a_backend_that_is_away_holds_up_nobody_else() {
    let [a, b, c] = &three().await;
    a.refuses.store(true, Ordering::Relaxed);
    let exporter = start(&settings(&[a, b, c])).await;
    for n in 0..50 {
        exporter.consume(batch(n * 20, 20)).await.unwrap();
    }
    let mut names = [&a.name, &b.name, &c.name];
    names.sort();
    let ring = Ring::new(&names);
    let theirs = (0..1000).filter(|n| names[ring.place(&trace_id(*n))] != &a.name);
    let theirs = theirs.count() * 3;
    have(&[b, c], theirs).await;
    assert!(a.spans().is_empty());
    a.refuses.store(false, Ordering::Relaxed);
    have(&[a, b, c], 3000).await;
    exporter.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_waits_for_a_backend_that_leaves_goes_to_the_others() {
    let [a, b, c] = &three().await;
    a.refuses.store(true, Ordering::Relaxed);
    let exporter = start(&settings(&[a, b, c])).await;
    for n in 0..50 {
        exporter.consume(batch(n * 20, 20)).await.unwrap();
    }
    // Somebody who waits for the answer gets it from the others.
    let waiting = {
        let exporter = Arc::clone(&exporter);
        async move { exporter.consume(batch(5000, 100).replayable()).await }
    };
    let changing = async {
        let others = vec![b.name.clone(), c.name.clone()];
        exporter.balancer.change("static", others).await.unwrap();
    };
    let (answer, ()) = tokio::join!(waiting, changing);
    answer.unwrap();
    have(&[b, c], 3300).await;
    exporter.shutdown().await.unwrap();
    assert!(a.spans().is_empty());
    // By the ring as it is now.
    let mut names = [&b.name, &c.name];
    names.sort();
    let ring = Ring::new(&names);
    for backend in [b, c] {
        for (trace, _) in backend.spans() {
            assert_eq!(names[ring.place(&trace)], &backend.name);
        }
    }
}

#[tokio::test]
async fn nothing_is_lost_while_backends_come_and_go() {
    let [a, b, c] = &three().await;
    let exporter = start(&settings(&[a, b, c])).await;
    let sending = async {
        for n in 0..200 {
            exporter.consume(batch(n * 10, 10)).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let changing = async {
        for left in [a, b, c, a, b, c] {
            let there = [a, b, c]
                .into_iter()
                .filter(|there| there.name != left.name);
            let there = there.map(|backend| backend.name.clone()).collect();
            left.refuses.store(true, Ordering::Relaxed);
            exporter.balancer.change("static", there).await.unwrap();
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            left.refuses.store(false, Ordering::Relaxed);
        }
    };
    tokio::join!(sending, changing);
    exporter.shutdown().await.unwrap();
    have(&[a, b, c], 6000).await;
}

#[tokio::test]
async fn who_can_send_again_hears_of_the_delivery_and_of_nothing_else() {
    let [a, b, _] = &three().await;
    let exporter = start(&settings(&[a, b])).await;
    let all = batch(0, 100).replayable();
    exporter.consume(all).await.unwrap();
    have(&[a, b], 300).await;
    assert_eq!(a.spans().len() + b.spans().len(), 300);
    exporter.shutdown().await.unwrap();
    let refused = exporter.consume(batch(0, 1)).await.unwrap_err();
    assert!(refused.is_retryable());
    assert_eq!(refused.rest().items(), 3);
}

#[tokio::test]
async fn without_queues_a_refusal_carries_back_what_was_not_kept() {
    let [a, b, c] = &three().await;
    a.refuses.store(true, Ordering::Relaxed);
    let own = settings(&[a, b, c]).replace(
        "retry_on_failure: {initial_interval: 20ms, max_interval: 50ms}",
        "retry_on_failure: {enabled: false}, sending_queue: {enabled: false}",
    );
    let exporter = start(&own).await;
    let refused = exporter.consume(batch(0, 100)).await.unwrap_err();
    assert!(refused.is_retryable());
    assert_eq!(refused.status(), Outcome::UNAVAILABLE);
    let Data::Traces(rest) = &refused.rest().data else {
        panic!("traces")
    };
    let mut all: Spans = ids(rest).into_iter().collect();
    assert!(!all.is_empty() && a.spans().is_empty());
    all.extend(b.spans());
    all.extend(c.spans());
    assert_eq!(all.len(), 300);
    exporter.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_queue_in_front_delivers_everything() {
    let [a, b, _] = &three().await;
    a.refuses.store(true, Ordering::Relaxed);
    let front = "sending_queue: {}, retry_on_failure: {initial_interval: 20ms}";
    let exporter = start(&format!("{}, {front}", settings(&[a, b]))).await;
    for n in 0..5 {
        exporter.consume(batch(n * 100, 100)).await.unwrap();
    }
    a.refuses.store(false, Ordering::Relaxed);
    have(&[a, b], 1500).await;
    exporter.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_name_is_looked_up() {
    let backend = Backend::start().await;
    let port = backend.listener.local_addr().unwrap().port();
    let exporter = start(&format!(
        "resolver: {{dns: {{hostname: 127.0.0.1, port: {port}, interval: 20ms}}}}, \
         protocol: {{otlp: {{tls: {{insecure: true}}}}}}"
    ))
    .await;
    exporter.consume(batch(0, 10)).await.unwrap();
    have(&[&backend], 30).await;
    exporter.shutdown().await.unwrap();
    // Of a name that nobody knows there is nobody to send to, for now.
    let exporter = start("resolver: {dns: {hostname: no-such-host.invalid}}").await;
    let refused = exporter.consume(batch(0, 10)).await.unwrap_err();
    assert!(refused.is_retryable());
    exporter.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_pods_of_a_service_are_followed() {
    const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/monitoring/endpointslices";
    let [a, b, _] = &three().await;
    let port = |backend: &Backend| backend.listener.local_addr().unwrap().port();
    let ready = |is: bool| {
        serde_json::json!({"metadata": {"name": "gateway-x"}, "endpoints": [
            {"addresses": ["127.0.0.1"], "conditions": {"ready": is}}]})
    };
    let cluster = Cluster::new().with(SLICES);
    cluster.put(SLICES, ready(true));
    let server = cluster.clone();
    let address = http_server(move |asked| {
        assert_eq!(
            asked.parameter("labelSelector"),
            "kubernetes.io%2Fservice-name%3Dgateway"
        );
        let missing = || Reply::Whole(404, "{}".to_owned());
        server.answer(&asked).unwrap_or_else(missing)
    })
    .await;
    let anybody = ApiConfig {
        auth_type: AuthType::None,
        ..ApiConfig::default()
    };
    let around = Surroundings {
        server: Some(format!("http://{address}")),
        service_account: "/nonexistent".into(),
    };
    let client = ApiClient::new(anybody, around);
    // The resolver's own client is a pod's; the ring it finds is put in place of this one.
    let exporter = start(&settings(&[a])).await;
    let k8s = K8s {
        service: "gateway.monitoring".to_owned(),
        ports: vec![port(a), port(b)],
        ..K8s::default()
    };
    let trial = async {
        eventually("both ports", SOON, || async {
            exporter.consume(batch(0, 100)).await.unwrap();
            (!a.spans().is_empty() && !b.spans().is_empty()).then_some(())
        })
        .await;
        // Nobody is ready: whoever was there last stays, rather than nobody.
        cluster.put(SLICES, ready(false));
        cluster.delete(SLICES, "gateway-x");
        for n in 1..50 {
            exporter.consume(batch(n * 100, 100)).await.unwrap();
        }
    };
    tokio::select! {
        () = resolver::follow_service(&k8s, &client, &exporter.balancer) => panic!("it ended"),
        () = trial => {}
    }
    have(&[a, b], 15_000).await;
    exporter.shutdown().await.unwrap();
}

#[tokio::test]
async fn it_keeps_the_contract() {
    let yaml = "{resolver: {static: {hostnames: ['127.0.0.1:9']}}}";
    corten_testing::conforms(crate::factory(), yaml).await;
}

fn router(key: RoutingKey, attributes: &[&str]) -> Router {
    let attributes: Vec<String> = attributes.iter().map(|&name| name.to_owned()).collect();
    Router::new(Some(key), &attributes)
}

const NAMES: [&str; 4] = ["a:1", "b:1", "c:1", "d:1"];

/// The place of the only item of some data.
fn place(router: &Router, data: &Data) -> usize {
    let ring = Ring::new(&NAMES);
    let pieces = router.split(data, &ring, NAMES.len()).unwrap();
    assert_eq!(pieces.len(), NAMES.len());
    pieces.iter().position(|piece| !piece.is_empty()).unwrap()
}

fn span(write: impl FnOnce(&mut TracesBuilder)) -> Data {
    let mut builder = TracesBuilder::new();
    write(&mut builder);
    Data::Traces(builder.finish())
}

#[test]
fn keys_are_the_collectors() {
    let ring = Ring::new(&NAMES);
    let traces = span(|builder| {
        builder.resource(|resource| {
            resource
                .attribute_str("service.name", "shop")
                .attribute_int("shard", 7);
        });
        builder.span(|span| {
            span.ids(&[9; 16], &[1; 8]).name("GET").kind(3);
            span.attribute_bool("cached", true)
                .attribute_double("ratio", 0.5)
                .attribute_double("big", 1.5e30);
        });
    });
    for (key, attributes, expected) in [
        (
            RoutingKey::TraceId,
            &[][..],
            "\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t",
        ),
        (RoutingKey::Service, &[], "service.name=shop|"),
        (
            RoutingKey::Attributes,
            &["shard", "cached", "missing", "ratio", "big"],
            "shard=7|cached=true|missing=|ratio=0.5|big=1.5e+30|",
        ),
        (
            RoutingKey::Attributes,
            &["span.kind", "span.name"],
            "span.kind=Client|span.name=GET|",
        ),
    ] {
        let router = router(key, attributes);
        assert_eq!(place(&router, &traces), ring.place(expected.as_bytes()));
    }
    let mut logs = LogsBuilder::new();
    logs.resource(|resource| {
        resource.attribute_str("service.name", "shop");
    });
    logs.record(|record| {
        record.body_str("hello");
    });
    let logs = Data::Logs(logs.finish());
    let service = router(RoutingKey::Service, &[]);
    assert_eq!(place(&service, &logs), ring.place(b"shop"));
    // Without a trace, logs take turns.
    let by_trace = Router::default();
    let turns: Vec<_> = (0..5).map(|_| place(&by_trace, &logs)).collect();
    assert_eq!(turns, [0, 1, 2, 3, 0]);
}

fn metrics() -> Metrics {
    let mut builder = MetricsBuilder::new();
    for service in ["shop", "cart", "mail"] {
        builder.resource(|resource| {
            resource.attribute_str("service.name", service);
        });
        for name in ["requests", "errors"] {
            let mut points = builder.metric(name, "", "1").gauge();
            for code in 0..20 {
                points.point(|point| {
                    point.int(1).attribute_int("code", code);
                });
            }
        }
    }
    builder.finish()
}

#[test]
fn metrics_are_dealt_out_by_every_key_of_theirs() {
    let ring = Ring::new(&NAMES);
    let data = Data::Metrics(metrics());
    for (key, attributes, most) in [
        (RoutingKey::Service, &[][..], 3),
        (RoutingKey::Resource, &[], 3),
        (RoutingKey::Metric, &[], 2),
        (RoutingKey::StreamId, &[], 4),
        (RoutingKey::Attributes, &["code"], 4),
    ] {
        let pieces = router(key, attributes).split(&data, &ring, 4).unwrap();
        let items: Vec<_> = pieces.iter().map(Data::items).collect();
        assert_eq!(items.iter().sum::<usize>(), 120, "{key:?}");
        let used = items.iter().filter(|items| **items > 0).count();
        assert!((1..=most).contains(&used), "{key:?}: {items:?}");
    }
    let pieces = router(RoutingKey::StreamId, &[]).split(&data, &ring, 4);
    assert!(pieces.unwrap().iter().all(|piece| piece.items() > 5));
}

#[test]
fn a_key_that_a_signal_does_not_have_is_refused() {
    let ring = Ring::new(&NAMES);
    let data = Data::Metrics(metrics());
    let error = router(RoutingKey::TraceId, &[]).split(&data, &ring, 4);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("not for metrics; use service"), "{error}");
    for signal in [Signal::Logs, Signal::Traces] {
        let empty = Data::empty(signal);
        assert!(
            router(RoutingKey::Metric, &[])
                .split(&empty, &ring, 4)
                .is_err()
        );
    }
}

proptest! {
    /// Whatever there is, and however many backends: every span in one place, traces whole.
    #[test]
    fn spans_are_dealt_out_once(traces in proptest::collection::vec(0u64..20, 0..60), backends in 1usize..5) {
        let mut builder = TracesBuilder::new();
        for (n, trace) in traces.iter().enumerate() {
            if n % 7 == 0 {
                builder.resource(|resource| { resource.attribute_int("n", n as i64); });
            }
            builder.span(|span| { span.ids(&trace_id(*trace), &(n as u64).to_be_bytes()); });
        }
        let data = Data::Traces(builder.finish());
        let ring = Ring::new(&NAMES[..backends]);
        let pieces = Router::default().split(&data, &ring, backends).unwrap();
        let mut found = Vec::new();
        for (place, piece) in pieces.iter().enumerate() {
            let Data::Traces(piece) = piece else { panic!("traces") };
            for (trace, span) in ids(piece) {
                prop_assert!(backends == 1 || ring.place(&trace) == place);
                found.push(u64::from_be_bytes(span));
            }
        }
        found.sort_unstable();
        prop_assert!(found.into_iter().eq(0..traces.len() as u64));
    }
}
