//! What a scraper is, and how they are run: one after the other, none able to take another one's
//! metrics with it.

use std::time::SystemTime;

use corten_component::CollectRequest;
use corten_host::stat::Stat;
use corten_host::{HostError, HostFile, Roots};
use corten_pdata::Metrics;
use corten_pdata::build::MetricsBuilder;

use crate::config::Config;
use crate::emit::{Emit, Wanted};
use crate::scrapers;

/// One part of the host and the metrics made of it.
pub(crate) trait Scraper: Send {
    /// Reads the present state and writes it as metrics. What was written before an error stays.
    fn scrape(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError>;
}

/// A scraper that the user named.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) scraper: Box<dyn Scraper>,
    pub(crate) wanted: Wanted,
}

/// All scrapers that run, with their buffers.
pub(crate) struct Host {
    entries: Vec<(Entry, Fault)>,
    roots: Roots,
    /// When the host booted, in nanoseconds since 1970; read once, since it does not change.
    boot: Option<u64>,
    /// Bytes of the last collection.
    expected: usize,
}

/// How the last run of a scraper ended, so that a failure is logged when it begins and not at every
/// collection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Failing,
}

impl Host {
    pub(crate) fn new(config: &Config) -> Self {
        let roots = config.roots();
        let entries = scrapers::all(&config.scrapers, &roots);
        Self {
            entries: entries
                .into_iter()
                .map(|entry| (entry, Fault::None))
                .collect(),
            roots,
            boot: None,
            expected: 0,
        }
    }

    /// The metrics of every scraper that the request wants.
    pub(crate) fn collect(&mut self, request: &CollectRequest) -> Metrics {
        let boot = self.boot();
        let time = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let mut builder = MetricsBuilder::with_capacity(self.expected);
        builder.resource(|_| {});
        for (entry, fault) in &mut self.entries {
            if !request.wants(entry.name) {
                continue;
            }
            builder.scope(scrapers::scope(entry.name), env!("CARGO_PKG_VERSION"));
            let mut emit = Emit {
                builder: &mut builder,
                wanted: &entry.wanted,
                time,
                boot,
                deadline: request.deadline,
            };
            let now = match entry.scraper.scrape(&mut emit) {
                Ok(()) => Fault::None,
                Err(error) => {
                    if *fault == Fault::None {
                        tracing::warn!(scraper = entry.name, %error, "scraper failed");
                    }
                    Fault::Failing
                }
            };
            *fault = now;
        }
        self.expected = builder.len_bytes() + 1024;
        builder.finish()
    }

    fn boot(&mut self) -> u64 {
        if let Some(boot) = self.boot {
            return boot;
        }
        let mut stat = Stat::default();
        let mut file = HostFile::new(self.roots.proc("stat"));
        match file.read().and_then(|text| stat.parse(text)) {
            Ok(()) => *self
                .boot
                .insert(stat.boot_time.saturating_mul(1_000_000_000)),
            // Asked again next time; until then the points say that their start is not known.
            Err(_) => 0,
        }
    }
}
