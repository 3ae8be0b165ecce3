//! Real programs that Corten works with.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::repository;

/// A real program below `target/peers`, as `scripts/peers` put it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Prometheus.
    Prometheus,
    /// Its tool.
    Promtool,
    /// `node_exporter`.
    NodeExporter,
    /// process-exporter.
    ProcessExporter,
}

/// The program's path.
///
/// # Panics
///
/// When it is not there: a peer that is missing fails the test instead of skipping it.
#[must_use]
pub fn peer(peer: Peer) -> PathBuf {
    let name = match peer {
        Peer::Prometheus => "prometheus",
        Peer::Promtool => "promtool",
        Peer::NodeExporter => "prometheus-node-exporter",
        Peer::ProcessExporter => "prometheus-process-exporter",
    };
    there(repository().join("target/peers/bin").join(name))
}

/// A host as files in one archive (ttar), which the library that node_exporter reads with is tested with.
///
/// # Panics
///
/// When it is not there.
#[must_use]
pub fn recorded_host() -> PathBuf {
    there(repository().join(
        "target/peers/deb/golang-github-prometheus-procfs-dev/usr/share/gocode/src/github.com/prometheus/procfs/testdata/fixtures.ttar",
    ))
}

/// Python with the OpenTelemetry SDK.
///
/// # Panics
///
/// When it is not there.
#[must_use]
pub fn python() -> PathBuf {
    there(repository().join("target/peers/venv/bin/python"))
}

fn there(path: PathBuf) -> PathBuf {
    assert!(
        path.exists(),
        "{} is not there: run ./scripts/peers first",
        path.display()
    );
    path
}

/// A peer's process; killed when dropped.
#[derive(Debug)]
pub struct Child(std::process::Child);

impl Child {
    /// Starts it, silently.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
