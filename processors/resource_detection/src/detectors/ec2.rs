//! Amazon EC2: the instance metadata service, version 2.

use serde::Deserialize;

use crate::config::Ec2;
use crate::detectors::service::Service;
use crate::detectors::{Attribute, Failure, Found, matches, texts};

pub(crate) static ATTRIBUTES: [Attribute; 9] = [
    ("cloud.provider", true),
    ("cloud.platform", true),
    ("cloud.account.id", true),
    ("cloud.availability_zone", true),
    ("cloud.region", true),
    ("host.id", true),
    ("host.image.id", true),
    ("host.name", true),
    ("host.type", true),
];

/// What the instance says of itself.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Identity {
    pub(crate) account_id: String,
    pub(crate) availability_zone: String,
    pub(crate) region: String,
    pub(crate) image_id: String,
    pub(crate) instance_id: String,
    pub(crate) instance_type: String,
}

/// The same service with a token, without which version 2 says nothing.
pub(crate) async fn authorized(service: Service<'_>) -> Result<Service<'_>, Failure> {
    let asking = service.with("x-aws-ec2-metadata-token-ttl-seconds", "60")?;
    let token = asking.put("/latest/api/token", "").await?;
    asking.with("x-aws-ec2-metadata-token", &token)
}

pub(crate) async fn identity(service: &Service<'_>) -> Result<(Identity, String), Failure> {
    let path = "/latest/dynamic/instance-identity/document";
    let identity: Identity = service.json(path).await?;
    service.is_named(&identity.instance_id)?;
    let name = service.text("/latest/meta-data/hostname").await;
    Ok((identity, name.unwrap_or_default()))
}

/// The instance's tags, where it may see them.
pub(crate) async fn tags(
    service: &Service<'_>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<(String, String)>, Failure> {
    const PATH: &str = "/latest/meta-data/tags/instance";
    let keys = service.text(PATH).await?;
    let mut all = Vec::new();
    for key in keys.lines().filter(|key| wanted(key)) {
        // What the service can name: letters, digits and `+-=._:@,`.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-=._:@,".contains(&byte);
        if key.bytes().all(plain) {
            let value = service.text(&format!("{PATH}/{key}")).await?;
            all.push((key.to_owned(), value));
        }
    }
    Ok(all)
}

pub(crate) async fn detect(service: Service<'_>, config: &Ec2) -> Result<Found, Failure> {
    let service = authorized(service).await?;
    let (identity, name) = identity(&service).await?;
    let mut found = told(identity, name, "aws_ec2");
    if !config.tags.is_empty() {
        match tags(&service, |key| matches(&config.tags, key)).await {
            Ok(tags) => found.extend(
                tags.into_iter()
                    .map(|(key, value)| (format!("ec2.tag.{key}"), value.into())),
            ),
            Err(error) => tracing::warn!(
                %error,
                "the instance's tags are not told: set InstanceMetadataTags=enabled in its metadata options"
            ),
        }
    }
    Ok(found)
}

pub(crate) fn told(identity: Identity, name: String, platform: &str) -> Found {
    texts([
        ("cloud.provider", "aws".to_owned()),
        ("cloud.platform", platform.to_owned()),
        ("cloud.account.id", identity.account_id),
        ("cloud.availability_zone", identity.availability_zone),
        ("cloud.region", identity.region),
        ("host.id", identity.instance_id),
        ("host.image.id", identity.image_id),
        ("host.type", identity.instance_type),
        ("host.name", name),
    ])
}
