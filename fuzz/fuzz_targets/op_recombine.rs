//! Entries that become one, with tight limits.

#![no_main]

#[path = "../op.rs"]
mod op;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    op::check(
        "[{type: recombine, combine_field: body, is_first_entry: 'body contains \"a\"', max_batch_size: 4, max_unmatched_batch_size: 3, max_log_size: 16}]",
        bytes,
    );
});
