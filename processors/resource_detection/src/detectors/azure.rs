//! Azure: the instance metadata service, for machines and for clusters of AKS.

use serde::Deserialize;

use crate::config::Tagged;
use crate::detectors::service::Service;
use crate::detectors::{Attribute, Failure, Found, Variables, matches, texts};

pub(crate) static ATTRIBUTES: [Attribute; 11] = [
    ("azure.resourcegroup.name", true),
    ("azure.vm.name", true),
    ("azure.vm.scaleset.name", true),
    ("azure.vm.size", true),
    ("cloud.account.id", true),
    ("cloud.availability_zone", false),
    ("cloud.platform", true),
    ("cloud.provider", true),
    ("cloud.region", true),
    ("host.id", true),
    ("host.name", true),
];

pub(crate) static AKS: [Attribute; 3] = [
    ("cloud.platform", true),
    ("cloud.provider", true),
    ("k8s.cluster.name", false),
];

pub(crate) static CONTAINER_APPS: [Attribute; 4] = [
    ("azure.container_app.instance.id", true),
    ("cloud.platform", true),
    ("cloud.provider", true),
    ("service.name", true),
];

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Compute {
    location: String,
    name: String,
    vm_id: String,
    vm_size: String,
    subscription_id: String,
    resource_group_name: String,
    vm_scale_set_name: String,
    zone: String,
    tags_list: Vec<Tag>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tag {
    name: String,
    value: String,
}

async fn compute(service: Service<'_>) -> Result<Compute, Failure> {
    let service = service.with("metadata", "True")?;
    let path = "/metadata/instance/compute?api-version=2020-09-01&format=json";
    let compute: Compute = service.json(path).await?;
    service.is_named(&compute.vm_id)?;
    Ok(compute)
}

pub(crate) async fn detect(service: Service<'_>, config: &Tagged) -> Result<Found, Failure> {
    let compute = compute(service).await?;
    let mut found = texts([
        ("cloud.provider", "azure".to_owned()),
        ("cloud.platform", "azure.vm".to_owned()),
        ("cloud.account.id", compute.subscription_id),
        ("cloud.availability_zone", compute.zone),
        ("cloud.region", compute.location),
        ("host.id", compute.vm_id),
        ("host.name", compute.name.clone()),
        ("azure.vm.name", compute.name),
        ("azure.vm.size", compute.vm_size),
        ("azure.vm.scaleset.name", compute.vm_scale_set_name),
        ("azure.resourcegroup.name", compute.resource_group_name),
    ]);
    let tags = compute.tags_list.into_iter();
    let tags = tags.filter(|tag| matches(&config.tags, &tag.name));
    found.extend(tags.map(|tag| (format!("azure.tag.{}", tag.name), tag.value.into())));
    Ok(found)
}

/// A machine of Azure in a cluster.
pub(crate) async fn aks(service: Service<'_>, variables: &Variables) -> Result<Found, Failure> {
    if variables("KUBERNETES_SERVICE_HOST").is_none() {
        return Err("KUBERNETES_SERVICE_HOST is not set: this is no pod".into());
    }
    let compute = compute(service).await?;
    Ok(texts([
        ("cloud.provider", "azure".to_owned()),
        ("cloud.platform", "azure.aks".to_owned()),
        (
            "k8s.cluster.name",
            cluster(&compute.resource_group_name).to_owned(),
        ),
    ]))
}

/// The name of the cluster in `MC_<resource group>_<cluster>_<location>`; where it is not to be told apart, all of it, which is as unique.
fn cluster(group: &str) -> &str {
    let mut parts = group.split('_');
    match (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) {
        (Some(mc), Some(_), Some(name), Some(_), None) if mc.eq_ignore_ascii_case("mc") => name,
        _ => group,
    }
}

/// Azure Container Apps: what is put into the environment.
pub(crate) fn container_apps(variables: &Variables) -> Result<Found, Failure> {
    let name = variables("CONTAINER_APP_NAME")
        .ok_or("CONTAINER_APP_NAME is not set: this is no container app of Azure")?;
    let replica = variables("CONTAINER_APP_REPLICA_NAME").unwrap_or_default();
    Ok(texts([
        ("cloud.provider", "azure".to_owned()),
        ("cloud.platform", "azure.container_apps".to_owned()),
        ("service.name", name),
        ("azure.container_app.instance.id", replica),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_group_names_its_cluster() {
        for (group, name) in [
            ("MC_shop_blue_westeurope", "blue"),
            ("mc_shop_blue_westeurope", "blue"),
            ("MC_my_shop_blue_westeurope", "MC_my_shop_blue_westeurope"),
            ("custom", "custom"),
            ("", ""),
        ] {
            assert_eq!(cluster(group), name);
        }
    }
}
