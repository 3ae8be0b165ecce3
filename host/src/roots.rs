//! Where the host's file systems are seen from here.

use std::path::{Path, PathBuf};

/// The places below which everything is read. In a container the host's trees are mounted
/// elsewhere (`/host/proc`, …); in a test they are a folder of files. Relative paths work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// The host's `/proc`.
    pub procfs: PathBuf,
    /// The host's `/sys`.
    pub sysfs: PathBuf,
    /// The host's `/`, below which mount points are asked for their size.
    pub rootfs: PathBuf,
    /// udev's database of devices, `/run/udev/data`.
    pub udev_data: PathBuf,
    /// The control group hierarchy or hierarchies, `/sys/fs/cgroup`.
    pub cgroup: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self::below(Path::new("/"))
    }
}

impl Roots {
    /// The usual places of a host whose `/` is mounted at `root`.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self {
            procfs: root.join("proc"),
            sysfs: root.join("sys"),
            rootfs: root.to_owned(),
            udev_data: root.join("run/udev/data"),
            cgroup: root.join("sys/fs/cgroup"),
        }
    }

    /// A file below `/proc`.
    #[must_use]
    pub fn proc(&self, relative: &str) -> PathBuf {
        self.procfs.join(relative)
    }

    /// A file below `/sys`.
    #[must_use]
    pub fn sys(&self, relative: &str) -> PathBuf {
        self.sysfs.join(relative)
    }

    /// Where the host's path `path` is found from here.
    #[must_use]
    pub fn on_host(&self, path: &Path) -> PathBuf {
        self.rootfs.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// What a path that may lie below the root is called on the host: the root's prefix is taken
    /// off at whole path parts, and the root itself is `/`. Other paths stay as they are.
    #[must_use]
    pub fn seen_from_host<'a>(&self, path: &'a str) -> &'a str {
        let Some(root) = self.rootfs.to_str() else {
            return path;
        };
        let root = root.trim_end_matches('/');
        match path.strip_prefix(root) {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_taken_off_at_whole_parts_only() {
        let roots = Roots::below(Path::new("/host/root"));
        assert_eq!(roots.seen_from_host("/host/root"), "/");
        assert_eq!(roots.seen_from_host("/host/root/data"), "/data");
        assert_eq!(roots.seen_from_host("/host/rootless"), "/host/rootless");
        assert_eq!(roots.seen_from_host("/data"), "/data");
        assert_eq!(Roots::default().seen_from_host("/data"), "/data");
        assert_eq!(Roots::default().seen_from_host("/"), "/");
        assert_eq!(
            roots.on_host(Path::new("/data")),
            Path::new("/host/root/data")
        );
        assert_eq!(
            Roots::default().on_host(Path::new("/data")),
            Path::new("/data")
        );
    }
}
