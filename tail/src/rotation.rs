//! What rotated files are called.

use std::cmp::{Ordering, Reverse};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// The name that a compressed file had before: `0.log.1.gz` → `0.log.1`.
pub(crate) fn unpacked(name: &OsStr) -> Option<&OsStr> {
    let plain = name.as_bytes().strip_suffix(b".gz")?;
    (!plain.is_empty()).then(|| OsStr::from_bytes(plain))
}

/// Whether `name` is what `base` is called after a rotation: the same with a counter or a time behind it
/// (`0.log.20260101-000000`, `app.log.1`, `app.log-20260101`, `app.log.old`), perhaps compressed (`.gz`).
pub(crate) fn is_rotation(base: &OsStr, name: &OsStr) -> bool {
    let name = unpacked(name).unwrap_or(name);
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

/// Sorts the rotated files of a base from old to new. A counter counts from new to old, a date the other way round.
/// Only where the names are of different kinds their time stamps say more: that of a compressed file may be the
/// time when it was compressed. `of` gives name and time stamp.
pub(crate) fn sort<T>(base: &OsStr, files: &mut [T], of: impl Fn(&T) -> (&OsStr, i64)) {
    let comparable = files
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if compare(base, of(a).0, of(b).0).is_some()));
    files.sort_by(|a, b| {
        let by_name = Age::of(base, of(a).0).cmp(&Age::of(base, of(b).0));
        match comparable {
            true => by_name,
            false => of(a).1.cmp(&of(b).1).then(by_name),
        }
    });
}

/// Which of two rotated files of a base is the older, as far as their names tell.
pub(crate) fn compare(base: &OsStr, a: &OsStr, b: &OsStr) -> Option<Ordering> {
    Age::of(base, a).compare(&Age::of(base, b))
}

/// How old the name says that a rotated file is.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Age<'a> {
    Counted(Reverse<u32>),
    Dated(&'a [u8]),
    Named(&'a [u8]),
}

impl<'a> Age<'a> {
    fn of(base: &OsStr, name: &'a OsStr) -> Self {
        let suffix = suffix(base, name);
        let counter = std::str::from_utf8(suffix)
            .ok()
            .filter(|text| text.len() < 5)
            .and_then(|text| text.parse().ok());
        match counter {
            Some(counter) => Self::Counted(Reverse(counter)),
            None if suffix.first().is_some_and(u8::is_ascii_digit) => Self::Dated(suffix),
            None => Self::Named(suffix),
        }
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Counted(_), Self::Counted(_)) | (Self::Dated(_), Self::Dated(_)) => {
                Some(self.cmp(other))
            }
            _ => None,
        }
    }
}

fn suffix<'a>(base: &OsStr, name: &'a OsStr) -> &'a [u8] {
    let name = unpacked(name).unwrap_or(name);
    name.as_bytes().get(base.len() + 1..).unwrap_or_default()
}

/// The names that a rotated file may have had before, the shortest first.
pub(crate) fn bases(name: &OsStr) -> impl Iterator<Item = &OsStr> {
    let bytes = unpacked(name).unwrap_or(name).as_bytes();
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
            "0.log.20260101-000000.gz",
            "0.log.1.gz",
        ] {
            assert!(rotated("0.log", name), "{name}");
        }
        for name in [
            "0.log",
            "0.log.gz",
            "0.log.20260101-000000.tmp",
            "0.log.20260101-000000.gz.tmp",
            "0.log.gz.1.zst",
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
        assert_eq!(of("app.log.1.gz"), ["app.log"]);
        assert_eq!(of("app.log.old"), ["app.log"]);
        assert!(of("app.log").is_empty());
        assert!(of(".1").is_empty());
    }

    #[test]
    fn counters_count_backwards_and_dates_do_not() {
        let sorted = |files: &[(&'static str, i64)]| -> Vec<&str> {
            let mut files = files.to_vec();
            sort(OsStr::new("a.log"), &mut files, |(name, time)| {
                (OsStr::new(*name), *time)
            });
            files.into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(
            sorted(&[("a.log.2.gz", 9), ("a.log.10.gz", 8), ("a.log.1", 1)]),
            ["a.log.10.gz", "a.log.2.gz", "a.log.1"]
        );
        assert_eq!(
            sorted(&[
                ("a.log.20260102-000000", 1),
                ("a.log.20260101-000000.gz", 5),
                ("a.log.20260103-000000", 2)
            ]),
            [
                "a.log.20260101-000000.gz",
                "a.log.20260102-000000",
                "a.log.20260103-000000"
            ]
        );
        assert_eq!(
            sorted(&[("a.log.old", 7), ("a.log.2", 3), ("a.log.1", 3)]),
            ["a.log.2", "a.log.1", "a.log.old"]
        );
    }
}
