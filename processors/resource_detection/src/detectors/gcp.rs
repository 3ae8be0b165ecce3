//! Google Cloud: the metadata server, all of it in one document, and the environment of what runs without machines.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::Gcp;
use crate::detectors::service::Service;
use crate::detectors::{Attribute, Failure, Found, Variables, matches, texts};

pub(crate) static ATTRIBUTES: [Attribute; 19] = [
    ("cloud.account.id", true),
    ("cloud.availability_zone", true),
    ("cloud.platform", true),
    ("cloud.provider", true),
    ("cloud.region", true),
    ("faas.instance", true),
    ("faas.name", true),
    ("faas.version", true),
    ("gcp.cloud_run.job.execution", true),
    ("gcp.cloud_run.job.task_index", true),
    ("gcp.gce.instance.hostname", false),
    ("gcp.gce.instance.name", false),
    ("gcp.gce.instance_group_manager.name", true),
    ("gcp.gce.instance_group_manager.region", true),
    ("gcp.gce.instance_group_manager.zone", true),
    ("host.id", true),
    ("host.name", true),
    ("host.type", true),
    ("k8s.cluster.name", true),
];

/// Where Google's API has the labels of machines.
pub(crate) const API: &str = "https://compute.googleapis.com";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    project: Project,
    instance: Instance,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Project {
    project_id: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Instance {
    /// A number that is larger than what many languages read exactly, and a text where there is no machine.
    id: serde_json::Value,
    name: String,
    hostname: String,
    zone: String,
    region: String,
    machine_type: String,
    attributes: Attributes,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Attributes {
    cluster_name: String,
    cluster_location: String,
    created_by: String,
}

/// What runs there: `projects/1/zones/europe-west1-b` has its last part alone.
fn last(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// A zone is its region and a letter: `europe-west1-b`.
fn region_of(zone: &str) -> &str {
    zone.rsplit_once('-').map_or("", |(region, _)| region)
}

pub(crate) async fn detect(
    service: Service<'_>,
    api: Service<'_>,
    config: &Gcp,
    variables: &Variables,
) -> Result<Found, Failure> {
    let service = service.with("metadata-flavor", "Google")?;
    let document = service.json("/computeMetadata/v1/?recursive=true").await?;
    let Document { project, instance } = document;
    service.is_named(&format!("{}{}", instance.zone, instance.region))?;
    let id = match &instance.id {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let zone = last(&instance.zone);
    let mut found = texts([
        ("cloud.provider", "gcp".to_owned()),
        ("cloud.account.id", project.project_id.clone()),
    ]);
    if let Some(more) = serverless(&instance, &id, &zone, variables) {
        found.extend(more);
        return Ok(found);
    }
    let named = |name: &str, text: &str| (name.to_owned(), text.into());
    if !config.labels.is_empty() {
        match labels(&service, api, &project.project_id, &zone, &instance.name).await {
            Ok(labels) => found.extend(
                labels
                    .iter()
                    .filter(|(key, _)| matches(&config.labels, key))
                    .map(|(key, value)| named(&format!("gcp.gce.instance.labels.{key}"), value)),
            ),
            Err(error) => tracing::warn!(
                %error,
                "the machine's labels are not told: its service account needs the role compute.viewer"
            ),
        }
    }
    let in_cluster = !instance.attributes.cluster_name.is_empty();
    let (platform, zone, region) = if in_cluster {
        // A cluster of one zone or of a region.
        let location = instance.attributes.cluster_location;
        if location.matches('-').count() >= 2 {
            let region = region_of(&zone).to_owned();
            ("gcp.kubernetes_engine", location, region)
        } else {
            ("gcp.kubernetes_engine", String::new(), location)
        }
    } else {
        let region = region_of(&zone).to_owned();
        ("gcp.compute_engine", zone, region)
    };
    found.extend(manager(&instance.attributes.created_by));
    found.extend(texts([
        ("cloud.platform", platform.to_owned()),
        ("cloud.availability_zone", zone),
        ("cloud.region", region),
        ("gcp.gce.instance.hostname", instance.hostname),
        ("gcp.gce.instance.name", instance.name.clone()),
        ("host.id", id),
        ("host.name", instance.name),
        ("host.type", last(&instance.machine_type)),
        ("k8s.cluster.name", instance.attributes.cluster_name),
    ]));
    Ok(found)
}

/// What the environment says where it is not a machine's.
fn serverless(instance: &Instance, id: &str, zone: &str, variables: &Variables) -> Option<Found> {
    let text = |name: &str| variables(name).unwrap_or_default();
    let region = match last(&instance.region) {
        region if region.is_empty() => region_of(zone).to_owned(),
        region => region,
    };
    let is_set = |name: &str| variables(name).is_some();
    let service = |platform: &str| {
        texts([
            ("cloud.platform", platform.to_owned()),
            ("cloud.region", region.clone()),
            ("faas.name", text("K_SERVICE")),
            ("faas.version", text("K_REVISION")),
            ("faas.instance", id.to_owned()),
        ])
    };
    if is_set("FUNCTION_TARGET") {
        Some(service("gcp.cloud_functions"))
    } else if is_set("K_CONFIGURATION") {
        Some(service("gcp.cloud_run"))
    } else if is_set("CLOUD_RUN_JOB") {
        Some(texts([
            ("cloud.platform", "gcp.cloud_run".to_owned()),
            ("cloud.region", region),
            ("faas.name", text("CLOUD_RUN_JOB")),
            ("faas.instance", id.to_owned()),
            ("gcp.cloud_run.job.execution", text("CLOUD_RUN_EXECUTION")),
            ("gcp.cloud_run.job.task_index", text("CLOUD_RUN_TASK_INDEX")),
        ]))
    } else if is_set("GAE_SERVICE") {
        Some(texts([
            ("cloud.platform", "gcp.app_engine".to_owned()),
            ("cloud.availability_zone", zone.to_owned()),
            ("cloud.region", region),
            ("faas.name", text("GAE_SERVICE")),
            ("faas.version", text("GAE_VERSION")),
            ("faas.instance", text("GAE_INSTANCE")),
        ]))
    } else {
        None
    }
}

/// Who made a machine of a group: `projects/1/zones/europe-west1-b/instanceGroupManagers/web`, or a region's.
fn manager(created_by: &str) -> Found {
    let mut parts = created_by.split('/').skip(2);
    let parts = (parts.next(), parts.next(), parts.next(), parts.next());
    let (place, at, name) = match parts {
        (
            Some(place @ ("zones" | "regions")),
            Some(at),
            Some("instanceGroupManagers"),
            Some(name),
        ) => (place, at, name),
        _ => return Found::new(),
    };
    let place = match place {
        "zones" => "gcp.gce.instance_group_manager.zone",
        _ => "gcp.gce.instance_group_manager.region",
    };
    texts([
        ("gcp.gce.instance_group_manager.name", name.to_owned()),
        (place, at.to_owned()),
    ])
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Machine {
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

/// Labels are not in the metadata: Google's API has them, for the machine's own account.
async fn labels(
    service: &Service<'_>,
    api: Service<'_>,
    project: &str,
    zone: &str,
    name: &str,
) -> Result<BTreeMap<String, String>, Failure> {
    let path = "/computeMetadata/v1/instance/service-accounts/default/token";
    let token: Token = service.json(path).await?;
    let bearer = format!("Bearer {}", token.access_token);
    let path =
        format!("/compute/v1/projects/{project}/zones/{zone}/instances/{name}?fields=labels");
    let machine: Machine = api.with("authorization", &bearer)?.json(&path).await?;
    Ok(machine.labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_says_who_made_it() {
        let told = |created_by: &str| {
            let found = manager(created_by);
            let text = |name: &str| found.get(name)?.get().as_str().map(str::to_owned);
            (
                text("gcp.gce.instance_group_manager.name"),
                text("gcp.gce.instance_group_manager.zone"),
                text("gcp.gce.instance_group_manager.region"),
            )
        };
        let some = |text: &str| Some(text.to_owned());
        let zonal = "projects/1/zones/europe-west1-b/instanceGroupManagers/web";
        assert_eq!(told(zonal), (some("web"), some("europe-west1-b"), None));
        let regional = "projects/1/regions/europe-west1/instanceGroupManagers/web";
        assert_eq!(told(regional), (some("web"), None, some("europe-west1")));
        assert_eq!(
            told("projects/1/zones/europe-west1-b/other/web"),
            (None, None, None)
        );
        assert_eq!(told(""), (None, None, None));
    }
}
