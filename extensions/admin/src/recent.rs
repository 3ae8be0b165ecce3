//! `/recent`: the telemetry that passed last, for a person who wants to see some.

use std::fmt::Write as _;

use corten_component::{Batch, Recent, RecentBatch, Services, Signal};
use corten_net::body::Body;
use corten_net::listen::text;
use http::{HeaderValue, Response, header};
use jiff::Timestamp;

/// An answer ends with the batch that goes beyond this.
const MAX_ANSWER: usize = 8 << 20;

/// The answer to a request with this query: `format=json` for OTLP/JSON, `pipeline=logs` for one
/// pipeline; newest first.
pub(crate) fn answer(services: &Services, query: &str) -> Response<Body> {
    let (mut json, mut pipeline) = (false, None);
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("format", "json")) => json = true,
            Some(("format", "text")) => json = false,
            Some(("format", other)) => {
                return text(
                    400,
                    format!("unknown format '{other}' (valid: text, json)\n"),
                );
            }
            Some(("pipeline", name)) => {
                pipeline = Some(name.replace("%2F", "/").replace("%2f", "/"))
            }
            _ => {}
        }
    }
    let Some(recent) = services.get::<Recent>() else {
        return text(503, "recent telemetry is not kept\n");
    };
    let mut batches = recent.batches();
    batches.reverse();
    if let Some(pipeline) = pipeline {
        batches.retain(|batch| *batch.pipeline == *pipeline);
    }
    if json {
        as_json(&batches)
    } else {
        as_text(&batches)
    }
}

fn as_text(batches: &[RecentBatch]) -> Response<Body> {
    if batches.is_empty() {
        return text(200, "nothing has passed yet\n");
    }
    let mut page = String::new();
    for recent in batches {
        // Writing to a string does not fail.
        writeln!(
            page,
            "=== {} {}: {}, {} bytes",
            time(recent),
            recent.pipeline,
            items(&recent.batch),
            recent.batch.bytes_len()
        )
        .unwrap_or_default();
        corten_pdata::text::write_detailed(&recent.batch.data, &mut page);
        page.push('\n');
        if page.len() > MAX_ANSWER {
            page.push_str("=== older telemetry is left out\n");
            break;
        }
    }
    text(200, page)
}

/// A list of `{"time", "pipeline", "signal", "items", "data"}`, `data` being an OTLP/JSON request.
fn as_json(batches: &[RecentBatch]) -> Response<Body> {
    let mut page = vec![b'['];
    for recent in batches {
        let before = page.len();
        if before > MAX_ANSWER {
            break;
        }
        if before > 1 {
            page.push(b',');
        }
        let head = format!(
            "\n{{\"time\":\"{}\",\"pipeline\":{},\"signal\":\"{}\",\"items\":{},\"data\":",
            time(recent),
            serde_json::Value::from(&*recent.pipeline),
            recent.batch.signal(),
            recent.batch.items(),
        );
        page.extend_from_slice(head.as_bytes());
        if recent.batch.data.to_json(&mut page).is_err() {
            page.truncate(before);
            continue;
        }
        page.push(b'}');
    }
    page.extend_from_slice(b"\n]\n");
    let mut response = Response::new(Body::from(page));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

fn time(recent: &RecentBatch) -> String {
    Timestamp::try_from(recent.at).map_or_else(|_| "?".to_owned(), |at| format!("{at:.3}"))
}

/// `12 log records`.
fn items(batch: &Batch) -> String {
    let noun = match batch.signal() {
        Signal::Logs => "log records",
        Signal::Metrics => "data points",
        Signal::Traces => "spans",
    };
    format!("{} {noun}", batch.items())
}
