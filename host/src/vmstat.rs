//! `/proc/vmstat`: counters and gauges of the memory management, under the kernel's names.

use crate::HostError;
use crate::scan::{cut, lines, number, text};

const FILE: &str = "vmstat";

/// The lines as names and values, in the order of the file. Events are counters, `nr_…` are
/// present amounts, in pages; the file does not say which is which.
pub fn parse(file: &[u8]) -> impl Iterator<Item = Result<(&str, u64), HostError>> {
    lines(file)
        .filter(|(_, line)| !line.is_empty())
        .map(|(at, line)| {
            let wrong = || HostError::malformed(FILE, at, "a name and a number", line);
            let (name, value) = cut(line, b' ').ok_or_else(wrong)?;
            // A handful of amounts is read without a lock and may be caught below zero.
            let value = match value.strip_prefix(b"-") {
                Some(below_zero) => number(below_zero).map(|_| 0),
                None => number(value),
            };
            Ok((text(FILE, at, "a name", name)?, value.ok_or_else(wrong)?))
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
            [("nr_free_pages", 17), ("nr_dirty", 0), ("oom_kill", 0)]
        );
        assert!(parse(b"lonely\n").next().unwrap().is_err());
        assert!(parse(b"x y\n").next().unwrap().is_err());
    }
}
