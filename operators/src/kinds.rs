//! All operators there are.

use corten_config::{Problems, Section};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::chain::{Built, Work};
use crate::settings::{Parser, Plain};
use crate::{container, parsers, recombine, route, settings, transform};

/// A type of operator.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) build: fn(&Section, &mut Problems) -> Option<Built>,
}

const KINDS: [Kind; 27] = [
    Kind {
        name: "add",
        build: transform::add,
    },
    Kind {
        name: "assign_keys",
        build: transform::assign_keys,
    },
    Kind {
        name: "container",
        build: container::build,
    },
    Kind {
        name: "copy",
        build: transform::copy,
    },
    Kind {
        name: "csv_parser",
        build: parsers::csv_parser,
    },
    Kind {
        name: "filter",
        build: route::filter,
    },
    Kind {
        name: "flatten",
        build: transform::flatten,
    },
    Kind {
        name: "json_array_parser",
        build: parsers::json_array_parser,
    },
    Kind {
        name: "json_parser",
        build: parsers::json_parser,
    },
    Kind {
        name: "key_value_parser",
        build: parsers::key_value_parser,
    },
    Kind {
        name: "move",
        build: transform::move_field,
    },
    Kind {
        name: "noop",
        build: noop,
    },
    Kind {
        name: "recombine",
        build: recombine::build,
    },
    Kind {
        name: "regex_parser",
        build: parsers::regex_parser,
    },
    Kind {
        name: "regex_replace",
        build: transform::regex_replace,
    },
    Kind {
        name: "remove",
        build: transform::remove,
    },
    Kind {
        name: "retain",
        build: transform::retain,
    },
    Kind {
        name: "router",
        build: route::router,
    },
    Kind {
        name: "sanitize_utf8",
        build: transform::sanitize_utf8,
    },
    Kind {
        name: "scope_name_parser",
        build: parsers::scope_name_parser,
    },
    Kind {
        name: "severity_parser",
        build: parsers::severity_parser,
    },
    Kind {
        name: "stdout",
        build: stdout,
    },
    Kind {
        name: "syslog_parser",
        build: parsers::syslog_parser,
    },
    Kind {
        name: "time_parser",
        build: parsers::time_parser,
    },
    Kind {
        name: "trace_parser",
        build: parsers::trace_parser,
    },
    Kind {
        name: "unquote",
        build: transform::unquote,
    },
    Kind {
        name: "uri_parser",
        build: parsers::uri_parser,
    },
];

pub(crate) fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// What is said of a type that is none.
pub(crate) fn unknown(name: &str) -> String {
    if name.ends_with("_input") {
        return format!(
            "operator '{name}' is an input: a receiver reads its own, and its operators change what was read"
        );
    }
    if matches!(name, "file_output" | "drop_output") {
        return format!(
            "operator '{name}' is an output: use an exporter (such as file), or the operator 'filter' to drop entries"
        );
    }
    if name == "otelcol" {
        return "operator 'otelcol' is not supported".to_owned();
    }
    let near = corten_config::nearest(name, KINDS.iter().map(|kind| kind.name));
    let near = near.map_or_else(String::new, |near| format!(", did you mean '{near}'?"));
    format!("unsupported type '{name}'{near}")
}

/// Nothing of one's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Nothing {}

fn noop(section: &Section, problems: &mut Problems) -> Option<Built> {
    let settings: Plain<Nothing> = section.decode(problems)?;
    Some(Built {
        common: settings.common,
        work: Work::Nothing,
    })
}

fn stdout(section: &Section, problems: &mut Problems) -> Option<Built> {
    let settings: Plain<Nothing> = section.decode(problems)?;
    Some(Built {
        common: settings.common,
        work: Work::Stdout,
    })
}

/// The schema of one operator, whichever it is.
pub(crate) fn schema(generator: &mut SchemaGenerator) -> Schema {
    let schemas = [
        generator.subschema_for::<Parser<container::Settings>>(),
        generator.subschema_for::<Parser<parsers::JsonSettings>>(),
        generator.subschema_for::<Parser<parsers::JsonArraySettings>>(),
        generator.subschema_for::<Parser<parsers::RegexSettings>>(),
        generator.subschema_for::<Parser<parsers::CsvSettings>>(),
        generator.subschema_for::<Parser<parsers::KeyValueSettings>>(),
        generator.subschema_for::<Parser<parsers::SyslogSettings>>(),
        generator.subschema_for::<Parser<parsers::UriSettings>>(),
        generator.subschema_for::<Plain<settings::Timestamp>>(),
        generator.subschema_for::<Plain<settings::Severity>>(),
        generator.subschema_for::<Plain<settings::Trace>>(),
        generator.subschema_for::<Plain<settings::ScopeName>>(),
        generator.subschema_for::<Plain<transform::AddSettings>>(),
        generator.subschema_for::<Plain<transform::FromToSettings>>(),
        generator.subschema_for::<Plain<transform::FieldSettings>>(),
        generator.subschema_for::<Plain<transform::RetainSettings>>(),
        generator.subschema_for::<Plain<transform::ReplaceSettings>>(),
        generator.subschema_for::<Plain<transform::AssignSettings>>(),
        generator.subschema_for::<Plain<route::FilterSettings>>(),
        generator.subschema_for::<Plain<route::RouterSettings>>(),
        generator.subschema_for::<Plain<recombine::Settings>>(),
    ];
    schemars::json_schema!({ "description": "An operator; `type` says which.", "anyOf": schemas })
}
