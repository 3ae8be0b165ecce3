//! URIs in lines.

#![no_main]

#[path = "../op.rs"]
mod op;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    op::check("[{type: uri_parser}]", bytes);
});
