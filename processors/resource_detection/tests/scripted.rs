//! Detectors against scripted clouds over real HTTP, and against nobody.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use corten_component::{Batch, Create, Health, Kind, Processor};
use corten_pdata::Data;
use corten_pdata::build::TracesBuilder;
use corten_resource_detection_processor::factory;
use corten_testing::{
    Asked, RecordingSink, Reply, conforms, context_with, decode, eventually, http_server,
};

struct Play {
    sink: Arc<RecordingSink>,
    processor: Arc<dyn Processor>,
}

impl Play {
    async fn start(yaml: &str) -> Self {
        let sink = RecordingSink::new();
        let processor = Self::before(yaml, &sink);
        Arc::clone(&processor).start().await.unwrap();
        Self { sink, processor }
    }

    fn processor(yaml: &str) -> Arc<dyn Processor> {
        Self::before(yaml, &RecordingSink::new())
    }

    fn before(yaml: &str, sink: &Arc<RecordingSink>) -> Arc<dyn Processor> {
        let prepared = decode(&factory(), yaml).unwrap_or_else(|problems| panic!("{problems}"));
        let Create::Processor(create) = prepared.create else {
            panic!("no processor");
        };
        let cx = context_with(Kind::Processor, "resource_detection", &[], &Health::new());
        create(cx, Arc::clone(sink) as _).unwrap()
    }

    /// What a resource with this name of its own has behind the processor.
    async fn resource(&self, own: &str) -> BTreeMap<String, String> {
        let mut traces = TracesBuilder::new();
        traces.resource(|resource| {
            resource.attribute_str("host.name", own);
        });
        traces.scope("", "");
        traces.span(|span| {
            span.name("x");
        });
        self.processor
            .consume(Batch::new(traces.finish()))
            .await
            .unwrap();
        let Data::Traces(traces) = self.sink.batches().pop().unwrap().data else {
            panic!("no traces");
        };
        let resource = traces.resources().next().unwrap().resource();
        let all = resource.attributes();
        all.into_iter()
            .filter_map(|attribute| {
                Some((
                    attribute.key().to_owned(),
                    attribute.value().as_str()?.to_owned(),
                ))
            })
            .collect()
    }
}

/// Every cloud at one address.
async fn clouds() -> SocketAddr {
    http_server(|asked: Asked| {
        let fits = |name, value| asked.header(name) == value;
        match (asked.method.as_str(), asked.path()) {
            ("PUT", "/latest/api/token") if fits("x-aws-ec2-metadata-token-ttl-seconds", "60") => {
                Reply::ok("secret")
            }
            (_, path) if path.starts_with("/latest/") && !fits("x-aws-ec2-metadata-token", "secret") => {
                Reply::Whole(401, String::new())
            }
            ("GET", "/latest/dynamic/instance-identity/document") => Reply::ok(
                r#"{"accountId": "4711", "availabilityZone": "eu-west-1b", "region": "eu-west-1", "imageId": "ami-1", "instanceId": "i-1", "instanceType": "m7g.large"}"#,
            ),
            ("GET", "/latest/meta-data/hostname") => Reply::ok("ip-10-0-0-1.ec2.internal"),
            ("GET", "/computeMetadata/v1/") if fits("metadata-flavor", "Google") => Reply::ok(
                r#"{"project": {"projectId": "shop"}, "instance": {"id": 7123456789012345678, "name": "web-1", "zone": "projects/1/zones/europe-west1-b", "machineType": "projects/1/machineTypes/e2-small", "attributes": {"cluster-name": "blue", "cluster-location": "europe-west1"}}}"#,
            ),
            ("GET", "/metadata/instance/compute") if fits("metadata", "True") => Reply::ok(
                r#"{"location": "westeurope", "name": "vm-1", "vmId": "02aab8a4", "vmSize": "Standard_A3", "subscriptionId": "8d10da13", "resourceGroupName": "shop", "vmScaleSetName": ""}"#,
            ),
            _ => Reply::Whole(404, String::new()),
        }
    })
    .await
}

fn holds(seen: &BTreeMap<String, String>, pairs: &[(&str, &str)]) {
    for (key, value) in pairs {
        assert_eq!(
            seen.get(*key).map(String::as_str),
            Some(*value),
            "{key} in {seen:#?}"
        );
    }
}

#[tokio::test]
async fn clouds_say_where_a_machine_is() {
    let address = clouds().await;
    for (name, pairs) in [
        (
            "ec2",
            vec![
                ("cloud.provider", "aws"),
                ("cloud.platform", "aws_ec2"),
                ("cloud.account.id", "4711"),
                ("cloud.availability_zone", "eu-west-1b"),
                ("cloud.region", "eu-west-1"),
                ("host.id", "i-1"),
                ("host.image.id", "ami-1"),
                ("host.type", "m7g.large"),
                ("host.name", "ip-10-0-0-1.ec2.internal"),
            ],
        ),
        (
            "gcp",
            vec![
                ("cloud.provider", "gcp"),
                ("cloud.platform", "gcp.kubernetes_engine"),
                ("cloud.account.id", "shop"),
                ("cloud.region", "europe-west1"),
                ("host.id", "7123456789012345678"),
                ("host.name", "web-1"),
                ("host.type", "e2-small"),
                ("k8s.cluster.name", "blue"),
            ],
        ),
        (
            "azure",
            vec![
                ("cloud.provider", "azure"),
                ("cloud.platform", "azure.vm"),
                ("cloud.account.id", "8d10da13"),
                ("cloud.region", "westeurope"),
                ("host.id", "02aab8a4"),
                ("azure.vm.name", "vm-1"),
                ("azure.vm.size", "Standard_A3"),
                ("azure.resourcegroup.name", "shop"),
            ],
        ),
    ] {
        let play = Play::start(&format!(
            "detectors: [{name}]\n{name}: {{endpoint: 'http://{address}'}}"
        ))
        .await;
        holds(&play.resource("own").await, &pairs);
    }
}

#[tokio::test]
async fn the_first_detector_wins_and_choices_are_kept() {
    let address = clouds().await;
    let play = Play::start(&format!(
        "detectors: [gcp, ec2, system]\ngcp: {{endpoint: 'http://{address}', resource_attributes: {{host.type: {{enabled: false}}}}}}\n\
         ec2: {{endpoint: 'http://{address}'}}\nsystem: {{hostname_sources: [os], resource_attributes: {{host.arch: {{enabled: true}}, os.type: {{enabled: false}}}}}}"
    ))
    .await;
    let seen = play.resource("own").await;
    holds(
        &seen,
        &[
            ("cloud.provider", "gcp"),
            ("host.name", "web-1"),
            ("host.image.id", "ami-1"),
            ("host.type", "m7g.large"),
        ],
    );
    assert!(
        seen.contains_key("host.arch") && !seen.contains_key("os.type"),
        "{seen:#?}"
    );
}

#[tokio::test]
async fn what_a_resource_has_stays_on_request() {
    let play = Play::start("detectors: [system]\noverride: false").await;
    let seen = play.resource("own").await;
    holds(&seen, &[("host.name", "own"), ("os.type", "linux")]);
    let play = Play::start("detectors: [system]").await;
    assert_ne!(play.resource("own").await["host.name"], "own");
}

/// A cloud that does not answer delays the start by the timeout at most, and costs its own attributes alone.
#[tokio::test]
async fn a_detector_that_fails_stops_nothing() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let begun = Instant::now();
    let play = Play::start(&format!(
        "detectors: [ec2, azure, docker, k8s_api, system]\ntimeout: 300ms\nec2: {{endpoint: 'http://{}'}}\nazure: {{endpoint: 'http://{gone}'}}\ndocker: {{endpoint: /nowhere}}",
        silent.local_addr().unwrap()
    ))
    .await;
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    let seen = play.resource("own").await;
    assert!(!seen.contains_key("cloud.provider"));
    holds(&seen, &[("os.type", "linux")]);
}

#[tokio::test]
async fn what_is_not_what_a_cloud_says_is_a_failure() {
    for body in ["", "{", "[]", "{\"accountId\": 7}"] {
        let answer = move |asked: Asked| {
            if asked.method == "PUT" {
                Reply::ok("secret")
            } else {
                Reply::ok(body)
            }
        };
        let address = http_server(answer).await;
        let play = Play::start(&format!(
            "detectors: [ec2]\nec2: {{endpoint: 'http://{address}'}}"
        ))
        .await;
        assert_eq!(play.resource("own").await.len(), 1, "{body}");
    }
}

/// What is detected again is used from then on.
#[tokio::test]
async fn news_are_taken_up() {
    let zone = Arc::new(std::sync::Mutex::new("a"));
    let present = Arc::clone(&zone);
    let address = http_server(move |_| {
        let zone = *present.lock().unwrap();
        Reply::ok(format!(
            r#"{{"instance": {{"zone": "z/europe-west1-{zone}"}}}}"#
        ))
    })
    .await;
    let play = Play::start(&format!(
        "detectors: [gcp]\nrefresh_interval: 20ms\ngcp: {{endpoint: 'http://{address}'}}"
    ))
    .await;
    holds(
        &play.resource("own").await,
        &[("cloud.availability_zone", "europe-west1-a")],
    );
    *zone.lock().unwrap() = "b";
    eventually("the new zone", Duration::from_secs(20), || async {
        let seen = play.resource("own").await;
        (seen["cloud.availability_zone"] == "europe-west1-b").then_some(())
    })
    .await;
}

#[test]
fn wrong_settings_are_explained() {
    for (yaml, why) in [
        (
            "detectors: [sytem]",
            "unknown detector 'sytem', did you mean 'system'?",
        ),
        (
            "detectors: [mainframe]",
            "unknown detector 'mainframe'; there are env, system",
        ),
        (
            "system: {resource_attributes: {host.nam: {enabled: false}}}",
            "system::resource_attributes: unknown attribute 'host.nam', did you mean 'host.name'?",
        ),
        ("ec2: {tags: ['(']}", "expected a regular expression"),
        ("detectors: []", "names no detector"),
        ("gcp: {endpoint: metadata}", "expected http://host:port"),
    ] {
        let problems = decode(&factory(), yaml).err().unwrap().to_string();
        assert!(problems.contains(why), "{yaml}: {problems}");
    }
}

/// Older names, detectors named twice and attributes of no fixed name are accepted.
#[tokio::test]
async fn what_the_collector_accepts_is_accepted() {
    let play = Play::start(
        "detectors: [system, system, env, env]\nk8snode: {node_from_env_var: NODE}\nenv: {resource_attributes: {my.own: {enabled: false}}}\n\
         ec2: {tags: ['.*'], tags_from_imds: false, max_attempts: 10, max_backoff: 5m}\nvultr: {fail_on_missing_metadata: true}\ndocker: {resource_attributes: {container.name: {enabled: true}}}",
    )
    .await;
    holds(&play.resource("own").await, &[("os.type", "linux")]);
}

/// Whoever insists on metadata does not start without.
#[tokio::test]
async fn a_start_without_metadata_fails_on_request() {
    let answers = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&answers);
    let address =
        http_server(
            move |_| match counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 => Reply::Whole(503, String::new()),
                _ => Reply::ok(r#"{"instance_id": "u-1", "cloud_name": "upcloud"}"#),
            },
        )
        .await;
    // A metadata service that is late.
    let play = Play::start(&format!(
        "detectors: [upcloud]\nfail_on_missing_metadata: true\ntimeout: 30s\nupcloud: {{endpoint: 'http://{address}'}}"
    ))
    .await;
    holds(&play.resource("own").await, &[("host.id", "u-1")]);
    // One that never comes, insisted on for itself; nobody insists on the other.
    let yaml = "detectors: [digitalocean, upcloud]\ntimeout: 50ms\ndigitalocean: {endpoint: 'http://127.0.0.1:1'}\n\
                upcloud: {endpoint: 'http://127.0.0.1:1', fail_on_missing_metadata: true}";
    let problem = Play::processor(yaml).start().await.unwrap_err();
    let problem = problem.to_string();
    assert!(
        problem.starts_with("upcloud found nothing within 50ms"),
        "{problem}"
    );
}

#[tokio::test]
async fn it_conforms() {
    conforms(factory(), "detectors: [env, system]").await;
}
