//! The reference of every component's settings, written from its configuration type.
//!
//! `docs/reference/` holds what this module writes; a test fails when it is stale, and writes it anew
//! when it is run with `UPDATE_EXPECT=1`.

use corten_component::{Factory, Kind};
use serde_json::{Map, Value};

use crate::components;

/// Every page: its path below `docs/reference/`, and its text.
pub(crate) fn pages() -> Vec<(String, String)> {
    let mut factories = components::all();
    factories.sort_by_key(|factory| (factory.metadata().kind, factory.metadata().type_name));
    let mut pages = vec![("README.md".to_owned(), index(&factories))];
    for factory in &factories {
        let metadata = factory.metadata();
        let path = format!("{}/{}.md", metadata.kind.plural(), metadata.type_name);
        pages.push((path, page(factory)));
    }
    pages
}

fn index(factories: &[Factory]) -> String {
    let mut text =
        "# Settings of every component\n\nWritten from the configuration types.\n".to_owned();
    for kind in Kind::ALL {
        text += &format!("\n## {}\n\n", kind.plural());
        for factory in factories {
            let metadata = factory.metadata();
            if metadata.kind == kind {
                let name = metadata.type_name;
                text += &format!(
                    "- [`{name}`]({}/{name}.md): {}\n",
                    kind.plural(),
                    metadata.summary
                );
            }
        }
    }
    text
}

fn page(factory: &Factory) -> String {
    let metadata = factory.metadata();
    let mut text = format!("# `{}`\n\n{}.\n", metadata.type_name, metadata.summary);
    if !metadata.aliases.is_empty() {
        text += &format!("\nOlder spellings: `{}`.\n", metadata.aliases.join("`, `"));
    }
    let signals: Vec<&str> = metadata
        .signals
        .iter()
        .map(|signal| signal.as_str())
        .collect();
    if !signals.is_empty() {
        text += &format!("\nSignals: {}.\n", signals.join(", "));
    }
    let schema = factory.schema();
    let schema = schema.as_value();
    let mut rows = Vec::new();
    let definitions = schema.get("$defs").and_then(Value::as_object);
    Walk {
        definitions,
        rows: &mut rows,
    }
    .fields(schema, "", None, 0);
    if rows.is_empty() {
        return text + "\nThere is nothing to set.\n";
    }
    text += "\n| setting | default | |\n|---|---|---|\n";
    text + &rows.concat()
}

struct Walk<'s, 'r> {
    definitions: Option<&'s Map<String, Value>>,
    rows: &'r mut Vec<String>,
}

impl<'s> Walk<'s, '_> {
    /// Adds a row for every field of a schema, nested ones with their path. `given` are the defaults
    /// that the component gives a shared section, which win over the section's own.
    fn fields(&mut self, schema: &'s Value, path: &str, given: Option<&'s Value>, depth: u32) {
        let schema = self.resolve(schema);
        for part in ["allOf", "anyOf", "oneOf"] {
            for one in schema
                .get(part)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                self.fields(one, path, given, depth);
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, field) in properties.into_iter().flatten() {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}::{name}")
            };
            let resolved = self.resolve(field);
            let description = [field, resolved]
                .iter()
                .find_map(|schema| schema.get("description").and_then(Value::as_str))
                .unwrap_or_default();
            let given = given
                .and_then(|given| given.get(name))
                .or_else(|| field.get("default"));
            let default = given.map(shown).unwrap_or_default();
            let words = description.split_whitespace().collect::<Vec<_>>().join(" ");
            let words = words.replace('|', "\\|");
            let row = format!("| `{path}` | {default} | {words} |\n");
            if !self.rows.contains(&row) {
                self.rows.push(row);
            }
            // Deep enough for every section there is, and an end for types that hold themselves.
            if depth < 4 {
                self.fields(field, &path, given, depth + 1);
                if let Some(items) = resolved.get("items") {
                    self.fields(items, &format!("{path}[]"), None, depth + 1);
                }
            }
        }
    }

    fn resolve(&self, schema: &'s Value) -> &'s Value {
        let Some(reference) = schema.get("$ref").and_then(Value::as_str) else {
            return schema;
        };
        let name = reference.rsplit('/').next().unwrap_or_default();
        self.definitions
            .and_then(|definitions| definitions.get(name))
            .unwrap_or(schema)
    }
}

/// A default in a table's cell; sections and empty values are left out.
fn shown(value: &Value) -> String {
    match value {
        Value::Null | Value::Object(_) => String::new(),
        Value::Array(list) if list.is_empty() => String::new(),
        Value::String(text) if text.is_empty() => String::new(),
        Value::String(text) => {
            let text = text.replace('\n', "\\n").replace('\t', "\\t");
            format!("`{}`", text.replace('|', "\\|"))
        }
        other => format!("`{}`", other.to_string().replace('|', "\\|")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use expect_test::expect_file;

    #[test]
    fn the_reference_is_not_stale() {
        let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference");
        let pages = super::pages();
        for (path, text) in &pages {
            expect_file![reference.join(path)].assert_eq(text);
        }
        let mut written = 0;
        for kind in std::fs::read_dir(&reference).unwrap() {
            let kind = kind.unwrap().path();
            written += if kind.is_dir() {
                std::fs::read_dir(kind).unwrap().count()
            } else {
                1
            };
        }
        assert_eq!(written, pages.len(), "a page of a component that is gone");
    }

    /// The reference is what users read: no setting without a word about it.
    #[test]
    fn every_setting_is_described() {
        for (path, text) in super::pages() {
            for row in text.lines().filter(|line| line.starts_with("| `")) {
                assert!(!row.ends_with("|  |"), "{path}: {row}");
            }
        }
    }
}
