//! The properties that hold for any bytes, for the property tests and the fuzz targets.

#![expect(clippy::expect_used, reason = "properties panic when they do not hold")]

use std::path::Path;

use corten_storage::{Checkpoint, Directory};

use crate::container::{Format, Parser};
use crate::encoding::Encoding;
use crate::frame::{Frames, Split};
use crate::multiline::Multiline;
use crate::positions;

/// Numbers out of the first bytes.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn next(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        usize::from(*first)
    }
}

/// However a text arrives, its lines are those of the whole, and none is longer than the limit. The first bytes choose how it is taken apart and
/// where reads end.
pub fn check_framing(bytes: &[u8]) {
    let mut numbers = Numbers(bytes);
    let limit = 4 + numbers.next() % 32;
    let (encoding, multiline) = match numbers.next() % 8 {
        0 => (Encoding::named("utf-16le").flatten(), None),
        1 => (Encoding::named("utf-16be").flatten(), None),
        2 => (Encoding::named("shift_jis").flatten(), None),
        3 => (None, Multiline::line_start("^[a-z]", false).ok()),
        4 => (None, Multiline::line_start(r"\[", true).ok()),
        5 => (None, Multiline::line_end(";$", false).ok()),
        _ => (None, None),
    };
    let cuts: Vec<usize> = (0..numbers.next() % 8)
        .map(|_| numbers.next() * 256 + numbers.next())
        .collect();
    let text = numbers.0;
    let split = Split {
        limit,
        encoding,
        multiline: multiline.as_ref(),
        last: false,
    };
    let mut whole = Frames::new(text, 0, split);
    let expected: Vec<_> = whole.by_ref().collect();
    for frame in &expected {
        assert!(frame.text.len() <= limit, "{frame:?}");
        assert!(frame.text.end <= frame.next && frame.next <= text.len());
    }
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    ends.push(text.len());
    ends.sort_unstable();
    let (mut at, mut found) = (0, Vec::new());
    for end in ends {
        let mut frames = Frames::new(text.get(..end).unwrap_or_default(), at, split);
        found.extend(frames.by_ref());
        at = frames.at();
    }
    assert_eq!(found, expected);
    assert_eq!(at, whole.at());
    // Nothing is left behind the rest, and skipping ends.
    let mut last = Frames::new(
        text,
        at,
        Split {
            last: true,
            ..split
        },
    );
    while last.next().is_some() {}
    last.rest();
    assert_eq!(last.at(), text.len());
    let mut skipped = Frames::new(text, 0, split);
    let mut before = None;
    while skipped.skip_line() && before != Some(skipped.at()) {
        before = Some(skipped.at());
    }
}

/// Lines of container runtimes: what was parsed before changes nothing, and a message is the end of its line.
pub fn check_container(bytes: &[u8]) {
    let mut reused = Parser::new(Format::Auto);
    for line in bytes.split(|byte| *byte == b'\n') {
        let mut fresh = Parser::new(Format::Auto);
        let parsed = reused.parse(line);
        assert_eq!(parsed, fresh.parse(line));
        if let Some(parsed) = parsed.filter(|parsed| parsed.tag.is_some()) {
            assert!(line.ends_with(parsed.message));
            assert_eq!(
                parsed.partial,
                parsed
                    .tag
                    .is_some_and(|tag| tag.first() == Some(&b'P')
                        && tag.get(1).is_none_or(|byte| *byte == b':'))
            );
        }
        Parser::new(Format::Cri).parse(line);
        Parser::new(Format::Docker).parse(line);
    }
}

/// Two checkpoints in `directory`, damaged as the bytes say: one of them is read or none, never another.
pub fn check_recovery(directory: &Path, bytes: &[u8]) {
    // What is read is written again the same.
    if let Ok(saved) = positions::read(bytes) {
        let mut writer = positions::Writer::new(saved.at);
        for entry in &saved.entries {
            writer.entry(entry.stream.as_os_str(), &entry.name, &entry.state);
        }
        assert_eq!(positions::read(&writer.finish()), Ok(saved));
    }

    let open = || Directory::open(directory, "fuzz").expect("a directory");
    let names = ["positions.a", "positions.b"].map(|name| directory.join(name));
    for name in &names {
        if name.exists() {
            std::fs::remove_file(name).expect("to remove what was before");
        }
    }
    let mut numbers = Numbers(bytes);
    let states = [vec![1; numbers.next()], vec![2; 1 + numbers.next()]];
    let (mut checkpoint, _) = Checkpoint::open(open(), "positions");
    for state in &states {
        checkpoint.save(state).expect("to save");
    }
    drop(checkpoint);
    let mut damaged = [false; 2];
    for _ in 0..numbers.next() % 6 {
        let which = numbers.next() % 2;
        let Some((name, damaged)) = names.get(which).zip(damaged.get_mut(which)) else {
            continue;
        };
        *damaged = true;
        let mut content = std::fs::read(name).expect("what was saved");
        let at = numbers.next() % (content.len() + 1);
        match numbers.next() % 3 {
            0 => content.truncate(at),
            1 => content.extend(std::iter::repeat_n(0, at)),
            _ => {
                if let Some(byte) = content.get_mut(at) {
                    *byte = byte.wrapping_add(1 | u8::try_from(numbers.next()).unwrap_or(1));
                }
            }
        }
        std::fs::write(name, content).expect("to write");
    }
    let (_, loaded) = Checkpoint::open(open(), "positions");
    let intact = loaded.bytes.is_empty() || states.contains(&loaded.bytes);
    assert!(intact, "{:?}", loaded.outcome);
    if damaged == [false, false] {
        assert_eq!(states.last(), Some(&loaded.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn framing(head in any::<[u8; 20]>(), text in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b';'), Just(b'['), Just(b'a'), Just(0), any::<u8>()], 0..200)) {
            check_framing(&[&head[..], &text].concat());
        }

        #[test]
        fn container(lines in prop::collection::vec("(20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,10})?(Z|[+-][0-9]{2}:[0-9]{2}) std(out|err) [FP](:x)? [ -~]{0,20}|\\{\"log\":\"[ -~]{0,9}\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00Z\"\\}|.{0,40})", 0..6)) {
            check_container(lines.join("\n").as_bytes());
        }
    }

    #[test]
    fn recovery() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = proptest::test_runner::Config::with_cases(64);
        proptest!(config, |(bytes in prop::collection::vec(any::<u8>(), 0..40))| {
            check_recovery(directory.path(), &bytes);
        });
    }
}
