//! What NFS mounts have done, operation by operation: `/proc/self/mountstats`.

use std::collections::HashSet;

use corten_host::families::Kind::{Counter, Gauge};
use corten_host::scan::{fields, float, fraction, lines, number, valid};
use corten_host::{HostError, HostFile, mounts};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Mountstats {
        stats: HostFile::new(sources.roots.proc("self/mountstats")),
        mounts: HostFile::new(sources.roots.proc("self/mountinfo")),
    })
}

struct Mountstats {
    stats: HostFile,
    mounts: HostFile,
}

const FILE: &str = "self/mountstats";
/// Values in milliseconds and idle times begin anew beyond what a metric can hold exactly.
const EXACT: u64 = 1 << 53;

impl Collector for Mountstats {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let all = parse(self.stats.read()?)?;
        if !all.iter().any(|mount| mount.nfs.is_some()) {
            return Ok(());
        }
        let mounts = addresses(self.mounts.read()?)?;
        let mut told = HashSet::new();
        let mut shown = HashSet::new();
        for (index, mount) in all.iter().enumerate() {
            let Some(nfs) = &mount.nfs else { continue };
            let address = address(&mounts, index, &mount.point);
            for transport in &nfs.transports {
                let labels = [
                    ("export", mount.device.as_str()),
                    ("mountaddr", address),
                    ("protocol", transport.protocol.as_str()),
                ];
                let [export, mountaddr, protocol] = labels;
                if told.insert((
                    mount.device.as_str(),
                    &transport.protocol,
                    address,
                    &mount.point,
                )) {
                    let name = "node_mountstats_nfs_mountpoint_info";
                    let labels = [export, mountaddr, ("mountpoint", &mount.point), protocol];
                    emit.put(
                        Gauge,
                        name,
                        "Where an NFS export is mounted: always 1.",
                        &labels,
                        1.0,
                    );
                }
                // An export that is mounted at two places has one set of counters.
                if !shown.insert((mount.device.as_str(), &transport.protocol, address)) {
                    break;
                }
                write(nfs, &labels, emit);
            }
        }
        Ok(())
    }
}

type Labels<'a> = [(&'a str, &'a str); 3];

fn write(nfs: &Nfs, labels: &Labels<'_>, emit: &mut Emit<'_>) {
    emit.put(
        Counter,
        "node_mountstats_nfs_age_seconds_total",
        "How long the export has been mounted, in seconds.",
        labels,
        nfs.age,
    );
    for ((name, help), value) in BYTES.iter().zip(nfs.bytes) {
        emit.put(Counter, name, help, labels, float(value));
    }
    for ((name, help), value) in EVENTS.iter().zip(nfs.events) {
        if !name.is_empty() {
            emit.put(Counter, name, help, labels, float(value));
        }
    }
    let [export, mountaddr, protocol] = *labels;
    for (index, transport) in nfs.transports.iter().enumerate() {
        let mut digits = itoa::Buffer::new();
        let index = digits.format(index);
        let labels = [export, mountaddr, protocol, ("transport", index)];
        for (column, kind, name, help) in TRANSPORTS {
            let value = transport.values.get(column).copied().unwrap_or(0);
            emit.put(kind, name, help, &labels, float(value % EXACT));
        }
    }
    for (operation, values) in &nfs.operations {
        let labels = [export, mountaddr, ("operation", operation), protocol];
        for ((name, help, per_second), value) in OPERATIONS.iter().zip(values) {
            emit.put(
                Counter,
                name,
                help,
                &labels,
                float(value % EXACT) / per_second,
            );
        }
    }
}

/// A mount and, when it is one of NFS, what is told about it.
#[derive(Debug, Default, PartialEq)]
struct Mount {
    device: String,
    point: String,
    nfs: Option<Nfs>,
}

#[derive(Debug, Default, PartialEq)]
struct Nfs {
    age: f64,
    bytes: [u64; BYTES.len()],
    events: [u64; EVENTS.len()],
    transports: Vec<Transport>,
    operations: Vec<(String, [u64; OPERATIONS.len()])>,
}

#[derive(Debug, PartialEq)]
struct Transport {
    protocol: String,
    /// Port, bindings, connections, … as TCP has them, whatever the protocol leaves out.
    values: [u64; 13],
}

/// The mounts in the order of the file. A line that begins with `device` begins a mount, and one
/// with a version of statistics after its type is of NFS and followed by them.
fn parse(file: &[u8]) -> Result<Vec<Mount>, HostError> {
    let mut mounts: Vec<Mount> = Vec::new();
    let mut version = String::new();
    let mut operations = false;
    for (at, line) in lines(file) {
        let words: Vec<&[u8]> = fields(line).collect();
        let Some((&first, rest)) = words.split_first() else {
            continue;
        };
        let wrong = |expected| HostError::malformed(FILE, at, expected, line);
        if first == b"device" {
            let [
                device,
                b"mounted",
                b"on",
                point,
                b"with",
                b"fstype",
                kind,
                more @ ..,
            ] = rest
            else {
                return Err(wrong("device … mounted on … with fstype …"));
            };
            let told = more.first().filter(|_| matches!(*kind, b"nfs" | b"nfs4"));
            if let Some(told) = told {
                version = valid(told.strip_prefix(b"statvers=").unwrap_or(told)).into_owned();
            }
            operations = false;
            mounts.push(Mount {
                device: valid(device).into_owned(),
                point: valid(point).into_owned(),
                nfs: told.map(|_| Nfs::default()),
            });
            continue;
        }
        let Some(nfs) = mounts.last_mut().and_then(|mount| mount.nfs.as_mut()) else {
            continue;
        };
        if operations {
            let values = numbers(rest).ok_or_else(|| wrong("an operation and eight numbers"))?;
            let values = values.first_chunk().copied();
            let values = values.ok_or_else(|| wrong("an operation and eight numbers"))?;
            let name = valid(first.strip_suffix(b":").unwrap_or(first)).into_owned();
            nfs.operations.push((name, values));
            continue;
        }
        match first {
            b"age:" => {
                let age = rest.first().copied().and_then(fraction);
                nfs.age = age.ok_or_else(|| wrong("the age in seconds"))?;
            }
            b"bytes:" => {
                let values = numbers(rest).and_then(|values| values.try_into().ok());
                nfs.bytes = values.ok_or_else(|| wrong("eight numbers"))?;
            }
            b"events:" => {
                let values = numbers(rest).and_then(|values| values.try_into().ok());
                nfs.events = values.ok_or_else(|| wrong("27 numbers"))?;
            }
            b"xprt:" => nfs
                .transports
                .push(transport(rest, &version).ok_or_else(|| {
                    wrong("tcp, udp or rdma and the numbers of this version of the statistics")
                })?),
            b"per-op" => operations = true,
            _ => {}
        }
    }
    Ok(mounts)
}

fn numbers(words: &[&[u8]]) -> Option<Vec<u64>> {
    words.iter().map(|word| number(word)).collect()
}

/// UDP has no connections and no idle times, RDMA twenty numbers or more, and version 1.0 lacks the
/// last three.
fn transport(words: &[&[u8]], version: &str) -> Option<Transport> {
    let (&protocol, rest) = words.split_first()?;
    let mut read = numbers(rest)?;
    let fits = match (version, protocol) {
        ("1.0", b"tcp") => read.len() == 10,
        ("1.0", b"udp") => read.len() == 7,
        ("1.1", b"tcp") => read.len() == 13,
        ("1.1", b"udp") => read.len() == 10,
        ("1.1", b"rdma") => read.len() >= 20,
        _ => false,
    };
    if !fits {
        return None;
    }
    match protocol {
        b"udp" => drop(read.splice(2..2, [0; 3])),
        // What comes then is RDMA's own.
        b"rdma" => read.truncate(10),
        _ => {}
    }
    read.resize(13, 0);
    Some(Transport {
        protocol: valid(protocol).into_owned(),
        values: read.try_into().ok()?,
    })
}

/// Where every mount is and the address of its server.
fn addresses(mountinfo: &[u8]) -> Result<Vec<(String, String)>, HostError> {
    mounts::parse(mountinfo)
        .map(|mount| {
            let mount = mount?;
            let mut options = mount.super_options.split(',');
            let address = options.find_map(|option| option.strip_prefix("addr="));
            let point = valid(&mount.mount_point).into_owned();
            Ok((point, address.unwrap_or_default().to_owned()))
        })
        .collect()
}

/// Both files have the same order; where a mount without a device has disturbed it, the last mount
/// at the place counts.
fn address<'a>(mounts: &'a [(String, String)], index: usize, point: &str) -> &'a str {
    let same = mounts.get(index).filter(|mount| mount.0 == point);
    let same = same.or_else(|| mounts.iter().rfind(|mount| mount.0 == point));
    match same.or_else(|| mounts.get(index)) {
        Some((_, address)) => address,
        None => "",
    }
}

const BYTES: [(&str, &str); 8] = [
    (
        "node_mountstats_nfs_read_bytes_total",
        "Bytes that programs have read.",
    ),
    (
        "node_mountstats_nfs_write_bytes_total",
        "Bytes that programs have written.",
    ),
    (
        "node_mountstats_nfs_direct_read_bytes_total",
        "Bytes that programs have read past the cache.",
    ),
    (
        "node_mountstats_nfs_direct_write_bytes_total",
        "Bytes that programs have written past the cache.",
    ),
    (
        "node_mountstats_nfs_total_read_bytes_total",
        "Bytes read from the server.",
    ),
    (
        "node_mountstats_nfs_total_write_bytes_total",
        "Bytes written to the server.",
    ),
    (
        "node_mountstats_nfs_read_pages_total",
        "Pages read for mapped files.",
    ),
    (
        "node_mountstats_nfs_write_pages_total",
        "Pages written for mapped files.",
    ),
];

/// One without a name is not reported.
const EVENTS: [(&str, &str); 27] = [
    (
        "node_mountstats_nfs_event_inode_revalidate_total",
        "Times that attributes in the cache were checked with the server.",
    ),
    (
        "node_mountstats_nfs_event_dnode_revalidate_total",
        "Times that names in the cache were checked with the server.",
    ),
    (
        "node_mountstats_nfs_event_data_invalidate_total",
        "Times that a file's cached data was thrown away.",
    ),
    (
        "node_mountstats_nfs_event_attribute_invalidate_total",
        "Times that cached attributes were thrown away.",
    ),
    (
        "node_mountstats_nfs_event_vfs_open_total",
        "Files and folders opened.",
    ),
    (
        "node_mountstats_nfs_event_vfs_lookup_total",
        "Names looked up.",
    ),
    (
        "node_mountstats_nfs_event_vfs_access_total",
        "Permissions checked.",
    ),
    (
        "node_mountstats_nfs_event_vfs_update_page_total",
        "Pages changed.",
    ),
    (
        "node_mountstats_nfs_event_vfs_read_page_total",
        "Pages read one by one.",
    ),
    (
        "node_mountstats_nfs_event_vfs_read_pages_total",
        "Groups of pages read.",
    ),
    (
        "node_mountstats_nfs_event_vfs_write_page_total",
        "Pages written one by one.",
    ),
    (
        "node_mountstats_nfs_event_vfs_write_pages_total",
        "Groups of pages written.",
    ),
    (
        "node_mountstats_nfs_event_vfs_getdents_total",
        "Reads of folders.",
    ),
    (
        "node_mountstats_nfs_event_vfs_setattr_total",
        "Times that attributes were set.",
    ),
    (
        "node_mountstats_nfs_event_vfs_flush_total",
        "Times that pending writes were flushed to the server.",
    ),
    (
        "node_mountstats_nfs_event_vfs_fsync_total",
        "Calls of fsync().",
    ),
    (
        "node_mountstats_nfs_event_vfs_lock_total",
        "Attempts to lock a file.",
    ),
    (
        "node_mountstats_nfs_event_vfs_file_release_total",
        "Files closed.",
    ),
    ("", ""),
    (
        "node_mountstats_nfs_event_truncation_total",
        "Files cut off.",
    ),
    (
        "node_mountstats_nfs_event_write_extension_total",
        "Writes beyond a file's end.",
    ),
    (
        "node_mountstats_nfs_event_silly_rename_total",
        "Files removed while they were open.",
    ),
    (
        "node_mountstats_nfs_event_short_read_total",
        "Reads for which the server gave less than asked.",
    ),
    (
        "node_mountstats_nfs_event_short_write_total",
        "Writes of which the server took less than given.",
    ),
    (
        "node_mountstats_nfs_event_jukebox_delay_total",
        "Times that the server asked to wait for slow storage.",
    ),
    (
        "node_mountstats_nfs_event_pnfs_read_total",
        "Reads by parallel NFS.",
    ),
    (
        "node_mountstats_nfs_event_pnfs_write_total",
        "Writes by parallel NFS.",
    ),
];

/// Column, type, name and description.
const TRANSPORTS: [(usize, corten_host::families::Kind, &str, &str); 10] = [
    (
        1,
        Counter,
        "node_mountstats_nfs_transport_bind_total",
        "Connections made from scratch.",
    ),
    (
        2,
        Counter,
        "node_mountstats_nfs_transport_connect_total",
        "Connections made over TCP.",
    ),
    (
        4,
        Gauge,
        "node_mountstats_nfs_transport_idle_time_seconds",
        "Time since the connection was last used, in seconds.",
    ),
    (
        5,
        Counter,
        "node_mountstats_nfs_transport_sends_total",
        "Requests sent.",
    ),
    (
        6,
        Counter,
        "node_mountstats_nfs_transport_receives_total",
        "Answers received.",
    ),
    (
        7,
        Counter,
        "node_mountstats_nfs_transport_bad_transaction_ids_total",
        "Answers to requests that nobody had made.",
    ),
    (
        9,
        Counter,
        "node_mountstats_nfs_transport_backlog_queue_total",
        "Requests that had to wait for a slot, added up at each request.",
    ),
    (
        10,
        Gauge,
        "node_mountstats_nfs_transport_maximum_rpc_slots",
        "The most requests that were under way at once.",
    ),
    (
        11,
        Counter,
        "node_mountstats_nfs_transport_sending_queue_total",
        "Requests that waited to be sent, added up at each request.",
    ),
    (
        12,
        Counter,
        "node_mountstats_nfs_transport_pending_queue_total",
        "Requests that waited for an answer, added up at each request.",
    ),
];

/// Name, description and how many of the file's units make one of the metric's.
const OPERATIONS: [(&str, &str, f64); 8] = [
    (
        "node_mountstats_nfs_operations_requests_total",
        "Requests, by operation.",
        1.0,
    ),
    (
        "node_mountstats_nfs_operations_transmissions_total",
        "Times that a request was sent, by operation.",
        1.0,
    ),
    (
        "node_mountstats_nfs_operations_major_timeouts_total",
        "Requests that timed out, by operation.",
        1.0,
    ),
    (
        "node_mountstats_nfs_operations_sent_bytes_total",
        "Bytes sent, by operation.",
        1.0,
    ),
    (
        "node_mountstats_nfs_operations_received_bytes_total",
        "Bytes received, by operation.",
        1.0,
    ),
    (
        "node_mountstats_nfs_operations_queue_time_seconds_total",
        "Time that requests waited to be sent, in seconds, by operation.",
        1000.0,
    ),
    (
        "node_mountstats_nfs_operations_response_time_seconds_total",
        "Time between sending a request and its answer, in seconds, by operation.",
        1000.0,
    ),
    (
        "node_mountstats_nfs_operations_request_time_seconds_total",
        "Time that requests took as a whole, in seconds, by operation.",
        1000.0,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<&[u8]> {
        line.split(' ').map(str::as_bytes).collect()
    }

    #[test]
    fn transports_are_read_as_tcp_has_them() {
        let tcp = transport(
            &words("tcp 832 0 1 0 11 6428 6428 0 12154 0 24 26 5726"),
            "1.1",
        );
        assert_eq!(
            tcp.unwrap().values,
            [832, 0, 1, 0, 11, 6428, 6428, 0, 12154, 0, 24, 26, 5726]
        );
        let udp = transport(&words("udp 832 0 6428 6428 0 12154 0 24 26 5726"), "1.1");
        assert_eq!(
            udp.unwrap().values,
            [832, 0, 0, 0, 0, 6428, 6428, 0, 12154, 0, 24, 26, 5726]
        );
        let old = transport(&words("tcp 832 0 1 0 11 6428 6428 0 12154 7"), "1.0").unwrap();
        assert_eq!(old.values[9..], [7, 0, 0, 0]);
        for bad in ["tcp 1", "tcp", "sctp 1 2 3 4 5 6 7 8 9 10 11 12 13"] {
            assert_eq!(transport(&words(bad), "1.1"), None, "{bad}");
        }
    }

    #[test]
    fn mounts_of_other_kinds_are_counted_only() {
        let text = b"device rootfs mounted on / with fstype rootfs\nno device mounted on /x with fstype y\ndevice s:/e mounted on /mnt with fstype nfs4 statvers=1.1\n\tage:\t20\n\n\tper-op statistics\n\tNULL: 1 2 3 4 5 6 7 8 9\n\ndevice a mounted on /b with fstype c\n";
        let mounts = parse(text).unwrap();
        assert_eq!(mounts.len(), 3);
        let nfs = mounts[1].nfs.as_ref().unwrap();
        assert_eq!(nfs.age, 20.0);
        assert_eq!(
            nfs.operations,
            [("NULL".to_owned(), [1, 2, 3, 4, 5, 6, 7, 8])]
        );
        assert!(parse(b"device x\n").is_err());
        assert!(
            parse(b"device s mounted on /m with fstype nfs statvers=1.1\nbytes: 1 2\n").is_err()
        );
    }

    #[test]
    fn addresses_are_those_of_the_same_place() {
        let mounts = [
            ("/".to_owned(), String::new()),
            ("/a".to_owned(), "10.0.0.1".to_owned()),
        ];
        assert_eq!(address(&mounts, 1, "/a"), "10.0.0.1");
        assert_eq!(address(&mounts, 0, "/a"), "10.0.0.1");
        assert_eq!(address(&mounts, 7, "/gone"), "");
    }
}
