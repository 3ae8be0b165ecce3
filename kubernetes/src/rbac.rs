//! What to add to a ClusterRole when the API server answers 403.

use std::fmt;

use crate::error::ApiError;

/// A rule of a Role or ClusterRole. Shown as it is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The API group; empty for the core.
    pub group: String,
    /// The resource, such as `pods/log`.
    pub resource: String,
    /// What is done with it.
    pub verbs: &'static [&'static str],
}

impl Rule {
    /// A rule for a resource of the core group.
    #[must_use]
    pub fn core(resource: &str, verbs: &'static [&'static str]) -> Self {
        Self {
            group: String::new(),
            resource: resource.to_owned(),
            verbs,
        }
    }

    /// The rule for listing and watching a collection, by its path.
    #[must_use]
    pub fn to_watch(collection: &str) -> Self {
        // `/api/v1/…`, `/apis/{group}/{version}/…`, with `namespaces/{name}/` before the resource or without.
        let mut parts = collection.trim_start_matches('/').split('/');
        let group = match parts.next() {
            Some("apis") => parts.next().unwrap_or_default(),
            _ => "",
        };
        Self {
            group: group.to_owned(),
            resource: parts.next_back().unwrap_or_default().to_owned(),
            verbs: &["list", "watch"],
        }
    }

    /// What a person should do about `error`, when it is that this rule is missing; empty otherwise. To be
    /// put behind the error's own text.
    #[must_use]
    pub fn remedy(&self, error: &ApiError) -> String {
        if error.status() == Some(403) {
            format!("; add to the ClusterRole of Corten's service account: {self}")
        } else {
            String::new()
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            to,
            "{{apiGroups: [\"{}\"], resources: [\"{}\"], verbs: [\"{}\"]}}",
            self.group,
            self.resource,
            self.verbs.join("\", \"")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_names_its_rule() {
        for (path, group, resource) in [
            ("/api/v1/pods", "", "pods"),
            ("/api/v1/namespaces/shop/events", "", "events"),
            (
                "/apis/apps/v1/namespaces/shop/deployments",
                "apps",
                "deployments",
            ),
            ("/apis/batch/v1/jobs", "batch", "jobs"),
            ("", "", ""),
        ] {
            let rule = Rule::to_watch(path);
            assert_eq!((&*rule.group, &*rule.resource), (group, resource), "{path}");
        }
    }

    #[test]
    fn only_403_is_answered_with_a_rule() {
        let rule = Rule::core("pods/log", &["get"]);
        let status = |code| ApiError::Status {
            path: "/".to_owned(),
            code,
            message: String::new(),
        };
        let said = rule.remedy(&status(403));
        assert!(
            said.ends_with(r#"{apiGroups: [""], resources: ["pods/log"], verbs: ["get"]}"#),
            "{said}"
        );
        assert_eq!(rule.remedy(&status(404)), "");
    }
}
