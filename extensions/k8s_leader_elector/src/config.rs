//! What users set: the Collector's keys.

use std::path::PathBuf;

use corten_config::types::Duration;
use corten_config::{Check, Checker};
use corten_kubernetes::{ApiConfig, AuthType, LeaseSettings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the `k8s_leader_elector` extension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Config {
    /// Who Corten is to the API server: `serviceAccount`, `kubeConfig` or `none`.
    pub(crate) auth_type: AuthType,
    /// The kubeconfig file for `kubeConfig`. Without it, `KUBECONFIG` or `~/.kube/config`.
    pub(crate) kubeconfig_path: Option<PathBuf>,
    /// The context of the kubeconfig. Without it, the current one.
    pub(crate) context: Option<String>,
    /// The name of the Lease; all agents of which one should lead have the same.
    pub(crate) lease_name: String,
    /// The namespace of the Lease.
    pub(crate) lease_namespace: String,
    /// How long the others wait after the last sign of life of who leads.
    pub(crate) lease_duration: Duration,
    /// Who leads stops when it could not renew for so long. Less than `lease_duration`.
    pub(crate) renew_deadline: Duration,
    /// The time between two attempts. Less than `renew_deadline`.
    pub(crate) retry_period: Duration,
    /// Who this agent is to the others, unlike any of them. Without it, the host's name (in a pod, the pod's) with
    /// something by chance.
    pub(crate) identity: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            auth_type: AuthType::default(),
            kubeconfig_path: None,
            context: None,
            lease_name: String::new(),
            lease_namespace: String::new(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            identity: String::new(),
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

    pub(crate) fn lease(&self, identity: String) -> LeaseSettings {
        LeaseSettings {
            namespace: self.lease_namespace.clone(),
            name: self.lease_name.clone(),
            identity,
            lease_duration: self.lease_duration.get(),
            renew_deadline: self.renew_deadline.get(),
            retry_period: self.retry_period.get(),
        }
    }
}

/// Whether the API server takes it as a name (RFC 1123).
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        for (field, name) in [
            ("lease_name", &self.lease_name),
            ("lease_namespace", &self.lease_namespace),
        ] {
            if name.is_empty() {
                at.error(format!("{field} is required"));
            } else if !is_name(name) {
                at.field(field).error(format!(
                    "expected a name of Kubernetes (lower case letters, digits, '-' and '.'), found '{name}'"
                ));
            }
        }
        if self.lease_duration.get() < std::time::Duration::from_secs(1) {
            at.field("lease_duration")
                .error("must be at least 1s: a Lease counts whole seconds");
        }
        if self.renew_deadline >= self.lease_duration {
            at.field("renew_deadline")
                .error("must be less than lease_duration, or two could lead at once");
        }
        if self.retry_period >= self.renew_deadline {
            at.field("retry_period")
                .error("must be less than renew_deadline");
        }
        if self.retry_period.is_zero() {
            at.field("retry_period").error("must be positive");
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
            "lease_name: Not A Name\nlease_duration: 5s\nrenew_deadline: 5s\nretry_period: 6s",
        )
        .unwrap_err()
        .to_string();
        for expected in [
            "found 'Not A Name'",
            "lease_namespace is required",
            "must be less than lease_duration",
            "must be less than renew_deadline",
        ] {
            assert!(problems.contains(expected), "{expected} in\n{problems}");
        }
        assert!(from_str::<Config>("{lease_name: a, lease_namespace: b}").is_ok());
    }
}
