//! Whatever goes in comes out of a decoder again, and every element is one that all decoders take.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Encoder, STEP, max_compressed_len};
use crate::search::REACH;

#[path = "../benches/samples.rs"]
mod samples;

fn compressed(encoder: &mut Encoder, input: &[u8]) -> Vec<u8> {
    let mut out = b"before".to_vec();
    encoder.compress_into(input, &mut out).unwrap();
    assert_eq!(out[..6], *b"before");
    out.split_off(6)
}

/// Compresses with an encoder that was used before and with a new one, and undoes it.
fn check(encoder: &mut Encoder, input: &[u8]) -> usize {
    let out = compressed(encoder, input);
    assert!(
        compressed(&mut Encoder::new(), input) == out,
        "what was compressed before shows"
    );
    assert!(out.len() <= max_compressed_len(input.len()));
    assert_eq!(
        max_compressed_len(input.len()),
        snap::raw::max_compress_len(input.len())
    );
    let back = snap::raw::Decoder::new().decompress_vec(&out).unwrap();
    assert!(back == input, "{} bytes do not come back", input.len());
    distances(&out);
    out.len()
}

/// The distances of all copies. Reads by the rules of the format, strictly: what Go's decoder refuses is refused.
fn distances(block: &[u8]) -> Vec<usize> {
    let mut at = 0;
    let mut said = 0;
    loop {
        said |= usize::from(block[at] & 0x7f) << (7 * at);
        at += 1;
        if block[at - 1] < 0x80 {
            break;
        }
    }
    let mut position = 0;
    let mut distances = Vec::new();
    while at < block.len() {
        let (tag, more) = (block[at] & 3, usize::from(block[at] >> 2));
        match tag {
            0 => {
                let wide = more.saturating_sub(59);
                let mut last = more;
                if wide > 0 {
                    assert!(wide <= 2, "a window has 16 bits");
                    last = block[at + 1..=at + wide]
                        .iter()
                        .rev()
                        .fold(0, |last, byte| last << 8 | usize::from(*byte));
                }
                at += 1 + wide + last + 1;
                position += last + 1;
            }
            2 => {
                let distance = usize::from(u16::from_le_bytes([block[at + 1], block[at + 2]]));
                assert!((1..=position).contains(&distance));
                distances.push(distance);
                at += 3;
                position += more + 1;
            }
            other => panic!("an element of kind {other}"),
        }
    }
    assert_eq!((at, position), (block.len(), said));
    distances
}

#[test]
fn a_block_is_laid_out_as_the_format_says() {
    let mut encoder = Encoder::new();
    assert_eq!(compressed(&mut encoder, b""), [0]);
    assert_eq!(
        compressed(&mut encoder, b"abc"),
        [3, 2 << 2, b'a', b'b', b'c']
    );
    let input = [b'x'; 300];
    let out = compressed(&mut encoder, &input);
    // 300 as a varint, eight bytes, then copies of 64 from one byte ago.
    assert_eq!(out[..3], [0xac, 2, 7 << 2]);
    assert_eq!(out[11..14], [63 << 2 | 2, 1, 0]);
}

#[test]
fn every_short_length_comes_back() {
    let mut encoder = Encoder::new();
    let mut dice = samples::Dice::new(1);
    let random: Vec<u8> = (0..400).map(|_| dice.roll().to_le_bytes()[0]).collect();
    let text = b"level=info msg=\"request done\" took=17 ".repeat(11);
    for len in 0..400 {
        check(&mut encoder, &random[..len]);
        check(&mut encoder, &vec![0; len]);
        check(&mut encoder, &text[..len]);
    }
}

#[test]
fn every_length_about_a_window_comes_back() {
    let mut encoder = Encoder::new();
    let (_, body) = samples::all(3 * REACH).swap_remove(2);
    let zeros = vec![0; 3 * REACH];
    let edges = [REACH, REACH + STEP, 2 * REACH, 2 * REACH + STEP];
    for len in edges.iter().flat_map(|edge| edge - 80..edge + 80) {
        check(&mut encoder, &body[..len]);
        check(&mut encoder, &zeros[..len]);
    }
}

#[test]
fn what_was_there_half_a_window_ago_is_found_wherever_the_windows_begin() {
    let mut dice = samples::Dice::new(5);
    let mut bytes =
        |len: usize| -> Vec<u8> { (0..len).map(|_| dice.roll().to_le_bytes()[0]).collect() };
    let (mark, filler) = (bytes(64), bytes(1000));
    let mut encoder = Encoder::new();
    for distance in [STEP - 200, REACH - 1, REACH, REACH + 1] {
        let starts: Vec<usize> = (2000..2 * REACH).step_by(1111).collect();
        let mut found = 0;
        for &start in &starts {
            let mut input: Vec<u8> = filler
                .iter()
                .copied()
                .cycle()
                .take(3 * REACH + 200)
                .collect();
            input[start..start + 64].copy_from_slice(&mark);
            input[start + distance..start + distance + 64].copy_from_slice(&mark);
            check(&mut encoder, &input);
            found += usize::from(distances(&compressed(&mut encoder, &input)).contains(&distance));
        }
        match distance {
            // But where another hash took its place.
            ..STEP => assert!(found * 10 > starts.len() * 9, "{found} of {}", starts.len()),
            REACH.. => assert_eq!(found, 0),
            _ => {}
        }
    }
}

#[test]
fn what_stands_before_a_window_is_known() {
    let mut dice = samples::Dice::new(9);
    let mut bytes = |len: usize| -> Vec<u8> {
        (0..len)
            .map(|_| dice.roll().to_le_bytes()[0] | 0x80)
            .collect()
    };
    let (filler, fresh, text) = (bytes(1000), bytes(16), bytes(24));
    // Begins where the second window begins, and once more later, behind other bytes: those that are in the encoder's
    // memory for want of any.
    let text = [b" ", text.as_slice()].concat();
    let later = [fresh, vec![0; 8], text.clone()].concat();
    let mut input: Vec<u8> = filler.iter().copied().cycle().take(REACH + 5000).collect();
    input[STEP..STEP + text.len()].copy_from_slice(&text);
    input[REACH - 9000..REACH - 9000 + later.len()].copy_from_slice(&later);
    input[REACH + 1000..REACH + 1000 + later.len()].copy_from_slice(&later);
    check(&mut Encoder::new(), &input);
    // Only the second of the two is behind everything that the first window knows.
    input[REACH - 9000..REACH - 9000 + later.len()].fill(b'-');
    check(&mut Encoder::new(), &input);
}

#[test]
fn logs_shrink_about_as_with_snap_and_random_bytes_do_not_grow() {
    let mut encoder = Encoder::new();
    for (name, body) in samples::all(300_000) {
        let ours = check(&mut encoder, &body);
        let theirs = snap::raw::Encoder::new().compress_vec(&body).unwrap().len();
        // In tenths of a percent. Text of random words is the worst there is.
        let most = match name {
            "plain-200" => 1300,
            "push-mixed" | "push-nginx" => 1150,
            _ => 1100,
        };
        assert!(
            ours * 1000 <= theirs * most,
            "{name}: {ours} bytes, snap {theirs}"
        );
        if name == "random" {
            assert!(ours < body.len() + 50);
        }
    }
}

/// An input made of fresh bytes and of what was there before, at any distance.
fn repetitive() -> impl Strategy<Value = Vec<u8>> {
    let fresh = vec(any::<u8>(), 1..40).prop_map(|bytes| (bytes, 0, 0));
    let again = (1..100_000_usize, 1..400_usize).prop_map(|(back, len)| (Vec::new(), back, len));
    let near = (1..300_usize, 1..3000_usize).prop_map(|(back, len)| (Vec::new(), back, len));
    vec(prop_oneof![3 => fresh, 2 => again, 2 => near], 0..400).prop_map(|parts| {
        let mut out = Vec::new();
        for (fresh, back, len) in parts {
            out.extend_from_slice(&fresh);
            for _ in 0..len {
                if let Some(from) = out.len().checked_sub(back) {
                    out.push(out[from]);
                }
            }
        }
        out
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_come_back(input in vec(any::<u8>(), 0..3000)) {
        check(&mut Encoder::new(), &input);
    }

    #[test]
    fn few_different_bytes_come_back(input in vec(prop::sample::select(b"ab \0".as_slice()), 0..20_000)) {
        check(&mut Encoder::new(), &input);
    }

    #[test]
    fn repetitions_come_back(inputs in vec(repetitive(), 1..3)) {
        let mut encoder = Encoder::new();
        for input in &inputs {
            check(&mut encoder, input);
        }
    }
}
