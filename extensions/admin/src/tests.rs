//! Over a real socket.

use std::sync::Arc;
use std::time::Duration;

use corten_component::{
    Batch, BoxError, Component, Context, Extensions, Health, Kind, Recent, Reload, SelfMetrics,
    Services, async_trait,
};
use corten_pdata::Metrics;
use corten_pdata::model::ExportMetricsServiceRequest;
use corten_pdata::model::metrics::{
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::Admin;

/// A counter of 3 under this name.
fn counter(name: &str) -> Metrics {
    Metrics::from_model(&ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics {
                scope: Some(corten_pdata::model::common::InstrumentationScope {
                    name: "corten".to_owned(),
                    ..Default::default()
                }),
                metrics: vec![Metric {
                    name: name.to_owned(),
                    description: "Spans sent.".to_owned(),
                    unit: "{spans}".to_owned(),
                    data: Some(Data::Sum(Sum {
                        data_points: vec![NumberDataPoint {
                            value: Some(number_data_point::Value::AsInt(3)),
                            ..NumberDataPoint::default()
                        }],
                        aggregation_temporality: 2,
                        is_monotonic: true,
                    })),
                    ..Metric::default()
                }],
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    })
    .unwrap()
}

struct Own;

impl SelfMetrics for Own {
    fn collect(&self) -> Result<Metrics, BoxError> {
        Ok(counter("otelcol_exporter_sent_spans"))
    }
}

struct Fails;

#[async_trait]
impl Reload for Fails {
    async fn reload(&self) -> Result<(), String> {
        Err("corten.yaml:1:1: nothing here".to_owned())
    }
}

struct Works;

#[async_trait]
impl Reload for Works {
    async fn reload(&self) -> Result<(), String> {
        Ok(())
    }
}

struct Fixture {
    admin: Arc<Admin>,
    services: Services,
    health: Health,
}

impl Fixture {
    async fn new(yaml: &str) -> Self {
        let (services, health) = (Services::new(), Health::new());
        services.insert(Arc::new(health.clone()));
        let id = "admin".parse().unwrap();
        let meter = Context::detached(Kind::Extension, "x".parse().unwrap())
            .meter()
            .clone();
        let cx = Context::new(
            Kind::Extension,
            id,
            Extensions::default(),
            services.clone(),
            &health,
            meter,
        );
        cx.health().ok();
        let admin = Arc::new(Admin::create(cx, corten_config::from_str(yaml).unwrap()).unwrap());
        Arc::clone(&admin).start().await.unwrap();
        Self {
            admin,
            services,
            health,
        }
    }

    /// Status and body.
    async fn ask(&self, method: &str, target: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin.local_addr().unwrap())
            .await
            .unwrap();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer))
            .await
            .unwrap()
            .unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }
}

#[tokio::test]
async fn conforms() {
    corten_testing::conforms(crate::factory(), "endpoint: 127.0.0.1:0").await;
}

#[tokio::test]
async fn own_metrics_keep_the_collectors_names() {
    let fixture = Fixture::new("endpoint: 127.0.0.1:0").await;
    assert_eq!(fixture.ask("GET", "/metrics").await.0, 503);
    fixture
        .services
        .insert(Arc::new(Arc::new(Own) as Arc<dyn SelfMetrics>));
    assert_eq!(
        fixture.ask("GET", "/metrics").await,
        (
            200,
            "# HELP otelcol_exporter_sent_spans Spans sent.\n\
             # TYPE otelcol_exporter_sent_spans counter\n\
             otelcol_exporter_sent_spans 3\n"
                .to_owned()
        )
    );
    fixture.admin.shutdown().await.unwrap();
}

#[tokio::test]
async fn ready_means_delivering_and_names_who_does_not() {
    let fixture = Fixture::new("{endpoint: '127.0.0.1:0', not_ready_after: 0s}").await;
    assert_eq!(
        fixture.ask("GET", "/-/ready").await,
        (200, "Corten is ready\n".to_owned())
    );
    let loki = fixture
        .health
        .register(Kind::Exporter, "loki/main".parse().unwrap());
    assert_eq!(
        fixture.ask("GET", "/-/ready").await,
        (
            503,
            "Corten is not ready\nexporter loki/main: is starting\n".to_owned()
        )
    );
    loki.failing("connection refused");
    let trouble = "exporter loki/main: failing for 0s: connection refused\n";
    assert_eq!(
        fixture.ask("GET", "/-/ready").await,
        (503, format!("Corten is not ready\n{trouble}"))
    );
    assert_eq!(
        fixture.ask("GET", "/-/healthy").await,
        (200, format!("Corten is healthy\n{trouble}"))
    );
    loki.ok();
    assert_eq!(fixture.ask("GET", "/-/ready").await.0, 200);
    fixture.admin.shutdown().await.unwrap();
}

#[tokio::test]
async fn trouble_counts_only_after_some_patience() {
    let fixture = Fixture::new("endpoint: 127.0.0.1:0").await;
    let loki = fixture
        .health
        .register(Kind::Exporter, "loki".parse().unwrap());
    loki.failing("connection refused");
    assert_eq!(fixture.ask("GET", "/-/ready").await.0, 200);
    fixture.admin.shutdown().await.unwrap();
}

#[tokio::test]
async fn reload_is_asked_for_by_post() {
    let fixture = Fixture::new("endpoint: 127.0.0.1:0").await;
    assert_eq!(fixture.ask("POST", "/-/reload").await.0, 503);
    fixture
        .services
        .insert(Arc::new(Arc::new(Fails) as Arc<dyn Reload>));
    assert_eq!(
        fixture.ask("POST", "/-/reload").await,
        (400, "corten.yaml:1:1: nothing here".to_owned())
    );
    fixture
        .services
        .insert(Arc::new(Arc::new(Works) as Arc<dyn Reload>));
    assert_eq!(
        fixture.ask("POST", "/-/reload").await,
        (200, "config reloaded\n".to_owned())
    );
    assert_eq!(fixture.ask("GET", "/-/reload").await.0, 405);
    fixture.admin.shutdown().await.unwrap();
}

#[tokio::test]
async fn recent_telemetry_is_shown() {
    let fixture = Fixture::new("{endpoint: '127.0.0.1:0', recent_max_size: 64KiB}").await;
    let recent = fixture.services.get::<Recent>().unwrap();
    assert_eq!(
        fixture.ask("GET", "/recent").await,
        (200, "nothing has passed yet\n".to_owned())
    );
    recent
        .tap("metrics/node".into())
        .offer(&Batch::new(counter("requests")));
    let (status, page) = fixture.ask("GET", "/recent?pipeline=metrics%2Fnode").await;
    assert_eq!(status, 200);
    assert!(
        page.starts_with("=== ") && page.contains("Z metrics/node: 1 data points, "),
        "{page}"
    );
    assert!(page.contains("requests"), "{page}");
    let (_, page) = fixture.ask("GET", "/recent?pipeline=logs").await;
    assert_eq!(page, "nothing has passed yet\n");
    let (_, page) = fixture.ask("GET", "/recent?format=json").await;
    let list: serde_json::Value = serde_json::from_str(&page).unwrap();
    assert_eq!(list[0]["pipeline"], "metrics/node");
    let metric = &list[0]["data"]["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0];
    assert_eq!(metric["name"], "requests");
    assert_eq!(fixture.ask("GET", "/recent?format=xml").await.0, 400);
    fixture.admin.shutdown().await.unwrap();
}

#[tokio::test]
async fn nothing_is_kept_when_nothing_shall_be() {
    let fixture = Fixture::new("{endpoint: '127.0.0.1:0', recent_max_size: 0}").await;
    assert_eq!(fixture.ask("GET", "/recent").await.0, 503);
    let (status, index) = fixture.ask("GET", "/").await;
    assert!(status == 200 && index.contains("/-/ready"), "{index}");
    fixture.admin.shutdown().await.unwrap();
}
