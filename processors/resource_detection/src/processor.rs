//! The life and the work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use corten_component::{
    Batch, BoxError, Component, Consumer, Context, Processor, Refused, async_trait,
};
use corten_pdata::edit::AttributeEdits;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, detector};
use crate::detectors::{Detectors, Found};

/// The first pause before a detector that failed is asked again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

pub(crate) struct ResourceDetection {
    cx: Context,
    config: Config,
    next: Arc<dyn Consumer>,
    detectors: Arc<Detectors>,
    state: Arc<State>,
    stop: CancellationToken,
}

/// What was found so far.
struct State {
    /// By the detectors' places in the configuration.
    found: Mutex<BTreeMap<usize, Found>>,
    replace: bool,
    edits: RwLock<Arc<AttributeEdits>>,
}

impl State {
    /// Takes what a detector found. For each attribute the first detector that has it wins.
    fn take(&self, place: usize, found: Found) {
        let mut all = self.found.lock();
        all.insert(place, found);
        let mut merged = Found::new();
        for found in all.values() {
            for (name, value) in found {
                merged.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        let edits = merged
            .into_iter()
            .fold(AttributeEdits::new(), |edits, (name, value)| {
                if self.replace {
                    edits.upsert(name, value)
                } else {
                    edits.insert(name, value)
                }
            });
        *self.edits.write() = Arc::new(edits);
    }
}

impl ResourceDetection {
    pub(crate) fn create(
        cx: Context,
        config: Config,
        next: Arc<dyn Consumer>,
    ) -> Result<Self, BoxError> {
        Ok(Self {
            detectors: Arc::new(Detectors::new(&cx, &config)?),
            state: Arc::new(State {
                found: Mutex::default(),
                replace: config.replace,
                edits: RwLock::default(),
            }),
            stop: CancellationToken::new(),
            cx,
            config,
            next,
        })
    }
}

/// Asks one detector until it answers, and again where the configuration wants that. Says in `asked` that it has answered for the first
/// time, in whichever way.
async fn ask(
    place: usize,
    name: String,
    detectors: Arc<Detectors>,
    state: Arc<State>,
    refresh: Duration,
    asked: watch::Sender<usize>,
) {
    let mut asked = Some(asked);
    let mut pause = PAUSES.0;
    loop {
        let answer = detectors.detect(&name).await;
        let next = match answer {
            Ok(found) => {
                state.take(place, found);
                pause = PAUSES.0;
                (!refresh.is_zero()).then_some(refresh)
            }
            Err(error) => {
                if asked.is_some() {
                    tracing::warn!(detector = name, %error, "detected nothing; telemetry goes on without, and it is asked again");
                }
                let this = pause;
                pause = (pause * 2).min(PAUSES.1);
                Some(this)
            }
        };
        if let Some(asked) = asked.take() {
            asked.send_modify(|count| *count += 1);
        }
        match next {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return,
        }
    }
}

#[async_trait]
impl Component for ResourceDetection {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        let (answered, mut count) = watch::channel(0);
        for (place, name) in self.config.detectors.iter().enumerate() {
            let asking = ask(
                place,
                detector(name).to_owned(),
                Arc::clone(&self.detectors),
                Arc::clone(&self.state),
                self.config.refresh_interval.get(),
                answered.clone(),
            );
            let stop = self.stop.clone();
            self.cx.tasks().spawn("detector", async move {
                tokio::select! {
                    () = asking => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        let all = self.config.detectors.len();
        let patience = self.config.timeout.get();
        let everybody = count.wait_for(|count| *count >= all);
        if tokio::time::timeout(patience, everybody).await.is_err() {
            tracing::warn!(
                ?patience,
                "not every detector has answered: telemetry goes on with what is known"
            );
        }
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        self.stop.cancel();
        Ok(())
    }
}

impl Processor for ResourceDetection {}

#[async_trait]
impl Consumer for ResourceDetection {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        let edits = Arc::clone(&self.state.edits.read());
        if edits.is_empty() {
            return self.next.consume(batch).await;
        }
        let edited = batch.data.edit_resource_attributes(&edits);
        self.next.consume(batch.with_data(edited)).await
    }
}
