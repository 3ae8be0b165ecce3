//! UpCloud: the server's metadata.

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
struct Server {
    cloud_name: String,
    hostname: String,
    instance_id: String,
    region: String,
}

pub(crate) async fn detect(service: Service<'_>) -> Result<Found, Failure> {
    let server: Server = service.json("/metadata/v1.json").await?;
    service.is_named(&server.instance_id)?;
    Ok(texts([
        ("cloud.provider", server.cloud_name),
        ("cloud.region", server.region),
        ("host.id", server.instance_id),
        ("host.name", server.hostname),
    ]))
}
