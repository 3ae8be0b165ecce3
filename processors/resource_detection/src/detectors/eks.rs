//! Amazon EKS: a cluster whose version says so, on instances that say where they are.

use corten_kubernetes::ApiClient;
use serde::Deserialize;

use crate::detectors::kubernetes::get;
use crate::detectors::service::Service;
use crate::detectors::{Attribute, Failure, Found, ec2, texts};

pub(crate) static ATTRIBUTES: [Attribute; 10] = [
    ("cloud.provider", true),
    ("cloud.platform", true),
    ("cloud.account.id", false),
    ("cloud.availability_zone", false),
    ("cloud.region", false),
    ("host.id", false),
    ("host.image.id", false),
    ("host.name", false),
    ("host.type", false),
    ("k8s.cluster.name", false),
];

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Version {
    git_version: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Node {
    spec: NodeSpec,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeSpec {
    #[serde(rename = "providerID")]
    provider_id: String,
}

/// `node`: this node's name, by which the API server is asked where a pod cannot reach the instance's metadata.
pub(crate) async fn detect(
    service: Service<'_>,
    cluster: &ApiClient,
    node: Option<String>,
) -> Result<Found, Failure> {
    let version: Version = get(cluster, "/version").await?;
    if !version.git_version.contains("-eks-") {
        return Err(format!(
            "no cluster of EKS: its version is '{}'",
            version.git_version
        )
        .into());
    }
    match of_instance(service).await {
        Ok(found) => Ok(found),
        Err(error) => {
            let provider = match node {
                Some(node) => {
                    let path = format!("/api/v1/nodes/{node}");
                    get::<Node>(cluster, &path).await?.spec.provider_id
                }
                None => String::new(),
            };
            let Some((zone, id)) = instance(&provider) else {
                tracing::debug!(%error, "the instance's metadata cannot be reached");
                return Ok(texts([
                    ("cloud.provider", "aws".to_owned()),
                    ("cloud.platform", "aws_eks".to_owned()),
                ]));
            };
            Ok(texts([
                ("cloud.provider", "aws".to_owned()),
                ("cloud.platform", "aws_eks".to_owned()),
                ("cloud.availability_zone", zone.to_owned()),
                ("cloud.region", region(zone).to_owned()),
                ("host.id", id.to_owned()),
            ]))
        }
    }
}

async fn of_instance(service: Service<'_>) -> Result<Found, Failure> {
    let service = ec2::authorized(service).await?;
    let (identity, name) = ec2::identity(&service).await?;
    let mut found = ec2::told(identity, name, "aws_eks");
    // The cluster's name is a tag, which an instance need not see.
    let named = |key: &str| matches!(key, "aws:eks:cluster-name" | "eks:cluster-name");
    let tags = ec2::tags(&service, named).await.unwrap_or_default();
    if let Some((_, name)) = tags.into_iter().next() {
        found.insert("k8s.cluster.name".to_owned(), name.into());
    }
    Ok(found)
}

/// Zone and instance of `aws:///eu-west-1b/i-0123`.
fn instance(provider: &str) -> Option<(&str, &str)> {
    let (zone, id) = provider.strip_prefix("aws:///")?.split_once('/')?;
    (!zone.is_empty() && !id.is_empty()).then_some((zone, id))
}

/// A zone is its region and a letter.
fn region(zone: &str) -> &str {
    zone.trim_end_matches(|letter: char| letter.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_says_where_it_is() {
        let found = instance("aws:///eu-west-1b/i-0123").unwrap();
        assert_eq!(found, ("eu-west-1b", "i-0123"));
        assert_eq!(region(found.0), "eu-west-1");
        for other in ["", "gce://a/b/c", "aws:///eu-west-1b", "aws:////i-0123"] {
            assert_eq!(instance(other), None, "{other}");
        }
    }
}
