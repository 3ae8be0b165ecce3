//! Google Cloud: the metadata server, all of it in one document.

use serde::Deserialize;

use crate::detectors::service::Service;
use crate::detectors::{Attribute, Failure, Found, texts};

pub(crate) static ATTRIBUTES: [Attribute; 11] = [
    ("cloud.provider", true),
    ("cloud.platform", true),
    ("cloud.account.id", true),
    ("cloud.availability_zone", true),
    ("cloud.region", true),
    ("gcp.gce.instance.hostname", false),
    ("gcp.gce.instance.name", false),
    ("host.id", true),
    ("host.name", true),
    ("host.type", true),
    ("k8s.cluster.name", true),
];

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
    /// A number that is larger than what many languages read exactly.
    id: Option<serde_json::Number>,
    name: String,
    hostname: String,
    zone: String,
    machine_type: String,
    attributes: Attributes,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Attributes {
    cluster_name: String,
    cluster_location: String,
}

pub(crate) async fn detect(service: Service<'_>) -> Result<Found, Failure> {
    let service = service.with("metadata-flavor", "Google")?;
    let document = service.json("/computeMetadata/v1/?recursive=true").await?;
    let Document { project, instance } = document;
    service.is_named(&instance.zone)?;
    // `projects/123/zones/europe-west1-b`
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let zone = last(&instance.zone);
    let region = zone
        .rsplit_once('-')
        .map_or_else(String::new, |(region, _)| region.to_owned());
    let in_cluster = !instance.attributes.cluster_name.is_empty();
    let platform = if in_cluster {
        "gcp.kubernetes_engine"
    } else {
        "gcp.compute_engine"
    };
    // A cluster of one zone or of a region.
    let (zone, region) = if in_cluster {
        let location = instance.attributes.cluster_location;
        if location.matches('-').count() >= 2 {
            (location, region)
        } else {
            (String::new(), location)
        }
    } else {
        (zone, region)
    };
    Ok(texts([
        ("cloud.provider", "gcp".to_owned()),
        ("cloud.platform", platform.to_owned()),
        ("cloud.account.id", project.project_id),
        ("cloud.availability_zone", zone),
        ("cloud.region", region),
        ("gcp.gce.instance.hostname", instance.hostname),
        ("gcp.gce.instance.name", instance.name.clone()),
        (
            "host.id",
            instance.id.map(|id| id.to_string()).unwrap_or_default(),
        ),
        ("host.name", instance.name),
        ("host.type", last(&instance.machine_type)),
        ("k8s.cluster.name", instance.attributes.cluster_name),
    ]))
}
