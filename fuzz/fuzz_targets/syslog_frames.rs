//! A stream of syslog messages: what they are does not depend on how it is read. The first two bytes choose the size of the reads and the
//! longest message.

#![no_main]

#[path = "../../receivers/syslog/src/frame.rs"]
mod frame;

use frame::{Framer, Framing, NoFrame};
use libfuzzer_sys::fuzz_target;

fn frames(framing: Framing, input: &[u8], size: usize) -> (Vec<(Vec<u8>, bool)>, Result<(), NoFrame>) {
    let mut framer = Framer::new(framing);
    let mut found = Vec::new();
    let mut each = |message: &[u8], cut: bool| found.push((message.to_vec(), cut));
    for chunk in input.chunks(size) {
        if let Err(error) = framer.feed(chunk, &mut each) {
            return (found, Err(error));
        }
    }
    framer.end(&mut each);
    (found, Ok(()))
}

fuzz_target!(|bytes: &[u8]| {
    let [size, limit, input @ ..] = bytes else {
        return;
    };
    let (size, limit) = (usize::from(*size).max(1), usize::from(*limit).max(1));
    for framing in [
        Framing::Ended { by: b'\n', limit },
        Framing::Octets { limit },
        Framing::Whole { limit },
    ] {
        assert_eq!(frames(framing, input, size), frames(framing, input, input.len().max(1)));
    }
});
