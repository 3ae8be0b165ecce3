//! From the labels of something that was discovered to something that is asked.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::{Job, Pace};
use crate::page::Identity;
use crate::relabel::{self, Labels};

/// Labels as discovery finds them.
pub(crate) type LabelMap = BTreeMap<String, String>;

pub(crate) const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const PATH: &str = "__metrics_path__";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const PARAM: &str = "__param_";

/// All but what RFC 3986 calls unreserved.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A page and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) url: Uri,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) identity: Identity,
}

/// What the rules left is nothing that could be asked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("'{0}' is no URL")]
    Url(String),
    #[error("{name} is '{value}': expected a duration greater than zero such as 30s")]
    Pace { name: &'static str, value: String },
    #[error("{TIMEOUT} ({timeout}) is greater than {INTERVAL} ({interval})")]
    Longer { timeout: String, interval: String },
}

/// How often a job's targets are scraped, and for how long at most.
pub(crate) fn pace(job: &Job, global: &Pace) -> (Duration, Duration) {
    let interval = job.scrape_interval.unwrap_or(global.scrape_interval).get();
    let timeout = job.scrape_timeout.unwrap_or(global.scrape_timeout).get();
    (interval, timeout.min(interval))
}

impl Target {
    /// The target that `found` is after the job's rules; `None` where they leave it out.
    pub(crate) fn new(
        found: &LabelMap,
        job: &Job,
        (interval, timeout): (Duration, Duration),
    ) -> Result<Option<Self>, TargetError> {
        let mut labels: Labels<'_> = found
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let written = |time: Duration| corten_config::types::Duration::from(time).to_string();
        let mut default = |name: String, value: String| {
            if labels.get(&name).is_empty() {
                labels.set(name, value);
            }
        };
        default("job".to_owned(), job.job_name.clone());
        default(SCHEME.to_owned(), job.scheme.as_str().to_owned());
        default(PATH.to_owned(), job.metrics_path.clone());
        default(INTERVAL.to_owned(), written(interval));
        default(TIMEOUT.to_owned(), written(timeout));
        for (name, values) in &job.params {
            if let Some(first) = values.first() {
                default(format!("{PARAM}{name}"), first.clone());
            }
        }
        if !relabel::apply(&job.relabel_configs, &mut labels) {
            return Ok(None);
        }
        let address = labels.get(ADDRESS).to_owned();
        if address.is_empty() {
            return Ok(None);
        }
        let time = |name: &'static str| {
            let value = labels.get(name);
            let parsed = value.parse::<corten_config::types::Duration>();
            let parsed = parsed.ok().and_then(|time| time.non_zero());
            parsed.ok_or_else(|| TargetError::Pace {
                name,
                value: value.to_owned(),
            })
        };
        let (interval, timeout) = (time(INTERVAL)?, time(TIMEOUT)?);
        if timeout > interval {
            return Err(TargetError::Longer {
                timeout: labels.get(TIMEOUT).to_owned(),
                interval: labels.get(INTERVAL).to_owned(),
            });
        }
        let url = url(&labels, job);
        let url = url.parse().map_err(|_| TargetError::Url(url))?;
        let mut public: LabelMap = labels
            .iter()
            .filter(|(name, _)| !name.starts_with("__"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        public.entry("instance".to_owned()).or_insert(address);
        let attributes = attributes(&public, labels.get(SCHEME), found);
        Ok(Some(Self {
            url,
            interval,
            timeout,
            identity: Identity {
                labels: public,
                attributes,
            },
        }))
    }

    /// A number that is the target's at every start.
    pub(crate) fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.url.hash(&mut hasher);
        self.identity.labels.hash(&mut hasher);
        hasher.finish()
    }
}

fn url(labels: &Labels<'_>, job: &Job) -> String {
    let mut params: BTreeMap<&str, Vec<&str>> = job
        .params
        .iter()
        .map(|(name, values)| (name.as_str(), values.iter().map(String::as_str).collect()))
        .collect();
    // Of a parameter with several values the rules see and set the first.
    for (name, value) in labels.iter() {
        if let Some(name) = name.strip_prefix(PARAM) {
            let values = params.entry(name).or_default();
            match values.first_mut() {
                Some(first) => *first = value,
                None => values.push(value),
            }
        }
    }
    let path = labels.get(PATH);
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut url = format!(
        "{}://{}{slash}{path}",
        labels.get(SCHEME),
        labels.get(ADDRESS)
    );
    let pairs = params
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| (*name, *value)));
    let mut separator = if path.contains('?') { '&' } else { '?' };
    for (name, value) in pairs {
        url.push(separator);
        separator = '&';
        url.extend(utf8_percent_encode(name, ESCAPED));
        url.push('=');
        url.extend(utf8_percent_encode(value, ESCAPED));
    }
    url
}

/// Labels of discovery, and the attributes of a resource that they are.
const KUBERNETES: [(&str, &str); 6] = [
    ("__meta_kubernetes_namespace", "k8s.namespace.name"),
    ("__meta_kubernetes_node_name", "k8s.node.name"),
    ("__meta_kubernetes_pod_container_name", "k8s.container.name"),
    ("__meta_kubernetes_pod_name", "k8s.pod.name"),
    ("__meta_kubernetes_pod_node_name", "k8s.node.name"),
    ("__meta_kubernetes_pod_uid", "k8s.pod.uid"),
];

/// What the resource says beside the job and the instance.
fn attributes(public: &LabelMap, scheme: &str, found: &LabelMap) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() && !attributes.iter().any(|(known, _)| known == name) {
            attributes.push((name.to_owned(), value.to_owned()));
        }
    };
    let instance = public.get("instance").map_or("", String::as_str);
    let (host, port) = match instance.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (instance, ""),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if is_discernible(host) {
        add("server.address", host);
    }
    add("server.port", port);
    add("url.scheme", scheme);
    for (label, attribute) in KUBERNETES {
        add(attribute, found.get(label).map_or("", String::as_str));
    }
    let of = |name: &str| found.get(name).map_or("", String::as_str);
    let kind = of("__meta_kubernetes_pod_controller_kind").to_lowercase();
    if !kind.is_empty() {
        let name = of("__meta_kubernetes_pod_controller_name");
        add(&format!("k8s.{kind}.name"), name);
    }
    attributes
}

/// Whether others would mean the same machine by it.
fn is_discernible(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => !address.is_loopback() && !address.is_unspecified(),
        Err(_) => host != "localhost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(job: &str, found: &[(&str, &str)]) -> Result<Option<Target>, TargetError> {
        #[derive(Default, serde::Deserialize)]
        #[serde(default)]
        struct Wrapped {
            job: Job,
        }
        impl corten_config::Check for Wrapped {}
        let job = corten_config::from_str::<Wrapped>(&format!("job: {job}"))
            .unwrap_or_else(|problems| panic!("{problems}"))
            .job;
        let found = found
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Target::new(&found, &job, pace(&job, &Pace::default()))
    }

    fn labels(target: &Target) -> String {
        let all = target.identity.labels.iter();
        all.map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn an_address_is_enough() {
        let found = target("{job_name: web}", &[(ADDRESS, "10.0.0.1:9100")]);
        let found = found.unwrap().unwrap();
        assert_eq!(found.url, "http://10.0.0.1:9100/metrics");
        assert_eq!(labels(&found), "instance=10.0.0.1:9100 job=web");
        assert_eq!(
            (found.interval.as_secs(), found.timeout.as_secs()),
            (60, 10)
        );
        let resource = [
            ("server.address", "10.0.0.1"),
            ("server.port", "9100"),
            ("url.scheme", "http"),
        ];
        let resource = resource.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found.identity.attributes, resource);
    }

    #[test]
    fn rules_make_the_whole_url() {
        // The blackbox exporter's way.
        let job = r#"{job_name: probe, metrics_path: /probe, scheme: https, params: {module: [http_2xx], x: ["a b", c]},
            relabel_configs: [
              {source_labels: [__address__], target_label: __param_target},
              {source_labels: [__param_target], target_label: instance},
              {target_label: __address__, replacement: "blackbox:9115"},
              {source_labels: [tenant], regex: "none", action: drop},
              {target_label: __scrape_interval__, replacement: 15s}]}"#;
        let found = target(job, &[(ADDRESS, "https://example.org/ä"), ("tenant", "t1")]);
        let found = found.unwrap().unwrap();
        assert_eq!(
            found.url,
            "https://blackbox:9115/probe?module=http_2xx&target=https%3A%2F%2Fexample.org%2F%C3%A4&x=a%20b&x=c"
        );
        assert_eq!(
            labels(&found),
            "instance=https://example.org/ä job=probe tenant=t1"
        );
        assert_eq!(
            (found.interval.as_secs(), found.timeout.as_secs()),
            (15, 10)
        );
        assert_eq!(
            target(job, &[(ADDRESS, "a:1"), ("tenant", "none")]),
            Ok(None)
        );
        assert_eq!(target("{job_name: a}", &[("x", "y")]), Ok(None));
    }

    #[test]
    fn what_cannot_be_asked_is_said() {
        let wrong = |rule: &str| {
            let job = format!("{{job_name: a, relabel_configs: [{rule}]}}");
            target(&job, &[(ADDRESS, "a:1")]).unwrap_err().to_string()
        };
        assert_eq!(
            wrong("{target_label: __address__, replacement: 'a b'}"),
            "'http://a b/metrics' is no URL"
        );
        assert_eq!(
            wrong("{target_label: __scrape_interval__, replacement: often}"),
            "__scrape_interval__ is 'often': expected a duration greater than zero such as 30s"
        );
        assert_eq!(
            wrong("{target_label: __scrape_interval__, replacement: 5s}"),
            "__scrape_timeout__ (10s) is greater than __scrape_interval__ (5s)"
        );
    }

    #[test]
    fn pods_are_resources_of_kubernetes() {
        let found = target(
            "{job_name: pods}",
            &[
                (ADDRESS, "[fd00::1]:80"),
                ("__meta_kubernetes_namespace", "shop"),
                ("__meta_kubernetes_pod_name", "cart-0"),
                ("__meta_kubernetes_pod_uid", "u"),
                ("__meta_kubernetes_pod_controller_kind", "StatefulSet"),
                ("__meta_kubernetes_pod_controller_name", "cart"),
            ],
        );
        let attributes = found.unwrap().unwrap().identity.attributes;
        let written: Vec<_> = attributes
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            written.join(" "),
            "server.address=fd00::1 server.port=80 url.scheme=http k8s.namespace.name=shop k8s.pod.name=cart-0 k8s.pod.uid=u k8s.statefulset.name=cart"
        );
    }
}
