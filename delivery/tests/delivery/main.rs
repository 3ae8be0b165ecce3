//! The whole way from `consume` to a scripted sink.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod arrange;
mod dead_letters;
mod disk;
mod kill;
mod memory;
mod overflow;
mod retry;
mod shutdown;
