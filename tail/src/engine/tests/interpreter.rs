//! Any sequence of what may happen to a log and its reader: nothing is lost, nothing is damaged, each output of the container
//! comes in order, and nothing comes twice but after a kill or a refused chunk.
//!
//! `CORTEN_TAIL_CASES` says how many sequences are tried.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

#[derive(Debug, Clone)]
enum Action {
    /// So many lines to stdout or stderr.
    Write(bool, u8),
    /// A container's partial line.
    Partial(bool),
    /// The beginning of a line; its rest comes before the next action that isn't the reader's.
    Half(bool, u8),
    Rotate,
    /// A name is given and taken within one look: two rotations.
    RotateTwice,
    /// Compresses a rotated file at once.
    Compress(prop::sample::Index),
    /// Writes the compressed file, which gets its name at the next time.
    BeginCompress(prop::sample::Index),
    Delete(prop::sample::Index),
    Truncate,
    Turn(u64),
    TurnUnsaved,
    Hold(bool),
    Deliver(Option<u8>),
    Refuse,
    Kill,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    use Action::*;
    let index = || any::<prop::sample::Index>();
    prop::collection::vec(
        prop_oneof![
            8 => (any::<bool>(), 1u8..6).prop_map(|(err, count)| Write(err, count)),
            2 => any::<bool>().prop_map(Partial),
            2 => (any::<bool>(), any::<u8>()).prop_map(|(err, at)| Half(err, at)),
            4 => Just(Rotate),
            1 => Just(RotateTwice),
            2 => index().prop_map(Compress),
            1 => index().prop_map(BeginCompress),
            1 => index().prop_map(Delete),
            1 => Just(Truncate),
            8 => prop_oneof![4 => Just(1000u64), 2 => Just(10), 1 => Just(6000), 1 => Just(70_000)].prop_map(Turn),
            2 => Just(TurnUnsaved),
            2 => any::<bool>().prop_map(Hold),
            3 => prop::option::of(0u8..4).prop_map(Deliver),
            1 => Just(Refuse),
            2 => Just(Kill),
        ],
        0..60,
    )
}

/// One file that the writer made.
struct Written {
    name: String,
    /// Numbers of the lines in it, per output.
    numbers: BTreeSet<(bool, u32)>,
    /// The reader has had a turn since it was made.
    seen: bool,
    compressed: bool,
}

impl Written {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            numbers: BTreeSet::new(),
            seen: false,
            compressed: false,
        }
    }
}

struct Play {
    world: World,
    live: Written,
    rotated: Vec<Written>,
    rotations: u32,
    /// The last number, per output.
    next: [u32; 2],
    /// A partial line is open, per output.
    open: [bool; 2],
    half: Option<String>,
    temporary: Option<usize>,
    /// Deleted while the reader has its descriptor: a kill loses them.
    fragile: BTreeSet<(bool, u32)>,
    /// Deleted before anybody could read them.
    excused: BTreeSet<(bool, u32)>,
    few: bool,
    /// A rotation makes a copy and truncates the file.
    copies: bool,
    runs: Vec<Vec<String>>,
}

impl Play {
    fn new(few: bool, copies: bool, watches: usize) -> Self {
        let mut world = World::containers();
        world.settings.read_size = 200;
        world.settings.max_in_flight_bytes = 700;
        world.settings.max_watches = watches;
        if few {
            world.settings.max_open_files = 2;
        }
        // A first save, so that whatever appears later is known to be new.
        world.append("0.log", "");
        world.turns(1);
        let mut live = Written::new("0.log");
        live.seen = true;
        Self {
            world,
            live,
            rotated: Vec::new(),
            rotations: 0,
            next: [0, 0],
            open: [false, false],
            half: None,
            temporary: None,
            fragile: BTreeSet::new(),
            excused: BTreeSet::new(),
            few,
            copies,
            runs: vec![Vec::new()],
        }
    }

    fn line(&mut self, err: bool, partial: bool) -> String {
        let which = usize::from(err);
        self.next[which] += 1;
        self.open[which] = partial;
        let number = self.next[which];
        self.live.numbers.insert((err, number));
        let (tag, end) = if partial { ("P", ",") } else { ("F", ".") };
        cri(
            if err { "stderr" } else { "stdout" },
            tag,
            &format!("{number}{end}"),
        )
    }

    fn end_half(&mut self) {
        if let Some(rest) = self.half.take() {
            self.world.append("0.log", &rest);
        }
    }

    fn rotated_name(&mut self) -> String {
        self.rotations += 1;
        format!("0.log.20260101-{:06}", self.rotations)
    }

    fn rotate(&mut self) {
        let name = self.rotated_name();
        self.world.rename("0.log", &name);
        self.world.append("0.log", "");
        let mut old = std::mem::replace(&mut self.live, Written::new("0.log"));
        old.name = name;
        self.rotated.push(old);
    }

    fn copy_and_truncate(&mut self) {
        let name = self.rotated_name();
        fs::copy(self.world.path("0.log"), self.world.path(&name)).unwrap();
        fs::write(self.world.path("0.log"), "").unwrap();
        let mut copy = Written::new(&name);
        copy.numbers = std::mem::take(&mut self.live.numbers);
        self.rotated.push(copy);
    }

    fn plain(&self, index: prop::sample::Index) -> Option<usize> {
        let plain: Vec<_> = (0..self.rotated.len())
            .filter(|at| !self.rotated[*at].compressed && Some(*at) != self.temporary)
            .collect();
        (!plain.is_empty()).then(|| *index.get(&plain))
    }

    fn end_run(&mut self) {
        let lines = std::mem::take(&mut self.world.got.lock().lines);
        self.runs.last_mut().unwrap().extend(lines);
    }

    fn act(&mut self, action: Action) {
        let readers = matches!(
            action,
            Action::Turn(_)
                | Action::TurnUnsaved
                | Action::Hold(_)
                | Action::Deliver(_)
                | Action::Refuse
                | Action::Kill
        );
        if !readers {
            self.end_half();
        }
        match action {
            Action::Write(err, count) => {
                for _ in 0..count {
                    let line = self.line(err, false);
                    self.world.append("0.log", &line);
                }
            }
            Action::Partial(err) => {
                let line = self.line(err, true);
                self.world.append("0.log", &line);
            }
            Action::Half(err, at) => {
                let line = self.line(err, false);
                let (first, rest) = line.split_at(usize::from(at) % line.len());
                self.world.append("0.log", first);
                self.half = Some(rest.to_owned());
            }
            Action::Rotate if self.copies => self.copy_and_truncate(),
            Action::RotateTwice if self.copies => {
                self.copy_and_truncate();
                let line = self.line(false, false);
                self.world.append("0.log", &line);
                self.copy_and_truncate();
            }
            Action::Rotate => self.rotate(),
            Action::RotateTwice => {
                self.rotate();
                let line = self.line(false, false);
                self.world.append("0.log", &line);
                self.rotate();
            }
            Action::Compress(index) => {
                if let Some(at) = self.plain(index) {
                    self.world.compress(&self.rotated[at].name);
                    self.rotated[at].compressed = true;
                }
            }
            Action::BeginCompress(index) => match self.temporary.take() {
                Some(at) => {
                    let name = &self.rotated[at].name;
                    self.world
                        .rename(&format!("{name}.tmp"), &format!("{name}.gz"));
                    fs::remove_file(self.world.path(name)).unwrap();
                    self.rotated[at].compressed = true;
                }
                None => {
                    if let Some(at) = self.plain(index) {
                        let path = self.world.path(&self.rotated[at].name);
                        let packed = gzip::packed(&fs::read(&path).unwrap());
                        fs::write(path.with_added_extension("tmp"), packed).unwrap();
                        self.temporary = Some(at);
                    }
                }
            },
            Action::Delete(index) => {
                if let Some(at) = self.plain(index) {
                    let gone = self.rotated.remove(at);
                    if let Some(temporary) = self.temporary.as_mut().filter(|other| **other > at) {
                        *temporary -= 1;
                    }
                    fs::remove_file(self.world.path(&gone.name)).unwrap();
                    if gone.seen && !self.few && self.world.engine.is_some() {
                        self.fragile.extend(gone.numbers);
                    } else {
                        self.excused.extend(gone.numbers);
                    }
                }
            }
            Action::Truncate => {
                fs::write(self.world.path("0.log"), "").unwrap();
                self.excused.append(&mut self.live.numbers);
            }
            Action::Turn(step) => {
                self.world.step = Duration::from_millis(step);
                self.world.turns(1);
                self.looked();
            }
            Action::TurnUnsaved => {
                self.world.turn();
                self.looked();
            }
            Action::Hold(hold) => self.world.hold(hold),
            Action::Deliver(None) => self.world.deliver(None),
            Action::Deliver(Some(count)) => {
                let count = usize::from(count).min(self.world.got.lock().tickets.len());
                self.world.deliver(Some(count));
            }
            Action::Refuse => {
                let tickets = std::mem::take(&mut self.world.got.lock().tickets);
                drop(tickets);
                self.end_run();
                self.runs.push(Vec::new());
            }
            Action::Kill => {
                self.world.kill();
                self.excused.append(&mut self.fragile);
                for file in self.rotated.iter_mut().chain([&mut self.live]) {
                    file.seen = false;
                }
                self.end_run();
                self.runs.push(Vec::new());
            }
        }
    }

    /// The reader had a turn, and when that came late enough it has looked at the directory.
    fn looked(&mut self) {
        if self.world.step < self.world.settings.poll_interval {
            return;
        }
        for file in self.rotated.iter_mut().chain([&mut self.live]) {
            file.seen = true;
        }
    }

    fn finish(&mut self) -> Result<(), TestCaseError> {
        self.end_half();
        for err in [false, true] {
            if self.open[usize::from(err)] {
                let line = self.line(err, false);
                self.world.append("0.log", &line);
            }
        }
        self.world.hold(false);
        self.world.step = Duration::from_secs(1);
        for _ in 0..20 {
            self.world.deliver(None);
            self.world.turns(2);
        }
        self.end_run();

        let mut seen: BTreeSet<(bool, u32)> = BTreeSet::new();
        for run in &self.runs {
            let mut last = [0, 0];
            for line in run {
                let (output, text) = line.split_once(": ").unwrap();
                prop_assert!(matches!(output, "stdout" | "stderr"), "{line} in {run:?}");
                let err = output == "stderr";
                let text = text.trim_end_matches('+');
                let mut joined: Option<u32> = None;
                for part in text.split_inclusive([',', '.']) {
                    let number: Option<u32> = part
                        .strip_suffix([',', '.'])
                        .and_then(|text| text.parse().ok());
                    prop_assert!(number.is_some(), "damaged: {line} in {run:?}");
                    let number = number.unwrap();
                    // A truncation may go unseen while there is little to tell the file by, and its copy comes later then.
                    prop_assert!(
                        number > last[usize::from(err)] || self.copies,
                        "{line} comes again or too late in {run:?}"
                    );
                    prop_assert!(
                        self.copies
                            || joined.is_none_or(|before| before < number
                                && (before + 1..number)
                                    .all(|gone| self.excused.contains(&(err, gone))
                                        || self.fragile.contains(&(err, gone)))),
                        "joined from wrong parts: {line} in {run:?}"
                    );
                    joined = Some(number);
                    prop_assert!(number <= self.next[usize::from(err)]);
                    last[usize::from(err)] = number;
                    seen.insert((err, number));
                }
            }
        }
        for err in [false, true] {
            for number in 1..=self.next[usize::from(err)] {
                prop_assert!(
                    seen.contains(&(err, number)) || self.excused.contains(&(err, number)),
                    "{number} of stderr {err} is lost; {:?}",
                    self.runs
                );
            }
        }
        if self.excused.is_empty() && self.fragile.is_empty() {
            prop_assert_eq!(self.world.stat(|stats| &stats.gaps), 0);
        }
        prop_assert_eq!(self.world.stat(|stats| &stats.gzip_errors), 0);
        Ok(())
    }
}

#[test]
fn nothing_is_lost_whatever_happens() {
    let cases = std::env::var("CORTEN_TAIL_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    let mut runner = TestRunner::new(Config {
        cases: cases.unwrap_or(120),
        max_shrink_iters: 2000,
        ..Config::default()
    });
    let strategy = (
        actions(),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
        prop_oneof![Just(0usize), Just(1), Just(64)],
    );
    let result = runner.run(&strategy, |(actions, few, copies, watches)| {
        let mut play = Play::new(few, copies, watches);
        for action in actions {
            play.act(action);
        }
        play.finish()
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
