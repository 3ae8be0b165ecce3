//! Whoever copies an example out of the documentation gets what it promises.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};

const SECTIONS: [&str; 5] = [
    "receivers",
    "processors",
    "exporters",
    "connectors",
    "extensions",
];

/// What a `basicauth` has: one that signs, and one that lets in.
const SIDES: [&str; 2] = [
    r#"{"client_auth": {"username": "a", "password": "b"}}"#,
    r#"{"htpasswd": {"inline": "a:b"}}"#,
];

/// An example, and where it stands.
struct Example {
    place: String,
    text: String,
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn corten(args: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_corten"))
        .args(args)
        .current_dir(repository())
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// What this distribution can do, as `corten components` has it.
fn components() -> Value {
    serde_json::from_str(&corten(&["components", "--format", "json"]).1).unwrap()
}

/// Kind and name of every component.
fn names(components: &Value) -> Vec<(&'static str, String)> {
    let of = |section| {
        let all = components[section].as_array().unwrap().iter();
        all.map(move |one| (section, one["name"].as_str().unwrap().to_owned()))
    };
    SECTIONS.into_iter().flat_map(of).collect()
}

/// The pages for people: the project's, `docs/`, and one beside every component.
fn pages(components: &Value) -> Vec<PathBuf> {
    let mut pages = vec![repository().join("README.md")];
    let docs = std::fs::read_dir(repository().join("docs")).unwrap();
    pages.extend(
        docs.map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "md")),
    );
    for (section, name) in names(components) {
        pages.push(repository().join(section).join(name).join("README.md"));
    }
    pages
}

/// What stands between ```` ```yaml ```` and the closing fence.
fn examples(page: &Path) -> Vec<Example> {
    let text =
        std::fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
    let mut examples = Vec::new();
    let mut open: Option<Example> = None;
    for (index, line) in text.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (Some(_), Some(_)) => examples.extend(open.take()),
            (Some(example), None) => {
                example.text.push_str(line);
                example.text.push('\n');
            }
            (None, Some("yaml" | "yml")) => {
                open = Some(Example {
                    place: format!("{}:{}", page.display(), index + 1),
                    text: String::new(),
                });
            }
            (None, _) => {}
        }
    }
    assert!(open.is_none(), "{}: a fence is not closed", page.display());
    examples
}

/// A service with a pipeline for each signal that somebody in `fragment` can take part in, the other places taken
/// by `otlp` and `nop`; nothing, when `fragment` is not made of components. An authenticator that it refers to without
/// having it has these `credentials`.
fn service_around(
    fragment: &Map<String, Value>,
    components: &Value,
    credentials: &Value,
) -> Option<Value> {
    let known = |key: &String| key == "service" || SECTIONS.contains(&key.as_str());
    if fragment.is_empty() || !fragment.keys().all(known) {
        return None;
    }
    let ids = |section: &str| {
        let section = fragment.get(section).and_then(Value::as_object);
        section.into_iter().flat_map(Map::keys).cloned()
    };
    let stability = |section: &str, id: &str| {
        let name = id.split('/').next().unwrap();
        let all = components[section].as_array().unwrap();
        let found = all.iter().find(|one| {
            let mut aliases = one["aliases"].as_array().into_iter().flatten();
            one["name"] == name || aliases.any(|alias| alias == name)
        });
        found.unwrap_or_else(|| panic!("{section}: no {name}"))["stability"].clone()
    };
    let (mut pipelines, mut receivers, mut exporters) = (Map::new(), Map::new(), Map::new());
    for signal in ["traces", "metrics", "logs"] {
        let able = |section: &str| -> Vec<String> {
            let able = |id: &String| stability(section, id).get(signal).is_some();
            ids(section).filter(able).collect()
        };
        let (mut from, through, mut to) =
            (able("receivers"), able("processors"), able("exporters"));
        if [&from, &through, &to].iter().all(|part| part.is_empty()) && signal != "logs" {
            continue;
        }
        if from.is_empty() {
            from.push("otlp/around".to_owned());
            let otlp = json!({"protocols": {"http": {"endpoint": "localhost:0"}}});
            receivers.insert("otlp/around".to_owned(), otlp);
        }
        if to.is_empty() {
            to.push("nop/around".to_owned());
            exporters.insert("nop/around".to_owned(), Value::Null);
        }
        let pipeline = json!({"receivers": from, "processors": through, "exporters": to});
        pipelines.insert(signal.to_owned(), pipeline);
    }
    let mut extensions: Vec<_> = ids("extensions").collect();
    let mut referred = Map::new();
    references(&Value::Object(fragment.clone()), &mut |id| {
        if !extensions.iter().any(|known| known == id) {
            let settings = match id.split('/').next() {
                Some("basicauth") => credentials.clone(),
                Some("bearertokenauth") => json!({"token": "x"}),
                _ => Value::Null,
            };
            extensions.push(id.to_owned());
            referred.insert(id.to_owned(), settings);
        }
    });
    Some(json!({
        "receivers": receivers,
        "exporters": exporters,
        "extensions": referred,
        "service": {"extensions": extensions, "pipelines": pipelines},
    }))
}

/// Calls `each` with the extensions that an example refers to.
fn references(value: &Value, each: &mut dyn FnMut(&str)) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(id) if key == "authenticator" || key == "storage" => each(id),
                    value => references(value, each),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, each)),
        _ => {}
    }
}

#[test]
fn every_example_can_be_run() {
    let components = components();
    let mut wrong = Vec::new();
    let (mut whole, mut completed) = (0, 0);
    for example in pages(&components).iter().flat_map(|page| examples(page)) {
        let parsed: Value = match serde_yaml::from_str(&example.text) {
            Ok(parsed) => parsed,
            Err(error) => {
                wrong.push(format!("{}: {error}", example.place));
                continue;
            }
        };
        let root = parsed.as_object().cloned().unwrap_or_default();
        let text = format!("yaml:{}", example.text);
        let (valid, said) = if parsed.pointer("/service/pipelines").is_some() {
            whole += 1;
            corten(&["validate", "--config", &text])
        } else {
            let tried = SIDES.into_iter().map_while(|credentials| {
                let credentials = serde_json::from_str(credentials).unwrap();
                let around = service_around(&root, &components, &credentials)?;
                let around = format!("yaml:{around}");
                Some(corten(&[
                    "validate", "--config", &text, "--config", &around,
                ]))
            });
            let Some(tried) = tried.max_by_key(|(valid, _)| *valid) else {
                continue;
            };
            completed += 1;
            tried
        };
        // Secrets are the reader's; any other warning is about the example.
        let warned = said
            .lines()
            .any(|line| line.contains("warning") && !line.contains("unset environment variable"));
        if !valid || warned {
            wrong.push(format!("{}:\n{said}", example.place));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let components = names(&components).len();
    assert!(
        whole + completed >= components,
        "only {whole} whole examples and {completed} completed ones for {components} components"
    );
}

/// The table in the README is complete.
#[test]
fn the_readme_names_every_component() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    for (section, name) in names(&components()) {
        let link = format!("[`{name}`]({section}/{name})");
        assert!(readme.contains(&link), "README.md: no {link}");
    }
}
