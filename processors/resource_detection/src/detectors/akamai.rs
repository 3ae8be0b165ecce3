//! Akamai's cloud, once Linode: the metadata service, with a token.

use serde::Deserialize;

use crate::detectors::service::Service;
use crate::detectors::{Attribute, Failure, Found, texts};

pub(crate) static ATTRIBUTES: [Attribute; 9] = [
    ("cloud.account.id", true),
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
    id: Option<u64>,
    label: String,
    region: String,
    #[serde(rename = "type")]
    kind: String,
    account_euuid: String,
    image: Option<Image>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Image {
    id: Option<String>,
    label: Option<String>,
}

pub(crate) async fn detect(service: Service<'_>) -> Result<Found, Failure> {
    let service = service.with("metadata-token-expiry-seconds", "300")?;
    let token = service.put("/v1/token", "").await?;
    // As JSON it is a list of one.
    let token = token.trim_matches(['[', ']', '"']);
    let service = service.with("metadata-token", token)?;
    let service = service.with("accept", "application/json")?;
    let instance: Instance = service.json("/v1/instance").await?;
    let id = instance.id.map(|id| id.to_string());
    let id = id.unwrap_or_default();
    service.is_named(&id)?;
    let image = instance.image.unwrap_or_default();
    Ok(texts([
        ("cloud.provider", "akamai_cloud".to_owned()),
        ("cloud.platform", "akamai_cloud.compute".to_owned()),
        ("cloud.account.id", instance.account_euuid),
        ("cloud.region", instance.region),
        ("host.id", id),
        ("host.image.id", image.id.unwrap_or_default()),
        ("host.image.name", image.label.unwrap_or_default()),
        ("host.name", instance.label),
        ("host.type", instance.kind),
    ]))
}
