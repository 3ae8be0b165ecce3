//! Any bytes as lines of container runtimes.

#![no_main]

use corten_tail::testing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| testing::check_container(bytes));
