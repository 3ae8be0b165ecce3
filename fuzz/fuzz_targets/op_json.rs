//! JSON in lines.

#![no_main]

#[path = "../op.rs"]
mod op;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    op::check(
        "[{type: json_parser, parse_ints: true, parse_to: body}, {type: json_array_parser, parse_from: body.a, parse_to: body.b}]",
        bytes,
    );
});
