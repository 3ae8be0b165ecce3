//! A new configuration is read by SIGHUP and by `POST /-/reload`: a good one takes over, a bad one changes nothing and
//! says why, and the process lives on.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use corten_tests::{Agent, Command, FakeLoki, case, free_port, get, post, scrape, wait_for};
use rustix::process::Signal;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(20);
const JSON: (&str, &str) = ("content-type", "application/json");

struct Setup {
    agent: Agent,
    loki: FakeLoki,
    _dir: TempDir,
    file: PathBuf,
    http: u16,
    admin: u16,
    sent: usize,
}

impl Setup {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("corten.yaml");
        std::fs::copy(case("reload").join("corten.yaml"), &file).unwrap();
        let (http, admin) = (free_port(), free_port());
        let loki = FakeLoki::start();
        let agent = Command::new()
            .arg("--config")
            .arg(&file)
            .env("HTTP_PORT", http.to_string())
            .env("ADMIN_PORT", admin.to_string())
            .env("LOKI_URL", loki.url())
            .start();
        Self {
            agent,
            loki,
            _dir: dir,
            file,
            http,
            admin,
            sent: 0,
        }
    }

    /// Changes the configuration's text.
    fn change(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(&self.file).unwrap();
        assert!(text.contains(from), "{from} is not in:\n{text}");
        std::fs::write(&self.file, text.replace(from, to)).unwrap();
    }

    fn said(&self, text: &str) -> usize {
        self.agent.log().matches(text).count()
    }

    /// Does something and waits until the agent has said `text` once more.
    fn until_it_says(&self, text: &str, action: impl FnOnce()) {
        let before = self.said(text);
        action();
        wait_for(text, SOON, || (self.said(text) > before).then_some(()));
    }

    /// One more line, and the stream that it is found in.
    fn send(&mut self) -> String {
        self.sent += 1;
        let line = format!("line {}", self.sent);
        let body = format!(
            r#"{{"resourceLogs": [{{"resource": {{"attributes": [{{"key": "service.name", "value": {{"stringValue": "shop"}}}}]}},
               "scopeLogs": [{{"logRecords": [{{"timeUnixNano": "1767607200000000000", "body": {{"stringValue": "{line}"}}}}]}}]}}]}}"#
        );
        let reply = post(self.http, "/v1/logs", &[JSON], body.as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        wait_for(&line, SOON, || {
            let mut streams = self.loki.streams().into_iter();
            streams.find(|(_, entries)| entries.iter().any(|entry| entry.line == line))
        })
        .0
    }

    fn succeeded(&self) -> Option<f64> {
        scrape(self.admin, "/metrics").value("corten_config_last_reload_successful", &[])
    }
}

#[test]
fn a_good_configuration_takes_over() {
    let mut setup = Setup::start();
    let pid = setup.agent.pid();
    assert_eq!(setup.send(), r#"{cluster="first", service="shop"}"#);
    setup.change("cluster: first", "cluster: second");
    setup.until_it_says("configuration reloaded", || setup.agent.signal(Signal::HUP));
    assert_eq!(setup.send(), r#"{cluster="second", service="shop"}"#);

    setup.change("cluster: second", "cluster: third");
    setup.until_it_says("configuration reloaded", || {
        let reply = post(setup.admin, "/-/reload", &[], b"").unwrap();
        assert_eq!(
            (reply.status, reply.text().trim()),
            (200, "config reloaded")
        );
    });
    assert_eq!(setup.send(), r#"{cluster="third", service="shop"}"#);
    assert_eq!(setup.succeeded(), Some(1.0));
    // It goes on counting where it was.
    let accepted =
        scrape(setup.admin, "/metrics").sum("otelcol_receiver_accepted_log_records", &[]);
    assert_eq!(accepted, 3.0);
    assert_eq!(setup.agent.pid(), pid);
    assert!(setup.agent.is_running());
    assert!(setup.agent.stop().success());
}

#[test]
fn a_bad_configuration_changes_nothing_and_says_why() {
    let mut setup = Setup::start();
    setup.send();
    setup.change("cluster: first", "cluster: second");
    setup.change("    labels:", "    lables:");
    setup.change("exporters: [loki]", "exporters: [loki, debug]");
    let expected = [
        "corten.yaml:11:5: exporters::loki: unknown field 'lables', did you mean 'labels'?",
        "service::pipelines::logs: references exporter \"debug\" which is not configured",
    ];
    let reply = post(setup.admin, "/-/reload", &[], b"").unwrap();
    assert_eq!(reply.status, 400);
    for problem in expected {
        assert!(reply.text().contains(problem), "{}", reply.text());
    }
    assert_eq!(setup.send(), r#"{cluster="first", service="shop"}"#);
    assert_eq!(setup.succeeded(), Some(0.0));

    setup.until_it_says(expected[0], || setup.agent.signal(Signal::HUP));
    wait_for("the second problem", SOON, || {
        (setup.said(expected[1]) > 0).then_some(())
    });
    assert_eq!(
        setup.said("configuration reloaded"),
        0,
        "{}",
        setup.agent.log()
    );
    assert_eq!(setup.send(), r#"{cluster="first", service="shop"}"#);
    // Neither is a file that is gone the end.
    let kept = std::fs::read(&setup.file).unwrap();
    std::fs::remove_file(&setup.file).unwrap();
    assert_eq!(
        post(setup.admin, "/-/reload", &[], b"").unwrap().status,
        400
    );
    std::fs::write(&setup.file, kept).unwrap();

    // What was mended takes over.
    setup.change("    lables:", "    labels:");
    setup.change("exporters: [loki, debug]", "exporters: [loki]");
    setup.until_it_says("configuration reloaded", || setup.agent.signal(Signal::HUP));
    assert_eq!(setup.send(), r#"{cluster="second", service="shop"}"#);
    assert_eq!(setup.succeeded(), Some(1.0));
    assert!(setup.agent.is_running());
}

/// A configuration that is right and does not start, since its port is taken: the old one is started again.
#[test]
fn a_configuration_that_does_not_start_is_taken_back() {
    let mut setup = Setup::start();
    setup.send();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    setup.change("cluster: first", "cluster: second");
    setup.change(
        "127.0.0.1:${env:HTTP_PORT}",
        &taken.local_addr().unwrap().to_string(),
    );
    setup.until_it_says("going back to the old one", || {
        setup.agent.signal(Signal::HUP)
    });
    wait_for("it is ready again", SOON, || {
        get(setup.admin, "/-/ready")
            .ok()
            .filter(|reply| reply.status == 200)
    });
    wait_for("its port", SOON, || {
        std::net::TcpStream::connect(("127.0.0.1", setup.http)).ok()
    });
    assert_eq!(setup.send(), r#"{cluster="first", service="shop"}"#);
    assert_eq!(setup.succeeded(), Some(0.0));
    assert!(setup.agent.is_running());
}
