//! The receiver: a source that asks the kubelet when somebody collects.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use corten_component::{
    BoxError, CollectRequest, Component, Context, HealthHandle, Next, Receiver, Schedule, Source,
    async_trait,
};
use corten_pdata::Data;
use parking_lot::Mutex;

use crate::claims::Claims;
use crate::config::Config;
use crate::emit::Wanted;
use crate::kubelet::{Kubelet, NodeCapacity};
use crate::pods;
use crate::report::{Known, claims, report};
use crate::summary::Summary;

pub(crate) struct KubeletStats {
    source: Arc<Stats>,
}

struct Stats {
    config: Config,
    wanted: Wanted,
    kubelet: Kubelet,
    capacity: Option<NodeCapacity>,
    claims: Option<Claims>,
    health: HealthHandle,
    /// Bytes of the last collection.
    expected: AtomicUsize,
    /// What could not be had beside the statistics, so that it is said when it begins.
    missing: Mutex<Option<String>>,
}

impl KubeletStats {
    pub(crate) fn create(cx: Context, config: Config, _: Next) -> Result<Self, BoxError> {
        Ok(Self {
            source: Arc::new(Stats {
                wanted: Wanted::new(&config),
                kubelet: Kubelet::new(&cx, &config)?,
                capacity: NodeCapacity::new(&config),
                claims: Claims::new(&config),
                health: cx.health().clone(),
                expected: AtomicUsize::new(0),
                missing: Mutex::new(None),
                config,
            }),
        })
    }
}

impl Component for KubeletStats {}

impl Receiver for KubeletStats {
    fn source(&self) -> Option<Arc<dyn Source>> {
        Some(Arc::clone(&self.source) as Arc<dyn Source>)
    }
}

impl Stats {
    async fn summary(&self) -> Result<Summary, BoxError> {
        let body = self.kubelet.get("/stats/summary").await?;
        serde_json::from_slice(&body).map_err(|error| {
            format!("/stats/summary: expected the kubelet's statistics in JSON: {error}").into()
        })
    }

    async fn pods(&self) -> Result<pods::Pods, BoxError> {
        if !self.config.needs_pods() {
            return Ok(pods::Pods::default());
        }
        let body = self.kubelet.get("/pods").await?;
        pods::parse(&body).map_err(|error| {
            format!("/pods: expected the kubelet's list of pods in JSON: {error}").into()
        })
    }

    /// The statistics, and what is known beside them. What cannot be had of that is said once.
    async fn ask(&self) -> Result<(Summary, Known), BoxError> {
        let capacity = async {
            match &self.capacity {
                Some(capacity) => capacity.get().await,
                None => Default::default(),
            }
        };
        let (summary, pods, capacity) = tokio::join!(self.summary(), self.pods(), capacity);
        let summary = summary?;
        let (capacity, no_capacity) = capacity;
        let (pods, no_pods) = match pods {
            Ok(pods) => (pods, None),
            Err(error) => (pods::Pods::default(), Some(error)),
        };
        let (claims, no_claims) = match &self.claims {
            Some(known) => known.get(claims(&summary)).await,
            None => Default::default(),
        };
        let missing = no_pods.or(no_capacity).or(no_claims);
        let missing = missing.map(|error| error.to_string());
        let mut told = self.missing.lock();
        if let Some(missing) = &missing
            && told.is_none()
        {
            tracing::warn!("{missing}; what depends on it is not reported");
        }
        *told = missing;
        let known = Known {
            pods,
            capacity,
            claims,
        };
        Ok((summary, known))
    }
}

#[async_trait]
impl Source for Stats {
    fn schedule(&self) -> Schedule {
        self.config.schedule()
    }

    async fn collect(&self, request: &CollectRequest) -> Result<Data, BoxError> {
        let answers = tokio::time::timeout_at(request.deadline.into(), self.ask()).await;
        let (summary, known) = match answers {
            Ok(Ok(answers)) => answers,
            Ok(Err(error)) => {
                self.health.failing(error.to_string());
                return Err(error);
            }
            Err(_) => {
                let error = "the kubelet did not answer in time";
                self.health.failing(error);
                return Err(error.into());
            }
        };
        self.health.ok();
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let expected = self.expected.load(Ordering::Relaxed) + 1024;
        let metrics = report(
            &summary,
            &known,
            &self.config,
            &self.wanted,
            request,
            now,
            expected,
        );
        self.expected.store(metrics.bytes_len(), Ordering::Relaxed);
        Ok(metrics.into())
    }
}
