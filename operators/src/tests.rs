//! Operators as users write them, on entries as users have them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use corten_config::{Problems, section};
use expect_test::expect;
use proptest::prelude::*;
use serde_json::json;

use super::*;

mod combine;
mod parsers;
mod problems;
mod ways;

/// 2026-06-15T12:00:00Z
const NOW: u64 = 1_781_524_800_000_000_000;

fn operators(yaml: &str) -> Operators {
    let mut problems = Problems::new();
    let section = section(yaml, "operators", &mut problems).unwrap();
    section.decode(&mut problems).unwrap()
}

fn chain(yaml: &str) -> Chain {
    let mut problems = Problems::new();
    let chain = operators(yaml).build(&mut problems);
    assert!(problems.is_empty(), "{problems}");
    chain.unwrap()
}

/// `{body, attributes, resource}` as an entry.
fn entry(json: &serde_json::Value) -> Entry {
    let map = |name: &str| match Value::from_json(json.get(name).cloned().unwrap_or_default()) {
        Value::Map(map) => map,
        _ => Map::new(),
    };
    Entry {
        body: Value::from_json(json.get("body").cloned().unwrap_or_default()),
        attributes: map("attributes"),
        resource: Arc::new(map("resource")),
        observed: NOW,
        ..Entry::default()
    }
}

fn shown(entry: &Entry) -> serde_json::Value {
    let mut shown = json!({});
    let mut put = |name: &str, value: serde_json::Value| {
        if !value.is_null() && value != json!({}) && value != json!("") && value != json!(0) {
            shown[name] = value;
        }
    };
    put("body", entry.body.to_json());
    put("attributes", entry.attributes.to_json());
    put("resource", entry.resource.to_json());
    put("severity", entry.severity.into());
    put("text", entry.severity_text.as_str().into());
    put("scope", entry.scope_name.as_str().into());
    put("flags", entry.flags.into());
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    put("trace", hex(&entry.trace_id).into());
    put("span", hex(&entry.span_id).into());
    if let Some(time) = entry.time {
        put(
            "time",
            jiff::Timestamp::from_nanosecond(time.into())
                .unwrap()
                .to_string()
                .into(),
        );
    }
    shown
}

fn feed(chain: &mut Chain, entry: Entry, now: Instant) -> Vec<serde_json::Value> {
    let mut out = Vec::new();
    chain.process(entry, now, &mut |entry| {
        out.push(shown(&entry));
        entry.origins.settle();
    });
    out
}

#[track_caller]
fn check(yaml: &str, input: serde_json::Value, expected: serde_json::Value) {
    let out = feed(&mut chain(yaml), entry(&input), Instant::now());
    assert_eq!(serde_json::Value::from(out), expected, "{yaml}");
}

#[derive(Debug, Default)]
struct Chunk(AtomicUsize);

impl Origin for Chunk {
    fn lost(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
