use std::net::SocketAddr;
use std::time::Duration;

use corten_config::types::{Endpoint, Optional};
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::body::Body;

fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

fn listen(host: &str, port: u16) -> Listen {
    Listen::from(&corten_config::settings::HttpServer::at(host, port))
}

fn says(what: &'static str) -> std::sync::Arc<dyn Handler> {
    handler(move |_| async move { text(200, what) })
}

async fn send(at: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn get(at: SocketAddr, path: &str) -> String {
    send(
        at,
        &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
    )
    .await
}

#[tokio::test]
async fn two_components_share_one_port() {
    let listeners = Listeners::new();
    let port = free_port();
    let first = listeners
        .listen("extensions::admin".into(), listen("localhost", port))
        .unwrap();
    let second = listeners
        .listen(
            "exporters::prometheus/node".into(),
            listen("127.0.0.1", port),
        )
        .unwrap();
    first
        .route(&[Method::GET], "/ready", says("ready"))
        .unwrap();
    second
        .route(&[Method::GET], "/metrics", says("up 1"))
        .unwrap();
    second
        .route(&[Method::GET], "/metrics/*", says("below"))
        .unwrap();
    let taken = second
        .route(&[Method::GET], "/ready", says("x"))
        .unwrap_err()
        .to_string();
    assert_eq!(
        taken,
        format!(
            "exporters::prometheus/node: /ready at localhost:{port} is served by extensions::admin already: \
             change the path or the endpoint of one of them"
        )
    );

    first.start().await.unwrap();
    let at = first.local_addr().unwrap();
    assert!(get(at, "/ready").await.ends_with("ready"));
    assert!(
        get(at, "/metrics").await.starts_with("HTTP/1.1 503"),
        "the second has not started"
    );
    second.start().await.unwrap();
    assert!(get(at, "/metrics").await.ends_with("up 1"));
    assert!(get(at, "/metrics/cadvisor").await.ends_with("below"));
    assert!(get(at, "/metrics?collect[]=cpu").await.ends_with("up 1"));

    let missing = get(at, "/elsewhere").await;
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
    assert!(
        missing.ends_with("served here:\n/metrics\n/metrics/*\n/ready\n"),
        "{missing}"
    );
    let wrong = send(
        at,
        "POST /ready HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(wrong.starts_with("HTTP/1.1 405"), "{wrong}");
    assert!(wrong.contains("allow: GET\r\n"), "{wrong}");

    first.shutdown().await;
    first.shutdown().await;
    assert!(get(at, "/ready").await.starts_with("HTTP/1.1 503"));
    assert!(get(at, "/metrics").await.ends_with("up 1"));
    second.shutdown().await;
    assert!(
        TcpStream::connect(at).await.is_err(),
        "nobody listens any more"
    );

    // The same listener can be opened again.
    second.start().await.unwrap();
    assert!(get(at, "/metrics").await.ends_with("up 1"));
    second.shutdown().await;
}

#[test]
fn different_tls_at_one_address_is_an_error() {
    let listeners = Listeners::new();
    let _first = listeners
        .listen("receivers::otlp".into(), listen("localhost", 4317))
        .unwrap();
    let mut other = listen("127.0.0.1", 4317);
    other.tls = Some(corten_config::settings::TlsServer::default());
    let error = listeners
        .listen("receivers::zipkin".into(), other)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "receivers::zipkin::tls: 127.0.0.1:4317 is shared with receivers::otlp, whose tls differs: \
         make them equal or change one endpoint"
    );
}

#[tokio::test]
async fn port_zero_is_never_shared() {
    let listeners = Listeners::new();
    let first = listeners
        .listen("a".into(), listen("localhost", 0))
        .unwrap();
    let second = listeners
        .listen("b".into(), listen("localhost", 0))
        .unwrap();
    first.start().await.unwrap();
    second.start().await.unwrap();
    assert_ne!(first.local_addr(), second.local_addr());
    first.shutdown().await;
    second.shutdown().await;
}

#[tokio::test]
async fn a_port_that_is_taken_says_by_whom_and_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let listeners = Listeners::new();
    let listener = listeners
        .listen(
            "receivers::otlp::protocols::grpc".into(),
            listen("127.0.0.1", port),
        )
        .unwrap();
    assert_eq!(
        listener.start().await.unwrap_err().to_string(),
        format!(
            "127.0.0.1:{port}: address already in use: another process listens there; \
             change receivers::otlp::protocols::grpc::endpoint or stop it"
        )
    );
    drop(taken);
    listener.start().await.unwrap();
    let wide = listeners
        .listen("extensions::admin".into(), listen("0.0.0.0", port))
        .unwrap();
    let error = wide.start().await.unwrap_err().to_string();
    assert!(
        error.contains("another component, receivers::otlp::protocols::grpc, listens at"),
        "{error}"
    );
    listener.shutdown().await;
}

#[tokio::test]
async fn an_address_of_another_machine_is_not_here() {
    let listeners = Listeners::new();
    let listener = listeners
        .listen("receivers::otlp".into(), listen("192.0.2.1", 0))
        .unwrap();
    let error = listener.start().await.unwrap_err();
    assert!(matches!(error, ListenError::NotHere { .. }), "{error}");
}

#[tokio::test]
async fn a_dropped_part_takes_its_paths_along() {
    let listeners = Listeners::new();
    let port = free_port();
    let stays = listeners
        .listen("a".into(), listen("localhost", port))
        .unwrap();
    let goes = listeners
        .listen("b".into(), listen("localhost", port))
        .unwrap();
    goes.route(&[], "/x", says("b")).unwrap();
    drop(goes);
    stays.route(&[], "/x", says("a")).unwrap();
    stays.start().await.unwrap();
    let at = stays.local_addr().unwrap();
    assert!(get(at, "/x").await.ends_with('a'));
    drop(stays);
    tokio::time::timeout(Duration::from_secs(10), async {
        while TcpStream::connect(at).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn shutdown_waits_for_requests_under_way() {
    let listeners = Listeners::new();
    let listener = listeners
        .listen("a".into(), listen("localhost", 0))
        .unwrap();
    let (begun, gate) = (
        std::sync::Arc::new(tokio::sync::Notify::new()),
        std::sync::Arc::new(tokio::sync::Notify::new()),
    );
    let (inside, open) = (std::sync::Arc::clone(&begun), std::sync::Arc::clone(&gate));
    listener
        .route(
            &[],
            "/slow",
            handler(move |_| {
                let (inside, open) = (std::sync::Arc::clone(&inside), std::sync::Arc::clone(&open));
                async move {
                    inside.notify_one();
                    open.notified().await;
                    text(200, "done")
                }
            }),
        )
        .unwrap();
    listener.start().await.unwrap();
    let at = listener.local_addr().unwrap();
    let idle = TcpStream::connect(at).await.unwrap();
    let (answer, ()) = tokio::join!(get(at, "/slow"), async {
        begun.notified().await;
        tokio::join!(listener.shutdown(), async {
            tokio::task::yield_now().await;
            gate.notify_one();
        });
    });
    assert!(answer.ends_with("done"), "{answer}");
    drop(idle);
}

#[tokio::test]
async fn a_client_that_says_nothing_is_cut_off() {
    let listeners = Listeners::new();
    let mut settings = listen("localhost", 0);
    settings.header_timeout = Some(Duration::from_millis(300));
    let listener = listeners.listen("a".into(), settings).unwrap();
    listener.route(&[], "/", says("fine")).unwrap();
    listener.start().await.unwrap();
    let at = listener.local_addr().unwrap();
    for bytes in ["", "PRI * HT", "GET / HTTP/1.1\r\nho"] {
        let answer = tokio::time::timeout(Duration::from_secs(10), send(at, bytes)).await;
        assert!(answer.is_ok(), "still open after {bytes:?}");
    }
    // A connection that is idle between requests is not slow.
    let mut stream = TcpStream::connect(at).await.unwrap();
    for _ in 0..2 {
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut buffer = [0; 1024];
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer)).await;
        assert!(buffer[..read.unwrap().unwrap()].ends_with(b"fine"));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    listener.shutdown().await;
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let listeners = Listeners::new();
    let mut settings = listen("localhost", 0);
    settings.idle_timeout = Some(Duration::from_millis(300));
    let listener = listeners.listen("a".into(), settings).unwrap();
    listener.route(&[], "/", says("fine")).unwrap();
    listener.start().await.unwrap();
    let at = listener.local_addr().unwrap();
    let answer = send(at, "GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    let answer = tokio::time::timeout(Duration::from_secs(10), answer)
        .await
        .unwrap();
    assert!(answer.ends_with("fine"), "{answer}");
    listener.shutdown().await;
}

#[tokio::test]
async fn connections_beyond_the_bound_wait() {
    let listeners = Listeners::new();
    let mut settings = listen("localhost", 0);
    settings.max_connections = 1;
    let listener = listeners.listen("a".into(), settings).unwrap();
    listener.route(&[], "/", says("fine")).unwrap();
    listener.start().await.unwrap();
    let at = listener.local_addr().unwrap();
    let first = TcpStream::connect(at).await.unwrap();
    let second = get(at, "/");
    tokio::pin!(second);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), &mut second)
            .await
            .is_err()
    );
    drop(first);
    let answer = tokio::time::timeout(Duration::from_secs(10), second)
        .await
        .unwrap();
    assert!(answer.ends_with("fine"));
    listener.shutdown().await;
}

#[tokio::test]
async fn a_socket_in_the_file_system_is_served_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("otlp.sock");
    // Left behind by a process that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listeners = Listeners::new();
    let mut settings = listen("localhost", 0);
    settings.address = Address::Unix(path.clone());
    let listener = listeners.listen("a".into(), settings).unwrap();
    listener.route(&[], "/", says("fine")).unwrap();
    listener.start().await.unwrap();
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("fine"));
    listener.shutdown().await;
    assert!(!path.exists());
}

#[test]
fn spellings_of_one_address_are_one() {
    let address = |text: &str| {
        Address::tcp(
            &text.parse::<Endpoint>().unwrap(),
            corten_config::settings::Transport::Tcp,
        )
    };
    assert_eq!(address("localhost:1"), address("127.0.0.1:1"));
    assert_eq!(address("[0:0::1]:1"), address("[::1]:1"));
    assert_eq!(address("Host:1"), address("host:1"));
    assert_ne!(address("0.0.0.0:1"), address("127.0.0.1:1"));
    assert_ne!(address("localhost:1"), address("localhost:2"));
}

/// A certificate for `localhost` and its key, as PEM.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[tokio::test]
async fn tls_is_spoken_and_a_renewed_certificate_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let (cert, key) = (
        directory.path().join("c.pem"),
        directory.path().join("k.pem"),
    );
    let write = |pair: &(String, String)| {
        std::fs::write(&cert, &pair.0).unwrap();
        std::fs::write(&key, &pair.1).unwrap();
    };
    let first = certificate();
    write(&first);
    let mut settings = corten_config::settings::HttpServer::at("localhost", 0);
    settings.tls = Optional::On(corten_config::settings::TlsServer {
        cert_file: Some(cert.clone()),
        key_file: Some(key.clone()),
        reload_interval: Some(corten_config::types::Duration::ZERO),
        ..Default::default()
    });
    let listeners = Listeners::new();
    let listener = listeners
        .listen("a".into(), Listen::from(&settings))
        .unwrap();
    listener.route(&[], "/", says("secret")).unwrap();
    listener.start().await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url: http::Uri = format!("https://localhost:{port}/").parse().unwrap();
    let ask = async |ca: &str, skip: bool| {
        let cx = corten_component::Context::detached(
            corten_component::Kind::Exporter,
            "loki".parse().unwrap(),
        );
        let mut settings = corten_config::settings::HttpClient::default();
        settings.tls.ca_pem = Some(ca.into());
        settings.tls.insecure_skip_verify = skip;
        let client = crate::client::HttpClient::new(&cx, &settings).unwrap();
        client
            .post(&url, http::HeaderMap::new(), Body::empty())
            .await
    };
    assert_eq!(ask(&first.0, false).await.unwrap().body, "secret");
    let second = certificate();
    let error = ask(&second.0, false).await.unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("https://localhost:{port}/: no TLS connection: ")),
        "{error}"
    );
    assert_eq!(ask(&second.0, true).await.unwrap().body, "secret");
    // A later time of modification than the file system's granularity.
    write(&second);
    let later = std::time::SystemTime::now() + Duration::from_secs(5);
    std::fs::File::options()
        .write(true)
        .open(&cert)
        .unwrap()
        .set_modified(later)
        .unwrap();
    assert_eq!(ask(&second.0, false).await.unwrap().body, "secret");
    // A file that is no certificate leaves the old one in force.
    std::fs::write(&cert, "nonsense").unwrap();
    assert_eq!(ask(&second.0, false).await.unwrap().body, "secret");
    listener.shutdown().await;
}
