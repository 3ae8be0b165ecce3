//! What is done, as text: one action a line.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One log or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// All.
    All,
    /// This one, by its number.
    One(usize),
}

/// One thing that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `pod`: a new pod with one container, whose number is the next.
    Pod,
    /// `write * 100`: lines, torn into writes at random places, some of them in partial lines.
    Write(Who, usize),
    /// `begin 0`: the first part of a long line, without its end.
    Begin(Who),
    /// `end 0`: the end of it.
    End(Who),
    /// `tear 0`: the first half of a line's bytes.
    Tear(Who),
    /// `mend 0`: the other half.
    Mend(Who),
    /// `rotate 0`: the file is renamed, and a new one begins.
    Rotate(Who),
    /// `gzip 0`: kubelet compresses all generations but the newest, each to `.tmp` and renamed.
    Gzip(Who),
    /// `gzip-all 0`: all of them, in two members.
    GzipAll(Who),
    /// `prune 0 3`: generations beyond so many are removed, oldest first.
    Prune(Who, usize),
    /// `restart 0`: the container begins anew, in the next `n.log`.
    Restart(Who),
    /// `copytruncate 0`: the file is copied to `<name>.copy` and emptied.
    CopyTruncate(Who),
    /// `truncate 0`: the file is emptied; lines that have not come yet need not come.
    Truncate(Who),
    /// `hole 0 100`: so many KiB without anything, as after a truncation under a writer that keeps its offset.
    Hole(Who, usize),
    /// `delete 0`: the pod's folder is removed.
    Delete(Who),
    /// `start`: the agent.
    Start,
    /// `stop`: SIGTERM, and it has to end with 0.
    Stop,
    /// `kill`: SIGKILL.
    Kill,
    /// `pause`: SIGSTOP.
    Pause,
    /// `resume`: SIGCONT.
    Resume,
    /// `loki 503` and so on: every request is answered so.
    Loki(u16),
    /// `loki up`: requests are answered well.
    LokiUp,
    /// `loki away`: nobody listens.
    LokiAway,
    /// `loki back`: somebody listens again.
    LokiBack,
    /// `pace 100`: milliseconds until the next action.
    Pace(Duration),
    /// `drain`: waits until everything that has to come has come.
    Drain,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::One(number) => write!(f, "{number}"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod => f.write_str("pod"),
            Self::Write(who, lines) => write!(f, "write {who} {lines}"),
            Self::Begin(who) => write!(f, "begin {who}"),
            Self::End(who) => write!(f, "end {who}"),
            Self::Tear(who) => write!(f, "tear {who}"),
            Self::Mend(who) => write!(f, "mend {who}"),
            Self::Rotate(who) => write!(f, "rotate {who}"),
            Self::Gzip(who) => write!(f, "gzip {who}"),
            Self::GzipAll(who) => write!(f, "gzip-all {who}"),
            Self::Prune(who, keep) => write!(f, "prune {who} {keep}"),
            Self::Restart(who) => write!(f, "restart {who}"),
            Self::CopyTruncate(who) => write!(f, "copytruncate {who}"),
            Self::Truncate(who) => write!(f, "truncate {who}"),
            Self::Hole(who, kib) => write!(f, "hole {who} {kib}"),
            Self::Delete(who) => write!(f, "delete {who}"),
            Self::Start => f.write_str("start"),
            Self::Stop => f.write_str("stop"),
            Self::Kill => f.write_str("kill"),
            Self::Pause => f.write_str("pause"),
            Self::Resume => f.write_str("resume"),
            Self::Loki(status) => write!(f, "loki {status}"),
            Self::LokiUp => f.write_str("loki up"),
            Self::LokiAway => f.write_str("loki away"),
            Self::LokiBack => f.write_str("loki back"),
            Self::Pace(span) => write!(f, "pace {}", span.as_millis()),
            Self::Drain => f.write_str("drain"),
        }
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let wrong = || format!("no action: {line:?}");
        let words: Vec<&str> = line.split_whitespace().collect();
        let who = || match words.get(1) {
            Some(&"*") => Ok(Who::All),
            Some(number) => number.parse().map(Who::One).map_err(|_| wrong()),
            None => Err(wrong()),
        };
        let number = |at: usize| {
            let word = words.get(at).ok_or_else(wrong)?;
            word.parse::<usize>().map_err(|_| wrong())
        };
        Ok(match *words.first().ok_or_else(wrong)? {
            "pod" => Self::Pod,
            "write" => Self::Write(who()?, number(2)?),
            "begin" => Self::Begin(who()?),
            "end" => Self::End(who()?),
            "tear" => Self::Tear(who()?),
            "mend" => Self::Mend(who()?),
            "rotate" => Self::Rotate(who()?),
            "gzip" => Self::Gzip(who()?),
            "gzip-all" => Self::GzipAll(who()?),
            "prune" => Self::Prune(who()?, number(2)?),
            "restart" => Self::Restart(who()?),
            "copytruncate" => Self::CopyTruncate(who()?),
            "truncate" => Self::Truncate(who()?),
            "hole" => Self::Hole(who()?, number(2)?),
            "delete" => Self::Delete(who()?),
            "start" => Self::Start,
            "stop" => Self::Stop,
            "kill" => Self::Kill,
            "pause" => Self::Pause,
            "resume" => Self::Resume,
            "loki" => match words.get(1) {
                Some(&"up") => Self::LokiUp,
                Some(&"away") => Self::LokiAway,
                Some(&"back") => Self::LokiBack,
                Some(status) => Self::Loki(status.parse().map_err(|_| wrong())?),
                None => return Err(wrong()),
            },
            "pace" => {
                let millis = u64::try_from(number(1)?).map_err(|_| wrong())?;
                Self::Pace(Duration::from_millis(millis))
            }
            "drain" => Self::Drain,
            _ => return Err(wrong()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_read() {
        let script = "pod\nwrite * 100\nwrite 0 7\nbegin 0\nend 0\ntear 1\nmend 1\nrotate *\ngzip 0\ngzip-all 0\n\
            prune 0 3\nrestart 0\ncopytruncate 0\ntruncate 0\nhole 0 100\ndelete 0\nstart\nstop\nkill\npause\nresume\n\
            loki 503\nloki up\nloki away\nloki back\npace 100\ndrain";
        for line in script.lines() {
            assert_eq!(line.parse::<Action>().unwrap().to_string(), line);
        }
        for line in [
            "",
            "write",
            "write *",
            "write x 1",
            "loki",
            "loki maybe",
            "pace",
            "dance",
        ] {
            assert!(line.parse::<Action>().is_err(), "{line}");
        }
    }
}
