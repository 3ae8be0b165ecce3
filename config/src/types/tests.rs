//! The types in a section: what is accepted, and the messages.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::*;
use crate::section::{Check, from_str};

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
struct Config {
    timeout: Duration,
    size: ByteSize,
    password: Option<Secret>,
    headers: BTreeMap<String, Secret>,
    listen: Option<Endpoint>,
    storage: Option<ComponentId>,
    pattern: Option<Regex>,
    paths: OneOrMany<String>,
    grpc: Optional<Inner>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
struct Inner {
    port: u16,
}

impl Default for Inner {
    fn default() -> Self {
        Self { port: 4317 }
    }
}

impl Check for Config {}

fn good(yaml: &str) -> Config {
    from_str(yaml).unwrap_or_else(|problems| panic!("{problems}"))
}

fn bad(yaml: &str, want: &Expect) {
    want.assert_eq(&from_str::<Config>(yaml).unwrap_err().to_string());
}

#[test]
fn accepts_what_is_meant() {
    assert_eq!(good("timeout: 0").timeout, Duration::ZERO);
    assert_eq!(good("timeout: 1m30s").timeout, Duration::from_secs(90));
    assert_eq!(good("size: 1MiB").size, ByteSize::mib(1));
    assert_eq!(good("size: 4096").size, ByteSize::kib(4));
    assert_eq!(good("paths: a,b").paths.0, ["a,b"]);
    assert_eq!(good("paths: [a, b]").paths.0, ["a", "b"]);
    assert!(good("pattern: '^a+$'").pattern.unwrap().is_match("aaa"));
    assert_eq!(
        good("password: '${env:P:-0123}'")
            .password
            .unwrap()
            .expose(),
        "0123"
    );
}

#[test]
fn a_section_is_on_when_it_is_written() {
    assert_eq!(good("{}").grpc, Optional::Off);
    assert_eq!(good("grpc:").grpc, Optional::On(Inner::default()));
    assert_eq!(good("grpc: {}").grpc, Optional::On(Inner::default()));
    assert_eq!(
        good("grpc: {enabled: true, port: 1}").grpc,
        Optional::On(Inner { port: 1 })
    );
    assert_eq!(good("grpc: {enabled: false, port: 1}").grpc, Optional::Off);
    for config in [good("{}"), good("grpc:")] {
        let written = serde_json::to_string(&config).unwrap();
        assert_eq!(good(&written), config);
    }
    bad(
        "grpc: {enabled: false, prot: 1}",
        &expect!["config:1:24: grpc: unknown field 'prot', did you mean 'port'?"],
    );
    bad(
        "grpc: {enabled: no}",
        &expect!["config:1:17: grpc::enabled: expected true or false, found 'no'"],
    );
    bad(
        "grpc: 5",
        &expect!["config:1:7: grpc: expected a section (a map of settings), found the number 5"],
    );
}

#[test]
fn messages() {
    bad(
        "timeout: abc",
        &expect![
            "config:1:10: timeout: expected a duration such as 5s, 1m30s or 200ms, found 'abc'"
        ],
    );
    bad(
        "timeout: 5",
        &expect![
            "config:1:10: timeout: expected a duration such as 5s, 1m30s or 200ms, found the number 5 without a unit; write 5s for seconds"
        ],
    );
    bad(
        "timeout: -5s",
        &expect![
            "config:1:10: timeout: expected a duration such as 5s, 1m30s or 200ms, found '-5s'"
        ],
    );
    bad(
        "size: 1XB",
        &expect![
            "config:1:7: size: expected a size such as 16KiB, 1MiB or a number of bytes, found '1XB'"
        ],
    );
    bad(
        "size: -1",
        &expect![
            "config:1:7: size: expected a size such as 16KiB, 1MiB or a number of bytes, found the number -1"
        ],
    );
    bad(
        "password: 12345",
        &expect!["config:1:11: password: expected a string; write it in quotes"],
    );
    bad(
        "headers: {a: 12345}",
        &expect!["config:1:14: headers::a: expected a string; write it in quotes"],
    );
    bad(
        "listen: http://x:1",
        &expect![
            "config:1:9: listen: expected host:port without a scheme or a path, found 'http://x:1'"
        ],
    );
    bad(
        "listen: localhost",
        &expect![
            "config:1:9: listen: expected host:port such as localhost:4317, found 'localhost'"
        ],
    );
    bad(
        "storage: a-b",
        &expect![[r#"config:1:10: storage: in "a-b" id: invalid character(s) in type "a-b""#]],
    );
    bad(
        "pattern: '(a'",
        &expect!["config:1:10: pattern: expected a regular expression, found '(a': unclosed group"],
    );
    bad(
        "paths: [5]",
        &expect![[
            r#"config:1:9: paths[0]: expected a string, found the number 5; write it in quotes: "5""#
        ]],
    );
}

#[test]
fn secrets_are_never_shown() {
    let config = good("{password: hunter2, headers: {Authorization: hunter2}}");
    let shown = format!(
        "{config:?} {} {}",
        serde_json::to_string(&config).unwrap(),
        config.password.as_ref().unwrap()
    );
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(shown.matches("[REDACTED]").count(), 5);
}

#[test]
fn schemas_know_the_types() {
    let schema = serde_json::to_value(schemars::schema_for!(Config)).unwrap();
    let property = |pointer: &str| schema.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(property("/properties/timeout/format"), "duration");
    assert_eq!(
        property("/$defs/Optional_Inner/properties/enabled/type"),
        "boolean"
    );
}
