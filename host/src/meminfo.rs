//! `/proc/meminfo` (proc_meminfo(5)): every field under the kernel's own name.

use crate::HostError;
use crate::scan::{cut, fields, lines, number, text};

const FILE: &str = "meminfo";

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// As the kernel writes it: `MemTotal`, `Active(anon)`.
    pub name: &'a str,
    /// Bytes where the line has a unit, else a count (huge pages).
    pub value: u64,
    /// Whether the value is in bytes.
    pub in_bytes: bool,
}

/// The fields in the order of the file. Lines that are no field (kernels before 2.6) end with an
/// error in their place.
pub fn parse(file: &[u8]) -> impl Iterator<Item = Result<Field<'_>, HostError>> {
    lines(file)
        .filter(|(_, line)| !line.is_empty())
        .map(|(at, line)| {
            let wrong = || HostError::malformed(FILE, at, "a name, a colon and a number", line);
            let (name, rest) = cut(line, b':').ok_or_else(wrong)?;
            let mut rest = fields(rest);
            let value = rest.next().and_then(number).ok_or_else(wrong)?;
            let in_bytes = match rest.next() {
                None => false,
                Some(b"kB") => true,
                Some(_) => return Err(HostError::malformed(FILE, at, "the unit kB or none", line)),
            };
            Ok(Field {
                name: text(FILE, at, "a name", name)?,
                value: if in_bytes {
                    value.saturating_mul(1024)
                } else {
                    value
                },
                in_bytes,
            })
        })
}

/// The fields that sums are made of, in bytes; what the kernel does not say is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meminfo {
    /// `MemTotal`.
    pub total: u64,
    /// `MemFree`.
    pub free: u64,
    /// `MemAvailable`; kernels before 3.14 do not say.
    pub available: Option<u64>,
    /// `Buffers`.
    pub buffers: u64,
    /// `Cached`.
    pub cached: u64,
    /// `Dirty`.
    pub dirty: u64,
    /// `Shmem`.
    pub shared: u64,
    /// `SReclaimable`.
    pub slab_reclaimable: u64,
    /// `SUnreclaim`.
    pub slab_unreclaimable: u64,
    /// `Inactive`.
    pub inactive: u64,
    /// `SwapTotal`.
    pub swap_total: u64,
    /// `SwapFree`.
    pub swap_free: u64,
    /// `SwapCached`.
    pub swap_cached: u64,
    /// `HugePages_Total`, a count.
    pub huge_pages_total: u64,
    /// `HugePages_Free`, a count.
    pub huge_pages_free: u64,
    /// `HugePages_Rsvd`, a count.
    pub huge_pages_reserved: u64,
    /// `HugePages_Surp`, a count.
    pub huge_pages_surplus: u64,
    /// `Hugepagesize`.
    pub huge_page_size: u64,
}

impl Meminfo {
    /// Picks the sums out of the file's text.
    ///
    /// # Errors
    ///
    /// A line that is no field, or no `MemTotal`.
    pub fn parse(file: &[u8]) -> Result<Self, HostError> {
        let mut sums = Self::default();
        let mut found = false;
        for field in parse(file) {
            let Field { name, value, .. } = field?;
            let slot = match name {
                "MemTotal" => {
                    found = true;
                    &mut sums.total
                }
                "MemAvailable" => sums.available.insert(0),
                "MemFree" => &mut sums.free,
                "Buffers" => &mut sums.buffers,
                "Cached" => &mut sums.cached,
                "Dirty" => &mut sums.dirty,
                "Shmem" => &mut sums.shared,
                "SReclaimable" => &mut sums.slab_reclaimable,
                "SUnreclaim" => &mut sums.slab_unreclaimable,
                "Inactive" => &mut sums.inactive,
                "SwapTotal" => &mut sums.swap_total,
                "SwapFree" => &mut sums.swap_free,
                "SwapCached" => &mut sums.swap_cached,
                "HugePages_Total" => &mut sums.huge_pages_total,
                "HugePages_Free" => &mut sums.huge_pages_free,
                "HugePages_Rsvd" => &mut sums.huge_pages_reserved,
                "HugePages_Surp" => &mut sums.huge_pages_surplus,
                "Hugepagesize" => &mut sums.huge_page_size,
                _ => continue,
            };
            *slot = value;
        }
        if found {
            Ok(sums)
        } else {
            Err(HostError::Missing {
                file: FILE,
                expected: "MemTotal",
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_decide_between_bytes_and_counts() {
        let all: Vec<_> = parse(b"MemTotal:  100 kB\nActive(anon): 3 kB\nHugePages_Total:   7\n")
            .map(Result::unwrap)
            .collect();
        let field = |name, value, in_bytes| Field {
            name,
            value,
            in_bytes,
        };
        assert_eq!(
            all,
            [
                field("MemTotal", 102_400, true),
                field("Active(anon)", 3072, true),
                field("HugePages_Total", 7, false)
            ]
        );
    }

    #[test]
    fn bad_lines_are_named() {
        for bad in ["MemTotal 5 kB", "MemTotal: many kB", "MemTotal: 5 MB"] {
            let mut fields = parse(bad.as_bytes());
            assert!(fields.next().unwrap().is_err(), "{bad}");
        }
    }

    #[test]
    fn sums_need_only_the_total() {
        let sums = Meminfo::parse(b"MemTotal: 8 kB\nHugePages_Rsvd: 2\n").unwrap();
        assert_eq!((sums.total, sums.available), (8192, None));
        assert_eq!(sums.huge_pages_reserved, 2);
        assert!(Meminfo::parse(b"MemFree: 8 kB\n").is_err());
    }
}
