//! Any `Accept` and `Accept-Encoding`: some format and some encoding, and OpenMetrics never unasked.

#![no_main]

use corten_exposition::{Encoding, Format, Page, Syntax};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (accept, accept_encoding) = input;
    let mut headers = HeaderMap::new();
    for (name, value) in [("accept", accept), ("accept-encoding", accept_encoding)] {
        let Ok(value) = HeaderValue::from_bytes(value) else {
            return;
        };
        headers.insert(name, value);
    }
    assert_ne!(
        Format::negotiate(&headers, false).syntax,
        Syntax::OpenMetrics
    );
    let format = Format::negotiate(&headers, true);
    assert!(HeaderValue::from_str(format.content_type()).is_ok());
    let mut page = Vec::new();
    let report = Page::new(format).write(&mut page);
    assert!(report.problems.is_empty());
    let encoding = Encoding::negotiate(&headers);
    assert_eq!(encoding.encode(page.clone()), (page, Encoding::Identity));
});
