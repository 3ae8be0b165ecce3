//! Where one message ends and the next begins (RFC 6587).

/// How messages are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A byte ends a message.
    Ended {
        /// Which.
        by: u8,
        /// What remains of a longer message.
        limit: usize,
    },
    /// A message begins with how many bytes it has; one that does not ends at a newline.
    Octets {
        /// What remains of a longer message.
        limit: usize,
    },
    /// All that comes is one message.
    Whole {
        /// What remains of a longer one.
        limit: usize,
    },
}

/// The digits of a count, at most.
const DIGITS: usize = 9;

/// A count that is none: what follows can't be told apart any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a message's length and a space; is it sent without octet counting?")]
pub(crate) struct NoFrame;

/// Cuts what comes into messages.
#[derive(Debug)]
pub(crate) struct Framer {
    framing: Framing,
    message: Vec<u8>,
    state: State,
    /// The message is longer than the limit.
    cut: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between messages.
    Between,
    /// In the digits of a count.
    Count { value: usize, digits: usize },
    /// So many bytes of a counted message are to come.
    Counted { left: usize },
    /// Up to this byte.
    Until(u8),
    /// Up to the end.
    Whole,
}

impl Framer {
    pub(crate) fn new(framing: Framing) -> Self {
        Self {
            framing,
            message: Vec::new(),
            state: State::Between,
            cut: false,
        }
    }

    fn limit(&self) -> usize {
        match self.framing {
            Framing::Ended { limit, .. } | Framing::Octets { limit } | Framing::Whole { limit } => {
                limit
            }
        }
    }

    /// Takes what came, and gives each message that is complete to `each`, with whether it was cut. Empty ones are none.
    pub(crate) fn feed(
        &mut self,
        mut chunk: &[u8],
        each: &mut impl FnMut(&[u8], bool),
    ) -> Result<(), NoFrame> {
        while let Some((&first, rest)) = chunk.split_first() {
            match self.state {
                State::Between => match self.framing {
                    Framing::Ended { by, .. } => self.state = State::Until(by),
                    Framing::Whole { .. } => self.state = State::Whole,
                    Framing::Octets { .. } => match first {
                        b'1'..=b'9' => {
                            self.state = State::Count {
                                value: 0,
                                digits: 0,
                            }
                        }
                        // Some senders end counted messages as well.
                        b'\n' | b'\r' | 0 => chunk = rest,
                        b'<' => self.state = State::Until(b'\n'),
                        _ => return Err(NoFrame),
                    },
                },
                State::Count { value, digits } => match first {
                    b'0'..=b'9' if digits < DIGITS => {
                        self.state = State::Count {
                            value: value * 10 + usize::from(first - b'0'),
                            digits: digits + 1,
                        };
                        chunk = rest;
                    }
                    b' ' => {
                        self.state = State::Counted { left: value };
                        chunk = rest;
                    }
                    _ => return Err(NoFrame),
                },
                State::Counted { left } => {
                    let (part, rest) = chunk.split_at_checked(left).unwrap_or((chunk, &[]));
                    self.append(part);
                    chunk = rest;
                    if part.len() == left {
                        self.give(each);
                    } else {
                        self.state = State::Counted {
                            left: left - part.len(),
                        };
                    }
                }
                State::Until(end) => match memchr::memchr(end, chunk) {
                    Some(at) => {
                        let (part, rest) = chunk.split_at(at);
                        self.append(part);
                        chunk = rest.get(1..).unwrap_or_default();
                        self.give(each);
                    }
                    None => {
                        self.append(chunk);
                        return Ok(());
                    }
                },
                State::Whole => {
                    self.append(chunk);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Nothing more comes: what there is is a message.
    pub(crate) fn end(&mut self, each: &mut impl FnMut(&[u8], bool)) {
        self.give(each);
    }

    fn append(&mut self, part: &[u8]) {
        let room = self.limit().saturating_sub(self.message.len());
        self.cut |= part.len() > room;
        self.message
            .extend_from_slice(part.get(..room).unwrap_or(part));
    }

    fn give(&mut self, each: &mut impl FnMut(&[u8], bool)) {
        if !self.message.is_empty() {
            each(&self.message, self.cut);
        }
        self.message.clear();
        // What one long message needed is not held by every connection for ever.
        self.message.shrink_to(16 << 10);
        self.cut = false;
        self.state = State::Between;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Found = (Vec<(String, bool)>, Result<(), NoFrame>);

    fn frames(framing: Framing, input: &[u8], sizes: &[usize]) -> Found {
        let mut framer = Framer::new(framing);
        let mut found = Vec::new();
        let mut each = |message: &[u8], cut: bool| {
            found.push((String::from_utf8_lossy(message).into_owned(), cut));
        };
        let mut rest = input;
        let mut sizes = sizes.iter().cycle();
        let mut outcome = Ok(());
        while !rest.is_empty() && outcome.is_ok() {
            let size = sizes
                .next()
                .map_or(rest.len(), |size| (*size).clamp(1, rest.len()));
            let (chunk, after) = rest.split_at(size);
            outcome = framer.feed(chunk, &mut each);
            rest = after;
        }
        if outcome.is_ok() {
            framer.end(&mut each);
        }
        (found, outcome)
    }

    fn whole(text: &str) -> (String, bool) {
        (text.to_owned(), false)
    }

    #[test]
    fn a_byte_ends_a_message() {
        let lines = Framing::Ended {
            by: b'\n',
            limit: 4,
        };
        assert_eq!(
            frames(lines, b"a\n\nbcdefg\nhi", &[100]).0,
            [whole("a"), ("bcde".to_owned(), true), whole("hi")]
        );
        let zeros = Framing::Ended { by: 0, limit: 100 };
        assert_eq!(
            frames(zeros, b"a\nb\0c\0", &[1]).0,
            [whole("a\nb"), whole("c")]
        );
    }

    #[test]
    fn counts_begin_a_message() {
        let octets = Framing::Octets { limit: 6 };
        assert_eq!(
            frames(
                octets,
                b"4 <1>a5 <1>b\n8 <1>cdefg<2>x\n3 <3>7 <1>cut",
                &[100]
            ),
            (
                vec![
                    whole("<1>a"),
                    whole("<1>b\n"),
                    ("<1>cde".to_owned(), true),
                    whole("<2>x"),
                    whole("<3>"),
                    whole("<1>cut")
                ],
                Ok(())
            )
        );
        for wrong in [b"x".as_slice(), b"12a", b"1234567890 x", b" 1 a"] {
            assert_eq!(frames(octets, wrong, &[100]).1, Err(NoFrame));
        }
    }

    #[test]
    fn all_may_be_one() {
        let one = Framing::Whole { limit: 100 };
        assert_eq!(frames(one, b"a\nb\0\n", &[2]).0, [whole("a\nb\0\n")]);
        assert!(frames(one, b"", &[2]).0.is_empty());
    }

    proptest! {
        #[test]
        fn reads_do_not_matter(
            input in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b' '), Just(b'<'), b'0'..=b'9', any::<u8>()], 0..120),
            sizes in prop::collection::vec(1usize..20, 1..8),
            limit in 1usize..30,
        ) {
            for framing in [Framing::Ended { by: b'\n', limit }, Framing::Octets { limit }, Framing::Whole { limit }] {
                prop_assert_eq!(frames(framing, &input, &sizes), frames(framing, &input, &[usize::MAX]));
            }
        }

        #[test]
        fn counted_messages_are_found(messages in prop::collection::vec("<[0-9]>[ -~\\n]{0,40}", 0..10), sizes in prop::collection::vec(1usize..20, 1..8)) {
            let input: String = messages.iter().map(|message| format!("{} {message}", message.len())).collect();
            let (found, outcome) = frames(Framing::Octets { limit: 100 }, input.as_bytes(), &sizes);
            prop_assert_eq!(outcome, Ok(()));
            prop_assert_eq!(found, messages.iter().map(|message| whole(message)).collect::<Vec<_>>());
        }
    }
}
