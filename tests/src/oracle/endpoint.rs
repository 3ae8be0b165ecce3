//! A Loki with Loki's limits, which fails as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;

use super::books::{Books, Received};
use super::limits::{Candidate, Limits, answer};
use crate::loki::decode;

/// How one request is answered, instead of well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// With this status; nothing is kept.
    Status(u16),
    /// With this status, text and `Retry-After`; nothing is kept.
    Says(u16, String, Option<u32>),
    /// The connection is closed when the request has come; nothing is kept.
    Close,
    /// Everything is kept, and the connection closed without an answer.
    KeepAndClose,
    /// No answer for so long, then the connection is closed; nothing is kept.
    Hang(Duration),
    /// Kept and answered well, so much later.
    Slow(Duration),
    /// This status, and a body that does not end; nothing is kept.
    Endless(u16),
    /// Streams whose labels contain this are refused as over their rate; the others are kept.
    StreamLimit(String),
}

/// What one request was.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What was answered; 0 for nothing.
    pub status: u16,
    /// When it had come.
    pub at: Instant,
    /// Its body.
    pub body: Bytes,
    /// Lines in it.
    pub lines: usize,
}

struct State {
    books: Arc<Mutex<Books>>,
    limits: Limits,
    next: VecDeque<Fault>,
    always: Option<Fault>,
    seen: Vec<Seen>,
    newest: BTreeMap<String, i128>,
    refused: BTreeMap<&'static str, usize>,
    /// Lines that were kept although the agent cannot know it.
    unanswered: usize,
}

/// The endpoint.
pub struct Endpoint {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    frozen: Arc<AtomicBool>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Endpoint {
    /// On a free port of loopback; what comes is told to the books.
    #[must_use]
    pub fn start(books: Arc<Mutex<Books>>) -> Self {
        let port = crate::free_port();
        Self::start_at(books, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// At an address.
    #[must_use]
    pub fn start_at(books: Arc<Mutex<Books>>, address: SocketAddr) -> Self {
        let state = Arc::new(Mutex::new(State {
            books,
            limits: Limits::default(),
            next: VecDeque::new(),
            always: None,
            seen: Vec::new(),
            newest: BTreeMap::new(),
            refused: BTreeMap::new(),
            unanswered: 0,
        }));
        let mut endpoint = Self {
            address,
            state,
            frozen: Arc::default(),
            runtime: None,
        };
        endpoint.open();
        endpoint
    }

    /// `http://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Changes the limits.
    pub fn limits(&self, change: impl FnOnce(&mut Limits)) {
        change(&mut self.state.lock().limits);
    }

    /// The next requests are answered so, one after the other.
    pub fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().next.extend(faults);
    }

    /// Every request is answered so, until it is taken back.
    pub fn always(&self, fault: Option<Fault>) {
        self.state.lock().always = fault;
    }

    /// Faults that no request has met yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.state.lock().next.len()
    }

    /// Half open, as a machine that lost its power: what is sent is acknowledged by the kernel until its buffers are full, and nobody reads it.
    pub fn freeze(&self, frozen: bool) {
        self.frozen.store(frozen, Ordering::Release);
    }

    /// Every request so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().seen.clone()
    }

    /// How many requests there were so far.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.state.lock().seen.len()
    }

    /// Lines that were refused for good, by Loki's name of the reason.
    #[must_use]
    pub fn refused(&self) -> BTreeMap<&'static str, usize> {
        self.state.lock().refused.clone()
    }

    /// Lines that were kept while the answer was lost, or was 429 for another stream: sending them again is right, and a
    /// real Loki skips those that it has.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.state.lock().unanswered
    }

    /// Nobody listens any more: connections end, new ones are refused.
    pub fn close(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    /// It is at another address when it listens again.
    pub fn moves(&mut self, address: SocketAddr) {
        assert!(self.runtime.is_none(), "it listens still");
        self.address = address;
    }

    /// Listens again.
    pub fn open(&mut self) {
        assert!(self.runtime.is_none(), "it listens already");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind(self.address))
            .unwrap();
        let state = Arc::clone(&self.state);
        let frozen = Arc::clone(&self.frozen);
        #[expect(
            clippy::disallowed_methods,
            reason = "ends with the runtime that it runs on"
        )]
        runtime.spawn(async move {
            loop {
                thawed(&frozen).await;
                let Ok((stream, _)) = listener.accept().await else {
                    break;
                };
                let (state, frozen) = (Arc::clone(&state), Arc::clone(&frozen));
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        serve(Arc::clone(&state), Arc::clone(&frozen), request)
                    });
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service);
                    drop(connection.await);
                });
            }
        });
        self.runtime = Some(runtime);
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn thawed(frozen: &AtomicBool) {
    while frozen.load(Ordering::Acquire) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

type Body = UnsyncBoxBody<Bytes, Infallible>;
type Answer = Result<Response<Body>, std::io::Error>;

fn closed() -> Answer {
    Err(std::io::Error::other("the connection is closed"))
}

fn says(status: u16, text: &str, after: Option<u32>) -> Answer {
    let mut response = Response::builder().status(status);
    if let Some(after) = after {
        response = response.header("retry-after", after.to_string());
    }
    let body = Full::from(text.to_owned()).boxed_unsync();
    Ok(response.body(body).unwrap())
}

async fn serve(
    state: Arc<Mutex<State>>,
    frozen: Arc<AtomicBool>,
    request: Request<Incoming>,
) -> Answer {
    thawed(&frozen).await;
    let (parts, body) = request.into_parts();
    #[expect(clippy::disallowed_methods, reason = "a test's own server")]
    let Ok(body) = body.collect().await else {
        return closed();
    };
    thawed(&frozen).await;
    let body = body.to_bytes();
    let kind = parts.headers.get("content-type");
    if parts.uri.path() != "/loki/api/v1/push" {
        return says(404, "404 page not found\n", None);
    }
    if kind.is_none_or(|kind| kind != "application/x-protobuf") {
        return says(400, "Content-Type is not supported\n", None);
    }
    let (fault, at) = {
        let mut state = state.lock();
        let state = &mut *state;
        let fault = state.always.clone().or_else(|| state.next.pop_front());
        state.seen.push(Seen {
            status: 0,
            at: Instant::now(),
            body: body.clone(),
            lines: 0,
        });
        (fault, state.seen.len() - 1)
    };
    let answered = match fault {
        None => push(&state, at, &body, None),
        Some(Fault::Status(status)) => says(status, "the endpoint's own fault\n", None),
        Some(Fault::Says(status, text, after)) => says(status, &text, after),
        Some(Fault::Close) => closed(),
        Some(Fault::KeepAndClose) => {
            let before = state.lock().seen[at].lines;
            drop(push(&state, at, &body, None));
            let mut state = state.lock();
            state.unanswered += state.seen[at].lines - before;
            closed()
        }
        Some(Fault::Hang(span)) => {
            tokio::time::sleep(span).await;
            closed()
        }
        Some(Fault::Slow(span)) => {
            let answered = push(&state, at, &body, None);
            tokio::time::sleep(span).await;
            answered
        }
        Some(Fault::Endless(status)) => {
            let piece = Bytes::from(vec![b'x'; 1 << 20]);
            let pieces = std::iter::repeat_with(move || Ok(Frame::data(piece.clone())));
            let body = StreamBody::new(tokio_stream::iter(pieces)).boxed_unsync();
            Ok(Response::builder().status(status).body(body).unwrap())
        }
        Some(Fault::StreamLimit(text)) => push(&state, at, &body, Some(&text)),
    };
    if let Ok(response) = &answered {
        state.lock().seen[at].status = response.status().as_u16();
    }
    answered
}

/// What Loki does with a push.
fn push(state: &Mutex<State>, at: usize, body: &[u8], limited: Option<&str>) -> Answer {
    let mut state = state.lock();
    let state = &mut *state;
    if body.len() > state.limits.body {
        return says(413, "request body too large\n", None);
    }
    let streams = match decode(body) {
        Ok(streams) => streams,
        Err(why) => return says(400, &format!("{why}\n"), None),
    };
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = i128::try_from(since.unwrap().as_nanos()).unwrap();
    let mut texts = Vec::new();
    let mut slow_down = Vec::new();
    let mut books = state.books.lock();
    let mut kept = 0;
    for (labels, entries) in &streams {
        state.seen[at].lines += entries.len();
        let bytes: usize = entries.iter().map(|entry| entry.line.len()).sum();
        if limited.is_some_and(|text| labels.contains(text)) {
            slow_down.push(format!(
                "Per stream rate limit exceeded (limit: 3MB/sec) while attempting to ingest for stream '{labels}' totaling {bytes}B, consider splitting a stream via additional labels or contact your Loki administrator to see if the limit can be increased"
            ));
            continue;
        }
        kept += entries.len();
        let candidates: Vec<_> = entries
            .iter()
            .map(|entry| Candidate {
                time: entry.timestamp,
                len: entry.line.len(),
                metadata: entry
                    .metadata
                    .iter()
                    .map(|(name, value)| name.len() + value.len())
                    .sum(),
            })
            .collect();
        let newest = state.newest.entry(labels.clone()).or_insert(i128::MIN / 2);
        let refused = state.limits.validate(labels, &candidates, now, newest);
        texts.extend(refused.texts);
        for refusal in &refused.lines {
            *state.refused.entry(refusal.reason).or_default() += 1;
            if let Some((file, seq)) = Books::which(&entries[refusal.at].line) {
                books.excuse(file, seq);
            }
        }
        for (at, entry) in entries.iter().enumerate() {
            if refused.lines.iter().any(|refusal| refusal.at == at) {
                continue;
            }
            let metadata = |name: &str| entry.metadata.get(name).map(String::as_str);
            books.received(&Received {
                labels,
                time: entry.timestamp,
                err: metadata("log_iostream") == Some("stderr"),
                uid: metadata("k8s_pod_uid"),
                line: &entry.line,
            });
        }
    }
    if !slow_down.is_empty() {
        texts.extend(slow_down);
        state.unanswered += kept;
        return says(429, &answer(&texts), None);
    }
    if texts.is_empty() {
        says(204, "", None)
    } else {
        says(400, &answer(&texts), None)
    }
}

/// The port's address on another loopback address.
#[must_use]
pub(super) fn at(ip: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::from(ip), port)
}
