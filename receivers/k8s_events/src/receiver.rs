//! The receiver's life.

use std::sync::Arc;
use std::time::Duration;

use corten_chronicle::{Chronicle, Settings, Watched};
use corten_component::{BoxError, Component, Context, Next, Receiver, async_trait};
use corten_kubernetes::{ApiClient, Begin, Rule, Selection, Surroundings, Timing};
use corten_lines::Pauses;

use crate::config::Config;
use crate::event;

/// Reads the cluster's events.
pub(crate) struct K8sEvents {
    config: Config,
    chronicle: Chronicle,
}

impl K8sEvents {
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
impl Component for K8sEvents {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        let client = Arc::new(ApiClient::new(self.config.api(), Surroundings::of_pod()));
        self.chronicle.start(|scribe| {
            for collection in self.config.collections() {
                let watched = Watched {
                    selection: Selection::all(&collection),
                    key: collection,
                    begin: Begin::Now,
                    rule: Rule::core("events", &["list", "watch"]),
                    write: Box::new(|round| event::write(&round)),
                };
                scribe.watch(&client, watched);
            }
        })
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        self.chronicle.shutdown().await;
        Ok(())
    }
}

impl Receiver for K8sEvents {}
