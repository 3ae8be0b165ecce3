//! The `corten` command.

mod agent;
mod cli;
mod components;
mod logging;
mod own_pages;
mod print;
mod queue;
#[cfg(test)]
mod reference;
mod setup;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        None => agent::run(&cli.run),
        Some(Command::Run(args)) => agent::run(&args),
        Some(Command::Validate(args)) => setup::validate(&args),
        Some(Command::PrintConfig(args)) => print::config(&args),
        Some(Command::Components(args)) => print::components(args.format),
        Some(Command::Schema) => print::schema(),
        Some(Command::Queue(args)) => queue::run(&args.action),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("corten: {}", in_words(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes; one that its own text has told already is not told again.
fn in_words(error: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if words.is_empty() {
            words = cause;
        } else if !words.ends_with(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
}
