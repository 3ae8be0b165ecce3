//! No parser panics, whatever bytes it is given, and what the kernel wrote comes back.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's failure is a panic"
)]

use corten_host::cgroup::Identity;
use corten_host::loadavg::LoadAverage;
use corten_host::meminfo::Meminfo;
use corten_host::stat::Stat;
use corten_host::udev::Properties;
use corten_host::{cpuinfo, diskstats, meminfo, mounts, netdev, swaps, uptime, vmstat};
use proptest::prelude::*;

/// Bytes that look like kernel text more often than chance would have it.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b" ".to_vec()),
        Just(b"\n".to_vec()),
        Just(b":".to_vec()),
        Just(b"cpu".to_vec()),
        Just(b"intr ".to_vec()),
        Just(b"processor : ".to_vec()),
        Just(b" kB".to_vec()),
        Just(b"\\04".to_vec()),
        Just(b" - ".to_vec()),
        Just(b"E:".to_vec()),
        "[0-9]{1,22}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..5),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_parser_panics(text in text()) {
        let mut stat = Stat::default();
        drop(stat.parse(&text));
        drop(Meminfo::parse(&text));
        drop(LoadAverage::parse(&text));
        drop(uptime::parse(&text));
        drop(cpuinfo::parse(&text).map(|all| (cpuinfo::physical_cores(&all), cpuinfo::sockets(&all))));
        meminfo::parse(&text).for_each(drop);
        diskstats::parse(&text).for_each(drop);
        mounts::parse(&text).for_each(|mount| drop(mount.map(|mount| mount.is_read_only())));
        netdev::parse(&text).for_each(drop);
        swaps::parse(&text).for_each(drop);
        vmstat::parse(&text).for_each(drop);
        assert_ne!(Properties::parse(&text).get("ID_MODEL"), Some("absent"));
        corten_host::filesystems::on_devices(&text).for_each(drop);
        corten_host::tcp::count(&text, &mut Default::default());
        if let Ok(path) = std::str::from_utf8(&text) {
            drop(Identity::of(path).pod_uid());
        }
    }

    #[test]
    fn times_of_cpus_come_back(cpus in proptest::collection::btree_map(any::<u32>(), proptest::array::uniform10(any::<u64>()), 1..20)) {
        let mut text = String::from("cpu 0 0 0 0\n");
        for (cpu, times) in &cpus {
            text.push_str(&format!("cpu{cpu}"));
            for time in times {
                text.push_str(&format!(" {time}"));
            }
            text.push('\n');
        }
        let mut stat = Stat::default();
        stat.parse(text.as_bytes()).unwrap();
        prop_assert_eq!(stat.cpus.len(), cpus.len());
        for (cpu, times) in &stat.cpus {
            let expected = cpus[cpu];
            prop_assert_eq!([times.user, times.idle, times.steal, times.guest_nice], [expected[0], expected[3], expected[7], expected[9]]);
        }
    }

    #[test]
    fn mount_points_come_back(point in "/[ \t\n\\\\#a-z/]{0,20}") {
        let mut escaped = String::new();
        for character in point.chars() {
            match character {
                ' ' | '\t' | '\n' | '\\' | '#' => escaped.push_str(&format!("\\{:03o}", u32::from(character))),
                other => escaped.push(other),
            }
        }
        let line = format!("1 1 8:1 / {escaped} rw - ext4 /dev/x rw\n");
        let mount = mounts::parse(line.as_bytes()).next().unwrap().unwrap();
        prop_assert_eq!(&*mount.mount_point, point.as_bytes());
    }
}
