//! A Loki push endpoint that decodes what it gets and answers as scripted.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use prost::Message;

/// One line as Loki got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Nanoseconds since 1970.
    pub timestamp: i128,
    /// The line.
    pub line: String,
    /// Structured metadata.
    pub metadata: BTreeMap<String, String>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Push {
    /// The body as it came, compressed.
    pub body: Bytes,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// What was answered.
    pub status: u16,
}

impl Push {
    /// What was pushed, by label set.
    #[must_use]
    pub fn streams(&self) -> Vec<(String, Vec<Entry>)> {
        decode(&self.body).unwrap()
    }
}

/// How to answer one request.
#[derive(Clone, Debug)]
pub struct Script {
    /// The status; 204 keeps what was pushed.
    pub status: u16,
    /// The body.
    pub body: String,
    /// More headers.
    pub headers: Vec<(String, String)>,
    /// Whether the entries are kept although the status is no success (Loki's partial 400).
    pub keeps: bool,
    /// Lines that contain this are not kept.
    pub drops: Option<String>,
}

impl Script {
    /// This status and nothing kept.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status,
            body: String::new(),
            headers: Vec::new(),
            keeps: false,
            drops: None,
        }
    }

    /// With this body.
    #[must_use]
    pub fn body(self, body: impl Into<String>) -> Self {
        Self {
            body: body.into(),
            ..self
        }
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Loki's partial refusal: what does not contain `text` is kept whatever the status is.
    #[must_use]
    pub fn keeps_without(self, text: &str) -> Self {
        Self {
            keeps: true,
            drops: Some(text.to_owned()),
            ..self
        }
    }
}

#[derive(Default)]
struct State {
    streams: BTreeMap<String, Vec<Entry>>,
    pushes: Vec<Push>,
    script: VecDeque<Script>,
    /// Every request is answered with this while it is set.
    down: Option<u16>,
}

/// The endpoint; its server ends when it is dropped.
pub struct FakeLoki {
    port: u16,
    state: Arc<Mutex<State>>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// `logproto.PushRequest` and its parts, as far as a client fills them.
#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, Message)]
struct Stream {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<WireEntry>,
}

#[derive(Clone, PartialEq, Message)]
struct WireEntry {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Timestamp>,
    #[prost(string, tag = "2")]
    line: String,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Label>,
}

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

impl FakeLoki {
    /// Starts on a free port.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on(crate::free_port())
    }

    /// Starts on this port.
    #[must_use]
    pub fn start_on(port: u16) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let (port, runtime) = listen(port, &state);
        Self {
            port,
            state,
            runtime: Some(runtime),
        }
    }

    /// Stops listening: connections are closed, new ones are refused. What was kept stays.
    pub fn close(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    /// Listens again, where it did.
    pub fn open(&mut self) {
        assert!(self.runtime.is_none(), "it listens already");
        self.runtime = Some(listen(self.port, &self.state).1);
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next requests are answered so.
    pub fn script(&self, answers: impl IntoIterator<Item = Script>) {
        self.state.lock().script.extend(answers);
    }

    /// Every request is answered with this status until it is taken back.
    pub fn down(&self, status: Option<u16>) {
        self.state.lock().down = status;
    }

    /// What it keeps, by label set.
    #[must_use]
    pub fn streams(&self) -> BTreeMap<String, Vec<Entry>> {
        self.state.lock().streams.clone()
    }

    /// Lines of all streams.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.state.lock().streams.values().map(Vec::len).sum()
    }

    /// Every request so far.
    #[must_use]
    pub fn pushes(&self) -> Vec<Push> {
        self.state.lock().pushes.clone()
    }

    /// Waits until it keeps at least this many lines.
    pub fn wait_for_lines(&self, lines: usize, within: Duration) {
        let deadline = std::time::Instant::now() + within;
        while self.lines() < lines {
            assert!(
                std::time::Instant::now() < deadline,
                "wanted {lines} lines within {within:?}, have {}",
                self.lines()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for FakeLoki {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn listen(port: u16, state: &Arc<Mutex<State>>) -> (u16, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind(("127.0.0.1", port)))
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let shared = Arc::clone(state);
    #[expect(
        clippy::disallowed_methods,
        reason = "ends with the runtime that it runs on"
    )]
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let state = Arc::clone(&shared);
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(Arc::clone(&state), request));
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                drop(connection.await);
            });
        }
    });
    (port, runtime)
}

async fn answer(
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    #[expect(clippy::disallowed_methods, reason = "a test's own server")]
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(reply(&Script::status(400))),
    };
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("").to_owned()))
        .collect();
    let mut state = state.lock();
    let script = if parts.uri.path() != "/loki/api/v1/push" {
        Script::status(404)
    } else if let Some(status) = state.down {
        Script::status(status)
    } else {
        let kept = Script {
            keeps: true,
            ..Script::status(204)
        };
        state.script.pop_front().unwrap_or(kept)
    };
    let mut status = script.status;
    if script.keeps || status == 204 {
        match decode(&body) {
            Ok(streams) => {
                for (labels, mut entries) in streams {
                    if let Some(text) = &script.drops {
                        entries.retain(|entry| !entry.line.contains(text));
                    }
                    state.streams.entry(labels).or_default().extend(entries);
                }
            }
            Err(why) => {
                status = 400;
                eprintln!("loki: {why}");
            }
        }
    }
    state.pushes.push(Push {
        body,
        headers,
        status,
    });
    Ok(reply(&Script { status, ..script }))
}

fn reply(script: &Script) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(script.status);
    for (name, value) in &script.headers {
        response = response.header(name, value);
    }
    response.body(Full::from(script.body.clone())).unwrap()
}

pub(crate) fn decode(body: &[u8]) -> Result<Vec<(String, Vec<Entry>)>, String> {
    let body = snap::raw::Decoder::new()
        .decompress_vec(body)
        .map_err(|error| format!("snappy: {error}"))?;
    let request = PushRequest::decode(&*body).map_err(|error| format!("protobuf: {error}"))?;
    if request.streams.is_empty() {
        return Err("no streams".to_owned());
    }
    Ok(request
        .streams
        .into_iter()
        .map(|stream| {
            let entries = stream.entries.into_iter().map(|entry| {
                let time = entry.timestamp.unwrap_or_default();
                Entry {
                    timestamp: i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos),
                    line: entry.line,
                    metadata: entry
                        .metadata
                        .into_iter()
                        .map(|label| (label.name, label.value))
                        .collect(),
                }
            });
            (stream.labels, entries.collect())
        })
        .collect())
}
