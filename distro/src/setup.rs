//! From the command line to a checked plan.

use std::process::ExitCode;

use corten_component::{Health, Services};
use corten_config::model::Model;
use corten_config::{Document, Map, Problem, Problems, Process, Severity, Sources};
use corten_pipeline::{Graph, Plan, Registry, Surroundings};
use opentelemetry::metrics::MeterProvider;
use opentelemetry::metrics::noop::NoopMeterProvider;

use crate::cli::ConfigArgs;
use crate::components;
use crate::telemetry::MetricsPages;

/// Configurations that come with the binary: name, text.
const BUILTIN: [(&str, &str); 3] = [
    ("default", include_str!("../configs/default.yaml")),
    (
        "kubernetes-node",
        include_str!("../configs/kubernetes-node.yaml"),
    ),
    ("gateway", include_str!("../configs/gateway.yaml")),
];

/// A configuration that can be run.
pub(crate) struct Loaded {
    /// What to build.
    pub(crate) plan: Plan,
    /// What is worth saying although it can be run.
    pub(crate) warnings: Vec<String>,
    /// Whether nothing was given and the embedded default runs.
    pub(crate) embedded: bool,
}

/// The components of this distribution.
pub(crate) fn registry() -> Registry {
    Registry::new(components::all()).with_elsewhere(components::ELSEWHERE)
}

/// Reads and checks the configuration.
///
/// # Errors
///
/// Every problem, a line each, the last one saying how many errors there are.
pub(crate) fn load(args: &ConfigArgs) -> Result<Loaded, String> {
    let mut problems = Problems::new();
    let embedded = args.config.is_empty();
    let (.., plan) = check(args, &mut problems);
    match plan {
        Some(plan) if !problems.has_errors() => Ok(Loaded {
            plan,
            warnings: problems.iter().map(ToString::to_string).collect(),
            embedded,
        }),
        _ => Err(report(&problems)),
    }
}

/// The configuration as written, as read, and, if it has no errors, the plan.
pub(crate) fn check(args: &ConfigArgs, problems: &mut Problems) -> (Document, Model, Option<Plan>) {
    gates(&args.feature_gates, problems);
    let document = sources(args, problems).resolve(&Process, problems);
    let empty = document.root().as_map().is_none_or(Map::is_empty);
    if problems.has_errors() && empty {
        // Nothing could be read: that it lacks everything need not be said as well.
        let model = document.model(&mut Problems::new());
        return (document, model, None);
    }
    let model = document.model(problems);
    let plan = Plan::check(&model, &registry(), problems);
    let plan = plan.filter(|plan| can_be_built(plan, problems));
    (document, model, plan)
}

/// Whether every component can be created and connected: a storage that is not running, two servers
/// at one address. Building does no IO, so this is a trial.
fn can_be_built(plan: &Plan, problems: &mut Problems) -> bool {
    let around = Surroundings {
        services: Services::new(),
        health: Health::new(),
        meter: NoopMeterProvider::new().meter("corten"),
    };
    match Graph::build(plan, &around) {
        Ok(_) => {}
        Err(error) => {
            problems.push(Problem::error(error.source.to_string()).path(error.place));
            return false;
        }
    }
    // After the components, as when it is run: they have their addresses first.
    match MetricsPages::build(&plan.telemetry, &around.services) {
        Ok(_) => true,
        Err(error) => {
            problems.push(Problem::error(error.to_string()));
            false
        }
    }
}

/// `corten validate`: 0 when the configuration can be run. Nothing is started.
pub(crate) fn validate(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let mut problems = Problems::new();
    let (.., plan) = check(args, &mut problems);
    if !problems.is_empty() {
        eprint!("{}", report(&problems));
    }
    Ok(if plan.is_some() && !problems.has_errors() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn sources(args: &ConfigArgs, problems: &mut Problems) -> Sources {
    let mut sources = Sources::new();
    if args.config.is_empty() {
        sources = builtin(sources, "default", problems);
    }
    for uri in &args.config {
        sources = match uri.strip_prefix("builtin:") {
            Some(name) => builtin(sources, name, problems),
            None => sources.config(uri),
        };
    }
    args.set
        .iter()
        .fold(sources, |sources, set| sources.set(set))
}

fn builtin(sources: Sources, name: &str, problems: &mut Problems) -> Sources {
    match BUILTIN.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => sources.text(format!("builtin:{name}"), *text),
        None => {
            let names = BUILTIN.map(|(known, _)| known);
            problems.push(
                Problem::error(format!(
                    "no built-in configuration is called '{name}' (valid: {})",
                    names.join(", ")
                ))
                .nearest(name, names),
            );
            sources
        }
    }
}

/// No gate of the Collector's means anything here, and none keeps the agent from starting.
fn gates(gates: &[String], problems: &mut Problems) {
    for gate in gates {
        let gate = gate.trim_start_matches(['+', '-']);
        if !gate.is_empty() {
            problems.push(Problem::warning(format!(
                "feature gate \"{gate}\" is not known here and changes nothing"
            )));
        }
    }
}

/// The problems, and how many of them are errors.
fn report(problems: &Problems) -> String {
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .count();
    match errors {
        0 => format!("{problems}\n"),
        1 => format!("{problems}\n1 error: the configuration cannot be used\n"),
        _ => format!("{problems}\n{errors} errors: the configuration cannot be used\n"),
    }
}

/// Three lines for whoever started it without a configuration.
pub(crate) fn say_where_to_look() {
    eprintln!(
        "\n  This machine's metrics   http://127.0.0.1:12345/api/v0/component/prometheus.exporter.unix.system/metrics\n  \
           Recent telemetry         http://127.0.0.1:12345/recent    (and Corten's own metrics at /metrics)\n  \
           Send OTLP to             127.0.0.1:4317 (gRPC) or http://127.0.0.1:4318; then: corten print-config > corten.yaml\n"
    );
}
