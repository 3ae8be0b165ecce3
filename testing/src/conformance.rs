//! What every component must do, checked in one line.

use std::sync::Arc;
use std::time::Duration;

use corten_component::{Component, ComponentId, Context, Create, Factory, Kind, Prepared};
use corten_config::Problems;

use crate::RecordingSink;

/// Reads a component's configuration as the agent would.
///
/// # Errors
///
/// Every problem, a line each.
pub fn decode(factory: &Factory, yaml: &str) -> Result<Prepared, String> {
    let mut problems = Problems::new();
    let metadata = factory.metadata();
    let path = format!("{}::{}", metadata.kind.plural(), metadata.type_name);
    let section = corten_config::section(yaml, &path, &mut problems);
    let prepared = section.and_then(|section| factory.decode(&section, &mut problems));
    match prepared {
        Some(prepared) if !problems.has_errors() => Ok(prepared),
        _ => Err(problems.to_string()),
    }
}

/// Makes one component of the factory from `yaml`; what it sends goes to `sink`.
///
/// # Panics
///
/// When the configuration has problems or the component cannot be made.
#[must_use]
#[expect(clippy::panic, reason = "a test's arrangement has failed")]
pub fn create(factory: &Factory, yaml: &str, sink: &Arc<RecordingSink>) -> Arc<dyn Component> {
    let prepared = decode(factory, yaml).unwrap_or_else(|problems| panic!("{problems}"));
    let metadata = factory.metadata();
    let id = id_of(metadata.type_name);
    let cx = Context::detached(metadata.kind, id);
    let made = match prepared.create {
        Create::Receiver(create) => create(cx, sink.next()).map(|made| made as Arc<dyn Component>),
        Create::Processor(create) => {
            create(cx, Arc::clone(sink) as _).map(|made| made as Arc<dyn Component>)
        }
        Create::Exporter(create) => create(cx, ()).map(|made| made as Arc<dyn Component>),
        Create::Connector(create) => create(cx, sink.next()).map(|made| made as Arc<dyn Component>),
        Create::Extension(create) => create(cx, ()).map(|made| made as Arc<dyn Component>),
    };
    made.unwrap_or_else(|error| panic!("{}: {error}", metadata.type_name))
}

/// Holds a factory to the contract: it decodes `yaml`, creates, starts, stops, stops twice, stops
/// without a start, and refuses a field that it does not know; its metadata is well-formed and its
/// schema describes an object.
///
/// # Panics
///
/// At the first thing that is not as it must be.
pub async fn conforms(factory: Factory, yaml: &str) {
    let metadata = factory.metadata();
    let name = metadata.type_name;
    assert!(
        name.chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
        "{name}: types are lower_snake_case"
    );
    assert!(
        metadata.kind == Kind::Extension || !metadata.signals.is_empty(),
        "{name}: names no signal"
    );
    assert!(
        !metadata.summary.is_empty() && !metadata.summary.ends_with('.'),
        "{name}: the summary is one line without a full stop"
    );
    let schema = factory.schema();
    assert!(
        schema.as_object().is_some(),
        "{name}: the schema is no object"
    );

    let sink = RecordingSink::new();
    let limit = Duration::from_secs(20);
    let never_started = create(&factory, yaml, &sink);
    bounded(
        name,
        "shutdown without start",
        limit,
        never_started.shutdown(),
    )
    .await;

    let component = create(&factory, yaml, &sink);
    bounded(name, "start", limit, Arc::clone(&component).start()).await;
    bounded(name, "shutdown", limit, component.shutdown()).await;
    bounded(name, "second shutdown", limit, component.shutdown()).await;

    let unknown = match yaml.trim_end().strip_suffix('}') {
        Some("{") => "{no_such_field: 1}".to_owned(),
        Some(flow) if yaml.trim_start().starts_with('{') => format!("{flow}, no_such_field: 1}}"),
        _ => format!("{}\nno_such_field: 1\n", yaml.trim_end()),
    };
    let problems = match decode(&factory, &unknown) {
        Ok(_) => String::new(),
        Err(problems) => problems,
    };
    assert!(
        problems.contains("no_such_field"),
        "{name}: an unknown field must be a problem that names it, got: {problems:?}"
    );
}

#[expect(clippy::panic, reason = "a component's metadata is wrong")]
fn id_of(type_name: &str) -> ComponentId {
    type_name
        .parse()
        .unwrap_or_else(|error| panic!("{type_name} is no component type: {error}"))
}

#[expect(clippy::panic, reason = "the component under test has failed")]
async fn bounded(
    name: &str,
    step: &str,
    limit: Duration,
    work: impl Future<Output = Result<(), corten_component::BoxError>>,
) {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => panic!("{name}: {step}: {error}"),
        Err(_) => panic!("{name}: {step}: not within {limit:?}"),
    }
}
