//! The log over a disk that fails at any of its operations and loses power at any of them, seed by seed.
//!
//! `CORTEN_SEEDS=100000 cargo nextest run -p corten-delivery seeds` runs the long form. A failing seed is named;
//! `CORTEN_SEED=<n>` runs that one alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use corten_storage::{Directory, Item, Records};

use super::model::{Fault, ModelFs};
use super::{Found, Limits, Log, Place};

const LIMITS: Limits = Limits {
    total: 1 << 30,
    segment: 900,
};

/// xorshift64: the same seed, the same life.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..4 {
            random.below(2);
        }
        random
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }
}

fn payload(id: u64, len: usize) -> Vec<Bytes> {
    let body: Vec<u8> = (0..len)
        .map(|at| (at as u64 ^ id).to_le_bytes()[0])
        .collect();
    vec![Bytes::copy_from_slice(&id.to_le_bytes()), Bytes::from(body)]
}

fn id_of(payload: &[u8]) -> u64 {
    u64::from_le_bytes(*payload.first_chunk::<8>().unwrap())
}

/// What must be true, over all lives of one log.
#[derive(Default)]
struct Model {
    /// Length by id; ids grow in the order in which they were offered.
    offered: BTreeMap<u64, usize>,
    /// `append` said so.
    kept: BTreeSet<u64>,
    acknowledged: BTreeSet<u64>,
    /// Kept while the disk said that it had synced and had not, then the power went: nobody can keep these.
    excused: BTreeSet<u64>,
    /// Dropped for room.
    dropped: BTreeSet<u64>,
    /// Of this life.
    read: BTreeMap<u64, u64>,
    open: Vec<u64>,
    last: Option<u64>,
    hot: Vec<(Place, u64)>,
}

impl Model {
    fn restarted(&mut self) {
        self.read.clear();
        self.open.clear();
        self.hot.clear();
        self.last = None;
    }

    fn was_read(&mut self, sequence: u64, id: u64) {
        assert!(self.offered.contains_key(&id), "invented {id}");
        assert!(self.last < Some(id), "{id} after {:?}", self.last);
        self.last = Some(id);
        assert!(self.read.insert(sequence, id).is_none(), "a number twice");
        self.open.push(sequence);
    }

    fn found(&mut self, found: Vec<Found>) {
        for item in found {
            if let Found::Record {
                sequence,
                payload: bytes,
            } = item
            {
                let id = id_of(&bytes);
                let len = *self.offered.get(&id).expect("invented");
                assert_eq!(bytes[8..], payload(id, len)[1], "changed {id}");
                self.was_read(sequence, id);
            }
        }
    }

    fn acknowledge(&mut self, log: &Log, sequence: u64) {
        log.acknowledge(sequence);
        self.acknowledged.insert(self.read[&sequence]);
    }
}

/// Opens the log; a disk that fails while it is opened is repaired after a while.
fn open(fs: &ModelFs) -> Log {
    loop {
        let opened = Directory::open_on(Arc::new(fs.clone()), "/queue", "test")
            .ok()
            .and_then(|directory| Log::open(directory, "traces", LIMITS).ok());
        if let Some((log, _)) = opened {
            return log;
        }
        fs.heal();
        fs.let_go();
    }
}

fn ids_in(fs: &ModelFs, suffix: &str) -> BTreeSet<u64> {
    let mut ids = BTreeSet::new();
    for bytes in fs.contents(suffix) {
        for item in Records::new(&bytes) {
            if let Item::Record(record) = item {
                ids.insert(id_of(record.payload));
            }
        }
    }
    ids
}

/// One step of whoever uses the log.
fn step(random: &mut Random, log: &Log, model: &mut Model) {
    match random.below(20) {
        0..7 => {
            let first = model.offered.len() as u64;
            let records: Vec<_> = (first..=first + random.below(4) as u64)
                .map(|id| {
                    let len = random.below(300);
                    model.offered.insert(id, len);
                    payload(id, len)
                })
                .collect();
            let mut kept = Vec::new();
            let result = log.append(&records, &mut kept);
            assert!(result.is_err() || kept.len() == records.len());
            for (id, place) in (first..).zip(kept) {
                model.kept.insert(id);
                model.hot.push((place, id));
            }
        }
        7..11 => {
            if let Ok(found) = log.read(random.below(700) + 1) {
                model.found(found);
            }
        }
        11..13 => {
            for (place, id) in std::mem::take(&mut model.hot) {
                if log.read_from_memory(place) {
                    model.was_read(place.sequence, id);
                }
            }
        }
        13..16 => {
            if !model.open.is_empty() {
                let at = random.below(model.open.len());
                let sequence = model.open.remove(at);
                model.acknowledge(log, sequence);
            }
        }
        16 => {
            for sequence in std::mem::take(&mut model.open) {
                model.acknowledge(log, sequence);
            }
        }
        17 => {
            let released = log.release_oldest();
            for sequence in released {
                // Still held by whoever read it, but no longer on the disk.
                if let Some(id) = model.read.get(&sequence) {
                    model.dropped.insert(*id);
                }
            }
        }
        _ => drop(log.save()),
    }
}

/// One log through several lives; ends with everything read, acknowledged and gone.
fn life(seed: u64) {
    let random = &mut Random::new(seed);
    let fs = ModelFs::default();
    let mut model = Model::default();
    for _ in 0..=random.below(4) {
        if random.below(4) == 0 {
            let faults = [Fault::Read, Fault::Open, Fault::Power];
            let (at, fault) = (random.below(12), faults[random.below(3)]);
            fs.fail_in(at, fault);
            if random.below(2) == 0 {
                // The second attempt, for reading alone, fails as well.
                fs.fail_in(at, fault);
            }
        }
        let mut log = open(&fs);
        // The power may go at any operation: from then on every one of them fails.
        fs.fail_in(random.below(40), Fault::Power);
        let lies = random.below(12) == 0;
        for _ in 0..random.below(30) + 1 {
            if random.below(8) == 0 && !fs.is_out() {
                let faults = [
                    Fault::Full,
                    Fault::Short,
                    Fault::Sync,
                    Fault::Open,
                    Fault::Read,
                ];
                let at = random.below(4);
                fs.fail_in(at, faults[random.below(faults.len())]);
            }
            if lies && random.below(4) == 0 {
                fs.lie(random.below(2) == 0);
            }
            step(random, &log, &mut model);
        }
        let outage = random.below(3) > 0 || fs.is_out();
        if !outage {
            fs.heal();
            drop(log.save());
        }
        drop(log);
        let lost_syncs = fs.has_lied();
        if outage {
            fs.crash(|n| random.below(n));
        } else {
            fs.let_go();
        }
        fs.heal();
        if lost_syncs {
            let after = ids_in(&fs, ".queue");
            model.excused.extend(model.kept.difference(&after));
        }
        model.restarted();
        // Recovery, twice with nothing between, finds the same.
        log = open(&fs);
        let once = peek(&log);
        drop(log);
        fs.let_go();
        let log = open(&fs);
        assert_eq!(peek(&log), once, "recovery changed what it found");
        let once: BTreeSet<u64> = once.into_iter().collect();
        let aside = ids_in(&fs, ".aside");
        for id in &model.kept {
            let excused = model.acknowledged.contains(id)
                || aside.contains(id)
                || model.excused.contains(id)
                || model.dropped.contains(id);
            assert!(excused || once.contains(id), "{id} is lost");
        }
        drop(log);
        fs.let_go();
    }
    let log = open(&fs);
    loop {
        let found = log.read(5000).unwrap();
        if found.is_empty() {
            break;
        }
        model.found(found);
    }
    for sequence in std::mem::take(&mut model.open) {
        model.acknowledge(&log, sequence);
    }
    log.save().unwrap();
    assert_eq!(log.pending(), 0);
    drop(log);
    fs.let_go();
    assert_eq!(peek(&open(&fs)), [] as [u64; 0]);
}

/// Everything that reading gives, in its order.
fn peek(log: &Log) -> Vec<u64> {
    let mut ids = Vec::new();
    loop {
        let found = log.read(5000).unwrap();
        if found.is_empty() {
            return ids;
        }
        for item in found {
            if let Found::Record { payload, .. } = item {
                ids.push(id_of(&payload));
            }
        }
    }
}

#[test]
fn seeds() {
    let number = |name| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    if let Some(seed) = number("CORTEN_SEED") {
        life(seed);
        return;
    }
    for seed in 0..number("CORTEN_SEEDS").unwrap_or(4000) {
        let result = std::panic::catch_unwind(|| life(seed));
        assert!(result.is_ok(), "seed {seed}");
    }
}

/// 100,000 records, one of them damaged in its payload, its length, its magic: one is lost, and it is counted.
#[test]
fn one_damaged_record_of_100_000_costs_one() {
    const COUNT: u64 = 100_000;
    let fs = ModelFs::default();
    let directory = || Directory::open_on(Arc::new(fs.clone()), "/queue", "test").unwrap();
    let limits = Limits::of(1 << 30);
    let (log, _) = Log::open(directory(), "traces", limits).unwrap();
    let records: Vec<_> = (0..COUNT).map(|id| payload(id, 40)).collect();
    for chunk in records.chunks(5000) {
        log.append(chunk, &mut Vec::new()).unwrap();
    }
    drop(log);
    fs.let_go();
    // Record 40,000: all are 24 + 48 bytes long.
    let begin = 40_000 * 72;
    for (what, at) in [
        ("magic", 0),
        ("length", 4),
        ("length", 7),
        ("checksum", 16),
        ("payload", 50),
    ] {
        fs.damage(".queue", 0, |bytes| bytes[begin + at] ^= 0x21);
        let (log, recovered) = Log::open(directory(), "traces", limits).unwrap();
        assert_eq!(recovered.torn, [], "{what}");
        let (mut read, mut damage) = (0, Vec::new());
        loop {
            let found = log.read(1 << 20).unwrap();
            if found.is_empty() {
                break;
            }
            for item in found {
                match item {
                    Found::Record { payload, .. } => {
                        assert_eq!(id_of(&payload), read + u64::from(read >= 40_000));
                        read += 1;
                    }
                    Found::Damage(lost) => damage.push((lost.offset, lost.len)),
                }
            }
        }
        assert_eq!(read, COUNT - 1, "{what}");
        assert_eq!(damage, [(begin as u64, 72)], "{what}");
        drop(log);
        fs.let_go();
        fs.damage(".queue", 0, |bytes| bytes[begin + at] ^= 0x21);
    }
}
