//! Who may be there.
//!
//! Every mechanism is a task that tells the whole of what it found, each time that changes. What it
//! found last stands until it knows better: a server that is away takes nobody out.

mod dns;
mod file;
mod http;
mod kubernetes;

use std::collections::BTreeMap;
use std::time::Duration;

use corten_component::{BoxError, Context};
use tokio::sync::mpsc;

use crate::config::{Group, Job};
use crate::target::{ADDRESS, LabelMap};

pub(crate) use file::matching;

/// What one mechanism found.
pub(crate) struct Found {
    /// Which one, by its place in the job.
    pub(crate) place: usize,
    pub(crate) targets: Vec<LabelMap>,
}

/// Where a mechanism tells what it found.
#[derive(Clone)]
pub(crate) struct Tell {
    place: usize,
    to: mpsc::Sender<Found>,
}

impl Tell {
    pub(crate) fn new(place: usize, to: mpsc::Sender<Found>) -> Self {
        Self { place, to }
    }

    /// Tells that these are all that there are now.
    async fn all(&self, targets: Vec<LabelMap>) {
        let place = self.place;
        if self.to.send(Found { place, targets }).await.is_err() {
            // Nobody listens any more: the task is about to be ended.
            std::future::pending::<()>().await;
        }
    }
}

/// A mechanism of a job.
pub(crate) enum Discovery {
    Static(Vec<Group>),
    File(file::Files),
    Http(Box<http::List>),
    Dns(dns::Names),
    Kubernetes(Box<kubernetes::Cluster>),
}

/// The mechanisms of a job, not begun.
///
/// # Errors
///
/// Settings that cannot be used.
pub(crate) fn of(cx: &Context, job: &Job) -> Result<Vec<Discovery>, BoxError> {
    let mut all = vec![Discovery::Static(job.static_configs.clone())];
    all.extend(
        job.file_sd_configs
            .iter()
            .cloned()
            .map(file::Files::new)
            .map(Discovery::File),
    );
    for one in &job.http_sd_configs {
        all.push(Discovery::Http(Box::new(http::List::new(cx, one)?)));
    }
    all.extend(
        job.dns_sd_configs
            .iter()
            .cloned()
            .map(dns::Names::new)
            .map(Discovery::Dns),
    );
    for one in &job.kubernetes_sd_configs {
        all.push(Discovery::Kubernetes(Box::new(kubernetes::Cluster::new(
            one,
        )?)));
    }
    Ok(all)
}

impl Discovery {
    /// Tells what there is for as long as it is polled.
    pub(crate) async fn run(self, tell: Tell) {
        match self {
            Self::Static(groups) => tell.all(labelled(&groups, &BTreeMap::new())).await,
            Self::File(files) => files.run(tell).await,
            Self::Http(list) => list.run(tell).await,
            Self::Dns(names) => names.run(tell).await,
            Self::Kubernetes(cluster) => cluster.run(tell).await,
        }
    }
}

/// Every target of groups, with the group's labels and `more`.
fn labelled(groups: &[Group], more: &LabelMap) -> Vec<LabelMap> {
    let of = |group: &Group| {
        let mut common = group.labels.clone();
        common.extend(more.clone());
        let address = move |target: &String| {
            let mut labels = common.clone();
            labels.insert(ADDRESS.to_owned(), target.clone());
            labels
        };
        group.targets.iter().map(address).collect::<Vec<_>>()
    };
    groups.iter().flat_map(of).collect()
}

/// Says once that something begins to fail, and once that it works again.
#[derive(Default)]
struct Complaint(bool);

impl Complaint {
    fn failed(&mut self, what: &str, error: &dyn std::fmt::Display) {
        if !self.0 {
            tracing::warn!("{what}: {error}; what was known last still stands");
        }
        self.0 = true;
    }

    fn worked(&mut self, what: &str) {
        if self.0 {
            tracing::info!("{what}: works again");
        }
        self.0 = false;
    }
}

/// Waits for as long as an interval says; never not at all.
async fn pause(interval: Duration) {
    tokio::time::sleep(interval.max(Duration::from_millis(100))).await;
}
