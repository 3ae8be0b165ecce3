//! Syslog messages of both RFCs.

#![no_main]

#[path = "../op.rs"]
mod op;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    op::check(
        "[{type: syslog_parser, protocol: rfc3164, allow_skip_pri_header: true}]",
        bytes,
    );
    op::check("[{type: syslog_parser, protocol: rfc5424}]", bytes);
    op::check(
        "[{type: syslog_parser, protocol: rfc5424, enable_octet_counting: true}]",
        bytes,
    );
});
