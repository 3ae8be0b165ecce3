use std::sync::Arc;

use corten_testing::eventually;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::server::{Answer, QUICK, Server, exporter, exporter_for, queued, spans};

#[tokio::test]
async fn conforms() {
    corten_testing::conforms(
        corten_otlp_grpc_exporter::factory(),
        "endpoint: localhost:4317\ntls: {insecure: true}",
    )
    .await;
}

#[tokio::test]
async fn segments_go_out_as_they_came_in() {
    for compression in ["none", "gzip", "zstd", "snappy"] {
        let server = Server::start([]).await;
        let yaml = format!("compression: {compression}\nheaders: {{X-Scope-OrgID: tenant}}");
        let exporter = exporter_for(&server, &yaml);
        let mut batch = spans(&["a", "b"]);
        batch.data.append(spans(&["c"]).data).unwrap();
        exporter.consume(batch.clone()).await.unwrap();
        let calls = server.calls();
        let call = &calls[0];
        assert_eq!(
            call.path,
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        );
        assert_eq!(call.names(), ["a", "b", "c"]);
        assert_eq!(call.headers["x-scope-orgid"], "tenant");
        assert_eq!(call.headers["content-type"], "application/grpc");
        assert!(
            call.headers["user-agent"]
                .to_str()
                .unwrap()
                .starts_with("corten/")
        );
        let encoding = call
            .headers
            .get("grpc-encoding")
            .map(|name| name.to_str().unwrap());
        if compression == "none" {
            assert_eq!(encoding, None);
            assert_eq!(call.body[5..], batch.data.to_bytes());
        } else {
            assert_eq!(encoding, Some(compression));
        }
    }
}

#[tokio::test]
async fn every_signal_has_its_service() {
    let server = Server::start([]).await;
    let exporter = exporter_for(&server, "compression: none");
    // An empty resource is the same bytes in every signal.
    for signal in corten_component::Signal::ALL {
        let data = corten_pdata::Data::parse(signal, vec![0x0a, 0].into()).unwrap();
        exporter
            .consume(corten_component::Batch::new(data))
            .await
            .unwrap();
    }
    let paths: Vec<String> = server.calls().into_iter().map(|call| call.path).collect();
    assert_eq!(
        paths,
        [
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        ]
    );
}

#[tokio::test]
async fn large_batches_are_cut_before_they_are_sent() {
    let server = Server::start([]).await;
    let exporter = exporter_for(&server, "compression: none\nmax_request_bytes: 200");
    let names: Vec<String> = (0..40).map(|number| format!("span {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    exporter.consume(spans(&names)).await.unwrap();
    let calls = server.calls();
    assert!(calls.len() > 5 && calls.iter().all(|call| call.body.len() <= 205));
    assert_eq!(
        calls
            .iter()
            .flat_map(|call| call.names())
            .collect::<Vec<_>>(),
        names
    );
}

#[tokio::test]
async fn with_a_queue_the_answer_does_not_wait() {
    let server = Server::start([Answer::code(corten_component::GrpcCode::Unavailable)]).await;
    let exporter = queued(&format!("endpoint: http://{}", server.address));
    Arc::clone(&exporter).start().await.unwrap();
    exporter.consume(spans(&["a"])).await.unwrap();
    eventually("delivered", QUICK, || async {
        (server.calls().len() == 2).then_some(())
    })
    .await;
    exporter.shutdown().await.unwrap();
}

#[tokio::test]
async fn tls_is_verified_with_the_authority_given() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(
        tokio_rustls::rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![made.cert.der().clone()], key)
    .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let server = Server::start_on([], Some(TlsAcceptor::from(Arc::new(config)))).await;

    let port = server.address.port();
    let trusting = format!(
        "endpoint: localhost:{port}\ntls: {{ca_file: {}}}",
        ca_file.display()
    );
    exporter(&trusting).consume(spans(&["a"])).await.unwrap();
    assert_eq!(server.calls().len(), 1);

    let doubting = exporter(&format!("endpoint: localhost:{port}"));
    let waiting = doubting.consume(spans(&["b"]).replayable());
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(300), waiting)
            .await
            .is_err()
    );
    assert_eq!(server.calls().len(), 1);
    doubting.shutdown().await.unwrap();
}
