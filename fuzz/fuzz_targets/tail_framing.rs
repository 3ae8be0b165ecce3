//! Any text, read in any steps: its lines are those of the whole.

#![no_main]

use corten_tail::testing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| testing::check_framing(bytes));
