//! The receiver's life.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use corten_component::{BoxError, Component, Consumer, Context, Next, Receiver, async_trait};
use corten_config::Check;
use corten_pdata::Signal;
use parking_lot::Mutex;
use serde::Deserialize;

use crate::access::Client;
use crate::config::{Config, ScrapeConfig};
use crate::discovery::{self, Discovery, matching};
use crate::manager::Manager;
use crate::metadata::Instruments;
use crate::page::Treatment;
use crate::scrape::{Shared, headers};
use crate::target;

/// The largest page that is read, decompressed, when the job says nothing.
const LARGEST: u64 = 256 << 20;
/// How long shutdown waits for scrapes.
const DRAIN: Duration = Duration::from_secs(5);

/// Scrapes.
pub(crate) struct Prometheus {
    cx: Context,
    config: Config,
    next: Option<Arc<dyn Consumer>>,
    /// Jobs until they are started.
    jobs: Mutex<Vec<(Manager, Vec<Discovery>)>>,
}

/// A file of `scrape_config_files`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct JobsFile {
    scrape_configs: Vec<ScrapeConfig>,
}

impl Prometheus {
    pub(crate) fn create(cx: Context, config: Config, next: Next) -> Result<Self, BoxError> {
        let receiver = Self {
            next: next.get(Signal::Metrics).cloned(),
            cx,
            config,
            jobs: Mutex::new(Vec::new()),
        };
        let jobs = receiver.config.config.scrape_configs.iter();
        let jobs: Result<Vec<_>, _> = jobs.map(|job| receiver.job(job)).collect();
        *receiver.jobs.lock() = jobs?.into_iter().flatten().collect();
        Ok(receiver)
    }

    /// A job that is ready to run; `None` when nobody takes metrics.
    fn job(&self, config: &ScrapeConfig) -> Result<Option<(Manager, Vec<Discovery>)>, BoxError> {
        let Some(next) = &self.next else {
            return Ok(None);
        };
        let global = &self.config.config.global;
        let limits = config.limits.over(global.limits);
        let job = &config.job;
        let within = |error: BoxError| format!("job {}: {error}", job.job_name);
        let largest = limits.body_size_limit.map_or(0, |limit| limit.get());
        let largest = if largest == 0 { LARGEST } else { largest };
        let largest = usize::try_from(largest).unwrap_or(usize::MAX);
        let shared = Shared {
            client: Client::new(&self.cx, &config.access, largest).map_err(within)?,
            headers: headers(job, global.pace.scrape_protocols.as_deref()),
            treatment: Treatment {
                honor_labels: job.honor_labels,
                honor_timestamps: job.honor_timestamps,
                trim: self.config.trim_metric_suffixes,
                track_timestamps_staleness: job.track_timestamps_staleness,
                rules: job.metric_relabel_configs.clone(),
                external_labels: global.pace.external_labels.clone(),
                sample_limit: limits.sample_limit.unwrap_or_default(),
                label_limit: limits.label_limit.unwrap_or_default(),
                label_name_length_limit: limits.label_name_length_limit.unwrap_or_default(),
                label_value_length_limit: limits.label_value_length_limit.unwrap_or_default(),
            },
            next: Arc::clone(next),
            instruments: Instruments::new(&self.cx),
            too_many: AtomicBool::new(false),
            job: job.clone(),
        };
        let manager = Manager::new(
            Arc::new(shared),
            self.cx.tasks().clone(),
            target::pace(job, &global.pace),
            limits.target_limit.unwrap_or_default(),
        );
        let discoveries = discovery::of(&self.cx, job).map_err(within)?;
        Ok(Some((manager, discoveries)))
    }

    /// The jobs of `scrape_config_files`.
    fn of_files(&self) -> Result<Vec<(Manager, Vec<Discovery>)>, BoxError> {
        let mut jobs = Vec::new();
        let patterns = &self.config.config.scrape_config_files;
        for path in patterns.iter().flat_map(|pattern| matching(pattern)) {
            let wrong = |error: &dyn std::fmt::Display| {
                format!("scrape_config_files: {}: {error}", path.display())
            };
            let text = std::fs::read_to_string(&path).map_err(|error| wrong(&error))?;
            let file: JobsFile = corten_config::from_data(&path.display().to_string(), &text)
                .map_err(|problems| format!("scrape_config_files: {problems}"))?;
            let mut checked = self.config.clone();
            checked
                .config
                .scrape_configs
                .extend(file.scrape_configs.clone());
            let mut problems = corten_config::Problems::new();
            let section = corten_config::Section::empty(path.display().to_string());
            checked.check(&mut corten_config::Checker::new(&section, &mut problems));
            if problems.has_errors() {
                return Err(wrong(&problems).into());
            }
            for config in &file.scrape_configs {
                jobs.extend(self.job(config)?);
            }
        }
        Ok(jobs)
    }
}

#[async_trait]
impl Component for Prometheus {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        let mut jobs = std::mem::take(&mut *self.jobs.lock());
        jobs.extend(self.of_files()?);
        for (manager, _) in &jobs {
            manager.read_certificates()?;
        }
        for (manager, discoveries) in jobs {
            let stop = self.cx.tasks().stopping();
            self.cx.tasks().spawn("manage a job", async move {
                tokio::select! {
                    () = stop => {}
                    () = manager.run(discoveries) => {}
                }
            });
        }
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        self.cx.tasks().shutdown(DRAIN).await;
        Ok(())
    }
}

impl Receiver for Prometheus {}
