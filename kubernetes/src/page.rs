//! A page of a list.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::ApiError;

/// A page of a list.
pub(crate) struct Page<T> {
    /// The version that the list is of.
    pub(crate) version: String,
    /// Where the next page begins; empty for the last one.
    pub(crate) next: String,
    pub(crate) items: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    #[serde(default)]
    r#continue: String,
}

#[derive(Deserialize)]
struct Raw<T> {
    metadata: ListMeta,
    items: Option<Vec<T>>,
}

impl<T: DeserializeOwned> Page<T> {
    /// Reads a body. An object that is none of its kind is named and left out: it is no reason to know none of the others.
    ///
    /// # Errors
    ///
    /// The body is no list.
    pub(crate) fn parse(body: &[u8], path: &str) -> Result<Self, ApiError> {
        if let Ok(page) = decode::<Raw<T>>(body, path) {
            let items = page.items.unwrap_or_default();
            return Ok(Self::of(page.metadata, items));
        }
        let page: Raw<Value> = decode(body, path)?;
        let items = page.items.unwrap_or_default();
        let readable = items.into_iter().filter_map(|item| {
            let name = item
                .pointer("/metadata/name")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            serde_json::from_value(item)
                .inspect_err(|error| {
                    tracing::warn!(path, name, %error, "an object is not as Kubernetes writes it and is left out");
                })
                .ok()
        });
        Ok(Self::of(page.metadata, readable.collect()))
    }

    fn of(metadata: ListMeta, items: Vec<T>) -> Self {
        Self {
            version: metadata.resource_version,
            next: metadata.r#continue,
            items,
        }
    }
}

pub(crate) fn decode<T: DeserializeOwned>(body: &[u8], path: &str) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::Decode {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Pod;

    #[test]
    fn one_odd_object_costs_itself_alone() {
        let body = br#"{"metadata": {"resourceVersion": "7", "continue": "more"}, "items": [
            {"metadata": {"name": "a", "uid": "1"}}, {"metadata": {"name": "b"}, "status": {"containerStatuses": "none"}}, 3,
            {"metadata": {"name": "c", "uid": "3"}}]}"#;
        let page: Page<Pod> = Page::parse(body, "/api/v1/pods").unwrap();
        let names: Vec<_> = page
            .items
            .iter()
            .map(|pod| pod.metadata.name.as_str())
            .collect();
        assert_eq!(names, ["a", "c"]);
        assert_eq!((page.version.as_str(), page.next.as_str()), ("7", "more"));
        let none = br#"{"metadata": {"resourceVersion": "7"}, "items": null}"#;
        assert!(Page::<Pod>::parse(none, "p").unwrap().items.is_empty());
        assert!(Page::<Pod>::parse(b"{}", "p").is_err());
    }
}
