//! The server, and batches for it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use corten_component::{Batch, ComponentId, Context, Create, Exporter, Kind, Signal};
use corten_net::body::{Body, Decoder, Encoding, Limits};
use corten_pdata::model::{ExportTraceServiceRequest, trace};
use corten_pdata::{Data, Traces};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", kind)
    }
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) at: Instant,
}

impl Call {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body, decompressed.
    pub(crate) fn plain(&self) -> Vec<u8> {
        let Some(name) = self.header("content-encoding") else {
            return self.body.clone();
        };
        let encoding = Encoding::from_name(name).unwrap();
        let mut decoder = Decoder::new(encoding, &Limits::new(64 << 20)).unwrap();
        decoder.push(&self.body, None).unwrap();
        decoder.finish(None).unwrap().to_vec()
    }

    /// Names of the spans.
    pub(crate) fn names(&self) -> Vec<String> {
        let data = match self.header("content-type").unwrap() {
            "application/json" => Data::from_json(Signal::Traces, &self.plain()).unwrap(),
            "application/x-protobuf" => Data::parse(Signal::Traces, self.plain().into()).unwrap(),
            other => panic!("{other}"),
        };
        let Data::Traces(traces) = data else {
            panic!("expected traces");
        };
        let request = traces.decode().unwrap();
        request
            .resource_spans
            .iter()
            .flat_map(|resource| &resource.scope_spans)
            .flat_map(|scope| &scope.spans)
            .map(|span| span.name.clone())
            .collect()
    }
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    answers: Mutex<VecDeque<Answer>>,
    calls: Mutex<Vec<Call>>,
    max_body: Mutex<usize>,
}

impl Server {
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        Self::start_on(answers, None).await
    }

    pub(crate) async fn start_on(
        answers: impl IntoIterator<Item = Answer>,
        tls: Option<tokio_rustls::TlsAcceptor>,
    ) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            answers: Mutex::new(answers.into_iter().collect()),
            calls: Mutex::default(),
            max_body: Mutex::new(usize::MAX),
        });
        let accepting = Arc::clone(&server);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (server, tls) = (Arc::clone(&accepting), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => server.serve(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                server.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    /// Answers 413 to larger bodies.
    pub(crate) fn max_body(&self, bytes: usize) {
        *self.max_body.lock() = bytes;
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().clone()
    }

    async fn serve(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin + 'static) {
        let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let server = Arc::clone(&self);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service);
        drop(connection.await);
    }

    async fn answer(&self, request: http::Request<Incoming>) -> http::Response<Body> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        self.calls.lock().push(Call {
            path: head.uri.path().to_owned(),
            headers: head.headers,
            body: body.to_vec(),
            at: Instant::now(),
        });
        let answer = if body.len() > *self.max_body.lock() {
            Answer::status(413)
        } else {
            let next = self.answers.lock().pop_front();
            next.unwrap_or(Answer::status(200))
        };
        let mut response = http::Response::builder().status(answer.status);
        for (name, value) in answer.headers {
            response = response.header(name, value);
        }
        response.body(Body::full(answer.body)).unwrap()
    }
}

/// A batch of spans with these names.
pub(crate) fn spans(names: &[&str]) -> Batch {
    let spans = names
        .iter()
        .map(|name| trace::Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            name: (*name).to_owned(),
            ..Default::default()
        })
        .collect();
    let request = ExportTraceServiceRequest {
        resource_spans: vec![trace::ResourceSpans {
            scope_spans: vec![trace::ScopeSpans {
                spans,
                ..Default::default()
            }],
            ..Default::default()
        }],
    };
    Batch::new(Traces::from_model(&request).unwrap())
}

/// The exporter with these settings, quick to retry, without a queue.
pub(crate) fn exporter(yaml: &str) -> Arc<dyn Exporter> {
    let quick = "sending_queue: {enabled: false}\n\
                 retry_on_failure: {initial_interval: 10ms, max_interval: 10ms, max_elapsed_time: 10s}";
    let factory = corten_otlp_http_exporter::factory();
    let prepared = corten_testing::decode(&factory, &format!("{yaml}\n{quick}")).unwrap();
    let Create::Exporter(create) = prepared.create else {
        panic!("expected an exporter");
    };
    let id = "otlp_http".parse::<ComponentId>().unwrap();
    create(Context::detached(Kind::Exporter, id), ()).unwrap()
}

/// The exporter for this server, in the clear.
pub(crate) fn exporter_for(server: &Server, yaml: &str) -> Arc<dyn Exporter> {
    exporter(&format!("endpoint: http://{}\n{yaml}", server.address))
}
