//! What the deserializer accepts, and what it says about the rest.

#![expect(dead_code, reason = "fields are shown by Debug")]

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::expand::expand;
use crate::node::Source;
use crate::parse::parse;
use crate::section::Section;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    name: String,
    port: u16,
    ratio: f64,
    on: bool,
    size: Option<NonZeroU32>,
    list: Vec<String>,
    ports: Vec<u16>,
    labels: BTreeMap<String, String>,
    by_port: HashMap<u16, String>,
    mode: Mode,
    inner: Inner,
    many: Vec<Inner>,
    operators: Vec<Operator>,
    either: Option<Either>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Inner {
    timeout: u32,
    #[serde(alias = "retries")]
    attempts: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Plain,
    Fancy,
    Custom(Inner),
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Operator {
    Container {
        #[serde(default)]
        format: String,
        #[serde(default)]
        max: u16,
    },
    Move {
        from: String,
        to: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Either {
    Number(u16),
    Map { a: u16 },
}

fn tree(yaml: &str) -> Node {
    let mut problems = Problems::new();
    let mut tree = parse(yaml, &Source::new("c.yaml"), &mut problems).unwrap();
    let env = BTreeMap::from([
        ("ZIP".to_owned(), "0123".to_owned()),
        ("EMPTY".to_owned(), String::new()),
    ]);
    expand(&mut tree, &env, &mut problems);
    tree
}

/// The problems of a bad section.
fn bad(yaml: &str, want: &Expect) {
    let mut problems = Problems::new();
    let value: Option<Settings> = Section::new(tree(yaml), "receivers::x").decode(&mut problems);
    assert!(value.is_none(), "{value:?}");
    want.assert_eq(&problems.to_string());
}

fn good<T: DeserializeOwned>(yaml: &str) -> T {
    let mut problems = Problems::new();
    let value = decode(&tree(yaml), "x", &mut problems);
    assert!(problems.is_empty(), "{problems}");
    value.unwrap()
}

#[test]
fn accepts_what_is_meant() {
    let value: Settings = good(
        "{name: a, port: 5.0, ratio: 3, on: true, size: 1_000, mode: fancy, by_port: {80: http}, either: {a: 3}}",
    );
    assert_eq!(
        (value.name.as_str(), value.port, value.ratio, value.on),
        ("a", 5, 3.0, true)
    );
    assert_eq!(value.by_port.get(&80).map(String::as_str), Some("http"));
    let value: Settings = good(
        "{list: 'a,b', many: [{retries: 3}, {}], mode: {custom: {timeout: 1}}, operators: [{type: container}]}",
    );
    assert_eq!(value.list, ["a", "b"]);
    assert_eq!(value.many.len(), 2);
    assert!(matches!(value.mode, Mode::Custom(_)));
    let value: Settings = good("{name: '${env:ZIP}', port: '${env:ZIP}', list: ''}");
    assert_eq!(
        (value.name.as_str(), value.port, value.list.len()),
        ("0123", 83, 0)
    );
    let value: Settings = good(
        "{name: '${env:EMPTY}', port: '${env:EMPTY}', mode: , inner: , many: , labels: ~, size: }",
    );
    assert_eq!((value.name.as_str(), value.port), ("", 0));
}

#[test]
fn unknown_fields() {
    bad(
        "nmae: a",
        &expect![["c.yaml:1:1: receivers::x: unknown field 'nmae', did you mean 'name'?"]],
    );
    bad(
        "inner: {timeuot: 5, zzz: 1}\nmany:\n  - {}\n  - {tries: 2}\n",
        &expect![[r#"
            c.yaml:1:9: receivers::x::inner: unknown field 'timeuot', did you mean 'timeout'?
            c.yaml:1:21: receivers::x::inner: unknown field 'zzz' (valid: timeout, attempts, retries)
            c.yaml:4:6: receivers::x::many[1]: unknown field 'tries', did you mean 'retries'?"#]],
    );
}

#[test]
fn wrong_kinds() {
    bad(
        "name: 5",
        &expect![[
            r#"c.yaml:1:7: receivers::x::name: expected a string, found the number 5; write it in quotes: "5""#
        ]],
    );
    bad(
        "name: [a]",
        &expect!["c.yaml:1:7: receivers::x::name: expected a string, found a list"],
    );
    bad(
        "port: '5'",
        &expect![
            "c.yaml:1:7: receivers::x::port: expected a whole number from 0 to 65535, found '5'; remove the quotes"
        ],
    );
    bad(
        "port: 70000",
        &expect![
            "c.yaml:1:7: receivers::x::port: expected a whole number from 0 to 65535, found the number 70000"
        ],
    );
    bad(
        "port: -1",
        &expect![
            "c.yaml:1:7: receivers::x::port: expected a whole number from 0 to 65535, found the number -1"
        ],
    );
    bad(
        "port: 1.5",
        &expect![
            "c.yaml:1:7: receivers::x::port: expected a whole number from 0 to 65535, found the number 1.5"
        ],
    );
    bad(
        "ratio: much",
        &expect!["c.yaml:1:8: receivers::x::ratio: expected a number, found 'much'"],
    );
    bad(
        "on: yes",
        &expect!["c.yaml:1:5: receivers::x::on: expected true or false, found 'yes'"],
    );
    bad(
        "on: 'true'",
        &expect![
            "c.yaml:1:5: receivers::x::on: expected true or false, found 'true'; remove the quotes"
        ],
    );
    bad(
        "size: 0",
        &expect![
            "c.yaml:1:7: receivers::x::size: expected a whole number, 1 or more, found the number 0"
        ],
    );
    bad(
        "list: {a: b}",
        &expect!["c.yaml:1:7: receivers::x::list: expected a list, found a map"],
    );
    bad(
        "list: [a, ~]",
        &expect!["c.yaml:1:11: receivers::x::list[1]: expected a string, found nothing"],
    );
    bad(
        "ports: 'a,5'",
        &expect![
            "c.yaml:1:8: receivers::x::ports: expected a whole number from 0 to 65535, found 'a,5'"
        ],
    );
    bad(
        "labels: a",
        &expect!["c.yaml:1:9: receivers::x::labels: expected a map, found 'a'"],
    );
    bad(
        "inner: 5",
        &expect![
            "c.yaml:1:8: receivers::x::inner: expected a section (a map of settings), found the number 5"
        ],
    );
    bad(
        "by_port: {http: a}",
        &expect![
            "c.yaml:1:11: receivers::x::by_port: expected a number from 0 to 65535 as a key, found 'http'"
        ],
    );
    bad(
        "[a]",
        &expect!["c.yaml:1:1: receivers::x: expected a section (a map of settings), found a list"],
    );
}

#[test]
fn choices() {
    bad(
        "mode: fanzy",
        &expect!["c.yaml:1:7: receivers::x::mode: unknown value 'fanzy', did you mean 'fancy'?"],
    );
    bad(
        "mode: 7",
        &expect!["c.yaml:1:7: receivers::x::mode: unknown value '7' (valid: plain, fancy, custom)"],
    );
    bad(
        "mode: [a]",
        &expect![
            "c.yaml:1:7: receivers::x::mode: expected one of plain, fancy, custom, found a list"
        ],
    );
    bad(
        "mode: custom",
        &expect!["c.yaml:1:7: receivers::x::mode: 'custom' needs settings; write it as a map"],
    );
    bad(
        "mode: {custom: {timeot: 1}}",
        &expect![
            "c.yaml:1:17: receivers::x::mode::custom: unknown field 'timeot', did you mean 'timeout'?"
        ],
    );
    bad(
        "either: {a: b}",
        &expect![
            "c.yaml:1:9: receivers::x::either: data did not match any variant of untagged enum Either"
        ],
    );
}

#[test]
fn errors_in_tagged_enums_keep_their_place() {
    bad(
        "operators: [{type: contaner}]",
        &expect![
            "c.yaml:1:20: receivers::x::operators[0]::type: unknown value 'contaner', did you mean 'container'?"
        ],
    );
    bad(
        "operators: [{format: x}]",
        &expect!["c.yaml:1:13: receivers::x::operators[0]: the setting 'type' is required"],
    );
    bad(
        "operators:\n  - type: container\n    formt: x\n    max: many\n  - {type: move, from: a}\n",
        &expect![[r#"
            c.yaml:3:5: receivers::x::operators[0]: unknown field 'formt', did you mean 'format'?
            c.yaml:4:10: receivers::x::operators[0]::max: expected a whole number from 0 to 65535, found 'many'
            c.yaml:5:5: receivers::x::operators[1]: the setting 'to' is required"#]],
    );
}

#[test]
fn finds_everything_in_one_run() {
    bad(
        "name: 5\nport: x\nextra: 1\ninner:\n  timeout: soon\n  attempts: 2\n  x: 1\nmany: [{timeout: a}, {timeout: 1}, {attempts: b}]\nlist: [1, a, 2]\n",
        &expect![[r#"
            c.yaml:1:7: receivers::x::name: expected a string, found the number 5; write it in quotes: "5"
            c.yaml:2:7: receivers::x::port: expected a whole number from 0 to 65535, found 'x'
            c.yaml:3:1: receivers::x: unknown field 'extra' (valid: name, port, ratio, on, size, list, ports, labels, by_port, mode, inner, many, operators, either)
            c.yaml:5:12: receivers::x::inner::timeout: expected a whole number from 0 to 4294967295, found 'soon'
            c.yaml:7:3: receivers::x::inner: unknown field 'x' (valid: timeout, attempts, retries)
            c.yaml:8:18: receivers::x::many[0]::timeout: expected a whole number from 0 to 4294967295, found 'a'
            c.yaml:8:47: receivers::x::many[2]::attempts: expected a whole number from 0 to 4294967295, found 'b'
            c.yaml:9:8: receivers::x::list[0]: expected a string, found the number 1; write it in quotes: "1"
            c.yaml:9:14: receivers::x::list[2]: expected a string, found the number 2; write it in quotes: "2""#]],
    );
}

#[test]
fn required_settings() {
    #[derive(Debug, Deserialize)]

    struct Required {
        endpoint: String,
        port: u16,
    }
    let check = |yaml: &str, want: Expect| {
        let mut problems = Problems::new();
        assert!(decode::<Required>(&tree(yaml), "x", &mut problems).is_none());
        want.assert_eq(&problems.to_string());
    };
    check(
        "port: 1",
        expect!["c.yaml:1:1: x: the setting 'endpoint' is required"],
    );
    check(
        "endpoint:\nport: 1",
        expect!["c.yaml:1:1: x: the setting 'endpoint' is required"],
    );
    // The wrong one is told once, and not told to be missing.
    check(
        "endpoint: [a]\nport: 1",
        expect!["c.yaml:1:11: x::endpoint: expected a string, found a list"],
    );
}

/// Parts that share a map, with defaults of their own.
#[derive(Debug, PartialEq, serde::Serialize)]
struct Squashed {
    #[serde(flatten)]
    server: crate::settings::HttpServer,
    #[serde(flatten)]
    own: Own,
}

#[derive(Debug, Default, PartialEq, serde::Serialize, Deserialize)]
#[serde(default)]
struct Own {
    namespace: String,
    labels: BTreeMap<String, String>,
    batch: crate::types::Optional<crate::settings::QueueBatch>,
}

impl Default for Squashed {
    fn default() -> Self {
        let mut server = crate::settings::HttpServer::at("localhost", 9464);
        server.keepalive.idle_timeout = crate::types::Duration::from_secs(7);
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let own = Own {
            labels,
            ..Own::default()
        };
        Self { server, own }
    }
}

crate::squash!(Squashed { server, own });

#[test]
fn squashed_parts_have_the_defaults_of_the_whole() {
    assert_eq!(good::<Squashed>("{}"), Squashed::default());
    let value: Squashed =
        good("{keepalive: {enabled: false}, namespace: x, labels: {c: d}, batch: }");
    assert_eq!(value.server.endpoint.port(), 9464);
    assert!(!value.server.keeps_alive());
    assert_eq!(value.server.idle(), Some(std::time::Duration::from_secs(7)));
    assert_eq!(
        value.own.labels,
        BTreeMap::from([("c".to_owned(), "d".to_owned())])
    );
    assert!(value.own.batch.is_on());
    let written = serde_json::to_string(&value).unwrap();
    assert_eq!(good::<Squashed>(&written), value);
}

#[test]
fn squashed_parts_are_strict() {
    let mut problems = Problems::new();
    let yaml = "namespce: x\nendpoint: here\nkeepalive: {idle_timeout: 5, x: 1}\nzzzzz: 1\nbatch: {min_size: few}\nlabels: {a: 1}";
    let value: Option<Squashed> = Section::new(tree(yaml), "x").decode(&mut problems);
    assert!(value.is_none());
    let shown = problems.to_string();
    // The list of all fields is long.
    let shown = shown
        .split(" (valid: endpoint, transport")
        .collect::<Vec<_>>();
    expect![[r#"
        c.yaml:1:1: x: unknown field 'namespce', did you mean 'namespace'?
        c.yaml:2:11: x::endpoint: expected host:port such as localhost:4317, found 'here'
        c.yaml:3:27: x::keepalive::idle_timeout: expected a duration such as 5s, 1m30s or 200ms, found the number 5 without a unit; write 5s for seconds
        c.yaml:3:30: x::keepalive: unknown field 'x' (valid: enabled, idle_timeout)
        c.yaml:4:1: x: unknown field 'zzzzz'"#]].assert_eq(shown.first().unwrap());
    assert_eq!(problems.len(), 7, "{problems}");
}

#[test]
fn a_section_within_a_config_is_decoded_later() {
    #[derive(Deserialize)]
    struct Outer {
        operators: Vec<Section>,
    }
    let outer: Outer = good("operators: [{timeout: 5}, {timeout: five}]");
    let mut problems = Problems::new();
    let inner: Vec<Option<Inner>> = outer
        .operators
        .iter()
        .map(|operator| operator.decode(&mut problems))
        .collect();
    assert_eq!(inner[0].as_ref().map(|inner| inner.timeout), Some(5));
    assert!(inner[1].is_none());
    expect!["c.yaml:1:37: x::operators[1]::timeout: expected a whole number from 0 to 4294967295, found 'five'"].assert_eq(&problems.to_string());
    assert!(serde_json::from_str::<Section>("{}").is_err());
}

#[test]
fn many_problems_end() {
    let yaml = format!("list: [{}]", vec!["1"; 5000].join(", "));
    let mut problems = Problems::new();
    assert!(decode::<Settings>(&tree(&yaml), "x", &mut problems).is_none());
    assert_eq!(problems.len(), MOST);

    let yaml = format!(
        "operators: [{}]",
        vec!["{type: container, format: [], max: 1}"; 500].join(", ")
    );
    let mut problems = Problems::new();
    assert!(decode::<Settings>(&tree(&yaml), "x", &mut problems).is_none());
    assert_eq!(problems.len(), MOST);
}

fn yaml() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("5".to_owned()),
        Just("a".to_owned()),
        Just("~".to_owned()),
        Just("true".to_owned()),
        Just("container".to_owned()),
        Just("'5'".to_owned()),
        Just("move".to_owned()),
        Just("custom".to_owned()),
        Just("-1.5".to_owned()),
    ];
    let key = prop_oneof![
        Just("name"),
        Just("port"),
        Just("inner"),
        Just("timeout"),
        Just("many"),
        Just("operators"),
        Just("type"),
        Just("format"),
        Just("max"),
        Just("from"),
        Just("to"),
        Just("mode"),
        Just("custom"),
        Just("either"),
        Just("labels"),
        Just("by_port"),
        Just("x"),
    ];
    scalar.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::btree_map(key.clone(), inner, 0..6).prop_map(|map| {
                let entries: Vec<String> = map
                    .iter()
                    .map(|(key, value)| format!("{key}: {value}"))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn every_tree_is_decoded_or_refused(yaml in yaml()) {
        let mut problems = Problems::new();
        let value: Option<Settings> = Section::new(tree(&yaml), "x").decode(&mut problems);
        prop_assert_eq!(value.is_none(), problems.has_errors(), "{}: {}", yaml, problems);
        for problem in &problems {
            prop_assert!(problem.span.is_some());
        }
    }
}
