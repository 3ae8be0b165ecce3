//! Any bytes as a request of metrics: refused, or read, edited and cut as prost's objects are.

#![no_main]

use corten_pdata::{Signal, testing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| testing::check_raw(Signal::Metrics, bytes));
