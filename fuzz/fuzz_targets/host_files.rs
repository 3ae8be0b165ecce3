//! Any bytes in place of what the kernel writes: every parser of the host's files and of netlink's
//! answers ends, without a panic and without more than it was given.

#![no_main]

use corten_host::cgroup::Identity;
use corten_host::loadavg::LoadAverage;
use corten_host::meminfo::Meminfo;
use corten_host::stat::Stat;
use corten_host::udev::Properties;
use corten_host::{
    cpuinfo, diskstats, filesystems, meminfo, mounts, netdev, netlink, scan, swaps, tcp, uptime,
    vmstat,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let mut stat = Stat::default();
    let _ = stat.parse(text);
    let _ = Meminfo::parse(text);
    let _ = LoadAverage::parse(text);
    let _ = uptime::parse(text);
    if let Ok(all) = cpuinfo::parse(text) {
        assert!(cpuinfo::sockets(&all) <= all.len());
    }
    meminfo::parse(text).for_each(drop);
    diskstats::parse(text).for_each(drop);
    for mount in mounts::parse(text).flatten() {
        let _ = mount.is_read_only();
        assert!(mount.mount_point.len() <= text.len());
    }
    netdev::parse(text).for_each(drop);
    swaps::parse(text).for_each(drop);
    vmstat::parse(text).for_each(drop);
    let _ = Properties::parse(text).get("ID_MODEL");
    filesystems::on_devices(text).for_each(drop);
    let _ = tcp::count(text, &mut Default::default());
    if let Ok(path) = std::str::from_utf8(text) {
        let _ = Identity::of(path).pod_uid();
    }
    // Attributes within attributes, as messages of netlink have them.
    let inner: usize = netlink::attributes(text)
        .map(|(_, content)| netlink::attributes(content).count())
        .sum();
    assert!(inner <= text.len());
    // Three bytes stand for one that is no text.
    assert!(scan::valid(text).len() <= 3 * text.len());
    let _ = (
        scan::value(text),
        scan::c_number(text),
        scan::hexadecimal(text),
    );
});
