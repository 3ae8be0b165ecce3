//! What is known of containers and pods.

use std::collections::HashMap;
use std::sync::Arc;

/// One container, or the sandbox of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// What the runtime calls it: Docker's name, CRI-O's long name, the id for containerd.
    pub name: String,
    /// The image it was made of, as somebody wrote it: `registry.k8s.io/pause:3.9`.
    pub image: String,
    /// The Kubernetes namespace; empty outside Kubernetes.
    pub namespace: String,
    /// The pod's name; empty outside Kubernetes.
    pub pod: String,
    /// The container's name in the pod; of a sandbox empty, or `POD` where the runtime says so.
    pub container: String,
    /// The runtime's labels, sorted by key.
    pub labels: Vec<(String, String)>,
    /// Environment variables, where the runtime tells them.
    pub env: Vec<(String, String)>,
    /// The first process, as the host numbers it.
    pub pid: Option<u32>,
    /// When it was made, in seconds since 1970.
    pub created: Option<u64>,
    /// Docker's health check: `healthy`, `unhealthy`, `starting`; empty without one.
    pub health: String,
    /// Whether the network namespace is its own: a pod's sandbox, or a container of Docker's that
    /// shares no other's.
    pub has_network: bool,
}

/// One pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// All that is known at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Containers and sandboxes by their ids: 64 hexadecimal digits.
    pub containers: HashMap<String, Arc<Container>>,
    /// Pods by their uids, with `-`. Those of static pods come under both of their uids.
    pub pods: HashMap<String, Pod>,
}

/// The labels with which the kubelet tells runtimes what they run.
pub(crate) const POD_NAME: &str = "io.kubernetes.pod.name";
pub(crate) const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
pub(crate) const POD_UID: &str = "io.kubernetes.pod.uid";
pub(crate) const CONTAINER_NAME: &str = "io.kubernetes.container.name";

impl Container {
    /// The value of a label; empty without it.
    #[must_use]
    pub fn label(&self, key: &str) -> &str {
        self.labels
            .binary_search_by(|(candidate, _)| candidate.as_str().cmp(key))
            .ok()
            .and_then(|at| self.labels.get(at))
            .map_or("", |(_, value)| value)
    }

    /// Takes the Kubernetes names from the labels.
    pub(crate) fn named_by_labels(mut self) -> Self {
        self.labels.sort_unstable();
        let [namespace, pod, container] =
            [POD_NAMESPACE, POD_NAME, CONTAINER_NAME].map(|key| self.label(key).to_owned());
        self.namespace = namespace;
        self.pod = pod;
        self.container = container;
        self
    }
}

impl Known {
    pub(crate) fn insert(&mut self, id: &str, container: Container) {
        let uid = container.label(POD_UID);
        if !uid.is_empty() && !container.pod.is_empty() && !self.pods.contains_key(uid) {
            let pod = Pod {
                namespace: container.namespace.clone(),
                name: container.pod.clone(),
            };
            self.pods.insert(uid.to_owned(), pod);
        }
        self.containers.insert(id.to_owned(), Arc::new(container));
    }
}
