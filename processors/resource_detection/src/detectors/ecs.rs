//! Amazon ECS: the task metadata endpoint, version 4 or 3, whose address is in the container's environment.

use corten_pdata::AnyValue;
use corten_pdata::build::OwnedValue;
use serde::Deserialize;

use crate::detectors::service::Service;
use crate::detectors::{Attribute, Failure, Found, Variables, texts};

pub(crate) static ATTRIBUTES: [Attribute; 15] = [
    ("aws.ecs.cluster.arn", true),
    ("aws.ecs.launchtype", true),
    ("aws.ecs.task.arn", true),
    ("aws.ecs.task.family", true),
    ("aws.ecs.task.id", true),
    ("aws.ecs.task.revision", true),
    ("aws.log.group.arns", true),
    ("aws.log.group.names", true),
    ("aws.log.stream.arns", true),
    ("aws.log.stream.names", true),
    ("cloud.account.id", true),
    ("cloud.availability_zone", true),
    ("cloud.platform", true),
    ("cloud.provider", true),
    ("cloud.region", true),
];

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Task {
    cluster: String,
    #[serde(rename = "TaskARN")]
    arn: String,
    family: String,
    revision: String,
    availability_zone: String,
    launch_type: String,
    containers: Vec<Container>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Container {
    docker_id: String,
    #[serde(rename = "Type")]
    kind: String,
    known_status: String,
    log_driver: String,
    log_options: LogOptions,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LogOptions {
    #[serde(rename = "awslogs-group")]
    group: String,
    #[serde(rename = "awslogs-region")]
    region: String,
    #[serde(rename = "awslogs-stream")]
    stream: String,
}

/// Where the task is asked; a failure outside of ECS.
pub(crate) fn endpoint(variables: &Variables) -> Result<String, Failure> {
    [
        "ECS_CONTAINER_METADATA_URI_V4",
        "ECS_CONTAINER_METADATA_URI",
    ]
    .into_iter()
    .find_map(variables)
    .ok_or_else(|| "ECS_CONTAINER_METADATA_URI_V4 is not set: this is no task of ECS".into())
}

pub(crate) async fn detect(service: Service<'_>) -> Result<Found, Failure> {
    let task: Task = service.json("/task").await?;
    service.is_named(&task.arn)?;
    let own: Container = service.json("").await?;
    Ok(told(&task, &own))
}

fn told(task: &Task, own: &Container) -> Found {
    // `arn:aws:ecs:<region>:<account>:task/<cluster>/<id>`
    let mut parts = task.arn.split(':').skip(3);
    let (region, account) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let cluster = if task.cluster.contains(':') {
        task.cluster.clone()
    } else {
        format!("arn:aws:ecs:{region}:{account}:cluster/{}", task.cluster)
    };
    let id = task.arn.rsplit('/').next().unwrap_or_default();
    let launch = task.launch_type.to_lowercase();
    let mut found = texts([
        ("cloud.provider", "aws".to_owned()),
        ("cloud.platform", "aws_ecs".to_owned()),
        ("cloud.account.id", account.to_owned()),
        ("cloud.region", region.to_owned()),
        ("cloud.availability_zone", task.availability_zone.clone()),
        ("aws.ecs.cluster.arn", cluster),
        ("aws.ecs.task.arn", task.arn.clone()),
        ("aws.ecs.task.id", id.to_owned()),
        ("aws.ecs.task.family", task.family.clone()),
        ("aws.ecs.task.revision", task.revision.clone()),
        ("aws.ecs.launchtype", launch),
    ]);
    // The other containers' logs: Corten is a sidecar.
    let logs: Vec<&LogOptions> = task
        .containers
        .iter()
        .filter(|container| {
            container.kind == "NORMAL"
                && container.known_status == "RUNNING"
                && container.log_driver == "awslogs"
                && container.docker_id != own.docker_id
                && !container.log_options.group.is_empty()
        })
        .map(|container| &container.log_options)
        .collect();
    let group = |log: &LogOptions| {
        let LogOptions { region, group, .. } = log;
        format!("arn:aws:logs:{region}:{account}:log-group:{group}")
    };
    let mut list = |name: &str, of: &dyn Fn(&LogOptions) -> String| {
        let all: Vec<String> = logs.iter().map(|log| of(log)).collect();
        if !all.is_empty() {
            let values = all.iter().map(|text| AnyValue::String(text));
            found.insert(name.to_owned(), OwnedValue::array(values));
        }
    };
    list("aws.log.group.names", &|log| log.group.clone());
    list("aws.log.group.arns", &|log| group(log));
    list("aws.log.stream.names", &|log| log.stream.clone());
    list("aws.log.stream.arns", &|log| {
        format!("{}:log-stream:{}", group(log), log.stream)
    });
    found
}
