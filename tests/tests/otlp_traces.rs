//! Real applications trace through Corten: every span arrives equal in every field to what the same application sends to
//! the backend directly.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use corten_tests::{
    Agent, Command, OtlpSink, Placed, case, export_traces, free_port, post, python, request_of,
    scrape, wait_for,
};
use opentelemetry::trace::{
    Event, Link, Span as _, SpanContext, SpanKind, Status, TraceContextExt, TraceFlags, TraceState,
    Tracer, TracerProvider,
};
use opentelemetry::{Array, Context, InstrumentationScope, KeyValue, Value};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;

const SOON: Duration = Duration::from_secs(20);

/// Corten between an application and its backends, and a backend that the application speaks with directly.
struct Setup {
    _agent: Agent,
    grpc: u16,
    http: u16,
    direct: OtlpSink,
    behind_grpc: OtlpSink,
    behind_http: OtlpSink,
}

impl Setup {
    fn start() -> Self {
        let (grpc, http) = (free_port(), free_port());
        let (direct, behind_grpc, behind_http) =
            (OtlpSink::start(), OtlpSink::start(), OtlpSink::start_http());
        let agent = Command::new()
            .arg("--config")
            .arg(case("otlp_traces").join("corten.yaml"))
            .env("GRPC_PORT", grpc.to_string())
            .env("HTTP_PORT", http.to_string())
            .env("GRPC_BACKEND", behind_grpc.port().to_string())
            .env("HTTP_BACKEND", behind_http.port().to_string())
            .start();
        Self {
            _agent: agent,
            grpc,
            http,
            direct,
            behind_grpc,
            behind_http,
        }
    }

    /// Waits for `spans` spans everywhere, and compares.
    fn compare(&self, spans: usize) -> Vec<Placed> {
        let sinks = [&self.direct, &self.behind_grpc, &self.behind_http];
        for (sink, name) in sinks.iter().zip(["directly", "over gRPC", "over HTTP"]) {
            let arrived = || sink.placed().len();
            wait_for(&format!("{spans} spans {name}"), SOON, || {
                (arrived() >= spans).then_some(())
            });
            assert_eq!(arrived(), spans, "{name}");
        }
        let [direct, grpc, http] = sinks.map(by_id);
        for (sent, name) in [(grpc, "gRPC"), (http, "HTTP")] {
            for (sent, direct) in sent.iter().zip(&direct) {
                assert_eq!(sent, direct, "over {name}");
            }
        }
        direct
    }
}

fn by_id(sink: &OtlpSink) -> Vec<Placed> {
    let mut placed = sink.placed();
    placed.sort_by(|a, b| a.span.span_id.cmp(&b.span.span_id));
    placed
}

/// What a value is, its own name for itself.
fn kinds<'a>(values: impl Iterator<Item = &'a AnyValue>) -> BTreeSet<&'static str> {
    let kind = |value: &AnyValue| match value {
        AnyValue::StringValue(_) => "string",
        AnyValue::BoolValue(_) => "bool",
        AnyValue::IntValue(_) => "int",
        AnyValue::DoubleValue(_) => "double",
        AnyValue::ArrayValue(_) => "array",
        AnyValue::KvlistValue(_) => "map",
        AnyValue::BytesValue(_) => "bytes",
        other => panic!("{other:?}"),
    };
    values.map(kind).collect()
}

#[test]
fn pythons_spans_are_equal_in_every_field() {
    let setup = Setup::start();
    let output = std::process::Command::new(python())
        .arg(case("otlp_traces").join("app.py"))
        .arg(format!("grpc=127.0.0.1:{}", setup.direct.port()))
        .arg(format!("grpc=127.0.0.1:{}", setup.grpc))
        .arg(format!("http=http://127.0.0.1:{}/v1/traces", setup.http))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let spans = setup.compare(2 * (1 + 5 + 1 + 600));

    // The application really used what it is there for.
    let has = |what: &str, check: &dyn Fn(&Placed) -> bool| {
        assert!(spans.iter().any(check), "no span with {what}")
    };
    has("events", &|placed| placed.span.events.len() == 2);
    has("dropped events", &|placed| {
        placed.span.dropped_events_count == 2
    });
    has("dropped attributes", &|placed| {
        placed.span.dropped_attributes_count == 10
    });
    has("a link", &|placed| {
        placed
            .span
            .links
            .iter()
            .any(|link| !link.attributes.is_empty())
    });
    has("a state", &|placed| {
        placed.span.trace_state.contains("opaque")
    });
    has("a status", &|placed| {
        placed
            .span
            .status
            .as_ref()
            .is_some_and(|status| status.message.contains("世界"))
    });
    has("an exception", &|placed| {
        placed
            .span
            .events
            .iter()
            .any(|event| event.name == "exception")
    });
    has("a parent", &|placed| !placed.span.parent_span_id.is_empty());
    has("a resource of its own", &|placed| {
        placed.resource_schema.ends_with("1.21.0")
    });
    has("a scope with a schema", &|placed| {
        placed.scope_schema.ends_with("1.24.0")
    });
    has("a scope with attributes", &|placed| {
        !placed.scope.as_ref().unwrap().attributes.is_empty()
    });
    let root = spans
        .iter()
        .find(|placed| placed.span.name.starts_with("POST"))
        .unwrap();
    let attributes = root.span.attributes.iter();
    let values = attributes.filter_map(|attribute| attribute.value.as_ref()?.value.as_ref());
    let all = ["array", "bool", "bytes", "double", "int", "map", "string"];
    assert_eq!(kinds(values), BTreeSet::from(all));
    let kinds: BTreeSet<_> = spans.iter().map(|placed| placed.span.kind).collect();
    assert_eq!(kinds.len(), 5, "{kinds:?}");
}

/// The HTTP client of the exporter, without a runtime.
#[derive(Debug)]
struct Blocking;

#[tonic::async_trait]
impl opentelemetry_http::HttpClient for Blocking {
    async fn send_bytes(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, opentelemetry_http::HttpError> {
        let (parts, body) = request.into_parts();
        let headers: Vec<_> = parts
            .headers
            .iter()
            .map(|(name, value)| Ok((name.as_str(), value.to_str()?)))
            .collect::<Result<_, http::header::ToStrError>>()?;
        let reply = post(
            parts.uri.port_u16().unwrap(),
            parts.uri.path(),
            &headers,
            &body,
        )?;
        Ok(http::Response::builder()
            .status(reply.status)
            .body(reply.body.into())?)
    }
}

#[test]
fn rusts_spans_are_equal_in_every_field() {
    let setup = Setup::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let entered = runtime.enter();
    let grpc = |port: u16| {
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(format!("http://127.0.0.1:{port}"));
        exporter.with_timeout(SOON).build().unwrap()
    };
    let over_http = SpanExporter::builder()
        .with_http()
        .with_http_client(Blocking)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("http://127.0.0.1:{}/v1/traces", setup.http))
        .build()
        .unwrap();
    let resource = Resource::builder_empty()
        .with_service_name("rust shop")
        .with_attributes([KeyValue::new(
            "zones",
            Value::Array(Array::String(vec!["a".into(), "b".into()])),
        )])
        .build();
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_simple_exporter(grpc(setup.direct.port()))
        .with_simple_exporter(grpc(setup.grpc))
        .with_simple_exporter(over_http)
        .build();
    drop(entered);
    let scope = InstrumentationScope::builder("rust.library")
        .with_version("0.1.0")
        .with_schema_url("https://opentelemetry.io/schemas/1.30.0")
        .with_attributes([KeyValue::new("scope", true)])
        .build();
    let tracer = provider.tracer_with_scope(scope);
    let state = TraceState::from_key_value([("vendor", "value")]).unwrap();
    let remote = SpanContext::new(
        0x1234_u128.into(),
        0x99_u64.into(),
        TraceFlags::SAMPLED,
        true,
        state,
    );
    let parent = Context::new().with_remote_span_context(remote.clone());
    let begin = SystemTime::UNIX_EPOCH + Duration::new(1_767_607_200, 123_456_789);
    for number in 0..20_i64 {
        let mut span = tracer
            .span_builder(format!("spän {number}"))
            .with_kind(if number % 2 == 0 {
                SpanKind::Client
            } else {
                SpanKind::Server
            })
            .with_start_time(begin)
            .with_attributes([
                KeyValue::new("number", number),
                KeyValue::new("half", number as f64 / 2.0),
                KeyValue::new("even", number % 2 == 0),
                KeyValue::new("list", Value::Array(Array::F64(vec![0.5, -0.0]))),
            ])
            .with_events(vec![Event::new(
                "event",
                begin,
                vec![KeyValue::new("key", "値")],
                1,
            )])
            .with_links(vec![Link::new(
                remote.clone(),
                vec![KeyValue::new("link", "yes")],
                2,
            )])
            .start_with_context(&tracer, &parent);
        span.set_status(if number % 3 == 0 {
            Status::error("broken")
        } else {
            Status::Ok
        });
        span.end_with_timestamp(begin + Duration::from_nanos(42));
    }
    provider.force_flush().unwrap();
    let spans = setup.compare(20);
    for Placed { span, .. } in spans {
        assert_eq!((span.events.len(), span.links.len()), (1, 1), "{span:?}");
        assert_eq!(span.links[0].trace_state, "vendor=value", "{span:?}");
    }
    provider.shutdown().unwrap();
}

fn numbered(number: usize) -> ExportTraceServiceRequest {
    let id = (number as u64 + 1).to_be_bytes();
    let span = Span {
        trace_id: [id, id].concat(),
        span_id: id.to_vec(),
        name: format!("span {number}"),
        start_time_unix_nano: 1_767_607_200_000_000_000,
        end_time_unix_nano: 1_767_607_200_000_000_001,
        ..Span::default()
    };
    request_of(vec![span])
}

/// What was acknowledged while the backend was away is on disk: SIGKILL takes none of it.
#[test]
fn acknowledged_spans_survive_an_outage_and_a_kill() {
    let state = tempfile::tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let mut backend = OtlpSink::start();
    let command = Command::new()
        .arg("--config")
        .arg(case("otlp_traces").join("durable.yaml"))
        .env("GRPC_PORT", port.to_string())
        .env("ADMIN_PORT", admin.to_string())
        .env("GRPC_BACKEND", backend.port().to_string())
        .env("STATE_DIR", state.path());
    let agent = command.start();
    export_traces(port, numbered(0)).unwrap();
    wait_for("the first span", SOON, || {
        (backend.spans().len() == 1).then_some(())
    });

    // The backend goes; applications go on, four at a time, until the agent is killed under them.
    backend.close();
    let acknowledged = std::thread::scope(|scope| {
        let sender = |sender: usize| {
            let mut acknowledged = Vec::new();
            for number in (1 + sender..).step_by(4) {
                if export_traces(port, numbered(number)).is_err() {
                    return acknowledged;
                }
                acknowledged.push(number);
            }
            acknowledged
        };
        let senders: Vec<_> = (0..4)
            .map(|number| scope.spawn(move || sender(number)))
            .collect();
        wait_for("some are taken over", SOON, || {
            (scrape(admin, "/metrics").sum("otelcol_receiver_accepted_spans", &[]) >= 60.0)
                .then_some(())
        });
        agent.kill();
        senders
            .into_iter()
            .flat_map(|sender| sender.join().unwrap())
            .collect::<BTreeSet<_>>()
    });
    assert!(acknowledged.len() >= 55, "{acknowledged:?}");
    assert_eq!(backend.spans().len(), 1, "the backend was away");

    let agent = command.start();
    export_traces(port, numbered(1_000_000)).unwrap();
    backend.open();
    let arrived = || {
        backend
            .spans()
            .into_iter()
            .map(|span| span.name)
            .collect::<BTreeSet<_>>()
    };
    let wanted: BTreeSet<_> = acknowledged
        .iter()
        .chain(&[0, 1_000_000])
        .map(|number| format!("span {number}"))
        .collect();
    wait_for("everything that was acknowledged", SOON, || {
        arrived().is_superset(&wanted).then_some(())
    });
    assert!(agent.stop().success());
    // At most one request per sender was stored and not acknowledged before the kill.
    assert!(
        arrived().len() <= wanted.len() + 4,
        "{:?}",
        arrived().difference(&wanted)
    );
}
