//! Any bytes as Zipkin's spans, as JSON and as protobuf: refused, or OTLP that can be read.

#![no_main]
#![allow(dead_code, reason = "only what reads is looked at")]

#[path = "../../receivers/zipkin/src/conventions.rs"]
mod conventions;
#[path = "../../receivers/zipkin/src/json.rs"]
mod json;
#[path = "../../receivers/zipkin/src/protobuf.rs"]
mod protobuf;
#[path = "../../receivers/zipkin/src/span.rs"]
mod span;
#[path = "../../receivers/zipkin/src/translate.rs"]
mod translate;

use libfuzzer_sys::fuzz_target;
use span::{Malformed, Span};
use translate::Translator;

fn check(read: impl Fn(&mut dyn FnMut(Span<'_>)) -> Result<(), Malformed>) {
    for parse_string_tags in [false, true] {
        let (mut translator, mut spans) = (Translator::new(parse_string_tags), 0);
        let outcome = read(&mut |span| {
            spans += 1;
            translator.add(span);
        });
        if outcome.is_ok() {
            let traces = translator.finish();
            assert_eq!(traces.items(), spans);
            traces.decode().expect("what is translated can be read");
        }
    }
}

fuzz_target!(|body: &[u8]| {
    check(|each| json::read(body, each));
    check(|each| protobuf::read(body, each));
});
