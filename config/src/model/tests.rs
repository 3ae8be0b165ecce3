//! The top level: what is understood, and the messages.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::resolve::Sources;

fn read(yaml: &str) -> (Model, Problems) {
    let mut problems = Problems::new();
    let document = Sources::new()
        .text("c.yaml", yaml)
        .resolve(&BTreeMap::new(), &mut problems);
    (document.model(&mut problems), problems)
}

fn bad(yaml: &str, want: &Expect) {
    want.assert_eq(&read(yaml).1.to_string());
}

const GOOD: &str = "
receivers:
  otlp:
    protocols: {grpc: }
  otlp/edge:
processors:
  batch:
exporters:
  debug:
connectors:
  forward:
extensions:
  admin: {endpoint: 'localhost:1'}
service:
  extensions: [admin]
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [forward]}
    traces/out: {receivers: [forward, otlp/edge], exporters: [debug]}
  telemetry:
    logs: {level: debug}
";

#[test]
fn reads_components_and_pipelines_in_order() {
    let (model, problems) = read(GOOD);
    assert!(problems.is_empty(), "{problems}");
    let ids: Vec<String> = model
        .receivers
        .iter()
        .map(|component| component.id.to_string())
        .collect();
    assert_eq!(ids, ["otlp", "otlp/edge"]);
    let otlp = model.receivers.get(&"otlp".parse().unwrap()).unwrap();
    assert_eq!(otlp.section.path(), "receivers::otlp");
    assert_eq!(otlp.span.to_string(), "c.yaml:3:3");
    assert!(otlp.section.node().get("protocols").is_some());
    let [first, second] = model.service.pipelines.as_slice() else {
        panic!("two pipelines")
    };
    assert_eq!(
        (
            first.id.to_string().as_str(),
            second.id.to_string().as_str()
        ),
        ("traces", "traces/out")
    );
    assert_eq!(
        (second.id.signal(), second.id.name()),
        (Signal::Traces, "out")
    );
    assert_eq!(
        second
            .receivers
            .iter()
            .map(|r| r.id.to_string())
            .collect::<Vec<_>>(),
        ["forward", "otlp/edge"]
    );
    assert_eq!(second.exporters[0].span.to_string(), "c.yaml:18:63");
    assert_eq!(model.service.telemetry.logs.level, LogLevel::Debug);
    assert_eq!(model.service.extensions.len(), 1);
}

#[test]
fn an_empty_file_lacks_everything() {
    bad(
        "",
        &expect![[r#"
            c.yaml:1:1: no receiver configuration specified in config
            c.yaml:1:1: no exporter configuration specified in config
            c.yaml:1:1: service::pipelines: service must have at least one pipeline"#]],
    );
}

#[test]
fn sections_and_ids() {
    bad(
        &GOOD
            .replace("processors:\n", "procesors:\n")
            .replace("extensions:\n  admin", "extension:\n  admin"),
        &expect![[r#"
            c.yaml:6:1: unknown section 'procesors', did you mean 'processors'?
            c.yaml:12:1: unknown section 'extension', did you mean 'extensions'?
            c.yaml:15:16: service::extensions: references extension "admin" which is not configured
            c.yaml:17:46: service::pipelines::traces: references processor "batch" which is not configured"#]],
    );
    bad(
        &GOOD
            .replace("otlp/edge:", "otlp/:\n  1x:\n  ' otlp':")
            .replace("  debug:", "  de-bug:"),
        &expect![[r#"
            c.yaml:5:3: receivers: in "otlp/" id: the part after / should not be empty
            c.yaml:6:3: receivers: in "1x" id: invalid character(s) in type "1x"
            c.yaml:7:3: receivers: duplicate name "otlp"
            c.yaml:11:3: exporters: in "de-bug" id: invalid character(s) in type "de-bug"
            c.yaml:20:39: service::pipelines::traces/out: references receiver "otlp/edge" which is not configured
            c.yaml:20:63: service::pipelines::traces/out: references exporter "debug" which is not configured"#]],
    );
    bad(
        "receivers: [otlp]\nexporters: debug\nservice: 5\nx:\n",
        &expect![[r#"
        c.yaml:1:12: receivers: expected a map of receivers by their ids, found a list
        c.yaml:2:12: exporters: expected a map of exporters by their ids, found 'debug'
        c.yaml:3:10: service: expected a section (a map of settings), found the number 5
        c.yaml:4:1: unknown section 'x' (valid: receivers, processors, exporters, connectors, extensions, service)"#]],
    );
}

#[test]
fn references() {
    bad(
        &GOOD
            .replace("[batch]", "[batchl, batch, batch]")
            .replace("[otlp]", "[oltp]")
            .replace("[admin]", "[adminn, admin, admin]"),
        &expect![[r#"
            c.yaml:3:3: warning: receivers::otlp: configured but not used in any pipeline
            c.yaml:15:16: service::extensions: references extension "adminn" which is not configured, did you mean 'admin'?
            c.yaml:15:31: service::extensions: references extension "admin" multiple times
            c.yaml:17:26: service::pipelines::traces: references receiver "oltp" which is not configured, did you mean 'otlp'?
            c.yaml:17:46: service::pipelines::traces: references processor "batchl" which is not configured, did you mean 'batch'?
            c.yaml:17:61: service::pipelines::traces: references processor "batch" multiple times"#]],
    );
    bad(
        &GOOD
            .replace("exporters: [debug]", "exporters: []")
            .replace("receivers: [otlp], ", ""),
        &expect![[r#"
        c.yaml:3:3: warning: receivers::otlp: configured but not used in any pipeline
        c.yaml:9:3: warning: exporters::debug: configured but not used in any pipeline
        c.yaml:17:5: service::pipelines::traces: must have at least one receiver
        c.yaml:18:5: service::pipelines::traces/out: must have at least one exporter"#]],
    );
    bad(
        &GOOD.replace("exporters: [debug]", "exporters: [5, [a], a-b]"),
        &expect![[r#"
        c.yaml:9:3: warning: exporters::debug: configured but not used in any pipeline
        c.yaml:18:63: service::pipelines::traces/out::exporters[0]: expected a component's id such as otlp, found the number 5
        c.yaml:18:66: service::pipelines::traces/out::exporters[1]: expected a component's id such as otlp, found a list
        c.yaml:18:71: service::pipelines::traces/out::exporters[2]: in "a-b" id: invalid character(s) in type "a-b""#]],
    );
    bad(
        &GOOD.replace("exporters: [debug]", "exporter: [debug]"),
        &expect![[r#"
        c.yaml:9:3: warning: exporters::debug: configured but not used in any pipeline
        c.yaml:18:51: service::pipelines::traces/out: unknown field 'exporter', did you mean 'exporters'?"#]],
    );
    bad(
        &GOOD.replace(
            "connectors:\n  forward:",
            "connectors:\n  forward:\n  debug:",
        ),
        &expect![[
            r#"c.yaml:12:3: connectors::debug: ambiguous ID: Found both "debug" exporter and "debug" connector. Change one of the components' IDs to eliminate ambiguity (e.g. rename "debug" connector to "debug/connector")"#
        ]],
    );
}

#[test]
fn pipelines() {
    bad(
        &GOOD.replace("traces/out:", "tracez/out:"),
        &expect![[r#"
        c.yaml:5:3: warning: receivers::otlp/edge: configured but not used in any pipeline
        c.yaml:9:3: warning: exporters::debug: configured but not used in any pipeline
        c.yaml:18:5: service::pipelines: unknown signal 'tracez' (valid: traces, metrics, logs), did you mean 'traces'?"#]],
    );
    bad(
        &GOOD.replace("traces/out:", "profiles:"),
        &expect![[r#"
        c.yaml:5:3: warning: receivers::otlp/edge: configured but not used in any pipeline
        c.yaml:9:3: warning: exporters::debug: configured but not used in any pipeline
        c.yaml:18:5: service::pipelines: pipeline "profiles": profiling signal support is at alpha level, and not there yet"#]],
    );
    bad(
        &GOOD.replace("traces/out:", "'traces ':"),
        &expect![[r#"
        c.yaml:5:3: warning: receivers::otlp/edge: configured but not used in any pipeline
        c.yaml:9:3: warning: exporters::debug: configured but not used in any pipeline
        c.yaml:18:5: service::pipelines: duplicate name "traces""#]],
    );
    bad(
        "{receivers: {a: }, exporters: {b: }, service: {pipelines: [traces]}}",
        &expect![[r#"
        c.yaml:1:14: warning: receivers::a: configured but not used in any pipeline
        c.yaml:1:32: warning: exporters::b: configured but not used in any pipeline
        c.yaml:1:59: service::pipelines: expected a map of pipelines by their ids, found a list"#]],
    );
    bad(
        "{receivers: {a: }, exporters: {b: }, service: {pipelines: {}}}",
        &expect![[r#"
        c.yaml:1:14: warning: receivers::a: configured but not used in any pipeline
        c.yaml:1:32: warning: exporters::b: configured but not used in any pipeline
        c.yaml:1:38: service::pipelines: service must have at least one pipeline"#]],
    );
    bad(
        "{receivers: {a: }, exporters: {b: }, service: {pipelnes: {}, telemetry: {log: {}}}}",
        &expect![[r#"
        c.yaml:1:14: warning: receivers::a: configured but not used in any pipeline
        c.yaml:1:32: warning: exporters::b: configured but not used in any pipeline
        c.yaml:1:38: service::pipelines: service must have at least one pipeline
        c.yaml:1:48: service: unknown field 'pipelnes', did you mean 'pipelines'?
        c.yaml:1:74: service::telemetry: unknown field 'log', did you mean 'logs'?"#]],
    );
}

#[test]
fn telemetry() {
    let with = |telemetry: &str| GOOD.replace("logs: {level: debug}", telemetry);
    let (model, problems) = read(&with(
        "logs: {level: INFO, encoding: json, initial_fields: {a: 1}}\n    metrics:\n      level: detailed\n      readers:\n        - pull: {exporter: {prometheus: {host: 0.0.0.0, port: 8888}}}\n        - periodic: {interval: 1000, exporter: {otlp: {protocol: grpc, endpoint: 'http://x:4317', headers: [{name: a, value: b}]}}}\n    traces: {processors: [{batch: {exporter: {otlp: {endpoint: 'http://x:4318'}}}}]}\n    resource: {service.name: edge, host.name: }",
    ));
    assert_eq!(
        problems.to_string(),
        "c.yaml:20:57: warning: service::telemetry::logs: 'initial_fields' has no effect"
    );
    let telemetry = model.service.telemetry;
    assert_eq!(telemetry.metrics.effective_readers().len(), 2);
    assert_eq!(telemetry.resource.attributes.get("host.name"), Some(&None));
    assert_eq!(
        telemetry.resource.attributes.get("service.name"),
        Some(&Some("edge".to_owned()))
    );
    let (model, problems) = read(&with(
        "resource: {attributes: [{name: a, value: 5}], schema_url: x, detection/development: {}}",
    ));
    assert!(problems.is_empty(), "{problems}");
    assert_eq!(
        model.service.telemetry.resource.attributes.get("a"),
        Some(&Some("5".to_owned()))
    );
    assert!(Telemetry::default().metrics.effective_readers().is_empty());
    let url = |endpoint: &str, insecure| {
        let endpoint = endpoint.to_owned();
        let otlp = OtlpExporter {
            endpoint,
            insecure,
            ..OtlpExporter::default()
        };
        otlp.url("/v1/traces")
    };
    assert_eq!(url("x:1", true), "http://x:1/v1/traces");
    assert_eq!(url("x:1/", false), "https://x:1/v1/traces");
    assert_eq!(url("http://x:1/in", false), "http://x:1/in");

    bad(
        &with(
            "traces: {processors: [{simple: {exporter: {otlp: {protocol: grpc, endpoint: 'x:4317'}}}}]}",
        ),
        &expect![
            "c.yaml:20:81: service::telemetry::traces::processors[0]::simple::exporter::otlp: own telemetry is sent over gRPC in the clear only: write 'http://…' or 'insecure: true', or for TLS 'protocol: http/protobuf'"
        ],
    );
    bad(
        &with("metrics: {address: 'localhost:9'}"),
        &expect![
            "c.yaml:20:24: warning: service::telemetry::metrics: 'address' is deprecated; use 'readers' instead"
        ],
    );
    bad(
        &with(
            "logs: {level: loud, processors: [{}]}\n    metrics: {readers: [], levl: none}\n    traces: {processors: [{batch: {exporter: {otlp: {compression: lz4}}}}]}",
        ),
        &expect![[r#"
            c.yaml:20:19: service::telemetry::logs::level: unknown value 'loud' (valid: debug, info, warn, warning, dpanic, error, fatal, panic)
            c.yaml:20:37: warning: service::telemetry::logs: 'processors' has no effect: own logs are written to 'output_paths' only
            c.yaml:20:38: service::telemetry::logs::processors[0]: expected either 'batch' or 'simple'
            c.yaml:21:24: service::telemetry::metrics: collector telemetry metrics reader should exist when metric level is not none
            c.yaml:21:28: service::telemetry::metrics: unknown field 'levl', did you mean 'level'?
            c.yaml:22:53: service::telemetry::traces::processors[0]::batch::exporter::otlp: endpoint is required
            c.yaml:22:67: service::telemetry::traces::processors[0]::batch::exporter::otlp: compression must be gzip or none"#]],
    );
    bad(
        &with("metrics: {readers: [{}, {pull: {}}, {periodic: {interval: 0}}]}"),
        &expect![[r#"
            c.yaml:20:25: service::telemetry::metrics::readers[0]: expected either 'pull' or 'periodic'
            c.yaml:20:36: service::telemetry::metrics::readers[1]::pull: expected 'exporter: {prometheus: …}'
            c.yaml:20:41: warning: service::telemetry::metrics::readers[2]: has no effect: own metrics are sent to an 'exporter: {otlp: …}' only
            c.yaml:20:63: service::telemetry::metrics::readers[2]::periodic: interval must be positive"#]],
    );
}

#[test]
fn what_nothing_uses_is_warned_about() {
    let unused = GOOD
        .replace("  debug:", "  debug:\n  file:")
        .replace("extensions: [admin]", "extensions: []");
    bad(
        &unused,
        &expect![[r#"
            c.yaml:10:3: warning: exporters::file: configured but not used in any pipeline
            c.yaml:14:3: warning: extensions::admin: configured but not listed in service::extensions"#]],
    );
    assert!(!read(&unused).1.has_errors());
}

proptest! {
    #[test]
    fn every_file_is_read_or_refused(parts in prop::collection::vec(prop_oneof![
        Just("receivers:\n"), Just("  a:\n"), Just("service:\n"), Just("  pipelines:\n"), Just("    traces:\n"), Just("      receivers: [a]\n"),
        Just("      exporters: [b, c/d]\n"), Just("exporters: {b: }\n"), Just("  extensions: [x]\n"), Just("  telemetry: {logs: 5}\n"), Just("connectors: {a: {}}\n"),
        Just("    metrics/x: ~\n"), Just("    []\n"), Just("  - a\n"),
    ], 0..14)) {
        let (_, problems) = read(&parts.concat());
        prop_assert!(problems.iter().all(|problem| problem.span.is_some()));
    }
}
