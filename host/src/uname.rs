//! `uname(2)`: the names of the kernel that this process runs on.

/// The kernel's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uname {
    /// `Linux`.
    pub sysname: String,
    /// `6.8.0-45-generic`.
    pub release: String,
    /// `#45-Ubuntu SMP …`.
    pub version: String,
    /// `x86_64`.
    pub machine: String,
    /// The host's name; that of the container in a UTS namespace of its own.
    pub nodename: String,
    /// The NIS domain, `(none)` without one.
    pub domainname: String,
}

impl Uname {
    /// Asks the kernel.
    #[must_use]
    pub fn read() -> Self {
        let names = rustix::system::uname();
        let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
        Self {
            sysname: text(names.sysname()),
            release: text(names.release()),
            version: text(names.version()),
            machine: text(names.machine()),
            nodename: text(names.nodename()),
            domainname: text(names.domainname()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_procfs() {
        let uname = Uname::read();
        assert_eq!(uname.sysname, "Linux");
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        assert_eq!(uname.release, release.trim());
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert_eq!(uname.nodename, name.trim());
    }
}
