//! Over a real socket.

use std::sync::Arc;
use std::time::Duration;

use corten_component::{Component, Context, Extensions, Health, Kind, Services};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::HealthCheck;

struct Fixture {
    extension: Arc<HealthCheck>,
    health: Health,
}

impl Fixture {
    async fn new(yaml: &str) -> Self {
        let (services, health) = (Services::new(), Health::new());
        services.insert(Arc::new(health.clone()));
        let meter = Context::detached(Kind::Extension, "x".parse().unwrap())
            .meter()
            .clone();
        let cx = Context::new(
            Kind::Extension,
            "health_check".parse().unwrap(),
            Extensions::default(),
            services,
            &health,
            meter,
        );
        cx.health().ok();
        let extension = HealthCheck::create(cx, corten_config::from_str(yaml).unwrap()).unwrap();
        let extension = Arc::new(extension);
        Arc::clone(&extension).start().await.unwrap();
        Self { extension, health }
    }

    async fn probe(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.extension.local_addr().unwrap())
            .await
            .unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer))
            .await
            .unwrap()
            .unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (
            head.split(' ').nth(1).unwrap().parse().unwrap(),
            body.to_owned(),
        )
    }
}

#[tokio::test]
async fn conforms() {
    corten_testing::conforms(crate::factory(), "endpoint: localhost:0").await;
}

#[tokio::test]
async fn the_answer_is_the_collectors() {
    let fixture = Fixture::new("endpoint: localhost:0").await;
    let (status, body) = fixture.probe("/").await;
    assert_eq!(status, 200);
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["status"], "Server available");
    let since: jiff::Timestamp = body["upSince"].as_str().unwrap().parse().unwrap();
    assert!(jiff::Timestamp::now().duration_since(since).as_secs() < 60);
    assert!(body["uptime"].as_str().unwrap().ends_with('s'));
    let (_, later) = fixture.probe("/").await;
    assert!(
        later.contains(&since.to_string()),
        "it has been up since then: {later}"
    );

    let starting = fixture
        .health
        .register(Kind::Receiver, "otlp".parse().unwrap());
    assert_eq!(
        fixture.probe("/").await,
        (
            503,
            "{\"status\":\"Server not available\",\"upSince\":\"0001-01-01T00:00:00Z\",\"uptime\":\"\"}".to_owned()
        )
    );
    starting.failing("no route to host");
    assert_eq!(
        fixture.probe("/").await.0,
        200,
        "a backend's trouble is not this process's"
    );
    fixture.extension.shutdown().await.unwrap();
}

#[tokio::test]
async fn path_and_bodies_are_the_users() {
    let fixture = Fixture::new(
        "{endpoint: 'localhost:0', path: /health, response_body: {healthy: yes!, unhealthy: no!}, not_ready_after: 0s}",
    )
    .await;
    assert_eq!(fixture.probe("/health").await, (200, "yes!".to_owned()));
    assert_eq!(fixture.probe("/").await.0, 404);
    let loki = fixture
        .health
        .register(Kind::Exporter, "loki".parse().unwrap());
    loki.failing("connection refused");
    assert_eq!(fixture.probe("/health").await, (503, "no!".to_owned()));
    fixture.extension.shutdown().await.unwrap();
}

#[test]
fn mistakes_are_named() {
    let problems = corten_config::from_str::<crate::config::Config>("{path: health}").unwrap_err();
    assert!(
        problems.to_string().contains("path must start with /"),
        "{problems}"
    );
}
