//! DigitalOcean: the droplet's metadata.

use serde::Deserialize;

use crate::detectors::service::Service;
use crate::detectors::{Attribute, Failure, Found, texts};

pub(crate) static ATTRIBUTES: [Attribute; 4] = [
    ("cloud.provider", true),
    ("cloud.region", true),
    ("host.id", true),
    ("host.name", true),
];

#[derive(Default, Deserialize)]
#[serde(default)]
struct Droplet {
    droplet_id: Option<u64>,
    hostname: String,
    region: String,
}

pub(crate) async fn detect(service: Service<'_>) -> Result<Found, Failure> {
    let droplet: Droplet = service.json("/metadata/v1.json").await?;
    let id = droplet.droplet_id.map(|id| id.to_string());
    let id = id.unwrap_or_default();
    service.is_named(&id)?;
    Ok(texts([
        ("cloud.provider", "digitalocean".to_owned()),
        ("cloud.region", droplet.region),
        ("host.id", id),
        ("host.name", droplet.hostname),
    ]))
}
