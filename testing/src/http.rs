//! An HTTP server whose answers are a test's.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// What was asked.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// `GET`, …
    pub method: String,
    /// The path and the query, as they came.
    pub target: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Asked {
    /// The value of a header; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let mut headers = self.headers.iter();
        headers
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    /// The path alone.
    #[must_use]
    pub fn path(&self) -> &str {
        let target = self.target.as_str();
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// The value of a parameter of the query, as it came; empty where there is none.
    #[must_use]
    pub fn parameter(&self, name: &str) -> &str {
        self.target
            .split(['?', '&'])
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or("")
    }
}

/// What is answered.
#[derive(Debug)]
pub enum Reply {
    /// A status and a whole body.
    Whole(u16, String),
    /// 200, and a body that comes piece by piece, until the sender is dropped.
    Pieces(mpsc::Receiver<Vec<u8>>),
    /// The same, and not even the head before the first piece.
    Late(mpsc::Receiver<Vec<u8>>),
    /// Nothing: the connection is closed.
    Nothing,
}

impl Reply {
    /// 200 and this body.
    #[must_use]
    pub fn ok(body: impl Into<String>) -> Self {
        Self::Whole(200, body.into())
    }

    /// 200, and a body that the sender writes.
    #[must_use]
    pub fn pieces() -> (mpsc::Sender<Vec<u8>>, Self) {
        let (sender, receiver) = mpsc::channel(1024);
        (sender, Self::Pieces(receiver))
    }
}

/// Serves on a free port of the loopback for as long as the test's runtime lives.
///
/// # Panics
///
/// When there is no free port.
pub async fn http_server(answer: impl Fn(Asked) -> Reply + Send + Sync + 'static) -> SocketAddr {
    #[expect(clippy::expect_used, reason = "a test's arrangement has failed")]
    let (listener, address) = {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = bound.expect("a free port");
        let address = listener.local_addr().expect("an address");
        (listener, address)
    };
    let answer = Arc::new(answer);
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's server ends with its runtime"
    )]
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                // A peer that goes away is part of the play.
                drop(serve_connection(stream, &*answer).await);
            });
        }
    });
    address
}

/// Serves one connection, one request after another.
///
/// # Errors
///
/// The peer went away.
pub async fn serve_connection(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    answer: &(impl Fn(Asked) -> Reply + Sync + ?Sized),
) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.lines();
        let mut first = lines.next().unwrap_or_default().split(' ');
        let mut asked = Asked {
            method: first.next().unwrap_or_default().to_owned(),
            target: first.next().unwrap_or_default().to_owned(),
            headers: lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: Vec::new(),
        };
        asked.body = vec![0; asked.header("content-length").parse().unwrap_or(0)];
        stream.read_exact(&mut asked.body).await?;
        let reply = answer(asked);
        match reply {
            Reply::Nothing => return Ok(()),
            Reply::Whole(status, body) => {
                let length = body.len();
                let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n");
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(body.as_bytes()).await?;
                stream.flush().await?;
            }
            Reply::Pieces(_) | Reply::Late(_) => {
                let (mut pieces, late) = match reply {
                    Reply::Late(pieces) => (pieces, true),
                    Reply::Pieces(pieces) => (pieces, false),
                    _ => return Ok(()),
                };
                let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                let mut headed = !late;
                if headed {
                    stream.write_all(head).await?;
                    stream.flush().await?;
                }
                loop {
                    // Nothing is asked before the answer is over: what can be read is the end.
                    let piece = tokio::select! {
                        piece = pieces.recv() => piece,
                        _ = stream.read_u8() => return Ok(()),
                    };
                    if !headed {
                        stream.write_all(head).await?;
                        headed = true;
                    }
                    let Some(piece) = piece else {
                        break;
                    };
                    let size = format!("{:x}\r\n", piece.len());
                    stream.write_all(size.as_bytes()).await?;
                    stream.write_all(&piece).await?;
                    stream.write_all(b"\r\n").await?;
                    stream.flush().await?;
                }
                stream.write_all(b"0\r\n\r\n").await?;
                stream.flush().await?;
            }
        }
    }
}

/// A kubeconfig for an API server at `address`, whose user has the token of a file, if one is named.
#[must_use]
pub fn kubeconfig(address: SocketAddr, token_file: Option<&Path>) -> String {
    let user = match token_file {
        Some(file) => format!("{{tokenFile: {}}}", file.display()),
        None => "{}".to_owned(),
    };
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
         clusters: [{{name: test, cluster: {{server: 'http://{address}'}}}}]\n\
         users: [{{name: test, user: {user}}}]\n\
         contexts: [{{name: test, context: {{cluster: test, user: test}}}}]\n"
    )
}
