//! Certificates on both sides and credentials on top, renewed while everything runs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use corten_tests::{
    Agent, Authority, Command, FakeLoki, Identity, OtlpSink, Prometheus, Reply, TlsFront, case,
    free_port, https_get, post, scrape, wait_for,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(20);

/// Who signs servers, who signs clients, and the folder where everybody's files are.
struct Trust {
    dir: TempDir,
    server: Identity,
    client: Identity,
}

impl Trust {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (server, client) = issue(dir.path());
        for (name, text) in [
            ("password", "secret"),
            ("token", "first"),
            ("tokens", "first"),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        Self {
            dir,
            server,
            client,
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// New authorities, and by them new certificates in the places of the old ones: nothing of before is trusted.
    fn renew(&self) {
        drop(issue(self.path()));
    }

    fn command(&self, name: &str) -> Command {
        Command::new()
            .arg("--config")
            .arg(case("tls").join(name))
            .env("DIR", self.path())
    }
}

fn issue(dir: &Path) -> (Identity, Identity) {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    servers.write(&dir.join("servers.crt"));
    clients.write(&dir.join("clients.crt"));
    (servers.issue(dir, "server"), clients.issue(dir, "client"))
}

/// One span of this name, to the agent's plain receiver.
fn send_span(port: u16, name: &str) -> Reply {
    let body = format!(
        r#"{{"resourceSpans": [{{"scopeSpans": [{{"spans": [{{"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "{name}"}}]}}]}}]}}"#
    );
    let json = [("content-type", "application/json")];
    post(port, "/v1/traces", &json, body.as_bytes()).unwrap()
}

/// How often a span has arrived, by who let it in.
fn arrived(backend: &OtlpSink, name: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for span in backend.spans().iter().filter(|span| span.name == name) {
        let mark = span.attributes.iter().find(|mark| mark.key == "let.in.by");
        let Some(Value::StringValue(by)) = mark.and_then(|mark| mark.value.clone()?.value) else {
            panic!("{span:?}");
        };
        *counts.entry(by).or_default() += 1;
    }
    counts
}

/// A gateway behind TLS and a backend behind it, and an agent that sends there.
struct Chain {
    trust: Trust,
    backend: OtlpSink,
    ports: [(&'static str, u16); 4],
    gateway: Agent,
}

impl Chain {
    fn start() -> Self {
        let trust = Trust::new();
        let backend = OtlpSink::start();
        let ports = ["BASIC_GRPC", "BASIC_HTTP", "BEARER_GRPC", "BEARER_HTTP"]
            .map(|name| (name, free_port()));
        let mut gateway = trust
            .command("gateway.yaml")
            .env("BACKEND", backend.port().to_string());
        for (name, port) in ports {
            gateway = gateway.env(name, port.to_string());
        }
        let gateway = gateway.start();
        Self {
            trust,
            backend,
            ports,
            gateway,
        }
    }

    fn port(&self, of: &str) -> u16 {
        self.ports.iter().find(|(name, _)| *name == of).unwrap().1
    }

    /// The sending agent, with its receiver's and its metrics' port.
    fn edge(&self, set: &[&str]) -> (Agent, u16, u16) {
        let (port, metrics) = (free_port(), free_port());
        let mut edge = self
            .trust
            .command("edge.yaml")
            .env("PORT", port.to_string())
            .env("METRICS", metrics.to_string());
        for (name, port) in self.ports {
            edge = edge.env(name, port.to_string());
        }
        for set in set {
            edge = edge.arg("--set").arg(*set);
        }
        (edge.start(), port, metrics)
    }

    fn wait_for_all(&self, name: &str) {
        let expected = BTreeMap::from([("basic".to_owned(), 2), ("bearer".to_owned(), 2)]);
        wait_for(&format!("{name} on four ways"), SOON, || {
            (arrived(&self.backend, name) == expected).then_some(())
        });
    }
}

#[test]
fn otlp_passes_through_mutual_tls_and_outlives_the_renewal_of_everything() {
    let chain = Chain::start();
    let (edge, port, _) = chain.edge(&[]);
    assert_eq!(send_span(port, "before").status, 200);
    chain.wait_for_all("before");

    // Somebody who still trusts the authorities of before.
    let old = tempfile::tempdir().unwrap();
    for name in ["servers.crt", "client.crt", "client.key"] {
        std::fs::copy(chain.trust.path().join(name), old.path().join(name)).unwrap();
    }
    let old_client = Identity {
        cert: old.path().join("client.crt"),
        key: old.path().join("client.key"),
    };
    let http = chain.port("BEARER_HTTP");
    let ask = |authority: &Path, identity: Option<&Identity>| {
        https_get(http, "/v1/traces", &[], authority, identity)
    };
    assert_eq!(
        ask(&old.path().join("servers.crt"), Some(&old_client))
            .unwrap()
            .status,
        401
    );
    assert!(
        ask(&old.path().join("servers.crt"), None).is_err(),
        "without a certificate"
    );

    chain.trust.renew();
    for (file, token) in [("tokens", "second\nthird"), ("token", "third")] {
        std::fs::write(chain.trust.path().join(file), token).unwrap();
    }
    wait_for("the new certificate", SOON, || {
        ask(
            &chain.trust.path().join("servers.crt"),
            Some(&chain.trust.client),
        )
        .ok()
    });
    assert_eq!(send_span(port, "after").status, 200);
    chain.wait_for_all("after");
    assert!(
        ask(&old.path().join("servers.crt"), Some(&old_client)).is_err(),
        "the old authority"
    );
    assert!(
        ask(&chain.trust.path().join("servers.crt"), Some(&old_client)).is_err(),
        "a certificate by the old authority"
    );
    assert!(edge.stop().success());
    assert!(chain.gateway.stop().success());
}

#[test]
fn strangers_are_named_and_cost_nobody_else_anything() {
    let mut chain = Chain::start();
    let other = tempfile::tempdir().unwrap();
    let (_, stranger) = issue(other.path());
    std::fs::write(other.path().join("token"), "guessed").unwrap();
    let stranger_tls = |id: &str| {
        [
            format!("exporters.{id}.tls.cert_file={}", stranger.cert.display()),
            format!("exporters.{id}.tls.key_file={}", stranger.key.display()),
        ]
    };
    let [cert, key] = stranger_tls("otlp_grpc/bearer");
    let ca = format!(
        "exporters.otlp_http/basic.tls.ca_file={}",
        other.path().join("servers.crt").display()
    );
    let token = format!(
        "extensions.bearertokenauth.filename={}",
        other.path().join("token").display()
    );
    let (mut edge, port, metrics) = chain.edge(&[&cert, &key, &ca, &token]);
    assert_eq!(send_span(port, "x").status, 200);

    // What is as it should be arrives: one of four.
    wait_for("the password over gRPC", SOON, || {
        (arrived(&chain.backend, "x") == BTreeMap::from([("basic".to_owned(), 1)])).then_some(())
    });
    // Each of the others says its own reason.
    let line = edge.wait_for_line("exporter=\"otlp_http/basic\"");
    assert!(
        line.contains("no TLS connection: invalid peer certificate: "),
        "{line}"
    );
    // The server has its words for a stranger; the client may only see that it hangs up.
    let line = edge.wait_for_line("exporter=\"otlp_grpc/bearer\"");
    assert!(
        line.contains("received fatal alert: ") || line.contains("client's certificate"),
        "{line}"
    );
    let line = edge.wait_for_line("exporter=\"otlp_http/bearer\"");
    assert!(line.contains("401"), "{line}");
    // A token that is refused is refused for good, a certificate can be renewed.
    wait_for("the refusal is counted", SOON, || {
        let refused = scrape(metrics, "/metrics").value(
            "otelcol_exporter_send_failed_spans",
            &[("exporter", "otlp_http/bearer")],
        );
        (refused == Some(1.0)).then_some(())
    });
    drop(edge);
    let line = chain
        .gateway
        .wait_for_line("no TLS connection component=\"receivers::otlp/bearer::protocols::grpc\"");
    assert!(line.contains("error=invalid peer certificate: "), "{line}");
    assert!(chain.gateway.stop().success());
}

/// A configuration can be checked where its files are not; it does not run there.
#[test]
fn files_that_are_not_there_are_told_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let command = |part: &'static str| {
        let mut command = Command::new();
        command = command
            .arg(part)
            .arg("--config")
            .arg(case("tls").join("edge.yaml"));
        for name in ["BASIC_GRPC", "BASIC_HTTP", "BEARER_GRPC", "BEARER_HTTP"] {
            command = command.env(name, "1");
        }
        for name in ["PORT", "METRICS"] {
            command = command.env(name, "0");
        }
        command.env("DIR", dir.path())
    };
    let (status, _, said) = command("validate").output();
    assert!(status.success(), "{said}");
    let (status, _, said) = command("run").output();
    assert_eq!(status.code(), Some(1), "{said}");
    let line = said.lines().last().unwrap();
    assert!(line.starts_with("corten: exporters::otlp_"), "{line}");
    assert!(
        line.contains("tls: ") && line.ends_with("No such file or directory (os error 2)"),
        "{line}"
    );
}

#[test]
fn lines_reach_loki_through_mutual_tls_and_renewals() {
    let trust = Trust::new();
    let loki = FakeLoki::start();
    let front = TlsFront::start(
        loki.port(),
        trust.server.clone(),
        trust.path().join("clients.crt"),
    );
    let port = free_port();
    let agent = trust
        .command("loki.yaml")
        .env("PORT", port.to_string())
        .env("LOKI", front.port().to_string())
        .start();
    let send = |line: &str| {
        let body = format!(
            r#"{{"resourceLogs": [{{"scopeLogs": [{{"logRecords": [{{"timeUnixNano": "1767607200000000000", "body": {{"stringValue": "{line}"}}}}]}}]}}]}}"#
        );
        let json = [("content-type", "application/json")];
        assert_eq!(
            post(port, "/v1/logs", &json, body.as_bytes())
                .unwrap()
                .status,
            200
        );
    };
    let token_of = |push: usize| {
        let pushes = loki.pushes();
        let (_, token) = pushes[push]
            .headers
            .iter()
            .find(|(name, _)| *name == "authorization")
            .unwrap();
        token.clone()
    };
    send("before");
    loki.wait_for_lines(1, SOON);
    assert_eq!(token_of(0), "Bearer first");
    let before = front.connections();

    trust.renew();
    std::fs::write(trust.path().join("token"), "second").unwrap();
    front.cut();
    send("after");
    loki.wait_for_lines(2, SOON);
    assert_eq!(front.connections(), before + 1);
    assert_eq!(token_of(loki.pushes().len() - 1), "Bearer second");
    assert!(agent.stop().success());
}

#[test]
fn a_real_prometheus_scrapes_through_mutual_tls_and_renewals() {
    let trust = Trust::new();
    let port = free_port();
    let agent = trust
        .command("prometheus.yaml")
        .env("PORT", port.to_string())
        .start();
    let dir = trust.path().display().to_string();
    let config = trust.path().join("prometheus.yml");
    std::fs::write(
        &config,
        format!(
            "scrape_configs:\n\
             - job_name: node\n  \
               scrape_interval: 200ms\n  \
               scheme: https\n  \
               basic_auth: {{username: prometheus, password_file: {dir}/password}}\n  \
               tls_config: {{ca_file: {dir}/servers.crt, cert_file: {dir}/client.crt, key_file: {dir}/client.key}}\n  \
               static_configs: [{{targets: ['localhost:{port}']}}]\n"
        ),
    )
    .unwrap();
    let prometheus = Prometheus::start(&config);
    assert!(!prometheus.wait_for("system_cpu_load_average_1m").is_empty());

    let authority = trust.path().join("servers.crt");
    let ask = |headers: &[(&str, &str)], identity| {
        https_get(port, "/metrics", headers, &authority, identity)
    };
    let reply = ask(&[], Some(&trust.client)).unwrap();
    assert_eq!(reply.status, 401);
    assert_eq!(
        reply.header("www-authenticate"),
        Some("Basic realm=\"corten\"")
    );
    // prometheus:secret
    let password = ("authorization", "Basic cHJvbWV0aGV1czpzZWNyZXQ=");
    assert_eq!(ask(&[password], Some(&trust.client)).unwrap().status, 200);
    assert!(ask(&[password], None).is_err(), "without a certificate");

    trust.renew();
    wait_for("the new certificate", SOON, || {
        let reply = ask(&[password], Some(&trust.client)).ok()?;
        (reply.status == 200).then_some(())
    });
    // Prometheus reads its files again, too, and goes on.
    wait_for("a scrape after the renewal", SOON, || {
        let up = prometheus.query("up");
        (up.first()?.1 == 1.0).then_some(())
    });
    assert!(agent.stop().success());
}
