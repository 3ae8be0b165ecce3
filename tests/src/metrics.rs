//! Prometheus's text format, read independently of Corten's own code.

use std::collections::{BTreeMap, BTreeSet};

use crate::http;

/// What a scrape answered.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Family and type, as `# TYPE` tells.
    pub types: BTreeMap<String, String>,
    /// Every sample: name, labels, value.
    pub samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// Scrapes `127.0.0.1:port/path`.
///
/// # Panics
///
/// When nobody answers, with another status than 200, or what is no text format.
#[must_use]
pub fn scrape(port: u16, path: &str) -> Metrics {
    let reply = http::get(port, path).unwrap();
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    Metrics::parse(&reply.text())
}

impl Metrics {
    /// Reads a body.
    ///
    /// # Panics
    ///
    /// At a line that is none of this format.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut metrics = Self::default();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                let before = metrics.types.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "{name} has two types");
            } else if !line.is_empty() && !line.starts_with('#') {
                metrics
                    .samples
                    .push(sample(line).unwrap_or_else(|| panic!("no sample: {line}")));
            }
        }
        metrics
    }

    /// The value of the only sample of this name that has these labels.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.find(name, labels);
        let value = found.next()?;
        assert_eq!(found.next(), None, "more than one {name} with {labels:?}");
        Some(value)
    }

    /// The sum of the samples of this name that have these labels.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).sum()
    }

    fn find<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = f64> + 'a {
        self.samples
            .iter()
            .filter(move |(sample, of, _)| {
                sample == name
                    && labels
                        .iter()
                        .all(|(name, value)| of.get(*name).is_some_and(|of| of == value))
            })
            .map(|(_, _, value)| *value)
    }

    /// The family that a sample belongs to.
    #[must_use]
    pub fn family<'a>(&self, sample: &'a str) -> &'a str {
        if self.types.contains_key(sample) {
            return sample;
        }
        ["_bucket", "_sum", "_count"]
            .into_iter()
            .filter_map(|suffix| sample.strip_suffix(suffix))
            .find(|family| self.types.contains_key(*family))
            .unwrap_or(sample)
    }

    /// Every family that has a sample.
    #[must_use]
    pub fn families(&self) -> BTreeSet<String> {
        self.samples
            .iter()
            .map(|(name, ..)| self.family(name).to_owned())
            .collect()
    }
}

fn sample(line: &str) -> Option<(String, BTreeMap<String, String>, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                match chars.next()? {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match chars.next()?.1 {
                        'n' => '\n',
                        other => other,
                    }),
                    (_, other) => value.push(other),
                }
            };
            labels.insert(label.to_owned(), value);
            rest = after.get(end + 1..)?;
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        rest = rest.get(1..)?;
    }
    let value = rest.split_ascii_whitespace().next()?;
    Some((name.to_owned(), labels, value.parse().ok()?))
}
