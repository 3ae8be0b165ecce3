//! What is known to be UTF-8.

/// The complete lines of a buffer, when all of them are UTF-8: looked at once, where a look at each line takes three times
/// as long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// The lines of `buffer` that are complete.
    pub(crate) fn of(buffer: &'a [u8]) -> Self {
        let end = memchr::memrchr(b'\n', buffer).unwrap_or(0);
        let lines = buffer.get(..end).unwrap_or_default();
        Self(simdutf8::basic::from_utf8(lines).unwrap_or_default())
    }

    /// A part of the buffer as text; `None` when it is none, or when nobody knows.
    #[inline]
    pub(crate) fn part(self, part: &[u8]) -> Option<&'a str> {
        // Where it is in memory says where in the text it is. What is elsewhere lies before it or beyond its end.
        let start = part.as_ptr().addr().checked_sub(self.0.as_ptr().addr())?;
        self.0.get(start..start.checked_add(part.len())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_of_complete_lines_are_text() {
        let buffer = "one\ngrüße\nincomplete".as_bytes();
        let text = Text::of(buffer);
        assert_eq!(text.part(&buffer[..3]), Some("one"));
        assert_eq!(text.part(&buffer[4..11]), Some("grüße"));
        assert_eq!(text.part(&buffer[4..7]), None, "half a character");
        assert_eq!(text.part(&buffer[12..15]), None);
        assert_eq!(text.part(b"one"), None, "it is elsewhere");
        assert_eq!(Text::of(b"\xff\ngood\n").part(b"good"), None);
    }

    proptest! {
        #[test]
        fn a_part_is_what_it_was(buffer in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'a'), any::<u8>()], 0..100), at in 0..100_usize, len in 0..100_usize) {
            if let Some(part) = buffer.get(at..at + len)
                && let Some(text) = Text::of(&buffer).part(part)
            {
                prop_assert_eq!(text.as_bytes(), part);
            }
        }
    }
}
