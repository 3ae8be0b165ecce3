//! Files that are cut off, empty or full of anything: no panic, and what cannot be read costs its
//! own collector only.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's failure is a panic"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use corten_component::{CollectRequest, ComponentId, Context, Create, Kind};
use corten_node_exporter_receiver::factory;
use corten_pdata::Data;
use corten_testing::{RecordingSink, decode, render_metrics};
use proptest::prelude::*;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// The files below a folder with their content.
fn files(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.clone(), std::fs::read(path).unwrap()));
        }
    }
}

/// How every collector fared with the files below `root`.
fn successes(root: &Path) -> Vec<(String, bool)> {
    let root = root.display();
    let yaml = format!(
        "path: {{procfs: '{root}/proc', sysfs: '{root}/sys', rootfs: '{root}/root', udev: {{data: '{root}/udev'}}}}\n\
         cpu: {{info: true}}\nbcache: {{priorityStats: true}}\ntextfile: {{directory: '{root}/textfile'}}\n\
         collectors: {{enable: [buddyinfo, cgroups, cpu_vulnerabilities, drbd, drm, interrupts, ksmd, lnstat, meminfo_numa, mountstats, nvmesubsystem, pcidevice, processes, slabinfo, softirqs, swap, tcpstat, xfrm, zoneinfo]}}"
    );
    let prepared = decode(&factory(), &yaml).unwrap_or_else(|problems| panic!("{problems}"));
    let Create::Receiver(create) = prepared.create else {
        panic!("a receiver")
    };
    let id: ComponentId = "node_exporter".parse().unwrap();
    let cx = Context::detached(Kind::Receiver, id);
    let source = create(cx, RecordingSink::new().next())
        .unwrap()
        .source()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let request = CollectRequest::all(Duration::from_secs(60));
    let Data::Metrics(metrics) = runtime.block_on(source.collect(&request)).unwrap() else {
        panic!("metrics")
    };
    render_metrics(&metrics)
        .lines()
        .filter_map(|line| line.strip_prefix("node_scrape_collector_success{collector=\""))
        .map(|rest| {
            let (name, value) = rest.split_once("\"} ").unwrap();
            (name.to_owned(), value == "1.0")
        })
        .collect()
}

#[derive(Clone, Debug)]
enum Damage {
    CutOff(prop::sample::Index),
    Replaced(Vec<u8>),
    Changed(prop::sample::Index, u8),
    Gone,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<prop::sample::Index>().prop_map(Damage::CutOff),
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(Damage::Replaced),
        (any::<prop::sample::Index>(), any::<u8>())
            .prop_map(|(at, byte)| Damage::Changed(at, byte)),
        Just(Damage::Gone),
    ]
}

fn write(root: &Path, all: &[(PathBuf, Vec<u8>)]) {
    for (path, content) in all {
        let path = root.join(path.strip_prefix(FIXTURES).unwrap());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

/// A folder in memory where there is one: hundreds of files are written for each case.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

fn all_files() -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    files(Path::new(FIXTURES), &mut all);
    all
}

/// Which collectors read a file that is not theirs alone.
const SHARED: [&str; 4] = ["cpu", "stat", "sysctl", "processes"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// One bad file costs one collector, or those that read it together.
    #[test]
    fn one_damaged_file_costs_its_collector_only(which in any::<prop::sample::Index>(), damage in damage()) {
        let mut all = all_files();
        let folder = scratch();
        let index = which.index(all.len());
        let (path, content) = all.get_mut(index).unwrap();
        let path = path.clone();
        match &damage {
            Damage::CutOff(at) => content.truncate(at.index(content.len() + 1)),
            Damage::Replaced(bytes) => *content = bytes.clone(),
            Damage::Changed(at, byte) if !content.is_empty() => {
                let at = at.index(content.len());
                *content.get_mut(at).unwrap() = *byte;
            }
            Damage::Changed(..) => {}
            Damage::Gone => drop(all.remove(index)),
        }
        write(folder.path(), &all);
        let failed: Vec<String> = successes(folder.path()).into_iter().filter(|(_, success)| !success).map(|(name, _)| name).collect();
        let own = failed.iter().filter(|name| !SHARED.contains(&name.as_str())).count();
        prop_assert!(own <= 1, "{} {damage:?}: {failed:?}", path.display());
    }

    /// Every file damaged at once: whatever is told, something is.
    #[test]
    fn everything_damaged_is_no_panic(seed in proptest::collection::vec(damage(), 1..40)) {
        let folder = scratch();
        let mut all = all_files();
        for ((_, content), damage) in all.iter_mut().zip(seed.iter().cycle()) {
            match damage {
                Damage::CutOff(at) => content.truncate(at.index(content.len() + 1)),
                Damage::Replaced(bytes) => *content = bytes.clone(),
                Damage::Changed(at, byte) if !content.is_empty() => {
                    let at = at.index(content.len());
                    *content.get_mut(at).unwrap() = *byte;
                }
                Damage::Changed(..) => {}
                Damage::Gone => content.clear(),
            }
        }
        write(folder.path(), &all);
        prop_assert!(successes(folder.path()).len() > 60);
    }
}

#[test]
fn the_whole_tree_is_read_without_failure() {
    let failed: Vec<_> = successes(Path::new(FIXTURES))
        .into_iter()
        .filter(|(_, success)| !success)
        .collect();
    assert_eq!(failed, []);
}
