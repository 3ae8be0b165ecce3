//! A real Prometheus, and its `promtool`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::peers::{Child, Peer, peer};
use crate::{free_port, http, wait_for};

/// A running Prometheus; killed when dropped.
#[derive(Debug)]
pub struct Prometheus {
    port: u16,
    _process: Child,
    _storage: TempDir,
}

impl Prometheus {
    /// Starts with this configuration, unchanged, on a free port and with storage of its own.
    ///
    /// # Panics
    ///
    /// When it is not ready in time.
    #[must_use]
    pub fn start(config: &Path) -> Self {
        Self::start_with(config, &[])
    }

    /// The same, with further arguments.
    ///
    /// # Panics
    ///
    /// When it is not ready in time.
    #[must_use]
    pub fn start_with(config: &Path, arguments: &[&str]) -> Self {
        let port = free_port();
        let storage = tempfile::tempdir().unwrap();
        let process = Child::start(
            Command::new(peer(Peer::Prometheus))
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", storage.path().display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .args(arguments),
        );
        wait_for("Prometheus is ready", Duration::from_secs(30), || {
            let reply = http::get(port, "/-/ready").ok()?;
            (reply.status == 200).then_some(())
        });
        Self {
            port,
            _process: process,
            _storage: storage,
        }
    }

    /// What an instant query answers: labels and value.
    #[must_use]
    pub fn query(&self, expression: &str) -> Vec<(BTreeMap<String, String>, f64)> {
        let answer = self.api(&format!("/api/v1/query?query={}", encoded(expression)));
        let vector = answer["result"].as_array().unwrap();
        let sample = |sample: &serde_json::Value| {
            let labels = serde_json::from_value(sample["metric"].clone()).unwrap();
            (
                labels,
                sample["value"][1].as_str().unwrap().parse().unwrap(),
            )
        };
        vector.iter().map(sample).collect()
    }

    /// The exemplars of the last hour: those of each series that the expression selects.
    #[must_use]
    pub fn exemplars(&self, expression: &str) -> Vec<serde_json::Value> {
        let now = jiff::Timestamp::now().as_second();
        let path = format!(
            "/api/v1/query_exemplars?query={}&start={}&end={}",
            encoded(expression),
            now - 3600,
            now + 60
        );
        let series = self.api(&path);
        let series = series.as_array().unwrap().iter();
        series
            .flat_map(|series| series["exemplars"].as_array().unwrap().clone())
            .collect()
    }

    /// What was wrong with the last scrape of each job; nothing is best.
    #[must_use]
    pub fn scrape_errors(&self) -> BTreeMap<String, String> {
        let targets = self.api("/api/v1/targets");
        let targets = targets["activeTargets"].as_array().unwrap().iter();
        targets
            .map(|target| (&target["scrapePool"], &target["lastError"]))
            .filter_map(|(job, error)| Some((job.as_str()?.to_owned(), error.as_str()?.to_owned())))
            .filter(|(_, error)| !error.is_empty())
            .collect()
    }

    /// What its interface answers as `data`.
    fn api(&self, path: &str) -> serde_json::Value {
        let reply = http::get(self.port, path).unwrap();
        let mut answer: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].take()
    }

    /// What [`query`](Self::query) answers, as soon as that is anything.
    #[must_use]
    pub fn wait_for(&self, expression: &str) -> Vec<(BTreeMap<String, String>, f64)> {
        wait_for(expression, Duration::from_secs(20), || {
            let answer = self.query(expression);
            (!answer.is_empty()).then_some(answer)
        })
    }
}

fn encoded(expression: &str) -> String {
    expression
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect()
}

/// What `promtool check metrics` has to say; nothing is best.
///
/// # Panics
///
/// When it cannot read the body at all.
#[must_use]
pub fn promtool_check_metrics(body: &[u8]) -> Vec<String> {
    let mut promtool = Command::new(peer(Peer::Promtool))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(body).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // 3 is for lints, 1 for what is no exposition.
    let code = output.status.code();
    assert!(
        matches!(code, Some(0 | 3)),
        "promtool cannot read it:\n{said}"
    );
    said.lines().map(str::to_owned).collect()
}
