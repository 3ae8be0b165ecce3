//! What users set: the Collector's keys.

use std::path::PathBuf;

use corten_config::types::{ComponentId, Duration};
use corten_config::{Check, Checker};
use corten_kubernetes::{ApiConfig, AuthType, ChangeKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `k8s_objects` receiver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Who Corten is to the API server: `serviceAccount`, `kubeConfig` or `none`.
    pub(crate) auth_type: AuthType,
    /// The kubeconfig file for `kubeConfig`. Without it, `KUBECONFIG` or `~/.kube/config`.
    pub(crate) kubeconfig_path: Option<PathBuf>,
    /// The context of the kubeconfig. Without it, the current one.
    pub(crate) context: Option<String>,
    /// Which objects, and how they are read.
    pub(crate) objects: Vec<Objects>,
    /// What a kind that the API server does not have means: `propagate`, the receiver is not healthy; `ignore`, it is said
    /// once; `silent`, nothing. It is asked for again in any case.
    pub(crate) error_mode: ErrorMode,
    /// Whether a watch begins with what there is.
    pub(crate) include_initial_state: bool,
    /// The extension that says which of many agents reads, such as `k8s_leader_elector`.
    pub(crate) k8s_leader_elector: Option<ComponentId>,
    /// The extension that keeps how far changes were delivered, such as `file_storage`. Without one every start begins with
    /// what comes.
    pub(crate) storage: Option<ComponentId>,
}

/// What a kind that is not there means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorMode {
    /// The receiver is not healthy.
    #[default]
    Propagate,
    /// It is said once.
    Ignore,
    /// Nothing.
    Silent,
}

/// Objects of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Objects {
    /// The resource, in the plural: `pods`, `deployments`.
    pub(crate) name: String,
    /// The group, where the name is in several: `apps`, `events.k8s.io`. Without it the core is looked at first.
    pub(crate) group: String,
    /// `pull`, a list every `interval`; or `watch`, every change.
    pub(crate) mode: Mode,
    /// Only objects with these labels: `app=web,tier!=test`.
    pub(crate) label_selector: String,
    /// Only objects with these fields: `status.phase=Running`.
    pub(crate) field_selector: String,
    /// How often a list is pulled.
    pub(crate) interval: Duration,
    /// Where a watch begins; without it, with what comes.
    pub(crate) resource_version: String,
    /// Only these namespaces; all when empty.
    pub(crate) namespaces: Vec<String>,
    /// Changes that a watch leaves out: `ADDED`, `MODIFIED`, `DELETED`.
    pub(crate) exclude_watch_type: Vec<WatchType>,
}

impl Default for Objects {
    fn default() -> Self {
        Self {
            name: String::new(),
            group: String::new(),
            mode: Mode::default(),
            label_selector: String::new(),
            field_selector: String::new(),
            interval: Duration::from_secs(3600),
            resource_version: String::new(),
            namespaces: Vec::new(),
            exclude_watch_type: Vec::new(),
        }
    }
}

/// How objects are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// All of them, every `interval`.
    #[default]
    Pull,
    /// Every change.
    Watch,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum WatchType {
    /// It was made.
    Added,
    /// It was changed.
    Modified,
    /// It was deleted.
    Deleted,
    /// Accepted for the Collector's sake; never told.
    Bookmark,
    /// Accepted for the Collector's sake; never told.
    Error,
}

impl WatchType {
    pub(crate) fn is(self, kind: ChangeKind) -> bool {
        match kind {
            ChangeKind::Listed | ChangeKind::Added => self == Self::Added,
            ChangeKind::Modified => self == Self::Modified,
            ChangeKind::Deleted => self == Self::Deleted,
        }
    }
}

impl Config {
    pub(crate) fn api(&self) -> ApiConfig {
        ApiConfig {
            auth_type: self.auth_type,
            kubeconfig_path: self.kubeconfig_path.clone(),
            context: self.context.clone(),
        }
    }
}

/// Whether the text can stand in a path of the API server.
fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    !text.is_empty() && text.chars().all(fits) && text != "." && text != ".."
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        if self.objects.is_empty() {
            at.error(
                "names no objects; expected some, such as objects: [{name: pods, mode: watch}]",
            );
        }
        for (index, objects) in self.objects.iter().enumerate() {
            let mut problems = Vec::new();
            if !is_name(&objects.name) {
                problems.push(format!(
                    "name: expected a resource in the plural, such as pods, found '{}'",
                    objects.name
                ));
            }
            if !objects.group.is_empty() && !is_name(&objects.group) {
                problems.push(format!(
                    "group: expected a group such as apps, found '{}'",
                    objects.group
                ));
            }
            for namespace in objects.namespaces.iter().filter(|name| !is_name(name)) {
                problems.push(format!(
                    "namespaces: expected the name of a namespace, found '{namespace}'"
                ));
            }
            if objects.mode == Mode::Pull && !objects.exclude_watch_type.is_empty() {
                problems.push("exclude_watch_type can only be used with mode: watch".to_owned());
            }
            if objects.mode == Mode::Pull && objects.interval.is_zero() {
                problems.push("interval: must be positive".to_owned());
            }
            for problem in problems {
                at.item("objects", index).error(problem);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_config::from_str;

    #[test]
    fn what_is_wrong_is_named() {
        let problems = from_str::<Config>(
            "objects: [{name: Pod/x}, {name: pods, exclude_watch_type: [DELETED], namespaces: ['a b']}, {name: pods, group: A, interval: 0s}]",
        )
        .unwrap_err()
        .to_string();
        for expected in [
            "found 'Pod/x'",
            "can only be used with mode: watch",
            "found 'a b'",
            "found 'A'",
            "interval: must be positive",
        ] {
            assert!(problems.contains(expected), "{expected} in\n{problems}");
        }
        assert!(from_str::<Config>("{}").is_err());
    }
}
