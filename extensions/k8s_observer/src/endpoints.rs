//! From an object to its endpoints. Ids, targets and the names of fields are the Collector's, so that rules and
//! configurations for its observer hold here.

use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use corten_component::Endpoint;
use corten_kubernetes::object::Metadata;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::objects::{Container, ContainerStatus, Ingress, Node, Pod, Service};

/// What decides about endpoints.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The observer's own name, which begins every id.
    pub(crate) observer: String,
    /// `Running`, …: pods in other phases have no endpoints.
    pub(crate) phases: Vec<String>,
    /// Whether init containers have endpoints.
    pub(crate) init_containers: bool,
    /// For how long after its end a container still has endpoints.
    pub(crate) terminated: Duration,
}

/// An endpoint, and for how long it is one if its object does not change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lasting {
    pub(crate) endpoint: Endpoint,
    pub(crate) left: Option<Duration>,
}

/// An object that has endpoints.
pub(crate) trait Observed {
    /// Its endpoints at the time `now`.
    fn endpoints(&self, settings: &Settings, now: Timestamp) -> Vec<Lasting>;
}

fn endpoint(
    id: &str,
    target: String,
    kind: &'static str,
    fields: Map<String, Value>,
    left: Option<Duration>,
) -> Lasting {
    Lasting {
        endpoint: Endpoint {
            id: Arc::from(id),
            target,
            kind,
            fields,
        },
        left,
    }
}

fn fields(pairs: impl IntoIterator<Item = (&'static str, Value)>) -> Map<String, Value> {
    let pairs = pairs.into_iter();
    pairs
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// What every object has.
fn common(metadata: &Metadata) -> Map<String, Value> {
    fields([
        ("uid", json!(metadata.uid)),
        ("name", json!(metadata.name)),
        ("labels", json!(metadata.labels)),
        ("annotations", json!(metadata.annotations)),
    ])
}

fn namespaced(metadata: &Metadata) -> Map<String, Value> {
    let mut fields = common(metadata);
    fields.insert("namespace".to_owned(), json!(metadata.namespace));
    fields
}

impl Observed for Pod {
    fn endpoints(&self, settings: &Settings, now: Timestamp) -> Vec<Lasting> {
        if !settings.phases.contains(&self.status.phase) {
            return Vec::new();
        }
        let pod = Around {
            id: format!("{}/{}", settings.observer, self.metadata.uid),
            address: &self.status.pod_ip,
            fields: namespaced(&self.metadata),
            now,
            terminated: settings.terminated,
        };
        let address = self.status.pod_ip.clone();
        let mut all = vec![endpoint(&pod.id, address, "pod", pod.fields.clone(), None)];
        for container in &self.spec.containers {
            pod.container(container, &self.status.container_statuses, true, &mut all);
        }
        if settings.init_containers {
            for container in &self.spec.init_containers {
                let statuses = &self.status.init_container_statuses;
                pod.container(container, statuses, false, &mut all);
            }
        }
        all
    }
}

/// A pod, for its containers.
struct Around<'p> {
    id: String,
    address: &'p str,
    fields: Map<String, Value>,
    now: Timestamp,
    terminated: Duration,
}

impl Around<'_> {
    fn container(
        &self,
        container: &Container,
        statuses: &[ContainerStatus],
        ports: bool,
        to: &mut Vec<Lasting>,
    ) {
        let status = statuses.iter().find(|status| status.name == container.name);
        let Some((status, left)) = status.and_then(|status| Some((status, self.left(status)?)))
        else {
            return;
        };
        let runtime_id = status.container_id.split_once("://");
        let own = fields([
            ("container_name", json!(container.name)),
            ("container_id", json!(runtime_id.map_or("", |(_, id)| id))),
            ("container_image", json!(container.image)),
            ("pod", Value::Object(self.fields.clone())),
        ]);
        let id = format!("{}/{}", self.id, container.name);
        let address = self.address.to_owned();
        to.push(endpoint(&id, address, "pod.container", own.clone(), left));
        if !ports {
            return;
        }
        for port in &container.ports {
            let number = port.container_port;
            let id = format!("{}/{}({number})", self.id, port.name);
            let transport = match port.protocol.as_str() {
                "" | "TCP" => "TCP",
                "UDP" => "UDP",
                _ => "Unknown",
            };
            let mut all = own.clone();
            all.extend(fields([
                ("name", json!(port.name)),
                ("port", json!(number)),
                ("transport", json!(transport)),
            ]));
            let target = if self.address.parse::<Ipv6Addr>().is_ok() {
                format!("[{}]:{number}", self.address)
            } else {
                format!("{}:{number}", self.address)
            };
            to.push(endpoint(&id, target, "port", all, left));
        }
    }

    /// Whether the container is an endpoint: `Some(None)` while it runs, some time yet after its end.
    fn left(&self, status: &ContainerStatus) -> Option<Option<Duration>> {
        if status.state.running.is_some() {
            return Some(None);
        }
        let ended = status.state.terminated.as_ref()?.finished_at.parse().ok()?;
        // A clock that is behind does not make it last for ever.
        let since = Duration::try_from(self.now.duration_since(ended)).unwrap_or_default();
        let left = self.terminated.checked_sub(since)?;
        (!left.is_zero()).then_some(Some(left))
    }
}

impl Observed for Service {
    fn endpoints(&self, settings: &Settings, _now: Timestamp) -> Vec<Lasting> {
        let metadata = &self.metadata;
        let mut all = namespaced(metadata);
        all.extend(fields([
            ("service_type", json!(self.spec.kind)),
            ("cluster_ip", json!(self.spec.cluster_ip)),
        ]));
        let id = format!("{}/{}", settings.observer, metadata.uid);
        let target = format!("{}.{}.svc.cluster.local", metadata.name, metadata.namespace);
        vec![endpoint(&id, target, "k8s.service", all, None)]
    }
}

impl Observed for Ingress {
    fn endpoints(&self, settings: &Settings, _now: Timestamp) -> Vec<Lasting> {
        let metadata = &self.metadata;
        let mut endpoints = Vec::new();
        for rule in &self.spec.rules {
            let mut patterns = self.spec.tls.iter().flat_map(|tls| &tls.hosts);
            let scheme = if patterns.any(|pattern| covers(pattern, &rule.host)) {
                "https"
            } else {
                "http"
            };
            for path in &rule.http.paths {
                let (host, path) = (&rule.host, &path.path);
                let id = format!("{}/{}/{host}{path}", settings.observer, metadata.uid);
                let mut all = namespaced(metadata);
                // As the Collector has it: the endpoint's identity, since an ingress has several.
                all.extend(fields([
                    ("uid", json!(id)),
                    ("scheme", json!(scheme)),
                    ("host", json!(host)),
                    ("path", json!(path)),
                ]));
                let target = format!("{scheme}://{host}{path}");
                endpoints.push(endpoint(&id, target, "k8s.ingress", all, None));
            }
        }
        endpoints
    }
}

/// Whether a host of a certificate, `*.example.com` perhaps, is this host.
fn covers(pattern: &str, host: &str) -> bool {
    if pattern == host {
        return true;
    }
    match (pattern.strip_prefix("*."), host.split_once('.')) {
        (Some(domain), Some((_, rest))) => domain == rest,
        _ => false,
    }
}

impl Observed for Node {
    fn endpoints(&self, settings: &Settings, _now: Timestamp) -> Vec<Lasting> {
        let metadata = &self.metadata;
        let address = |kind: &str| {
            let mut all = self.status.addresses.iter().rev();
            all.find(|address| address.kind == kind)
                .map_or("", |address| address.address.as_str())
        };
        let kinds = [
            ("InternalIP", "internal_ip"),
            ("InternalDNS", "internal_dns"),
            ("Hostname", "hostname"),
            ("ExternalIP", "external_ip"),
            ("ExternalDNS", "external_dns"),
        ];
        let mut all = common(metadata);
        all.extend(fields(
            kinds.map(|(kind, name)| (name, json!(address(kind)))),
        ));
        let port = self.status.daemon_endpoints.kubelet_endpoint.port;
        all.insert("kubelet_endpoint_port".to_owned(), json!(port));
        let id = format!("{}/{}-{}", settings.observer, metadata.name, metadata.uid);
        let mut known = kinds.iter().map(|(kind, _)| address(kind));
        let target = known.find(|address| !address.is_empty());
        let target = target.unwrap_or_default().to_owned();
        vec![endpoint(&id, target, "k8s.node", all, None)]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: &str = "2026-01-01T00:10:00Z";

    fn settings() -> Settings {
        Settings {
            observer: "k8s_observer".to_owned(),
            phases: vec!["Running".to_owned()],
            init_containers: false,
            terminated: Duration::from_secs(900),
        }
    }

    fn of<T: Observed + serde::de::DeserializeOwned>(
        object: Value,
        settings: &Settings,
    ) -> Vec<Lasting> {
        let object: T = serde_json::from_value(object).unwrap();
        object.endpoints(settings, NOW.parse().unwrap())
    }

    /// `id kind target`, a line each.
    fn shown(all: &[Lasting]) -> Vec<String> {
        let line = |Lasting { endpoint, .. }: &Lasting| {
            format!("{} {} {}", endpoint.id, endpoint.kind, endpoint.target)
        };
        all.iter().map(line).collect()
    }

    fn pod() -> Value {
        json!({
            "metadata": {"name": "redis-0", "namespace": "shop", "uid": "u1", "labels": {"app": "redis"}, "annotations": null},
            "spec": {
                "initContainers": [{"name": "setup", "image": "busybox"}],
                "containers": [
                    {"name": "redis", "image": "redis:7", "ports": [
                        {"name": "redis", "containerPort": 6379, "protocol": "TCP"},
                        {"containerPort": 53, "protocol": "UDP"}]},
                    {"name": "job", "image": "job:1", "ports": null},
                    {"name": "waiting", "image": "none"},
                ],
            },
            "status": {
                "phase": "Running", "podIP": "10.0.0.7",
                "initContainerStatuses": [{"name": "setup", "containerID": "containerd://i1", "state": {"terminated": {"finishedAt": "2026-01-01T00:00:00Z"}}}],
                "containerStatuses": [
                    {"name": "redis", "containerID": "containerd://c1", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}},
                    {"name": "job", "containerID": "containerd://c2", "state": {"terminated": {"finishedAt": "2026-01-01T00:05:00Z"}}},
                    {"name": "waiting", "state": {"waiting": {"reason": "ImagePullBackOff"}}},
                ],
            },
        })
    }

    #[test]
    fn a_pod_is_itself_its_containers_and_their_ports() {
        let all = of::<Pod>(pod(), &settings());
        assert_eq!(
            shown(&all),
            [
                "k8s_observer/u1 pod 10.0.0.7",
                "k8s_observer/u1/redis pod.container 10.0.0.7",
                "k8s_observer/u1/redis(6379) port 10.0.0.7:6379",
                "k8s_observer/u1/(53) port 10.0.0.7:53",
                "k8s_observer/u1/job pod.container 10.0.0.7",
            ]
        );
        let details = json!({"uid": "u1", "name": "redis-0", "namespace": "shop", "labels": {"app": "redis"}, "annotations": {}});
        assert_eq!(Value::Object(all[0].endpoint.fields.clone()), details);
        assert_eq!(
            Value::Object(all[2].endpoint.fields.clone()),
            json!({"name": "redis", "port": 6379, "transport": "TCP", "pod": details,
                "container_name": "redis", "container_id": "c1", "container_image": "redis:7"})
        );
        assert_eq!(all[3].endpoint.fields["transport"], "UDP");
        // The one that runs stays, the one that ended five minutes ago has ten more.
        assert_eq!(all[1].left, None);
        assert_eq!(all[4].left, Some(Duration::from_secs(600)));
    }

    #[test]
    fn phases_and_ends_decide() {
        let mut settings = settings();
        settings.init_containers = true;
        let all = shown(&of::<Pod>(pod(), &settings));
        assert_eq!(
            all.last().unwrap(),
            "k8s_observer/u1/setup pod.container 10.0.0.7"
        );
        settings.terminated = Duration::from_secs(60);
        assert_eq!(
            shown(&of::<Pod>(pod(), &settings)).len(),
            4,
            "what ended long ago is gone"
        );
        settings.phases = vec!["Pending".to_owned()];
        assert!(of::<Pod>(pod(), &settings).is_empty());
    }

    #[test]
    fn ipv6_has_brackets_before_a_port() {
        let mut pod = pod();
        pod["status"]["podIP"] = json!("fd00::7");
        let all = shown(&of::<Pod>(pod, &settings()));
        assert_eq!(all[2], "k8s_observer/u1/redis(6379) port [fd00::7]:6379");
    }

    #[test]
    fn services_and_nodes() {
        let service = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "s1"}, "spec": {"type": "ClusterIP", "clusterIP": "10.1.0.1"}});
        let all = of::<Service>(service, &settings());
        assert_eq!(
            shown(&all),
            ["k8s_observer/s1 k8s.service web.shop.svc.cluster.local"]
        );
        assert_eq!(all[0].endpoint.fields["service_type"], "ClusterIP");
        assert_eq!(all[0].endpoint.fields["cluster_ip"], "10.1.0.1");

        let node = json!({"metadata": {"name": "n1", "uid": "n"}, "status": {
            "addresses": [{"type": "Hostname", "address": "n1.lan"}, {"type": "InternalIP", "address": "192.168.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}}});
        let all = of::<Node>(node, &settings());
        assert_eq!(shown(&all), ["k8s_observer/n1-n k8s.node 192.168.0.1"]);
        let fields = &all[0].endpoint.fields;
        assert_eq!(
            (&fields["hostname"], &fields["external_ip"]),
            (&json!("n1.lan"), &json!(""))
        );
        assert_eq!(fields["kubelet_endpoint_port"], 10250);
        assert!(!fields.contains_key("namespace"));
    }

    #[test]
    fn an_ingress_has_an_endpoint_for_each_path() {
        let ingress = json!({"metadata": {"name": "in", "namespace": "shop", "uid": "i1"}, "spec": {
            "tls": [{"hosts": ["*.example.com"]}],
            "rules": [
                {"host": "a.example.com", "http": {"paths": [{"path": "/x"}, {"path": "/y"}]}},
                {"host": "b.a.example.com", "http": {"paths": [{"path": "/"}]}},
                {"host": "none.example.com"}]}});
        let all = of::<Ingress>(ingress, &settings());
        assert_eq!(
            shown(&all),
            [
                "k8s_observer/i1/a.example.com/x k8s.ingress https://a.example.com/x",
                "k8s_observer/i1/a.example.com/y k8s.ingress https://a.example.com/y",
                "k8s_observer/i1/b.a.example.com/ k8s.ingress http://b.a.example.com/",
            ]
        );
        assert_eq!(
            all[0].endpoint.fields["uid"],
            "k8s_observer/i1/a.example.com/x"
        );
    }

    proptest! {
        #[test]
        fn any_times_and_addresses_do(time in "\\PC{0,30}|2026-01-01T00:0[0-9]:00Z|9999-12-31T23:59:59Z", ip in "[0-9a-f:.]{0,12}", id in "\\PC{0,12}") {
            let mut pod = pod();
            pod["status"]["podIP"] = json!(ip);
            pod["status"]["containerStatuses"][1]["containerID"] = json!(id);
            pod["status"]["containerStatuses"][1]["state"]["terminated"]["finishedAt"] = json!(time);
            let settings = settings();
            for lasting in of::<Pod>(pod, &settings) {
                prop_assert!(lasting.left.is_none_or(|left| left <= settings.terminated));
            }
        }
    }
}
