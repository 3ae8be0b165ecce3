//! What `deploy/` holds: a chart that renders, manifests that Kubernetes knows every field of, configurations that run, alerts
//! that fire and dashboards that ask for what there is.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use corten_testing::{Cluster, Reply, http_server, kubeconfig};
use corten_tests::{Command, Peer, free_port, peer, repository, scrape, wait_for};
use expect_test::expect_file;
use gtmpl::{Context, FuncError, Template, Value as Go};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde_json::{Value, json};

fn deploy() -> PathBuf {
    repository().join("deploy")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(deploy().join(file)).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A value as templates see it.
fn go(value: &Value) -> Go {
    match value {
        Value::Null => Go::Nil,
        Value::Bool(bool) => Go::Bool(*bool),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Go::from(number),
            None => Go::from(number.as_f64().unwrap()),
        },
        Value::String(text) => Go::String(text.clone()),
        Value::Array(all) => Go::Array(all.iter().map(go).collect()),
        Value::Object(fields) => Go::Object(
            fields
                .iter()
                .map(|(key, value)| (key.clone(), go(value)))
                .collect(),
        ),
    }
}

/// The same back, for `toYaml`.
fn from_go(value: &Go) -> Value {
    match value {
        Go::Bool(bool) => json!(bool),
        Go::Number(number) => match number.as_i64() {
            Some(number) => json!(number),
            None => json!(number.as_f64().unwrap()),
        },
        Go::String(text) => json!(text),
        Go::Array(all) => all.iter().map(from_go).collect(),
        Go::Object(fields) | Go::Map(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            sorted
                .into_iter()
                .map(|(key, value)| (key.clone(), from_go(value)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        _ => Value::Null,
    }
}

#[allow(
    missing_docs,
    unreachable_pub,
    reason = "the macro makes public functions; they are this test's own"
)]
mod helm {
    use gtmpl::{FuncError, gtmpl_fn};
    use sha2::{Digest as _, Sha256};

    // Helm's functions that the chart uses; any other is an error.
    gtmpl_fn!(
        fn quote(text: String) -> Result<String, FuncError> {
            Ok(format!("{text:?}"))
        }
    );
    gtmpl_fn!(
        fn indent(width: u64, text: String) -> Result<String, FuncError> {
            let blank = " ".repeat(usize::try_from(width).unwrap());
            let lines: Vec<_> = text
                .trim_end()
                .lines()
                .map(|line| format!("{blank}{line}"))
                .collect();
            Ok(lines.join("\n"))
        }
    );
    gtmpl_fn!(
        fn sha256sum(text: String) -> Result<String, FuncError> {
            Ok(Sha256::digest(text)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect())
        }
    );
}

fn to_yaml(args: &[Go]) -> Result<Go, FuncError> {
    let value = args.first().map_or(Value::Null, from_go);
    Ok(Go::String(
        serde_yaml::to_string(&value).unwrap().trim_end().to_owned(),
    ))
}

/// A template of the chart, as Helm renders it with `values` over the chart's own.
fn rendered(template: &str, values: &Value) -> String {
    let mut all = yaml(&read("chart/values.yaml"));
    merge(&mut all, values);
    let mut parsed = Template::default();
    parsed.add_func("quote", helm::quote);
    parsed.add_func("indent", helm::indent);
    parsed.add_func("sha256sum", helm::sha256sum);
    parsed.add_func("toYaml", to_yaml);
    let text = read(&format!("chart/templates/{template}.yaml"));
    // Helm keeps comments of YAML; templates do not know them.
    parsed
        .parse(text)
        .unwrap_or_else(|error| panic!("{template}: {error}"));
    let context = Context::from(go(
        &json!({"Values": all, "Release": {"Namespace": "monitoring"}}),
    ));
    parsed
        .render(&context)
        .unwrap_or_else(|error| panic!("{template}: {error}"))
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(
                    into.get_mut(key)
                        .unwrap_or_else(|| panic!("no value {key}")),
                    value,
                );
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// The objects in a text of several documents.
fn objects(text: &str) -> Vec<Value> {
    text.split("\n---")
        .map(yaml)
        .filter(|object| !object.is_null())
        .collect()
}

/// Reads an object as what Kubernetes knows it to be: every field has to be one that it has.
fn is_known(object: &Value) {
    fn typed<T: serde::de::DeserializeOwned + serde::Serialize>(object: &Value) -> Value {
        let known: T = serde_json::from_value(object.clone())
            .unwrap_or_else(|error| panic!("{error}: {object:#}"));
        serde_json::to_value(known).unwrap()
    }
    let kind = format!(
        "{}/{}",
        object["apiVersion"].as_str().unwrap(),
        object["kind"].as_str().unwrap()
    );
    let again = match kind.as_str() {
        "v1/ServiceAccount" => typed::<ServiceAccount>(object),
        "v1/ConfigMap" => typed::<ConfigMap>(object),
        "v1/Service" => typed::<Service>(object),
        "apps/v1/DaemonSet" => typed::<DaemonSet>(object),
        "apps/v1/Deployment" => typed::<Deployment>(object),
        "policy/v1/PodDisruptionBudget" => typed::<PodDisruptionBudget>(object),
        "networking.k8s.io/v1/NetworkPolicy" => typed::<NetworkPolicy>(object),
        "rbac.authorization.k8s.io/v1/ClusterRole" => typed::<ClusterRole>(object),
        "rbac.authorization.k8s.io/v1/ClusterRoleBinding" => typed::<ClusterRoleBinding>(object),
        "rbac.authorization.k8s.io/v1/Role" => typed::<Role>(object),
        "rbac.authorization.k8s.io/v1/RoleBinding" => typed::<RoleBinding>(object),
        other => panic!("{other} is none of the kinds that this test knows"),
    };
    assert_eq!(object, &again, "a field is unknown to Kubernetes");
}

const ON: &str = "{node: {enabled: true}, gateway: {enabled: true}}";

#[test]
fn the_manifests_are_the_chart_with_its_defaults() {
    for (template, what) in [
        ("node", "The agent on every node"),
        ("gateway", "The gateway"),
    ] {
        let text = format!(
            "# {what}: the chart with its defaults. Change the image and the addresses of the backends.\n{}\n",
            rendered(template, &yaml(ON)).trim()
        );
        expect_file![deploy().join(format!("manifests/{template}.yaml"))].assert_eq(&text);
    }
}

#[test]
fn kubernetes_knows_every_field() {
    let mut seen = BTreeSet::new();
    for template in ["node", "gateway", "rbac"] {
        for rbac in [false, true] {
            let all: serde_json::Map<_, _> = yaml(&read("chart/values.yaml"))["rbac"]
                .as_object()
                .unwrap()
                .keys()
                .map(|key| (key.clone(), json!(rbac)))
                .collect();
            let mut values = yaml(ON);
            values["rbac"] = all.into();
            values["node"]["capabilities"] = json!(if rbac { vec!["SYS_PTRACE"] } else { vec![] });
            let text = rendered(template, &values);
            for object in objects(&text) {
                is_known(&object);
                seen.insert(object["kind"].as_str().unwrap().to_owned());
                if object["kind"] == "DaemonSet" {
                    let pod = &object["spec"]["template"]["spec"];
                    // A token only for those that ask.
                    assert_eq!(pod["automountServiceAccountToken"], json!(rbac));
                    let security = &pod["containers"][0]["securityContext"];
                    assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
                    assert_eq!(security["capabilities"].get("add").is_some(), rbac);
                    assert_eq!(security["readOnlyRootFilesystem"], json!(true));
                    assert_eq!(security["allowPrivilegeEscalation"], json!(false));
                }
            }
        }
    }
    assert_eq!(seen.len(), 11, "{seen:?}");
}

/// Each permission on its own is the one that its component is documented to need, and none is given unasked.
#[test]
fn permissions_are_given_one_by_one() {
    assert_eq!(rendered("rbac", &json!({})).trim(), "");
    for (value, resource) in [
        ("k8sAttributes", "replicasets"),
        ("kubeletStats", "nodes/stats"),
        ("scrape", "endpointslices"),
        ("events", "events"),
        ("podLogs", "pods/log"),
        ("observer", "ingresses"),
        ("leaderElection", "leases"),
    ] {
        let text = rendered("rbac", &json!({"rbac": {value: true}}));
        let rules: Vec<Value> = objects(&text)
            .into_iter()
            .filter_map(|object| object.get("rules").cloned())
            .flat_map(|rules| rules.as_array().unwrap().clone())
            .collect();
        let resources: BTreeSet<_> = rules
            .iter()
            .flat_map(|rule| rule["resources"].as_array().unwrap())
            .map(|resource| resource.as_str().unwrap().to_owned())
            .collect();
        assert!(resources.contains(resource), "{value}: {resources:?}");
        let verbs: BTreeSet<_> = rules
            .iter()
            .flat_map(|rule| rule["verbs"].as_array().unwrap())
            .map(|verb| verb.as_str().unwrap().to_owned())
            .collect();
        let writes = ["create", "update", "patch", "delete", "*"];
        assert_eq!(
            writes.iter().any(|verb| verbs.contains(*verb)),
            value == "leaderElection",
            "{value}: {verbs:?}"
        );
        assert!(
            !resources.contains("*") && !resources.contains("secrets"),
            "{value}"
        );
    }
}

#[test]
fn the_configurations_are_valid() {
    for template in ["node", "gateway"] {
        let text = read(&format!("manifests/{template}.yaml"));
        let config = objects(&text)
            .into_iter()
            .find(|object| object["kind"] == "ConfigMap")
            .unwrap()["data"]["corten.yaml"]
            .as_str()
            .unwrap()
            .to_owned();
        let (status, stdout, stderr) = Command::new()
            .arg("validate")
            .arg("--config")
            .arg(format!("yaml:{config}"))
            .env("LISTEN", "127.0.0.1")
            .env("LOKI_URL", "http://loki:3100")
            .env("TEMPO_ENDPOINT", "tempo:4317")
            .env("BACKEND_ENDPOINT", "tempo:4317")
            .output();
        assert!(status.success(), "{template}: {stdout}{stderr}");
        assert!(!stderr.contains("warning"), "{template}: {stderr}");
    }
}

/// The pod that the API server would make of a workload's template, on this machine: its ports are those of `server`.
fn pod_of(workload: &Value, name: &str, port: u16) -> Value {
    let mut pod = workload["spec"]["template"].clone();
    pod["metadata"]["name"] = name.into();
    pod["metadata"]["namespace"] = "monitoring".into();
    pod["metadata"]["uid"] = name.into();
    pod["spec"]["nodeName"] = "node-1".into();
    for own in pod["spec"]["containers"][0]["ports"]
        .as_array_mut()
        .unwrap()
    {
        own["containerPort"] = port.into();
    }
    pod["status"] = json!({"phase": "Running", "podIP": "127.0.0.1"});
    pod
}

/// The scrape jobs are Prometheus's to read; Corten reads the same, so that they are shown to find the pods of the manifests.
#[test]
fn the_scrape_jobs_find_the_agents() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let page = runtime.block_on(http_server(|asked| {
        let path = asked.path().to_owned();
        Reply::ok(format!("# TYPE asked gauge\nasked{{path=\"{path}\"}} 1\n"))
    }));
    let cluster = Cluster::new().with("/api/v1/pods");
    for (template, kind) in [("node", "DaemonSet"), ("gateway", "Deployment")] {
        let text = read(&format!("manifests/{template}.yaml"));
        let workload = objects(&text)
            .into_iter()
            .find(|object| object["kind"] == kind);
        cluster.put(
            "/api/v1/pods",
            pod_of(&workload.unwrap(), template, page.port()),
        );
    }
    let other = json!({"metadata": {"name": "web", "namespace": "shop"},
        "spec": {"nodeName": "node-1", "containers": [{"name": "web", "ports": [{"name": "metrics", "containerPort": page.port()}]}]},
        "status": {"podIP": "127.0.0.1"}});
    cluster.put("/api/v1/pods", other);
    let address = runtime.block_on(http_server(move |asked| {
        let missing = || Reply::Whole(404, "{}".to_owned());
        cluster.answer(&asked).unwrap_or_else(missing)
    }));
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("kubeconfig");
    std::fs::write(&config, kubeconfig(address, None)).unwrap();
    let mut jobs = yaml(&read("prometheus/scrape.yaml"));
    for job in jobs["scrape_configs"].as_array_mut().unwrap() {
        job["kubernetes_sd_configs"][0]["kubeconfig_file"] = config.display().to_string().into();
        job["scrape_interval"] = "200ms".into();
    }
    let port = free_port();
    let agent = Command::yaml(
        &json!({
            "receivers": {"prometheus": {"config": jobs}},
            "exporters": {"prometheus": {"endpoint": format!("127.0.0.1:{port}")}},
            "service": {"pipelines": {"metrics": {"receivers": ["prometheus"], "exporters": ["prometheus"]}}},
        })
        .to_string(),
    )
    .start();
    let expected: BTreeSet<String> = [
        "alloy node-1 /api/v0/component/prometheus.exporter.unix.system/metrics",
        "cadvisor node-1 /metrics/cadvisor",
        "corten gateway /metrics",
        "corten node /metrics",
    ]
    .map(str::to_owned)
    .into();
    let found = || -> BTreeSet<String> {
        let page = scrape(port, "/metrics");
        let asked = page
            .samples
            .into_iter()
            .filter(|(name, ..)| name == "asked");
        asked
            .map(|(_, labels, _)| {
                let of = |name: &str| labels.get(name).map_or("", String::as_str);
                let who = match of("pod") {
                    "" => of("service_instance_id"),
                    pod => pod,
                };
                format!("{} {who} {}", of("service_name"), of("path"))
            })
            .collect()
    };
    wait_for("every job's targets", Duration::from_secs(20), || {
        let found = found();
        assert!(found.is_subset(&expected), "{found:?}");
        (found == expected).then_some(())
    });
    assert!(agent.stop().success());
}

#[test]
fn alerts_fire_and_are_quiet() {
    let rules = yaml(&read("prometheus/alerts.yaml"));
    let names: BTreeSet<_> = rules["groups"][0]["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["alert"].as_str().unwrap().to_owned())
        .collect();
    // Each of them is shown both ways.
    let tests = yaml(&read("prometheus/alerts_test.yaml"));
    for outcome in ["fires", "is quiet"] {
        let shown: BTreeSet<_> = tests["tests"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|test| test["name"].as_str()?.strip_suffix(outcome))
            .map(|name| name.trim().to_owned())
            .collect();
        assert_eq!(shown, names, "{outcome}");
    }
    let output = std::process::Command::new(peer(Peer::Promtool))
        .args(["test", "rules", "alerts_test.yaml"])
        .current_dir(deploy().join("prometheus"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// What is asked for in PromQL is what some source file makes, or a family of the goldens.
#[test]
fn alerts_and_dashboards_ask_for_what_there_is() {
    let mut known = String::new();
    for golden in [
        "receivers/node_exporter/tests/fixtures/golden.txt",
        "receivers/node_exporter/tests/dashboards.txt",
    ] {
        known.push_str(&std::fs::read_to_string(repository().join(golden)).unwrap());
    }
    // What an agent tells of itself from its beginning.
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let _agent = Command::yaml(&format!(
        "{{receivers: {{file_log: {{include: ['{0}/*.log'], storage: file_storage}}}}, exporters: {{loki: {{endpoint: 'http://127.0.0.1:9/loki/api/v1/push'}}}}, \
         extensions: {{admin: {{endpoint: '127.0.0.1:{port}'}}, file_storage: {{directory: '{0}/state', create_directory: true}}}}, \
         service: {{extensions: [admin, file_storage], pipelines: {{logs: {{receivers: [file_log], exporters: [loki]}}}}}}}}",
        folder.path().display()
    ))
    .start();
    for name in scrape(port, "/metrics").types.keys() {
        known.push_str(&format!("{name}\n"));
    }
    for folder in ["receivers/container_metrics/src", "delivery/src"] {
        sources(&repository().join(folder), &mut known);
    }
    // The names that are put together while running.
    for items in ["log_records", "spans", "metric_points"] {
        for what in ["sent", "send_failed"] {
            known.push_str(&format!("otelcol_exporter_{what}_{items}\n"));
        }
    }
    let mut asked = 0;
    let mut check = |place: &str, text: &str| {
        for name in names(text) {
            asked += 1;
            let is_known = known.match_indices(&name).any(|(at, _)| {
                let after = known.as_bytes().get(at + name.len());
                !after.is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'_')
            });
            assert!(is_known, "{place} asks for {name}, which nothing makes");
        }
    };
    check("alerts.yaml", &read("prometheus/alerts.yaml"));
    let mut dashboards = 0;
    for file in std::fs::read_dir(deploy().join("dashboards")).unwrap() {
        let path = file.unwrap().path();
        let dashboard: Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let place = path.display().to_string();
        assert_eq!(
            path.file_stem().unwrap().to_str(),
            dashboard["uid"].as_str()
        );
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                check(&place, target["expr"].as_str().unwrap());
            }
        }
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            check(&place, variable["query"].as_str().unwrap());
        }
        dashboards += 1;
    }
    assert_eq!(dashboards, 4);
    assert!(asked > 50, "{asked}");
}

/// The names of our families in `text`.
fn names(text: &str) -> BTreeSet<String> {
    text.split(|next: char| !next.is_ascii_alphanumeric() && next != '_')
        .filter(|word| {
            ["node_", "container_", "otelcol_", "corten_"]
                .iter()
                .any(|prefix| word.starts_with(prefix))
        })
        .map(str::to_owned)
        .collect()
}

fn sources(folder: &std::path::Path, into: &mut String) {
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else {
            into.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}
