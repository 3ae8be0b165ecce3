//! Connections that the firewall follows: `/proc/sys/net/netfilter/nf_conntrack_*` and
//! `/proc/net/stat/nf_conntrack`.

use corten_host::families::Kind::Gauge;
use corten_host::scan::{fields, hexadecimal, lines};
use corten_host::{Attributes, HostError, HostFile, float};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Conntrack {
        limits: Attributes::new(sources.roots.proc("sys/net/netfilter")),
        stat: HostFile::of_short_lines(sources.roots.proc("net/stat/nf_conntrack")),
    })
}

struct Conntrack {
    limits: Attributes,
    stat: HostFile,
}

/// Columns of the statistics with the metric's name and description.
const COLUMNS: [(usize, &str, &str); 8] = [
    (
        2,
        "node_nf_conntrack_stat_found",
        "Searched connections that were found.",
    ),
    (
        4,
        "node_nf_conntrack_stat_invalid",
        "Packets that belong to no connection and could begin none.",
    ),
    (
        5,
        "node_nf_conntrack_stat_ignore",
        "Packets of connections that are not followed or known already.",
    ),
    (
        8,
        "node_nf_conntrack_stat_insert",
        "Connections entered into the table.",
    ),
    (
        9,
        "node_nf_conntrack_stat_insert_failed",
        "Connections that could not be entered into the table.",
    ),
    (
        10,
        "node_nf_conntrack_stat_drop",
        "Packets dropped because a connection could not be followed.",
    ),
    (
        11,
        "node_nf_conntrack_stat_early_drop",
        "Connections dropped to make room for others.",
    ),
    (
        16,
        "node_nf_conntrack_stat_search_restart",
        "Searches begun anew because the table was resized.",
    ),
];

impl Collector for Conntrack {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let entries = self.limits.required("nf_conntrack_count")?;
        emit.put(
            Gauge,
            "node_nf_conntrack_entries",
            "Connections in the table.",
            &[],
            entries,
        );
        let limit = self.limits.required("nf_conntrack_max")?;
        emit.put(
            Gauge,
            "node_nf_conntrack_entries_limit",
            "Connections that the table has room for.",
            &[],
            limit,
        );
        let sums = parse(self.stat.read()?)?;
        for (column, name, help) in COLUMNS {
            emit.put(
                Gauge,
                name,
                help,
                &[],
                float(sums.get(column).copied().unwrap_or(0)),
            );
        }
        Ok(())
    }
}

/// The columns, each added up over all CPUs; kernels before 2.6.35 lack the last one.
fn parse(text: &[u8]) -> Result<[u64; 17], HostError> {
    let mut sums = [0u64; 17];
    for (at, line) in lines(text).skip(1) {
        let wrong = || {
            HostError::malformed(
                "net/stat/nf_conntrack",
                at,
                "16 or 17 hexadecimal numbers",
                line,
            )
        };
        if !(16..=17).contains(&fields(line).count()) {
            return Err(wrong());
        }
        for (sum, field) in sums.iter_mut().zip(fields(line)) {
            *sum = sum.wrapping_add(hexadecimal(field).ok_or_else(wrong)?);
        }
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_added_up() {
        let row = "00000021 0 0000000a 0 3 0 0 0 1 0 0 0 0 0 0 0 10\n";
        let sums = parse(format!("entries …\n{row}{row}").as_bytes()).unwrap();
        assert_eq!((sums[2], sums[4], sums[16]), (20, 6, 32));
        assert!(parse(b"h\n1 2 3\n").is_err());
    }
}
