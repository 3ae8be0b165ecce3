//! Metrics that somebody else wrote into files: `*.prom`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use corten_exposition::text::{self, Line, Sample};
use corten_host::families::Kind;
use corten_host::{Buffer, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(config: &Config, _: &Sources) -> Box<dyn Collector> {
    Box::new(Textfile {
        directories: config.textfile.directory.all().to_vec(),
        buffer: Buffer::default(),
    })
}

struct Textfile {
    directories: Vec<String>,
    buffer: Buffer,
}

impl Collector for Textfile {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let mut errors = 0.0;
        let mut descriptions = BTreeMap::new();
        for pattern in &self.directories {
            for folder in glob(pattern) {
                let Ok(entries) = std::fs::read_dir(&folder) else {
                    tracing::warn!(folder = %folder.display(), "the folder of text files cannot be read");
                    errors = 1.0;
                    continue;
                };
                let mut files: Vec<PathBuf> = entries
                    .flatten()
                    .map(|entry| entry.path())
                    .filter(|path| {
                        path.extension()
                            .is_some_and(|extension| extension == "prom")
                    })
                    .collect();
                files.sort_unstable();
                for file in files {
                    match show(emit, &file, &mut self.buffer, &mut descriptions) {
                        Ok(modified) => {
                            let name = file.to_string_lossy();
                            emit.put(
                                Kind::Gauge,
                                "node_textfile_mtime_seconds",
                                "When each file that was read was written, in seconds since 1970.",
                                &[("file", &name)],
                                modified,
                            );
                        }
                        Err(why) => {
                            tracing::warn!(file = %file.display(), why, "the text file is left out");
                            errors = 1.0;
                        }
                    }
                }
            }
        }
        emit.put(
            Kind::Gauge,
            "node_textfile_scrape_error",
            "Whether a file could not be read.",
            &[],
            errors,
        );
        Ok(())
    }
}

/// Shows a whole file, or none of it; and when it was written.
fn show(
    emit: &mut Emit<'_>,
    path: &Path,
    buffer: &mut Buffer,
    descriptions: &mut BTreeMap<String, String>,
) -> Result<f64, String> {
    let text = buffer.read(path).map_err(|error| error.to_string())?;
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let families = families(text)?;
    for (name, family) in &families {
        for sample in &family.samples {
            let is_own = sample.name == name.as_str();
            // A histogram is shown as the series that it is made of.
            let kind = if is_own { family.kind } else { Kind::Untyped };
            // The first file's description counts for all.
            let help = descriptions
                .entry(sample.name.to_string())
                .or_insert_with(|| {
                    family
                        .help
                        .clone()
                        .unwrap_or_else(|| format!("Metric read from {}", path.display()))
                });
            let labels: Vec<(&str, &str)> = sample
                .labels
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect();
            emit.put(kind, &sample.name, help, &labels, sample.value);
        }
    }
    // Asked last, so that a file that could not be read does not look fresh.
    let modified = std::fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .map_err(|error| error.to_string())?;
    Ok(modified
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64())
}

struct Family<'a> {
    kind: Kind,
    /// Whether it is of several series a value.
    parts: &'static [&'static str],
    help: Option<String>,
    described: bool,
    samples: Vec<Sample<'a>>,
}

impl Default for Family<'_> {
    fn default() -> Self {
        Self {
            kind: Kind::Untyped,
            parts: &[],
            help: None,
            described: false,
            samples: Vec::new(),
        }
    }
}

/// The families of a file. Samples with a time are refused: what is written rarely would be stale.
fn families(text: &str) -> Result<BTreeMap<String, Family<'_>>, String> {
    let mut all: BTreeMap<String, Family<'_>> = BTreeMap::new();
    for line in text::parse(text) {
        match line.map_err(|error| error.to_string())? {
            Line::Help { name, help } => {
                let family = all.entry(name.to_owned()).or_default();
                if family.help.is_some() {
                    return Err(format!("a second HELP line for {name}"));
                }
                family.help = Some(help.into_owned());
            }
            Line::Type { name, kind } => {
                let family = all.entry(name.to_owned()).or_default();
                if family.described || !family.samples.is_empty() {
                    return Err(format!(
                        "a TYPE line for {name} after another or after its samples"
                    ));
                }
                family.described = true;
                (family.kind, family.parts) = match kind {
                    "counter" => (Kind::Counter, &[][..]),
                    "gauge" => (Kind::Gauge, &[][..]),
                    "histogram" => (Kind::Untyped, &["_bucket", "_sum", "_count"][..]),
                    "summary" => (Kind::Untyped, &["_sum", "_count"][..]),
                    _ => (Kind::Untyped, &[][..]),
                };
            }
            Line::Unit { .. } | Line::Eof => {}
            Line::Sample(sample) => {
                if sample.timestamp.is_some() {
                    return Err(format!(
                        "{} has a time, which is not supported",
                        sample.name
                    ));
                }
                let whole = all.iter().find_map(|(name, family)| {
                    let part = sample.name.strip_prefix(name.as_str())?;
                    family.parts.contains(&part).then(|| name.clone())
                });
                let name = whole.unwrap_or_else(|| sample.name.to_string());
                all.entry(name).or_default().samples.push(sample);
            }
        }
    }
    Ok(all)
}

/// The folders that a pattern stands for; the pattern itself where there is none.
fn glob(pattern: &str) -> Vec<PathBuf> {
    if pattern.is_empty() {
        return Vec::new();
    }
    let start = if pattern.starts_with('/') {
        PathBuf::from("/")
    } else {
        PathBuf::new()
    };
    let mut found = vec![start];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        if part.contains(['*', '?', '[']) {
            found = found
                .iter()
                .flat_map(|folder| children(folder, part))
                .collect();
        } else {
            found.iter_mut().for_each(|path| path.push(part));
        }
    }
    found.retain(|path| path.exists());
    found.sort_unstable();
    if found.is_empty() {
        vec![PathBuf::from(pattern)]
    } else {
        found
    }
}

fn children(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let listed = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let Ok(entries) = std::fs::read_dir(listed) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .to_str()
                .is_some_and(|name| matches(pattern, name))
        })
        .map(|entry| folder.join(entry.file_name()))
        .collect()
}

/// Whether a name fits a pattern of `*`, `?`, `[a-c]` and letters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut expression = String::from("^");
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        match character {
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            '[' => {
                expression.push('[');
                for inner in rest.by_ref() {
                    expression.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            other if other.is_alphanumeric() || other == '_' => expression.push(other),
            other => expression.extend(['\\', other]),
        }
    }
    expression.push('$');
    expression
        .parse::<corten_config::types::Regex>()
        .is_ok_and(|expression| expression.is_match(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_types_and_descriptions() {
        let all = families("# HELP a First.\n# TYPE a counter\na{x=\"1\"} 1\nb 2\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_count 3\n").unwrap();
        let shown: Vec<_> = all
            .iter()
            .map(|(name, family)| (name.as_str(), family.kind, family.samples.len()))
            .collect();
        assert_eq!(
            shown,
            [
                ("a", Kind::Counter, 1),
                ("b", Kind::Untyped, 1),
                ("h", Kind::Untyped, 2)
            ]
        );
        for wrong in [
            "a 1 1700000000000\n",
            "a 1\n# TYPE a gauge\n",
            "# TYPE a gauge\n# TYPE a gauge\n",
            "a{\n",
        ] {
            assert!(families(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn patterns_stand_for_folders() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["one", "two", "other"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let root = folder.path().to_str().unwrap();
        assert_eq!(
            glob(&format!("{root}/o*")),
            [folder.path().join("one"), folder.path().join("other")]
        );
        assert_eq!(
            glob(&format!("{root}/tw[a-o]")),
            [folder.path().join("two")]
        );
        assert_eq!(glob("/absent/x"), [PathBuf::from("/absent/x")]);
        assert!(glob("").is_empty());
    }
}
