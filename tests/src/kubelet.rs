//! A directory of container logs as kubelet and containerd keep it, and what was written there.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::loki::{Entry, FakeLoki};

/// The first timestamp, 2026-01-05T10:00:00Z, in seconds since 1970.
const BEGIN: i128 = 1_767_607_200;

/// `<root>/<namespace>_<pod>_<uid>/<container>/0.log` for every container.
#[derive(Debug)]
pub struct PodLogs {
    root: PathBuf,
    containers: Vec<ContainerLog>,
}

/// One container's log, and what a reader has to make of it.
#[derive(Debug)]
pub struct ContainerLog {
    namespace: String,
    pod: String,
    uid: String,
    container: String,
    dir: PathBuf,
    /// None once the pod is gone.
    file: Option<File>,
    rotated: usize,
    written: i128,
    /// Parts of stdout's and stderr's line that have no end yet.
    parts: BTreeMap<&'static str, String>,
    expected: Vec<(i128, String, &'static str)>,
}

impl PodLogs {
    /// Below `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            containers: Vec::new(),
        }
    }

    /// A new container; answers its number.
    pub fn add(&mut self, namespace: &str, pod: &str, container: &str) -> usize {
        let number = self.containers.len();
        let uid = format!("0f3c6cb2-5d2c-4a9e-9d6c-{number:012}");
        let dir = self
            .root
            .join(format!("{namespace}_{pod}_{uid}"))
            .join(container);
        std::fs::create_dir_all(&dir).unwrap();
        let file = Some(create(&dir));
        self.containers.push(ContainerLog {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            uid,
            container: container.to_owned(),
            dir,
            file,
            rotated: 0,
            written: 0,
            parts: BTreeMap::new(),
            expected: Vec::new(),
        });
        number
    }

    /// The container of this number.
    pub fn container(&mut self, number: usize) -> &mut ContainerLog {
        &mut self.containers[number]
    }

    /// The uid of the pod that this container is in.
    #[must_use]
    pub fn uid(&self, number: usize) -> &str {
        &self.containers[number].uid
    }

    /// Removes a pod's folder, as kubelet does some time after its containers have ended.
    pub fn remove(&mut self, number: usize) {
        let container = &mut self.containers[number];
        container.file = None;
        std::fs::remove_dir_all(container.dir.parent().unwrap()).unwrap();
    }

    /// Every container.
    pub fn each(&mut self) -> impl Iterator<Item = &mut ContainerLog> {
        self.containers.iter_mut()
    }

    /// How many lines a reader has to find.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.containers
            .iter()
            .map(|container| container.expected.len())
            .sum()
    }

    /// Loki has every line exactly once, in order, with its time, its labels and its stream.
    pub fn assert_exactly(&self, loki: &FakeLoki) {
        let streams = loki.streams();
        let labels: Vec<String> = self.containers.iter().map(ContainerLog::labels).collect();
        let unknown = streams.keys().find(|stream| !labels.contains(stream));
        assert_eq!(
            unknown, None,
            "a stream that nobody wrote; written were {labels:#?}"
        );
        for container in self
            .containers
            .iter()
            .filter(|container| !container.expected.is_empty())
        {
            let labels = container.labels();
            let got = streams
                .get(&labels)
                .unwrap_or_else(|| panic!("{labels} is not in Loki"));
            for (at, (entry, expected)) in got.iter().zip(&container.expected).enumerate() {
                container.assert_is(entry, expected, at);
            }
            assert_eq!(got.len(), container.expected.len(), "lines of {labels}");
        }
    }

    /// Loki has every line, and whatever it has more than once was there before: a repetition is an entry that is
    /// equal in every field.
    pub fn assert_at_least(&self, loki: &FakeLoki) {
        let streams = loki.streams();
        for container in self
            .containers
            .iter()
            .filter(|container| !container.expected.is_empty())
        {
            let labels = container.labels();
            let got = streams
                .get(&labels)
                .unwrap_or_else(|| panic!("{labels} is not in Loki"));
            let mut first = Vec::new();
            for entry in got {
                if !first.contains(entry) {
                    first.push(entry.clone());
                }
            }
            for (at, (entry, expected)) in first.iter().zip(&container.expected).enumerate() {
                container.assert_is(entry, expected, at);
            }
            assert_eq!(first.len(), container.expected.len(), "lines of {labels}");
        }
    }
}

impl ContainerLog {
    /// Its stream in Loki.
    #[must_use]
    pub fn labels(&self) -> String {
        format!(
            "{{container=\"{}\", namespace=\"{}\", pod=\"{}\"}}",
            self.container, self.namespace, self.pod
        )
    }

    /// A whole line to stdout.
    pub fn out(&mut self, text: &str) {
        self.write("stdout", 'F', text);
    }

    /// A whole line to stderr.
    pub fn err(&mut self, text: &str) {
        self.write("stderr", 'F', text);
    }

    /// A part of a line; `F` is its last.
    pub fn write(&mut self, stream: &'static str, tag: char, text: &str) {
        let time = self.next_time();
        let line = format!("{} {stream} {tag} {text}\n", rfc3339(time));
        self.open().write_all(line.as_bytes()).unwrap();
        self.record(stream, tag, text, time);
    }

    /// A whole line to stdout in two writes, with `between` in between.
    pub fn torn(&mut self, text: &str, between: impl FnOnce()) {
        let time = self.next_time();
        let line = format!("{} stdout F {text}\n", rfc3339(time));
        let (head, tail) = line.as_bytes().split_at(line.len() - text.len() / 2 - 1);
        self.open().write_all(head).unwrap();
        between();
        self.open().write_all(tail).unwrap();
        self.record("stdout", 'F', text, time);
    }

    /// Rotates as kubelet does: the file gets a new name, and a new one begins.
    pub fn rotate(&mut self) {
        let name = format!("0.log.20260101-{:06}", self.rotated);
        self.rotated += 1;
        std::fs::rename(self.dir.join("0.log"), self.dir.join(name)).unwrap();
        self.file = Some(create(&self.dir));
    }

    fn open(&mut self) -> &mut File {
        self.file.as_mut().unwrap()
    }

    fn next_time(&mut self) -> i128 {
        self.written += 1;
        BEGIN * 1_000_000_000 + self.written * 1_000_003
    }

    fn record(&mut self, stream: &'static str, tag: char, text: &str, time: i128) {
        let parts = self.parts.entry(stream).or_default();
        parts.push_str(text);
        if tag == 'F' {
            let line = std::mem::take(parts);
            self.expected.push((time, line, stream));
        }
    }

    fn assert_is(&self, entry: &Entry, expected: &(i128, String, &'static str), at: usize) {
        let (time, line, stream) = expected;
        let place = format!("line {at} of {}", self.labels());
        assert_eq!(&entry.line, line, "{place}");
        assert_eq!(&entry.timestamp, time, "time of {place}");
        let metadata = |name: &str| entry.metadata.get(name).map(String::as_str);
        assert_eq!(
            metadata("log_iostream"),
            Some(*stream),
            "{place}: {entry:?}"
        );
        assert_eq!(
            metadata("k8s_pod_uid"),
            Some(self.uid.as_str()),
            "{place}: {entry:?}"
        );
        let path = metadata("log_file_path").unwrap_or_default();
        assert!(path.contains(&self.uid), "{place}: {entry:?}");
    }
}

fn create(dir: &Path) -> File {
    OpenOptions::new()
        .append(true)
        .create_new(true)
        .open(dir.join("0.log"))
        .unwrap()
}

/// A time within the hour that begins at `BEGIN`, as containerd writes it.
fn rfc3339(time: i128) -> String {
    let since = time - BEGIN * 1_000_000_000;
    let (seconds, nanos) = (since / 1_000_000_000, since % 1_000_000_000);
    assert!(seconds < 3600, "more lines than this clock has time for");
    format!(
        "2026-01-05T10:{:02}:{:02}.{nanos:09}Z",
        seconds / 60,
        seconds % 60
    )
}
