//! `/-/ready` and `/-/healthy`.
//!
//! Ready means delivering: the answer is 503, with a line for every component that does not do its job
//! and why, so that it can be read and alerted on. Healthy means alive, whatever backends do: a
//! liveness probe must not restart an agent because Loki is away.

use std::fmt::Write as _;
use std::time::Duration;

use corten_component::{ComponentHealth, Condition, Health, Services};
use corten_config::types::Duration as Printed;
use corten_net::body::Body;
use corten_net::listen::text;
use http::Response;

/// Whether every component does its job, or has not done it for less than `patience`.
pub(crate) fn ready(services: &Services, patience: Duration) -> Response<Body> {
    let Some(health) = services.get::<Health>() else {
        return text(200, "Corten is ready\n");
    };
    let not_ready = health.not_ready(patience);
    if not_ready.is_empty() {
        return text(200, "Corten is ready\n");
    }
    let mut answer = String::from("Corten is not ready\n");
    not_ready
        .iter()
        .for_each(|component| describe(component, &mut answer));
    text(503, answer)
}

/// Alive; names the components that have trouble all the same.
pub(crate) fn healthy(services: &Services) -> Response<Body> {
    let mut answer = String::from("Corten is healthy\n");
    if let Some(health) = services.get::<Health>() {
        for component in health.components() {
            if matches!(component.condition, Condition::Failing { .. }) {
                describe(&component, &mut answer);
            }
        }
    }
    text(200, answer)
}

/// A line such as `exporter loki: not delivering for 2m5s: connection refused`.
fn describe(component: &ComponentHealth, out: &mut String) {
    let ComponentHealth {
        kind,
        id,
        condition,
    } = component;
    // Writing to a string does not fail.
    let written = match condition {
        Condition::Ok => writeln!(out, "{kind} {id}: ok"),
        Condition::Starting => writeln!(out, "{kind} {id}: is starting"),
        Condition::Stopped => writeln!(out, "{kind} {id}: is stopped"),
        Condition::Failing { since, reason } => {
            let seconds = Printed::from(Duration::from_secs(since.elapsed().as_secs()));
            writeln!(out, "{kind} {id}: failing for {seconds}: {reason}")
        }
    };
    written.unwrap_or_default();
}
