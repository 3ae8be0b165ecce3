//! Vultr: the instance's metadata.

use serde::Deserialize;

use crate::detectors::service::Service;
use crate::detectors::{Attribute, Failure, Found, texts};

pub(crate) static ATTRIBUTES: [Attribute; 5] = [
    ("cloud.platform", false),
    ("cloud.provider", true),
    ("cloud.region", true),
    ("host.id", true),
    ("host.name", true),
];

#[derive(Default, Deserialize)]
#[serde(default)]
struct Instance {
    hostname: String,
    instanceid: String,
    #[serde(rename = "instance-v2-id")]
    id: String,
    region: Region,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Region {
    regioncode: String,
}

pub(crate) async fn detect(service: Service<'_>) -> Result<Found, Failure> {
    let instance: Instance = service.json("/v1.json").await?;
    // The API knows instances by the second kind of id alone.
    let id = if instance.id.is_empty() {
        instance.instanceid
    } else {
        instance.id
    };
    service.is_named(&id)?;
    Ok(texts([
        ("cloud.provider", "vultr".to_owned()),
        ("cloud.platform", "vultr.cloud_compute".to_owned()),
        ("cloud.region", instance.region.regioncode.to_lowercase()),
        ("host.id", id),
        ("host.name", instance.hostname),
    ]))
}
