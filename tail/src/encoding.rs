//! Texts that are not UTF-8.

use encoding_rs::{DecoderResult, UTF_16BE, UTF_16LE};

/// How the text of files is encoded. Bodies of records are UTF-8 whatever it is; what can't be decoded becomes U+FFFD. Without an encoding
/// bytes are passed on as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding(&'static encoding_rs::Encoding);

impl Encoding {
    /// The encoding of a name of the IANA registry or the WHATWG standard (`utf-16le`, `latin1`, `windows-1252`, `big5`,
    /// `shift_jis`, …). `Some(None)` when nothing has to be decoded (`utf-8`, `utf-8-raw`, `ascii`, `nop`, empty);
    /// `None` for a name that is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Option<Self>> {
        let lower = name.trim().to_ascii_lowercase();
        if matches!(
            lower.as_str(),
            "" | "nop" | "utf-8" | "utf8" | "utf-8-raw" | "ascii" | "us-ascii"
        ) {
            return Some(None);
        }
        let label = match lower.as_str() {
            // The standard knows them by other names.
            "utf16" => "utf-16",
            "utf16le" => "utf-16le",
            "utf16be" => "utf-16be",
            "iso_8859-1" | "iso-8859-1" => "latin1",
            other => other,
        };
        let found = encoding_rs::Encoding::for_label_no_replacement(label.as_bytes())?;
        Some((found != encoding_rs::UTF_8).then_some(Self(found)))
    }

    /// Two bytes make a newline, and in which order they stand.
    pub(crate) fn wide(self) -> Option<Wide> {
        match self.0 {
            encoding if encoding == UTF_16LE => Some(Wide::Little),
            encoding if encoding == UTF_16BE => Some(Wide::Big),
            _ => None,
        }
    }

    /// At most how many of these bytes don't end within a character, beginning at the end.
    pub(crate) fn cut(self, bytes: &[u8]) -> usize {
        let mut room = [0u16; 64];
        // The longest character has four bytes; what is before is decoded only as far back as it takes to be in step again.
        let from = bytes.len().saturating_sub(16) & !1;
        let tail = bytes.get(from..).unwrap_or_default();
        (0..4.min(tail.len()))
            .find(|back| {
                let whole = tail.get(..tail.len() - back).unwrap_or_default();
                let mut decoder = self.0.new_decoder_without_bom_handling();
                let (result, read, _) =
                    decoder.decode_to_utf16_without_replacement(whole, &mut room, true);
                result == DecoderResult::InputEmpty && read == whole.len()
            })
            .map_or(bytes.len(), |back| bytes.len() - back)
    }

    /// Decodes to UTF-8. `first` says that the bytes begin a file.
    pub(crate) fn decode(self, mut bytes: &[u8], first: bool, into: &mut String) {
        if first
            && let Some((mark, len)) = encoding_rs::Encoding::for_bom(bytes)
            && mark == self.0
        {
            bytes = bytes.get(len..).unwrap_or_default();
        }
        into.clear();
        let mut decoder = self.0.new_decoder_without_bom_handling();
        let most = decoder
            .max_utf8_buffer_length(bytes.len())
            .unwrap_or(bytes.len());
        into.reserve(most);
        let _all = decoder.decode_to_string(bytes, into, true);
    }
}

/// The order of the two bytes of UTF-16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wide {
    Little,
    Big,
}

impl Wide {
    /// Where the first unit of this (ASCII) value is; `bytes` begin with a unit.
    pub(crate) fn find(self, byte: u8, bytes: &[u8]) -> Option<usize> {
        memchr::memchr_iter(byte, bytes).find_map(|at| {
            let (start, other) = match self {
                Self::Little => (at, at + 1),
                Self::Big => (at.checked_sub(1)?, at.checked_sub(1)?),
            };
            (start % 2 == 0 && bytes.get(other) == Some(&0)).then_some(start)
        })
    }

    pub(crate) fn ends_with(self, byte: u8, bytes: &[u8]) -> bool {
        match self {
            Self::Little => bytes.ends_with(&[byte, 0]),
            Self::Big => bytes.ends_with(&[0, byte]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(name: &str) -> Encoding {
        Encoding::named(name).unwrap().unwrap()
    }

    fn decoded(name: &str, bytes: &[u8], first: bool) -> String {
        let mut text = String::new();
        named(name).decode(bytes, first, &mut text);
        text
    }

    #[test]
    fn names() {
        for name in ["", "utf-8", "UTF8", "nop", "utf-8-raw", "us-ascii"] {
            assert_eq!(Encoding::named(name), Some(None), "{name}");
        }
        for name in [
            "utf-16le",
            "UTF-16BE",
            "utf16",
            "latin1",
            "iso-8859-1",
            "windows-1252",
            "big5",
            "shift_jis",
            "gbk",
            "gb18030",
            "euc-kr",
            "koi8-r",
            "iso-8859-15",
            "macintosh",
        ] {
            assert!(matches!(Encoding::named(name), Some(Some(_))), "{name}");
        }
        assert_eq!(Encoding::named("klingon"), None);
    }

    #[test]
    fn texts() {
        assert_eq!(decoded("latin1", b"caf\xE9", true), "caf\u{E9}");
        assert_eq!(decoded("utf-16le", b"\xFF\xFEh\0i\0", true), "hi");
        assert_eq!(decoded("utf-16le", b"\xFF\xFEh\0i\0", false), "\u{FEFF}hi");
        assert_eq!(
            decoded("utf-16be", b"\0h\xD8\x3D\xDE\x00", false),
            "h\u{1F600}"
        );
        assert_eq!(decoded("utf-16le", b"h\0\x00\xD8", false), "h\u{FFFD}");
        assert_eq!(decoded("big5", b"\xA4\xA4", false), "\u{4E2D}");
    }

    #[test]
    fn cuts_spare_characters() {
        assert_eq!(named("utf-16le").cut(b"h\0\x3D\xD8\x00\xDE"), 6);
        assert_eq!(named("utf-16le").cut(b"h\0\x3D\xD8"), 2);
        assert_eq!(named("utf-16le").cut(b"h\0i"), 2);
        assert_eq!(named("big5").cut(b"a\xA4\xA4"), 3);
        assert_eq!(named("big5").cut(b"a\xA4"), 1);
        assert_eq!(named("latin1").cut(b"\xFF\xFE"), 2);
    }

    proptest! {
        #[test]
        fn newlines_are_found_in_step(units in prop::collection::vec(prop_oneof![Just(0x0Au16), Just(0x0A00), Just(0x0A0A), any::<u16>()], 0..40), big in any::<bool>()) {
            let (wide, bytes): (_, Vec<u8>) = if big {
                (Wide::Big, units.iter().flat_map(|unit| unit.to_be_bytes()).collect())
            } else {
                (Wide::Little, units.iter().flat_map(|unit| unit.to_le_bytes()).collect())
            };
            let expected = units.iter().position(|unit| *unit == 0x0A).map(|at| at * 2);
            prop_assert_eq!(wide.find(b'\n', &bytes), expected);
        }
    }
}
