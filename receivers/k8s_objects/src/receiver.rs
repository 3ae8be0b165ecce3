//! The receiver's life.

use std::sync::Arc;
use std::time::Duration;

use corten_chronicle::{Chronicle, Scribe, Settings, Watched};
use corten_component::{BoxError, Component, Context, Next, Receiver, async_trait};
use corten_kubernetes::{
    Anything, ApiClient, ApiError, Begin, Changes, Rule, Selection, Surroundings, Timing,
};
use corten_lines::Pauses;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::config::{Config, ErrorMode, Mode, Objects};
use crate::discovery::{self, Place};
use crate::record;

/// Objects per page: they are held in memory whole.
const PAGE: u32 = 100;
/// A kind that is not there is looked for again after this long: its definition may come.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// After any other failure of the look-up.
const AGAIN: Duration = Duration::from_secs(2);

/// Reads objects.
pub(crate) struct K8sObjects {
    config: Config,
    chronicle: Chronicle,
}

impl K8sObjects {
    pub(crate) fn create(cx: Context, config: Config, next: Next) -> Result<Self, BoxError> {
        let settings = Settings {
            storage: config.storage.clone(),
            leader_elector: config.k8s_leader_elector.clone(),
            pauses: Pauses {
                first: Duration::from_secs(1),
                longest: Duration::from_secs(30),
            },
            timing: Timing::default(),
        };
        Ok(Self {
            chronicle: Chronicle::new(cx, next, settings)?,
            config,
        })
    }
}

#[async_trait]
impl Component for K8sObjects {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        let client = Arc::new(ApiClient::new(self.config.api(), Surroundings::of_pod()));
        self.chronicle.start(|scribe| {
            for objects in &self.config.objects {
                let reader = Reader {
                    client: Arc::clone(&client),
                    objects: objects.clone(),
                    errors: self.config.error_mode,
                    everything: self.config.include_initial_state,
                };
                let cx = self.chronicle.context();
                let scribe = scribe.clone();
                cx.tasks().spawn("discovery", async move {
                    tokio::select! {
                        () = reader.begin(&scribe) => {}
                        () = scribe.stopped() => {}
                    }
                });
            }
        })
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        self.chronicle.shutdown().await;
        Ok(())
    }
}

impl Receiver for K8sObjects {}

/// Reads the objects of one kind.
struct Reader {
    client: Arc<ApiClient>,
    objects: Objects,
    errors: ErrorMode,
    everything: bool,
}

impl Reader {
    /// Finds out where the objects are, however long that takes, and begins to read them.
    async fn begin(self, scribe: &Scribe) {
        scribe.leads().await;
        let Objects { name, group, .. } = &self.objects;
        let rule = |place: Option<&Place>| Rule {
            group: place.map_or(group, |place| &place.group).clone(),
            resource: name.clone(),
            verbs: match self.objects.mode {
                Mode::Pull => &["list"],
                Mode::Watch => &["list", "watch"],
            },
        };
        let key = format!("{group}/{name}");
        let mut told = false;
        let place = loop {
            match discovery::find(&self.client, name, group).await {
                Ok(place) => break place,
                Err(error) => {
                    let pause = self.failed(scribe, &key, &error, &rule(None), &mut told);
                    sleep(pause).await;
                }
            }
        };
        scribe.works(&key);
        let rule = rule(Some(&place));
        for collection in place.collections(&self.objects.namespaces) {
            let selection = Selection {
                fields: self.objects.field_selector.clone(),
                labels: self.objects.label_selector.clone(),
                page: PAGE,
                ..Selection::all(&collection)
            };
            match self.objects.mode {
                Mode::Watch => self.watch(scribe, selection, rule.clone()),
                Mode::Pull => self.pull(scribe, selection, rule.clone()),
            }
        }
    }

    /// Says what has to be said, and how long to wait.
    fn failed(
        &self,
        scribe: &Scribe,
        key: &str,
        error: &ApiError,
        rule: &Rule,
        told: &mut bool,
    ) -> Duration {
        if error.status() != Some(404) {
            scribe.fails(key, error, rule);
            return AGAIN;
        }
        match self.errors {
            ErrorMode::Propagate => scribe.fails(key, error, rule),
            ErrorMode::Ignore if !*told => tracing::warn!(%error, "it is looked for again"),
            ErrorMode::Ignore | ErrorMode::Silent => {}
        }
        *told = true;
        LOOK_AGAIN
    }

    fn watch(&self, scribe: &Scribe, selection: Selection, rule: Rule) {
        let Objects {
            name,
            label_selector,
            field_selector,
            resource_version,
            exclude_watch_type,
            ..
        } = self.objects.clone();
        let begin = match resource_version.as_str() {
            "" | "0" if self.everything => Begin::Everything,
            "" | "0" => Begin::Now,
            version => Begin::Behind(version.to_owned()),
        };
        let watched = Watched {
            key: format!("{}?{label_selector}&{field_selector}", selection.path),
            selection,
            begin,
            rule,
            write: Box::new(move |round| record::changed(&name, &round, &exclude_watch_type)),
        };
        scribe.watch::<Anything>(&self.client, watched);
    }

    fn pull(&self, scribe: &Scribe, selection: Selection, rule: Rule) {
        let (client, name) = (Arc::clone(&self.client), self.objects.name.clone());
        let every = self.objects.interval.get();
        scribe.spawn("pull", move |scribe| {
            let (client, name) = (Arc::clone(&client), name.clone());
            let (selection, rule) = (selection.clone(), rule.clone());
            async move {
                let mut ticks = interval(every);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    ticks.tick().await;
                    pull_once(&scribe, &client, &name, &selection, &rule).await;
                }
            }
        });
    }
}

/// Lists everything once, tried again until the list is complete.
async fn pull_once(
    scribe: &Scribe,
    client: &Arc<ApiClient>,
    name: &str,
    selection: &Selection,
    rule: &Rule,
) {
    let mut pages = Changes::<Anything>::new(
        Arc::clone(client),
        selection.clone(),
        Timing::default(),
        Begin::Everything,
    );
    loop {
        match pages.next().await {
            Ok(round) => {
                scribe.works(&selection.path);
                let last = round.version.is_some();
                if let Some(logs) = record::listed(name, &round) {
                    scribe.tell(logs).await;
                }
                if last {
                    return;
                }
            }
            Err(error) => scribe.fails(&selection.path, &error, rule),
        }
    }
}
