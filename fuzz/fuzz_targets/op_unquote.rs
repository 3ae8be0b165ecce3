//! Text as Go quotes it, severities, traces.

#![no_main]

#[path = "../op.rs"]
mod op;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    op::check(
        "[{type: unquote, field: body}, {type: severity_parser, parse_from: body}, {type: trace_parser, trace_id: {parse_from: body}}]",
        bytes,
    );
});
