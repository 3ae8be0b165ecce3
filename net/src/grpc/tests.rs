use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use corten_component::{Context, GrpcCode, Kind};
use corten_config::settings::{GrpcClient as ClientSettings, GrpcServer, TlsServer};
use corten_config::types::{Endpoint, Optional};
use http::uri::PathAndQuery;
use http::{Request, Response};
use parking_lot::Mutex;

use super::*;
use crate::body::{Body, Limits};
use crate::listen::{Address, Handler, Listen, Listener, Listeners, handler, text};

const PATH: PathAndQuery = PathAndQuery::from_static("/test.Echo/Say");

fn client(endpoint: String, change: impl FnOnce(&mut ClientSettings)) -> GrpcClient {
    let cx = Context::detached(Kind::Exporter, "otlp_grpc".parse().unwrap());
    let mut settings = ClientSettings {
        endpoint,
        ..ClientSettings::default()
    };
    settings.timeout = Duration::from_secs(20).into();
    settings.tls.insecure = true;
    change(&mut settings);
    GrpcClient::new(&cx, &settings).unwrap()
}

/// Answers with the message and the port that it came from.
fn echo() -> Arc<dyn Handler> {
    handler(async |mut request: Request<Body>| {
        match read_message(&mut request, &Limits::new(64 << 20), None).await {
            Ok(message) => reply(&message),
            Err(refusal) => refuse(&refusal.status),
        }
    })
}

async fn serve(settings: &GrpcServer, handler: Arc<dyn Handler>) -> Listener {
    let listener = Listeners::new()
        .listen("test".into(), Listen::from(settings))
        .unwrap();
    listener.route(&[], PATH.path(), handler).unwrap();
    listener.start().await.unwrap();
    listener
}

fn encrypted(tls: TlsServer) -> GrpcServer {
    GrpcServer {
        tls: Optional::On(tls),
        ..GrpcServer::default()
    }
}

fn at(listener: &Listener) -> String {
    listener.local_addr().unwrap().to_string()
}

fn message(parts: &[&[u8]]) -> Message {
    Message {
        parts: parts
            .iter()
            .map(|part| Bytes::copy_from_slice(part))
            .collect(),
        encoding: None,
    }
}

#[tokio::test]
async fn parts_arrive_as_one_message() {
    let listener = serve(&GrpcServer::default(), echo()).await;
    let client = client(at(&listener), |_| {});
    let reply = client
        .unary(&PATH, message(&[b"seg", b"", b"ments"]))
        .await
        .unwrap();
    assert_eq!(reply.message, "segments");
    assert!(
        client
            .unary(&PATH, message(&[]))
            .await
            .unwrap()
            .message
            .is_empty()
    );
    let large = vec![7u8; 700_000];
    assert_eq!(
        client
            .unary(&PATH, message(&[&large, b"!"]))
            .await
            .unwrap()
            .message
            .len(),
        700_001
    );
    let too_large = client
        .unary(&PATH, message(&[&vec![0; 2 << 20]]))
        .await
        .unwrap_err();
    assert!(
        too_large.to_string().contains("the answer is larger than"),
        "{too_large}"
    );
}

#[tokio::test]
async fn a_status_comes_back_as_it_was_sent() {
    let sent = Status::new(GrpcCode::ResourceExhausted, "später, 100 %")
        .after(Duration::from_millis(1500));
    let status = sent.clone();
    let listener = serve(
        &GrpcServer::default(),
        handler(move |_| {
            let status = status.clone();
            async move { refuse(&status) }
        }),
    )
    .await;
    let error = client(at(&listener), |_| {})
        .unary(&PATH, message(&[b"x"]))
        .await
        .unwrap_err();
    assert_eq!(error.status(), sent);
    assert!(error.is_retryable());
    assert_eq!(
        error.to_string(),
        format!("{}: ResourceExhausted: später, 100 %", at(&listener))
    );
}

#[tokio::test]
async fn servers_that_speak_no_grpc_are_recognised() {
    let listener = serve(
        &GrpcServer::default(),
        handler(async |_| text(502, "bad gateway")),
    )
    .await;
    let status = client(at(&listener), |_| {})
        .unary(&PATH, message(&[b"x"]))
        .await
        .unwrap_err()
        .status();
    assert_eq!(
        (status.code, status.message.as_str()),
        (
            GrpcCode::Unavailable,
            "expected gRPC, found HTTP status 502"
        )
    );

    let listener = serve(
        &GrpcServer::default(),
        handler(async |_| Response::new(Body::full("hello"))),
    )
    .await;
    let status = client(at(&listener), |_| {})
        .unary(&PATH, message(&[b"x"]))
        .await
        .unwrap_err()
        .status();
    assert_eq!(status.code, GrpcCode::Internal, "{status}");
}

#[tokio::test]
async fn nobody_there_is_unavailable_and_a_restarted_server_is_found_again() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let settings = GrpcServer {
        endpoint: Endpoint::new("localhost", port),
        ..GrpcServer::default()
    };
    let client = client(format!("localhost:{port}"), |_| {});
    let error = client.unary(&PATH, message(&[b"x"])).await.unwrap_err();
    assert_eq!(error.status().code, GrpcCode::Unavailable);
    assert!(error.is_retryable());
    assert_eq!(
        error.to_string(),
        format!("http://localhost:{port}/test.Echo/Say: connection refused")
    );
    for _ in 0..3 {
        let listener = serve(&settings, echo()).await;
        // One attempt may meet the end of the former connection; exporters try again.
        let mut attempts = 0;
        while let Err(error) = client.unary(&PATH, message(&[b"x"])).await {
            attempts += 1;
            assert!(attempts < 3, "{error}");
        }
        listener.shutdown().await;
    }
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_given_up() {
    let listener = serve(
        &GrpcServer::default(),
        handler(async |_| std::future::pending().await),
    )
    .await;
    let client = client(at(&listener), |settings| {
        settings.timeout = Duration::from_millis(50).into()
    });
    let error = client.unary(&PATH, message(&[b"x"])).await.unwrap_err();
    assert_eq!(error.status().code, GrpcCode::DeadlineExceeded);
}

#[tokio::test]
async fn an_old_connection_is_replaced_without_losing_a_call() {
    let mut settings = GrpcServer::default();
    settings.keepalive.server_parameters.max_connection_age = Duration::from_millis(50).into();
    let connections = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    let (seen, calls) = (Arc::clone(&connections), Arc::new(AtomicUsize::new(0)));
    let listener = serve(
        &settings,
        handler(move |mut request: Request<Body>| {
            let peer = request
                .extensions()
                .get::<crate::listen::Peer>()
                .unwrap()
                .address
                .unwrap();
            seen.lock().insert(peer.port());
            async move {
                let message = read_message(&mut request, &Limits::new(100), None)
                    .await
                    .unwrap();
                reply(&message)
            }
        }),
    )
    .await;
    let client = client(at(&listener), |_| {});
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(400) {
        client.unary(&PATH, message(&[b"x"])).await.unwrap();
        calls.fetch_add(1, Ordering::Relaxed);
    }
    assert!(
        connections.lock().len() > 1,
        "{} calls over one connection",
        calls.load(Ordering::Relaxed)
    );
}

#[tokio::test]
async fn tls_and_sockets_of_the_machine_are_spoken() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let settings = encrypted(TlsServer {
        cert_pem: Some(made.cert.pem().as_str().into()),
        key_pem: Some(made.signing_key.serialize_pem().as_str().into()),
        ..TlsServer::default()
    });
    let listener = serve(&settings, echo()).await;
    let trusting = client(at(&listener), |settings| {
        settings.tls.insecure = false;
        settings.tls.ca_pem = Some(made.cert.pem().as_str().into());
        settings.tls.server_name_override = Some("localhost".to_owned());
    });
    assert_eq!(
        trusting
            .unary(&PATH, message(&[b"x"]))
            .await
            .unwrap()
            .message,
        "x"
    );

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.sock");
    let mut listen = Listen::from(&GrpcServer::default());
    listen.address = Address::Unix(path.clone());
    let listener = Listeners::new().listen("test".into(), listen).unwrap();
    listener.route(&[], PATH.path(), echo()).unwrap();
    listener.start().await.unwrap();
    let client = client(format!("unix://{}", path.display()), |_| {});
    assert_eq!(
        client.unary(&PATH, message(&[b"x"])).await.unwrap().message,
        "x"
    );
}

#[tokio::test]
async fn a_client_certificate_is_asked_for_and_checked() {
    let server = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let known = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
    let stranger = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let authority = directory.path().join("ca.pem");
    std::fs::write(&authority, known.cert.pem()).unwrap();
    let settings = encrypted(TlsServer {
        cert_pem: Some(server.cert.pem().as_str().into()),
        key_pem: Some(server.signing_key.serialize_pem().as_str().into()),
        client_ca_file: Some(authority),
        ..TlsServer::default()
    });
    let listener = serve(&settings, echo()).await;
    let port = listener.local_addr().unwrap().port();
    let call = async |certificate: Option<&rcgen::CertifiedKey<rcgen::KeyPair>>| {
        let client = client(format!("localhost:{port}"), |settings| {
            settings.tls.insecure = false;
            settings.tls.ca_pem = Some(server.cert.pem().as_str().into());
            settings.tls.cert_pem = certificate.map(|made| made.cert.pem().as_str().into());
            settings.tls.key_pem =
                certificate.map(|made| made.signing_key.serialize_pem().as_str().into());
        });
        client.unary(&PATH, message(&[b"x"])).await
    };
    call(Some(&known)).await.unwrap();
    assert!(call(Some(&stranger)).await.is_err());
    assert!(call(None).await.is_err());
}

#[tokio::test]
async fn damaged_frames_are_refused() {
    let read = async |body: &'static [u8], encoding: &str, cut: usize| {
        let parts = [
            Bytes::from_static(&body[..cut.min(body.len())]),
            Bytes::from_static(&body[cut.min(body.len())..]),
        ];
        let mut request = Request::new(Body::parts(parts));
        request
            .headers_mut()
            .insert("grpc-encoding", encoding.parse().unwrap());
        read_message(&mut request, &Limits::new(10), None)
            .await
            .map_err(|refusal| (refusal.status.code, refusal.reason))
    };
    for cut in 0..8 {
        assert_eq!(
            read(b"\0\0\0\0\x03abc", "identity", cut).await.unwrap(),
            "abc"
        );
        for (body, encoding, code, reason) in [
            (
                &b""[..],
                "identity",
                GrpcCode::InvalidArgument,
                "damaged_frame",
            ),
            (
                b"\0\0\0\0\x03ab",
                "identity",
                GrpcCode::InvalidArgument,
                "damaged_frame",
            ),
            (
                b"\0\0\0\0\x01ab",
                "identity",
                GrpcCode::InvalidArgument,
                "damaged_frame",
            ),
            (
                b"\x01\0\0\0\x01a",
                "identity",
                GrpcCode::InvalidArgument,
                "damaged_frame",
            ),
            (
                b"\x02\0\0\0\x01a",
                "gzip",
                GrpcCode::InvalidArgument,
                "damaged_frame",
            ),
            (
                b"\0\xff\xff\xff\xffa",
                "identity",
                GrpcCode::ResourceExhausted,
                "too_large",
            ),
            (
                b"\x01\0\0\0\x02ab",
                "gzip",
                GrpcCode::InvalidArgument,
                "damaged_compression",
            ),
            (
                b"\x01\0\0\0\x02ab",
                "br",
                GrpcCode::Unimplemented,
                "unknown_encoding",
            ),
        ] {
            assert_eq!(
                read(body, encoding, cut).await,
                Err((code, reason)),
                "{body:?} cut at {cut}"
            );
        }
    }
}

/// Answers with its number.
async fn numbered(number: u8) -> Listener {
    let handler = handler(move |mut request: Request<Body>| async move {
        match read_message(&mut request, &Limits::new(1 << 20), None).await {
            Ok(_) => reply(&[number]),
            Err(refusal) => refuse(&refusal.status),
        }
    });
    serve(&GrpcServer::default(), handler).await
}

/// A client of `backend.test`, whose addresses are what stands in the list.
fn named(addresses: &Arc<Mutex<Vec<SocketAddr>>>, balancer: &str) -> GrpcClient {
    let known = Arc::clone(addresses);
    let names = balance::Names {
        ask: Arc::new(move |host, port| {
            assert_eq!((host.as_str(), port), ("backend.test", 4317));
            let addresses = known.lock().clone();
            Box::pin(async move {
                if addresses.is_empty() {
                    return Err(std::io::Error::other("no such name"));
                }
                Ok(addresses)
            })
        }),
        fresh: Duration::from_millis(20),
    };
    let cx = Context::detached(Kind::Exporter, "otlp_grpc".parse().unwrap());
    let mut settings = ClientSettings {
        endpoint: "backend.test:4317".to_owned(),
        balancer_name: balancer.to_owned(),
        ..ClientSettings::default()
    };
    settings.timeout = Duration::from_secs(20).into();
    settings.tls.insecure = true;
    GrpcClient::with(&cx, &settings, names).unwrap()
}

async fn who(client: &GrpcClient) -> u8 {
    client.unary(&PATH, message(&[b"?"])).await.unwrap().message[0]
}

#[tokio::test]
async fn calls_take_turns_among_the_addresses_of_a_name() {
    let (one, two) = (numbered(1).await, numbered(2).await);
    let (first, second) = (one.local_addr().unwrap(), two.local_addr().unwrap());
    let addresses = Arc::new(Mutex::new(vec![first, second]));
    let client = named(&addresses, "round_robin");
    let mut counts = [0; 3];
    for _ in 0..20 {
        counts[usize::from(who(&client).await)] += 1;
    }
    assert_eq!(counts, [0, 10, 10]);

    // One address leaves the name, and another comes: connections that work do not keep them.
    let three = numbered(3).await;
    *addresses.lock() = vec![second, three.local_addr().unwrap()];
    let mut seen = Vec::new();
    for _ in 0..200 {
        seen.push(who(&client).await);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let last = &seen[seen.len() - 20..];
    assert_eq!(last.iter().filter(|who| **who == 3).count(), 10, "{seen:?}");
    assert!(!last.contains(&1), "{seen:?}");

    // A name service that fails changes nothing.
    addresses.lock().clear();
    for _ in 0..50 {
        assert!(who(&client).await > 1);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for listener in [one, two, three] {
        listener.shutdown().await;
    }
}

/// An address that nobody listens on.
fn nobody_else() -> SocketAddr {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    port.local_addr().unwrap()
}

#[tokio::test]
async fn an_address_that_cannot_be_reached_costs_no_call() {
    let one = numbered(1).await;
    let nobody = nobody_else();
    let addresses = Arc::new(Mutex::new(vec![nobody, one.local_addr().unwrap()]));
    let client = named(&addresses, "round_robin");
    for _ in 0..10 {
        assert_eq!(who(&client).await, 1);
    }
    *addresses.lock() = vec![nobody, nobody_else()];
    let client = named(&addresses, "round_robin");
    let error = client.unary(&PATH, message(&[b"?"])).await.unwrap_err();
    let text = error.status().to_string();
    assert!(
        text.contains("backend.test:4317") && text.contains("127.0.0.1:"),
        "{text}"
    );
    addresses.lock().clear();
    let client = named(&addresses, "round_robin");
    let error = client.unary(&PATH, message(&[b"?"])).await.unwrap_err();
    assert_eq!(error.status().code, GrpcCode::Unavailable);
    assert!(
        error
            .to_string()
            .contains("backend.test cannot be resolved: no such name"),
        "{error}"
    );
    one.shutdown().await;
}
