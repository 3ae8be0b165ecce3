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

use crate::config::Config;
use crate::detectors::{Detector, Detectors, Found, detector};

/// The first pause before a detector that failed is asked again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

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

    /// Who is asked, in the configuration's order, each once.
    fn asked(&self) -> Vec<&'static Detector> {
        let mut all: Vec<&'static Detector> = Vec::new();
        for detector in self
            .config
            .detectors
            .iter()
            .filter_map(|name| detector(name))
        {
            if all.iter().all(|other| other.name != detector.name) {
                all.push(detector);
            }
        }
        all
    }
}

/// What a detector has done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Asking,
    /// It has answered, and found nothing.
    Failed,
    Found,
}

/// One detector, and who waits for it.
struct Asking {
    /// Its place in the configuration.
    place: usize,
    detector: &'static Detector,
    detectors: Arc<Detectors>,
    state: Arc<State>,
    refresh: Duration,
    progress: watch::Sender<Vec<Progress>>,
}

impl Asking {
    /// Asks until there is an answer, and again where the configuration wants that.
    async fn run(self) {
        let (first, longest) = PAUSES;
        let mut pause = first;
        loop {
            let next = match self.detectors.detect(self.detector).await {
                Ok(found) => {
                    self.state.take(self.place, found);
                    self.say(Progress::Found);
                    pause = first;
                    (!self.refresh.is_zero()).then_some(self.refresh)
                }
                Err(error) => {
                    if self.say(Progress::Failed) {
                        tracing::warn!(detector = self.detector.name, %error, "detected nothing; telemetry goes on without, and it is asked again");
                    }
                    let this = pause;
                    pause = (pause * 2).min(longest);
                    Some(this)
                }
            };
            match next {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return,
            }
        }
    }

    /// Returns whether it is its first word. What was found once stays so.
    fn say(&self, word: Progress) -> bool {
        let mut first = false;
        self.progress.send_if_modified(|all| {
            let Some(own) = all.get_mut(self.place) else {
                return false;
            };
            first = *own == Progress::Asking;
            let news = *own != word && *own != Progress::Found;
            if news {
                *own = word;
            }
            news
        });
        first
    }
}

#[async_trait]
impl Component for ResourceDetection {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        let asked = self.asked();
        let (progress, mut answers) = watch::channel(vec![Progress::Asking; asked.len()]);
        for (place, detector) in asked.iter().copied().enumerate() {
            let asking = Asking {
                place,
                detector,
                detectors: Arc::clone(&self.detectors),
                state: Arc::clone(&self.state),
                refresh: self.config.refresh_interval.get(),
                progress: progress.clone(),
            };
            let stop = self.stop.clone();
            self.cx.tasks().spawn("detector", async move {
                tokio::select! {
                    () = asking.run() => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        let patience = self.config.timeout.get();
        // Who is insisted on is waited for until it has found something, the others until they have said anything.
        let insisted: Vec<bool> = asked
            .iter()
            .map(|detector| self.config.insists_on(detector.name))
            .collect();
        let is_done = |(word, insisted): (&Progress, &bool)| match word {
            Progress::Asking => false,
            Progress::Failed => !insisted,
            Progress::Found => true,
        };
        let everybody = answers.wait_for(|words| words.iter().zip(&insisted).all(is_done));
        let in_time = tokio::time::timeout(patience, everybody).await.is_ok();
        if !in_time {
            let words = answers.borrow().clone();
            let missing: Vec<&str> = asked
                .iter()
                .zip(words.iter().zip(&insisted))
                .filter(|(_, (word, insisted))| **insisted && **word != Progress::Found)
                .map(|(detector, _)| detector.name)
                .collect();
            if !missing.is_empty() {
                self.stop.cancel();
                return Err(format!(
                    "{} found nothing within {patience:?}, and fail_on_missing_metadata is set: see the warnings above, or give it a longer timeout",
                    missing.join(", ")
                )
                .into());
            }
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
