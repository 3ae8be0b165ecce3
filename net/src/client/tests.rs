use std::sync::Arc;

use corten_component::Kind;
use corten_config::settings::HttpServer;

use super::*;
use crate::listen::{Listen, Listener, Listeners, Peer, handler, text};

fn cx() -> Context {
    Context::detached(Kind::Exporter, "loki".parse().unwrap())
}

fn client(change: impl FnOnce(&mut settings::HttpClient)) -> HttpClient {
    let mut settings = settings::HttpClient::default();
    change(&mut settings);
    HttpClient::new(&cx(), &settings).unwrap()
}

async fn server(handler: Arc<dyn crate::listen::Handler>) -> (Listener, Uri) {
    let listener = Listeners::new()
        .listen("test".into(), Listen::from(&HttpServer::at("localhost", 0)))
        .unwrap();
    listener.route(&[], "/push", handler).unwrap();
    listener.start().await.unwrap();
    let url = format!("http://{}/push?secret=1", listener.local_addr().unwrap());
    (listener, url.parse().unwrap())
}

#[tokio::test]
async fn nobody_there_is_said_with_the_place_and_without_secrets() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    drop(taken);
    let url = format!("http://user:password@127.0.0.1:{port}/loki/api/v1/push?token=1")
        .parse()
        .unwrap();
    let error = client(|_| {})
        .post(&url, HeaderMap::new(), "x")
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("http://127.0.0.1:{port}/loki/api/v1/push: connection refused")
    );
    assert!(!error.may_have_arrived());
}

#[tokio::test]
async fn a_name_without_an_address_is_said() {
    let url = "http://nowhere.invalid:1/".parse().unwrap();
    let error = client(|_| {})
        .post(&url, HeaderMap::new(), "x")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("http://nowhere.invalid:1/: nowhere.invalid cannot be resolved"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let (_server, url) = server(handler(async |_| std::future::pending().await)).await;
    let client = client(|settings| settings.timeout = Duration::from_millis(50).into());
    let error = client.post(&url, HeaderMap::new(), "x").await.unwrap_err();
    assert!(
        error.to_string().ends_with("/push: no answer within 50ms"),
        "{error}"
    );
    assert!(error.may_have_arrived());
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_said() {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/push", socket.local_addr().unwrap())
        .parse()
        .unwrap();
    let client = client(|_| {});
    let (answer, ()) = tokio::join!(client.post(&url, HeaderMap::new(), "x"), async {
        drop(socket.accept().await.unwrap());
    });
    let error = answer.unwrap_err();
    assert!(error.may_have_arrived(), "{error}");
}

#[tokio::test]
async fn connections_are_kept_and_headers_are_added() {
    let ports = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let seen = Arc::clone(&ports);
    let answer = handler(move |request: Request<Body>| {
        let seen = Arc::clone(&seen);
        async move {
            let peer = request.extensions().get::<Peer>().unwrap().address.unwrap();
            let header = |name| {
                request
                    .headers()
                    .get(name)
                    .map_or("", |value: &HeaderValue| value.to_str().unwrap())
            };
            seen.lock().push((
                peer.port(),
                header("user-agent").to_owned(),
                header("x-scope-orgid").to_owned(),
            ));
            text(204, "")
        }
    });
    let (_server, url) = server(answer).await;
    let client =
        client(|settings| settings.headers = [("X-Scope-OrgID", "a")].into_iter().collect());
    for tenant in [None, Some("b")] {
        let mut headers = HeaderMap::new();
        if let Some(tenant) = tenant {
            headers.insert("x-scope-orgid", HeaderValue::from_static(tenant));
        }
        let response = client.post(&url, headers, "x").await.unwrap();
        assert!(response.is_success());
    }
    let seen = ports.lock();
    assert_eq!(seen[0].0, seen[1].0, "one connection");
    assert_eq!(seen[0].1, crate::USER_AGENT);
    assert_eq!((seen[0].2.as_str(), seen[1].2.as_str()), ("a", "b"));
}

#[tokio::test]
async fn answers_are_cut_off_at_the_cap() {
    let (_server, url) = server(handler(async |_| text(200, vec![b'x'; 2 * MAX_RESPONSE]))).await;
    let response = client(|_| {})
        .post(&url, HeaderMap::new(), "x")
        .await
        .unwrap();
    assert_eq!(response.body.len(), MAX_RESPONSE);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let response = |value: &str| Response {
        status: 429,
        headers: [(header::RETRY_AFTER, HeaderValue::from_str(value).unwrap())]
            .into_iter()
            .collect(),
        body: Bytes::new(),
    };
    assert_eq!(response("7").retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(
        response("Fri, 31 Dec 1999 23:59:59 GMT").retry_after(),
        Some(Duration::ZERO)
    );
    let soon = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(60));
    assert!(response(&soon).retry_after().unwrap() > Duration::from_secs(50));
    assert_eq!(response("soon").retry_after(), None);
}

#[test]
fn settings_that_no_client_can_be_made_of_are_named() {
    let made = |change: fn(&mut settings::HttpClient)| {
        let mut settings = settings::HttpClient::default();
        change(&mut settings);
        HttpClient::new(&cx(), &settings).unwrap_err().to_string()
    };
    assert!(
        made(|s| s.tls.ca_pem = Some("nonsense".into()))
            .starts_with("tls: ca_pem: expected a certificate in PEM format")
    );
    assert!(made(|s| s.tls.cert_pem = Some("x".into())).contains("key_file is required"));
    assert!(
        made(|s| s.tls.cipher_suites = vec!["RC4".into()])
            .starts_with("tls: unknown cipher suite \"RC4\" (known: TLS")
    );
    assert!(
        made(|s| s.tls.curve_preferences = vec!["P1".into()]).contains("known: X25519, P256, P384")
    );
    assert!(
        made(|s| s.headers = [("a b", "c")].into_iter().collect()).starts_with("headers: 'a b'")
    );
}

#[tokio::test]
async fn a_proxy_is_told_the_whole_url_and_asked_for_a_tunnel() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://me:secret@{}", socket.local_addr().unwrap());
    let client = client(|settings| settings.proxy_url = proxy);
    let answer = async |answer: &str| {
        let (mut stream, _) = socket.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let read = stream.read(&mut request).await.unwrap();
        request.truncate(read);
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap().to_ascii_lowercase()
    };
    let url = "http://loki.example:3100/push".parse().unwrap();
    let (response, request) = tokio::join!(
        client.post(&url, HeaderMap::new(), "x"),
        answer("HTTP/1.1 204 No Content\r\n\r\n")
    );
    assert_eq!(response.unwrap().status, 204);
    assert!(
        request.starts_with("post http://loki.example:3100/push http/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("\r\nproxy-authorization: basic bwu6c2vjcmv0\r\n"),
        "{request}"
    );

    let url = "https://loki.example/push".parse().unwrap();
    let (response, request) = tokio::join!(
        client.post(&url, HeaderMap::new(), "x"),
        answer("HTTP/1.1 403 Forbidden\r\n\r\n")
    );
    assert_eq!(
        response.unwrap_err().to_string(),
        "https://loki.example/push: the proxy gives no tunnel to loki.example:443: HTTP/1.1 403 Forbidden"
    );
    assert!(
        request.starts_with("connect loki.example:443 http/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("proxy-authorization: basic"), "{request}");

    let settings = settings::HttpClient {
        proxy_url: "socks5://x:1".to_owned(),
        ..Default::default()
    };
    let error = HttpClient::new(&cx(), &settings).unwrap_err().to_string();
    assert!(
        error.starts_with("proxy_url: expected http://host:port"),
        "{error}"
    );
}

/// A configuration can be checked on a machine that does not have the files.
#[tokio::test]
async fn certificates_are_read_at_start_or_when_they_are_needed() {
    let mut settings = settings::HttpClient::default();
    settings.tls.ca_file = Some("/no/such/ca.pem".into());
    let client = HttpClient::new(&cx(), &settings).unwrap();
    let error = client.read_certificates().unwrap_err().to_string();
    assert!(error.starts_with("tls: /no/such/ca.pem: "), "{error}");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let answer = client
        .post(&url.parse().unwrap(), HeaderMap::new(), "x")
        .await;
    let error = answer.unwrap_err().to_string();
    assert!(
        error.contains(": no TLS connection: /no/such/ca.pem: "),
        "{error}"
    );
}

#[tokio::test]
async fn a_tunnel_carries_tls() {
    let made = rcgen::generate_simple_self_signed(["loki.example".to_owned()]).unwrap();
    let mut settings = HttpServer::at("localhost", 0);
    settings.tls = corten_config::types::Optional::On(settings::TlsServer {
        cert_pem: Some(made.cert.pem().as_str().into()),
        key_pem: Some(made.signing_key.serialize_pem().as_str().into()),
        ..Default::default()
    });
    let listener = Listeners::new()
        .listen("test".into(), Listen::from(&settings))
        .unwrap();
    listener
        .route(&[], "/push", handler(async |_| text(200, "through")))
        .unwrap();
    listener.start().await.unwrap();
    let target = listener.local_addr().unwrap();
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(|settings| {
        settings.proxy_url = format!("http://{}", socket.local_addr().unwrap());
        settings.tls.ca_pem = Some(made.cert.pem().as_str().into());
    });
    let proxy = async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut near, _) = socket.accept().await.unwrap();
        let mut request = [0; 4096];
        assert!(near.read(&mut request).await.unwrap() > 0);
        let mut far = tokio::net::TcpStream::connect(target).await.unwrap();
        near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            .await
            .unwrap();
        tokio::io::copy_bidirectional(&mut near, &mut far)
            .await
            .unwrap();
    };
    let url = "https://loki.example/push".parse().unwrap();
    tokio::select! {
        response = client.post(&url, HeaderMap::new(), "x") => assert_eq!(response.unwrap().body, "through"),
        () = proxy => panic!("the proxy's connection ended"),
    }
}
