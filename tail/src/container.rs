//! The lines that container runtimes write: CRI (containerd, CRI-O) and docker's JSON.

mod docker;
pub mod path;
mod timestamp;

pub use path::ContainerPath;
pub use timestamp::Timestamps;

/// Which format the lines have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Docker when a line begins with `{`, else CRI; decided line by line.
    #[default]
    Auto,
    /// `<time> <stdout|stderr> <tags> <message>`, as containerd and CRI-O write it (they differ in the time's zone only).
    Cri,
    /// `{"log":"…\n","stream":"stdout","time":"…"}`
    Docker,
}

/// Which of its outputs a container wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StdStream {
    /// `stdout`
    Stdout,
    /// `stderr`
    Stderr,
}

impl StdStream {
    /// `stdout` or `stderr`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    fn parse(name: &[u8]) -> Option<Self> {
        match name {
            b"stdout" => Some(Self::Stdout),
            b"stderr" => Some(Self::Stderr),
            _ => None,
        }
    }
}

/// One line of a container's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerLine<'a> {
    /// Nanoseconds since 1970.
    pub time: u64,
    /// Where it was written to.
    pub stream: StdStream,
    /// CRI's tags (`F`, `P`, perhaps more after a `:`); `None` for docker.
    pub tag: Option<&'a [u8]>,
    /// The rest of the message follows in the next line of the same stream.
    pub partial: bool,
    /// What the container wrote, without the newline.
    pub message: &'a [u8],
}

/// Parses lines, remembering what one line shares with the next.
#[derive(Debug, Default)]
pub struct Parser {
    format: Format,
    timestamps: Timestamps,
    scratch: Vec<u8>,
}

impl Parser {
    /// Parses lines of `format`.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            format,
            ..Self::default()
        }
    }

    /// Parses one line (without its newline). `None` when it isn't of the format.
    pub fn parse<'a>(&'a mut self, line: &'a [u8]) -> Option<ContainerLine<'a>> {
        let docker = match self.format {
            Format::Auto => line.first() == Some(&b'{'),
            Format::Cri => false,
            Format::Docker => true,
        };
        if docker {
            let line = docker::parse(line, &mut self.scratch)?;
            let (message, partial) = match line.log.strip_suffix(b"\n") {
                Some(message) => (message, false),
                None => (line.log, true),
            };
            let time = self.timestamps.parse(line.time)?;
            Some(ContainerLine {
                time,
                stream: line.stream,
                tag: None,
                partial,
                message,
            })
        } else {
            cri(line, &mut self.timestamps)
        }
    }
}

fn cri<'a>(line: &'a [u8], timestamps: &mut Timestamps) -> Option<ContainerLine<'a>> {
    let (time, rest) = match timestamps.leading(line) {
        Some(read) => read,
        None => {
            // The longest time has 35 characters.
            let space = memchr::memchr(b' ', line.get(..40).unwrap_or(line))?;
            let (time, rest) = line.split_at_checked(space)?;
            (timestamps.parse(time)?, rest.get(1..)?)
        }
    };
    let (stream, rest) = match rest.split_first_chunk::<7>()? {
        (b"stdout ", rest) => (StdStream::Stdout, rest),
        (b"stderr ", rest) => (StdStream::Stderr, rest),
        _ => return None,
    };
    let (tag, message) = match rest {
        [tag @ (b'F' | b'P'), b' ', message @ ..] => (std::slice::from_ref(tag), message),
        _ => match memchr::memchr(b' ', rest).and_then(|space| rest.split_at_checked(space)) {
            Some((tag, message)) => (tag, message.get(1..).unwrap_or_default()),
            None => (rest, rest.get(rest.len()..).unwrap_or_default()),
        },
    };
    // Tags are separated by colons, the first is the only one that is defined.
    let partial = matches!(tag, [b'P'] | [b'P', b':', ..]);
    Some(ContainerLine {
        time,
        stream,
        tag: Some(tag),
        partial,
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(format: Format, line: &str) -> Option<(u64, &'static str, String, bool, String)> {
        let mut parser = Parser::new(format);
        let line = parser.parse(line.as_bytes())?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Some((
            line.time,
            line.stream.as_str(),
            text(line.tag.unwrap_or_default()),
            line.partial,
            text(line.message),
        ))
    }

    const NEW_YEAR: u64 = 1_767_225_600_000_000_000;

    #[test]
    fn containerd_and_crio() {
        for (line, expected) in [
            (
                "2026-01-01T00:00:00.000000001Z stdout F hello world",
                (1, "stdout", "F", false, "hello world"),
            ),
            (
                "2026-01-01T00:00:00.000000001Z stderr P part",
                (1, "stderr", "P", true, "part"),
            ),
            (
                "2026-01-01T02:00:00.000000001+02:00 stdout F crio",
                (1, "stdout", "F", false, "crio"),
            ),
            (
                "2026-01-01T00:00:00Z stdout F ",
                (0, "stdout", "F", false, ""),
            ),
            (
                "2026-01-01T00:00:00Z stdout F",
                (0, "stdout", "F", false, ""),
            ),
            (
                "2026-01-01T00:00:00Z stdout F  two spaces ",
                (0, "stdout", "F", false, " two spaces "),
            ),
            (
                "2026-01-01T00:00:00Z stdout P:tag more",
                (0, "stdout", "P:tag", true, "more"),
            ),
            (
                "2026-01-01T00:00:00Z stdout F {\"a\":1}",
                (0, "stdout", "F", false, "{\"a\":1}"),
            ),
        ] {
            let (nanos, stream, tag, partial, message) = expected;
            let expected = (
                NEW_YEAR + nanos,
                stream,
                tag.to_owned(),
                partial,
                message.to_owned(),
            );
            assert_eq!(parsed(Format::Auto, line), Some(expected.clone()), "{line}");
            assert_eq!(parsed(Format::Cri, line), Some(expected), "{line}");
            assert_eq!(parsed(Format::Docker, line), None, "{line}");
        }
    }

    #[test]
    fn docker() {
        let line = r#"{"log":"say \"hi\"\n","stream":"stdout","time":"2026-01-01T00:00:00.5Z"}"#;
        let expected = (
            NEW_YEAR + 500_000_000,
            "stdout",
            String::new(),
            false,
            "say \"hi\"".to_owned(),
        );
        assert_eq!(parsed(Format::Auto, line), Some(expected));
        let line = r#"{"log":"half","stream":"stderr","time":"2026-01-01T00:00:00Z"}"#;
        let expected = (NEW_YEAR, "stderr", String::new(), true, "half".to_owned());
        assert_eq!(parsed(Format::Docker, line), Some(expected));
        assert_eq!(parsed(Format::Cri, line), None);
    }

    #[test]
    fn what_no_runtime_writes_is_refused() {
        for line in [
            "",
            "plain text",
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00Z stdin F x",
            "2026-01-01T00:00:00Z stdoutF x",
            "yesterday stdout F x",
            " stdout F x",
            "{\"log\":\"x\"}",
        ] {
            assert_eq!(parsed(Format::Auto, line), None, "{line}");
        }
    }

    /// The container operator's expressions, read literally.
    fn slow(line: &str) -> Option<(String, String, String, String)> {
        let mut words = line.splitn(3, ' ');
        let (time, stream, rest) = (words.next()?, words.next()?, words.next()?);
        if !matches!(stream, "stdout" | "stderr") {
            return None;
        }
        let (tag, log) = rest.split_once(' ').unwrap_or((rest, ""));
        let time = time.parse::<jiff::Timestamp>().ok()?.as_nanosecond();
        let time = u64::try_from(time).ok()?;
        Some((
            time.to_string(),
            stream.to_owned(),
            tag.to_owned(),
            log.to_owned(),
        ))
    }

    proptest! {
        #[test]
        fn cri_agrees_with_the_slow_reading(
            time in prop_oneof![
                "20[0-9]{2}-0[1-9]-[12][0-9]T[01][0-9]:[0-5][0-9]:[0-5][0-9]\\.[0-9]{1,9}(Z|[+-]0[0-9]:30)",
                "[0-9TZ:+-]{1,12}",
            ],
            stream in prop_oneof![Just("stdout"), Just("stderr"), Just("std"), Just("")],
            tag in "[FP]?(:[a-z]+)?",
            message in prop::option::of("[ -~]{0,30}"),
        ) {
            let line = match message {
                Some(message) => format!("{time} {stream} {tag} {message}"),
                None => format!("{time} {stream} {tag}"),
            };
            let fast = parsed(Format::Cri, &line).map(|(time, stream, tag, _, message)| {
                (time.to_string(), stream.to_owned(), tag, message)
            });
            prop_assert_eq!(fast, slow(&line));
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            Parser::default().parse(&bytes);
        }
    }
}
