//! The server, and batches for it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use corten_component::{Batch, ComponentId, Context, Create, Exporter, GrpcCode, Kind};
use corten_net::body::Body;
use corten_net::grpc::{self, Status};
use corten_pdata::Traces;
use corten_pdata::model::{ExportTraceServiceRequest, Message, trace};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

/// One answer.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// OK with this message.
    Ok(Vec<u8>),
    /// This status.
    Status(Status),
    /// An HTTP status that is none of gRPC's.
    Http(u16),
    /// Nothing, ever.
    Hang,
}

impl Answer {
    pub(crate) fn code(code: GrpcCode) -> Self {
        Self::Status(Status::new(code, "scripted"))
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
    /// The message, decompressed.
    pub(crate) fn request(&self) -> ExportTraceServiceRequest {
        let message = &self.body[5..];
        let plain = match self
            .headers
            .get("grpc-encoding")
            .map(|name| name.to_str().unwrap())
        {
            None => message.to_vec(),
            Some(name) => {
                let encoding = corten_net::body::Encoding::from_name(name).unwrap();
                let limits = corten_net::body::Limits::new(64 << 20);
                let mut decoder = corten_net::body::Decoder::new(encoding, &limits).unwrap();
                decoder.push(message, None).unwrap();
                decoder.finish(None).unwrap().to_vec()
            }
        };
        ExportTraceServiceRequest::decode(&*plain).unwrap()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        names(&self.request())
    }
}

fn names(request: &ExportTraceServiceRequest) -> Vec<String> {
    request
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| &scope.spans)
        .map(|span| span.name.clone())
        .collect()
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    answers: Mutex<VecDeque<Answer>>,
    calls: Mutex<Vec<Call>>,
    max_message: Mutex<usize>,
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
            max_message: Mutex::new(usize::MAX),
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

    /// Refuses larger messages as grpc-go does.
    pub(crate) fn max_message(&self, bytes: usize) {
        *self.max_message.lock() = bytes;
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().clone()
    }

    async fn serve(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin + 'static) {
        let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let server = Arc::clone(&self);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
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
        if body.len() - 5 > *self.max_message.lock() {
            let text = "grpc: received message larger than max (2 vs. 1)";
            return grpc::refuse(&Status::new(GrpcCode::ResourceExhausted, text));
        }
        let answer = self.answers.lock().pop_front();
        match answer.unwrap_or(Answer::Ok(Vec::new())) {
            Answer::Ok(message) => grpc::reply(&message),
            Answer::Status(status) => grpc::refuse(&status),
            Answer::Http(status) => http::Response::builder()
                .status(status)
                .body(Body::from("no gRPC here"))
                .unwrap(),
            Answer::Hang => std::future::pending().await,
        }
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

const RETRY: &str =
    "retry_on_failure: {initial_interval: 10ms, max_interval: 10ms, max_elapsed_time: 10s}";

/// The exporter with these settings, quick to retry, without a queue.
pub(crate) fn exporter(yaml: &str) -> Arc<dyn Exporter> {
    queued(&format!("{yaml}\nsending_queue: {{enabled: false}}"))
}

/// The same with a queue.
pub(crate) fn queued(yaml: &str) -> Arc<dyn Exporter> {
    let factory = corten_otlp_grpc_exporter::factory();
    let prepared = corten_testing::decode(&factory, &format!("{yaml}\n{RETRY}")).unwrap();
    let Create::Exporter(create) = prepared.create else {
        panic!("expected an exporter");
    };
    let id = "otlp_grpc".parse::<ComponentId>().unwrap();
    create(Context::detached(Kind::Exporter, id), ()).unwrap()
}

/// The exporter for this server, in the clear.
pub(crate) fn exporter_for(server: &Server, yaml: &str) -> Arc<dyn Exporter> {
    exporter(&format!("endpoint: http://{}\n{yaml}", server.address))
}

pub(crate) const QUICK: Duration = Duration::from_secs(2);
