//! In which group and version the API server has a resource.
//!
//! Shapes: `APIResourceList` of `/api/v1` and `/apis/{group}/{version}`, `APIGroupList` of `/apis`.

use corten_kubernetes::{ApiClient, ApiError};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The most that an answer may have, in bytes.
const LARGEST: usize = 16 << 20;

/// Where a resource is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Empty for the core.
    pub(crate) group: String,
    /// `/api/v1`, `/apis/apps/v1`.
    base: String,
    name: String,
    namespaced: bool,
}

impl Place {
    /// The collections of these namespaces, or of all. What has no namespace has one collection.
    pub(crate) fn collections(&self, namespaces: &[String]) -> Vec<String> {
        let Self { base, name, .. } = self;
        if namespaces.is_empty() || !self.namespaced {
            return vec![format!("{base}/{name}")];
        }
        let of = |namespace| format!("{base}/namespaces/{namespace}/{name}");
        namespaces.iter().map(of).collect()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resources {
    resources: Vec<Resource>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource {
    name: String,
    namespaced: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Group {
    name: String,
    preferred_version: Version,
    versions: Vec<Version>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Version {
    group_version: String,
}

/// Looks for the resource `name`, in `group` where that is not empty.
///
/// # Errors
/// What the API server said, or 404 when it has no such resource.
pub(crate) async fn find(client: &ApiClient, name: &str, group: &str) -> Result<Place, ApiError> {
    if group.is_empty()
        && let Some(place) = within(client, "", "/api/v1", name).await?
    {
        return Ok(place);
    }
    let groups: Groups = get(client, "/apis").await?;
    let mut broken = None;
    for one in &groups.groups {
        if !group.is_empty() && one.name != group {
            continue;
        }
        let preferred = &one.preferred_version.group_version;
        let others = one.versions.iter().map(|version| &version.group_version);
        let mut versions = vec![preferred];
        versions.extend(others.filter(|version| *version != preferred));
        for version in versions {
            // A group whose server is away must not hide the others.
            match within(client, &one.name, &format!("/apis/{version}"), name).await {
                Ok(Some(place)) => return Ok(place),
                Ok(None) => {}
                Err(error) => broken = Some(error),
            }
        }
    }
    let missing = || ApiError::Status {
        path: "/apis".to_owned(),
        code: 404,
        message: match group {
            "" => format!("there is no resource '{name}' in any group"),
            group => format!("there is no resource '{name}' in the group '{group}'"),
        },
    };
    Err(broken.unwrap_or_else(missing))
}

async fn within(
    client: &ApiClient,
    group: &str,
    base: &str,
    name: &str,
) -> Result<Option<Place>, ApiError> {
    let list: Resources = get(client, base).await?;
    let found = list.resources.into_iter().find(|one| one.name == name);
    Ok(found.map(|resource| Place {
        group: group.to_owned(),
        base: base.to_owned(),
        name: name.to_owned(),
        namespaced: resource.namespaced,
    }))
}

async fn get<T: DeserializeOwned>(client: &ApiClient, path: &str) -> Result<T, ApiError> {
    let body = client.get(path, "application/json", LARGEST).await?;
    serde_json::from_slice(&body).map_err(|error| ApiError::Decode {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_no_namespace_has_one_collection() {
        let mut place = Place {
            group: "apps".into(),
            base: "/apis/apps/v1".into(),
            name: "deployments".into(),
            namespaced: true,
        };
        let two = ["a".to_owned(), "b".to_owned()];
        assert_eq!(
            place.collections(&two),
            [
                "/apis/apps/v1/namespaces/a/deployments",
                "/apis/apps/v1/namespaces/b/deployments"
            ]
        );
        assert_eq!(place.collections(&[]), ["/apis/apps/v1/deployments"]);
        place.namespaced = false;
        assert_eq!(place.collections(&two), ["/apis/apps/v1/deployments"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_error_at_worst(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(serde_json::from_slice::<Groups>(&body));
            drop(serde_json::from_slice::<Resources>(&body));
        }
    }
}
