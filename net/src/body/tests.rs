use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::admission::Admission;

const ALL: [Encoding; 6] = [
    Encoding::Lz4,
    Encoding::Identity,
    Encoding::Gzip,
    Encoding::Zlib,
    Encoding::Zstd,
    Encoding::Snappy,
];

fn pack(encoding: Encoding, data: &[u8]) -> Vec<u8> {
    match encoding {
        Encoding::Identity => data.to_vec(),
        Encoding::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Encoding::Zlib => {
            let mut encoder =
                flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Encoding::Zstd => zstd::encode_all(data, 1).unwrap(),
        Encoding::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Encoding::Snappy => {
            let mut encoder = snap::write::FrameEncoder::new(Vec::new());
            encoder.write_all(data).unwrap();
            encoder.into_inner().unwrap()
        }
    }
}

/// A body of several frames.
fn chunked(data: &[u8], size: usize) -> Body {
    let parts: Vec<Bytes> = data
        .chunks(size.max(1))
        .map(Bytes::copy_from_slice)
        .collect();
    // Boxed, so that it does not say how long it is.
    Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(
        parts
            .into_iter()
            .map(|part| Ok::<_, BoxError>(Frame::data(part))),
    )))
}

fn read(
    data: &[u8],
    chunk: usize,
    encoding: Encoding,
    limits: &Limits,
) -> Result<Bytes, BodyError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(read_capped(
        &mut chunked(data, chunk),
        encoding,
        limits,
        None,
    ))
}

#[test]
fn every_encoding_is_unpacked() {
    let data: Vec<u8> = (0..200_000u32)
        .flat_map(|n| (n / 7).to_le_bytes())
        .collect();
    for encoding in ALL {
        let packed = pack(encoding, &data);
        for chunk in [1000, 1 << 20] {
            let bytes = read(&packed, chunk, encoding, &Limits::new(1 << 20)).unwrap();
            assert!(bytes == data, "{encoding:?}");
        }
        assert!(
            read(&pack(encoding, b""), 10, encoding, &Limits::new(10)).is_ok_and(|b| b.is_empty())
                || encoding != Encoding::Identity
        );
    }
    let block = snap::raw::Encoder::new().compress_vec(&data).unwrap();
    assert!(read(&block, 1000, Encoding::Snappy, &Limits::new(1 << 20)).unwrap() == data);
}

#[test]
fn the_cap_is_met_exactly() {
    let data = vec![7u8; 100_000];
    for encoding in ALL {
        let packed = pack(encoding, &data);
        let limits = |decoded| Limits {
            wire: 1 << 20,
            decoded,
            ..Limits::new(0)
        };
        let wire = Limits {
            wire: packed.len() - 1,
            ..Limits::new(1 << 20)
        };
        if encoding != Encoding::Identity {
            assert_eq!(
                read(&packed, 100, encoding, &limits(100_000))
                    .unwrap()
                    .len(),
                100_000
            );
            let error = read(&packed, 100, encoding, &limits(99_999)).unwrap_err();
            assert!(
                matches!(
                    error,
                    BodyError::TooLarge {
                        limit: 99_999,
                        unpacked: true
                    }
                ),
                "{encoding:?} {error}"
            );
        }
        let error = read(&packed, 100, encoding, &wire).unwrap_err();
        assert!(
            matches!(
                error,
                BodyError::TooLarge {
                    unpacked: false,
                    ..
                }
            ),
            "{encoding:?} {error}"
        );
    }
}

#[test]
fn members_in_a_row_are_one_body() {
    for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Snappy] {
        let mut packed = pack(encoding, b"first ");
        packed.extend(pack(encoding, b"second"));
        for chunk in [1, 3, 1000] {
            assert_eq!(
                read(&packed, chunk, encoding, &Limits::new(1000)).unwrap(),
                "first second",
                "{encoding:?}"
            );
        }
    }
    let many: Vec<u8> = std::iter::repeat_n(pack(Encoding::Gzip, b""), 2000)
        .flatten()
        .collect();
    assert!(matches!(
        read(&many, 1000, Encoding::Gzip, &Limits::new(1 << 20)),
        Err(BodyError::Damaged { .. })
    ));
}

#[test]
fn a_body_that_ends_in_the_middle_is_damaged() {
    for encoding in [
        Encoding::Gzip,
        Encoding::Zlib,
        Encoding::Zstd,
        Encoding::Snappy,
    ] {
        let packed = pack(encoding, &[3; 5000]);
        let cut = &packed[..packed.len() - 5];
        let error = read(cut, 100, encoding, &Limits::new(1 << 20)).unwrap_err();
        assert!(
            matches!(error, BodyError::Damaged { .. }),
            "{encoding:?}: {error}"
        );
    }
}

/// Bytes that this process holds, from the kernel.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap()
        * 4096
}

#[test]
fn bombs_cost_no_more_than_the_cap() {
    let zeros = vec![0u8; 16 << 20];
    let before_packing = resident();
    for encoding in [Encoding::Gzip, Encoding::Zlib, Encoding::Zstd] {
        // 1 GiB of zeros.
        let mut packed: Vec<u8> = match encoding {
            Encoding::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                (0..64).for_each(|_| encoder.write_all(&zeros).unwrap());
                encoder.finish().unwrap()
            }
            Encoding::Zlib => {
                let mut encoder =
                    flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
                (0..64).for_each(|_| encoder.write_all(&zeros).unwrap());
                encoder.finish().unwrap()
            }
            _ => {
                let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
                (0..64).for_each(|_| encoder.write_all(&zeros).unwrap());
                encoder.finish().unwrap()
            }
        };
        packed.shrink_to_fit();
        let error = read(&packed, 16 << 10, encoding, &Limits::new(20 << 20)).unwrap_err();
        assert!(
            matches!(error, BodyError::TooLarge { unpacked: true, .. }),
            "{encoding:?}: {error}"
        );
    }
    let grown = resident().saturating_sub(before_packing);
    assert!(grown < 64 << 20, "{} MiB more are resident", grown >> 20);
}

#[test]
fn a_zstd_window_beyond_eight_mebibytes_is_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.write_all(&vec![1u8; 1000]).unwrap();
    let packed = encoder.finish().unwrap();
    let error = read(&packed, 1000, Encoding::Zstd, &Limits::new(1 << 30)).unwrap_err();
    assert!(matches!(error, BodyError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn room_is_taken_before_memory() {
    let packed = pack(Encoding::Gzip, &vec![0u8; 1 << 20]);
    let admission = Admission::new(300_000);
    let other = admission.reserve(100_000).unwrap();
    let mut mine = admission.reserve(0).unwrap();
    let limits = Limits::new(10 << 20);
    let error = read_capped(
        &mut chunked(&packed, 1000),
        Encoding::Gzip,
        &limits,
        Some(&mut mine),
    )
    .await;
    assert!(matches!(error, Err(BodyError::NoRoom)));
    // A declared length is refused before anything is read.
    let error = read_capped(
        &mut Body::full(vec![0; 250_000]),
        Encoding::Identity,
        &limits,
        Some(&mut mine),
    )
    .await;
    assert!(matches!(error, Err(BodyError::NoRoom)));
    drop((other, mine));
    assert_eq!(admission.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_given_up() {
    let mut never = Body::boxed(http_body_util::StreamBody::new(
        futures_util::stream::pending::<Result<Frame<Bytes>, BoxError>>(),
    ));
    let error = read_capped(&mut never, Encoding::Identity, &Limits::new(10), None).await;
    assert!(matches!(error, Err(BodyError::Stalled)));
}

#[tokio::test]
async fn a_body_of_one_frame_is_not_copied() {
    let bytes = Bytes::from(vec![1u8; 1000]);
    let read = read_capped(
        &mut Body::full(bytes.clone()),
        Encoding::Identity,
        &Limits::new(1000),
        None,
    )
    .await
    .unwrap();
    assert_eq!(read.as_ptr(), bytes.as_ptr());
}

#[test]
fn names_of_encodings_are_known() {
    for (name, encoding) in [
        ("gzip", Some(Encoding::Gzip)),
        ("", Some(Encoding::Identity)),
        ("DEFLATE", Some(Encoding::Zlib)),
        ("br", None),
        ("gzip, gzip", None),
        ("lz4", Some(Encoding::Lz4)),
    ] {
        assert_eq!(Encoding::from_name(name), encoding, "{name}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_unpacked_or_refused(data: Vec<u8>, chunk in 1..64usize, which in 0..6usize) {
        drop(read(&data, chunk, ALL[which], &Limits::new(1 << 16)));
    }

    #[test]
    fn what_was_packed_comes_out(data: Vec<u8>, chunk in 1..64usize, which in 0..6usize) {
        let packed = pack(ALL[which], &data);
        prop_assert_eq!(read(&packed, chunk, ALL[which], &Limits::new(1 << 16)).unwrap(), data);
    }

    #[test]
    fn damage_never_exceeds_the_cap(mut data: Vec<u8>, at: prop::sample::Index, to: u8, which in 0..6usize) {
        data.extend([9; 64]);
        let mut packed = pack(ALL[which], &data);
        let at = at.index(packed.len());
        packed[at] = to;
        if let Ok(bytes) = read(&packed, 16, ALL[which], &Limits::new(1 << 10)) {
            prop_assert!(bytes.len() <= 1 << 10);
        }
    }
}

/// One member, at its own level.
fn member(data: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn gzip_means_the_same_in_one_go_and_in_pieces() {
    let text = b"what telemetry repeats, telemetry repeats. ".repeat(500);
    // Stored as it is, with what a member begins with in it.
    let stored = [&text[..100], &[0x1f, 0x8b, 8], b"rest"].concat();
    let noise: Vec<u8> = (0u32..700_000)
        .flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes())
        .collect();
    let large = text.repeat(300);
    let twice = [&text[..], &text].concat();
    for (packed, expected) in [
        (member(&text, 6), text.clone()),
        (member(b"", 6), Vec::new()),
        (member(&stored, 0), stored.clone()),
        (member(&noise, 1), noise.clone()),
        (member(&large, 6), large.clone()),
        ([member(&text, 6), member(&text, 6)].concat(), twice.clone()),
        ([member(&text, 1), member(&text, 9)].concat(), twice),
        ([member(b"", 6), member(&text, 6)].concat(), text.clone()),
        ([member(&text, 6), member(b"", 6)].concat(), text.clone()),
    ] {
        for size in [1000, usize::MAX] {
            let found = read(&packed, size, Encoding::Gzip, &Limits::new(64 << 20)).unwrap();
            assert!(
                found == expected,
                "{} bytes of {}",
                found.len(),
                expected.len()
            );
        }
    }
    let good = member(&text, 6);
    let with = |at: usize| {
        let mut bad = good.clone();
        bad[at] ^= 1;
        bad
    };
    let len = good.len();
    for bad in [
        with(0),
        with(len / 2),
        // The checksum and the length.
        with(len - 8),
        with(len - 4),
        with(len - 1),
        good[..len - 1].to_vec(),
        good[..10].to_vec(),
        [&good[..], b"more"].concat(),
        Vec::new(),
    ] {
        let error = read(&bad, 1000, Encoding::Gzip, &Limits::new(64 << 20)).unwrap_err();
        assert!(matches!(error, BodyError::Damaged { .. }), "{error}");
    }
    let error = read(&good, 1000, Encoding::Gzip, &Limits::new(text.len() - 1)).unwrap_err();
    assert!(
        matches!(error, BodyError::TooLarge { unpacked: true, .. }),
        "{error}"
    );
    assert!(read(&good, 1000, Encoding::Gzip, &Limits::new(text.len())).is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_unpacks_to_much_waits_for_its_turn() {
    let admission = Admission::new(1 << 30);
    let mut others = admission.reserve(1).unwrap();
    others.turn(1 << 30, None).await;
    let limits = Limits::new(64 << 20);
    let mut waited = Vec::new();
    for data in [vec![b'a'; 100 << 10], vec![b'a'; 3 << 20]] {
        let packed = pack(Encoding::Gzip, &data);
        let mut mine = admission.reserve(0).unwrap();
        let began = tokio::time::Instant::now();
        let mut body = chunked(&packed, 1000);
        let read = read_capped(&mut body, Encoding::Gzip, &limits, Some(&mut mine)).await;
        assert!(read.unwrap() == data);
        waited.push(began.elapsed() > Duration::ZERO);
    }
    assert_eq!(waited, [false, true]);
    let of = |encoding, data: &[u8]| Encoding::room(encoding, 1000, data);
    assert_eq!(of(Encoding::Identity, b""), 1000);
    assert_eq!(of(Encoding::Gzip, b""), 1000);
    let told = zstd::bulk::compress(&[7; 123_456], 1).unwrap();
    assert_eq!(of(Encoding::Zstd, &told), 123_456);
    for beginning in [&told[..3], b"", b"no zstd"] {
        assert_eq!(of(Encoding::Zstd, beginning), 16_000);
    }
}
