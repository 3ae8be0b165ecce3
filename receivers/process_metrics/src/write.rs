//! What process-exporter calls it all.

use corten_component::{BoxError, CollectRequest, Reader};
use corten_host::families::{Families, Kind};
use corten_host::scan::float;
use corten_host::stat::Stat;
use corten_host::{HostFile, Roots};
use corten_pdata::{Data, Metrics};

use crate::config::Config;
use crate::tracker::{Group, STATES, Threads, Tracker, seconds};

/// What process-exporter says of a group without processes: Go's zero time.
const NEVER: f64 = -62_135_596_800.0;

/// Reads all processes and writes their groups.
pub(crate) struct Processes {
    tracker: Tracker,
    families: Families,
    roots: Roots,
    /// Seconds from 1970 to boot.
    booted: Option<u64>,
    threads: bool,
    smaps: bool,
}

impl Processes {
    #[expect(clippy::needless_pass_by_value, reason = "made of it")]
    pub(crate) fn new(config: Config) -> Self {
        Self {
            tracker: Tracker::new(&config),
            families: Families::new("process_metrics", env!("CARGO_PKG_VERSION")),
            roots: config.roots(),
            booted: None,
            threads: config.threads,
            smaps: config.gather_smaps,
        }
    }

    fn booted(&mut self) -> u64 {
        if let Some(booted) = self.booted {
            return booted;
        }
        let mut stat = Stat::default();
        let mut file = HostFile::new(self.roots.proc("stat"));
        match file.read().and_then(|text| stat.parse(text)) {
            Ok(()) => *self.booted.insert(stat.boot_time),
            // Asked again next time.
            Err(_) => 0,
        }
    }

    /// One look, as metrics.
    pub(crate) fn collect(&mut self) -> Metrics {
        let booted = self.booted();
        if let Err(error) = self.tracker.look(booted) {
            tracing::warn!(%error, "processes cannot be listed");
        }
        let mut page = Page {
            families: &mut self.families,
            tracker: &self.tracker,
        };
        page.families.begin();
        page.write(booted, self.smaps, self.threads);
        self.families.finish()
    }
}

impl Reader for Processes {
    fn read(&mut self, _: &CollectRequest) -> Result<Data, BoxError> {
        Ok(self.collect().into())
    }
}

struct Page<'a> {
    families: &'a mut Families,
    tracker: &'a Tracker,
}

impl Page<'_> {
    fn write(&mut self, booted: u64, smaps: bool, threads: bool) {
        use Kind::{Counter, Gauge};
        self.plain(Gauge, "num_procs", "Processes of the group.", |group| {
            float(group.processes)
        });
        self.labelled(
            Counter,
            "cpu_seconds_total",
            "Processor time of the group.",
            "mode",
            |group| {
                [
                    ("user", seconds(group.counts.user)),
                    ("system", seconds(group.counts.system)),
                ]
            },
        );
        self.plain(
            Counter,
            "read_bytes_total",
            "Bytes read from storage.",
            |group| float(group.counts.read),
        );
        self.plain(
            Counter,
            "write_bytes_total",
            "Bytes written to storage.",
            |group| float(group.counts.written),
        );
        self.plain(
            Counter,
            "major_page_faults_total",
            "Page faults that needed reading.",
            |group| float(group.counts.major_faults),
        );
        self.plain(
            Counter,
            "minor_page_faults_total",
            "Page faults that needed no reading.",
            |group| float(group.counts.minor_faults),
        );
        self.labelled(
            Counter,
            "context_switches_total",
            "Switches to other tasks.",
            "ctxswitchtype",
            |group| {
                [
                    ("voluntary", float(group.counts.voluntary)),
                    ("nonvoluntary", float(group.counts.involuntary)),
                ]
            },
        );
        self.memory(smaps);
        self.plain(
            Gauge,
            "open_filedesc",
            "Open file descriptors of the group.",
            |group| float(group.descriptors),
        );
        self.plain(
            Gauge,
            "worst_fd_ratio",
            "The largest share of its file descriptors that a process of the group has open.",
            |group| group.worst_ratio,
        );
        self.plain(
            Gauge,
            "oldest_start_time_seconds",
            "When the oldest process of the group started, in seconds since 1970.",
            |group| {
                group
                    .oldest
                    .map_or(NEVER, |ticks| float(booted) + seconds(ticks).floor())
            },
        );
        self.plain(Gauge, "num_threads", "Threads of the group.", |group| {
            float(group.threads)
        });
        self.labelled(
            Gauge,
            "states",
            "Processes of the group and, where they have several, their threads by state.",
            "state",
            |group| {
                let mut states = STATES.into_iter().zip(group.states);
                std::array::from_fn::<_, 5, _>(|_| {
                    let (state, count) = states.next().unwrap_or_default();
                    (state, float(count))
                })
            },
        );
        self.waits();
        if threads {
            self.threads();
        }
        self.errors();
    }

    /// One sample of each group.
    fn plain(&mut self, kind: Kind, name: &str, help: &str, value: impl Fn(&Group) -> f64) {
        let name = full(name);
        let mut family = self.families.family(kind, &name, help);
        for (group, of) in self.tracker.groups() {
            family.add(&[("groupname", group)], value(of));
        }
        family.end();
    }

    /// Several samples of each group, told apart by one more label.
    fn labelled<const N: usize>(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        label: &str,
        values: impl Fn(&Group) -> [(&'static str, f64); N],
    ) {
        let name = full(name);
        let mut family = self.families.family(kind, &name, help);
        for (group, of) in self.tracker.groups() {
            for (which, value) in values(of) {
                family.add(&[("groupname", group), (label, which)], value);
            }
        }
        family.end();
    }

    fn memory(&mut self, smaps: bool) {
        let name = full("memory_bytes");
        let mut family = self
            .families
            .family(Kind::Gauge, &name, "Memory of the group.");
        for (group, of) in self.tracker.groups() {
            let mut add = |which, bytes| {
                family.add(&[("groupname", group), ("memtype", which)], float(bytes));
            };
            add("resident", of.resident);
            add("virtual", of.virtual_bytes);
            add("swapped", of.swapped);
            if smaps {
                add("proportionalResident", of.proportional.resident);
                add("proportionalSwapped", of.proportional.swapped);
            }
        }
        family.end();
    }

    fn waits(&mut self) {
        let name = full("threads_wchan");
        let help = "Threads of the group by what in the kernel they wait for.";
        let mut family = self.families.family(Kind::Gauge, &name, help);
        for (group, of) in self.tracker.groups() {
            for (wait, count) in &of.waits {
                family.add(&[("groupname", group), ("wchan", wait)], float(*count));
            }
        }
        family.end();
    }

    fn threads(&mut self) {
        use Kind::{Counter, Gauge};
        self.of_threads(
            Gauge,
            "thread_count",
            "Threads of one name.",
            "",
            |threads| [("", float(threads.threads))],
        );
        self.of_threads(
            Counter,
            "thread_cpu_seconds_total",
            "Processor time of threads of one name.",
            "mode",
            |threads| {
                [
                    ("user", seconds(threads.counts.user)),
                    ("system", seconds(threads.counts.system)),
                ]
            },
        );
        self.of_threads(
            Counter,
            "thread_io_bytes_total",
            "Bytes that threads of one name read from storage and wrote to it.",
            "iomode",
            |threads| {
                [
                    ("read", float(threads.counts.read)),
                    ("write", float(threads.counts.written)),
                ]
            },
        );
        self.of_threads(
            Counter,
            "thread_major_page_faults_total",
            "Page faults of threads of one name that needed reading.",
            "",
            |threads| [("", float(threads.counts.major_faults))],
        );
        self.of_threads(
            Counter,
            "thread_minor_page_faults_total",
            "Page faults of threads of one name that needed no reading.",
            "",
            |threads| [("", float(threads.counts.minor_faults))],
        );
        self.of_threads(
            Counter,
            "thread_context_switches_total",
            "Switches to other tasks of threads of one name.",
            "ctxswitchtype",
            |threads| {
                [
                    ("voluntary", float(threads.counts.voluntary)),
                    ("nonvoluntary", float(threads.counts.involuntary)),
                ]
            },
        );
    }

    /// Samples of each name of threads; without a `label` one.
    fn of_threads<const N: usize>(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        label: &str,
        values: impl Fn(&Threads) -> [(&'static str, f64); N],
    ) {
        let name = full(name);
        let mut family = self.families.family(kind, &name, help);
        for (group, of) in self.tracker.groups() {
            for (thread, threads) in &of.by_thread {
                for (which, value) in values(threads) {
                    let labels = [("groupname", group), ("threadname", thread), (label, which)];
                    let labels = if label.is_empty() {
                        labels.get(..2).unwrap_or_default()
                    } else {
                        &labels
                    };
                    family.add(labels, value);
                }
            }
        }
        family.end();
    }

    fn errors(&mut self) {
        let errors = self.tracker.errors;
        for (name, help, count) in [
            (
                "namedprocess_scrape_errors",
                "Looks at which processes could not be listed.",
                errors.scrapes,
            ),
            (
                "namedprocess_scrape_procread_errors",
                "Processes that could not be read.",
                errors.processes,
            ),
            (
                "namedprocess_scrape_partial_errors",
                "Processes of which a part could not be read.",
                errors.parts,
            ),
        ] {
            let mut family = self.families.family(Kind::Counter, name, help);
            family.add(&[], float(count));
            family.end();
        }
    }
}

fn full(name: &str) -> String {
    format!("namedprocess_namegroup_{name}")
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn conforms() {
        corten_testing::conforms(crate::factory(), "{}").await;
    }

    #[test]
    fn what_selects_nothing_and_fields_that_are_none_are_named() {
        let problems = |yaml: &str| {
            corten_config::from_str::<crate::config::Config>(yaml)
                .unwrap_err()
                .to_string()
        };
        let text = problems("process_names: [{name: x}]");
        assert!(
            text.contains("process_names[0] needs one of `comm`, `exe` and `cmdline`"),
            "{text}"
        );
        let text = problems("process_names: [{name: '{{.Nope}}', comm: [x]}]");
        assert!(text.contains("found '.Nope'"), "{text}");
        let text = problems("process_names: [{cmdline: ['(']}]");
        assert!(text.contains("expected a regular expression"), "{text}");
    }

    #[test]
    fn alloys_names_are_known() {
        let alloy = "{track_children: false, track_threads: false, recheck_on_scrape: true, procfs_path: /host/proc, matcher: [{comm: [x]}]}";
        let own = "{children: false, threads: false, recheck: true, procfs: /host/proc, process_names: [{comm: [x]}]}";
        let read = |yaml| corten_config::from_str::<crate::config::Config>(yaml).unwrap();
        assert_eq!(read(alloy), read(own));
    }
}
