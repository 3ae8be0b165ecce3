//! Targets that files name.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Complaint, Tell, labelled, pause};
use crate::config::{FileDiscovery, Group};
use crate::target::LabelMap;

/// How often files are looked at. It costs a `stat` of each.
const LOOK: Duration = Duration::from_secs(5);

/// Files that are read when they change.
pub(crate) struct Files(FileDiscovery);

/// What tells whether a file has changed.
type Stamp = (u64, Option<SystemTime>);

struct Known {
    stamp: Option<Stamp>,
    targets: Vec<LabelMap>,
    complaint: Complaint,
}

impl Files {
    pub(super) fn new(config: FileDiscovery) -> Self {
        Self(config)
    }

    pub(super) async fn run(self, tell: Tell) {
        let look = LOOK.min(self.0.refresh_interval.get());
        let mut known = BTreeMap::new();
        let mut first = true;
        loop {
            if self.look(&mut known) || first {
                let all = known
                    .values()
                    .flat_map(|one: &Known| one.targets.iter().cloned());
                tell.all(all.collect()).await;
            }
            first = false;
            pause(look).await;
        }
    }

    /// Reads what has changed; whether anything has.
    fn look(&self, known: &mut BTreeMap<PathBuf, Known>) -> bool {
        let files: Vec<PathBuf> = self.0.files.iter().flat_map(|one| matching(one)).collect();
        let before = known.len();
        known.retain(|path, _| files.contains(path));
        let mut changed = known.len() != before;
        for path in files {
            let known = known.entry(path.clone()).or_insert_with(|| Known {
                stamp: None,
                targets: Vec::new(),
                complaint: Complaint::default(),
            });
            let stamp = fs::metadata(&path)
                .map(|metadata| (metadata.len(), metadata.modified().ok()))
                .ok();
            if stamp.is_some() && stamp == known.stamp {
                continue;
            }
            let what = format!("file_sd_configs: {}", path.display());
            match read(&path) {
                Ok(targets) => {
                    known.complaint.worked(&what);
                    changed |= targets != known.targets;
                    known.targets = targets;
                }
                Err(error) => known.complaint.failed(&what, &error),
            }
            known.stamp = stamp;
        }
        changed
    }
}

/// The files that a pattern means. Only the last part of a path may have wildcards, as in Prometheus.
pub(crate) fn matching(pattern: &str) -> Vec<PathBuf> {
    let path = Path::new(pattern);
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name.filter(|name| name.contains(['*', '?', '[', '{'])) else {
        return vec![path.to_owned()];
    };
    let Ok(glob) = globset::Glob::new(name) else {
        return Vec::new();
    };
    let (glob, folder) = (glob.compile_matcher(), path.parent());
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
    let Ok(entries) = fs::read_dir(folder.unwrap_or(Path::new("."))) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        .filter(|name| glob.is_match(name))
        .map(|name| folder.unwrap_or(Path::new("")).join(name))
        .collect();
    found.sort();
    found
}

fn read(path: &Path) -> io::Result<Vec<LabelMap>> {
    let text = fs::read_to_string(path)?;
    let groups: Vec<Group> = corten_config::from_data(&path.display().to_string(), &text)
        .map_err(|problems| io::Error::other(problems.to_string()))?;
    let from = ("__meta_filepath".to_owned(), path.display().to_string());
    Ok(labelled(&groups, &LabelMap::from([from])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_when_they_change() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let files = Files::new(FileDiscovery {
            files: vec![
                at("*.json").display().to_string(),
                at("one.yaml").display().to_string(),
            ],
            ..FileDiscovery::default()
        });
        let mut known = BTreeMap::new();
        let addresses = |known: &BTreeMap<PathBuf, Known>| {
            let all = known.values().flat_map(|one| &one.targets);
            all.map(|labels| {
                format!(
                    "{}/{}",
                    labels["__address__"],
                    labels.get("env").map_or("", String::as_str)
                )
            })
            .collect::<Vec<_>>()
            .join(" ")
        };
        // Nothing there yet.
        assert!(!files.look(&mut known));
        fs::write(
            at("a.json"),
            r#"[{"targets": ["a:1", "b:2"], "labels": {"env": "p$x"}}]"#,
        )
        .unwrap();
        fs::write(at("one.yaml"), "- targets: ['c:3']\n").unwrap();
        assert!(files.look(&mut known));
        assert_eq!(addresses(&known), "a:1/p$x b:2/p$x c:3/");
        assert!(!files.look(&mut known), "nothing changed");
        // Half a file: what was known stands, and is read again when it is whole.
        fs::write(at("a.json"), r#"[{"targets": ["#).unwrap();
        assert!(!files.look(&mut known));
        assert_eq!(addresses(&known), "a:1/p$x b:2/p$x c:3/");
        fs::write(at("a.json"), r#"[{"targets": ["d:4"]}]"#).unwrap();
        assert!(files.look(&mut known));
        assert_eq!(addresses(&known), "d:4/ c:3/");
        fs::remove_file(at("a.json")).unwrap();
        assert!(files.look(&mut known));
        assert_eq!(addresses(&known), "c:3/");
    }
}
