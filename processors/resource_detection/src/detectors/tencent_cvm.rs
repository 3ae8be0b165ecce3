//! Tencent Cloud CVM: the instance's metadata, one text after the other.

use crate::detectors::service::Service;
use crate::detectors::{Attribute, Failure, Found, texts};

pub(crate) static ATTRIBUTES: [Attribute; 9] = [
    ("cloud.account.id", true),
    ("cloud.availability_zone", true),
    ("cloud.platform", true),
    ("cloud.provider", true),
    ("cloud.region", true),
    ("host.id", true),
    ("host.image.id", true),
    ("host.name", true),
    ("host.type", true),
];

pub(crate) async fn detect(service: Service<'_>) -> Result<Found, Failure> {
    let text = async |name: &str| {
        let path = format!("/latest/meta-data/{name}");
        service.text(&path).await
    };
    let id = text("instance-id").await?;
    service.is_named(&id)?;
    Ok(texts([
        ("cloud.provider", "tencent_cloud".to_owned()),
        ("cloud.platform", "tencent_cloud_cvm".to_owned()),
        ("cloud.account.id", text("app-id").await?),
        ("cloud.region", text("placement/region").await?),
        ("cloud.availability_zone", text("placement/zone").await?),
        ("host.id", id),
        ("host.image.id", text("instance/image-id").await?),
        ("host.name", text("instance-name").await?),
        ("host.type", text("instance/instance-type").await?),
    ]))
}
