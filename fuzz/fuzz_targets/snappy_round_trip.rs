//! Any bytes, compressed: a decoder restores them, and they take no more room than the format's bound.
//!
//! The first byte says how often the rest is repeated, so that more than one window is reached.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&times, seed)) = bytes.split_first() else {
        return;
    };
    let mut input = Vec::new();
    for turn in 0..=times {
        input.extend_from_slice(seed);
        // Not at the same distance each time.
        input.extend_from_slice(&seed[..usize::from(turn) % (seed.len() + 1)]);
    }
    let mut encoder = corten_snappy::Encoder::new();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    encoder
        .compress_into(&input, &mut first)
        .expect("short enough");
    assert!(first.len() <= corten_snappy::max_compressed_len(input.len()));
    let restored = snap::raw::Decoder::new().decompress_vec(&first);
    assert!(restored.expect("a decoder takes it") == input);
    encoder
        .compress_into(&input, &mut second)
        .expect("short enough");
    assert!(first == second, "what was compressed before shows");
});
