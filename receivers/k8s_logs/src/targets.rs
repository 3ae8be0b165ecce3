//! Which containers there are, from a watch of pods.
//!
//! Shape: Kubernetes API reference, `core/v1`, `Pod`. Any field may be missing or `null`.

use std::collections::HashMap;

use corten_kubernetes::Keep;
use corten_kubernetes::object::{Metadata, Object};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;

use crate::config::Filter;

/// A pod, as far as its logs go.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct LogPod {
    metadata: Metadata,
    status: Option<Status>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    container_statuses: Option<Vec<ContainerStatus>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
    ephemeral_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    restart_count: Option<u32>,
    #[serde(rename = "containerID")]
    container_id: Option<String>,
    state: Option<State>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct State {
    running: Option<Value>,
}

impl Object for LogPod {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

/// A container of a pod: what it is in all its lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) uid: String,
    pub(crate) container: String,
    /// Whether it was there when the receiver first looked.
    pub(crate) old: bool,
}

impl Target {
    /// What its position is kept under.
    pub(crate) fn key(&self) -> String {
        key(&self.uid, &self.container)
    }
}

fn key(uid: &str, container: &str) -> String {
    format!("{uid}/{container}")
}

/// A container as it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Life {
    /// How often it was started again.
    pub(crate) restart: u32,
    /// Whether it was started at all.
    pub(crate) begun: bool,
    /// Whether it runs. What does not has a log that does not grow.
    pub(crate) running: bool,
}

/// Begins to read a container. The receiver of its life is closed when its pod is gone.
type Begin = Box<dyn FnMut(Target, watch::Receiver<Life>) + Send>;
/// Told which logs there are when a list is complete: whether a key is one.
type Listed = Box<dyn FnMut(&dyn Fn(&str) -> bool) + Send>;

struct Entry {
    round: u64,
    lives: HashMap<String, watch::Sender<Life>>,
}

/// The containers that are read.
pub(crate) struct Targets {
    namespaces: Filter,
    containers: Filter,
    begin: Begin,
    complete: Listed,
    pods: HashMap<String, Entry>,
    round: u64,
    listed: bool,
}

impl Targets {
    pub(crate) fn new(
        namespaces: Filter,
        containers: Filter,
        begin: impl FnMut(Target, watch::Receiver<Life>) + Send + 'static,
        complete: impl FnMut(&dyn Fn(&str) -> bool) + Send + 'static,
    ) -> Self {
        Self {
            namespaces,
            containers,
            begin: Box::new(begin),
            complete: Box::new(complete),
            pods: HashMap::new(),
            round: 0,
            listed: false,
        }
    }
}

impl Keep<LogPod> for Targets {
    fn listing(&mut self) {
        self.round += 1;
    }

    fn put(&mut self, pod: LogPod) {
        let Metadata {
            name,
            namespace,
            uid,
            ..
        } = pod.metadata;
        if uid.is_empty() || !self.namespaces.lets_in(&namespace) {
            return;
        }
        let round = self.round;
        let entry = self.pods.entry(uid.clone()).or_insert_with(|| Entry {
            round,
            lives: HashMap::new(),
        });
        entry.round = round;
        let status = pod.status.unwrap_or_default();
        let all = [
            status.container_statuses,
            status.init_container_statuses,
            status.ephemeral_container_statuses,
        ];
        for status in all.into_iter().flatten().flatten() {
            if !self.containers.lets_in(&status.name) {
                continue;
            }
            let life = Life {
                restart: status.restart_count.unwrap_or(0),
                begun: status.container_id.is_some_and(|id| !id.is_empty()),
                running: status.state.is_some_and(|state| state.running.is_some()),
            };
            if let Some(sender) = entry.lives.get(&status.name) {
                sender.send_if_modified(|before| std::mem::replace(before, life) != life);
                continue;
            }
            let (sender, receiver) = watch::channel(life);
            entry.lives.insert(status.name.clone(), sender);
            let target = Target {
                namespace: namespace.clone(),
                pod: name.clone(),
                uid: uid.clone(),
                container: status.name,
                old: !self.listed,
            };
            (self.begin)(target, receiver);
        }
    }

    fn listed(&mut self) {
        self.listed = true;
        let round = self.round;
        self.pods.retain(|_, entry| entry.round == round);
        let pods = &self.pods;
        (self.complete)(&|key: &str| {
            let found = key.split_once('/');
            found.is_some_and(|(uid, container)| {
                let entry = pods.get(uid);
                entry.is_some_and(|entry| entry.lives.contains_key(container))
            })
        });
    }

    fn delete(&mut self, pod: LogPod) {
        self.pods.remove(&pod.metadata.uid);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::config::Names;

    type Begun = Arc<Mutex<Vec<(Target, watch::Receiver<Life>)>>>;

    fn targets() -> (Targets, Begun) {
        let begun = Begun::default();
        let into = Arc::clone(&begun);
        let all = Names::default();
        let targets = Targets::new(
            Filter::new(&all),
            Filter::new(&Names {
                exclude: vec!["istio-*".into()],
                ..Names::default()
            }),
            move |target, life| into.lock().push((target, life)),
            |_| {},
        );
        (targets, begun)
    }

    fn pod(uid: &str, restart: u32, running: bool) -> LogPod {
        let state = if running {
            json!({"running": {}})
        } else {
            json!({"waiting": {}})
        };
        serde_json::from_value(json!({
            "metadata": {"name": uid, "namespace": "n", "uid": uid},
            "status": {"containerStatuses": [
                {"name": "app", "restartCount": restart, "containerID": "containerd://x", "state": state},
                {"name": "istio-proxy"}],
              "initContainerStatuses": null},
        }))
        .unwrap()
    }

    #[test]
    fn a_container_is_begun_once_and_hears_of_its_lives_and_its_end() {
        let (mut targets, begun) = targets();
        targets.listing();
        targets.put(pod("a", 0, true));
        targets.put(pod("b", 0, true));
        targets.listed();
        targets.put(pod("a", 1, false));
        targets.put(pod("c", 0, true));
        let begun = begun.lock();
        assert_eq!(begun.len(), 3);
        assert!(begun[0].0.old && !begun[2].0.old);
        let life = *begun[0].1.borrow();
        assert_eq!((life.restart, life.running, life.begun), (1, false, true));
        targets.delete(pod("c", 0, true));
        assert!(begun[2].1.has_changed().is_err(), "gone");
        targets.listing();
        targets.put(pod("a", 1, true));
        assert!(begun[1].1.has_changed().is_ok(), "the list is not complete");
        targets.listed();
        assert!(begun[1].1.has_changed().is_err());
        assert!(begun[0].1.has_changed().is_ok());
    }

    proptest! {
        #[test]
        fn any_pod_is_taken_or_refused(status in "[\\[\\]{}\":,a-z0-9]{0,60}") {
            let text = format!(r#"{{"metadata":{{"uid":"u"}},"status":{status}}}"#);
            if let Ok(pod) = serde_json::from_str::<LogPod>(&text) {
                targets().0.put(pod);
            }
        }
    }
}
