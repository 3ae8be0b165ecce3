use std::sync::Arc;

use corten_component::{Batch, Signal};
use corten_pdata::Data;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::server::{Server, exporter, exporter_for, spans};

#[tokio::test]
async fn conforms() {
    corten_testing::conforms(
        corten_otlp_http_exporter::factory(),
        "endpoint: http://localhost:4318",
    )
    .await;
}

#[test]
fn endpoints_are_checked() {
    let problems = |yaml: &str| {
        let factory = corten_otlp_http_exporter::factory();
        corten_testing::decode(&factory, yaml)
            .err()
            .unwrap_or_default()
    };
    assert!(problems("{}").contains("at least one endpoint must be specified"));
    assert!(problems("{traces_endpoint: 'x y'}").contains("expected a URL"));
    assert!(problems("{endpoint: 'http://x:1', encoding: jsonn}").contains("did you mean 'json'"));
    assert_eq!(problems("{logs_endpoint: 'http://x:1/y'}"), "");
}

#[tokio::test]
async fn bodies_are_what_was_asked_for() {
    for encoding in ["proto", "json"] {
        for compression in [
            "none",
            "gzip",
            "zstd",
            "snappy",
            "x-snappy-framed",
            "zlib",
            "deflate",
        ] {
            let server = Server::start([]).await;
            let yaml = format!(
                "encoding: {encoding}\ncompression: {compression}\nheaders: {{X-Scope-OrgID: tenant}}"
            );
            let exporter = exporter_for(&server, &yaml);
            let mut batch = spans(&["a", "b"]);
            batch.data.append(spans(&["c"]).data).unwrap();
            exporter.consume(batch.clone()).await.unwrap();
            let calls = server.calls();
            let call = &calls[0];
            assert_eq!(call.names(), ["a", "b", "c"], "{encoding} {compression}");
            assert_eq!(call.path, "/v1/traces");
            assert_eq!(call.headers["x-scope-orgid"], "tenant");
            if encoding == "proto" {
                assert_eq!(call.plain(), batch.data.to_bytes());
            }
            let named = call
                .headers
                .get("content-encoding")
                .map(|name| name.to_str().unwrap());
            assert_eq!(named.unwrap_or("none"), compression);
        }
    }
}

#[tokio::test]
async fn every_signal_has_its_path() {
    let server = Server::start([]).await;
    let address = server.address;
    // An empty resource is the same bytes in every signal.
    let some = |signal| Batch::new(Data::parse(signal, vec![0x0a, 0].into()).unwrap());
    let exporter = exporter(&format!(
        "endpoint: http://{address}/otlp/\nlogs_endpoint: http://{address}/its/own"
    ));
    for signal in Signal::ALL {
        exporter.consume(some(signal)).await.unwrap();
    }
    let paths: Vec<String> = server.calls().into_iter().map(|call| call.path).collect();
    assert_eq!(paths, ["/its/own", "/otlp/v1/metrics", "/otlp/v1/traces"]);
    let only_logs = crate::server::exporter(&format!("logs_endpoint: http://{address}/x"));
    let refused = only_logs.consume(some(Signal::Traces)).await.unwrap_err();
    assert!(
        refused.to_string().contains("no endpoint for traces"),
        "{refused}"
    );
}

#[tokio::test]
async fn tls_is_verified_with_the_authority_given() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(
        tokio_rustls::rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![made.cert.der().clone()], key)
    .unwrap();
    let server = Server::start_on([], Some(TlsAcceptor::from(Arc::new(config)))).await;
    let endpoint = format!("endpoint: https://localhost:{}", server.address.port());

    let trusting = exporter(&format!(
        "{endpoint}\ntls: {{ca_file: {}}}",
        ca_file.display()
    ));
    trusting.consume(spans(&["a"])).await.unwrap();
    assert_eq!(server.calls().len(), 1);

    let doubting = exporter(&endpoint);
    let waiting = doubting.consume(spans(&["b"]).replayable());
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(300), waiting)
            .await
            .is_err()
    );
    assert_eq!(server.calls().len(), 1);
    doubting.shutdown().await.unwrap();
}
