//! Which pods there are, by everything that telemetry may know of one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::time::Instant;

use crate::object::{ContainerStatus, Pod};
use crate::watch::Keep;

/// What the index may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most pods; more are not taken in, and counted.
    pub pods: usize,
    /// How long a deleted pod is still found: its last lines come after it.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pods: 100_000,
            grace: Duration::from_secs(120),
        }
    }
}

struct Entry {
    pod: Arc<Pod>,
    /// Which part's list named it, and in which round.
    part: Arc<str>,
    round: u64,
    gone: Option<Instant>,
}

#[derive(Default)]
struct Known {
    by_uid: HashMap<String, Entry>,
    by_ip: HashMap<IpAddr, String>,
    by_name: HashMap<String, String>,
    by_container: HashMap<String, String>,
    /// Static pods by the hash of their manifest, which the kubelet names their folders after.
    by_manifest: HashMap<String, String>,
    /// Whether each part was listed completely at least once.
    listed: HashMap<Arc<str>, bool>,
    refused: u64,
}

/// The pods. Cheap to clone: all clones are one index. [`Keep`] fills it, lookups never wait for the
/// API server. One watch fills all of it, or several a part each ([`part`](Self::part)).
#[derive(Clone)]
pub struct Pods {
    limits: Limits,
    known: Arc<RwLock<Known>>,
    /// What this clone fills.
    part: Arc<str>,
    /// How often that was listed.
    round: u64,
}

impl Pods {
    /// An index of nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            known: Arc::default(),
            part: Arc::from(""),
            round: 0,
        }
    }

    /// The same index, filled by one of several watches: a list of its pods says nothing of the others'.
    #[must_use]
    pub fn part(&self, name: &str) -> Self {
        let part: Arc<str> = Arc::from(name);
        let mut known = self.known.write();
        known.listed.entry(Arc::clone(&part)).or_insert(false);
        drop(known);
        Self {
            part,
            round: 0,
            ..self.clone()
        }
    }

    /// Whether the pods, of every part, were listed completely at least once.
    #[must_use]
    pub fn complete(&self) -> bool {
        let known = self.known.read();
        !known.listed.is_empty() && known.listed.values().all(|listed| *listed)
    }

    /// How many pods are held, the deleted ones of the grace time among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.read().by_uid.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How often a pod was not taken in because there were too many.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.known.read().refused
    }

    /// The pod of this uid. A static pod is also found by what the kubelet takes for its uid: the hash of its manifest.
    #[must_use]
    pub fn by_uid(&self, uid: &str) -> Option<Arc<Pod>> {
        let known = self.known.read();
        known.get(uid, self.limits.grace).or_else(|| {
            let uid = known.by_manifest.get(uid)?;
            known.get(uid, self.limits.grace)
        })
    }

    /// The pod that has this address for itself.
    #[must_use]
    pub fn by_ip(&self, ip: IpAddr) -> Option<Arc<Pod>> {
        let known = self.known.read();
        known.get(known.by_ip.get(&ip)?, self.limits.grace)
    }

    /// The pod of this name.
    #[must_use]
    pub fn by_name(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        let known = self.known.read();
        known.get(
            known.by_name.get(&full(namespace, name))?,
            self.limits.grace,
        )
    }

    /// The pod that has the container of this id, written without its runtime, or had it before the container's last restart.
    #[must_use]
    pub fn by_container(&self, id: &str) -> Option<Arc<Pod>> {
        let known = self.known.read();
        known.get(known.by_container.get(id)?, self.limits.grace)
    }
}

/// The annotation with the hash of a static pod's manifest.
const MANIFEST: &str = "kubernetes.io/config.hash";

/// Whether it still has its address, and since when it may have it: RFC 3339 in UTC, so what is earlier is smaller.
fn standing(pod: &Pod, gone: bool) -> (bool, &str) {
    (!gone && !pod.has_ended(), &pod.status.start_time)
}

fn full(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

impl Known {
    fn get(&self, uid: &str, grace: Duration) -> Option<Arc<Pod>> {
        let entry = self.by_uid.get(uid)?;
        let past = entry.gone.is_some_and(|since| since.elapsed() > grace);
        (!past).then(|| Arc::clone(&entry.pod))
    }

    fn put(&mut self, pod: Pod, part: &Arc<str>, round: u64, limits: Limits) {
        let uid = pod.metadata.uid.clone();
        if uid.is_empty() {
            return;
        }
        self.unlink(&uid);
        if !self.by_uid.contains_key(&uid) && self.by_uid.len() >= limits.pods {
            self.refused += 1;
            return;
        }
        for ip in pod.addresses() {
            if self.owns(&pod, ip) {
                self.by_ip.insert(ip, uid.clone());
            }
        }
        // Whoever comes last owns a name that was used before.
        let name = full(&pod.metadata.namespace, &pod.metadata.name);
        self.by_name.insert(name, uid.clone());
        for id in pod.statuses().flat_map(ContainerStatus::ids) {
            self.by_container.insert(id.to_owned(), uid.clone());
        }
        if let Some(hash) = pod.metadata.annotations.get(MANIFEST) {
            self.by_manifest.insert(hash.clone(), uid.clone());
        }
        let entry = Entry {
            pod: Arc::new(pod),
            part: Arc::clone(part),
            round,
            gone: None,
        };
        self.by_uid.insert(uid, entry);
    }

    /// Whether an address is rather this pod's than that of who has it so far. A list comes in the order of names and an old pod may change
    /// late, so neither says who came last: a pod that has ended or is deleted has no address any more, and of two others the younger has it.
    fn owns(&self, pod: &Pod, ip: IpAddr) -> bool {
        let Some(other) = self.by_ip.get(&ip).and_then(|uid| self.by_uid.get(uid)) else {
            return true;
        };
        standing(pod, false) >= standing(&other.pod, other.gone.is_some())
    }

    /// Takes a pod out of the other indexes, where they still mean this one.
    fn unlink(&mut self, uid: &str) {
        let Some(pod) = self.by_uid.get(uid).map(|entry| Arc::clone(&entry.pod)) else {
            return;
        };
        for ip in pod.addresses() {
            if self.by_ip.get(&ip).is_some_and(|owner| owner == uid) {
                self.by_ip.remove(&ip);
            }
        }
        let name = full(&pod.metadata.namespace, &pod.metadata.name);
        if self.by_name.get(&name).is_some_and(|owner| owner == uid) {
            self.by_name.remove(&name);
        }
        for id in pod.statuses().flat_map(ContainerStatus::ids) {
            if self.by_container.get(id).is_some_and(|owner| owner == uid) {
                self.by_container.remove(id);
            }
        }
        if let Some(hash) = pod.metadata.annotations.get(MANIFEST)
            && self.by_manifest.get(hash).is_some_and(|owner| owner == uid)
        {
            self.by_manifest.remove(hash);
        }
    }

    fn forget_expired(&mut self, grace: Duration) {
        let past: Vec<String> = self
            .by_uid
            .iter()
            .filter(|(_, entry)| entry.gone.is_some_and(|since| since.elapsed() > grace))
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in past {
            self.unlink(&uid);
            self.by_uid.remove(&uid);
        }
    }
}

impl Keep<Pod> for Pods {
    fn listing(&mut self) {
        self.round += 1;
    }

    fn put(&mut self, pod: Pod) {
        let mut known = self.known.write();
        known.put(pod, &self.part, self.round, self.limits);
    }

    fn listed(&mut self) {
        let mut known = self.known.write();
        known.listed.insert(Arc::clone(&self.part), true);
        let now = Instant::now();
        for entry in known.by_uid.values_mut() {
            if entry.part == self.part && entry.round != self.round {
                entry.gone.get_or_insert(now);
            }
        }
        known.forget_expired(self.limits.grace);
    }

    fn delete(&mut self, pod: Pod) {
        let mut known = self.known.write();
        if let Some(entry) = known.by_uid.get_mut(&pod.metadata.uid) {
            entry.gone.get_or_insert(Instant::now());
        }
        known.forget_expired(self.limits.grace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(uid: &str, ip: &str) -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "p", "namespace": "n", "uid": uid, "labels": null},
            "status": {"podIP": ip, "containerStatuses": [{"containerID": format!("containerd://c{uid}")}]},
        }))
        .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_deleted_pod_is_found_for_its_grace_time_and_then_let_go() {
        let mut pods = Pods::new(Limits::default());
        pods.put(pod("1", "10.0.0.1"));
        pods.delete(pod("1", "10.0.0.1"));
        tokio::time::advance(Duration::from_secs(119)).await;
        assert!(pods.by_uid("1").is_some() && pods.by_container("c1").is_some());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(pods.by_uid("1").is_none());
        pods.listing();
        pods.listed();
        assert!(pods.is_empty() && pods.known.read().by_ip.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_static_pod_is_found_by_the_hash_of_its_manifest() {
        let mut pods = Pods::new(Limits::default());
        let mut pod = pod("api-server-uid", "");
        pod.metadata
            .annotations
            .insert(MANIFEST.to_owned(), "0123abcd".to_owned());
        pods.put(pod.clone());
        assert_eq!(
            pods.by_uid("0123abcd").unwrap().metadata.uid,
            "api-server-uid"
        );
        pods.delete(pod);
        tokio::time::advance(Duration::from_secs(121)).await;
        pods.listing();
        pods.listed();
        assert!(pods.by_uid("0123abcd").is_none());
        assert!(pods.known.read().by_manifest.is_empty());
    }

    #[test]
    fn containers_of_every_kind_are_known_and_those_before_a_restart() {
        let mut pods = Pods::new(Limits::default());
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "1"},
            "status": {
                "containerStatuses": [{"containerID": "containerd://main-2", "lastState": {"terminated": {"containerID": "containerd://main-1"}}}],
                "initContainerStatuses": [{"containerID": "containerd://init", "lastState": {"terminated": null}}],
                "ephemeralContainerStatuses": [{"containerID": "containerd://debug", "lastState": null}, {"containerID": ""}],
            },
        }))
        .unwrap();
        pods.put(pod.clone());
        for id in ["main-1", "main-2", "init", "debug"] {
            assert!(pods.by_container(id).is_some(), "{id}");
        }
        assert!(pods.by_container("").is_none());
        let empty = Pod {
            status: Default::default(),
            ..pod
        };
        pods.put(empty);
        assert!(pods.known.read().by_container.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_belongs_to_who_came_last_even_when_the_first_expires() {
        let mut pods = Pods::new(Limits::default());
        pods.put(pod("1", "10.0.0.1"));
        pods.delete(pod("1", "10.0.0.1"));
        pods.put(pod("2", "10.0.0.1"));
        tokio::time::advance(Duration::from_secs(121)).await;
        pods.delete(pod("3", ""));
        let ip = "10.0.0.1".parse().unwrap();
        assert_eq!(pods.by_ip(ip).unwrap().metadata.uid, "2");
        assert_eq!(pods.by_name("n", "p").unwrap().metadata.uid, "2");
        assert_eq!(pods.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_of_one_part_says_nothing_of_the_others() {
        let pods = Pods::new(Limits::default());
        let (mut one, mut two) = (pods.part("one"), pods.part("two"));
        one.listing();
        two.listing();
        one.put(pod("1", ""));
        two.put(pod("2", ""));
        one.listed();
        assert!(!pods.complete());
        two.listed();
        assert!(pods.complete());
        // The same again without a pod each, one list within the other.
        two.listing();
        one.listing();
        one.listed();
        tokio::time::advance(Duration::from_secs(121)).await;
        assert!(pods.by_uid("1").is_none() && pods.by_uid("2").is_some());
        two.listed();
        tokio::time::advance(Duration::from_secs(121)).await;
        assert!(pods.by_uid("2").is_none());
    }

    #[test]
    fn an_address_is_that_of_the_younger_pod_and_of_none_that_has_ended() {
        let ip = "10.0.0.1".parse().unwrap();
        let pod = |uid: &str, start: &str, phase: &str| -> Pod {
            serde_json::from_value(serde_json::json!({
                "metadata": {"name": uid, "uid": uid},
                "status": {"podIP": "10.0.0.1", "startTime": start, "phase": phase},
            }))
            .unwrap()
        };
        let owner = |all: &[Pod]| {
            let mut pods = Pods::new(Limits::default());
            for pod in all {
                pods.put(pod.clone());
            }
            pods.by_ip(ip).unwrap().metadata.uid.clone()
        };
        let old = pod("old", "2026-11-23T10:00:00Z", "Running");
        let ended = pod("ended", "2026-11-23T12:00:00Z", "Succeeded");
        let young = pod("young", "2026-11-23T11:00:00Z", "Running");
        // Whatever the order, and whoever changes last.
        for all in [
            [&old, &ended, &young],
            [&young, &ended, &old],
            [&ended, &young, &old],
            [&young, &old, &ended],
        ] {
            assert_eq!(owner(&all.map(Pod::clone)), "young");
        }
        // Before it is told, nobody else has it.
        assert_eq!(owner(std::slice::from_ref(&ended)), "ended");
        let mut pods = Pods::new(Limits::default());
        pods.put(young.clone());
        pods.delete(young);
        pods.put(old);
        assert_eq!(pods.by_ip(ip).unwrap().metadata.uid, "old");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_complete_list_does_not_name_is_gone_and_a_broken_one_takes_nothing() {
        let mut pods = Pods::new(Limits {
            pods: 2,
            grace: Duration::ZERO,
        });
        pods.listing();
        pods.put(pod("1", "10.0.0.1"));
        pods.listed();
        pods.listing();
        assert!(pods.by_uid("1").is_some(), "a list that never completed");
        pods.listing();
        pods.put(pod("2", "10.0.0.2"));
        pods.put(pod("3", "10.0.0.3"));
        assert_eq!((pods.refused(), pods.len()), (1, 2));
        pods.listed();
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(pods.by_uid("1").is_none() && pods.by_uid("2").is_some());
    }
}
