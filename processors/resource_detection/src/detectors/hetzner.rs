//! Hetzner Cloud: the server's metadata, one text after the other.

use crate::detectors::service::Service;
use crate::detectors::{Attribute, Failure, Found, texts};

pub(crate) static ATTRIBUTES: [Attribute; 6] = [
    ("cloud.availability_zone", true),
    ("cloud.platform", false),
    ("cloud.provider", true),
    ("cloud.region", true),
    ("host.id", true),
    ("host.name", true),
];

pub(crate) async fn detect(service: Service<'_>) -> Result<Found, Failure> {
    let text = async |name: &str| {
        let path = format!("/hetzner/v1/metadata/{name}");
        service.text(&path).await
    };
    let id = text("instance-id").await?;
    service.is_named(&id)?;
    Ok(texts([
        ("cloud.provider", "hetzner".to_owned()),
        ("cloud.platform", "hetzner.cloud_server".to_owned()),
        (
            "cloud.availability_zone",
            text("availability-zone").await.unwrap_or_default(),
        ),
        ("cloud.region", text("region").await.unwrap_or_default()),
        ("host.id", id),
        ("host.name", text("hostname").await.unwrap_or_default()),
    ]))
}
