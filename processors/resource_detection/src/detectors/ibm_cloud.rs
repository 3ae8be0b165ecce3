//! IBM Cloud: virtual servers of a VPC, and those of the classic infrastructure, once SoftLayer.

use serde::Deserialize;

use crate::detectors::service::Service;
use crate::detectors::{Attribute, Failure, Found, texts};

pub(crate) static VPC: [Attribute; 11] = [
    ("cloud.account.id", true),
    ("cloud.availability_zone", true),
    ("cloud.platform", true),
    ("cloud.provider", true),
    ("cloud.region", true),
    ("cloud.resource_id", true),
    ("host.id", true),
    ("host.image.id", true),
    ("host.image.name", true),
    ("host.name", true),
    ("host.type", true),
];

pub(crate) static CLASSIC: [Attribute; 7] = [
    ("cloud.account.id", true),
    ("cloud.availability_zone", true),
    ("cloud.platform", true),
    ("cloud.provider", true),
    ("cloud.resource_id", true),
    ("host.id", true),
    ("host.name", true),
];

#[derive(Default, Deserialize)]
#[serde(default)]
struct Instance {
    id: String,
    crn: String,
    name: String,
    profile: Part,
    zone: Part,
    image: Part,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Part {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

/// The version of the API that is spoken.
const VERSION: &str = "version=2026-01-30";

pub(crate) async fn vpc(service: Service<'_>) -> Result<Found, Failure> {
    let service = service
        .with("metadata-flavor", "ibm")?
        .with("accept", "application/json")?
        .with("content-type", "application/json")?;
    let path = format!("/identity/v1/token?{VERSION}");
    let token = service.put(&path, r#"{"expires_in":300}"#).await?;
    let token: Token = serde_json::from_str(&token)
        .map_err(|error| format!("{}{path}: not a token: {error}", service.endpoint()))?;
    let bearer = format!("Bearer {}", token.access_token);
    let service = service.with("authorization", &bearer)?;
    let path = format!("/metadata/v1/instance?{VERSION}");
    let instance: Instance = service.json(&path).await?;
    service.is_named(&instance.id)?;
    // `us-south-1` is in `us-south`.
    let zone = instance.zone.name;
    let region = zone.rsplit_once('-').map_or("", |(region, _)| region);
    Ok(texts([
        ("cloud.provider", "ibm_cloud".to_owned()),
        ("cloud.platform", "ibm_cloud.vpc".to_owned()),
        ("cloud.account.id", account(&instance.crn).to_owned()),
        ("cloud.region", region.to_owned()),
        ("cloud.availability_zone", zone),
        ("cloud.resource_id", instance.crn),
        ("host.id", instance.id),
        ("host.image.id", instance.image.id),
        ("host.image.name", instance.image.name),
        ("host.name", instance.name),
        ("host.type", instance.profile.name),
    ]))
}

/// The account in `crn:v1:bluemix:public:is:us-south-1:a/<account>::instance:<id>`.
fn account(crn: &str) -> &str {
    let scope = crn.split(':').nth(6).unwrap_or_default();
    scope.strip_prefix("a/").unwrap_or_default()
}

pub(crate) async fn classic(service: Service<'_>) -> Result<Found, Failure> {
    let text = async |name: &str| {
        let path = format!("/rest/v3.1/SoftLayer_Resource_Metadata/{name}.txt");
        service.text(&path).await
    };
    let id = text("getId").await?;
    service.is_named(&id)?;
    Ok(texts([
        ("cloud.provider", "ibm_cloud".to_owned()),
        ("cloud.platform", "ibm_cloud.classic".to_owned()),
        ("cloud.account.id", text("getAccountId").await?),
        ("cloud.availability_zone", text("getDatacenter").await?),
        ("cloud.resource_id", text("getGlobalIdentifier").await?),
        ("host.id", id),
        ("host.name", text("getHostname").await?),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_names_its_account() {
        let crn = "crn:v1:bluemix:public:is:us-south-1:a/4711::instance:0717";
        assert_eq!(account(crn), "4711");
        assert_eq!(account("crn:v1"), "");
        assert_eq!(account(""), "");
    }
}
