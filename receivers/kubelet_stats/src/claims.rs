//! The volumes behind claims: the kubelet knows the claim alone, the API server what it is bound to.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use corten_component::BoxError;
use corten_kubernetes::{ApiClient, Rule, Surroundings};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use crate::config::{Config, Group, Label};
use crate::pods::source_attributes;

/// The most that is read of an answer.
const LARGEST: usize = 4 << 20;
/// A claim that is bound stays so; what was not to be had may come.
const REFRESH: Duration = Duration::from_secs(600);
const AGAIN: Duration = Duration::from_secs(60);
/// Claims that are asked for in one collection; the others are in the next ones.
const AT_ONCE: usize = 32;

/// A namespace and the name of a claim.
pub(crate) type Claim = (String, String);
/// What the volume behind a claim is.
pub(crate) type Attributes = Vec<(&'static str, String)>;

struct Known {
    asked: Instant,
    /// Empty where there was no answer.
    attributes: Attributes,
}

/// Asks the API server for what claims are bound to.
pub(crate) struct Claims {
    client: ApiClient,
    known: Mutex<HashMap<Claim, Known>>,
}

impl Claims {
    pub(crate) fn new(config: &Config) -> Option<Self> {
        let api = config.k8s_api_config.clone()?;
        Self::wanted(config).then(|| Self {
            client: ApiClient::new(api, Surroundings::of_pod()),
            known: Mutex::default(),
        })
    }

    /// Whether anything is reported that says what a volume is.
    pub(crate) fn wanted(config: &Config) -> bool {
        config.metric_groups.contains(&Group::Volume)
            && config.extra_metadata_labels.contains(&Label::VolumeType)
    }

    /// What is known of these claims, asked for where it is not; and what went wrong.
    pub(crate) async fn get(
        &self,
        claims: HashSet<Claim>,
    ) -> (HashMap<Claim, Attributes>, Option<BoxError>) {
        let unknown: Vec<Claim> = {
            let mut known = self.known.lock();
            known.retain(|claim, _| claims.contains(claim));
            let fresh = |claim: &Claim| {
                known.get(claim).is_some_and(|known| {
                    let missing = known.attributes.is_empty();
                    known.asked.elapsed() < if missing { AGAIN } else { REFRESH }
                })
            };
            let stale = claims.into_iter().filter(|claim| !fresh(claim));
            stale.take(AT_ONCE).collect()
        };
        let mut wrong = None;
        for claim in unknown {
            let found = self.ask(&claim).await;
            let mut known = self.known.lock();
            let attributes = match found {
                Ok(attributes) => attributes,
                Err(error) => {
                    wrong = Some(error);
                    let before = known.remove(&claim);
                    before.map(|known| known.attributes).unwrap_or_default()
                }
            };
            let asked = Instant::now();
            known.insert(claim, Known { asked, attributes });
        }
        let known = self.known.lock();
        let all = known.iter();
        let all = all.map(|(claim, known)| (claim.clone(), known.attributes.clone()));
        (all.collect(), wrong)
    }

    async fn ask(&self, (namespace, claim): &Claim) -> Result<Attributes, BoxError> {
        let path = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}");
        let object = self.object(&path, "persistentvolumeclaims").await?;
        let Some(volume) = object.pointer("/spec/volumeName").and_then(Value::as_str) else {
            return Ok(Vec::new());
        };
        let path = format!("/api/v1/persistentvolumes/{volume}");
        let object = self.object(&path, "persistentvolumes").await?;
        Ok(attributes(&object))
    }

    async fn object(&self, path: &str, resource: &str) -> Result<Value, BoxError> {
        match self.client.get(path, "application/json", LARGEST).await {
            Ok(body) => serde_json::from_slice(&body)
                .map_err(|error| format!("{path}: expected an object in JSON: {error}").into()),
            Err(error) => {
                let remedy = Rule::core(resource, &["get"]).remedy(&error);
                Err(format!("{error}{remedy}").into())
            }
        }
    }
}

/// What else is an object in the specification of a volume.
const NO_SOURCES: [&str; 3] = ["capacity", "claimRef", "nodeAffinity"];

fn attributes(volume: &Value) -> Attributes {
    let spec = volume.get("spec").and_then(Value::as_object);
    let mut sources = spec.into_iter().flatten();
    sources
        .find(|(key, value)| value.is_object() && !NO_SOURCES.contains(&key.as_str()))
        .map(|(kind, source)| source_attributes(kind, source))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_volume_is_what_its_source_is() {
        let volume = json!({"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "claimRef": {"name": "a"},
            "gcePersistentDisk": {"pdName": "disk-1", "fsType": "ext4"}, "storageClassName": "fast"}});
        assert_eq!(
            attributes(&volume),
            [
                ("k8s.volume.type", "gcePersistentDisk".to_owned()),
                ("gce.pd.name", "disk-1".to_owned()),
                ("fs.type", "ext4".to_owned()),
            ]
        );
        assert!(attributes(&json!({"spec": null})).is_empty());
    }

    proptest! {
        #[test]
        fn any_volume_is_something_or_nothing(spec in "[\\[\\]{}\":,a-z0-9]{0,60}") {
            if let Ok(volume) = serde_json::from_str(&format!(r#"{{"spec":{spec}}}"#)) {
                drop(attributes(&volume));
            }
        }
    }
}
