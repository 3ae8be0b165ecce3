//! The log against a model: whatever happens to it, everything kept comes back in order and nothing is invented.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use corten_storage::{Directory, Item, Records};
use proptest::prelude::*;

use super::model::{Fault, ModelFs};
use super::{Found, Limits, Log, Place};

const LIMITS: Limits = Limits {
    total: 1 << 30,
    segment: 600,
};

fn payload(id: u64, len: usize) -> Vec<Bytes> {
    let body: Vec<u8> = (0..len)
        .map(|at| (at as u64 ^ id).to_le_bytes()[0])
        .collect();
    vec![Bytes::copy_from_slice(&id.to_le_bytes()), Bytes::from(body)]
}

fn id_of(payload: &[u8]) -> u64 {
    u64::from_le_bytes(*payload.first_chunk::<8>().unwrap())
}

fn open(fs: &ModelFs) -> Log {
    let directory = Directory::open_on(Arc::new(fs.clone()), "/queue", "test").unwrap();
    Log::open(directory, "traces", LIMITS).unwrap().0
}

fn append(log: &Log, ids: std::ops::Range<u64>) {
    let records: Vec<_> = ids.map(|id| payload(id, 20)).collect();
    log.append(&records, &mut Vec::new()).unwrap();
}

fn read_all(log: &Log) -> Vec<(u64, u64)> {
    let mut all = Vec::new();
    loop {
        let found = log.read(300).unwrap();
        if found.is_empty() {
            return all;
        }
        for item in found {
            if let Found::Record { sequence, payload } = item {
                all.push((sequence, id_of(&payload)));
            }
        }
    }
}

fn ids(read: &[(u64, u64)]) -> Vec<u64> {
    read.iter().map(|(_, id)| *id).collect()
}

#[test]
fn what_was_not_acknowledged_is_read_again_in_order() {
    let fs = ModelFs::default();
    let log = open(&fs);
    append(&log, 0..100);
    let read = read_all(&log);
    assert_eq!(ids(&read), (0..100).collect::<Vec<_>>());
    for (sequence, _) in &read[..50] {
        log.acknowledge(*sequence);
    }
    log.acknowledge(read[70].0);
    log.save().unwrap();
    drop(log);
    fs.crash(|n| n / 2);
    let log = open(&fs);
    // 70 lies behind others that are not done, so it comes again.
    assert_eq!(ids(&read_all(&log)), (50..100).collect::<Vec<_>>());
}

#[test]
fn files_go_when_they_are_done_and_their_room_comes_back() {
    let fs = ModelFs::default();
    let log = open(&fs);
    append(&log, 0..100);
    let many = fs.contents(".queue").len();
    assert!(many > 5, "{many}");
    for (sequence, _) in read_all(&log) {
        log.acknowledge(sequence);
    }
    log.save().unwrap();
    assert_eq!(log.pending(), 0);
    assert!(fs.contents(".queue").len() <= 1);
    append(&log, 100..103);
    assert_eq!(ids(&read_all(&log)), [100, 101, 102]);
}

/// A full disk becomes emptier only when nobody holds on to what was unlinked.
#[test]
fn files_that_are_done_are_let_go() {
    let fs = ModelFs::default();
    let log = open(&fs);
    append(&log, 0..100);
    fs.fail_next(Fault::Full);
    let record = [payload(100, 20)];
    assert!(log.append(&record, &mut Vec::new()).is_err());
    for (sequence, _) in read_all(&log) {
        log.acknowledge(sequence);
    }
    log.save().unwrap();
    assert_eq!(fs.contents(".queue").len(), 0, "everything is done");
    assert_eq!(fs.open_without_name(), 0);
    fs.heal();
    append(&log, 101..103);
    assert_eq!(ids(&read_all(&log)), [101, 102], "it goes on");
}

#[test]
fn numbers_are_never_used_twice() {
    let fs = ModelFs::default();
    let mut last = 0;
    for round in 0..5 {
        let log = open(&fs);
        append(&log, round * 10..round * 10 + 3);
        for (sequence, _) in read_all(&log) {
            assert!(sequence > last);
            last = sequence;
            log.acknowledge(sequence);
        }
        log.save().unwrap();
        drop(log);
        fs.let_go();
    }
}

#[test]
fn a_full_log_says_so_and_has_room_again_once_drained() {
    let fs = ModelFs::default();
    let directory = Directory::open_on(Arc::new(fs.clone()), "/queue", "test").unwrap();
    let limits = Limits {
        total: 2_000,
        segment: 10_000,
    };
    let (log, _) = Log::open(directory, "logs", limits).unwrap();
    assert!(log.has_room(5_000), "an empty log takes anything");
    append(&log, 0..38);
    assert!(log.has_room(20));
    assert!(!log.has_room(200));
    for (sequence, _) in read_all(&log) {
        assert!(!log.has_room(200));
        log.acknowledge(sequence);
    }
    assert!(
        log.has_room(200),
        "all done, though the file was still open"
    );
    append(&log, 100..102);
    log.save().unwrap();
    assert_eq!(ids(&read_all(&log)), [100, 101]);
}

#[test]
fn records_taken_from_memory_are_not_read_again() {
    let fs = ModelFs::default();
    let log = open(&fs);
    let mut places: Vec<Place> = Vec::new();
    let records: Vec<_> = (0..30).map(|id| payload(id, 30)).collect();
    log.append(&records, &mut places).unwrap();
    for place in &places[..10] {
        assert!(log.read_from_memory(*place));
        assert!(!log.read_from_memory(*place));
    }
    assert!(!log.read_from_memory(places[12]), "not its turn");
    let rest = read_all(&log);
    assert_eq!(ids(&rest), (10..30).collect::<Vec<_>>());
    for place in places {
        log.acknowledge(place.sequence);
    }
    assert_eq!(log.pending(), 0);
}

#[test]
fn one_damaged_record_costs_one_record() {
    let fs = ModelFs::default();
    let log = open(&fs);
    append(&log, 0..40);
    drop(log);
    fs.let_go();
    fs.damage(".queue", 1, |bytes| bytes[30] ^= 0x40);
    let log = open(&fs);
    let mut damage = 0;
    let mut read = Vec::new();
    loop {
        let found = log.read(1000).unwrap();
        if found.is_empty() {
            break;
        }
        for item in found {
            match item {
                Found::Record { sequence, payload } => {
                    read.push(id_of(&payload));
                    log.acknowledge(sequence);
                }
                Found::Damage(_) => damage += 1,
            }
        }
    }
    assert_eq!((damage, read.len()), (1, 39));
    assert_eq!(log.pending(), 0);
}

#[test]
fn a_lost_cursor_means_reading_from_the_first_file() {
    let fs = ModelFs::default();
    let log = open(&fs);
    append(&log, 0..5);
    for (sequence, _) in read_all(&log) {
        log.acknowledge(sequence);
    }
    append(&log, 5..8);
    log.save().unwrap();
    log.save().unwrap();
    drop(log);
    fs.let_go();
    fs.damage(".cursor.a", 0, |bytes| bytes.clear());
    fs.damage(".cursor.b", 0, |bytes| bytes.clear());
    let directory = Directory::open_on(Arc::new(fs.clone()), "/queue", "test").unwrap();
    let (log, recovered) = Log::open(directory, "traces", LIMITS).unwrap();
    assert!(recovered.cursor.is_some());
    assert_eq!(ids(&read_all(&log)), (0..8).collect::<Vec<_>>());
}

#[derive(Debug, Clone)]
enum Op {
    Append(Vec<usize>),
    Read(usize),
    FromMemory,
    Acknowledge(prop::sample::Index),
    AcknowledgeAll,
    Save,
    Reopen,
    Crash,
    Fault(Fault),
    Flip(usize, prop::sample::Index, u8),
    Truncate(usize, prop::sample::Index),
    SpoilCursor(bool, prop::sample::Index),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => prop::collection::vec(0usize..300, 1..5).prop_map(Op::Append),
        4 => (1usize..600).prop_map(Op::Read),
        2 => Just(Op::FromMemory),
        4 => any::<prop::sample::Index>().prop_map(Op::Acknowledge),
        2 => Just(Op::AcknowledgeAll),
        2 => Just(Op::Save),
        1 => Just(Op::Reopen),
        2 => Just(Op::Crash),
        2 => prop_oneof![Just(Fault::Full), Just(Fault::Sync), Just(Fault::Open), Just(Fault::Read)]
            .prop_map(Op::Fault),
        1 => (0usize..10, any::<prop::sample::Index>(), 1u8..).prop_map(|(f, i, b)| Op::Flip(f, i, b)),
        1 => (0usize..10, any::<prop::sample::Index>()).prop_map(|(f, i)| Op::Truncate(f, i)),
        1 => (any::<bool>(), any::<prop::sample::Index>()).prop_map(|(b, i)| Op::SpoilCursor(b, i)),
    ]
}

/// What must be true.
#[derive(Default)]
struct Model {
    next_id: u64,
    /// Offered, whether kept or not, with its length.
    offered: BTreeMap<u64, usize>,
    /// `append` said that they are kept.
    kept: BTreeSet<u64>,
    acknowledged: BTreeSet<u64>,
    /// Damaged by the test.
    damaged: BTreeSet<u64>,
    /// Read in this life of the log: sequence and id, in order.
    read: Vec<(u64, u64)>,
    open: Vec<u64>,
    last_read: Option<u64>,
    hot: Vec<(Place, u64)>,
}

impl Model {
    fn restarted(&mut self) {
        self.read.clear();
        self.open.clear();
        self.hot.clear();
        self.last_read = None;
    }

    fn was_read(&mut self, sequence: u64, id: u64) {
        assert!(self.offered.contains_key(&id), "invented {id}");
        assert!(self.last_read < Some(id), "{id} after {:?}", self.last_read);
        self.last_read = Some(id);
        self.read.push((sequence, id));
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
                assert_eq!(bytes[8..], payload(id, self.offered[&id])[1]);
                self.was_read(sequence, id);
            }
        }
    }

    fn acknowledge(&mut self, log: &Log, sequence: u64) {
        log.acknowledge(sequence);
        let hit = self.read.iter().find(|(read, _)| *read == sequence);
        self.acknowledged.extend(hit.map(|(_, id)| *id));
    }
}

fn on_disk(fs: &ModelFs) -> BTreeSet<u64> {
    let mut ids = BTreeSet::new();
    for bytes in fs.contents(".queue") {
        for item in Records::new(&bytes) {
            if let Item::Record(record) = item {
                ids.insert(id_of(record.payload));
            }
        }
    }
    ids
}

fn run(ops: &[Op]) {
    let fs = ModelFs::default();
    let mut log = open(&fs);
    let mut model = Model::default();
    let mut seed = 12345u64;
    for op in ops {
        match op {
            Op::Append(lengths) => {
                let first = model.next_id;
                let mut records = Vec::new();
                for len in lengths {
                    model.offered.insert(model.next_id, *len);
                    records.push(payload(model.next_id, *len));
                    model.next_id += 1;
                }
                let mut kept = Vec::new();
                let result = log.append(&records, &mut kept);
                assert!(result.is_err() || kept.len() == records.len());
                for (id, place) in (first..).zip(kept) {
                    model.kept.insert(id);
                    model.hot.push((place, id));
                }
            }
            Op::Read(bytes) => {
                if let Ok(found) = log.read(*bytes) {
                    model.found(found);
                }
            }
            Op::FromMemory => {
                for (place, id) in std::mem::take(&mut model.hot) {
                    if log.read_from_memory(place) {
                        model.was_read(place.sequence, id);
                    }
                }
            }
            Op::Acknowledge(index) if !model.open.is_empty() => {
                let sequence = model.open.remove(index.index(model.open.len()));
                model.acknowledge(&log, sequence);
            }
            Op::Acknowledge(_) => {}
            Op::AcknowledgeAll => {
                for sequence in std::mem::take(&mut model.open) {
                    model.acknowledge(&log, sequence);
                }
            }
            Op::Save => drop(log.save()),
            Op::Reopen | Op::Crash | Op::Flip(..) | Op::Truncate(..) | Op::SpoilCursor(..) => {
                fs.heal();
                if matches!(op, Op::Reopen) {
                    log.save().unwrap();
                }
                drop(log);
                if matches!(op, Op::Crash) {
                    fs.crash(|n| {
                        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        usize::try_from(seed >> 33).unwrap() % n.max(1)
                    });
                } else {
                    fs.let_go();
                }
                let before = on_disk(&fs);
                match op {
                    Op::Flip(file, at, bits) => fs.damage(".queue", *file, |bytes| {
                        if !bytes.is_empty() {
                            let at = at.index(bytes.len());
                            bytes[at] ^= bits;
                        }
                    }),
                    Op::Truncate(file, at) => fs.damage(".queue", *file, |bytes| {
                        bytes.truncate(at.index(bytes.len() + 1));
                    }),
                    Op::SpoilCursor(second, at) => {
                        let name = if *second { ".cursor.b" } else { ".cursor.a" };
                        fs.damage(name, 0, |bytes| bytes.truncate(at.index(bytes.len() + 1)));
                    }
                    _ => {}
                }
                let after = on_disk(&fs);
                model.damaged.extend(before.difference(&after));
                model.restarted();
                log = open(&fs);
            }
            Op::Fault(fault) => fs.fail_next(*fault),
        }
    }
    // In the end everything that is not done comes, in this life or (after a restart) in the next.
    fs.heal();
    loop {
        let found = log.read(500).unwrap();
        if found.is_empty() {
            break;
        }
        model.found(found);
    }
    let come: BTreeSet<u64> = model.read.iter().map(|(_, id)| *id).collect();
    for id in &model.kept {
        let excused = model.acknowledged.contains(id) || model.damaged.contains(id);
        assert!(excused || come.contains(id), "{id} is lost");
    }
    for sequence in std::mem::take(&mut model.open) {
        model.acknowledge(&log, sequence);
    }
    log.save().unwrap();
    assert_eq!(log.pending(), 0);
    drop(log);
    fs.let_go();
    // Recovery of a drained log finds nothing, however often.
    for _ in 0..2 {
        let log = open(&fs);
        assert_eq!(read_all(&log), []);
        drop(log);
        fs.let_go();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(3000), ..ProptestConfig::default() })]
    #[test]
    fn everything_kept_comes_back_in_order(ops in prop::collection::vec(op(), 1..60)) {
        run(&ops);
    }
}
