//! What users set.

use std::collections::BTreeMap;
use std::path::PathBuf;

use corten_config::types::{ByteSize, ComponentId, Duration};
use corten_config::{Check, Checker};
use corten_kubernetes::{ApiConfig, AuthType};
use globset::{Glob, GlobSet, GlobSetBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `k8s_logs` receiver; every one may be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Who Corten is to the API server: `serviceAccount`, `kubeConfig` or `none`.
    pub(crate) auth_type: AuthType,
    /// The kubeconfig file for `kubeConfig`. Without it, `KUBECONFIG` or `~/.kube/config`.
    pub(crate) kubeconfig_path: Option<PathBuf>,
    /// The context of the kubeconfig. Without it, the current one.
    pub(crate) context: Option<String>,
    /// The node whose pods are read. Without it, what the environment variables `KUBE_NODE_NAME` or `K8S_NODE_NAME` say.
    pub(crate) node: String,
    /// Read the pods of every node: for a single agent in a small cluster.
    pub(crate) all_nodes: bool,
    /// The namespaces whose pods are read.
    pub(crate) namespaces: Names,
    /// The containers that are read, by their names in the pod.
    pub(crate) containers: Names,
    /// Only pods with these labels: `app=web,tier!=test`.
    pub(crate) label_selector: String,
    /// The extension that keeps the positions, such as `file_storage`. Without one every start reads again what the kubelet
    /// still has.
    pub(crate) storage: Option<ComponentId>,
    /// Where a log is begun that was there before the receiver ever ran: at what the kubelet still has of it (`beginning`), or
    /// with what comes (`end`). Logs that appear later are always read whole, and known ones where they were left.
    pub(crate) start_at: StartAt,
    /// A log in which nothing was written for so long is opened again, since it may have been rotated without a word. While
    /// nothing is found by that, up to eight times as long.
    pub(crate) reopen_idle_after: Duration,
    /// How many logs are open at once. Others wait until one ends.
    pub(crate) max_concurrent_streams: usize,
    /// The longest line; the rest of a longer one comes as further records.
    pub(crate) max_log_size: ByteSize,
    /// Bytes that were read and that the pipeline has not acknowledged; reading stops there.
    pub(crate) max_in_flight: ByteSize,
    /// Attributes that every record gets.
    pub(crate) attributes: BTreeMap<String, String>,
    /// Resource attributes that every record gets.
    pub(crate) resource: BTreeMap<String, String>,
}

/// A choice of names. Globs: `*` any text, `?` one character, `{a,b}` alternatives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Names {
    /// Only these; all when empty.
    pub(crate) include: Vec<String>,
    /// Not these, also when they are included.
    pub(crate) exclude: Vec<String>,
}

/// Where a log is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StartAt {
    /// At its beginning.
    Beginning,
    /// At its end.
    End,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            auth_type: AuthType::default(),
            kubeconfig_path: None,
            context: None,
            node: String::new(),
            all_nodes: false,
            namespaces: Names::default(),
            containers: Names::default(),
            label_selector: String::new(),
            storage: None,
            start_at: StartAt::Beginning,
            reopen_idle_after: Duration::from_secs(30),
            max_concurrent_streams: 1000,
            max_log_size: ByteSize::mib(1),
            max_in_flight: ByteSize::mib(8),
            attributes: BTreeMap::new(),
            resource: BTreeMap::new(),
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

/// A choice of names, ready for use.
#[derive(Debug)]
pub(crate) struct Filter {
    include: Option<GlobSet>,
    exclude: GlobSet,
}

fn set(globs: &[String]) -> GlobSet {
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        // They have been checked with the configuration.
        if let Ok(glob) = Glob::new(glob) {
            builder.add(glob);
        }
    }
    builder.build().unwrap_or_default()
}

impl Filter {
    pub(crate) fn new(names: &Names) -> Self {
        Self {
            include: (!names.include.is_empty()).then(|| set(&names.include)),
            exclude: set(&names.exclude),
        }
    }

    pub(crate) fn lets_in(&self, name: &str) -> bool {
        let included = |set: &GlobSet| set.is_match(name);
        self.include.as_ref().is_none_or(included) && !self.exclude.is_match(name)
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        for (field, names) in [
            ("namespaces", &self.namespaces),
            ("containers", &self.containers),
        ] {
            let mut at = at.section(field);
            for (field, globs) in [("include", &names.include), ("exclude", &names.exclude)] {
                for (index, glob) in globs.iter().enumerate() {
                    if glob.is_empty() {
                        at.item(field, index).error("is empty");
                    } else if let Err(error) = Glob::new(glob) {
                        at.item(field, index).error(error.to_string());
                    }
                }
            }
        }
        if self.all_nodes && !self.node.is_empty() {
            at.error("node and all_nodes exclude each other");
        }
        if self.reopen_idle_after.get() < std::time::Duration::from_secs(1) {
            at.field("reopen_idle_after").error("must be at least 1s");
        }
        if self.max_concurrent_streams == 0 {
            at.field("max_concurrent_streams").error("must be positive");
        }
        if self.max_log_size.get() < 64 {
            at.field("max_log_size").error("must be at least 64 bytes");
        }
        if self.max_in_flight.get() < 1024 {
            at.field("max_in_flight").error("must be at least 1KiB");
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
            "node: a\nall_nodes: true\nnamespaces: {include: ['[']}\nmax_concurrent_streams: 0\nreopen_idle_after: 10ms",
        )
        .unwrap_err()
        .to_string();
        for expected in [
            "exclude each other",
            "namespaces::include",
            "must be at least 1s",
            "max_concurrent_streams must be positive",
        ] {
            assert!(problems.contains(expected), "{expected} in\n{problems}");
        }
    }

    #[test]
    fn globs_choose() {
        let filter = Filter::new(&Names {
            include: vec!["team-*".into()],
            exclude: vec!["team-{a,b}".into()],
        });
        assert!(filter.lets_in("team-c") && !filter.lets_in("team-a") && !filter.lets_in("x"));
        assert!(Filter::new(&Names::default()).lets_in("x"));
    }
}
