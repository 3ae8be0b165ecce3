//! What was read last of a log, so that what comes again is known.
//!
//! A log is asked for from a second on, so its last second comes again. A line that comes again has the time and the text that it
//! had. The window remembers both of every line of the last seconds, how often each came, and nothing older: as much as it
//! may, at most [`MOST`] lines.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

/// Lines that are remembered at most. A log with more of them within a second is deduplicated by time alone before them.
const MOST: usize = 64 << 10;
/// Lines that are kept over a restart at most, for each log.
const KEPT: usize = 4 << 10;

const SECOND: u64 = 1_000_000_000;

/// The time of a line, and a hash of its text.
pub(crate) type Mark = (u64, u64);

/// A hash of a line that is the same in every process (FNV-1a).
pub(crate) fn hash(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The last lines of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Window {
    /// What is older was read, whatever it is.
    #[serde(rename = "f")]
    floor: u64,
    /// The newest time.
    #[serde(rename = "n")]
    newest: u64,
    #[serde(rename = "s")]
    seen: VecDeque<Mark>,
}

impl Window {
    /// Of a log of which nothing before `time` is wanted.
    pub(crate) fn from(time: u64) -> Self {
        Self {
            floor: time,
            newest: time,
            seen: VecDeque::new(),
        }
    }

    /// From when on to ask; 0 where nothing was read.
    pub(crate) fn since(&self) -> u64 {
        self.newest
    }

    /// Takes a line in.
    pub(crate) fn push(&mut self, mark: Mark) {
        self.seen.push_back(mark);
        if mark.0 > self.newest {
            let second = self.newest / SECOND;
            self.newest = mark.0;
            if self.newest / SECOND != second {
                self.prune();
            }
        }
        if self.seen.len() > MOST {
            self.shorten(MOST);
        }
    }

    /// What the server cannot send again is forgotten. A second more is remembered than it should take, and lines are not always
    /// in the order of their times.
    fn prune(&mut self) {
        let oldest = (self.newest / SECOND).saturating_sub(1) * SECOND;
        self.seen.retain(|(time, _)| *time >= oldest);
    }

    fn shorten(&mut self, to: usize) {
        while self.seen.len() > to {
            if let Some((time, _)) = self.seen.pop_front() {
                self.floor = self.floor.max(time);
            }
        }
    }

    /// As it is kept over a restart.
    pub(crate) fn to_keep(&self) -> Self {
        let mut window = self.clone();
        window.prune();
        window.shorten(KEPT);
        window
    }

    /// The lines that may come again when the log is opened again now.
    pub(crate) fn replay(&self) -> Replay {
        let mut expected: HashMap<Mark, u32> = HashMap::new();
        for mark in &self.seen {
            *expected.entry(*mark).or_default() += 1;
        }
        Replay {
            floor: self.floor,
            until: self.newest,
            expected,
        }
    }
}

/// The lines that may come again.
#[derive(Debug)]
pub(crate) struct Replay {
    floor: u64,
    until: u64,
    expected: HashMap<Mark, u32>,
}

impl Replay {
    /// Whether the line was read before.
    pub(crate) fn knows(&mut self, mark: Mark) -> bool {
        if self.until == 0 {
            return false;
        }
        if mark.0 > self.until {
            // Everything that comes from here on is new.
            self.until = 0;
            self.expected = HashMap::new();
            return false;
        }
        if mark.0 < self.floor {
            return true;
        }
        match self.expected.get_mut(&mark) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(window: &mut Window, lines: &[Mark]) -> Vec<Mark> {
        let mut replay = window.replay();
        let mut new = Vec::new();
        for mark in lines {
            if !replay.knows(*mark) {
                window.push(*mark);
                new.push(*mark);
            }
        }
        new
    }

    #[test]
    fn equal_lines_of_one_moment_are_counted() {
        let mut window = Window::default();
        let line = (5 * SECOND, 7);
        assert_eq!(read(&mut window, &[line, line]).len(), 2);
        // One more of the same was written meanwhile.
        assert_eq!(read(&mut window, &[line, line, line]), [line]);
    }

    #[test]
    fn a_log_that_is_begun_at_its_end_has_nothing_older() {
        let mut window = Window::from(5 * SECOND);
        let new = read(
            &mut window,
            &[(5 * SECOND - 1, 1), (5 * SECOND, 2), (6 * SECOND, 3)],
        );
        assert_eq!(new, [(5 * SECOND, 2), (6 * SECOND, 3)]);
    }

    #[test]
    fn memory_is_bounded_and_then_time_alone_decides() {
        let mut window = Window::default();
        let lines: Vec<Mark> = (0..MOST as u64 + 10).map(|n| (SECOND + n, n)).collect();
        read(&mut window, &lines);
        assert_eq!(window.seen.len(), MOST);
        assert!(
            read(&mut window, &lines).len() <= 1,
            "only the line at the border"
        );
        let kept = window.to_keep();
        assert_eq!(kept.seen.len(), KEPT);
        assert!(read(&mut kept.clone(), &lines).len() <= 1);
    }

    proptest! {
        /// A log that is written and opened again at any moment, of which old parts are rotated away.
        #[test]
        fn every_line_is_read_once(
            steps in proptest::collection::vec((0u64..SECOND, 0u64..3), 1..60),
            opened in proptest::collection::vec(1usize..60, 1..6),
        ) {
            let mut time = SECOND;
            let log: Vec<Mark> = steps.iter().map(|(step, text)| { time += step * (*step % 3 == 0) as u64; (time, *text) }).collect();
            let mut window = Window::default();
            let mut all = Vec::new();
            let mut ends = opened;
            ends.push(log.len());
            for end in ends {
                let end = end.min(log.len());
                let since = window.since() / SECOND * SECOND;
                let part: Vec<Mark> = log[..end].iter().copied().filter(|(time, _)| *time >= since).collect();
                all.extend(read(&mut window, &part));
                // As after a restart.
                let bytes = serde_json::to_vec(&window.to_keep()).unwrap();
                window = serde_json::from_slice(&bytes).unwrap();
            }
            prop_assert_eq!(all, log);
        }
    }
}
