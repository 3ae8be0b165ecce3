//! What NFS asked of servers: `/proc/net/rpc/nfs`.

use std::collections::HashMap;

use corten_host::families::Kind::Counter;
use corten_host::scan::{fields, float, lines, number};
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Nfs {
        file: HostFile::new(sources.roots.proc("net/rpc/nfs")),
    })
}

struct Nfs {
    file: HostFile,
}

/// The requests of version 2 of the protocol, in the order of the file.
pub(super) const VERSION_2: [&str; 18] = [
    "Null", "GetAttr", "SetAttr", "Root", "Lookup", "ReadLink", "Read", "WrCache", "Write",
    "Create", "Remove", "Rename", "Link", "SymLink", "MkDir", "RmDir", "ReadDir", "FsStat",
];
/// Those of version 3.
pub(super) const VERSION_3: [&str; 22] = [
    "Null",
    "GetAttr",
    "SetAttr",
    "Lookup",
    "Access",
    "ReadLink",
    "Read",
    "Write",
    "Create",
    "MkDir",
    "SymLink",
    "MkNod",
    "Remove",
    "RmDir",
    "Rename",
    "Link",
    "ReadDir",
    "ReadDirPlus",
    "FsStat",
    "FsInfo",
    "PathConf",
    "Commit",
];
/// Those that clients make in version 4; kernels know more or fewer of them.
const VERSION_4: [&str; 59] = [
    "Null",
    "Read",
    "Write",
    "Commit",
    "Open",
    "OpenConfirm",
    "OpenNoattr",
    "OpenDowngrade",
    "Close",
    "Setattr",
    "FsInfo",
    "Renew",
    "SetClientID",
    "SetClientIDConfirm",
    "Lock",
    "Lockt",
    "Locku",
    "Access",
    "Getattr",
    "Lookup",
    "LookupRoot",
    "Remove",
    "Rename",
    "Link",
    "Symlink",
    "Create",
    "Pathconf",
    "StatFs",
    "ReadLink",
    "ReadDir",
    "ServerCaps",
    "DelegReturn",
    "GetACL",
    "SetACL",
    "FsLocations",
    "ReleaseLockowner",
    "Secinfo",
    "FsidPresent",
    "ExchangeID",
    "CreateSession",
    "DestroySession",
    "Sequence",
    "GetLeaseTime",
    "ReclaimComplete",
    "GetDeviceInfo",
    "LayoutGet",
    "LayoutCommit",
    "LayoutReturn",
    "SecinfoNoName",
    "TestStateID",
    "FreeStateID",
    "GetDeviceList",
    "BindConnToSession",
    "DestroyClientID",
    "Seek",
    "Allocate",
    "DeAllocate",
    "LayoutStats",
    "Clone",
];

impl Collector for Nfs {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let all = parse("net/rpc/nfs", self.file.read()?)?;
        let at = |line: &str, index: usize| {
            all.get(line.as_bytes())
                .and_then(|values| values.get(index))
                .copied()
                .unwrap_or(0)
        };
        for (name, help, line, index) in [
            (
                "node_nfs_connections_total",
                "Connections made to servers.",
                "net",
                3,
            ),
            ("node_nfs_rpcs_total", "Calls made.", "rpc", 0),
            (
                "node_nfs_rpc_retransmissions_total",
                "Calls made again because no answer came.",
                "rpc",
                1,
            ),
            (
                "node_nfs_rpc_authentication_refreshes_total",
                "Credentials that were renewed.",
                "rpc",
                2,
            ),
        ] {
            emit.put(Counter, name, help, &[], float(at(line, index)));
        }
        for (protocol, index) in [("udp", 1), ("tcp", 2)] {
            emit.put(
                Counter,
                "node_nfs_packets_total",
                "Packets by protocol.",
                &[("protocol", protocol)],
                float(at("net", index)),
            );
        }
        for (proto, line, methods) in [
            ("2", "proc2", &VERSION_2[..]),
            ("3", "proc3", &VERSION_3[..]),
            ("4", "proc4", &VERSION_4[..]),
        ] {
            for (index, method) in methods.iter().enumerate() {
                emit.put(
                    Counter,
                    "node_nfs_requests_total",
                    "Requests by version of the protocol and method.",
                    &[("method", method), ("proto", proto)],
                    float(at(line, index + 1)),
                );
            }
        }
        Ok(())
    }
}

/// The numbers of each line by its first word. Lines of requests begin with how many there are.
pub(super) fn parse<'a>(
    file: &'static str,
    text: &'a [u8],
) -> Result<HashMap<&'a [u8], Vec<u64>>, HostError> {
    let mut all = HashMap::new();
    for (at, line) in lines(text) {
        let mut words = fields(line);
        let Some(name) = words.next() else { continue };
        // Threads' histogram is in seconds, and nothing that anybody counts.
        let values: Option<Vec<u64>> = if name == b"th" {
            words.take(2).map(number).collect()
        } else {
            words.map(number).collect()
        };
        let wrong = || HostError::malformed(file, at, "a name and numbers", line);
        let values = values.ok_or_else(wrong)?;
        let fits = match name {
            b"net" => values.len() == 4,
            b"rpc" => values.len() >= 3,
            name if name.starts_with(b"proc") => {
                values
                    .first()
                    .and_then(|count| usize::try_from(*count).ok())
                    .and_then(|count| count.checked_add(1))
                    == Some(values.len())
            }
            _ => true,
        };
        if !fits {
            return Err(wrong());
        }
        all.insert(name, values);
    }
    if all.is_empty() {
        return Err(HostError::Missing {
            file,
            expected: "lines of counters",
        });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_requests_say_how_many_there_are() {
        let all = parse(
            "f",
            b"net 70 70 69 45\nrpc 1218785755 374636 1218815394\nproc2 2 1 2\n",
        )
        .unwrap();
        assert_eq!(all[&b"proc2"[..]], [2, 1, 2]);
        for torn in [
            "net 1 2\n",
            "proc3 5 1\n",
            "rpc x\n",
            "",
            "proc4 18446744073709551615 1\n",
        ] {
            assert!(parse("f", torn.as_bytes()).is_err(), "{torn}");
        }
    }
}
