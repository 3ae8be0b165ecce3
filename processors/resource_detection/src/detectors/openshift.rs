//! OpenShift: what its API says of the infrastructure below the cluster.

use corten_kubernetes::ApiClient;
use serde::Deserialize;

use crate::detectors::kubernetes::get;
use crate::detectors::{Attribute, Failure, Found, texts};

pub(crate) static ATTRIBUTES: [Attribute; 4] = [
    ("cloud.platform", true),
    ("cloud.provider", true),
    ("cloud.region", true),
    ("k8s.cluster.name", true),
];

/// Where the infrastructure is described.
pub(crate) const PATH: &str = "/apis/config.openshift.io/v1/infrastructures/cluster/status";

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Infrastructure {
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    infrastructure_name: String,
    platform_status: Platform,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Platform {
    #[serde(rename = "type")]
    kind: String,
    aws: Place,
    azure: Place,
    gcp: Place,
    ibmcloud: Place,
    openstack: Place,
}

/// Each platform calls it by another name.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Place {
    region: String,
    cloud_name: String,
    location: String,
}

pub(crate) async fn detect(cluster: &ApiClient) -> Result<Found, Failure> {
    told(get(cluster, PATH).await?)
}

pub(crate) fn told(infrastructure: Infrastructure) -> Result<Found, Failure> {
    let Status {
        infrastructure_name,
        platform_status: platform,
    } = infrastructure.status;
    let (provider, name, region) = match platform.kind.to_lowercase().as_str() {
        "aws" => ("aws", "aws_openshift", platform.aws.region),
        "azure" => ("azure", "azure.openshift", platform.azure.cloud_name),
        "gcp" => ("gcp", "gcp.openshift", platform.gcp.region),
        "ibmcloud" => (
            "ibm_cloud",
            "ibm_cloud_openshift",
            platform.ibmcloud.location,
        ),
        "openstack" => ("", "", platform.openstack.cloud_name),
        _ => ("", "", String::new()),
    };
    if infrastructure_name.is_empty() && provider.is_empty() {
        return Err(format!("{PATH}: the answer names no infrastructure").into());
    }
    Ok(texts([
        ("cloud.provider", provider.to_owned()),
        ("cloud.platform", name.to_owned()),
        ("cloud.region", region.to_lowercase()),
        ("k8s.cluster.name", infrastructure_name),
    ]))
}
