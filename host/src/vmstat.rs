//! `/proc/vmstat`: counters and gauges of the memory management, under the kernel's names.

use crate::HostError;
use crate::scan::{cut, lines, text, value};

const FILE: &str = "vmstat";

/// The lines as names and values, in the order of the file. Events are counters, `nr_…` are
/// present amounts, in pages; the file does not say which is which. A handful of amounts is read
/// without a lock and may be caught below zero.
pub fn parse(file: &[u8]) -> impl Iterator<Item = Result<(&str, f64), HostError>> {
    lines(file)
        .filter(|(_, line)| !line.is_empty())
        .map(|(at, line)| {
            let wrong = || HostError::malformed(FILE, at, "a name and a number", line);
            let (name, count) = cut(line, b' ').ok_or_else(wrong)?;
            let count = value(count).ok_or_else(wrong)?;
            Ok((text(FILE, at, "a name", name)?, count))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values() {
        let all: Vec<_> = parse(b"nr_free_pages 17\nnr_dirty -3\noom_kill 0\n")
            .map(Result::unwrap)
            .collect();
        assert_eq!(
            all,
            [
                ("nr_free_pages", 17.0),
                ("nr_dirty", -3.0),
                ("oom_kill", 0.0)
            ]
        );
        assert!(parse(b"lonely\n").next().unwrap().is_err());
        assert!(parse(b"x y\n").next().unwrap().is_err());
    }
}
