use std::sync::Arc;
use std::time::Duration;

use corten_component::{BoxError, Component, Context, Denied, Kind, ServerAuth, Services, Status};
use corten_testing::{Answer, RecordingSink, conforms};
use prost::Message;

use super::Running;
use super::setup::traces;
use crate::config::Config;
use crate::receiver::Otlp;

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

#[tokio::test]
async fn it_keeps_the_contract() {
    conforms(
        crate::factory(),
        "protocols: {grpc: {endpoint: 'localhost:0'}, http: {endpoint: 'localhost:0'}}",
    )
    .await;
}

#[tokio::test]
async fn shutdown_answers_what_is_under_way_and_lets_nothing_new_in() {
    let sink = RecordingSink::scripted([Answer::After(Duration::from_millis(300))]);
    let running = Running::start("", "", sink, None).await;
    let at = running.http();
    let (answer, ()) = tokio::join!(
        running.post("/v1/traces", &[PROTOBUF], traces(1).encode_to_vec()),
        async {
            let offered = || async { (running.sink.offered() == 1).then_some(()) };
            corten_testing::eventually(
                "the request is under way",
                Duration::from_secs(10),
                offered,
            )
            .await;
            running.receiver.shutdown().await.unwrap();
        }
    );
    assert_eq!(answer.status, 200);
    assert_eq!(running.sink.items(), 1);
    assert!(tokio::net::TcpStream::connect(at).await.is_err());
}

#[tokio::test]
async fn requests_beyond_the_room_are_shed_before_they_are_read() {
    let sink = RecordingSink::scripted([Answer::Hang]);
    let config: Config = corten_config::from_str(
        "{protocols: {http: {endpoint: 'localhost:0'}, grpc: {endpoint: 'localhost:0'}}, max_in_flight_size: 10000}",
    )
    .unwrap();
    let cx = Context::detached(Kind::Receiver, "otlp".parse().unwrap());
    let receiver = Arc::new(Otlp::create(cx.clone(), config, sink.next()).unwrap());
    Arc::clone(&receiver).start().await.unwrap();
    let (grpc, http) = (
        receiver.listeners[0].local_addr().unwrap(),
        receiver.listeners[1].local_addr().unwrap(),
    );
    let client = corten_net::client::HttpClient::new(&cx, &Default::default()).unwrap();
    let url = format!("http://{http}/v1/traces").parse().unwrap();
    let headers: http::HeaderMap = [(
        http::header::CONTENT_TYPE,
        "application/x-protobuf".parse().unwrap(),
    )]
    .into_iter()
    .collect();
    let body = bytes::Bytes::from(traces(80).encode_to_vec());
    assert!((5001..10_000).contains(&body.len()), "{}", body.len());

    let held = client.post(&url, headers.clone(), body.clone());
    tokio::pin!(held);
    let offered = async {
        corten_testing::eventually("held", Duration::from_secs(10), || async {
            (sink.offered() == 1).then_some(())
        })
        .await
    };
    tokio::select! { _ = &mut held => panic!("answered"), () = offered => {} }

    let shed = client.post(&url, headers, body.clone()).await.unwrap();
    assert_eq!(
        (shed.status, &shed.headers["retry-after"]),
        (429, &"1".parse().unwrap())
    );
    let settings = corten_config::settings::GrpcClient {
        endpoint: format!("http://{grpc}"),
        ..Default::default()
    };
    let client = corten_net::grpc::GrpcClient::new(&cx, &settings).unwrap();
    let message = corten_net::grpc::Message {
        parts: vec![body],
        encoding: None,
    };
    let path =
        http::uri::PathAndQuery::from_static(crate::grpc::path(corten_component::Signal::Traces));
    let status = client.unary(&path, message).await.unwrap_err().status();
    assert_eq!(status.code, corten_component::GrpcCode::ResourceExhausted);
    assert_eq!(status.retry_after, Some(Duration::from_secs(1)));
    assert_eq!(sink.offered(), 1);
}

fn create(services: &Services, id: &str, yaml: &str) -> Result<Arc<Otlp>, BoxError> {
    let cx = Context::new(
        Kind::Receiver,
        id.parse().unwrap(),
        Default::default(),
        services.clone(),
        &corten_component::Health::new(),
        opentelemetry::metrics::MeterProvider::meter(
            &opentelemetry::metrics::noop::NoopMeterProvider::new(),
            "corten",
        ),
    );
    let config = corten_config::from_str(yaml).unwrap();
    Ok(Arc::new(Otlp::create(
        cx,
        config,
        RecordingSink::new().next(),
    )?))
}

#[tokio::test]
async fn both_protocols_may_share_a_port_and_two_receivers_may_not_share_a_path() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let services = Services::new();
    let yaml = format!("{{protocols: {{grpc: {{endpoint: '{at}'}}, http: {{endpoint: '{at}'}}}}}}");
    let first = create(&services, "otlp", &yaml).unwrap();
    let error = create(&services, "otlp/2", &yaml)
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.starts_with("receivers::otlp/2::protocols::grpc: /opentelemetry.proto.collector."),
        "{error}"
    );
    assert!(
        error.contains("is served by receivers::otlp::protocols::grpc already"),
        "{error}"
    );

    let error = Arc::clone(&first).start().await.unwrap_err().to_string();
    assert!(error.contains("address already in use: another process listens there; change receivers::otlp::protocols::grpc::endpoint"), "{error}");
    drop(taken);
    Arc::clone(&first).start().await.unwrap();
    let cx = Context::detached(Kind::Exporter, "otlp".parse().unwrap());
    let client = corten_net::client::HttpClient::new(&cx, &Default::default()).unwrap();
    let url = format!("http://{at}/v1/logs").parse().unwrap();
    let headers: http::HeaderMap = [(
        http::header::CONTENT_TYPE,
        "application/json".parse().unwrap(),
    )]
    .into_iter()
    .collect();
    assert_eq!(client.post(&url, headers, "{}").await.unwrap().status, 200);
    let settings = corten_config::settings::GrpcClient {
        endpoint: format!("http://{at}"),
        ..Default::default()
    };
    let client = corten_net::grpc::GrpcClient::new(&cx, &settings).unwrap();
    let path =
        http::uri::PathAndQuery::from_static(crate::grpc::path(corten_component::Signal::Logs));
    client.unary(&path, Default::default()).await.unwrap();
    first.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_authenticator_that_is_not_there_is_an_error_before_the_start() {
    let error = create(
        &Services::new(),
        "otlp",
        "{protocols: {grpc: {endpoint: 'localhost:0', auth: {authenticator: basicauth}}}}",
    );
    let error = error.err().unwrap().to_string();
    assert!(
        error.starts_with("extension \"basicauth\" is not running"),
        "{error}"
    );
}

#[tokio::test]
async fn a_sender_that_goes_away_gives_its_room_back() {
    let sink = RecordingSink::scripted([Answer::Hang, Answer::Never(Status::INVALID_ARGUMENT)]);
    let running = Running::start("", "", Arc::clone(&sink), None).await;
    {
        let post = running.post("/v1/traces", &[PROTOBUF], traces(1).encode_to_vec());
        tokio::pin!(post);
        let offered = async {
            corten_testing::eventually("held", Duration::from_secs(10), || async {
                (sink.offered() == 1).then_some(())
            })
            .await
        };
        tokio::select! { _ = &mut post => panic!("answered"), () = offered => {} }
    }
    // Nothing is under way any more, so this does not wait for the one that hangs.
    let stopped = tokio::time::timeout(Duration::from_secs(10), running.receiver.shutdown()).await;
    stopped.unwrap().unwrap();
}

/// Lets in whoever knows the word.
struct Doorman;

impl Component for Doorman {}

impl corten_component::Extension for Doorman {
    fn server_auth(&self) -> Option<&dyn ServerAuth> {
        Some(self)
    }
}

impl ServerAuth for Doorman {
    fn authenticate(&self, headers: &http::HeaderMap) -> Result<(), Denied> {
        match headers.get("authorization") {
            Some(word) if word == "Basic sesame" => Ok(()),
            _ => Err(Denied {
                reason: "who are you?".to_owned(),
                challenge: Some("Basic realm=\"corten\""),
            }),
        }
    }
}

#[tokio::test]
async fn only_those_come_in_whom_the_authenticator_knows() {
    let doorman: Arc<dyn corten_component::Extension> = Arc::new(Doorman);
    let cx = Context::new(
        Kind::Receiver,
        "otlp".parse().unwrap(),
        corten_component::Extensions::new(
            [("basicauth".parse().unwrap(), doorman)]
                .into_iter()
                .collect(),
        ),
        Services::new(),
        &corten_component::Health::new(),
        opentelemetry::metrics::MeterProvider::meter(
            &opentelemetry::metrics::noop::NoopMeterProvider::new(),
            "corten",
        ),
    );
    let one = "endpoint: 'localhost:0', auth: {authenticator: basicauth}";
    let yaml = format!(
        "{{protocols: {{grpc: {{{one}}}, http: {{{one}, cors: {{allowed_origins: ['*']}}}}}}}}"
    );
    let sink = RecordingSink::new();
    let receiver = Arc::new(
        Otlp::create(
            cx.clone(),
            corten_config::from_str(&yaml).unwrap(),
            sink.next(),
        )
        .unwrap(),
    );
    Arc::clone(&receiver).start().await.unwrap();
    let (grpc, http) = (
        receiver.listeners[0].local_addr().unwrap(),
        receiver.listeners[1].local_addr().unwrap(),
    );
    let url = format!("http://{http}/v1/traces").parse().unwrap();
    let body = bytes::Bytes::from(traces(1).encode_to_vec());
    for (headers, status, code) in [
        (
            vec![],
            401,
            Some(corten_component::GrpcCode::Unauthenticated),
        ),
        (vec![("authorization", "Basic sesame")], 200, None),
    ] {
        let client = corten_net::client::HttpClient::new(
            &cx,
            &corten_config::settings::HttpClient {
                headers: headers.clone().into_iter().collect(),
                ..Default::default()
            },
        );
        let sent = [("content-type", "application/x-protobuf")];
        let sent = sent
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .into_iter()
            .collect();
        let answer = client
            .unwrap()
            .post(&url, sent, body.clone())
            .await
            .unwrap();
        assert_eq!(answer.status, status);
        if status == 401 {
            assert_eq!(answer.headers["www-authenticate"], "Basic realm=\"corten\"");
        }
        let settings = corten_config::settings::GrpcClient {
            endpoint: format!("http://{grpc}"),
            headers: headers.into_iter().collect(),
            ..Default::default()
        };
        let client = corten_net::grpc::GrpcClient::new(&cx, &settings).unwrap();
        let message = corten_net::grpc::Message {
            parts: vec![body.clone()],
            encoding: None,
        };
        let path = http::uri::PathAndQuery::from_static(crate::grpc::path(
            corten_component::Signal::Traces,
        ));
        let failed = client
            .unary(&path, message)
            .await
            .err()
            .map(|error| error.status().code);
        assert_eq!(failed, code);
    }
    // A browser's question carries no credentials.
    let client = corten_net::client::HttpClient::new(&cx, &Default::default()).unwrap();
    let question = [
        ("origin", "https://a.com"),
        ("access-control-request-method", "POST"),
    ];
    let question = question
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .into_iter()
        .collect();
    let answer = client
        .send(http::Method::OPTIONS, &url, question, Default::default())
        .await
        .unwrap();
    assert_eq!(
        (
            answer.status,
            &answer.headers["access-control-allow-origin"]
        ),
        (204, &"https://a.com".parse().unwrap())
    );
    assert_eq!(sink.items(), 2);
}
