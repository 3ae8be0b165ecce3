//! The `receiver_creator` receiver: receivers for what comes and goes.
//!
//! An observer (`k8s_observer`) says which endpoints there are. For each of them the creator works out which receivers are
//! wanted, with which settings: from the templates whose rule is true of it, or from a pod's own annotations. What is wanted
//! is a value, compared with what runs: what is the same goes on, the rest stops and starts. So a pod whose
//! uninteresting label changes does not interrupt its metrics, and an API server that lists everything again does
//! nothing at all.
//!
//! - `rule`, `expand`: expressions about an endpoint, as a condition and between backticks in settings;
//! - `wanted`: from an endpoint to the receivers it should have; `hints`: the same by annotations,
//!   and `confine`: within which bounds;
//! - `running`: one receiver, from its factory to its shutdown; its data passes through `enhance`;
//! - `receiver`: the creator's own life.
//!
//! Nobody's mistake stops the process or another endpoint: it is one error in the log, with the endpoint, the receiver and
//! what is wrong.

mod config;
mod confine;
mod enhance;
mod expand;
mod hints;
mod metadata;
mod receiver;
mod rule;
mod running;
mod wanted;

pub use metadata::METADATA;

use corten_component::Factory;

/// The factory of `receiver_creator`.
#[must_use]
pub fn factory() -> Factory {
    Factory::receiver(&METADATA, receiver::ReceiverCreator::create)
}
