//! The JSON Schema of the whole file, for editors: what `corten schema` prints.

use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::model::{Kind, Telemetry};

/// The schema of one component type's settings.
#[derive(Clone, Debug)]
pub struct ComponentSchema<'a> {
    /// Which section it stands in.
    pub kind: Kind,
    /// The type as it is written, such as `file_log`; old names are entries of their own.
    pub component_type: &'a str,
    /// One line about it.
    pub description: &'a str,
    /// The schema of its config, as from [`of`].
    pub schema: Schema,
}

/// The schema of a config type, by itself.
pub fn of<T: JsonSchema>() -> Schema {
    schemars::schema_for!(T)
}

/// The schema of the whole file, from those of all components.
///
/// A component may be written without settings (null). Objects are strict, as the reader is: a key that
/// is not a field is an error in the editor, too.
pub fn file<'a>(components: impl IntoIterator<Item = ComponentSchema<'a>>) -> Value {
    let mut definitions = Map::new();
    let mut sections: Map<String, Value> = Map::new();
    for kind in Kind::ALL {
        let description = format!("The {}s by their ids: the type, or type/name.", kind.name());
        let section = json!({ "description": description, "type": ["object", "null"], "patternProperties": {}, "additionalProperties": false });
        sections.insert(kind.plural().to_owned(), section);
    }
    for component in components {
        let name = format!("{}.{}", component.kind.plural(), component.component_type);
        let mut schema = own(component.schema, &name, &mut definitions);
        if let Some(object) = schema.as_object_mut() {
            nullable(object);
            if !component.description.is_empty() {
                object.insert("description".to_owned(), component.description.into());
            }
        }
        definitions.insert(name.clone(), schema);
        // A type holds letters, digits and underscores only: nothing to escape.
        let pattern = format!("^{}(/.+)?$", component.component_type);
        let patterns = sections
            .get_mut(component.kind.plural())
            .and_then(|section| section.get_mut("patternProperties"));
        if let Some(patterns) = patterns.and_then(Value::as_object_mut) {
            patterns.insert(pattern, reference(&name));
        }
    }
    let telemetry = own(of::<Telemetry>(), "service.telemetry", &mut definitions);
    definitions.insert("service.telemetry".to_owned(), telemetry);
    definitions.insert("pipeline".to_owned(), pipeline());
    sections.insert("service".to_owned(), service());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Corten",
        "description": "The configuration of Corten, in the OpenTelemetry Collector's schema.",
        "type": "object",
        "properties": sections,
        "required": ["service"],
        "additionalProperties": false,
        "$defs": definitions,
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn pipeline() -> Value {
    let ids =
        |what: &str| json!({ "description": what, "type": "array", "items": { "type": "string" } });
    json!({
        "description": "A path of data from receivers through processors to exporters.",
        "type": "object",
        "properties": {
            "receivers": ids("Receivers, and connectors that begin it."),
            "processors": ids("Processors in the order the data passes them."),
            "exporters": ids("Exporters, and connectors that end it."),
        },
        "required": ["receivers", "exporters"],
        "additionalProperties": false,
    })
}

fn service() -> Value {
    json!({
        "description": "How the components work together.",
        "type": "object",
        "properties": {
            "extensions": { "description": "The extensions to start, in this order.", "type": ["array", "null"], "items": { "type": "string" } },
            "pipelines": {
                "description": "The pipelines by their ids: traces, metrics or logs, with /name when there are several.",
                "type": "object",
                "patternProperties": { "^(traces|metrics|logs)(/.+)?$": reference("pipeline") },
                "additionalProperties": false,
            },
            "telemetry": reference("service.telemetry"),
        },
        "required": ["pipelines"],
        "additionalProperties": false,
    })
}

/// The schema with its definitions moved to `definitions` under names of its own, and strict.
fn own(schema: Schema, name: &str, definitions: &mut Map<String, Value>) -> Value {
    let mut schema = schema.to_value();
    let mut inner = Map::new();
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
        object.remove("title");
        if let Some(Value::Object(found)) = object.remove("$defs") {
            inner = found;
        }
    }
    let prefix = format!("#/$defs/{name}.");
    strict(&mut schema, &prefix);
    for (key, mut definition) in inner {
        strict(&mut definition, &prefix);
        definitions.insert(format!("{name}.{key}"), definition);
    }
    schema
}

/// Points references to where the definitions are, and closes objects.
fn strict(schema: &mut Value, prefix: &str) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::String(target)) = object.get_mut("$ref")
                && let Some(name) = target.strip_prefix("#/$defs/")
            {
                *target = format!("{prefix}{name}");
            }
            if object.get("properties").is_some_and(Value::is_object)
                && !object.contains_key("additionalProperties")
            {
                object.insert("additionalProperties".to_owned(), false.into());
                // An empty section has its defaults.
                nullable(object);
            }
            object.values_mut().for_each(|value| strict(value, prefix));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| strict(value, prefix)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn nullable(object: &mut Map<String, Value>) {
    if object.get("type").is_some_and(|kind| kind == "object") {
        object.insert("type".to_owned(), json!(["object", "null"]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{GrpcClient, Queue};

    fn whole() -> Value {
        let component = |kind, component_type, schema| ComponentSchema {
            kind,
            component_type,
            description: "What it is.",
            schema,
        };
        file([
            component(Kind::Exporter, "otlp_grpc", of::<GrpcClient>()),
            component(Kind::Exporter, "file", of::<Queue>()),
            component(Kind::Extension, "admin", of::<()>()),
        ])
    }

    /// Every `$ref` within.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                found.extend(
                    object
                        .get("$ref")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                );
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let schema = whole();
        let mut found = Vec::new();
        references(&schema, &mut found);
        assert!(found.len() > 10, "{found:?}");
        for target in found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(schema.pointer(pointer).is_some(), "{target}");
        }
    }

    #[test]
    fn components_stand_in_their_sections() {
        let schema = whole();
        let exporter =
            schema.pointer("/properties/exporters/patternProperties/^otlp_grpc(~1.+)?$/$ref");
        assert_eq!(exporter, Some(&json!("#/$defs/exporters.otlp_grpc")));
        let definition = &schema["$defs"]["exporters.otlp_grpc"];
        assert_eq!(definition["additionalProperties"], json!(false));
        assert_eq!(definition["type"], json!(["object", "null"]));
        assert!(
            definition["properties"]["endpoint"]["description"]
                .as_str()
                .unwrap()
                .contains("host:port")
        );
        assert_eq!(
            definition["properties"]["headers"]["anyOf"][0]["additionalProperties"]["writeOnly"],
            json!(true)
        );
    }

    #[test]
    fn every_setting_is_described() {
        fn check(path: &str, value: &Value) {
            if let Some(properties) = value.get("properties").and_then(Value::as_object) {
                for (name, property) in properties {
                    assert!(
                        property.get("description").is_some() || property.get("$ref").is_some(),
                        "{path}.{name}"
                    );
                }
            }
        }
        let schema = whole();
        for (name, definition) in schema["$defs"].as_object().unwrap() {
            check(name, definition);
        }
    }
}
