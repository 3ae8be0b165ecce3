//! What an annotation may ask for: metrics of its own pod, with nothing of the agent's.
//!
//! Whoever may annotate a pod is not whoever configures the agent. So settings that come from annotations lead to the
//! endpoint alone, and neither the agent's credentials nor the node's files go there. What is not known to be harmless is refused.

use corten_config::Node;

/// Settings that an annotation may not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfineError {
    /// Nothing says where the receiver would go.
    #[error("annotations can only ask for receivers with an endpoint, and for scrape_configs")]
    NoTarget,
    /// It would go elsewhere.
    #[error("expected {expected}, the pod's own, found '{found}'")]
    OtherTarget {
        /// Where it may go.
        expected: String,
        /// Where it would go.
        found: String,
    },
    /// It would take something of the agent's along, or lead elsewhere by another way.
    #[error("annotations cannot set {0}")]
    Forbidden(String),
}

/// The settings of a scrape that can neither lead elsewhere nor read files.
const SCRAPE: [&str; 28] = [
    "always_scrape_classic_histograms",
    "authorization",
    "basic_auth",
    "body_size_limit",
    "enable_compression",
    "enable_http2",
    "fallback_scrape_protocol",
    "honor_labels",
    "honor_timestamps",
    "job_name",
    "keep_dropped_targets",
    "label_limit",
    "label_name_length_limit",
    "label_value_length_limit",
    "metric_name_validation_scheme",
    "metric_relabel_configs",
    "metrics_path",
    "params",
    "sample_limit",
    "scheme",
    "scrape_interval",
    "scrape_native_histograms",
    "scrape_protocols",
    "scrape_timeout",
    "static_configs",
    "target_limit",
    "tls_config",
    "track_timestamps_staleness",
];

/// Whether these settings, expanded, lead to `target` and nowhere else. `endpoint`: the receiver has a setting of this name;
/// `account`: it signs in with the agent's own account.
pub(crate) fn confine(
    settings: &Node,
    endpoint: bool,
    account: bool,
    target: &str,
) -> Result<(), ConfineError> {
    if account {
        return Err(forbidden(
            "a receiver that signs in with the agent's account",
        ));
    }
    of_the_agent(settings)?;
    if let Some(scrapes) = settings
        .get("config")
        .and_then(|config| config.get("scrape_configs"))
    {
        return scrape_configs(settings, scrapes, target);
    }
    if !endpoint {
        return Err(ConfineError::NoTarget);
    }
    let found = settings
        .get("endpoint")
        .and_then(Node::as_str)
        .unwrap_or_default();
    let rest = found.split_once("://").map_or(found, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next();
    same(authority.unwrap_or_default(), found, target)
}

fn same(authority: &str, found: &str, target: &str) -> Result<(), ConfineError> {
    if authority == target {
        return Ok(());
    }
    Err(ConfineError::OtherTarget {
        expected: target.to_owned(),
        found: found.to_owned(),
    })
}

fn forbidden(what: &str) -> ConfineError {
    ConfineError::Forbidden(what.to_owned())
}

/// Refuses files, and what names the agent's credentials or ways to others.
fn of_the_agent(node: &Node) -> Result<(), ConfineError> {
    if let Some(map) = node.as_map() {
        for entry in map.iter() {
            let key = entry.key.as_str();
            let named = ["auth", "auth_type", "storage", "proxy_url", "middlewares"].contains(&key);
            if named || key.ends_with("_file") || key.ends_with("_files") {
                return Err(forbidden(key));
            }
            of_the_agent(&entry.value)?;
        }
    }
    node.as_seq()
        .unwrap_or_default()
        .iter()
        .try_for_each(of_the_agent)
}

/// Every key of a map but these.
fn only(node: &Node, allowed: &[&str]) -> Result<(), ConfineError> {
    let mut keys = node.as_map().into_iter().flat_map(|map| map.keys());
    match keys.find(|key| !allowed.contains(key)) {
        Some(key) => Err(forbidden(key)),
        None => Ok(()),
    }
}

/// The settings of a `prometheus` receiver: static targets, all of them the pod's own, without relabelling (which writes
/// `__address__`) and discovery.
fn scrape_configs(settings: &Node, scrapes: &Node, target: &str) -> Result<(), ConfineError> {
    only(settings, &["config", "trim_metric_suffixes"])?;
    if let Some(config) = settings.get("config") {
        only(config, &["scrape_configs"])?;
    }
    for scrape in scrapes.as_seq().unwrap_or_default() {
        only(scrape, &SCRAPE)?;
        let groups = scrape.get("static_configs").and_then(Node::as_seq);
        for group in groups.unwrap_or_default() {
            only(group, &["targets", "labels"])?;
            let labels = group.get("labels").and_then(Node::as_map);
            let mut names = labels.into_iter().flat_map(|labels| labels.keys());
            if let Some(name) = names.find(|name| name.starts_with("__")) {
                return Err(forbidden(name));
            }
            let targets = group.get("targets");
            // One text may stand for a list of one.
            let one = targets.into_iter().filter(|node| node.as_seq().is_none());
            let many = targets.and_then(Node::as_seq).unwrap_or_default();
            for found in one.chain(many) {
                let found = found.as_str().unwrap_or_default();
                same(found, found, target)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_config::{Problems, section};

    const TARGET: &str = "10.0.0.7:6379";

    fn at(yaml: &str) -> Result<(), String> {
        let mut problems = Problems::new();
        let section = section(yaml, "x", &mut problems).unwrap();
        confine(section.node(), true, false, TARGET).map_err(|error| error.to_string())
    }

    #[test]
    fn an_endpoint_is_the_pods_own() {
        for fine in [
            "10.0.0.7:6379",
            "http://10.0.0.7:6379/status",
            "10.0.0.7:6379/x?y#z",
        ] {
            assert_eq!(at(&format!("endpoint: {fine}")), Ok(()), "{fine}");
        }
        for elsewhere in [
            "http://10.0.0.8:6379",
            "http://10.0.0.7:6379@evil",
            "http://evil/10.0.0.7:6379",
            "evil#10.0.0.7:6379",
            "'http://10.0.0.7:6379\\@evil'",
            "10.0.0.7:6379.evil",
            "''",
            "[10.0.0.7:6379]",
        ] {
            let error = at(&format!("endpoint: {elsewhere}")).unwrap_err();
            assert!(error.contains("the pod's own"), "{elsewhere}: {error}");
        }
    }

    #[test]
    fn nothing_of_the_agents_goes_along() {
        for (more, expected) in [
            ("auth: {authenticator: bearertokenauth}", "auth"),
            ("tls: {ca_file: /etc/shadow}", "ca_file"),
            ("list: [{password_file: /x}]", "password_file"),
            ("auth_type: serviceAccount", "auth_type"),
            ("proxy_url: http://evil", "proxy_url"),
        ] {
            let error = at(&format!("endpoint: {TARGET}\n{more}")).unwrap_err();
            assert_eq!(error, format!("annotations cannot set {expected}"));
        }
        assert_eq!(at(&format!("endpoint: {TARGET}\npassword: own")), Ok(()));
        let mut problems = Problems::new();
        let settings = section("endpoint: '10.0.0.7:6379'", "x", &mut problems).unwrap();
        assert!(confine(settings.node(), true, true, TARGET).is_err());
        assert_eq!(
            confine(settings.node(), false, false, TARGET),
            Err(ConfineError::NoTarget)
        );
    }

    #[test]
    fn scrapes_have_static_targets_of_the_pod() {
        let scrape = |more: &str| {
            at(&format!(
                "config: {{scrape_configs: [{{job_name: a, metrics_path: /m, {more}}}]}}"
            ))
        };
        assert_eq!(
            scrape("static_configs: [{targets: ['10.0.0.7:6379'], labels: {a: b}}]"),
            Ok(())
        );
        assert_eq!(
            scrape("static_configs: [{targets: '10.0.0.7:6379'}]"),
            Ok(())
        );
        for (more, expected) in [
            (
                "static_configs: [{targets: ['10.0.0.7:6379', '10.0.0.8:1']}]",
                "found '10.0.0.8:1'",
            ),
            ("static_configs: [{targets: evil}]", "found 'evil'"),
            (
                "static_configs: [{targets: ['10.0.0.7:6379'], labels: {__address__: evil}}]",
                "set __address__",
            ),
            (
                "kubernetes_sd_configs: [{role: pod}]",
                "set kubernetes_sd_configs",
            ),
            ("relabel_configs: []", "set relabel_configs"),
            (
                "authorization: {credentials_file: /token}",
                "set credentials_file",
            ),
            ("bearer_token_file: /token", "set bearer_token_file"),
            ("file_sd_configs: [{files: [x]}]", "set file_sd_configs"),
        ] {
            let error = scrape(more).unwrap_err();
            assert!(error.contains(expected), "{more}: {error}");
        }
        let error = at("{config: {scrape_configs: [], global: {}}}").unwrap_err();
        assert_eq!(error, "annotations cannot set global");
        let error = at("{config: {scrape_configs: []}, endpoint: evil}").unwrap_err();
        assert_eq!(error, "annotations cannot set endpoint");
    }
}
