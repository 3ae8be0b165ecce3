//! Any bytes as Jaeger's spans, in either protocol of Thrift and as protobuf: refused, or OTLP that can be read.

#![no_main]
#![allow(dead_code, reason = "only what reads is looked at")]

#[path = "../../receivers/jaeger/src/model.rs"]
mod model;
#[path = "../../receivers/jaeger/src/protobuf.rs"]
mod protobuf;
#[path = "../../receivers/jaeger/src/status.rs"]
mod status;
#[path = "../../receivers/jaeger/src/thrift.rs"]
mod thrift;
#[path = "../../receivers/jaeger/src/translate.rs"]
mod translate;

use libfuzzer_sys::fuzz_target;
use model::Malformed;
use thrift::Protocol;
use thrift::model::{read_batch, read_call};
use translate::Translator;

fn check(read: impl FnOnce(&mut Translator) -> Result<(), Malformed>) {
    let mut translator = Translator::default();
    if read(&mut translator).is_ok() {
        let traces = translator.finish();
        traces.decode().expect("what is translated can be read");
    }
}

fuzz_target!(|message: &[u8]| {
    check(|to| read_batch(message, to));
    check(|to| read_call(Protocol::Binary, message, to));
    check(|to| read_call(Protocol::Compact, message, to));
    check(|to| protobuf::read_request(message, to));
});
