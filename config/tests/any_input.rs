//! Whatever a file holds: it is read, or refused with a place, and never a panic.
#![allow(clippy::unwrap_used, clippy::string_slice, reason = "tests")]

use std::collections::BTreeMap;

use corten_config::settings::{
    GrpcClient, GrpcServer, HttpClient, HttpServer, Queue, Retry, TlsServer,
};
use corten_config::{Check, Problems, Section, Sources};
use proptest::prelude::*;
use serde::de::DeserializeOwned;

const NODE: &str = include_str!("data/node.yaml");

fn read(text: &str) -> Problems {
    let mut problems = Problems::new();
    let document = Sources::new()
        .text("c.yaml", text)
        .resolve(&BTreeMap::<String, String>::new(), &mut problems);
    let model = document.model(&mut problems);
    for section in [
        &model.receivers,
        &model.processors,
        &model.exporters,
        &model.extensions,
    ]
    .into_iter()
    .flatten()
    .map(|c| &c.section)
    {
        typed::<GrpcClient>(section);
        typed::<GrpcServer>(section);
        typed::<HttpClient>(section);
        typed::<HttpServer>(section);
        typed::<Queue>(section);
        typed::<Retry>(section);
        typed::<TlsServer>(section);
    }
    // A message is one line.
    assert_eq!(problems.to_string().lines().count(), problems.len());
    problems
}

fn typed<T: DeserializeOwned + Check>(section: &Section) {
    let mut problems = Problems::new();
    let value: Option<T> = section.decode_checked(&mut problems);
    assert_eq!(value.is_none(), problems.has_errors(), "{problems}");
    assert!(problems.iter().all(|problem| problem.span.is_some()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_real_file_with_a_piece_replaced(at in 0..NODE.len(), length in 0..40_usize, with in r"([\[\]{}:,&*'\x22#|>!%@`$\n\t -]|[a-z0-9.]){0,20}") {
        let at = (0..=at).rev().find(|at| NODE.is_char_boundary(*at)).unwrap();
        let end = ((at + length).min(NODE.len())..=NODE.len()).find(|end| NODE.is_char_boundary(*end)).unwrap();
        read(&format!("{}{with}{}", &NODE[..at], &NODE[end..]));
    }

    #[test]
    fn settings_of_any_kind(lines in prop::collection::vec((
        prop::sample::select(vec!["endpoint", "tls", "headers", "keepalive", "auth", "compression", "timeout", "batch", "storage", "sizer", "wait_for_result", "cors", "enabled", "queue_size"]),
        prop::sample::select(vec!["", "5", "5s", "x", "[]", "{}", "[a, {b: c}]", "{enabled: false}", "{a: {b: [1]}}", "true", "localhost:1", "http://x", "{name: a, value: b}", "[{name: a}]", "-1", "1e400", "${env:A}", "${env:A:-{}}"]),
    ), 0..8)) {
        let mut text = "exporters:\n  a:\n".to_owned();
        for (key, value) in lines {
            text.push_str(&format!("    {key}: {value}\n"));
        }
        read(&text);
    }
}
