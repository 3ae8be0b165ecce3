//! Any text as OTLP/JSON: refused, or written again the same.

#![no_main]

use corten_pdata::{Signal, testing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    for signal in Signal::ALL {
        testing::check_json_input(signal, text);
    }
});
