//! What clouds tell their machines over HTTP.

use bytes::Bytes;
use corten_net::body::Body;
use corten_net::client::HttpClient;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::Deserialize;

use crate::detectors::{Failure, Found, texts};

/// An answer that names no machine is not a cloud's.
fn is_named(id: &str, endpoint: &str) -> Result<(), Failure> {
    if id.is_empty() {
        return Err(format!("{endpoint}: the answer names no instance").into());
    }
    Ok(())
}

/// One request; an answer of another status than 200 is a failure.
async fn ask(
    client: &HttpClient,
    method: Method,
    url: &str,
    header: (&'static str, &str),
) -> Result<Bytes, Failure> {
    let uri: Uri = url.parse()?;
    let mut headers = HeaderMap::new();
    headers.insert(
        HeaderName::from_static(header.0),
        HeaderValue::from_str(header.1)?,
    );
    let response = client.send(method, &uri, headers, Body::empty()).await?;
    match response.status {
        200 => Ok(response.body),
        status => Err(format!("{url}: answered {status}").into()),
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Ec2 {
    account_id: String,
    availability_zone: String,
    region: String,
    image_id: String,
    instance_id: String,
    instance_type: String,
}

/// Amazon's instance metadata, version 2: a token first.
pub(crate) async fn ec2(client: &HttpClient, endpoint: &str) -> Result<Found, Failure> {
    let token = ask(
        client,
        Method::PUT,
        &format!("{endpoint}/latest/api/token"),
        ("x-aws-ec2-metadata-token-ttl-seconds", "60"),
    )
    .await?;
    let token = std::str::from_utf8(&token)?.trim().to_owned();
    let get = async |path: &str| {
        let url = format!("{endpoint}{path}");
        ask(
            client,
            Method::GET,
            &url,
            ("x-aws-ec2-metadata-token", &token),
        )
        .await
    };
    let document = get("/latest/dynamic/instance-identity/document").await?;
    let document: Ec2 = serde_json::from_slice(&document)?;
    is_named(&document.instance_id, endpoint)?;
    let name = get("/latest/meta-data/hostname").await.unwrap_or_default();
    Ok(texts([
        ("cloud.provider", "aws".to_owned()),
        ("cloud.platform", "aws_ec2".to_owned()),
        ("cloud.account.id", document.account_id),
        ("cloud.availability_zone", document.availability_zone),
        ("cloud.region", document.region),
        ("host.id", document.instance_id),
        ("host.image.id", document.image_id),
        ("host.type", document.instance_type),
        (
            "host.name",
            String::from_utf8_lossy(&name).trim().to_owned(),
        ),
    ]))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Gcp {
    project: GcpProject,
    instance: GcpInstance,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct GcpProject {
    project_id: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct GcpInstance {
    /// A number that is larger than what many languages read exactly.
    id: Option<serde_json::Number>,
    name: String,
    zone: String,
    machine_type: String,
    attributes: GcpAttributes,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct GcpAttributes {
    cluster_name: String,
    cluster_location: String,
}

/// Google's metadata.
pub(crate) async fn gcp(client: &HttpClient, endpoint: &str) -> Result<Found, Failure> {
    let url = format!("{endpoint}/computeMetadata/v1/?recursive=true");
    let document = ask(client, Method::GET, &url, ("metadata-flavor", "Google")).await?;
    let Gcp { project, instance } = serde_json::from_slice(&document)?;
    is_named(&instance.zone, endpoint)?;
    // `projects/123/zones/europe-west1-b`
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let zone = last(&instance.zone);
    let region = zone
        .rsplit_once('-')
        .map_or_else(String::new, |(region, _)| region.to_owned());
    let in_cluster = !instance.attributes.cluster_name.is_empty();
    let platform = if in_cluster {
        "gcp.kubernetes_engine"
    } else {
        "gcp.compute_engine"
    };
    // A cluster of one zone or of a region.
    let (zone, region) = if in_cluster {
        let location = instance.attributes.cluster_location;
        if location.matches('-').count() >= 2 {
            (location, region)
        } else {
            (String::new(), location)
        }
    } else {
        (zone, region)
    };
    Ok(texts([
        ("cloud.provider", "gcp".to_owned()),
        ("cloud.platform", platform.to_owned()),
        ("cloud.account.id", project.project_id),
        ("cloud.availability_zone", zone),
        ("cloud.region", region),
        (
            "host.id",
            instance.id.map(|id| id.to_string()).unwrap_or_default(),
        ),
        ("host.name", instance.name),
        ("host.type", last(&instance.machine_type)),
        ("k8s.cluster.name", instance.attributes.cluster_name),
    ]))
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Azure {
    location: String,
    name: String,
    vm_id: String,
    vm_size: String,
    subscription_id: String,
    resource_group_name: String,
    vm_scale_set_name: String,
}

/// Azure's instance metadata.
pub(crate) async fn azure(client: &HttpClient, endpoint: &str) -> Result<Found, Failure> {
    let url = format!("{endpoint}/metadata/instance/compute?api-version=2020-09-01&format=json");
    let document = ask(client, Method::GET, &url, ("metadata", "True")).await?;
    let document: Azure = serde_json::from_slice(&document)?;
    is_named(&document.vm_id, endpoint)?;
    Ok(texts([
        ("cloud.provider", "azure".to_owned()),
        ("cloud.platform", "azure.vm".to_owned()),
        ("cloud.account.id", document.subscription_id),
        ("cloud.region", document.location),
        ("host.id", document.vm_id),
        ("host.name", document.name.clone()),
        ("azure.vm.name", document.name),
        ("azure.vm.size", document.vm_size),
        ("azure.vm.scaleset.name", document.vm_scale_set_name),
        ("azure.resourcegroup.name", document.resource_group_name),
    ]))
}
