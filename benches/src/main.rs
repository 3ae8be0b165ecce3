//! `corten-bench`: what the release binary costs, held against a floor of the same work in the same
//! run. Prints CPU per item of the agent alone, its peak memory, and the ratio to the floor.
//!
//! The machine may be shared and noisy, so every figure is the median of several runs and what is
//! compared is CPU time, not the clock.
#![expect(clippy::print_stdout, reason = "a command whose output is its result")]

mod agent;
mod footprint;
mod forward;
mod latency;
mod logs;
mod otlp;
mod scrape;
mod sink;
mod targets;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Throughput and memory of target/release/corten, as ratios in one run")]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// Container logs from files to a Loki push endpoint
    Logs(logs::Args),
    /// CPU and memory with many files, written to at a given rate or not at all
    Footprint(footprint::Args),
    /// OTLP traces in over gRPC, batch, out over gRPC
    Otlp(otlp::Args),
    /// How long a client waits for an answer, alone and among thousands of others
    Latency(latency::Args),
    /// Scrapes of the node's metrics
    Scrape(scrape::Args),
    /// Scrapes of somebody else's page
    Targets(targets::Args),
    /// A floor of `otlp` in a process of its own: takes gRPC requests and answers them
    #[command(hide = true)]
    Echo,
    /// The other floor of `otlp`: takes gRPC requests and sends them on
    #[command(hide = true)]
    Forward(forward::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().scenario {
        Scenario::Logs(args) => logs::run(&args),
        Scenario::Footprint(args) => footprint::run(&args),
        Scenario::Otlp(args) => otlp::run(&args),
        Scenario::Latency(args) => latency::run(&args),
        Scenario::Scrape(args) => scrape::run(&args),
        Scenario::Targets(args) => targets::run(&args),
        Scenario::Echo => otlp::echo(),
        Scenario::Forward(args) => forward::run(&args),
    }
}

/// The middle one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
