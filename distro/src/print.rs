//! What `print-config`, `components` and `schema` write to standard output.

use std::io::Write;
use std::process::ExitCode;

use corten_component::{Factory, Kind};
use corten_config::Problems;
use corten_config::print::{self, Effective};
use corten_config::schema::{self, ComponentSchema};
use serde_json::{Map, Value, json};

use crate::cli::{Format, Mode, PrintArgs};
use crate::setup;

/// `corten print-config`.
pub(crate) fn config(args: &PrintArgs) -> anyhow::Result<ExitCode> {
    let mut problems = Problems::new();
    let (document, model, plan) = setup::check(&args.config, &mut problems);
    let Some(plan) = plan else {
        eprintln!("{problems}");
        return Ok(ExitCode::FAILURE);
    };
    let text = match args.mode {
        Mode::Unredacted => print::unredacted(&document, args.format.into())?,
        Mode::Redacted => {
            let mut effective = Effective::new(&model)?;
            for (kind, id, settings) in plan.effective() {
                effective.component(kind, id, settings)?;
            }
            effective.write(args.format.into())?
        }
    };
    write(&text)
}

/// `corten components`: as the Collector prints them.
pub(crate) fn components(format: Format) -> anyhow::Result<ExitCode> {
    let registry = setup::registry();
    let mut root = Map::new();
    root.insert(
        "buildinfo".to_owned(),
        json!({
            "command": "corten",
            "description": "Corten: container logs, node metrics and traces in one small agent",
            "version": env!("CARGO_PKG_VERSION"),
        }),
    );
    for kind in Kind::ALL {
        let of_kind = |factory: &&Factory| factory.metadata().kind == kind;
        let all: Vec<Value> = registry
            .factories()
            .iter()
            .filter(of_kind)
            .map(component)
            .collect();
        root.insert(kind.plural().to_owned(), Value::Array(all));
    }
    write(&print::write(&Value::Object(root), format.into())?)
}

fn component(factory: &Factory) -> Value {
    let metadata = factory.metadata();
    let mut stability = Map::new();
    for signal in metadata.signals {
        stability.insert(signal.to_string(), json!(metadata.stability.name()));
    }
    if metadata.signals.is_empty() {
        stability.insert("extension".to_owned(), json!(metadata.stability.name()));
    }
    let mut value = Map::new();
    value.insert("name".to_owned(), json!(metadata.type_name));
    value.insert("description".to_owned(), json!(metadata.summary));
    value.insert("stability".to_owned(), Value::Object(stability));
    if !metadata.aliases.is_empty() {
        value.insert("aliases".to_owned(), json!(metadata.aliases));
    }
    Value::Object(value)
}

/// `corten schema`.
pub(crate) fn schema() -> anyhow::Result<ExitCode> {
    let registry = setup::registry();
    let components = registry.factories().iter().flat_map(|factory| {
        let metadata = factory.metadata();
        let names = [metadata.type_name].into_iter();
        names
            .chain(metadata.aliases.iter().copied())
            .map(|component_type| ComponentSchema {
                kind: metadata.kind,
                component_type,
                description: metadata.summary,
                schema: factory.schema(),
            })
    });
    write(&print::write(
        &schema::file(components),
        print::Format::Json,
    )?)
}

/// Writes to standard output. Whoever reads may stop reading (`| head`): that is no error.
pub(crate) fn write(text: &str) -> anyhow::Result<ExitCode> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}
