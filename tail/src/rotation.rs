//! What rotated files are called.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Whether `name` is what `base` is called after a rotation: the same with a counter or a time behind it
/// (`0.log.20260101-000000`, `app.log.1`, `app.log-20260101`, `app.log.old`), not compressed.
pub(crate) fn is_rotation(base: &OsStr, name: &OsStr) -> bool {
    let Some(suffix) = name.as_bytes().strip_prefix(base.as_bytes()) else {
        return false;
    };
    match suffix.split_first() {
        Some((b'.' | b'-' | b'_', rest)) => {
            matches!(rest, b"old" | b"bak" | b"prev")
                || (rest.first().is_some_and(u8::is_ascii_digit)
                    && rest.iter().all(|byte| {
                        byte.is_ascii_digit()
                            || matches!(byte, b'-' | b'_' | b'.' | b':' | b'T' | b'Z' | b'+')
                    }))
        }
        _ => false,
    }
}

/// Orders the rotated names of a base from old to new where the time stamps of the files do not: a counter counts
/// from new to old, a date the other way round.
pub(crate) fn age_of(base: &OsStr, name: &OsStr) -> (i64, OsString) {
    let suffix = name.as_bytes().get(base.len() + 1..).unwrap_or_default();
    let counter = std::str::from_utf8(suffix)
        .ok()
        .filter(|text| text.len() < 5);
    let counter = counter.and_then(|text| text.parse::<i64>().ok());
    (counter.map_or(0, |counter| -counter), name.to_owned())
}

/// The names that a rotated file may have had before, the shortest first.
pub(crate) fn bases(name: &OsStr) -> impl Iterator<Item = &OsStr> {
    let bytes = name.as_bytes();
    bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| matches!(byte, b'.' | b'-' | b'_'))
        .filter_map(move |(at, _)| bytes.get(..at).map(OsStr::from_bytes))
        .filter(move |base| !base.is_empty() && is_rotation(base, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_names() {
        let rotated = |base: &str, name: &str| is_rotation(OsStr::new(base), OsStr::new(name));
        for name in [
            "0.log.20260101-000000",
            "0.log.1",
            "0.log-20260101",
            "0.log.old",
        ] {
            assert!(rotated("0.log", name), "{name}");
        }
        for name in [
            "0.log",
            "0.log.gz",
            "0.log.20260101-000000.gz",
            "0.log.20260101-000000.tmp",
            "0.log.swp",
            "0.log.lock",
            "0.log1",
            "10.log",
            "0.log.",
        ] {
            assert!(!rotated("0.log", name), "{name}");
        }
    }

    #[test]
    fn names_before_the_rotation() {
        let of = |name: &str| -> Vec<String> {
            bases(OsStr::new(name))
                .map(|base| base.to_string_lossy().into_owned())
                .collect()
        };
        assert_eq!(of("0.log.20260101-000000"), ["0.log", "0.log.20260101"]);
        assert_eq!(of("app.log.1"), ["app.log"]);
        assert_eq!(of("app.log.old"), ["app.log"]);
        assert!(of("app.log").is_empty());
        assert!(of(".1").is_empty());
    }

    #[test]
    fn counters_count_backwards_and_dates_do_not() {
        let mut names = ["a.log.2", "a.log.10", "a.log.1"];
        names.sort_by_key(|name| age_of(OsStr::new("a.log"), OsStr::new(name)));
        assert_eq!(names, ["a.log.10", "a.log.2", "a.log.1"]);
        let mut names = [
            "a.log.20260102-000000",
            "a.log.20260101-000000",
            "a.log.20260103-000000",
        ];
        names.sort_by_key(|name| age_of(OsStr::new("a.log"), OsStr::new(name)));
        assert_eq!(names[0], "a.log.20260101-000000");
        assert_eq!(names[2], "a.log.20260103-000000");
    }
}
