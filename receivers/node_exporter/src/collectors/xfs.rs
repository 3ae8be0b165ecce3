//! XFS file systems: `/sys/fs/xfs/*/stats/stats`.

use corten_host::families::Kind::Counter;
use corten_host::scan::{fields, float, lines, number};
use corten_host::{Attributes, HostError};
use std::collections::HashMap;

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Xfs {
        folder: Attributes::new(sources.roots.sys("fs/xfs")),
    })
}

struct Xfs {
    folder: Attributes,
}

impl Collector for Xfs {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for device in &self.folder.names("").unwrap_or_default() {
            let path = format!("{device}/stats/stats");
            if !self.folder.has(&path) {
                continue;
            }
            let text = self.folder.bytes(&path)?;
            let mut line_of = HashMap::new();
            for (at, line) in lines(text) {
                let mut columns = fields(line);
                let Some(name) = columns.next() else { continue };
                let values: Option<Vec<u64>> = columns.map(number).collect();
                let values = values.ok_or_else(|| {
                    HostError::malformed("xfs/stats", at, "a name and numbers", line)
                })?;
                line_of.insert(name, values);
            }
            for (line, names) in LINES {
                let values = line_of.get(line.as_bytes());
                if let Some(values) = values.filter(|values| values.len() < names.len()) {
                    let found = format!("{} of them", values.len());
                    return Err(HostError::malformed(
                        "xfs/stats",
                        1,
                        "a number for each counter",
                        found.as_bytes(),
                    ));
                }
                for (index, name) in names.iter().enumerate() {
                    let value = values
                        .and_then(|values| values.get(index))
                        .copied()
                        .unwrap_or(0);
                    if !name.is_empty() {
                        emit.put(
                            Counter,
                            name,
                            "A counter of each XFS file system, as the kernel has it.",
                            &[("device", device)],
                            float(value),
                        );
                    }
                }
            }
        }
        self.folder.forget_unused();
        Ok(())
    }
}

/// The lines of the file, with the metric of each of their numbers.
const LINES: [(&str, &[&str]); 8] = [
    (
        "extent_alloc",
        &[
            "node_xfs_extent_allocation_extents_allocated_total",
            "node_xfs_extent_allocation_blocks_allocated_total",
            "node_xfs_extent_allocation_extents_freed_total",
            "node_xfs_extent_allocation_blocks_freed_total",
        ],
    ),
    (
        "abt",
        &[
            "node_xfs_allocation_btree_lookups_total",
            "node_xfs_allocation_btree_compares_total",
            "node_xfs_allocation_btree_records_inserted_total",
            "node_xfs_allocation_btree_records_deleted_total",
        ],
    ),
    (
        "blk_map",
        &[
            "node_xfs_block_mapping_reads_total",
            "node_xfs_block_mapping_writes_total",
            "node_xfs_block_mapping_unmaps_total",
            "node_xfs_block_mapping_extent_list_insertions_total",
            "node_xfs_block_mapping_extent_list_deletions_total",
            "node_xfs_block_mapping_extent_list_lookups_total",
            "node_xfs_block_mapping_extent_list_compares_total",
        ],
    ),
    (
        "bmbt",
        &[
            "node_xfs_block_map_btree_lookups_total",
            "node_xfs_block_map_btree_compares_total",
            "node_xfs_block_map_btree_records_inserted_total",
            "node_xfs_block_map_btree_records_deleted_total",
        ],
    ),
    (
        "dir",
        &[
            "node_xfs_directory_operation_lookup_total",
            "node_xfs_directory_operation_create_total",
            "node_xfs_directory_operation_remove_total",
            "node_xfs_directory_operation_getdents_total",
        ],
    ),
    (
        "ig",
        &[
            "node_xfs_inode_operation_attempts_total",
            "node_xfs_inode_operation_found_total",
            "node_xfs_inode_operation_recycled_total",
            "node_xfs_inode_operation_missed_total",
            "node_xfs_inode_operation_duplicates_total",
            "node_xfs_inode_operation_reclaims_total",
            "node_xfs_inode_operation_attribute_changes_total",
        ],
    ),
    (
        "rw",
        &["node_xfs_write_calls_total", "node_xfs_read_calls_total"],
    ),
    (
        "vnodes",
        &[
            "node_xfs_vnode_active_total",
            "node_xfs_vnode_allocate_total",
            "node_xfs_vnode_get_total",
            "node_xfs_vnode_hold_total",
            "node_xfs_vnode_release_total",
            "node_xfs_vnode_reclaim_total",
            "node_xfs_vnode_remove_total",
        ],
    ),
];
