//! How much memory there is, and how much of it this process has.

use std::fs;
use std::path::Path;

/// Anonymous resident memory of this process in bytes: what `/proc/self/statm` calls resident less
/// shared, so that the program's own code and mapped files do not count. `None` where there is no
/// `/proc`.
pub(crate) fn resident() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    resident_of(&statm, u64::try_from(rustix::param::page_size()).ok()?)
}

fn resident_of(statm: &str, page: u64) -> Option<u64> {
    let mut fields = statm.split_ascii_whitespace().skip(1);
    let resident: u64 = fields.next()?.parse().ok()?;
    let shared: u64 = fields.next()?.parse().ok()?;
    Some(resident.saturating_sub(shared) * page)
}

/// The memory that this process may use in bytes: the smaller of its cgroup's limit and the
/// machine's memory.
pub(crate) fn total() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|meminfo| total_of(&meminfo));
    let limits = cgroup_limits(Path::new("/sys/fs/cgroup"), Path::new("/proc/self/cgroup"));
    limits.into_iter().chain(machine).min().unwrap_or(u64::MAX)
}

fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Limits of this process's cgroup, both versions; inside a container the cgroup's own folder is
/// the root of the mount.
fn cgroup_limits(root: &Path, own: &Path) -> Vec<u64> {
    let own = fs::read_to_string(own).unwrap_or_default();
    let mut files = vec![
        root.join("memory.max"),
        root.join("memory/memory.limit_in_bytes"),
    ];
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            files.push(root.join(path).join("memory.max"));
        } else if controllers.split(',').any(|name| name == "memory") {
            files.push(root.join("memory").join(path).join("memory.limit_in_bytes"));
        }
    }
    files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_pages_do_not_count() {
        assert_eq!(
            resident_of("5000 300 100 20 0 400 0\n", 4096),
            Some(200 * 4096)
        );
        assert_eq!(resident_of("", 4096), None);
        assert!(resident().is_some_and(|bytes| bytes > 0));
    }

    #[test]
    fn the_machine_has_memory() {
        assert_eq!(
            total_of("MemTotal:       16 kB\nMemFree: 1 kB\n"),
            Some(16 * 1024)
        );
        assert!(total() > 1 << 20);
    }
}
