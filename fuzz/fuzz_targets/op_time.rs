//! Layouts of times and texts of them: the first line is the layout.

#![no_main]

#[path = "../op.rs"]
mod op;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((layout, text)) = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.split_once('\n'))
    else {
        return;
    };
    // JSON's strings are YAML's.
    let layout = serde_json::Value::from(layout);
    for language in ["strptime", "gotime", "epoch"] {
        let yaml = format!(
            "[{{type: time_parser, parse_from: body, layout_type: {language}, location: UTC, layout: {layout}}}]"
        );
        if let Some(mut chain) = op::chain(&yaml) {
            op::feed(&mut chain, text);
        }
    }
});
