//! Regular expressions as Go writes them: the first line is the pattern.

#![no_main]

#[path = "../op.rs"]
mod op;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((pattern, text)) = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.split_once('\n'))
    else {
        return;
    };
    let pattern = serde_json::Value::from(pattern);
    for operator in [
        format!("type: regex_parser, regex: {pattern}"),
        format!("type: regex_replace, field: body, replace_with: '$$1', regex: {pattern}"),
    ] {
        if let Some(mut chain) = op::chain(&format!("[{{{operator}}}]")) {
            op::feed(&mut chain, text);
        }
    }
});
