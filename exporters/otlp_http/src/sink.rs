//! OTLP over HTTP: one POST a request.

use std::borrow::Cow;

use bytes::Bytes;
use corten_component::{Batch, BoxError, Context, GrpcCode, Signal, Status, async_trait};
use corten_delivery::{Compressor, Encoded, SendError, Sent, Sink};
use corten_net::body::Body;
use corten_net::client::{Cause, HttpClient};
use corten_pdata::Data;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Uri};

use crate::answer;
use crate::config::{Config, Encoding};

/// A body ready for the wire.
pub(crate) struct Request {
    signal: Signal,
    parts: Vec<Bytes>,
}

/// One server's three paths.
pub(crate) struct HttpSink {
    client: HttpClient,
    compressor: Compressor,
    encoding: Encoding,
    max_request: usize,
    logs: Option<Uri>,
    metrics: Option<Uri>,
    traces: Option<Uri>,
    address: String,
}

impl HttpSink {
    pub(crate) fn new(cx: &Context, config: &Config) -> Result<Self, BoxError> {
        let urls = [Signal::Logs, Signal::Metrics, Signal::Traces].map(|signal| config.url(signal));
        let [logs, metrics, traces] = urls;
        let (logs, metrics, traces) = (logs?, metrics?, traces?);
        let known = [&logs, &metrics, &traces].into_iter().flatten().next();
        let address = known.map(|url| {
            let scheme = url.scheme_str().unwrap_or("http");
            let host = url.host().unwrap_or_default();
            match url.port_u16() {
                Some(port) => format!("{scheme}://{host}:{port}"),
                None => format!("{scheme}://{host}"),
            }
        });
        Ok(Self {
            client: HttpClient::new(cx, &config.client)?,
            compressor: Compressor::new(
                config.client.compression,
                &config.client.compression_params,
            ),
            encoding: config.own.encoding,
            max_request: match config.own.max_request_bytes {
                0 => usize::MAX,
                limit => limit,
            },
            logs,
            metrics,
            traces,
            address: address.unwrap_or_default(),
        })
    }

    fn url(&self, signal: Signal) -> Option<&Uri> {
        match signal {
            Signal::Logs => self.logs.as_ref(),
            Signal::Metrics => self.metrics.as_ref(),
            Signal::Traces => self.traces.as_ref(),
        }
    }

    fn body(&self, data: &Data) -> Result<Vec<Bytes>, BoxError> {
        let parts = match self.encoding {
            Encoding::Proto => {
                let segments = data.segments().iter();
                segments.map(|segment| segment.bytes().clone()).collect()
            }
            Encoding::Json => {
                let mut text = Vec::with_capacity(data.bytes_len() * 3);
                data.to_json(&mut text)?;
                vec![text.into()]
            }
        };
        Ok(self.compressor.compress(parts)?)
    }
}

#[async_trait]
impl Sink for HttpSink {
    type Request = Request;

    fn start(&self) -> Result<(), BoxError> {
        Ok(self.client.read_certificates()?)
    }

    fn encode(&self, batch: &Batch) -> Result<Vec<Encoded<Request>>, BoxError> {
        let signal = batch.signal();
        let pieces = if batch.bytes_len() > self.max_request {
            batch.data.clone().split_bytes(self.max_request)
        } else {
            vec![batch.data.clone()]
        };
        pieces
            .into_iter()
            .map(|data| {
                Ok(Encoded {
                    request: Request {
                        signal,
                        parts: self.body(&data)?,
                    },
                    items: data.items(),
                    data,
                })
            })
            .collect()
    }

    async fn send(&self, request: &Request) -> Result<Sent, SendError> {
        let signal = request.signal;
        let Some(url) = self.url(signal) else {
            return Err(SendError::permanent(
                Status::UNIMPLEMENTED,
                "no_endpoint",
                format!("no endpoint for {signal}: set endpoint or {signal}_endpoint"),
            ));
        };
        let mut headers = HeaderMap::new();
        let kind = match self.encoding {
            Encoding::Proto => HeaderValue::from_static("application/x-protobuf"),
            Encoding::Json => HeaderValue::from_static("application/json"),
        };
        headers.insert(CONTENT_TYPE, kind);
        if let Some(name) = self.compressor.encoding() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
        }
        let body = Body::parts(request.parts.iter().cloned());
        match self.client.post(url, headers, body).await {
            Ok(response) => answer::read(
                &format!("{}{}", self.address, url.path()),
                signal,
                &response,
            ),
            Err(error) => {
                let code = match error.cause {
                    Cause::Timeout(_) => GrpcCode::DeadlineExceeded,
                    _ => GrpcCode::Unavailable,
                };
                Err(SendError::retryable(Status::Grpc(code), error.to_string()))
            }
        }
    }

    fn compresses(&self) -> bool {
        self.compressor.encoding().is_some() || self.encoding == Encoding::Json
    }

    fn address(&self) -> Cow<'_, str> {
        self.address.as_str().into()
    }
}
