//! Pressure: how long processes waited for what the group lacked.

use super::pairs_of_words;
use crate::scan::{fields, lines, number};

/// Time in microseconds since the group was made, as the kernel's `Documentation/accounting/psi.rst`
/// defines it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// In which at least one of its processes waited.
    pub some: u64,
    /// In which all of them waited; absent for CPUs on older kernels.
    pub full: Option<u64>,
}

/// Lines `some avg10=0.00 avg60=0.00 avg300=0.00 total=17` and `full …`. `None` when there is no
/// first one.
pub(super) fn parse(text: &[u8]) -> Option<Pressure> {
    let mut some = None;
    let mut full = None;
    for (_, line) in lines(text) {
        let total =
            || pairs_of_words(line).find_map(|(name, value)| (name == b"total").then_some(value));
        match fields(line).next() {
            Some(b"some") => some = total().and_then(number),
            Some(b"full") => full = total().and_then(number),
            _ => {}
        }
    }
    Some(Pressure { some: some?, full })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn totals_are_found() {
        let text = b"some avg10=0.12 avg60=0.00 avg300=0.00 total=123456\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=99\n";
        assert_eq!(
            parse(text),
            Some(Pressure {
                some: 123_456,
                full: Some(99)
            })
        );
        assert_eq!(parse(b"some total=x\n"), None);
        assert_eq!(
            parse(b"some total=1\n"),
            Some(Pressure {
                some: 1,
                full: None
            })
        );
    }

    proptest! {
        #[test]
        fn nothing_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&text);
        }
    }
}
