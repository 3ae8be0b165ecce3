//! Lines of container runtimes, partial ones among them.

#![no_main]

#[path = "../op.rs"]
mod op;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    op::check(
        "[{type: noop}, {type: container, max_log_size: 16, add_metadata_from_filepath: false}]",
        bytes,
    );
});
