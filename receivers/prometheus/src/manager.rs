//! Keeps a job's scrapes as its discovery says.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use corten_component::{BoxError, Tasks};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::discovery::{Discovery, Found, Tell};
use crate::scrape::{Scraper, Shared};
use crate::target::{LabelMap, Target};

/// How long news are gathered before anything is done about them.
const GATHER: Duration = Duration::from_millis(250);

/// A job that runs.
pub(crate) struct Manager {
    shared: Arc<Shared>,
    tasks: Tasks,
    pace: (Duration, Duration),
    limit: u64,
    found: BTreeMap<usize, Vec<LabelMap>>,
    running: HashMap<u64, (Target, CancellationToken)>,
    /// Whether some target's labels made no sense when it was said last.
    nonsense: bool,
}

impl Manager {
    pub(crate) fn new(
        shared: Arc<Shared>,
        tasks: Tasks,
        pace: (Duration, Duration),
        limit: u64,
    ) -> Self {
        Self {
            shared,
            tasks,
            pace,
            limit,
            found: BTreeMap::new(),
            running: HashMap::new(),
            nonsense: false,
        }
    }

    /// Reads the certificates that the job's settings name.
    pub(crate) fn read_certificates(&self) -> Result<(), BoxError> {
        let error = match self.shared.client.read_certificates() {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        Err(format!("job {}: {error}", self.shared.job.job_name).into())
    }

    /// Follows what is discovered, for as long as it is polled.
    pub(crate) async fn run(mut self, discoveries: Vec<Discovery>) {
        let (to, mut news) = mpsc::channel::<Found>(16);
        for (place, discovery) in discoveries.into_iter().enumerate() {
            let tell = Tell::new(place, to.clone());
            let stop = self.tasks.stopping();
            self.tasks.spawn("discover targets", async move {
                tokio::select! {
                    () = stop => {}
                    () = discovery.run(tell) => {}
                }
            });
        }
        while let Some(found) = news.recv().await {
            self.found.insert(found.place, found.targets);
            tokio::time::sleep(GATHER).await;
            while let Ok(found) = news.try_recv() {
                self.found.insert(found.place, found.targets);
            }
            self.follow();
        }
    }

    /// Starts what is new and stops what is gone.
    fn follow(&mut self) {
        let mut wanted: HashMap<u64, Target> = HashMap::new();
        let mut nonsense = None;
        for found in self.found.values().flatten() {
            match Target::new(found, &self.shared.job, self.pace) {
                Ok(Some(target)) => {
                    wanted.insert(target.hash(), target);
                }
                Ok(None) => {}
                Err(error) => nonsense = Some(error),
            }
        }
        let job = &self.shared.job.job_name;
        if let Some(error) = &nonsense
            && !self.nonsense
        {
            tracing::warn!(job, "a target is left out: after relabeling, {error}");
        }
        self.nonsense = nonsense.is_some();
        let too_many = self.limit > 0 && wanted.len() as u64 > self.limit;
        if too_many && !self.shared.too_many.load(Ordering::Relaxed) {
            let (limit, found) = (self.limit, wanted.len());
            tracing::warn!(
                job,
                limit,
                found,
                "more targets than target_limit: no target of the job is scraped until there are fewer"
            );
        }
        self.shared.too_many.store(too_many, Ordering::Relaxed);
        let before = self.running.len();
        self.running.retain(|hash, (target, stop)| {
            let stays = wanted.get(hash).is_some_and(|same| same == target);
            if !stays {
                stop.cancel();
            }
            stays
        });
        for (hash, target) in wanted {
            if self.running.contains_key(&hash) {
                continue;
            }
            let stop = CancellationToken::new();
            let scraper = Scraper::new(Arc::clone(&self.shared), target.clone());
            let (ends, over) = (stop.clone(), self.tasks.stopping());
            self.tasks.spawn("scrape a target", async move {
                tokio::select! {
                    // At a shutdown nothing has ended: whoever comes next goes on.
                    () = over => {}
                    () = scraper.run(ends) => {}
                }
            });
            self.running.insert(hash, (target, stop));
        }
        let change = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let change = change(self.running.len()) - change(before);
        self.shared.instruments.targets(job, change);
    }
}
