//! The effective configuration as text: what `print-config` shows.

use std::fmt;

use serde::Serialize;
// Its maps keep their order, so that settings are printed as the types have them.
use serde_yaml::{Mapping, Value};

use crate::model::{Document, Kind, Model};
use crate::types::ComponentId;

/// How the configuration is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// YAML.
    #[default]
    Yaml,
    /// JSON.
    Json,
}

/// The configuration cannot be written; a component's config serialises to something that is not a
/// map.
#[derive(Debug, thiserror::Error)]
#[error("cannot print the configuration: {0}")]
pub struct PrintError(String);

/// The configuration as it takes effect: references replaced, defaults filled in, secrets hidden.
///
/// Only typed configs know their defaults and which of their values are secret, so the caller decodes
/// each section and adds it. What it does not add is left out, never shown as it was written.
///
/// ```
/// use corten_config::{Problems, Sources, model::Kind, print::{Effective, Format}, types::Secret};
///
/// #[derive(Default, serde::Serialize, serde::Deserialize)]
/// #[serde(default)]
/// struct Loki { endpoint: String, password: Secret, retries: u32 }
///
/// let file = "
/// receivers: {a: }
/// exporters: {loki: {endpoint: 'http://x', password: hunter2}}
/// service: {pipelines: {logs: {receivers: [a], exporters: [loki]}}}
/// ";
/// let mut problems = Problems::new();
/// let document = Sources::new().text("c.yaml", file).resolve(&corten_config::Process, &mut problems);
/// let model = document.model(&mut problems);
/// let mut effective = Effective::new(&model)?;
/// for loki in &model.exporters {
///     let config: Loki = loki.section.decode(&mut problems).unwrap();
///     effective.component(Kind::Exporter, &loki.id, &config)?;
/// }
/// let yaml = effective.write(Format::Yaml)?;
/// assert!(yaml.contains("password: '[REDACTED]'") && yaml.contains("retries: 0"), "{yaml}");
/// # Ok::<(), corten_config::print::PrintError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Effective {
    sections: [Mapping; 5],
    service: Value,
}

impl Effective {
    /// The part of `model` that has types already: the section `service`.
    ///
    /// # Errors
    /// When its telemetry cannot be serialised, which it can.
    pub fn new(model: &Model) -> Result<Self, PrintError> {
        let ids = |references: &[crate::model::Reference]| -> Value {
            references
                .iter()
                .map(|reference| Value::String(reference.id.to_string()))
                .collect()
        };
        let mut pipelines = Mapping::new();
        for pipeline in &model.service.pipelines {
            let mut parts = Mapping::new();
            for (kind, references) in pipeline.references() {
                parts.insert(kind.plural().into(), ids(references));
            }
            pipelines.insert(pipeline.id.to_string().into(), Value::Mapping(parts));
        }
        let mut service = Mapping::new();
        service.insert("extensions".into(), ids(&model.service.extensions));
        service.insert("pipelines".into(), Value::Mapping(pipelines));
        service.insert("telemetry".into(), value(&model.service.telemetry)?);
        Ok(Self {
            sections: Default::default(),
            service: Value::Mapping(service),
        })
    }

    /// Adds the typed config of a component.
    ///
    /// # Errors
    /// When it cannot be serialised.
    pub fn component(
        &mut self,
        kind: Kind,
        id: &ComponentId,
        config: &impl Serialize,
    ) -> Result<(), PrintError> {
        let [receivers, processors, exporters, connectors, extensions] = &mut self.sections;
        let section = match kind {
            Kind::Receiver => receivers,
            Kind::Processor => processors,
            Kind::Exporter => exporters,
            Kind::Connector => connectors,
            Kind::Extension => extensions,
        };
        section.insert(id.to_string().into(), value(config)?);
        Ok(())
    }

    /// The whole file.
    ///
    /// # Errors
    /// When it cannot be written as `format`.
    pub fn write(&self, format: Format) -> Result<String, PrintError> {
        let mut file = Mapping::new();
        for (kind, section) in Kind::ALL.into_iter().zip(&self.sections) {
            if !section.is_empty() {
                file.insert(kind.plural().into(), Value::Mapping(section.clone()));
            }
        }
        file.insert("service".into(), self.service.clone());
        write(&Value::Mapping(file), format)
    }
}

/// The configuration as it was written, references replaced and **secrets shown**: `print-config
/// --mode unredacted`.
///
/// # Errors
/// When it cannot be written as `format`.
pub fn unredacted(document: &Document, format: Format) -> Result<String, PrintError> {
    write(document.root(), format)
}

fn value(config: &impl Serialize) -> Result<Value, PrintError> {
    serde_yaml::to_value(config).map_err(error)
}

/// Any value as text.
///
/// # Errors
/// When it cannot be written as `format`.
pub fn write(value: &impl Serialize, format: Format) -> Result<String, PrintError> {
    match format {
        Format::Yaml => serde_yaml::to_string(value).map_err(error),
        Format::Json => serde_json::to_string_pretty(value)
            .map(|text| text + "\n")
            .map_err(error),
    }
}

fn error(error: impl fmt::Display) -> PrintError {
    PrintError(error.to_string())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::problem::Problems;
    use crate::resolve::Sources;
    use crate::settings::Retry;

    const FILE: &str = "
receivers: {a/1: }
exporters: {b: {token: 'on', port: '0123', ratio: 1.0, text: \"two\\nlines\"}}
service: {pipelines: {logs: {receivers: [a/1], exporters: [b]}}}
";

    fn model() -> (Document, Model) {
        let mut problems = Problems::new();
        let document = Sources::new()
            .text("c.yaml", FILE)
            .resolve(&crate::Process, &mut problems);
        let model = document.model(&mut problems);
        assert!(problems.is_empty(), "{problems}");
        (document, model)
    }

    #[test]
    fn what_is_printed_is_read_back() {
        let (document, model) = model();
        for format in [Format::Yaml, Format::Json] {
            let text = unredacted(&document, format).unwrap();
            let mut problems = Problems::new();
            let again = Sources::new()
                .text("again.yaml", &text)
                .resolve(&crate::Process, &mut problems);
            assert_eq!(
                serde_json::to_value(again.root()).unwrap(),
                serde_json::to_value(document.root()).unwrap(),
                "{text}"
            );

            let mut effective = Effective::new(&model).unwrap();
            effective
                .component(
                    Kind::Receiver,
                    &model.receivers.iter().next().unwrap().id,
                    &Retry::default(),
                )
                .unwrap();
            effective
                .component(
                    Kind::Exporter,
                    &model.exporters.iter().next().unwrap().id,
                    &Retry::default(),
                )
                .unwrap();
            let text = effective.write(format).unwrap();
            let again = Sources::new()
                .text("again.yaml", &text)
                .resolve(&crate::Process, &mut problems)
                .model(&mut problems);
            assert!(problems.is_empty(), "{problems}\n{text}");
            assert_eq!(again.service.telemetry, model.service.telemetry);
            assert_eq!(again.service.pipelines.len(), 1);
        }
    }

    #[test]
    fn unredacted_is_what_was_written() {
        expect![[r#"
            receivers:
              a/1: null
            exporters:
              b:
                token: on
                port: '0123'
                ratio: 1.0
                text: |-
                  two
                  lines
            service:
              pipelines:
                logs:
                  receivers:
                  - a/1
                  exporters:
                  - b
        "#]]
        .assert_eq(&unredacted(&model().0, Format::Yaml).unwrap());
    }
}
