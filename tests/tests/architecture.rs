//! Who may depend on whom, as `docs/architecture.md` says it, held against the manifests.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's arrangement that fails has to fail the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use corten_tests::repository;

const KINDS: [&str; 5] = [
    "receivers",
    "processors",
    "exporters",
    "connectors",
    "extensions",
];

/// Crates by folder (`exporters/loki`), each with the crates of the house that it depends on.
struct House {
    folders: BTreeMap<String, String>,
    depends: BTreeMap<String, BTreeSet<String>>,
}

impl House {
    fn read() -> Self {
        let root = repository();
        let mut manifests = Vec::new();
        for folder in folders(&root) {
            if KINDS.contains(&folder.as_str()) {
                manifests.extend(
                    folders(&root.join(&folder))
                        .into_iter()
                        .map(|name| format!("{folder}/{name}")),
                );
            } else {
                manifests.push(folder);
            }
        }
        let mut house = Self {
            folders: BTreeMap::new(),
            depends: BTreeMap::new(),
        };
        for folder in manifests {
            let path = root.join(&folder).join("Cargo.toml");
            if !path.exists() {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            // What tests depend on is free.
            let depends = table(&text, "dependencies");
            let depends = depends
                .into_iter()
                .filter(|name| name.starts_with("corten"))
                .collect();
            let name = value(&text, "name").unwrap_or_else(|| panic!("{folder} has no name"));
            house.folders.insert(folder.clone(), name);
            house.depends.insert(folder, depends);
        }
        house
    }

    fn components(&self) -> impl Iterator<Item = (&String, &String)> {
        self.folders.iter().filter(|(folder, _)| {
            KINDS
                .iter()
                .any(|kind| folder.starts_with(&format!("{kind}/")))
        })
    }

    fn component_names(&self) -> BTreeSet<String> {
        self.components().map(|(_, name)| name.clone()).collect()
    }

    /// Everything that a crate reaches.
    fn reaches(&self, folder: &str) -> BTreeSet<String> {
        let folder_of: BTreeMap<_, _> = self
            .folders
            .iter()
            .map(|(folder, name)| (name, folder))
            .collect();
        let mut reached = BTreeSet::new();
        let mut next: Vec<_> = self.depends[folder].iter().cloned().collect();
        while let Some(name) = next.pop() {
            if reached.insert(name.clone()) {
                next.extend(self.depends[folder_of[&name]].iter().cloned());
            }
        }
        reached
    }
}

fn folders(at: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(at).unwrap().map(Result::unwrap);
    let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    let names = folders.map(|entry| entry.file_name().into_string().unwrap());
    names
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect()
}

/// The keys of a table of a manifest as this workspace writes it: one line each, `name.workspace = true` or `name = …`.
fn table(text: &str, table: &str) -> BTreeSet<String> {
    let lines = text
        .lines()
        .skip_while(|line| line.trim() != format!("[{table}]"));
    let lines = lines.skip(1).take_while(|line| !line.starts_with('['));
    let keys = lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, _)| key.trim());
    keys.map(|key| key.trim_end_matches(".workspace").to_owned())
        .collect()
}

fn value(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find(|line| {
        line.split('=')
            .next()
            .is_some_and(|name| name.trim() == key)
    })?;
    Some(line.split_once('=')?.1.trim().trim_matches('"').to_owned())
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_manifests_are_read() {
    let house = House::read();
    assert!(house.folders.len() > 30, "{:?}", house.folders);
    assert!(
        house.components().count() >= 20,
        "{:?}",
        house.component_names()
    );
    assert_eq!(house.folders["exporters/loki"], "corten-loki-exporter");
    assert!(house.depends["exporters/loki"].contains("corten-component"));
    assert!(house.reaches("distro").contains("corten-pdata"));
}

#[test]
fn components_do_not_know_each_other() {
    let house = House::read();
    let components = house.component_names();
    for (folder, _) in house.components() {
        let known: Vec<_> = house
            .reaches(folder)
            .intersection(&components)
            .cloned()
            .collect();
        assert!(known.is_empty(), "{folder} knows {known:?}");
        let reached = house.reaches(folder);
        for above in ["corten-pipeline", "corten"] {
            assert!(!reached.contains(above), "{folder} knows {above}");
        }
    }
}

#[test]
fn what_stands_below_knows_nothing_above() {
    let house = House::read();
    assert_eq!(house.reaches("pdata"), set(&[]));
    assert_eq!(house.reaches("config"), set(&[]));
    assert_eq!(house.reaches("storage"), set(&[]));
    assert_eq!(
        house.reaches("component"),
        set(&["corten-pdata", "corten-config"])
    );
    let components = house.component_names();
    for shared in [
        "net",
        "delivery",
        "tail",
        "host",
        "exposition",
        "kafka",
        "actions",
        "pipeline",
        "testing",
    ] {
        let reached = house.reaches(shared);
        let known: Vec<_> = reached.intersection(&components).collect();
        assert!(known.is_empty(), "{shared} knows {known:?}");
        assert!(!reached.contains("corten"), "{shared} knows the binary");
        assert!(
            shared == "testing" || !reached.contains("corten-pipeline"),
            "{shared} knows the pipeline"
        );
    }
}

/// Only the distribution knows components, and it knows all of them.
#[test]
fn every_component_is_listed() {
    let house = House::read();
    let components = house.component_names();
    let listed: BTreeSet<_> = house.depends["distro"]
        .intersection(&components)
        .cloned()
        .collect();
    let missing: Vec<_> = components.difference(&listed).collect();
    assert!(
        missing.is_empty(),
        "distro/Cargo.toml does not name {missing:?}"
    );
    let list = std::fs::read_to_string(repository().join("distro/src/components.rs")).unwrap();
    for component in &components {
        let factory = format!("{}::factory()", component.replace('-', "_"));
        assert!(
            list.contains(&factory),
            "distro/src/components.rs does not list {factory}"
        );
    }
    for (folder, depends) in house
        .depends
        .iter()
        .filter(|(folder, _)| *folder != "distro")
    {
        let known: Vec<_> = depends.intersection(&components).collect();
        assert!(known.is_empty(), "{folder} knows {known:?}");
    }
}

/// A crate is called for its folder: `processors/filter` is `corten-filter-processor`.
#[test]
fn crates_are_called_for_their_folders() {
    let house = House::read();
    for (folder, name) in house.components() {
        let (kind, called) = folder.split_once('/').unwrap();
        let expected = format!(
            "corten-{}-{}",
            called.replace('_', "-"),
            kind.trim_end_matches('s')
        );
        assert_eq!(*name, expected, "{folder}");
    }
}
