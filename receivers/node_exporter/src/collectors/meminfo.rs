//! How memory is used: `/proc/meminfo`.

use corten_host::{HostError, HostFile, float, meminfo};

use crate::collector::{Collector, Emit, single};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Meminfo {
        file: HostFile::of_short_lines(sources.roots.proc("meminfo")),
    })
}

struct Meminfo {
    file: HostFile,
}

/// The kernel's names that become metrics, with the metric's name and description. Since 1.9
/// node_exporter has a fixed list of them, so that a new kernel makes no new metrics.
macro_rules! fields {
    ($($kernel:literal $name:literal $unit:literal)*) => {
        [$((
            $kernel,
            concat!("node_memory_", $name),
            concat!($kernel, " of /proc/meminfo, ", $unit, "."),
        )),*]
    };
}

const FIELDS: [(&str, &str, &str); 51] = fields! {
    "Active" "Active_bytes" "in bytes"
    "Active(anon)" "Active_anon_bytes" "in bytes"
    "Active(file)" "Active_file_bytes" "in bytes"
    "AnonHugePages" "AnonHugePages_bytes" "in bytes"
    "AnonPages" "AnonPages_bytes" "in bytes"
    "Bounce" "Bounce_bytes" "in bytes"
    "Buffers" "Buffers_bytes" "in bytes"
    "Cached" "Cached_bytes" "in bytes"
    "CmaFree" "CmaFree_bytes" "in bytes"
    "CmaTotal" "CmaTotal_bytes" "in bytes"
    "CommitLimit" "CommitLimit_bytes" "in bytes"
    "Committed_AS" "Committed_AS_bytes" "in bytes"
    "DirectMap1G" "DirectMap1G_bytes" "in bytes"
    "DirectMap2M" "DirectMap2M_bytes" "in bytes"
    "DirectMap4k" "DirectMap4k_bytes" "in bytes"
    "Dirty" "Dirty_bytes" "in bytes"
    "HardwareCorrupted" "HardwareCorrupted_bytes" "in bytes"
    "HugePages_Free" "HugePages_Free" "a number of pages"
    "HugePages_Rsvd" "HugePages_Rsvd" "a number of pages"
    "HugePages_Surp" "HugePages_Surp" "a number of pages"
    "HugePages_Total" "HugePages_Total" "a number of pages"
    "Hugepagesize" "Hugepagesize_bytes" "in bytes"
    "Inactive" "Inactive_bytes" "in bytes"
    "Inactive(anon)" "Inactive_anon_bytes" "in bytes"
    "Inactive(file)" "Inactive_file_bytes" "in bytes"
    "KernelStack" "KernelStack_bytes" "in bytes"
    "Mapped" "Mapped_bytes" "in bytes"
    "MemAvailable" "MemAvailable_bytes" "in bytes"
    "MemFree" "MemFree_bytes" "in bytes"
    "MemTotal" "MemTotal_bytes" "in bytes"
    "Mlocked" "Mlocked_bytes" "in bytes"
    "NFS_Unstable" "NFS_Unstable_bytes" "in bytes"
    "PageTables" "PageTables_bytes" "in bytes"
    "Percpu" "Percpu_bytes" "in bytes"
    "SReclaimable" "SReclaimable_bytes" "in bytes"
    "SUnreclaim" "SUnreclaim_bytes" "in bytes"
    "Shmem" "Shmem_bytes" "in bytes"
    "ShmemHugePages" "ShmemHugePages_bytes" "in bytes"
    "ShmemPmdMapped" "ShmemPmdMapped_bytes" "in bytes"
    "Slab" "Slab_bytes" "in bytes"
    "SwapCached" "SwapCached_bytes" "in bytes"
    "SwapFree" "SwapFree_bytes" "in bytes"
    "SwapTotal" "SwapTotal_bytes" "in bytes"
    "Unevictable" "Unevictable_bytes" "in bytes"
    "VmallocChunk" "VmallocChunk_bytes" "in bytes"
    "VmallocTotal" "VmallocTotal_bytes" "in bytes"
    "VmallocUsed" "VmallocUsed_bytes" "in bytes"
    "Writeback" "Writeback_bytes" "in bytes"
    "WritebackTmp" "WritebackTmp_bytes" "in bytes"
    "Zswap" "Zswap_bytes" "in bytes"
    "Zswapped" "Zswapped_bytes" "in bytes"
};

impl Collector for Meminfo {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for field in meminfo::parse(self.file.read()?) {
            let field = field?;
            let known = FIELDS.binary_search_by(|(kernel, ..)| (*kernel).cmp(field.name));
            if let Some((_, name, help)) = known.ok().and_then(|at| FIELDS.get(at)) {
                single(emit.gauge(name, help), float(field.value));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_can_be_searched() {
        assert!(FIELDS.is_sorted_by_key(|(kernel, ..)| *kernel));
    }
}
