//! Metrics that somebody else wrote into files: `*.prom`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use corten_exposition::text::{self, Line, Sample};
use corten_host::families::Kind;
use corten_host::scan::whole;
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
        let mut all = Merged::default();
        for pattern in &self.directories {
            for folder in glob(pattern) {
                let Ok(entries) = std::fs::read_dir(&folder) else {
                    tracing::warn!(folder = %folder.display(), "the folder of text files cannot be read");
                    all.errors = true;
                    continue;
                };
                let mut files: Vec<PathBuf> = entries
                    .flatten()
                    .map(|entry| entry.path())
                    .filter(|path| path.as_os_str().as_encoded_bytes().ends_with(b".prom"))
                    .collect();
                files.sort_unstable();
                for file in files {
                    match read(&file, &mut self.buffer) {
                        Ok((families, modified)) => {
                            let name = file.to_string_lossy();
                            all.add(families, &name);
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
                            all.errors = true;
                        }
                    }
                }
            }
        }
        for (name, family) in &all.families {
            family.write(name, emit);
        }
        emit.put(
            Kind::Gauge,
            "node_textfile_scrape_error",
            "Whether a file could not be read.",
            &[],
            f64::from(u8::from(all.errors)),
        );
        Ok(())
    }
}

/// The families of a whole file, and when it was written.
fn read(path: &Path, buffer: &mut Buffer) -> Result<(BTreeMap<String, Family>, f64), String> {
    let text = buffer.read(path).map_err(|error| error.to_string())?;
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let families = families(text)?;
    // Asked last, so that a file that could not be read does not look fresh.
    let modified = std::fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .map_err(|error| error.to_string())?;
    let modified = modified
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Ok((families, modified.as_secs_f64()))
}

/// The families of all files.
#[derive(Default)]
struct Merged {
    families: BTreeMap<String, Family>,
    errors: bool,
}

impl Merged {
    /// Adds the families of the file `path`. One that is described in another way, or is of another
    /// type, than an earlier file has it is left out: there can be only one of each.
    fn add(&mut self, families: BTreeMap<String, Family>, path: &str) {
        for (name, mut family) in families {
            family.sources.push(path.to_owned());
            let Some(known) = self.families.get_mut(&name) else {
                if !family.samples.is_empty() {
                    self.families.insert(name, family);
                }
                continue;
            };
            let described = family.help.is_none() || known.help.is_none();
            if !(described || known.help == family.help) || known.kind != family.kind {
                tracing::warn!(
                    file = path,
                    family = name,
                    "described in another way than in an earlier file, left out"
                );
                self.errors = true;
                continue;
            }
            known.help = known.help.take().or(family.help);
            known.samples.extend(family.samples);
            known.sources.extend(family.sources);
        }
    }
}

/// A family's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Plain(Kind),
    Histogram,
    Summary,
}

impl Shape {
    /// What may follow the family's name in those of its samples.
    fn parts(self) -> &'static [&'static str] {
        match self {
            Self::Plain(_) => &[],
            Self::Histogram => &["_bucket", "_sum", "_count"],
            Self::Summary => &["_sum", "_count"],
        }
    }

    /// The label that tells a sample's parts apart.
    fn inner(self) -> Option<&'static str> {
        match self {
            Self::Plain(_) => None,
            Self::Histogram => Some("le"),
            Self::Summary => Some("quantile"),
        }
    }
}

#[derive(Debug)]
struct Family {
    kind: Shape,
    help: Option<String>,
    described: bool,
    samples: Vec<Point>,
    /// The files it is from.
    sources: Vec<String>,
}

impl Default for Family {
    fn default() -> Self {
        Self {
            kind: Shape::Plain(Kind::Untyped),
            help: None,
            described: false,
            samples: Vec::new(),
            sources: Vec::new(),
        }
    }
}

/// One value, or one histogram or summary.
#[derive(Debug, Default, PartialEq)]
struct Point {
    labels: Vec<(String, String)>,
    /// The value, or the sum.
    value: f64,
    count: Option<f64>,
    /// Upper bounds with how many values are below, or quantiles with theirs.
    parts: Vec<(f64, f64)>,
}

impl Family {
    /// Adds a line, to the point of the same labels where it is a part of one.
    fn add(&mut self, part: &str, sample: &Sample<'_>) -> Result<(), String> {
        let inner = self.kind.inner();
        let mut at = None;
        let mut labels = Vec::with_capacity(sample.labels.len());
        for (name, value) in &sample.labels {
            if inner == Some(&**name) {
                let number = value.parse::<f64>();
                at = Some(number.map_err(|_| format!("{}: {name} is no number", sample.name))?);
            } else {
                labels.push((name.to_string(), value.to_string()));
            }
        }
        if inner.is_none() {
            self.samples.push(Point {
                labels,
                value: sample.value,
                ..Point::default()
            });
            return Ok(());
        }
        labels.sort_unstable();
        let index = match self.samples.iter().position(|point| point.labels == labels) {
            Some(index) => index,
            None => {
                self.samples.push(Point {
                    labels,
                    ..Point::default()
                });
                self.samples.len() - 1
            }
        };
        if let Some(point) = self.samples.get_mut(index) {
            match (part, at) {
                ("_sum", _) => point.value = sample.value,
                ("_count", _) => point.count = Some(sample.value),
                (_, Some(at)) => point.parts.push((at, sample.value)),
                _ => {}
            }
        }
        Ok(())
    }

    fn write(&self, name: &str, emit: &mut Emit<'_>) {
        let made;
        let help = match &self.help {
            Some(help) => help,
            None => {
                made = format!("Metric read from {}", self.sources.join(", "));
                &made
            }
        };
        // Every series of a family has all of its labels, empty where it says nothing.
        let mut names: Vec<&str> = self
            .samples
            .iter()
            .flat_map(|point| point.labels.iter().map(|(name, _)| name.as_str()))
            .collect();
        names.sort_unstable();
        names.dedup();
        let rows = self.samples.iter().map(|point| {
            let labels: Vec<(&str, &str)> = names
                .iter()
                .map(|name| {
                    let value = point.labels.iter().find(|(other, _)| other == name);
                    (*name, value.map_or("", |(_, value)| value.as_str()))
                })
                .collect();
            (labels, point)
        });
        match self.kind {
            Shape::Plain(kind) => {
                for (labels, point) in rows {
                    emit.put(kind, name, help, &labels, point.value);
                }
            }
            Shape::Histogram => {
                let mut family = emit.histograms(name, help);
                for (labels, point) in rows {
                    let (count, bounds, counts) = point.buckets();
                    family.add(&labels, count, point.value, &bounds, &counts);
                }
            }
            Shape::Summary => {
                let mut family = emit.summaries(name, help);
                for (labels, point) in rows {
                    let mut quantiles = point.parts.clone();
                    quantiles.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
                    let count = whole(point.count.unwrap_or(0.0));
                    family.add(&labels, count, point.value, &quantiles);
                }
            }
        }
    }
}

impl Point {
    /// How many values there are, the upper bounds, and how many values are in each bucket alone.
    fn buckets(&self) -> (u64, Vec<f64>, Vec<u64>) {
        let mut parts = self.parts.clone();
        parts.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
        let all = parts.pop_if(|(bound, _)| *bound == f64::INFINITY);
        let count = self.count.or(all.map(|(_, count)| count)).unwrap_or(0.0);
        let count = whole(count);
        let mut below = 0;
        let mut counts = Vec::with_capacity(parts.len() + 1);
        for (_, cumulative) in &parts {
            let cumulative = whole(*cumulative).max(below);
            counts.push(cumulative - below);
            below = cumulative;
        }
        counts.push(count.saturating_sub(below));
        let bounds = parts.into_iter().map(|(bound, _)| bound).collect();
        (count, bounds, counts)
    }
}

/// The families of a file. Samples with a time are refused: what is written rarely would be stale.
fn families(text: &str) -> Result<BTreeMap<String, Family>, String> {
    let mut all: BTreeMap<String, Family> = BTreeMap::new();
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
                family.kind = match kind {
                    "counter" => Shape::Plain(Kind::Counter),
                    "gauge" => Shape::Plain(Kind::Gauge),
                    "histogram" => Shape::Histogram,
                    "summary" => Shape::Summary,
                    _ => Shape::Plain(Kind::Untyped),
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
                let whole = ["_bucket", "_sum", "_count"].into_iter().find_map(|part| {
                    let name = sample.name.strip_suffix(part)?;
                    let family = all.get(name)?;
                    family.kind.parts().contains(&part).then_some((name, part))
                });
                let (name, part) = whole.unwrap_or((&sample.name, ""));
                let family = match all.get_mut(name) {
                    Some(family) => family,
                    None => all.entry(name.to_owned()).or_default(),
                };
                family.add(part, &sample)?;
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
        let all = families("# HELP a First.\n# TYPE a counter\na{x=\"1\"} 1\nb 2\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_count 3\nh_sum 4\n").unwrap();
        let shown: Vec<_> = all
            .iter()
            .map(|(name, family)| (name.as_str(), family.kind, family.samples.len()))
            .collect();
        assert_eq!(
            shown,
            [
                ("a", Shape::Plain(Kind::Counter), 1),
                ("b", Shape::Plain(Kind::Untyped), 1),
                ("h", Shape::Histogram, 1)
            ]
        );
        for wrong in [
            "a 1 1700000000000\n",
            "a 1\n# TYPE a gauge\n",
            "# TYPE a gauge\n# TYPE a gauge\n",
            "a{\n",
            "# TYPE h histogram\nh_bucket{le=\"x\"} 3\n",
        ] {
            assert!(families(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn buckets_are_told_alone() {
        let all = families("# TYPE h histogram\nh_bucket{le=\"2\",a=\"b\"} 5\nh_bucket{a=\"b\",le=\"1\"} 3\nh_bucket{le=\"+Inf\",a=\"b\"} 9\nh_count{a=\"b\"} 9\nh_sum{a=\"b\"} 12.5\n").unwrap();
        let point = &all["h"].samples[0];
        assert_eq!(point.value, 12.5);
        assert_eq!(point.buckets(), (9, vec![1.0, 2.0], vec![3, 2, 4]));
        assert_eq!(Point::default().buckets(), (0, vec![], vec![0]));
    }

    fn shown_of(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let mut textfile = Textfile {
            directories: vec![folder.path().to_str().unwrap().to_owned()],
            buffer: Buffer::default(),
        };
        let text = crate::collector::shown(&mut textfile).unwrap();
        text.lines()
            .filter(|line| !line.starts_with("node_textfile_mtime") && !line.starts_with('#'))
            .fold(String::new(), |all, line| all + line + "\n")
    }

    #[test]
    fn a_family_is_described_once() {
        let event = |help: &str, file: &str| {
            format!("{help}# TYPE events_total counter\nevents_total{{file=\"{file}\"}} 1\n")
        };
        let (help, other) = ("# HELP events_total A.\n", "# HELP events_total B.\n");
        let of = |one: &str, two: &str| {
            shown_of(&[("a.prom", &event(one, "a")), ("b.prom", &event(two, "b"))])
        };
        let both = "events_total{file=\"a\"} 1.0\nevents_total{file=\"b\"} 1.0\nnode_textfile_scrape_error 0.0\n";
        for (one, two) in [(help, help), (help, ""), ("", help), ("", "")] {
            let mut lines: Vec<_> = of(one, two).lines().map(str::to_owned).collect();
            lines.sort_unstable();
            assert_eq!(lines.join("\n") + "\n", both);
        }
        let text = of(help, other);
        assert!(text.contains("events_total{file=\"a\"} 1.0\n"), "{text}");
        assert!(!text.contains("file=\"b\""), "{text}");
        assert!(text.contains("node_textfile_scrape_error 1.0\n"), "{text}");
    }

    #[test]
    fn every_series_has_all_labels() {
        let text = shown_of(&[("a.prom", "a{x=\"1\"} 1\na{y=\"2\"} 2\n")]);
        assert!(text.contains("a{x=\"1\",y=\"\"} 1.0\n"), "{text}");
        assert!(text.contains("a{x=\"\",y=\"2\"} 2.0\n"), "{text}");
    }

    #[test]
    fn histograms_and_summaries_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let text = "# TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 4\nh_sum 2\nh_count 4\n# TYPE s summary\ns{quantile=\"0.5\"} 7\ns_sum 8\ns_count 9\n";
        std::fs::write(folder.path().join("a.prom"), text).unwrap();
        let mut textfile = Textfile {
            directories: vec![folder.path().to_str().unwrap().to_owned()],
            buffer: Buffer::default(),
        };
        let metrics = crate::collector::collected(&mut textfile).unwrap();
        let translation = corten_exposition::Translation::default();
        let mut page = corten_exposition::Page::new(corten_exposition::Format::TEXT);
        translation.visit(&metrics, &mut page);
        let mut shown = Vec::new();
        assert!(page.write(&mut shown).problems.is_empty());
        let shown = String::from_utf8(shown).unwrap();
        let shown: Vec<_> = shown
            .lines()
            .filter(|line| !line.starts_with("# HELP") && !line.contains("node_textfile"))
            .collect();
        assert_eq!(shown.join("\n") + "\n", text);
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
