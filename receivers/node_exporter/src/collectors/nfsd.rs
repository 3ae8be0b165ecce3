//! What NFS clients asked of this host: `/proc/net/rpc/nfsd`.

use corten_host::families::Kind::{Counter, Gauge};
use corten_host::{HostError, HostFile, float};

use super::nfs::{VERSION_2, VERSION_3, parse};
use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Nfsd {
        file: HostFile::new(sources.roots.proc("net/rpc/nfsd")),
    })
}

struct Nfsd {
    file: HostFile,
}

/// The operations of version 4 in the order of their numbers.
const OPERATIONS: [&str; 40] = [
    "Op0Unused",
    "Op1Unused",
    "Op2Future",
    "Access",
    "Close",
    "Commit",
    "Create",
    "DelegPurge",
    "DelegReturn",
    "GetAttr",
    "GetFH",
    "Link",
    "Lock",
    "Lockt",
    "Locku",
    "Lookup",
    "LookupRoot",
    "Nverify",
    "Open",
    "OpenAttr",
    "OpenConfirm",
    "OpenDgrd",
    "PutFH",
    "PutPubFH",
    "PutRootFH",
    "Read",
    "ReadDir",
    "ReadLink",
    "Remove",
    "Rename",
    "Renew",
    "RestoreFH",
    "SaveFH",
    "SecInfo",
    "SetAttr",
    "SetClientID",
    "SetClientIDConfirm",
    "Verify",
    "Write",
    "RelLockOwner",
];

/// Operations that no client asks for.
const UNUSED: [&str; 5] = [
    "Op0Unused",
    "Op1Unused",
    "Op2Future",
    "PutPubFH",
    "PutRootFH",
];

impl Collector for Nfsd {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let all = parse("net/rpc/nfsd", self.file.read()?)?;
        let at = |line: &str, index: usize| {
            float(
                all.get(line.as_bytes())
                    .and_then(|values| values.get(index))
                    .copied()
                    .unwrap_or(0),
            )
        };
        for (name, help, line, index) in [
            (
                "node_nfsd_reply_cache_hits_total",
                "Requests answered from the cache of replies.",
                "rc",
                0,
            ),
            (
                "node_nfsd_reply_cache_misses_total",
                "Requests that were not in the cache of replies.",
                "rc",
                1,
            ),
            (
                "node_nfsd_reply_cache_nocache_total",
                "Requests that the cache of replies is not for.",
                "rc",
                2,
            ),
            (
                "node_nfsd_file_handles_stale_total",
                "Requests for files that are gone.",
                "fh",
                0,
            ),
            ("node_nfsd_disk_bytes_read_total", "Bytes read.", "io", 0),
            (
                "node_nfsd_disk_bytes_written_total",
                "Bytes written.",
                "io",
                1,
            ),
            (
                "node_nfsd_read_ahead_cache_not_found_total",
                "Reads that were not in the cache of what is read ahead.",
                "ra",
                11,
            ),
            (
                "node_nfsd_connections_total",
                "Connections made by clients.",
                "net",
                3,
            ),
            ("node_nfsd_server_rpcs_total", "Calls answered.", "rpc", 0),
        ] {
            emit.put(Counter, name, help, &[], at(line, index));
        }
        emit.put(
            Gauge,
            "node_nfsd_server_threads",
            "Threads that answer.",
            &[],
            at("th", 0),
        );
        emit.put(
            Gauge,
            "node_nfsd_read_ahead_cache_size_blocks",
            "Blocks in the cache of what is read ahead.",
            &[],
            at("ra", 0),
        );
        for (proto, index) in [("udp", 1), ("tcp", 2)] {
            emit.put(
                Counter,
                "node_nfsd_packets_total",
                "Packets by protocol.",
                &[("proto", proto)],
                at("net", index),
            );
        }
        for (error, index) in [("fmt", 2), ("auth", 3), ("cInt", 4)] {
            emit.put(
                Counter,
                "node_nfsd_rpc_errors_total",
                "Calls refused, by reason.",
                &[("error", error)],
                at("rpc", index),
            );
        }
        // Calls that do nothing are not reported.
        for (proto, line, methods) in [
            ("2", "proc2", &VERSION_2[1..]),
            ("3", "proc3", &VERSION_3[1..]),
        ] {
            for (index, method) in methods.iter().enumerate() {
                emit.put(
                    Counter,
                    REQUESTS.0,
                    REQUESTS.1,
                    &[("method", method), ("proto", proto)],
                    at(line, index + 2),
                );
            }
        }
        for (index, method) in OPERATIONS.iter().enumerate() {
            if !UNUSED.contains(method) {
                emit.put(
                    Counter,
                    REQUESTS.0,
                    REQUESTS.1,
                    &[("method", method), ("proto", "4")],
                    at("proc4ops", index + 1),
                );
            }
        }
        if let Some(count) = all
            .get(&b"wdeleg_getattr"[..])
            .and_then(|values| values.first())
        {
            emit.put(
                Counter,
                REQUESTS.0,
                REQUESTS.1,
                &[("method", "WdelegGetattr"), ("proto", "4")],
                float(*count),
            );
        }
        Ok(())
    }
}

const REQUESTS: (&str, &str) = (
    "node_nfsd_requests_total",
    "Requests by version of the protocol and method.",
);
