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
                for (index, (name, help)) in names.iter().enumerate() {
                    let value = values
                        .and_then(|values| values.get(index))
                        .copied()
                        .unwrap_or(0);
                    if !name.is_empty() {
                        emit.put(Counter, name, help, &[("device", device)], float(value));
                    }
                }
            }
        }
        self.folder.forget_unused();
        Ok(())
    }
}

/// The lines of the file, with the metric of each of their numbers and what it means.
const LINES: [(&str, &[(&str, &str)]); 8] = [
    (
        "extent_alloc",
        &[
            (
                "node_xfs_extent_allocation_extents_allocated_total",
                "Extents that were allocated in each XFS file system.",
            ),
            (
                "node_xfs_extent_allocation_blocks_allocated_total",
                "Blocks that were allocated in each XFS file system.",
            ),
            (
                "node_xfs_extent_allocation_extents_freed_total",
                "Extents that were freed in each XFS file system.",
            ),
            (
                "node_xfs_extent_allocation_blocks_freed_total",
                "Blocks that were freed in each XFS file system.",
            ),
        ],
    ),
    (
        "abt",
        &[
            (
                "node_xfs_allocation_btree_lookups_total",
                "Lookups in the trees of free space of each XFS file system.",
            ),
            (
                "node_xfs_allocation_btree_compares_total",
                "Comparisons in the trees of free space of each XFS file system.",
            ),
            (
                "node_xfs_allocation_btree_records_inserted_total",
                "Records put into the trees of free space of each XFS file system.",
            ),
            (
                "node_xfs_allocation_btree_records_deleted_total",
                "Records taken from the trees of free space of each XFS file system.",
            ),
        ],
    ),
    (
        "blk_map",
        &[
            (
                "node_xfs_block_mapping_reads_total",
                "Times that blocks were mapped for reading in each XFS file system.",
            ),
            (
                "node_xfs_block_mapping_writes_total",
                "Times that blocks were mapped for writing in each XFS file system.",
            ),
            (
                "node_xfs_block_mapping_unmaps_total",
                "Times that blocks were unmapped (deleted) in each XFS file system.",
            ),
            (
                "node_xfs_block_mapping_extent_list_insertions_total",
                "Extents put into the files' lists of extents of each XFS file system.",
            ),
            (
                "node_xfs_block_mapping_extent_list_deletions_total",
                "Extents taken from the files' lists of extents of each XFS file system.",
            ),
            (
                "node_xfs_block_mapping_extent_list_lookups_total",
                "Lookups in the files' lists of extents of each XFS file system.",
            ),
            (
                "node_xfs_block_mapping_extent_list_compares_total",
                "Comparisons in the files' lists of extents of each XFS file system.",
            ),
        ],
    ),
    (
        "bmbt",
        &[
            (
                "node_xfs_block_map_btree_lookups_total",
                "Lookups in the files' trees of extents of each XFS file system.",
            ),
            (
                "node_xfs_block_map_btree_compares_total",
                "Comparisons in the files' trees of extents of each XFS file system.",
            ),
            (
                "node_xfs_block_map_btree_records_inserted_total",
                "Records put into the files' trees of extents of each XFS file system.",
            ),
            (
                "node_xfs_block_map_btree_records_deleted_total",
                "Records taken from the files' trees of extents of each XFS file system.",
            ),
        ],
    ),
    (
        "dir",
        &[
            (
                "node_xfs_directory_operation_lookup_total",
                "Lookups of names that the cache of names did not have, in each XFS file system.",
            ),
            (
                "node_xfs_directory_operation_create_total",
                "Names that were made in directories of each XFS file system.",
            ),
            (
                "node_xfs_directory_operation_remove_total",
                "Names that were removed from directories of each XFS file system.",
            ),
            (
                "node_xfs_directory_operation_getdents_total",
                "Times that a directory of each XFS file system was listed.",
            ),
        ],
    ),
    (
        "ig",
        &[
            (
                "node_xfs_inode_operation_attempts_total",
                "Inodes that were looked for in the cache of each XFS file system.",
            ),
            (
                "node_xfs_inode_operation_found_total",
                "Inodes that were found in the cache of each XFS file system.",
            ),
            (
                "node_xfs_inode_operation_recycled_total",
                "Inodes of each XFS file system that were found in the cache while they were being recycled.",
            ),
            (
                "node_xfs_inode_operation_missed_total",
                "Inodes that were not found in the cache of each XFS file system.",
            ),
            (
                "node_xfs_inode_operation_duplicates_total",
                "Inodes of each XFS file system that somebody else had put into the cache meanwhile.",
            ),
            (
                "node_xfs_inode_operation_reclaims_total",
                "Inodes of each XFS file system that were dropped from the cache to free memory.",
            ),
            (
                "node_xfs_inode_operation_attribute_changes_total",
                "Times that attributes of an inode of each XFS file system were changed.",
            ),
        ],
    ),
    (
        "rw",
        &[
            (
                "node_xfs_write_calls_total",
                "Calls of write(2) on files of each XFS file system.",
            ),
            (
                "node_xfs_read_calls_total",
                "Calls of read(2) on files of each XFS file system.",
            ),
        ],
    ),
    (
        "vnodes",
        &[
            (
                "node_xfs_vnode_active_total",
                "Inodes of each XFS file system that are in use.",
            ),
            (
                "node_xfs_vnode_allocate_total",
                "Times that an inode of each XFS file system was allocated in memory.",
            ),
            (
                "node_xfs_vnode_get_total",
                "Times that an inode of each XFS file system was taken into use again.",
            ),
            (
                "node_xfs_vnode_hold_total",
                "Times that an inode of each XFS file system was held.",
            ),
            (
                "node_xfs_vnode_release_total",
                "Times that an inode of each XFS file system was released.",
            ),
            (
                "node_xfs_vnode_reclaim_total",
                "Times that an inode of each XFS file system was reclaimed.",
            ),
            (
                "node_xfs_vnode_remove_total",
                "Times that an inode of each XFS file system was removed from use.",
            ),
        ],
    ),
];
