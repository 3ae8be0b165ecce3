//! Samples that come device by device and are written family by family.

use std::collections::HashMap;
use std::ops::Range;

use corten_host::families::{Families, Kind};

/// The samples of one scrape by family. Everything that grows is kept for the next one, so that a
/// scrape which brings what the last one brought allocates nothing.
#[derive(Default)]
pub(crate) struct Gathered {
    by_name: HashMap<String, usize, foldhash::fast::RandomState>,
    families: Vec<Gathering>,
    /// All names and values of labels, one after the other.
    text: String,
    /// Where each label's name and value end in it.
    labels: Vec<(usize, usize)>,
}

struct Gathering {
    kind: Kind,
    name: String,
    help: String,
    samples: Vec<Sample>,
}

struct Sample {
    /// Where its labels' text begins.
    begin: usize,
    labels: Range<usize>,
    value: f64,
}

/// Names of families that may be remembered without samples; a device that makes up new ones at
/// each scrape must not fill the memory.
const MOST_IDLE: usize = 16_384;

impl Gathered {
    /// Adds a sample; type and description are those of the family's first one.
    pub(crate) fn add(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        let index = match self.by_name.get(name) {
            Some(index) => *index,
            None => {
                let index = self.families.len();
                self.by_name.insert(name.to_owned(), index);
                self.families.push(Gathering {
                    kind,
                    name: name.to_owned(),
                    help: help.to_owned(),
                    samples: Vec::new(),
                });
                index
            }
        };
        let begin = self.text.len();
        let first = self.labels.len();
        for (name, value) in labels {
            self.text.push_str(name);
            let middle = self.text.len();
            self.text.push_str(value);
            self.labels.push((middle, self.text.len()));
        }
        let labels = first..self.labels.len();
        if let Some(family) = self.families.get_mut(index) {
            family.samples.push(Sample {
                begin,
                labels,
                value,
            });
        }
    }

    /// Writes all families that have samples, and begins anew.
    pub(crate) fn write(&mut self, out: &mut Families) {
        let mut shown: Vec<(&str, &str)> = Vec::new();
        for gathering in &mut self.families {
            let mut family = out.family(gathering.kind, &gathering.name, &gathering.help);
            for sample in gathering.samples.drain(..) {
                shown.clear();
                let mut at = sample.begin;
                for (middle, end) in self.labels.get(sample.labels).unwrap_or_default() {
                    let name = self.text.get(at..*middle).unwrap_or_default();
                    let value = self.text.get(*middle..*end).unwrap_or_default();
                    shown.push((name, value));
                    at = *end;
                }
                family.add(&shown, sample.value);
            }
            family.end();
        }
        self.text.clear();
        self.labels.clear();
        if self.families.len() > MOST_IDLE {
            self.families.clear();
            self.by_name.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_with_their_family() {
        let mut gathered = Gathered::default();
        let mut families = Families::new("test", "1");
        for _ in 0..2 {
            for device in ["a", "b"] {
                let labels = [("device", device), ("mode", "x")];
                gathered.add(Kind::Gauge, "size", "Size.", &labels, 1.0);
                gathered.add(Kind::Counter, "reads_total", "Reads.", &labels, 2.0);
            }
            families.begin();
            gathered.write(&mut families);
            let metrics = families.finish();
            let text = corten_testing::render_metrics(&metrics);
            let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
            assert_eq!(
                lines,
                [
                    "size{device=\"a\",mode=\"x\"} 1.0",
                    "size{device=\"b\",mode=\"x\"} 1.0",
                    "reads_total{device=\"a\",mode=\"x\"} 2.0",
                    "reads_total{device=\"b\",mode=\"x\"} 2.0"
                ]
            );
        }
    }
}
