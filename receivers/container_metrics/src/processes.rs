//! What the processes of a container hold open and may hold open.

use std::os::unix::ffi::OsStrExt as _;

use corten_host::scan::{fields, lines, number};
use corten_host::{Buffer, Roots};

/// Descriptors of a container's processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) descriptors: u64,
    pub(crate) sockets: u64,
}

/// Counts the descriptors of processes. One that has gone meanwhile, or may not be looked at, has
/// none.
pub(crate) fn open(roots: &Roots, pids: &[u32]) -> Open {
    let mut open = Open::default();
    for pid in pids {
        let Ok(entries) = std::fs::read_dir(roots.procfs.join(format!("{pid}/fd"))) else {
            continue;
        };
        for entry in entries.flatten() {
            open.descriptors += 1;
            let socket = std::fs::read_link(entry.path())
                .is_ok_and(|target| target.as_os_str().as_bytes().starts_with(b"socket"));
            open.sockets += u64::from(socket);
        }
    }
    open
}

/// How many files the process may have open, by its soft limit; -1 without a limit.
pub(crate) fn max_open_files(roots: &Roots, pid: u32, buffer: &mut Buffer) -> Option<f64> {
    soft_limit(
        buffer
            .read(&roots.procfs.join(format!("{pid}/limits")))
            .ok()?,
    )
}

/// `Max open files            1024                 524288               files`
fn soft_limit(text: &[u8]) -> Option<f64> {
    let rest = lines(text).find_map(|(_, line)| line.strip_prefix(b"Max open files"))?;
    match fields(rest).next()? {
        b"unlimited" => Some(-1.0),
        soft => number(soft).map(corten_host::float),
    }
}

/// Whether the process is the one that does nothing but hold a pod's namespaces.
pub(crate) fn is_pause(roots: &Roots, pid: u32, buffer: &mut Buffer) -> bool {
    buffer
        .read(&roots.procfs.join(format!("{pid}/comm")))
        .is_ok_and(|text| text.trim_ascii() == b"pause")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_soft() {
        let text = b"Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1024                 524288               files     \n";
        assert_eq!(soft_limit(text), Some(1024.0));
        assert_eq!(
            soft_limit(b"Max open files unlimited unlimited files"),
            Some(-1.0)
        );
        assert_eq!(soft_limit(b"Max processes 1 2 processes"), None);
    }

    #[test]
    fn this_process_has_descriptors() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let open = open(&Roots::default(), &[std::process::id()]);
        assert!(
            open.descriptors > open.sockets && open.sockets >= 1,
            "{open:?}"
        );
        drop(socket);
    }
}
