//! NFS: the client's counters in `/proc/net/rpc/nfs` and the server's in `/proc/net/rpc/nfsd`.
//!
//! A line is a word and numbers. The numbers behind `proc3`, `proc4` and `proc4ops` begin with how many follow; which
//! procedure each of them counts is the kernel's order (`fs/nfs/nfs4xdr.c`, `fs/nfsd/nfs4proc.c`, `linux/nfs4.h`).

use corten_host::scan::{fields, lines, number};
use corten_host::{HostError, HostFile, Roots};

use crate::definition::{Definition, Shape};
use crate::emit::Emit;
use crate::scraper::Scraper;

const CALL: &[&str] = &["rpc.onc.version", "rpc.onc.procedure.name"];
const OPERATION: &[&str] = &["rpc.onc.version", "rpc.nfs.operation.name"];

const fn gauge(name: &'static str, unit: &'static str, description: &'static str) -> Definition {
    Definition::new(name, unit, Shape::Gauge, &[], description)
}

pub(crate) const METRICS: &[Definition] = &[
    gauge(
        "system.nfs.net.count",
        "{request}",
        "Requests of the client that went over the network.",
    ),
    gauge(
        "system.nfs.net.udp.count",
        "{datagram}",
        "The client's datagrams over UDP.",
    ),
    gauge(
        "system.nfs.net.tcp.count",
        "{segment}",
        "The client's segments over TCP.",
    ),
    gauge(
        "system.nfs.net.tcp.connection.count",
        "{connection}",
        "The client's connections over TCP.",
    ),
    gauge(
        "system.nfs.rpc.count",
        "{request}",
        "Remote calls of the client.",
    ),
    gauge(
        "system.nfs.rpc.retransmit.count",
        "{retransmit}",
        "Remote calls that the client sent again.",
    ),
    gauge(
        "system.nfs.rpc.authrefresh.count",
        "{authrefresh}",
        "Times that the client renewed its credentials.",
    ),
    Definition::new(
        "system.nfs.procedure.count",
        "{procedure}",
        Shape::Gauge,
        CALL,
        "The client's calls of each procedure.",
    ),
    Definition::new(
        "system.nfs.operation.count",
        "{procedure}",
        Shape::Gauge,
        OPERATION,
        "The client's operations of version 4.",
    ),
    gauge(
        "system.nfsd.repcache.hits",
        "{hit}",
        "Replies that the server's cache had.",
    ),
    gauge(
        "system.nfsd.repcache.misses",
        "{miss}",
        "Replies that the server's cache had not.",
    ),
    gauge(
        "system.nfsd.repcache.nocache",
        "{miss}",
        "Replies of the server that are not cached.",
    ),
    gauge(
        "system.nfsd.fh.stale.count",
        "{fh}",
        "Handles of files that were gone.",
    ),
    gauge(
        "system.nfsd.io.read.count",
        "By",
        "Bytes that the server has read for its clients.",
    ),
    gauge(
        "system.nfsd.io.write.count",
        "By",
        "Bytes that the server has written for its clients.",
    ),
    gauge(
        "system.nfsd.thread.count",
        "{thread}",
        "Threads that the server has.",
    ),
    gauge(
        "system.nfsd.net.count",
        "{request}",
        "Requests that reached the server over the network.",
    ),
    gauge(
        "system.nfsd.net.udp.count",
        "{datagram}",
        "The server's datagrams over UDP.",
    ),
    gauge(
        "system.nfsd.net.tcp.count",
        "{segment}",
        "The server's segments over TCP.",
    ),
    gauge(
        "system.nfsd.net.tcp.connection.count",
        "{connection}",
        "Connections over TCP that the server has taken.",
    ),
    gauge(
        "system.nfsd.rpc.count",
        "{request}",
        "Remote calls that the server has handled.",
    ),
    gauge(
        "system.nfsd.rpc.bad.count",
        "{request}",
        "Remote calls that the server has refused.",
    ),
    gauge(
        "system.nfsd.rpc.badfmt.count",
        "{request}",
        "Remote calls that the server has refused for their form.",
    ),
    gauge(
        "system.nfsd.rpc.badauth.count",
        "{request}",
        "Remote calls that the server has refused for their credentials.",
    ),
    gauge(
        "system.nfsd.rpc.badclient.count",
        "{request}",
        "Remote calls that the server has refused for who made them.",
    ),
    Definition::new(
        "system.nfsd.procedure.count",
        "{procedure}",
        Shape::Gauge,
        CALL,
        "Calls of each procedure that the server has handled.",
    ),
    Definition::new(
        "system.nfsd.operation.count",
        "{operation}",
        Shape::Gauge,
        OPERATION,
        "Operations of version 4 that the server has carried out.",
    ),
];

/// A line of numbers and the metric of each; an empty name is a number that has none.
type Line = (&'static str, &'static [&'static str]);

const CLIENT: [Line; 2] = [
    (
        "net",
        &[
            "system.nfs.net.count",
            "system.nfs.net.udp.count",
            "system.nfs.net.tcp.count",
            "system.nfs.net.tcp.connection.count",
        ],
    ),
    (
        "rpc",
        &[
            "system.nfs.rpc.count",
            "system.nfs.rpc.retransmit.count",
            "system.nfs.rpc.authrefresh.count",
        ],
    ),
];

const SERVER: [Line; 6] = [
    (
        "rc",
        &[
            "system.nfsd.repcache.hits",
            "system.nfsd.repcache.misses",
            "system.nfsd.repcache.nocache",
        ],
    ),
    ("fh", &["system.nfsd.fh.stale.count"]),
    (
        "io",
        &["system.nfsd.io.read.count", "system.nfsd.io.write.count"],
    ),
    ("th", &["system.nfsd.thread.count"]),
    (
        "net",
        &[
            "system.nfsd.net.count",
            "system.nfsd.net.udp.count",
            "system.nfsd.net.tcp.count",
            "system.nfsd.net.tcp.connection.count",
        ],
    ),
    (
        "rpc",
        &[
            "system.nfsd.rpc.count",
            "system.nfsd.rpc.bad.count",
            "system.nfsd.rpc.badfmt.count",
            "system.nfsd.rpc.badauth.count",
            "system.nfsd.rpc.badclient.count",
        ],
    ),
];

/// Lines that count calls, under a metric: the line, the version, the attribute of the name, and the names.
type Calls = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const CLIENT_CALLS: [(&str, &[Calls]); 2] = [
    (
        "system.nfs.procedure.count",
        &[("proc3", "3", "rpc.onc.procedure.name", &PROCEDURES)],
    ),
    (
        "system.nfs.operation.count",
        &[("proc4", "4", "rpc.nfs.operation.name", &CLIENT_OPERATIONS)],
    ),
];

const SERVER_CALLS: [(&str, &[Calls]); 2] = [
    (
        "system.nfsd.procedure.count",
        &[
            ("proc3", "3", "rpc.onc.procedure.name", &PROCEDURES),
            (
                "proc4",
                "4",
                "rpc.onc.procedure.name",
                &["NULL", "COMPOUND"],
            ),
        ],
    ),
    (
        "system.nfsd.operation.count",
        &[(
            "proc4ops",
            "4",
            "rpc.nfs.operation.name",
            &SERVER_OPERATIONS,
        )],
    ),
];

/// Version 3 (RFC 1813).
const PROCEDURES: [&str; 22] = [
    "NULL",
    "GETATTR",
    "SETATTR",
    "LOOKUP",
    "ACCESS",
    "READLINK",
    "READ",
    "WRITE",
    "CREATE",
    "MKDIR",
    "SYMLINK",
    "MKNOD",
    "REMOVE",
    "RMDIR",
    "RENAME",
    "LINK",
    "READDIR",
    "READDIRPLUS",
    "FSSTAT",
    "FSINFO",
    "PATHCONF",
    "COMMIT",
];

/// What Linux's client calls procedures of version 4.
const CLIENT_OPERATIONS: [&str; 69] = [
    "NULL",
    "READ",
    "WRITE",
    "COMMIT",
    "OPEN",
    "OPEN_CONFIRM",
    "OPEN_NOATTR",
    "OPEN_DOWNGRADE",
    "CLOSE",
    "SETATTR",
    "FSINFO",
    "RENEW",
    "SETCLIENTID",
    "SETCLIENTID_CONFIRM",
    "LOCK",
    "LOCKT",
    "LOCKU",
    "ACCESS",
    "GETATTR",
    "LOOKUP",
    "LOOKUP_ROOT",
    "REMOVE",
    "RENAME",
    "LINK",
    "SYMLINK",
    "CREATE",
    "PATHCONF",
    "STATFS",
    "READLINK",
    "READDIR",
    "SERVER_CAPS",
    "DELEGRETURN",
    "GETACL",
    "SETACL",
    "FS_LOCATIONS",
    "RELEASE_LOCKOWNER",
    "SECINFO",
    "FSID_PRESENT",
    "EXCHANGE_ID",
    "CREATE_SESSION",
    "DESTROY_SESSION",
    "SEQUENCE",
    "GET_LEASE_TIME",
    "RECLAIM_COMPLETE",
    "GETDEVICEINFO",
    "LAYOUTGET",
    "LAYOUTCOMMIT",
    "LAYOUTRETURN",
    "SECINFO_NO_NAME",
    "TEST_STATEID",
    "FREE_STATEID",
    "GETDEVICELIST",
    "BIND_CONN_TO_SESSION",
    "DESTROY_CLIENTID",
    "SEEK",
    "ALLOCATE",
    "DEALLOCATE",
    "LAYOUTSTATS",
    "CLONE",
    "COPY",
    "OFFLOAD_CANCEL",
    "COPY_NOTIFY",
    "LOOKUPP",
    "LAYOUTERROR",
    "GETXATTR",
    "SETXATTR",
    "LISTXATTRS",
    "REMOVEXATTR",
    "READ_PLUS",
];

/// Operations of version 4 by their number (RFC 7530, 8881, 7862 and 8276); the first three are not used.
const SERVER_OPERATIONS: [&str; 76] = [
    "UNUSED_IGNORE0",
    "UNUSED_IGNORE1",
    "UNUSED_IGNORE2",
    "ACCESS",
    "CLOSE",
    "COMMIT",
    "CREATE",
    "DELEGPURGE",
    "DELEGRETURN",
    "GETATTR",
    "GETFH",
    "LINK",
    "LOCK",
    "LOCKT",
    "LOCKU",
    "LOOKUP",
    "LOOKUPP",
    "NVERIFY",
    "OPEN",
    "OPENATTR",
    "OPEN_CONFIRM",
    "OPEN_DOWNGRADE",
    "PUTFH",
    "PUTPUBFH",
    "PUTROOTFH",
    "READ",
    "READDIR",
    "READLINK",
    "REMOVE",
    "RENAME",
    "RENEW",
    "RESTOREFH",
    "SAVEFH",
    "SECINFO",
    "SETATTR",
    "SETCLIENTID",
    "SETCLIENTID_CONFIRM",
    "VERIFY",
    "WRITE",
    "RELEASE_LOCKOWNER",
    "BACKCHANNEL_CTL",
    "BIND_CONN_TO_SESSION",
    "EXCHANGE_ID",
    "CREATE_SESSION",
    "DESTROY_SESSION",
    "FREE_STATEID",
    "GET_DIR_DELEGATION",
    "GETDEVICEINFO",
    "GETDEVICELIST",
    "LAYOUTCOMMIT",
    "LAYOUTGET",
    "LAYOUTRETURN",
    "SECINFO_NO_NAME",
    "SEQUENCE",
    "SET_SSV",
    "TEST_STATEID",
    "WANT_DELEGATION",
    "DESTROY_CLIENTID",
    "RECLAIM_COMPLETE",
    "ALLOCATE",
    "COPY",
    "COPY_NOTIFY",
    "DEALLOCATE",
    "IO_ADVISE",
    "LAYOUTERROR",
    "LAYOUTSTATS",
    "OFFLOAD_CANCEL",
    "OFFLOAD_STATUS",
    "READ_PLUS",
    "SEEK",
    "WRITE_SAME",
    "CLONE",
    "GETXATTR",
    "SETXATTR",
    "LISTXATTRS",
    "REMOVEXATTR",
];

pub(crate) struct Nfs {
    client: HostFile,
    server: HostFile,
}

impl Nfs {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            client: HostFile::new(roots.proc("net/rpc/nfs")),
            server: HostFile::new(roots.proc("net/rpc/nfsd")),
        }
    }
}

impl Scraper for Nfs {
    /// A host may be a client, a server, or both.
    fn scrape(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let is_client = match self.client.read() {
            Ok(text) => {
                write("net/rpc/nfs", text, &CLIENT, &CLIENT_CALLS, emit)?;
                true
            }
            Err(error) if error.is_absent() => false,
            Err(error) => return Err(error),
        };
        match self.server.read() {
            Ok(text) => write("net/rpc/nfsd", text, &SERVER, &SERVER_CALLS, emit),
            Err(error) if error.is_absent() && is_client => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn write(
    file: &'static str,
    text: &[u8],
    plain: &[Line],
    calls: &[(&str, &[Calls])],
    emit: &mut Emit<'_>,
) -> Result<(), HostError> {
    for (word, metrics) in plain {
        let Some((at, values)) = line(text, word) else {
            continue;
        };
        let mut found = fields(values);
        for metric in *metrics {
            let value = found.next().and_then(number);
            let wrong = || HostError::malformed(file, at, "a number for each counter", values);
            emit.single(metric, value.ok_or_else(wrong)?);
        }
    }
    for (metric, lines) in calls {
        let mut points = emit.metric(metric);
        for (word, version, key, names) in *lines {
            let Some((at, values)) = line(text, word) else {
                continue;
            };
            let wrong =
                || HostError::malformed(file, at, "how many numbers there are, and them", values);
            let mut found = fields(values).map(number);
            let count = found.next().flatten().ok_or_else(wrong)?;
            let found: Option<Vec<u64>> = found.collect();
            let found = found
                .filter(|found| u64::try_from(found.len()) == Ok(count))
                .ok_or_else(wrong)?;
            // What a newer kernel counts besides has no name here.
            for (name, value) in names.iter().zip(found) {
                points.add(&[("rpc.onc.version", version), (key, name)], value);
            }
        }
    }
    Ok(())
}

/// What follows `word` at the beginning of a line, and the number of that line.
fn line<'t>(text: &'t [u8], word: &str) -> Option<(usize, &'t [u8])> {
    lines(text).find_map(|(at, line)| {
        let values = line.strip_prefix(word.as_bytes())?.strip_prefix(b" ")?;
        Some((at, values))
    })
}
