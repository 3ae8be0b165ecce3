//! What users set: the keys of process-exporter's file and flags; those of Alloy's `prometheus.exporter.process` are known too.

use std::path::PathBuf;
use std::time;

use corten_component::Schedule;
use corten_config::types::Duration;
use corten_config::{Check, Checker};
use corten_host::Roots;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::selector::Selector;

/// Settings of the `process_metrics` receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// How often processes are looked at when the metrics are pushed somewhere. An exporter that is
    /// scraped looks when it is scraped, whatever this says.
    pub(crate) collection_interval: Duration,
    /// Time between the start and the first look.
    pub(crate) initial_delay: Duration,
    /// How long one look may take; `0s` means as long as the interval.
    pub(crate) timeout: Duration,
    /// The groups. A process belongs to the first one that matches it. Alloy calls this `matcher`. Without any, each
    /// program is a group under its name.
    #[serde(alias = "matcher")]
    pub(crate) process_names: Vec<Selector>,
    /// Where the host's `/proc` is. Alloy calls this `procfs_path`.
    #[serde(alias = "procfs_path")]
    pub(crate) procfs: PathBuf,
    /// Where the host's `/` is: its `etc/passwd` names users.
    pub(crate) rootfs: PathBuf,
    /// A process that no group matches belongs to that of its parent. Alloy calls this `track_children`.
    #[serde(alias = "track_children")]
    pub(crate) children: bool,
    /// Metrics of threads by their names. Alloy calls this `track_threads`.
    #[serde(alias = "track_threads")]
    pub(crate) threads: bool,
    /// Look for the group of each process anew each time: for processes that change their names. Alloy calls this
    /// `recheck_on_scrape`.
    #[serde(alias = "recheck_on_scrape")]
    pub(crate) recheck: bool,
    /// Memory that processes share is split among them (`proportionalResident`, `proportionalSwapped`); reading it takes
    /// the kernel long.
    pub(crate) gather_smaps: bool,
    /// A group without processes is forgotten. Otherwise its counters stay where they are.
    pub(crate) remove_empty_groups: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            collection_interval: time::Duration::from_secs(60).into(),
            initial_delay: time::Duration::from_secs(1).into(),
            timeout: Duration::default(),
            process_names: Vec::new(),
            procfs: PathBuf::from("/proc"),
            rootfs: PathBuf::from("/"),
            children: true,
            threads: true,
            recheck: false,
            gather_smaps: true,
            remove_empty_groups: false,
        }
    }
}

impl Config {
    pub(crate) fn schedule(&self) -> Schedule {
        Schedule {
            interval: self.collection_interval.into(),
            initial_delay: self.initial_delay.into(),
            timeout: self.timeout.into(),
        }
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots {
            procfs: self.procfs.clone(),
            rootfs: self.rootfs.clone(),
            ..Roots::default()
        }
    }

    /// The groups, or those that there are without any.
    pub(crate) fn selectors(&self) -> Vec<Selector> {
        if self.process_names.is_empty() {
            return vec![Selector::each_program()];
        }
        self.process_names.clone()
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if self.collection_interval.is_zero() {
            at.on("collection_interval")
                .error("`collection_interval` must be greater than zero");
        }
        for (number, selector) in self.process_names.iter().enumerate() {
            if !selector.selects() {
                at.on("process_names").error(format!(
                    "process_names[{number}] needs one of `comm`, `exe` and `cmdline`; `cmdline: ['.+']` matches every program"
                ));
            }
        }
    }
}
