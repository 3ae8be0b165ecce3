//! Property tests: the owned model against cursors, edits, cuts and JSON, on made-up requests and on
//! damaged ones. The properties themselves are shared with the fuzz targets.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use corten_pdata::Signal;
use corten_pdata::testing::{self, Entropy};
use proptest::prelude::*;

fn signal() -> impl Strategy<Value = Signal> {
    prop_oneof![
        Just(Signal::Logs),
        Just(Signal::Metrics),
        Just(Signal::Traces)
    ]
}

fn entropy() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..1200)
}

/// A made-up request with some bits flipped, bytes put in, or its end cut off.
fn damaged() -> impl Strategy<Value = (Signal, Vec<u8>)> {
    let damage =
        proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..4);
    (signal(), entropy(), damage).prop_map(|(signal, entropy, damage)| {
        let mut bytes = testing::generate(signal, &mut Entropy::new(&entropy));
        for (place, value, how) in damage {
            if bytes.is_empty() {
                break;
            }
            let place = place.index(bytes.len());
            match how {
                0 => bytes.truncate(place),
                1 => bytes.insert(place, value),
                2 => bytes[place] = value,
                _ => bytes[place] ^= 1 << (value & 7),
            }
        }
        (signal, bytes)
    })
}

/// Three times the default number of cases unless `PROPTEST_CASES` says otherwise.
fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig {
        cases: if std::env::var_os("PROPTEST_CASES").is_some() {
            config.cases
        } else {
            800
        },
        failure_persistence: None,
        ..config
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn made_up_requests_read_as_prost_reads_them((signal, entropy) in (signal(), entropy())) {
        testing::check_generated(signal, &entropy);
    }

    #[test]
    fn edits_in_place_are_edits_on_the_model((signal, entropy) in (signal(), entropy())) {
        testing::check_edits(signal, &entropy);
    }

    #[test]
    fn pieces_hold_everything_in_order((signal, entropy) in (signal(), entropy())) {
        testing::check_split(signal, &entropy);
    }

    #[test]
    fn damage_is_refused_or_harmless((signal, bytes) in damaged()) {
        testing::check_raw(signal, &bytes);
    }

    #[test]
    fn any_bytes_are_refused_or_harmless(
        (signal, bytes) in (signal(), proptest::collection::vec(any::<u8>(), 0..64)),
    ) {
        testing::check_raw(signal, &bytes);
    }

    #[test]
    fn damaged_json_is_refused_or_harmless(
        (signal, entropy) in (signal(), entropy()),
        place: prop::sample::Index,
        value in prop_oneof![any::<u8>(), prop::sample::select(br#"{}[]",:0e-.n\u"#.to_vec())],
        how in 0..3u8,
    ) {
        let bytes = testing::generate(signal, &mut Entropy::new(&entropy));
        let data = corten_pdata::Data::parse(signal, bytes.into()).unwrap();
        let mut json = Vec::new();
        data.to_json(&mut json).unwrap();
        let place = place.index(json.len());
        match how {
            0 => json.truncate(place),
            1 => json.insert(place, value),
            _ => json[place] = value,
        }
        testing::check_json_input(signal, &json);
    }
}
