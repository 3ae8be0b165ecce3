//! `/proc/stat`: CPU times, interrupts, context switches, forks (proc_stat(5)).

use crate::HostError;
use crate::scan::{fields, lines, number};

const FILE: &str = "stat";

/// Ticks in a second of every CPU time that the kernel shows in text. It is part of the kernel's
/// interface (`USER_HZ`) and the same on all architectures that Linux still runs on but Alpha.
pub const USER_HZ: f64 = 100.0;

/// What one CPU has done since boot, in ticks of [`USER_HZ`]. Guests' time is also inside `user`
/// and `nice`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// User mode, guests included.
    pub user: u64,
    /// User mode at low priority, guests included.
    pub nice: u64,
    /// Kernel mode.
    pub system: u64,
    /// Nothing to do.
    pub idle: u64,
    /// Nothing to do, with a disk request outstanding.
    pub iowait: u64,
    /// Hardware interrupts.
    pub irq: u64,
    /// Software interrupts.
    pub softirq: u64,
    /// Taken by the hypervisor.
    pub steal: u64,
    /// Running a guest.
    pub guest: u64,
    /// Running a guest at low priority.
    pub guest_nice: u64,
}

impl CpuTimes {
    /// All time that has passed; guests' time counts once.
    #[must_use]
    pub fn total(&self) -> u64 {
        [
            self.user,
            self.nice,
            self.system,
            self.idle,
            self.iowait,
            self.irq,
            self.softirq,
            self.steal,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// Old kernels write fewer columns; those are zero.
    fn parse(columns: &[u8]) -> Option<Self> {
        let mut times = Self::default();
        let slots = [
            &mut times.user,
            &mut times.nice,
            &mut times.system,
            &mut times.idle,
            &mut times.iowait,
            &mut times.irq,
            &mut times.softirq,
            &mut times.steal,
            &mut times.guest,
            &mut times.guest_nice,
        ];
        let mut columns = fields(columns);
        for (index, slot) in slots.into_iter().enumerate() {
            match columns.next() {
                Some(column) => *slot = number(column)?,
                None if index >= 4 => break,
                None => return None,
            }
        }
        Some(times)
    }
}

/// The kinds of software interrupt, in the order of the `softirq` line.
pub const SOFTIRQS: [&str; 10] = [
    "hi",
    "timer",
    "net_tx",
    "net_rx",
    "block",
    "block_iopoll",
    "tasklet",
    "sched",
    "hrtimer",
    "rcu",
];

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// All CPUs together.
    pub total: CpuTimes,
    /// The online CPUs by their numbers, which have gaps when some are offline.
    pub cpus: Vec<(u32, CpuTimes)>,
    /// Interrupts served since boot.
    pub interrupts: u64,
    /// Context switches since boot.
    pub context_switches: u64,
    /// When the host booted, in seconds since 1970.
    pub boot_time: u64,
    /// Processes and threads made since boot.
    pub forks: u64,
    /// Processes that run or could.
    pub procs_running: u64,
    /// Processes that wait for a disk.
    pub procs_blocked: u64,
    /// Software interrupts since boot, in the order of [`SOFTIRQS`].
    pub softirqs: [u64; SOFTIRQS.len()],
}

impl Stat {
    /// Reads the file's text into `self`, whose memory is used again.
    ///
    /// # Errors
    ///
    /// A line that begins as a known one but does not go on as one. Unknown lines are passed over.
    pub fn parse(&mut self, text: &[u8]) -> Result<(), HostError> {
        self.cpus.clear();
        *self = Self {
            cpus: std::mem::take(&mut self.cpus),
            ..Self::default()
        };
        for (at, line) in lines(text) {
            let mut parts = line.splitn(2, |byte| *byte == b' ');
            let name = parts.next().unwrap_or_default();
            let rest = parts.next().unwrap_or_default();
            let wrong = |expected| HostError::malformed(FILE, at, expected, line);
            let first = || {
                fields(rest)
                    .next()
                    .and_then(number)
                    .ok_or_else(|| wrong("a number"))
            };
            match name {
                b"intr" => self.interrupts = first()?,
                b"ctxt" => self.context_switches = first()?,
                b"btime" => self.boot_time = first()?,
                b"processes" => self.forks = first()?,
                b"procs_running" => self.procs_running = first()?,
                b"procs_blocked" => self.procs_blocked = first()?,
                b"softirq" => {
                    for (slot, column) in self.softirqs.iter_mut().zip(fields(rest).skip(1)) {
                        *slot = number(column).ok_or_else(|| wrong("numbers"))?;
                    }
                }
                _ => {
                    let Some(cpu) = name.strip_prefix(b"cpu") else {
                        continue;
                    };
                    let times = CpuTimes::parse(rest)
                        .ok_or_else(|| wrong("the times of a CPU, four numbers or more"))?;
                    if cpu.is_empty() {
                        self.total = times;
                    } else {
                        let cpu = number(cpu)
                            .and_then(|cpu| u32::try_from(cpu).ok())
                            .ok_or_else(|| wrong("the number of a CPU"))?;
                        self.cpus.push((cpu, times));
                    }
                }
            }
        }
        if self.cpus.is_empty() {
            return Err(HostError::Missing {
                file: FILE,
                expected: "a line of a CPU",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"cpu  30 3 6 600 2 1 1 0 4 1\n\
        cpu0 10 1 2 200 1 0 1 0 4 1\n\
        cpu3 20 2 4 400 1 1 0 0\n\
        intr 1234 5 6 7\n\
        ctxt 99\n\
        btime 1700000000\n\
        processes 55\n\
        procs_running 2\n\
        procs_blocked 1\n\
        softirq 65 1 2 3 4 5 6 7 8 9 20\n\
        future 1 2 3\n";

    #[test]
    fn every_line_lands_in_its_field() {
        let mut stat = Stat::default();
        stat.parse(TEXT).unwrap();
        assert_eq!(stat.total.guest, 4);
        assert_eq!(stat.total.total(), 30 + 3 + 6 + 600 + 2 + 1 + 1);
        let [(0, first), (3, second)] = stat.cpus.as_slice() else {
            panic!("{:?}", stat.cpus)
        };
        assert_eq!((first.user, first.guest_nice), (10, 1));
        assert_eq!((second.irq, second.steal, second.guest), (1, 0, 0));
        assert_eq!((stat.interrupts, stat.context_switches), (1234, 99));
        assert_eq!((stat.boot_time, stat.forks), (1_700_000_000, 55));
        assert_eq!((stat.procs_running, stat.procs_blocked), (2, 1));
        assert_eq!(stat.softirqs, [1, 2, 3, 4, 5, 6, 7, 8, 9, 20]);
    }

    #[test]
    fn nothing_remains_of_an_earlier_read() {
        let mut stat = Stat::default();
        stat.parse(TEXT).unwrap();
        stat.parse(b"cpu 1 1 1 1\ncpu0 1 1 1 1\n").unwrap();
        assert_eq!(stat.cpus.len(), 1);
        assert_eq!((stat.interrupts, stat.softirqs[0]), (0, 0));
    }

    #[test]
    fn bad_lines_are_named() {
        let mut stat = Stat::default();
        let error = stat.parse(b"cpu0 1 2 3 4\nctxt many\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "stat:2: expected a number, found \"ctxt many\""
        );
        assert!(stat.parse(b"cpu0 1 2\n").is_err());
        assert!(stat.parse(b"cpux 1 2 3 4\n").is_err());
        assert_eq!(
            stat.parse(b"").unwrap_err().to_string(),
            "stat: expected a line of a CPU, found none"
        );
    }
}
