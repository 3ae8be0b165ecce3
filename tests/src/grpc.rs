//! gRPC by hand: whatever bytes in a request, and the status that comes back.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcStatus {
    /// `grpc-status`.
    pub code: u32,
    /// `grpc-message`, percent-encoded.
    pub message: String,
}

/// POSTs one message to `path`, in a frame that says whether it is compressed (with what `encoding` says).
///
/// # Panics
///
/// When the server answers without a gRPC status.
#[must_use]
pub fn grpc(port: u16, path: &str, encoding: Option<&str>, message: &[u8]) -> GrpcStatus {
    let mut frame = vec![u8::from(encoding.is_some())];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    grpc_frame(port, path, encoding, frame)
}

/// POSTs a body as it is.
///
/// # Panics
///
/// When the server answers without a gRPC status.
#[must_use]
pub fn grpc_frame(port: u16, path: &str, encoding: Option<&str>, body: Vec<u8>) -> GrpcStatus {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "ends with the runtime that it runs on"
        )]
        tokio::spawn(connection);
        let mut request = http::Request::post(format!("http://127.0.0.1:{port}{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(encoding) = encoding {
            request = request.header("grpc-encoding", encoding);
        }
        let response = sender
            .send_request(request.body(Full::new(Bytes::from(body))).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        #[expect(
            clippy::disallowed_methods,
            reason = "a small answer to a test's own request"
        )]
        let trailers = body
            .collect()
            .await
            .ok()
            .and_then(|body| body.trailers().cloned());
        let headers = trailers.unwrap_or(parts.headers);
        let header = |name: &str| {
            headers
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        let code = header("grpc-status").unwrap_or_else(|| panic!("no status in {headers:?}"));
        GrpcStatus {
            code: code.parse().unwrap(),
            message: header("grpc-message").unwrap_or_default(),
        }
    })
}
