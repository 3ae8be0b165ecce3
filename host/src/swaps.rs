//! `/proc/swaps`: the devices and files that memory is paged out to.

use crate::HostError;
use crate::scan::{fields, lines, number};

const FILE: &str = "swaps";

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swap<'a> {
    /// Its path.
    pub device: &'a str,
    /// Bytes in all.
    pub size: u64,
    /// Bytes in use.
    pub used: u64,
}

/// They in the order of the file.
pub fn parse(file: &[u8]) -> impl Iterator<Item = Result<Swap<'_>, HostError>> {
    // One line of headings.
    lines(file)
        .skip(1)
        .filter(|(_, line)| !line.is_empty())
        .map(|(at, line)| {
            let wrong = || {
                HostError::malformed(
                    FILE,
                    at,
                    "a path, a type, a size and an amount in use",
                    line,
                )
            };
            let mut parts = fields(line);
            let device = parts.next().ok_or_else(wrong)?;
            let mut kilobytes = || {
                parts
                    .next()
                    .and_then(number)
                    .map(|amount| amount.saturating_mul(1024))
            };
            // The type is no number, which passes over it.
            let size = kilobytes().or_else(&mut kilobytes).ok_or_else(wrong)?;
            let used = kilobytes().ok_or_else(wrong)?;
            Ok(Swap {
                device: crate::scan::text(FILE, at, "a path", device)?,
                size,
                used,
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes() {
        let text = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/sda2 partition 1000 10 -2\n/swap file 4 0 -3\n";
        let swaps: Vec<_> = parse(text).map(Result::unwrap).collect();
        assert_eq!(
            swaps[0],
            Swap {
                device: "/dev/sda2",
                size: 1_024_000,
                used: 10_240
            }
        );
        assert_eq!(swaps[1].size, 4096);
        assert!(parse(b"h\n/swap file\n").next().unwrap().is_err());
    }
}
