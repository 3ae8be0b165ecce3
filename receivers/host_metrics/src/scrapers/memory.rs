//! How memory is used: `/proc/meminfo`.

use corten_host::meminfo::Meminfo;
use corten_host::{HostError, HostFile, Roots, float};

use crate::definition::{Definition, Shape};
use crate::emit::Emit;
use crate::scraper::Scraper;

pub(crate) const METRICS: &[Definition] = &[
    Definition::new(
        "system.memory.usage",
        "By",
        Shape::UpDown,
        &["state"],
        "Memory in each state.",
    ),
    Definition::new(
        "system.memory.utilization",
        "1",
        Shape::Gauge,
        &["state"],
        "Share of the memory in each state.",
    )
    .off(),
    Definition::new(
        "system.memory.limit",
        "By",
        Shape::UpDown,
        &[],
        "Memory in all.",
    )
    .off(),
    Definition::new(
        "system.memory.page_size",
        "By",
        Shape::Gauge,
        &[],
        "Size of a page.",
    )
    .off(),
    Definition::new(
        "system.linux.memory.available",
        "By",
        Shape::UpDown,
        &[],
        "Memory that could be given to new programs without paging.",
    )
    .off(),
    Definition::new(
        "system.linux.memory.dirty",
        "By",
        Shape::UpDown,
        &[],
        "Memory that waits to be written to a disk.",
    )
    .off(),
    Definition::new(
        "system.memory.linux.shared",
        "By",
        Shape::UpDown,
        &[],
        "Memory that processes share.",
    )
    .off(),
    Definition::new(
        "system.memory.linux.hugepages.limit",
        "{page}",
        Shape::UpDown,
        &[],
        "Huge pages in all.",
    )
    .off(),
    Definition::new(
        "system.memory.linux.hugepages.page_size",
        "By",
        Shape::UpDown,
        &[],
        "Size of a huge page.",
    )
    .off(),
    Definition::new(
        "system.memory.linux.hugepages.reserved",
        "{page}",
        Shape::UpDown,
        &[],
        "Huge pages that are promised and not used yet.",
    )
    .off(),
    Definition::new(
        "system.memory.linux.hugepages.surplus",
        "{page}",
        Shape::UpDown,
        &[],
        "Huge pages above the number that was asked for.",
    )
    .off(),
    Definition::new(
        "system.memory.linux.hugepages.usage",
        "{page}",
        Shape::UpDown,
        &["state"],
        "Huge pages that are used and free.",
    )
    .off(),
    Definition::new(
        "system.memory.linux.hugepages.utilization",
        "1",
        Shape::Gauge,
        &["state"],
        "Share of the huge pages that is used and free.",
    )
    .off(),
];

pub(crate) struct Memory {
    file: HostFile,
}

impl Memory {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            file: HostFile::new(roots.proc("meminfo")),
        }
    }
}

/// What could be given away at once; kernels before 3.14 leave the estimate to their readers.
fn available(memory: &Meminfo) -> u64 {
    memory.available.unwrap_or_else(|| {
        [memory.free, memory.buffers, memory.cached]
            .into_iter()
            .fold(0, u64::saturating_add)
    })
}

/// OpenTelemetry's states. They overlap: `used` is what is not available, while caches that could be
/// dropped are available; reclaimable slab is part of `cached` too.
fn states(memory: &Meminfo) -> [(&'static str, u64); 6] {
    [
        ("used", memory.total.saturating_sub(available(memory))),
        ("free", memory.free),
        ("buffered", memory.buffers),
        (
            "cached",
            memory.cached.saturating_add(memory.slab_reclaimable),
        ),
        ("slab_reclaimable", memory.slab_reclaimable),
        ("slab_unreclaimable", memory.slab_unreclaimable),
    ]
}

impl Scraper for Memory {
    fn scrape(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let memory = Meminfo::parse(self.file.read()?)?;
        let mut points = emit.metric("system.memory.usage");
        for (state, bytes) in states(&memory) {
            points.add(&[("state", state)], bytes);
        }
        points.end();
        let mut points = emit.metric("system.memory.utilization");
        if memory.total > 0 {
            for (state, bytes) in states(&memory) {
                points.add(&[("state", state)], float(bytes) / float(memory.total));
            }
        }
        points.end();
        emit.single("system.memory.limit", memory.total);
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(u64::MAX);
        emit.single("system.memory.page_size", page);
        emit.single("system.linux.memory.available", available(&memory));
        emit.single("system.linux.memory.dirty", memory.dirty);
        emit.single("system.memory.linux.shared", memory.shared);
        huge_pages(emit, &memory);
        Ok(())
    }
}

fn huge_pages(emit: &mut Emit<'_>, memory: &Meminfo) {
    let (total, free) = (memory.huge_pages_total, memory.huge_pages_free);
    emit.single("system.memory.linux.hugepages.limit", total);
    emit.single(
        "system.memory.linux.hugepages.page_size",
        memory.huge_page_size,
    );
    emit.single(
        "system.memory.linux.hugepages.reserved",
        memory.huge_pages_reserved,
    );
    emit.single(
        "system.memory.linux.hugepages.surplus",
        memory.huge_pages_surplus,
    );
    let states = [("used", total.saturating_sub(free)), ("free", free)];
    let mut points = emit.metric("system.memory.linux.hugepages.usage");
    for (state, pages) in states {
        points.add(&[("state", state)], pages);
    }
    points.end();
    let mut points = emit.metric("system.memory.linux.hugepages.utilization");
    if total > 0 {
        for (state, pages) in states {
            points.add(&[("state", state)], float(pages) / float(total));
        }
    }
}
