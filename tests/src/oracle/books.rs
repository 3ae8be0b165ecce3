//! What was written, what arrived, and the difference.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

/// How many of each kind are shown.
const EXAMPLES: usize = 5;
/// How long what arrived is remembered for [`Books::since`].
const MEMORY: Duration = Duration::from_secs(10);

/// A line as it has to arrive.
#[derive(Clone, Copy, Debug)]
pub struct Wrote {
    /// Bytes of the payload.
    pub len: usize,
    /// CRC32C of the payload.
    pub crc: u32,
    /// Nanoseconds since 1970.
    pub time: i128,
    /// Whether it went to stderr.
    pub err: bool,
}

/// A line as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The labels of its stream.
    pub labels: &'a str,
    /// Nanoseconds since 1970.
    pub time: i128,
    /// Whether it came from stderr.
    pub err: bool,
    /// What identifies the pod beside the labels, if that is sent.
    pub uid: Option<&'a str>,
    /// The line.
    pub line: &'a str,
}

#[derive(Debug)]
struct Line {
    wrote: Wrote,
    times: u32,
    /// Loki refused it for good, or nobody could have read it.
    excused: bool,
}

#[derive(Debug)]
struct File {
    labels: String,
    uid: String,
    lines: Vec<Line>,
    /// The last line that came for the first time, of stdout and of stderr.
    last: [Option<usize>; 2],
}

/// A line of which pieces came.
#[derive(Debug)]
struct Pieces {
    file: usize,
    seq: usize,
    crc: u32,
    len: usize,
}

/// The books.
#[derive(Debug, Default)]
pub struct Books {
    files: Vec<File>,
    pieces: BTreeMap<String, Pieces>,
    wanted: usize,
    have: usize,
    verdict: Verdict,
    arrived: VecDeque<(Instant, usize)>,
}

/// The difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Lines that were written.
    pub written: usize,
    /// Lines that never came.
    pub lost: usize,
    /// Lines that came once more, each time counted.
    pub duplicated: usize,
    /// Bytes of these.
    pub duplicated_bytes: usize,
    /// Lines that came for the first time after a later one of their file and stream (stdout or stderr).
    pub reordered: usize,
    /// Lines that are not what was written, or nothing that was ever written.
    pub corrupted: usize,
    /// Written lines that need not come: refused for good by Loki's own rules, or truncated away unread.
    pub excused: usize,
    /// Of these, the ones that came nevertheless.
    pub excused_came: usize,
    /// Some of each.
    pub examples: Vec<String>,
}

impl Books {
    /// A new log; answers its number.
    pub fn open(&mut self, labels: String, uid: String) -> usize {
        self.files.push(File {
            labels,
            uid,
            lines: Vec::new(),
            last: [None; 2],
        });
        self.files.len() - 1
    }

    /// The next sequence number of a log.
    #[must_use]
    pub fn next(&self, file: usize) -> usize {
        self.files[file].lines.len()
    }

    /// A line is about to be written. Answers its sequence number.
    pub fn wrote(&mut self, file: usize, wrote: Wrote) -> usize {
        let lines = &mut self.files[file].lines;
        lines.push(Line {
            wrote,
            times: 0,
            excused: false,
        });
        self.wanted += 1;
        self.verdict.written += 1;
        lines.len() - 1
    }

    /// The time that the line's record gets turned out to be another.
    pub fn wrote_at(&mut self, file: usize, seq: usize, time: i128) {
        self.files[file].lines[seq].wrote.time = time;
    }

    /// It went to stderr after all.
    pub fn went_to_stderr(&mut self, file: usize, seq: usize) {
        self.files[file].lines[seq].wrote.err = true;
    }

    /// This line need not come.
    pub fn excuse(&mut self, file: usize, seq: usize) {
        let line = &mut self.files[file].lines[seq];
        if !line.excused && line.times == 0 {
            line.excused = true;
            self.wanted -= 1;
        }
    }

    /// Whether this line has come.
    #[must_use]
    pub fn came(&self, file: usize, seq: usize) -> bool {
        self.files[file].lines[seq].times > 0
    }

    /// Which line this is, when it says so itself.
    #[must_use]
    pub fn which(line: &str) -> Option<(usize, usize)> {
        let head = Head::parse(line)?;
        Some((head.file, head.seq))
    }

    /// A line has arrived.
    pub fn received(&mut self, got: &Received<'_>) {
        let now = Instant::now();
        self.arrived.push_back((now, got.line.len()));
        while let Some((at, _)) = self.arrived.front()
            && now.duration_since(*at) > MEMORY
        {
            self.arrived.pop_front();
        }
        let stream = format!("{}{}", got.labels, got.err);
        let (file, seq, payload) = if let Some(head) = Head::parse(got.line) {
            if let Some(begun) = self.pieces.remove(&stream) {
                self.note(
                    |verdict| &mut verdict.corrupted,
                    || format!("line {} of log {} has no end", begun.seq, begun.file),
                );
            }
            (head.file, head.seq, head.payload)
        } else if let Some(begun) = self.pieces.get_mut(&stream) {
            begun.crc = crc32c::crc32c_append(begun.crc, got.line.as_bytes());
            begun.len += got.line.len();
            // The time of the last piece is that of the line's end.
            let (file, seq, crc, len) = (begun.file, begun.seq, begun.crc, begun.len);
            if len >= self.files[file].lines[seq].wrote.len {
                self.pieces.remove(&stream);
                self.whole(file, seq, crc, len, got.time);
            }
            return;
        } else {
            let line: String = got.line.chars().take(200).collect();
            let labels = got.labels.to_owned();
            self.note(
                |verdict| &mut verdict.corrupted,
                || format!("nobody wrote {line:?} to {labels}"),
            );
            return;
        };
        let wrong = match self
            .files
            .get(file)
            .map(|known| (known, known.lines.get(seq)))
        {
            Some((known, Some(line))) => {
                if known.labels != got.labels {
                    Some(format!("came as {}", got.labels))
                } else if got.uid.is_some_and(|uid| uid != known.uid) {
                    Some(format!("came as of the pod {:?}", got.uid))
                } else if line.wrote.err != got.err {
                    Some("came from the other stream".to_owned())
                } else {
                    None
                }
            }
            _ => Some("was never written".to_owned()),
        };
        if let Some(why) = wrong {
            self.note(
                |verdict| &mut verdict.corrupted,
                || format!("line {seq} of log {file} {why}"),
            );
            return;
        }
        let (crc, len) = (crc32c::crc32c(payload.as_bytes()), payload.len());
        if len < self.files[file].lines[seq].wrote.len {
            let begun = Pieces {
                file,
                seq,
                crc,
                len,
            };
            self.pieces.insert(stream, begun);
            return;
        }
        self.whole(file, seq, crc, len, got.time);
    }

    fn whole(&mut self, file: usize, seq: usize, crc: u32, len: usize, time: i128) {
        let known = &mut self.files[file];
        let line = &mut known.lines[seq];
        let wrote = line.wrote;
        if (len, crc, time) != (wrote.len, wrote.crc, wrote.time) {
            self.note(
                |verdict| &mut verdict.corrupted,
                || {
                    format!(
                        "line {seq} of log {file}: {len} bytes with crc {crc:08x} at {time}, written were {} with {:08x} at {}",
                        wrote.len, wrote.crc, wrote.time
                    )
                },
            );
            return;
        }
        line.times += 1;
        if line.times > 1 {
            self.verdict.duplicated_bytes += len;
            let times = line.times;
            self.note(
                |verdict| &mut verdict.duplicated,
                || format!("line {seq} of log {file} came {times} times"),
            );
            return;
        }
        if line.excused {
            self.verdict.excused_came += 1;
        } else {
            self.have += 1;
        }
        let last = &mut known.last[usize::from(wrote.err)];
        match *last {
            Some(later) if later > seq => self.note(
                |verdict| &mut verdict.reordered,
                || format!("line {seq} of log {file} came after line {later}"),
            ),
            _ => *last = Some(seq),
        }
    }

    fn note(
        &mut self,
        which: impl Fn(&mut Verdict) -> &mut usize,
        example: impl FnOnce() -> String,
    ) {
        let count = which(&mut self.verdict);
        *count += 1;
        if *count <= EXAMPLES {
            let example = example();
            self.verdict.examples.push(example);
        }
    }

    /// Lines that came for the first time.
    #[must_use]
    pub fn have(&self) -> usize {
        self.have
    }

    /// Lines that have to come.
    #[must_use]
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// Whether all lines have come but those of this log.
    #[must_use]
    pub fn complete_but(&self, file: usize) -> bool {
        let mut others = self.files.iter().enumerate().filter(|(at, _)| *at != file);
        others.all(|(_, other)| {
            other
                .lines
                .iter()
                .all(|line| line.excused || line.times > 0)
        })
    }

    /// Bytes that arrived within the last `span`, ten seconds at most.
    #[must_use]
    pub fn since(&self, span: Duration) -> usize {
        let now = Instant::now();
        let recent = |at: &Instant| now.duration_since(*at) <= span;
        let arrived = self.arrived.iter().filter(|(at, _)| recent(at));
        arrived.map(|(_, bytes)| bytes).sum()
    }

    /// The difference as of now.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let mut verdict = self.verdict.clone();
        for (number, file) in self.files.iter().enumerate() {
            let mut missing = Vec::new();
            for (seq, line) in file.lines.iter().enumerate() {
                verdict.excused += usize::from(line.excused);
                if line.times == 0 && !line.excused {
                    missing.push(seq);
                }
            }
            verdict.lost += missing.len();
            if !missing.is_empty() {
                let runs = missing.chunk_by(|a, b| a + 1 == *b);
                let runs: Vec<_> = runs
                    .map(|run| format!("{}..={}", run[0], run[run.len() - 1]))
                    .collect();
                verdict.examples.push(format!(
                    "log {number} ({}): {} of {} lines are lost: {}",
                    file.labels,
                    missing.len(),
                    file.lines.len(),
                    runs.join(", ")
                ));
            }
        }
        for begun in self.pieces.values() {
            verdict.corrupted += 1;
            verdict.examples.push(format!(
                "line {} of log {} has no end: {} bytes came",
                begun.seq, begun.file, begun.len
            ));
        }
        verdict
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} written: {} lost, {} corrupted, {} reordered, {} duplicated ({} bytes), {} excused ({} of them came)",
            self.written,
            self.lost,
            self.corrupted,
            self.reordered,
            self.duplicated,
            self.duplicated_bytes,
            self.excused,
            self.excused_came
        )?;
        for example in &self.examples {
            write!(f, "\n  {example}")?;
        }
        Ok(())
    }
}

/// The beginning of a line: `run=1 file=2 seq=3 len=4 crc=0000000a `.
struct Head<'a> {
    file: usize,
    seq: usize,
    payload: &'a str,
}

impl<'a> Head<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut parts = line.splitn(6, ' ');
        let mut field = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix('=');
        field("run")?;
        let file = field("file")?.parse().ok()?;
        let seq = field("seq")?.parse().ok()?;
        field("len")?;
        field("crc")?;
        let payload = parts.next()?;
        Some(Self { file, seq, payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books(lines: usize) -> Books {
        let mut books = Books::default();
        let file = books.open("{a=\"b\"}".to_owned(), "uid".to_owned());
        for at in 0..lines {
            let wrote = Wrote {
                len: 7,
                crc: crc32c::crc32c(b"payload"),
                time: i128::try_from(at).unwrap(),
                err: false,
            };
            books.wrote(file, wrote);
        }
        books
    }

    fn line(seq: usize) -> String {
        format!("run=1 file=0 seq={seq} len=7 crc=00000000 payload")
    }

    fn give(books: &mut Books, seq: usize, line: &str) {
        books.received(&Received {
            labels: "{a=\"b\"}",
            time: i128::try_from(seq).unwrap(),
            err: false,
            uid: Some("uid"),
            line,
        });
    }

    fn counts(books: &Books) -> (usize, usize, usize, usize) {
        let verdict = books.verdict();
        (
            verdict.lost,
            verdict.duplicated,
            verdict.reordered,
            verdict.corrupted,
        )
    }

    #[test]
    fn all_is_well() {
        let mut books = books(3);
        (0..3).for_each(|seq| give(&mut books, seq, &line(seq)));
        assert_eq!(counts(&books), (0, 0, 0, 0));
        assert_eq!((books.have(), books.wanted()), (3, 3));
    }

    #[test]
    fn a_hole_is_a_loss() {
        let mut books = books(3);
        [0, 2]
            .iter()
            .for_each(|seq| give(&mut books, *seq, &line(*seq)));
        assert_eq!(counts(&books), (1, 0, 0, 0));
    }

    #[test]
    fn a_missing_end_is_a_loss() {
        let mut books = books(3);
        [0, 1]
            .iter()
            .for_each(|seq| give(&mut books, *seq, &line(*seq)));
        assert_eq!(counts(&books), (1, 0, 0, 0));
    }

    #[test]
    fn twice_is_a_duplicate_and_no_disorder() {
        let mut books = books(2);
        [0, 1, 0, 1]
            .iter()
            .for_each(|seq| give(&mut books, *seq, &line(*seq)));
        assert_eq!(counts(&books), (0, 2, 0, 0));
        assert_eq!(books.verdict().duplicated_bytes, 14);
    }

    #[test]
    fn a_later_one_first_is_disorder() {
        let mut books = books(3);
        [0, 2, 1]
            .iter()
            .for_each(|seq| give(&mut books, *seq, &line(*seq)));
        assert_eq!(counts(&books), (0, 0, 1, 0));
    }

    #[test]
    fn other_bytes_other_times_and_other_streams_are_corruption() {
        let mut books = books(6);
        give(&mut books, 0, &line(0).replace("payload", "paylOad"));
        give(&mut books, 1, &line(1).replace("payload", "payload longer"));
        give(&mut books, 5, &line(2));
        give(&mut books, 0, "nobody wrote this");
        give(&mut books, 77, &line(77));
        books.received(&Received {
            labels: "{c=\"d\"}",
            time: 3,
            err: false,
            uid: None,
            line: &line(3),
        });
        books.received(&Received {
            labels: "{a=\"b\"}",
            time: 4,
            err: true,
            uid: None,
            line: &line(4),
        });
        books.received(&Received {
            labels: "{a=\"b\"}",
            time: 5,
            err: false,
            uid: Some("another"),
            line: &line(5),
        });
        assert_eq!(counts(&books), (6, 0, 0, 8));
    }

    #[test]
    fn two_lines_run_into_one_are_corruption_and_a_loss() {
        let mut books = books(2);
        give(&mut books, 0, &(line(0) + &line(1)));
        assert_eq!(counts(&books), (2, 0, 0, 1));
    }

    #[test]
    fn pieces_are_put_together() {
        let mut books = books(2);
        give(&mut books, 0, "run=1 file=0 seq=0 len=7 crc=0 pay");
        give(&mut books, 0, "lo");
        give(&mut books, 0, "ad");
        give(&mut books, 1, &line(1));
        assert_eq!(counts(&books), (0, 0, 0, 0));
    }

    #[test]
    fn a_line_without_its_end_is_corruption() {
        let mut books = books(2);
        give(&mut books, 0, "run=1 file=0 seq=0 len=7 crc=0 pay");
        assert_eq!(counts(&books), (2, 0, 0, 1));
        give(&mut books, 1, &line(1));
        assert_eq!(counts(&books), (1, 0, 0, 1));
    }

    #[test]
    fn what_is_excused_is_no_loss_and_may_come() {
        let mut books = books(3);
        books.excuse(0, 1);
        books.excuse(0, 2);
        [0, 2]
            .iter()
            .for_each(|seq| give(&mut books, *seq, &line(*seq)));
        let verdict = books.verdict();
        assert_eq!(
            (verdict.lost, verdict.excused, verdict.excused_came),
            (0, 2, 1)
        );
        assert_eq!((books.have(), books.wanted()), (1, 1));
    }
}
