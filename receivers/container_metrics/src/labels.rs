//! What the samples of a container are labelled with.

use std::sync::Arc;

use corten_host::cgroup::Group;
use corten_runtimes::{Container, Known};

use crate::config::Config;

/// Which of the runtime's labels and of the environment are shown.
pub(crate) struct Extra {
    all_labels: bool,
    labels: Vec<String>,
    env: Vec<String>,
}

impl Extra {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            all_labels: config.store_container_labels,
            labels: config.whitelisted_container_labels.to_vec(),
            env: config.env_metadata_whitelist.to_vec(),
        }
    }

    fn of(&self, container: &Container) -> Vec<(String, String)> {
        let labels = container
            .labels
            .iter()
            .filter(|(key, _)| self.all_labels || self.labels.contains(key))
            .map(|(key, value)| (sanitized("container_label_", key), value.clone()));
        let env = container
            .env
            .iter()
            .filter(|(key, _)| {
                self.env
                    .iter()
                    .any(|prefix| !prefix.is_empty() && key.starts_with(prefix))
            })
            .map(|(key, value)| (sanitized("container_env_", key), value.clone()));
        let mut extra: Vec<_> = labels.chain(env).collect();
        // Keys that differ in a character that labels cannot have would give one label twice.
        extra.sort_by(|left, right| left.0.cmp(&right.0));
        extra.dedup_by(|left, right| left.0 == right.0);
        extra
    }
}

fn sanitized(prefix: &str, key: &str) -> String {
    let mut label = prefix.to_owned();
    label.extend(key.chars().map(|character| {
        if character.is_ascii_alphanumeric() || character == '_' {
            character
        } else {
            '_'
        }
    }));
    label
}

/// What is known of the container that a group is of.
pub(crate) struct Labels {
    pub(crate) container: Option<Arc<Container>>,
    /// Namespace and name of the pod that a group without a container is of.
    pod: Option<(String, String)>,
    /// The container's id, where it is its name.
    name: Option<String>,
    extra: Vec<(String, String)>,
}

impl Labels {
    pub(crate) fn of(group: &Group<'_>, known: &Known, extra: &Extra) -> Self {
        let identity = group.identity();
        let container = identity
            .container_id
            .and_then(|id| known.containers.get(id))
            .cloned();
        let pod = match &container {
            Some(_) => None,
            None => identity
                .pod_uid()
                .and_then(|uid| known.pods.get(&uid))
                .map(|pod| (pod.namespace.clone(), pod.name.clone())),
        };
        // containerd's containers are called by their id; Docker's and CRI-O's have names that the
        // path does not tell.
        let name = match identity.runtime {
            None | Some("cri-containerd") => identity.container_id.map(str::to_owned),
            Some(_) => None,
        };
        let extra = container
            .as_ref()
            .map(|container| extra.of(container))
            .unwrap_or_default();
        Self {
            container,
            pod,
            name,
            extra,
        }
    }

    /// The labels of every sample of the container.
    pub(crate) fn base<'a>(&'a self, id: &'a str) -> Vec<(&'a str, &'a str)> {
        let (namespace, pod) = match (&self.container, &self.pod) {
            (Some(container), _) => (container.namespace.as_str(), container.pod.as_str()),
            (None, Some((namespace, name))) => (namespace.as_str(), name.as_str()),
            (None, None) => ("", ""),
        };
        let of = |field: fn(&Container) -> &str| self.container.as_deref().map_or("", field);
        let name = match of(|container| &container.name) {
            "" => self.name.as_deref().unwrap_or_default(),
            name => name,
        };
        let mut base = vec![
            ("container", of(|container| &container.container)),
            ("id", id),
            ("image", of(|container| &container.image)),
            ("name", name),
            ("namespace", namespace),
            ("pod", pod),
        ];
        base.extend(
            self.extra
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str())),
        );
        base
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_labels() {
        let extra = Extra {
            all_labels: false,
            labels: vec!["a.b/c".into()],
            env: vec!["PATH".into()],
        };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let container = Container {
            labels: vec![pair("a.b/c", "1"), pair("d", "2")],
            env: vec![pair("PATH_INFO", "3"), pair("HOME", "4")],
            ..Container::default()
        };
        assert_eq!(
            extra.of(&container),
            [
                pair("container_env_PATH_INFO", "3"),
                pair("container_label_a_b_c", "1")
            ]
        );
    }
}
