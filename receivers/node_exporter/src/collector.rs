//! What a collector is, and how they are run: one after the other, each measured and none able to
//! take another one's metrics with it.

use std::time::{Duration, Instant};

use corten_component::CollectRequest;
use corten_host::HostError;
use corten_host::families::{Families, Family, Histograms, Kind, Summaries};
use corten_pdata::Metrics;

use crate::collectors;
use crate::config::Config;
use crate::gathered::Gathered;
use crate::shared::Sources;

/// One source of the host and the metrics made of it.
pub(crate) trait Collector: Send {
    /// Reads the present state and writes it as metrics. What was written before an error stays.
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError>;
}

/// Where collectors write.
pub(crate) struct Emit<'a> {
    families: &'a mut Families,
    gathered: &'a mut Gathered,
    /// What is not there by then is left out.
    pub(crate) deadline: Instant,
    /// The number of this scrape, by which collectors share what they read.
    pub(crate) scrape: u64,
    /// Whether anything was written: the host has what the collector reads.
    wrote: bool,
}

impl Emit<'_> {
    /// Adds a sample to a family, whichever was written to before. What collectors of many devices
    /// with many values each use; costs a copy of the labels.
    pub(crate) fn put(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        self.wrote = true;
        self.gathered.add(kind, name, help, labels, value);
    }

    /// A family of histograms. It has samples.
    pub(crate) fn histograms<'f>(&'f mut self, name: &'f str, help: &'f str) -> Histograms<'f> {
        self.wrote = true;
        self.families.histograms(name, help)
    }

    /// A family of summaries. It has samples.
    pub(crate) fn summaries<'f>(&'f mut self, name: &'f str, help: &'f str) -> Summaries<'f> {
        self.wrote = true;
        self.families.summaries(name, help)
    }

    /// A family of counters. Families without a sample are not written.
    pub(crate) fn counter<'f>(&'f mut self, name: &'f str, help: &'f str) -> Family<'f> {
        self.wrote = true;
        self.families.family(Kind::Counter, name, help)
    }

    /// A family of gauges.
    pub(crate) fn gauge<'f>(&'f mut self, name: &'f str, help: &'f str) -> Family<'f> {
        self.wrote = true;
        self.families.family(Kind::Gauge, name, help)
    }

    /// A family of values of which nobody knows whether they only grow.
    pub(crate) fn untyped<'f>(&'f mut self, name: &'f str, help: &'f str) -> Family<'f> {
        self.wrote = true;
        self.families.family(Kind::Untyped, name, help)
    }
}

struct Entry {
    name: &'static str,
    collector: Box<dyn Collector>,
    /// How the last run ended, so that a failure is logged when it begins and not at every scrape.
    failing: bool,
    ran: Option<(Duration, bool)>,
}

/// All collectors that run, with their buffers.
pub(crate) struct Scraper {
    entries: Vec<Entry>,
    families: Families,
    gathered: Gathered,
    scrapes: u64,
}

impl Scraper {
    pub(crate) fn new(config: &Config) -> Self {
        Self::with(collectors::all(config, &Sources::new(config.roots())))
    }

    fn with(collectors: impl IntoIterator<Item = (&'static str, Box<dyn Collector>)>) -> Self {
        let entries = collectors
            .into_iter()
            .map(|(name, collector)| Entry {
                name,
                collector,
                failing: false,
                ran: None,
            })
            .collect();
        Self {
            entries,
            families: Families::new("node_exporter", env!("CARGO_PKG_VERSION")),
            gathered: Gathered::default(),
            scrapes: 0,
        }
    }

    /// Why the request cannot be served, in node_exporter's words: it asks for a collector that there is
    /// not, or that does not run.
    pub(crate) fn refuse(&self, request: &CollectRequest) -> Option<String> {
        let runs = |name: &str| self.entries.iter().any(|entry| entry.name == name);
        let name = request.include.iter().find(|name| !runs(name))?;
        let known = collectors::NAMES.contains(&name.as_str());
        let why = if known { "disabled" } else { "missing" };
        Some(format!("{why} collector: {name}"))
    }

    /// The metrics of every collector that the request wants, and how each of them fared.
    pub(crate) fn scrape(&mut self, request: &CollectRequest) -> Metrics {
        self.families.begin();
        self.scrapes += 1;
        for entry in &mut self.entries {
            entry.ran = None;
            if !request.wants(entry.name) {
                continue;
            }
            let begin = Instant::now();
            let mut emit = Emit {
                families: &mut self.families,
                gathered: &mut self.gathered,
                deadline: request.deadline,
                scrape: self.scrapes,
                wrote: false,
            };
            let result = entry.collector.update(&mut emit);
            let wrote = emit.wrote;
            entry.ran = Some((begin.elapsed(), result.is_ok()));
            let failing = result.is_err();
            if let Err(error) = result
                && !entry.failing
            {
                if error.is_absent() && !wrote {
                    tracing::debug!(collector = entry.name, %error, "collector has no data");
                } else {
                    tracing::warn!(collector = entry.name, %error, "collector failed");
                }
            }
            entry.failing = failing;
        }
        self.gathered.write(&mut self.families);
        self.account();
        self.families.finish()
    }

    fn account(&mut self) {
        let ran = || {
            self.entries
                .iter()
                .filter_map(|entry| Some((entry.name, entry.ran?)))
        };
        let mut durations = self.families.family(
            Kind::Gauge,
            "node_scrape_collector_duration_seconds",
            "How long the collector took, in seconds.",
        );
        for (name, (duration, _)) in ran() {
            durations.add(&[("collector", name)], duration.as_secs_f64());
        }
        durations.end();
        let mut successes = self.families.family(
            Kind::Gauge,
            "node_scrape_collector_success",
            "Whether the collector could read all that it needs.",
        );
        for (name, (_, success)) in ran() {
            successes.add(&[("collector", name)], f64::from(u8::from(success)));
        }
        successes.end();
        let mut build = self.families.family(
            Kind::Gauge,
            "node_exporter_build_info",
            "What made these metrics: always 1.",
        );
        build.add(
            &[
                ("branch", "corten"),
                ("goarch", go_arch(std::env::consts::ARCH)),
                ("goos", std::env::consts::OS),
                ("goversion", ""),
                ("revision", ""),
                ("tags", ""),
                ("version", env!("CARGO_PKG_VERSION")),
            ],
            1.0,
        );
    }
}

/// What Go calls an architecture that Rust calls `arch`.
fn go_arch(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "powerpc64" => "ppc64",
        "loongarch64" => "loong64",
        other => other,
    }
}

/// A family of one sample without labels.
pub(crate) fn single(family: Family<'_>, value: f64) {
    let mut family = family;
    family.add(&[], value);
}

/// A name with everything but letters and digits replaced, as metrics made of the system's names have it.
pub(crate) fn sanitized(name: &str) -> String {
    name.chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                '_'
            }
        })
        .collect()
}

/// What every collector is made from.
pub(crate) type Make = fn(&Config, &Sources) -> Box<dyn Collector>;

/// What a collector writes, as text.
#[cfg(test)]
pub(crate) fn shown(collector: &mut dyn Collector) -> Result<String, HostError> {
    collected(collector).map(|metrics| corten_testing::render_metrics(&metrics))
}

/// What a collector writes.
#[cfg(test)]
pub(crate) fn collected(collector: &mut dyn Collector) -> Result<Metrics, HostError> {
    let mut families = Families::new("test", "1");
    let mut gathered = Gathered::default();
    families.begin();
    let mut emit = Emit {
        families: &mut families,
        gathered: &mut gathered,
        deadline: Instant::now() + Duration::from_secs(30),
        scrape: 1,
        wrote: false,
    };
    let result = collector.update(&mut emit);
    gathered.write(&mut families);
    let metrics = families.finish();
    result.map(|()| metrics)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What reads a text with a line for each metric or device. The others walk folders of devices, whose names take memory.
    const TEXTS: [&str; 31] = [
        "arp",
        "buddyinfo",
        "cgroups",
        "conntrack",
        "cpu",
        "diskstats",
        "drbd",
        "entropy",
        "filefd",
        "kernel_hung",
        "ksmd",
        "loadavg",
        "meminfo",
        "netdev",
        "netstat",
        "schedstat",
        "selinux",
        "slabinfo",
        "sockstat",
        "softirqs",
        "softnet",
        "stat",
        "swap",
        "tcpstat",
        "textfile",
        "time",
        "timex",
        "udp_queues",
        "uname",
        "vmstat",
        "xfrm",
    ];

    #[test]
    fn in_the_steady_state_no_metric_takes_memory() {
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
        let paths = format!(
            "path: {{procfs: '{fixtures}/proc', sysfs: '{fixtures}/sys', rootfs: '{fixtures}/root', udev: {{data: '{fixtures}/udev'}}}}"
        );
        for name in TEXTS {
            let config: Config = corten_config::from_str(&format!(
                "{paths}\ncollectors: {{disable_defaults: true, enable: [{name}]}}"
            ))
            .unwrap();
            let mut scraper = Scraper::new(&config);
            let request = CollectRequest::all(Duration::from_secs(30));
            for _ in 0..3 {
                scraper.scrape(&request);
            }
            let mut items = 0;
            let taken = allocation_counter::measure(|| items = scraper.scrape(&request).items());
            // The page itself and what it is shared by; opening files that are not the kernel's.
            assert!(
                taken.count_total <= 12,
                "{name}: {} allocations for {items} samples",
                taken.count_total
            );
        }
    }
}
