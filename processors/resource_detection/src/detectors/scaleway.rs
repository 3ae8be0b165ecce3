//! Scaleway: the instance's metadata.

use serde::Deserialize;

use crate::detectors::service::Service;
use crate::detectors::{Attribute, Failure, Found, texts};

pub(crate) static ATTRIBUTES: [Attribute; 10] = [
    ("cloud.account.id", true),
    ("cloud.availability_zone", true),
    ("cloud.platform", true),
    ("cloud.provider", true),
    ("cloud.region", true),
    ("host.id", true),
    ("host.image.id", true),
    ("host.image.name", true),
    ("host.name", true),
    ("host.type", true),
];

#[derive(Default, Deserialize)]
#[serde(default)]
struct Instance {
    id: String,
    name: String,
    organization: String,
    commercial_type: String,
    location: Location,
    image: Image,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Location {
    zone_id: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Image {
    id: String,
    name: String,
}

pub(crate) async fn detect(service: Service<'_>) -> Result<Found, Failure> {
    let instance: Instance = service.json("/conf?format=json").await?;
    service.is_named(&instance.id)?;
    let zone = instance.location.zone_id;
    // `fr-par-1` is in `fr-par`.
    let region = zone.rsplit_once('-').map_or("", |(region, _)| region);
    Ok(texts([
        ("cloud.provider", "scaleway_cloud".to_owned()),
        ("cloud.platform", "scaleway_cloud_compute".to_owned()),
        ("cloud.account.id", instance.organization),
        ("cloud.region", region.to_owned()),
        ("cloud.availability_zone", zone),
        ("host.id", instance.id),
        ("host.image.id", instance.image.id),
        ("host.image.name", instance.image.name),
        ("host.name", instance.name),
        ("host.type", instance.commercial_type),
    ]))
}
