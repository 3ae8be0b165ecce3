//! Pairs in lines.

#![no_main]

#[path = "../op.rs"]
mod op;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    op::check("[{type: key_value_parser}]", bytes);
    op::check(
        "[{type: key_value_parser, delimiter: ':', pair_delimiter: ','}]",
        bytes,
    );
});
