//! Separated values in lines.

#![no_main]

#[path = "../op.rs"]
mod op;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for quotes in ["", ", lazy_quotes: true", ", ignore_quotes: true"] {
        op::check(
            &format!("[{{type: csv_parser, header: 'a,b'{quotes}}}]"),
            bytes,
        );
    }
});
