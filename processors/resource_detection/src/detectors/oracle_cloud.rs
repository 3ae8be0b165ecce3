//! Oracle Cloud Infrastructure: the instance metadata service, version 2.

use serde::Deserialize;

use crate::detectors::service::Service;
use crate::detectors::{Attribute, Failure, Found, texts};

pub(crate) static ATTRIBUTES: [Attribute; 10] = [
    ("cloud.availability_zone", true),
    ("cloud.platform", true),
    ("cloud.provider", true),
    ("cloud.region", true),
    ("cloud.resource_id", true),
    ("host.id", true),
    ("host.name", true),
    ("host.type", true),
    ("k8s.cluster.name", true),
    ("oracle_cloud.realm", true),
];

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Instance {
    id: String,
    display_name: String,
    shape: String,
    canonical_region_name: String,
    availability_domain: String,
    region_info: RegionInfo,
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RegionInfo {
    realm_key: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Metadata {
    oke_cluster_display_name: String,
}

pub(crate) async fn detect(service: Service<'_>) -> Result<Found, Failure> {
    let service = service.with("authorization", "Bearer Oracle")?;
    let instance: Instance = service.json("/opc/v2/instance/").await?;
    service.is_named(&instance.id)?;
    let cluster = instance.metadata.oke_cluster_display_name;
    let platform = if cluster.is_empty() {
        "oracle_cloud_compute"
    } else {
        "oracle_cloud_oke"
    };
    Ok(texts([
        ("cloud.provider", "oracle_cloud".to_owned()),
        ("cloud.platform", platform.to_owned()),
        ("cloud.region", instance.canonical_region_name),
        ("cloud.availability_zone", instance.availability_domain),
        ("cloud.resource_id", instance.id.clone()),
        ("host.id", instance.id),
        ("host.name", instance.display_name),
        ("host.type", instance.shape),
        ("k8s.cluster.name", cluster),
        ("oracle_cloud.realm", instance.region_info.realm_key),
    ]))
}
