//! Arrays of disks: `/proc/mdstat` and `/sys/block/md*/md`.

use corten_host::families::Kind::Gauge;
use corten_host::scan::{fields, float, number, value};
use corten_host::{Attributes, HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Mdadm {
        mdstat: HostFile::new(sources.roots.proc("mdstat")),
        block: Attributes::new(sources.roots.sys("block")),
    })
}

struct Mdadm {
    mdstat: HostFile,
    block: Attributes,
}

/// The values of the label `state`, with the word for it in the file.
const STATES: [(&str, &str); 5] = [
    ("active", "active"),
    ("check", "checking"),
    ("inactive", "inactive"),
    ("recovering", "recovering"),
    ("resync", "resyncing"),
];

impl Collector for Mdadm {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for array in parse(self.mdstat.read()?)? {
            let device = array.name.as_str();
            for (label, state) in STATES {
                let is = if array.state == state { 1.0 } else { 0.0 };
                emit.put(
                    Gauge,
                    "node_md_state",
                    "The state of each array: 1 for the one that it is in.",
                    &[("device", device), ("state", label)],
                    is,
                );
            }
            for (state, disks) in [
                ("active", array.active),
                ("down", array.down),
                ("failed", array.failed),
                ("spare", array.spare),
            ] {
                emit.put(
                    Gauge,
                    "node_md_disks",
                    "Disks of each array by state.",
                    &[("device", device), ("state", state)],
                    float(disks),
                );
            }
            for (name, help, amount) in [
                (
                    "node_md_disks_required",
                    "Disks that each array needs.",
                    array.total,
                ),
                ("node_md_blocks", "Blocks of each array.", array.blocks),
                (
                    "node_md_blocks_synced",
                    "Blocks of each array that are in sync.",
                    array.synced,
                ),
            ] {
                emit.put(Gauge, name, help, &[("device", device)], float(amount));
            }
        }
        for device in self
            .block
            .names("")?
            .iter()
            .filter(|name| name.starts_with("md"))
        {
            if !self.block.has_folder(&format!("{device}/md")) {
                continue;
            }
            let first = |text: &[u8]| fields(text.trim_ascii()).next().and_then(value);
            // `5 (4)` while an array changes its shape.
            let disks = self
                .block
                .bytes(&format!("{device}/md/raid_disks"))
                .ok()
                .and_then(first);
            let degraded = self
                .block
                .bytes(&format!("{device}/md/degraded"))
                .ok()
                .and_then(first);
            let labels = [("device", device.as_str())];
            emit.put(
                Gauge,
                "node_md_raid_disks",
                "Disks that each array is made for.",
                &labels,
                disks.unwrap_or(0.0),
            );
            emit.put(
                Gauge,
                "node_md_degraded",
                "Disks that each array lacks.",
                &labels,
                degraded.unwrap_or(0.0),
            );
        }
        self.block.forget_unused();
        Ok(())
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Array {
    name: String,
    state: String,
    active: u64,
    total: u64,
    down: u64,
    failed: u64,
    spare: u64,
    blocks: u64,
    synced: u64,
}

/// `md1 : active raid1 sdb1[1] sda1[0]`, then its blocks, then what is going on with it.
fn parse(text: &[u8]) -> Result<Vec<Array>, HostError> {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.split('\n').collect();
    let mut arrays = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let other = line.starts_with([' ', '\t'])
            || line.starts_with("Personalities")
            || line.starts_with("unused");
        if line.trim().is_empty() || other {
            continue;
        }
        let wrong = |expected, line: &str| {
            HostError::malformed("mdstat", at + 1, expected, line.as_bytes())
        };
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(state)) = (words.next(), words.nth(1)) else {
            return Err(wrong("a device, a colon and a state", line));
        };
        let (Some(status), Some(third), Some(_)) =
            (lines.get(at + 1), lines.get(at + 2), lines.get(at + 3))
        else {
            return Err(wrong("two more lines for each device", line));
        };
        let blocks = status
            .split_ascii_whitespace()
            .next()
            .and_then(|word| number(word.as_bytes()));
        let mut array = Array {
            name: name.to_owned(),
            state: state.to_owned(),
            blocks: blocks.ok_or_else(|| wrong("a number of blocks", status))?,
            failed: count(line, "(F)"),
            spare: count(line, "(S)"),
            ..Array::default()
        };
        array.synced = array.blocks;
        if line.contains("raid0") || line.contains("linear") {
            // Only disks have a number in brackets.
            array.total = count(line, "[");
            array.active = array.total;
        } else if !line.contains("inactive") {
            (array.total, array.active, array.down) =
                disks(status).ok_or_else(|| wrong("numbers of disks, [2/1] [U_]", status))?;
        }
        let sync = if third.contains("bitmap") {
            lines.get(at + 3).copied().unwrap_or_default()
        } else {
            third
        };
        let doing = [
            ("recovery", "recovering"),
            ("reshape", "reshaping"),
            ("check", "checking"),
            ("resync", "resyncing"),
        ]
        .into_iter()
        .find(|(word, _)| sync.contains(word));
        if let Some((_, state)) = doing {
            array.state = state.to_owned();
            array.synced = if sync.contains("PENDING") || sync.contains("DELAYED") {
                0
            } else {
                synced(sync)
                    .ok_or_else(|| wrong("a number of blocks that are done, (1/2)", sync))?
            };
        }
        arrays.push(array);
    }
    Ok(arrays)
}

fn count(line: &str, what: &str) -> u64 {
    u64::try_from(line.matches(what).count()).unwrap_or(u64::MAX)
}

/// All, active and missing disks in `… [3/2] [U_U]`.
fn disks(status: &str) -> Option<(u64, u64, u64)> {
    let (before, marks) = status.rsplit_once("] [")?;
    let (_, numbers) = before.rsplit_once('[')?;
    let (total, active) = numbers.split_once('/')?;
    let (marks, _) = marks.split_once(']')?;
    Some((
        number(total.as_bytes())?,
        number(active.as_bytes())?,
        count(marks, "_"),
    ))
}

/// The first number in `(1/2)`.
fn synced(line: &str) -> Option<u64> {
    line.split('(')
        .filter_map(|part| part.split_once('/'))
        .find_map(|(done, _)| number(done.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_have_disks_and_blocks() {
        let text = b"Personalities : [raid6]\nmd3 : active raid6 sda1[8] sdh1[7] sdg1[9](F) sdd1[10](S)\n      5853468288 blocks super 1.2 level 6, 64k chunk, algorithm 2 [8/7] [UUUUUU_U]\n      bitmap: 0/1 pages\n      [===>.......]  recovery =  8.5% (16775552/195310144) finish=17.0min speed=259783K/sec\n\nmd11 : active (auto-read-only) raid0 sdc1[0] sdd1[1]\n      314159265 blocks 64k chunks\n\nmd6 : inactive sdb2[2] sda2[0]\n      195310144 blocks\n\nunused devices: <none>\n";
        let all = parse(text).unwrap();
        assert_eq!(all.len(), 3);
        assert_eq!(
            (
                all[0].total,
                all[0].active,
                all[0].down,
                all[0].failed,
                all[0].spare,
                all[0].synced
            ),
            (8, 7, 1, 1, 1, 16_775_552)
        );
        assert_eq!(
            (all[0].state.as_str(), all[2].state.as_str()),
            ("recovering", "inactive")
        );
        assert_eq!(
            (all[1].total, all[1].active, all[1].synced),
            (2, 2, 314_159_265)
        );
        for torn in [
            "md1 :\n",
            "md1 : active raid1 a[0]\n",
            "md1 : active raid1 a[0]\n  5 blocks [1\n\n\n",
        ] {
            assert!(parse(torn.as_bytes()).is_err(), "{torn}");
        }
    }
}
