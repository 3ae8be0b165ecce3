//! Alibaba Cloud ECS: the instance's metadata, one text after the other, with a token.

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
    let service = service.with("x-aliyun-ecs-metadata-token-ttl-seconds", "60")?;
    let token = service.put("/latest/api/token", "").await?;
    let service = service.with("x-aliyun-ecs-metadata-token", &token)?;
    let text = async |name: &str| {
        let path = format!("/latest/meta-data/{name}");
        service.text(&path).await
    };
    let id = text("instance-id").await?;
    service.is_named(&id)?;
    Ok(texts([
        ("cloud.provider", "alibaba_cloud".to_owned()),
        ("cloud.platform", "alibaba_cloud_ecs".to_owned()),
        ("cloud.account.id", text("owner-account-id").await?),
        ("cloud.region", text("region-id").await?),
        ("cloud.availability_zone", text("zone-id").await?),
        ("host.id", id),
        ("host.image.id", text("image-id").await?),
        ("host.name", text("hostname").await?),
        ("host.type", text("instance/instance-type").await?),
    ]))
}
