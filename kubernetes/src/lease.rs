//! One of many: a `Lease` that one holder renews and the others wait for.
//!
//! The clocks of machines differ, so no time that the lease tells is believed. Everybody measures with a
//! clock of its own for how long the lease has not changed; when that is longer than it was given for,
//! its holder is gone. The holder stops leading sooner than that when it cannot renew, so two never lead
//! at once (as long as clocks run at about the same speed).
//!
//! Shape: `coordination.k8s.io/v1`, `Lease`. Compatible with whoever elects by the same object: `kubectl
//! get lease` shows the holder.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::anything::Anything;
use crate::backoff::Backoff;
use crate::client::ApiClient;
use crate::error::ApiError;
use crate::rbac::Rule;

/// A lease is small; anything longer is none.
const LARGEST: usize = 1 << 20;

/// Which lease, who asks for it, and the paces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseSettings {
    /// The namespace of the lease.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who this is: unlike anybody else that asks for the lease.
    pub identity: String,
    /// How long others wait after the last sign of life. Longer than `renew_deadline`.
    pub lease_duration: Duration,
    /// The holder gives up when it could not renew for so long. Longer than `retry_period`.
    pub renew_deadline: Duration,
    /// The time between two attempts.
    pub retry_period: Duration,
}

/// Where the elector stands after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The lease is held here.
    Leading,
    /// Somebody else holds it.
    Following {
        /// Who; empty when it is not known.
        holder: String,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    holder_identity: Option<String>,
    lease_duration_seconds: Option<u64>,
    lease_transitions: Option<u64>,
}

/// Takes part in the election.
pub struct Elector {
    client: Arc<ApiClient>,
    settings: LeaseSettings,
    /// The version of the lease that was seen last, and since when.
    seen: Option<(String, Instant)>,
    /// The lease as it was written last, when it is held here.
    held: Option<Anything>,
}

impl Elector {
    /// An elector that has not asked yet.
    #[must_use]
    pub fn new(client: Arc<ApiClient>, settings: LeaseSettings) -> Self {
        Self {
            client,
            settings,
            seen: None,
            held: None,
        }
    }

    /// The rule that an elector needs.
    #[must_use]
    pub fn rule() -> Rule {
        Rule {
            group: "coordination.k8s.io".to_owned(),
            resource: "leases".to_owned(),
            verbs: &["get", "create", "update"],
        }
    }

    fn collection(&self) -> String {
        format!(
            "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
            self.settings.namespace
        )
    }

    fn object(&self) -> String {
        format!("{}/{}", self.collection(), self.settings.name)
    }

    /// Asks for the lease once, or renews it.
    ///
    /// # Errors
    /// What the API server or the way to it said; who held the lease may still hold it.
    pub async fn attempt(&mut self) -> Result<Standing, ApiError> {
        if let Some(held) = self.held.take() {
            // What was written last is most probably what is there.
            match self.write(held, false).await {
                Ok(()) => return Ok(Standing::Leading),
                Err(error) if error.status() == Some(409) => {}
                Err(error) => return Err(error),
            }
        }
        let lease = match self
            .client
            .get(&self.object(), "application/json", LARGEST)
            .await
        {
            Ok(body) => read(&body, &self.object())?,
            Err(error) if error.status() == Some(404) => return self.create().await,
            Err(error) => return Err(error),
        };
        let spec = spec(&lease);
        let holder = spec.holder_identity.unwrap_or_default();
        let version = &lease.metadata.resource_version;
        let now = Instant::now();
        let since = match &self.seen {
            Some((seen, since)) if seen == version => *since,
            _ => {
                self.seen = Some((version.clone(), now));
                now
            }
        };
        let ours = holder == self.settings.identity;
        let given = spec
            .lease_duration_seconds
            .map_or(self.settings.lease_duration, Duration::from_secs);
        if !ours && !holder.is_empty() && now.duration_since(since) < given {
            return Ok(Standing::Following { holder });
        }
        match self.write(lease, !ours).await {
            Ok(()) => Ok(Standing::Leading),
            // Somebody was faster.
            Err(error) if error.status() == Some(409) => Ok(Standing::Following {
                holder: String::new(),
            }),
            Err(error) => Err(error),
        }
    }

    async fn create(&mut self) -> Result<Standing, ApiError> {
        let now = micro_time();
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.settings.name, "namespace": self.settings.namespace},
            "spec": {
                "holderIdentity": self.settings.identity,
                "leaseDurationSeconds": self.settings.lease_duration.as_secs(),
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": 0,
            },
        });
        let path = self.collection();
        let sent = self
            .client
            .send(Method::POST, &path, lease.to_string().as_bytes(), LARGEST)
            .await;
        match sent {
            Ok(body) => {
                self.held = Some(read(&body, &path)?);
                Ok(Standing::Leading)
            }
            Err(error) if error.status() == Some(409) => Ok(Standing::Following {
                holder: String::new(),
            }),
            Err(error) => Err(error),
        }
    }

    /// Writes the lease with this holder; whatever else it has stays.
    async fn write(&mut self, mut lease: Anything, acquired: bool) -> Result<(), ApiError> {
        let before = spec(&lease);
        let now = micro_time();
        put(
            &mut lease.value,
            "holderIdentity",
            json!(self.settings.identity),
        );
        let seconds = self.settings.lease_duration.as_secs();
        put(&mut lease.value, "leaseDurationSeconds", json!(seconds));
        put(&mut lease.value, "renewTime", json!(now));
        if acquired {
            put(&mut lease.value, "acquireTime", json!(now));
            let transitions = before.lease_transitions.unwrap_or(0).saturating_add(1);
            put(&mut lease.value, "leaseTransitions", json!(transitions));
        }
        self.held = Some(self.update(&lease.value).await?);
        Ok(())
    }

    async fn update(&self, lease: &Value) -> Result<Anything, ApiError> {
        let path = self.object();
        let body = lease.to_string();
        let answer = self
            .client
            .send(Method::PUT, &path, body.as_bytes(), LARGEST)
            .await?;
        read(&answer, &path)
    }

    /// Gives the lease up, so that the next one need not wait until it ends.
    ///
    /// # Errors
    /// What the API server said; the lease ends by itself.
    pub async fn release(&mut self) -> Result<(), ApiError> {
        let Some(mut held) = self.held.take() else {
            return Ok(());
        };
        put(&mut held.value, "holderIdentity", json!(""));
        put(&mut held.value, "leaseDurationSeconds", json!(1));
        put(&mut held.value, "renewTime", json!(micro_time()));
        self.update(&held.value).await.map(|_| ())
    }

    /// Takes part for ever, and says in `leading` where that stands. To end it, drop the future, then
    /// [`release`](Self::release).
    pub async fn run(&mut self, leading: &watch::Sender<bool>) {
        let period = self.settings.retry_period;
        let mut failing = false;
        let mut renewed = Instant::now();
        // No two ask in step.
        let mut pauses = Backoff::new(period, period);
        loop {
            let asked = Instant::now();
            let last = *leading.borrow();
            // Who leads must know before the others may think that it is gone.
            let deadline = if last {
                renewed + self.settings.renew_deadline
            } else {
                asked + self.settings.renew_deadline
            };
            let outcome = tokio::time::timeout_at(deadline, self.attempt()).await;
            match outcome {
                Ok(Ok(standing)) => {
                    if failing {
                        tracing::info!(lease = self.settings.name, "the API server answers again");
                        failing = false;
                    }
                    let now = standing == Standing::Leading;
                    if now {
                        renewed = asked;
                    }
                    if leading.send_if_modified(|was| std::mem::replace(was, now) != now) {
                        tracing::info!(
                            lease = self.settings.name,
                            leading = now,
                            ?standing,
                            "who leads"
                        );
                    }
                }
                Ok(Err(error)) => {
                    if !failing {
                        let remedy = Self::rule().remedy(&error);
                        tracing::warn!("the lease cannot be had: {error}{remedy}");
                        failing = true;
                    }
                    if last && Instant::now() >= deadline {
                        stop_leading(leading, &self.settings.name);
                    }
                }
                Err(_) => {
                    if last {
                        stop_leading(leading, &self.settings.name);
                    }
                }
            }
            let pause = if *leading.borrow() {
                // Not later than the deadline, whatever the pace.
                period.min((renewed + self.settings.renew_deadline) - Instant::now())
            } else {
                pauses.pause()
            };
            tokio::time::sleep(pause.max(Duration::from_millis(1))).await;
        }
    }
}

fn stop_leading(leading: &watch::Sender<bool>, name: &str) {
    if leading.send_if_modified(|was| std::mem::replace(was, false)) {
        tracing::warn!(
            lease = name,
            "the lease was not renewed in time: not leading any more"
        );
    }
}

fn spec(lease: &Anything) -> Spec {
    lease
        .value
        .get("spec")
        .and_then(|spec| Spec::deserialize(spec).ok())
        .unwrap_or_default()
}

fn put(lease: &mut Value, key: &str, value: Value) {
    let Value::Object(lease) = lease else {
        return;
    };
    let spec = lease.entry("spec").or_insert_with(|| json!({}));
    if !spec.is_object() {
        *spec = json!({});
    }
    if let Value::Object(spec) = spec {
        spec.insert(key.to_owned(), value);
    }
}

fn read(body: &[u8], path: &str) -> Result<Anything, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::Decode {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// Now, as `MicroTime` is written: RFC 3339 with exactly six digits.
fn micro_time() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S.%6fZ")
        .to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn micro_time_has_six_digits() {
        let now = micro_time();
        assert_eq!(now.len(), "2026-01-02T03:04:05.123456Z".len(), "{now}");
        assert!(now.parse::<jiff::Timestamp>().is_ok());
    }

    proptest! {
        #[test]
        fn any_lease_can_be_read_and_written(lease in "[\\[\\]{}\":,a-z0-9]{0,60}") {
            let body = format!(r#"{{"metadata":{{}},"spec":{lease}}}"#);
            if let Ok(mut lease) = read(body.as_bytes(), "/") {
                let _spec = spec(&lease);
                put(&mut lease.value, "holderIdentity", json!("a"));
                prop_assert_eq!(&lease.value["spec"]["holderIdentity"], "a");
            }
        }
    }
}
