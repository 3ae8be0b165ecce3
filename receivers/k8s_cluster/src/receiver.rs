//! The receiver: a source that writes down what is known of the cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use corten_component::{
    BoxError, CollectRequest, Component, Context, Leadership, Next, Receiver, Schedule, Source,
    async_trait,
};
use corten_kubernetes::{Anything, ApiClient, Selection, Surroundings, Timing, run};
use corten_pdata::Data;
use corten_pdata::build::{MetricsBuilder, NumberPoints};
use corten_pdata::metrics::Temporality;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::metrics::Shape;
use crate::rows::{Chosen, KINDS, Kind, Number, Point, Row};
use crate::store::Store;

/// Objects per page: they are held in memory whole while a page is read.
const PAGE: u32 = 200;

pub(crate) struct K8sCluster {
    cx: Context,
    config: Config,
    leadership: Option<Arc<dyn Leadership>>,
    cluster: Arc<Cluster>,
    stop: CancellationToken,
}

struct Cluster {
    schedule: Schedule,
    chosen: Arc<Chosen>,
    /// Each collection that is watched.
    stores: Vec<(String, Store)>,
    /// Bytes of the last collection.
    expected: AtomicUsize,
}

impl K8sCluster {
    pub(crate) fn create(cx: Context, config: Config, _: Next) -> Result<Self, BoxError> {
        let elector = config.k8s_leader_elector.as_ref();
        let leadership = elector.map(|id| cx.leadership(id)).transpose()?;
        let chosen = Arc::new(Chosen::new(&config));
        let namespaces = config.all_namespaces();
        let wanted = KINDS.iter().filter(|kind| chosen.wanted.any(kind.prefixes));
        let stores = wanted.flat_map(|kind| {
            let collections = collections(kind, &namespaces).into_iter();
            let chosen = &chosen;
            collections.map(move |collection| (collection, Store::new(kind, chosen)))
        });
        Ok(Self {
            cluster: Arc::new(Cluster {
                schedule: config.schedule(),
                stores: stores.collect(),
                chosen: Arc::clone(&chosen),
                expected: AtomicUsize::new(0),
            }),
            cx,
            config,
            leadership,
            stop: CancellationToken::new(),
        })
    }
}

/// The collections of a kind. What has no namespace is nobody's affair who may see some namespaces alone.
fn collections(kind: &Kind, namespaces: &[&str]) -> Vec<String> {
    let Kind { base, resource, .. } = kind;
    if namespaces.is_empty() {
        return vec![format!("{base}/{resource}")];
    }
    let of = |namespace| format!("{base}/namespaces/{namespace}/{resource}");
    let namespaces = namespaces.iter().filter(|_| kind.namespaced);
    namespaces.map(of).collect()
}

#[async_trait]
impl Component for K8sCluster {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        let client = Arc::new(ApiClient::new(self.config.api(), Surroundings::of_pod()));
        for (collection, store) in &self.cluster.stores {
            let selection = Selection {
                page: PAGE,
                ..Selection::all(collection)
            };
            let (client, store) = (Arc::clone(&client), store.clone());
            let leadership = self.leadership.clone();
            let watching = watch(client, selection, store, leadership);
            let stop = self.stop.clone();
            self.cx.tasks().spawn("watch", async move {
                tokio::select! {
                    () = watching => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        self.stop.cancel();
        Ok(())
    }
}

/// Keeps `store` up to date while this agent leads; it is empty otherwise.
async fn watch(
    client: Arc<ApiClient>,
    selection: Selection,
    mut store: Store,
    leadership: Option<Arc<dyn Leadership>>,
) {
    let timing = Timing::default();
    let Some(leadership) = leadership else {
        return run::<Anything, _>(&client, &selection, &mut store, timing).await;
    };
    let mut leading = leadership.leading();
    // Ends when the elector does.
    while leading.wait_for(|leading| *leading).await.is_ok() {
        tokio::select! {
            () = run::<Anything, _>(&client, &selection, &mut store, timing) => {}
            _ = leading.wait_for(|leading| !*leading) => {}
        }
        store.clear();
    }
}

impl Receiver for K8sCluster {
    fn source(&self) -> Option<Arc<dyn Source>> {
        Some(Arc::clone(&self.cluster) as Arc<dyn Source>)
    }
}

#[async_trait]
impl Source for Cluster {
    fn schedule(&self) -> Schedule {
        self.schedule
    }

    async fn collect(&self, _: &CollectRequest) -> Result<Data, BoxError> {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let expected = self.expected.load(Ordering::Relaxed) + 1024;
        let mut builder = MetricsBuilder::with_capacity(expected);
        for (_, store) in &self.stores {
            store.each(|row| write(&mut builder, &self.chosen, row, now));
        }
        let metrics = builder.finish();
        self.expected.store(metrics.bytes_len(), Ordering::Relaxed);
        Ok(metrics.into())
    }
}

fn write(builder: &mut MetricsBuilder, chosen: &Chosen, row: &Row, now: u64) {
    builder.resource(|resource| {
        for (name, value) in &row.resource {
            resource.attribute_str(name, value);
        }
    });
    builder.scope("k8s_cluster", env!("CARGO_PKG_VERSION"));
    for points in row.points.chunk_by(|a, b| a.metric == b.metric) {
        let metric = points.first().and_then(|one| chosen.wanted.get(one.metric));
        let Some(metric) = metric else {
            continue;
        };
        let begun = builder.metric(&metric.name, &metric.description, metric.unit);
        let mut to = match metric.shape {
            Shape::Gauge => begun.gauge(),
            Shape::UpDown => begun.sum(Temporality::Cumulative, false),
        };
        points.iter().for_each(|point| put(&mut to, point, now));
    }
}

fn put(to: &mut NumberPoints<'_>, point: &Point, now: u64) {
    to.point(|out| {
        if let Some((name, value)) = &point.attribute {
            out.attribute_str(name, value);
        }
        out.time(now);
        match point.value {
            Number::Int(value) => out.int(value),
            Number::Double(value) => out.double(value),
        };
    });
}
