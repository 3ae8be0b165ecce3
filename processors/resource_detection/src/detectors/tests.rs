//! Every detector against a scripted service over real HTTP, its own environment and its own files.

mod clouds;

use std::collections::HashMap;
use std::net::SocketAddr;

use corten_component::{Health, Kind};
use corten_pdata::AnyValue;
use corten_testing::{Asked, Reply, context_with, http_server, kubeconfig};

use super::*;

/// A request that is answered: the method and the target, the header that has to be there, and the answer.
type Route = (&'static str, (&'static str, &'static str), &'static str);

const NONE: (&str, &str) = ("", "");

/// A service that knows these requests and no others.
async fn service(routes: &'static [Route]) -> SocketAddr {
    http_server(move |asked: Asked| {
        let line = format!("{} {}", asked.method, asked.target);
        let found = routes.iter().find(|(target, (header, value), _)| {
            *target == line && (header.is_empty() || asked.header(header) == *value)
        });
        match found {
            Some((.., body)) => Reply::ok(*body),
            None => Reply::Whole(404, line),
        }
    })
    .await
}

/// Detectors with settings, an environment and a root of their own.
fn detectors(yaml: &str, variables: &[(&'static str, &'static str)], root: &str) -> Detectors {
    let config: Config = corten_config::from_str(yaml).unwrap();
    let cx = context_with(Kind::Processor, "resource_detection", &[], &Health::new());
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    Detectors {
        variables: Box::new(move |name| variables.get(name).map(|text| (*text).to_owned())),
        root: root.into(),
        ..Detectors::new(&cx, &config).unwrap()
    }
}

/// As texts; a list is its texts between commas.
fn shown(found: &Found) -> BTreeMap<String, String> {
    let text = |value: &OwnedValue| match value.get() {
        AnyValue::Array(all) => {
            let texts: Vec<_> = all.iter().filter_map(|text| text.as_str()).collect();
            format!("[{}]", texts.join(", "))
        }
        text => text.as_str().unwrap().to_owned(),
    };
    found
        .iter()
        .map(|(key, value)| (key.clone(), text(value)))
        .collect()
}

fn pairs(wanted: &[(&str, &str)]) -> BTreeMap<String, String> {
    wanted
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// What a detector finds at a service with these answers. `{}` in the settings is the service's address.
async fn found(
    name: &str,
    routes: &'static [Route],
    yaml: &str,
    variables: &[(&'static str, &'static str)],
) -> Result<BTreeMap<String, String>, Failure> {
    let address = service(routes).await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    std::fs::write(&config, kubeconfig(address, None)).unwrap();
    let yaml = yaml
        .replace("{address}", &address.to_string())
        .replace("{kubeconfig}", &config.display().to_string());
    let detectors = detectors(&yaml, variables, "/nowhere");
    let found = detectors.detect(detector(name).unwrap()).await?;
    // What is told is among what can be turned off, but for what has no fixed name.
    let free = [
        "ec2.tag.",
        "azure.tag.",
        "gcp.gce.instance.labels.",
        "openstack.nova.meta.",
        "rack",
    ];
    for key in found.keys() {
        let known = detector(name).unwrap().attributes;
        let listed = known.iter().any(|(own, _)| own == key);
        assert!(
            listed || free.iter().any(|prefix| key.starts_with(prefix)),
            "{key}"
        );
    }
    Ok(shown(&found))
}

const IMDS: [Route; 6] = [
    (
        "PUT /latest/api/token",
        ("x-aws-ec2-metadata-token-ttl-seconds", "60"),
        "secret",
    ),
    (
        "GET /latest/dynamic/instance-identity/document",
        ("x-aws-ec2-metadata-token", "secret"),
        r#"{"accountId": "4711", "availabilityZone": "eu-west-1b", "region": "eu-west-1", "imageId": "ami-1", "instanceId": "i-1", "instanceType": "m7g.large", "ramdiskId": null}"#,
    ),
    (
        "GET /latest/meta-data/hostname",
        ("x-aws-ec2-metadata-token", "secret"),
        "ip-10-0-0-1.ec2.internal\n",
    ),
    (
        "GET /latest/meta-data/tags/instance",
        ("x-aws-ec2-metadata-token", "secret"),
        "Name\nteam\naws:eks:cluster-name\nodd key",
    ),
    (
        "GET /latest/meta-data/tags/instance/team",
        ("x-aws-ec2-metadata-token", "secret"),
        "blue",
    ),
    (
        "GET /latest/meta-data/tags/instance/aws:eks:cluster-name",
        ("x-aws-ec2-metadata-token", "secret"),
        "shop",
    ),
];

#[tokio::test]
async fn amazons_machines_have_tags() {
    static ROUTES: [Route; 6] = IMDS;
    let yaml = "ec2: {endpoint: 'http://{address}/', tags: ['^team$', odd], resource_attributes: {host.name: {enabled: false}}}";
    let seen = found("ec2", &ROUTES, yaml, &[]).await.unwrap();
    let wanted = pairs(&[
        ("cloud.provider", "aws"),
        ("cloud.platform", "aws_ec2"),
        ("cloud.account.id", "4711"),
        ("cloud.availability_zone", "eu-west-1b"),
        ("cloud.region", "eu-west-1"),
        ("host.id", "i-1"),
        ("host.image.id", "ami-1"),
        ("host.type", "m7g.large"),
        ("ec2.tag.team", "blue"),
    ]);
    assert_eq!(seen, wanted);
    // Tags that may not be read cost themselves alone.
    static WITHOUT: [Route; 3] = [IMDS[0], IMDS[1], IMDS[2]];
    let yaml = "ec2: {endpoint: 'http://{address}', tags: [team]}";
    let seen = found("ec2", &WITHOUT, yaml, &[]).await.unwrap();
    assert_eq!(seen["host.id"], "i-1");
}

#[tokio::test]
async fn amazons_tasks_name_their_logs() {
    static ROUTES: [Route; 2] = [
        (
            "GET /v4/1/task",
            NONE,
            r#"{"Cluster": "shop", "TaskARN": "arn:aws:ecs:eu-west-1:4711:task/shop/0123", "Family": "cart", "Revision": "7", "AvailabilityZone": "eu-west-1b", "LaunchType": "FARGATE",
                "Containers": [
                    {"DockerId": "own", "Type": "NORMAL", "KnownStatus": "RUNNING", "LogDriver": "awslogs", "LogOptions": {"awslogs-group": "x", "awslogs-region": "eu-west-1", "awslogs-stream": "y"}},
                    {"DockerId": "a", "Type": "NORMAL", "KnownStatus": "RUNNING", "LogDriver": "awslogs", "LogOptions": {"awslogs-group": "/cart", "awslogs-region": "eu-west-1", "awslogs-stream": "cart/1"}},
                    {"DockerId": "b", "Type": "NORMAL", "KnownStatus": "STOPPED", "LogDriver": "awslogs", "LogOptions": {"awslogs-group": "z"}},
                    {"DockerId": "c", "Type": "NORMAL", "KnownStatus": "RUNNING", "LogDriver": null, "LogOptions": null}]}"#,
        ),
        ("GET /v4/1", NONE, r#"{"DockerId": "own"}"#),
    ];
    let yaml = "ecs: {endpoint: 'http://{address}/v4/1'}";
    let seen = found("ecs", &ROUTES, yaml, &[]).await.unwrap();
    let wanted = pairs(&[
        ("cloud.provider", "aws"),
        ("cloud.platform", "aws_ecs"),
        ("cloud.account.id", "4711"),
        ("cloud.availability_zone", "eu-west-1b"),
        ("cloud.region", "eu-west-1"),
        (
            "aws.ecs.cluster.arn",
            "arn:aws:ecs:eu-west-1:4711:cluster/shop",
        ),
        (
            "aws.ecs.task.arn",
            "arn:aws:ecs:eu-west-1:4711:task/shop/0123",
        ),
        ("aws.ecs.task.id", "0123"),
        ("aws.ecs.task.family", "cart"),
        ("aws.ecs.task.revision", "7"),
        ("aws.ecs.launchtype", "fargate"),
        ("aws.log.group.names", "[/cart]"),
        (
            "aws.log.group.arns",
            "[arn:aws:logs:eu-west-1:4711:log-group:/cart]",
        ),
        ("aws.log.stream.names", "[cart/1]"),
        (
            "aws.log.stream.arns",
            "[arn:aws:logs:eu-west-1:4711:log-group:/cart:log-stream:cart/1]",
        ),
    ]);
    assert_eq!(seen, wanted);
    let nobody = found("ecs", &[], "{}", &[]).await.unwrap_err();
    assert!(
        nobody
            .to_string()
            .contains("ECS_CONTAINER_METADATA_URI_V4 is not set")
    );
    let gone = [("ECS_CONTAINER_METADATA_URI", "http://127.0.0.1:1/v3")];
    let gone = found("ecs", &[], "{}", &gone).await.unwrap_err();
    assert!(gone.to_string().contains("127.0.0.1:1"), "{gone}");
}

#[tokio::test]
async fn amazons_clusters_say_so_in_their_version() {
    const VERSION: Route = (
        "GET /version",
        NONE,
        r#"{"gitVersion": "v1.33.1-eks-0123"}"#,
    );
    static ROUTES: [Route; 7] = [
        IMDS[0], IMDS[1], IMDS[2], IMDS[3], IMDS[4], IMDS[5], VERSION,
    ];
    let yaml = "eks: {endpoint: 'http://{address}', auth_type: kubeConfig, kubeconfig_path: '{kubeconfig}'";
    let seen = found("eks", &ROUTES, &format!("{yaml}}}"), &[])
        .await
        .unwrap();
    let few = [("cloud.provider", "aws"), ("cloud.platform", "aws_eks")];
    assert_eq!(seen, pairs(&few));
    let all = [
        "host.id",
        "cloud.region",
        "cloud.availability_zone",
        "k8s.cluster.name",
    ];
    let all: Vec<_> = all
        .iter()
        .map(|name| format!("{name}: {{enabled: true}}"))
        .collect();
    let yaml = format!("{yaml}, resource_attributes: {{{}}}}}", all.join(", "));
    let seen = found("eks", &ROUTES, &yaml, &[]).await.unwrap();
    let mut wanted = pairs(&few);
    wanted.extend(pairs(&[
        ("host.id", "i-1"),
        ("cloud.region", "eu-west-1"),
        ("cloud.availability_zone", "eu-west-1b"),
        ("k8s.cluster.name", "shop"),
    ]));
    assert_eq!(seen, wanted);
    // Pods that cannot reach the instance's metadata ask for the node.
    static HIDDEN: [Route; 2] = [
        VERSION,
        (
            "GET /api/v1/nodes/n",
            NONE,
            r#"{"spec": {"providerID": "aws:///us-east-2a/i-7"}}"#,
        ),
    ];
    let seen = found("eks", &HIDDEN, &yaml, &[("K8S_NODE_NAME", "n")])
        .await
        .unwrap();
    assert_eq!(
        (&*seen["host.id"], &*seen["cloud.region"]),
        ("i-7", "us-east-2")
    );
    static OTHER: [Route; 1] = [("GET /version", NONE, r#"{"gitVersion": "v1.33.1"}"#)];
    let other = found("eks", &OTHER, &yaml, &[]).await.unwrap_err();
    assert!(other.to_string().contains("no cluster of EKS"));
}

#[tokio::test]
async fn functions_and_dynos_say_so_in_their_environment() {
    let lambda = [
        ("AWS_LAMBDA_FUNCTION_NAME", "cart"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "7"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/cart"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/[7]x"),
        ("AWS_REGION", "eu-west-1"),
    ];
    let heroku = [
        ("HEROKU_DYNO_ID", "d-1"),
        ("HEROKU_APP_ID", "a-1"),
        ("HEROKU_APP_NAME", "cart"),
        ("HEROKU_RELEASE_CREATED_AT", "then"),
        ("HEROKU_RELEASE_VERSION", "v7"),
        ("HEROKU_SLUG_COMMIT", "0123"),
    ];
    let app = [
        ("CONTAINER_APP_NAME", "cart"),
        ("CONTAINER_APP_REPLICA_NAME", "cart--1"),
    ];
    for (name, variables, wanted) in [
        (
            "lambda",
            &lambda[..],
            pairs(&[
                ("cloud.provider", "aws"),
                ("cloud.platform", "aws_lambda"),
                ("cloud.region", "eu-west-1"),
                ("faas.name", "cart"),
                ("faas.version", "7"),
                ("faas.instance", "2026/[7]x"),
                ("faas.max_memory", "128"),
                ("aws.log.group.names", "[/cart]"),
                ("aws.log.stream.names", "[2026/[7]x]"),
            ]),
        ),
        (
            "heroku",
            &heroku[..],
            pairs(&[
                ("cloud.provider", "heroku"),
                ("heroku.app.id", "a-1"),
                ("heroku.dyno.id", "d-1"),
                ("heroku.release.commit", "0123"),
                ("heroku.release.creation_timestamp", "then"),
                ("service.instance.id", "d-1"),
                ("service.name", "cart"),
                ("service.version", "v7"),
            ]),
        ),
        (
            "azurecontainerapps",
            &app[..],
            pairs(&[
                ("cloud.provider", "azure"),
                ("cloud.platform", "azure.container_apps"),
                ("service.name", "cart"),
                ("azure.container_app.instance.id", "cart--1"),
            ]),
        ),
    ] {
        assert_eq!(found(name, &[], "{}", variables).await.unwrap(), wanted);
        let elsewhere = found(name, &[], "{}", &[]).await.unwrap_err().to_string();
        assert!(elsewhere.contains("set"), "{elsewhere}");
    }
}

#[tokio::test]
async fn files_say_what_their_owners_know() {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in [
        (
            "var/lib/dynatrace/enrichment/dt_host_metadata.properties",
            "dt.entity.host=HOST-1\nhost.name=web\nother=x\n",
        ),
        (
            "var/elasticbeanstalk/xray/environment.conf",
            r#"{"deployment_id": 7, "environment_name": "prod", "version_label": "v1"}"#,
        ),
    ] {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    for (name, wanted) in [
        (
            "dynatrace",
            pairs(&[("dt.entity.host", "HOST-1"), ("host.name", "web")]),
        ),
        (
            "elasticbeanstalk",
            pairs(&[
                ("cloud.provider", "aws"),
                ("cloud.platform", "aws_elastic_beanstalk"),
                ("deployment.environment", "prod"),
                ("service.instance.id", "7"),
                ("service.version", "v1"),
            ]),
        ),
    ] {
        let detectors_here = detectors("{}", &[], folder.path().to_str().unwrap());
        let found = detectors_here
            .detect(detector(name).unwrap())
            .await
            .unwrap();
        assert_eq!(shown(&found), wanted);
        let nowhere = detectors("{}", &[], "/nowhere");
        assert!(nowhere.detect(detector(name).unwrap()).await.is_err());
    }
}

#[tokio::test]
async fn microsofts_machines_have_tags_and_its_clusters_names() {
    static ROUTES: [Route; 1] = [(
        "GET /metadata/instance/compute?api-version=2020-09-01&format=json",
        ("metadata", "True"),
        r#"{"location": "westeurope", "name": "vm-1", "vmId": "02aab8a4", "vmSize": "Standard_A3", "subscriptionId": "8d10da13", "resourceGroupName": "MC_shop_blue_westeurope",
            "vmScaleSetName": "", "zone": "2", "tagsList": [{"name": "team", "value": "blue"}, {"name": "other", "value": "x"}]}"#,
    )];
    let yaml = "azure: {endpoint: 'http://{address}', tags: [team], resource_attributes: {cloud.availability_zone: {enabled: true}}}";
    let seen = found("azure", &ROUTES, yaml, &[]).await.unwrap();
    assert_eq!(seen["azure.tag.team"], "blue");
    assert_eq!(seen["cloud.availability_zone"], "2");
    assert!(!seen.contains_key("azure.tag.other"));
    let yaml = "aks: {endpoint: 'http://{address}', resource_attributes: {k8s.cluster.name: {enabled: true}}}";
    let pod = [("KUBERNETES_SERVICE_HOST", "10.0.0.1")];
    let seen = found("aks", &ROUTES, yaml, &pod).await.unwrap();
    let wanted = [
        ("cloud.provider", "azure"),
        ("cloud.platform", "azure.aks"),
        ("k8s.cluster.name", "blue"),
    ];
    assert_eq!(seen, pairs(&wanted));
    assert!(found("aks", &ROUTES, yaml, &[]).await.is_err());
}

#[tokio::test]
async fn googles_machines_have_labels_and_its_functions_none() {
    static MACHINE: [Route; 3] = [
        (
            "GET /computeMetadata/v1/?recursive=true",
            ("metadata-flavor", "Google"),
            r#"{"project": {"projectId": "shop"}, "instance": {"id": 7, "name": "web", "zone": "projects/1/zones/europe-west1-b", "attributes": {"created-by": "projects/1/zones/europe-west1-b/instanceGroupManagers/group"}}}"#,
        ),
        (
            "GET /computeMetadata/v1/instance/service-accounts/default/token",
            ("metadata-flavor", "Google"),
            r#"{"access_token": "secret", "expires_in": 3599}"#,
        ),
        (
            "GET /compute/v1/projects/shop/zones/europe-west1-b/instances/web?fields=labels",
            ("authorization", "Bearer secret"),
            r#"{"labels": {"team": "blue", "other": "x"}}"#,
        ),
    ];
    let yaml =
        "gcp: {endpoint: 'http://{address}', api_endpoint: 'http://{address}', labels: [team]}";
    let seen = found("gcp", &MACHINE, yaml, &[]).await.unwrap();
    let wanted = pairs(&[
        ("cloud.provider", "gcp"),
        ("cloud.platform", "gcp.compute_engine"),
        ("cloud.account.id", "shop"),
        ("cloud.availability_zone", "europe-west1-b"),
        ("cloud.region", "europe-west1"),
        ("gcp.gce.instance.labels.team", "blue"),
        ("gcp.gce.instance_group_manager.name", "group"),
        ("gcp.gce.instance_group_manager.zone", "europe-west1-b"),
        ("host.id", "7"),
        ("host.name", "web"),
    ]);
    assert_eq!(seen, wanted);
    // Labels that may not be read cost themselves alone.
    static WITHOUT: [Route; 1] = [MACHINE[0]];
    let seen = found("gcp", &WITHOUT, yaml, &[]).await.unwrap();
    assert_eq!(seen["host.id"], "7");

    static SERVERLESS: [Route; 1] = [(
        "GET /computeMetadata/v1/?recursive=true",
        ("metadata-flavor", "Google"),
        r#"{"project": {"projectId": "shop"}, "instance": {"id": "0087", "region": "projects/1/regions/europe-west1", "zone": "projects/1/zones/europe-west1-1"}}"#,
    )];
    let run = [
        ("K_CONFIGURATION", "cart"),
        ("K_SERVICE", "cart"),
        ("K_REVISION", "cart-7"),
    ];
    let function = [
        ("FUNCTION_TARGET", "f"),
        ("K_CONFIGURATION", "f"),
        ("K_SERVICE", "f"),
        ("K_REVISION", "3"),
    ];
    let job = [
        ("CLOUD_RUN_JOB", "backup"),
        ("CLOUD_RUN_EXECUTION", "backup-x7"),
        ("CLOUD_RUN_TASK_INDEX", "0"),
    ];
    let app = [
        ("GAE_SERVICE", "cart"),
        ("GAE_VERSION", "v1"),
        ("GAE_INSTANCE", "i-1"),
    ];
    for (variables, own) in [
        (
            &run[..],
            pairs(&[
                ("cloud.platform", "gcp.cloud_run"),
                ("faas.name", "cart"),
                ("faas.version", "cart-7"),
                ("faas.instance", "0087"),
            ]),
        ),
        (
            &function[..],
            pairs(&[
                ("cloud.platform", "gcp.cloud_functions"),
                ("faas.name", "f"),
                ("faas.version", "3"),
                ("faas.instance", "0087"),
            ]),
        ),
        (
            &job[..],
            pairs(&[
                ("cloud.platform", "gcp.cloud_run"),
                ("faas.name", "backup"),
                ("faas.instance", "0087"),
                ("gcp.cloud_run.job.execution", "backup-x7"),
                ("gcp.cloud_run.job.task_index", "0"),
            ]),
        ),
        (
            &app[..],
            pairs(&[
                ("cloud.platform", "gcp.app_engine"),
                ("cloud.availability_zone", "europe-west1-1"),
                ("faas.name", "cart"),
                ("faas.version", "v1"),
                ("faas.instance", "i-1"),
            ]),
        ),
    ] {
        let mut wanted = pairs(&[
            ("cloud.provider", "gcp"),
            ("cloud.account.id", "shop"),
            ("cloud.region", "europe-west1"),
        ]);
        wanted.extend(own);
        assert_eq!(
            found("gcp", &SERVERLESS, yaml, variables).await.unwrap(),
            wanted
        );
    }
}

#[tokio::test]
async fn clusters_are_asked_through_the_api_server() {
    const SYSTEM: Route = (
        "GET /api/v1/namespaces/kube-system",
        NONE,
        r#"{"metadata": {"name": "kube-system", "uid": "c-1"}}"#,
    );
    const NODE: Route = (
        "GET /api/v1/nodes/n",
        NONE,
        r#"{"metadata": {"name": "n", "uid": "n-1"}}"#,
    );
    static ROUTES: [Route; 4] = [
        SYSTEM,
        NODE,
        (
            "GET /api/v1/namespaces/kube-system/configmaps/kubeadm-config",
            NONE,
            r#"{"data": {"ClusterConfiguration": "apiVersion: kubeadm.k8s.io/v1beta4\nclusterName: blue\n"}}"#,
        ),
        (
            "GET /apis/config.openshift.io/v1/infrastructures/cluster/status",
            NONE,
            r#"{"status": {"infrastructureName": "shop-x7", "platformStatus": {"type": "AWS", "aws": {"region": "EU-west-1"}}}}"#,
        ),
    ];
    let auth = "{auth_type: kubeConfig, kubeconfig_path: '{kubeconfig}'}";
    for (name, wanted) in [
        (
            "k8s_api",
            pairs(&[
                ("k8s.cluster.uid", "c-1"),
                ("k8s.node.name", "n"),
                ("k8s.node.uid", "n-1"),
            ]),
        ),
        (
            "kubeadm",
            pairs(&[("k8s.cluster.name", "blue"), ("k8s.cluster.uid", "c-1")]),
        ),
        (
            "openshift",
            pairs(&[
                ("cloud.provider", "aws"),
                ("cloud.platform", "aws_openshift"),
                ("cloud.region", "eu-west-1"),
                ("k8s.cluster.name", "shop-x7"),
            ]),
        ),
    ] {
        let variables = [("K8S_NODE_NAME", "n")];
        let seen = found(name, &ROUTES, &format!("{name}: {auth}"), &variables).await;
        assert_eq!(seen.unwrap(), wanted, "{name}");
    }
    // A Role that does not show the cluster's uid costs that alone.
    static NODE_ALONE: [Route; 1] = [NODE];
    let yaml = format!("k8s_api: {auth}");
    let seen = found("k8s_api", &NODE_ALONE, &yaml, &[("K8S_NODE_NAME", "n")]).await;
    assert_eq!(
        seen.unwrap(),
        pairs(&[("k8s.node.name", "n"), ("k8s.node.uid", "n-1")])
    );
    // Another cluster's API server, with a token.
    static OTHER: [Route; 1] = [(
        "GET /apis/config.openshift.io/v1/infrastructures/cluster/status",
        ("authorization", "Bearer secret"),
        r#"{"status": {"infrastructureName": "other"}}"#,
    )];
    let yaml = "openshift: {address: 'http://{address}', token: secret}";
    let seen = found("openshift", &OTHER, yaml, &[]).await.unwrap();
    assert_eq!(seen, pairs(&[("k8s.cluster.name", "other")]));
}

#[tokio::test]
async fn consul_names_what_is_asked_for() {
    static ROUTES: [Route; 1] = [(
        "GET /v1/agent/self?dc=dc%201&ns=shop",
        ("x-consul-token", "secret"),
        r#"{"Config": {"Datacenter": "dc 1", "NodeName": "web", "NodeID": "c-1"}, "Meta": {"rack": "7", "other": "x", "number": 1}}"#,
    )];
    let yaml = "consul: {address: '{address}', datacenter: dc 1, namespace: shop, meta: {rack: , number: }}";
    let variables = [("CONSUL_HTTP_TOKEN", "secret")];
    let seen = found("consul", &ROUTES, yaml, &variables).await.unwrap();
    let wanted = [
        ("cloud.region", "dc 1"),
        ("host.id", "c-1"),
        ("host.name", "web"),
        ("rack", "7"),
    ];
    assert_eq!(seen, pairs(&wanted));
    let consul = Config::default().consul;
    let own = |name: &str| (name == "CONSUL_HTTP_ADDR").then(|| "https://c:1".to_owned());
    assert_eq!(consul::endpoint(&consul, &own), "https://c:1");
    assert_eq!(
        consul::endpoint(&consul, &|_| None),
        "http://127.0.0.1:8500"
    );
}

/// Whatever a service answers in place of a document, its detector says why it has found nothing.
#[tokio::test]
async fn no_answer_is_too_odd() {
    // Where texts are asked for, a text is an answer.
    let texts = ["hetzner", "alibaba_ecs", "tencent_cvm", "ibmcloud_classic"];
    let documents = ALL
        .iter()
        .filter(|detector| !detector.endpoint.is_empty() && !texts.contains(&detector.name));
    let documents: Vec<_> = documents.collect();
    for body in ["", "null", "[7]", "{}", "\"x\"", "{\"id\": {}}", "\u{0}"] {
        let address = http_server(move |_| Reply::ok(body)).await;
        for detector in &documents {
            let yaml = format!("{}: {{endpoint: 'http://{address}'}}", detector.section);
            let pod = [("KUBERNETES_SERVICE_HOST", "x")];
            let asked = detectors(&yaml, &pod, "/nowhere").detect(detector).await;
            assert!(asked.is_err(), "{}: {body:?}", detector.name);
        }
    }
}

#[test]
fn the_environment_is_decoded() {
    let found = parse_environment("service.name=shop, a%20b = c%2Cd,").unwrap();
    assert_eq!(found["service.name"].get().as_str(), Some("shop"));
    assert_eq!(found["a b"].get().as_str(), Some("c,d"));
    assert!(
        parse_environment("lonely")
            .unwrap_err()
            .to_string()
            .contains("lonely")
    );
}

proptest::proptest! {
    #[test]
    fn no_environment_is_too_odd(text in ".{0,60}") {
        drop(parse_environment(&text));
    }
}
