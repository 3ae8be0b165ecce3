//! Which of many matching files are followed, when only some shall be: the newest ones of a series, for example.

use std::cmp::Ordering as Order;
use std::collections::BTreeMap;
use std::path::Path;

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use regex::Regex;

/// Sorts the files that match and follows the first of them only. Looked at anew with every scan; what was begun is
/// read to its end.
#[derive(Debug, Clone)]
pub struct Ordering {
    /// Matched against the path. Its named groups are the keys; a file whose path it doesn't match is not followed.
    pub regex: Regex,
    /// Files for which the first group of this (or all it matches) is the same are sorted by themselves.
    pub group_by: Option<Regex>,
    /// So many are followed, of each group; 0 is all.
    pub top_n: usize,
    /// In order of precedence.
    pub sort_by: Vec<SortBy>,
}

/// One rule of an order.
#[derive(Debug, Clone)]
pub struct SortBy {
    /// How values are compared.
    pub kind: SortKind,
    /// Which of the expression's named groups; not for [`SortKind::Modified`].
    pub key: String,
    /// The smallest first.
    pub ascending: bool,
}

/// How values are compared.
#[derive(Debug, Clone)]
pub enum SortKind {
    /// As whole numbers.
    Numeric,
    /// Byte by byte.
    Alphabetical,
    /// As times in a layout of `strptime` (`%Y%m%d%H`), in a time zone when they say none.
    Timestamp {
        /// Such as `%Y-%m-%d`.
        layout: String,
        /// Where times without a zone are.
        zone: TimeZone,
    },
    /// When the file was written last.
    Modified,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Number(i128),
    Text(String),
}

impl Ordering {
    /// Which of these files (paths and times of writing) are followed.
    pub(crate) fn select(&self, files: &[(&Path, i64)]) -> Vec<bool> {
        let mut groups: BTreeMap<String, Vec<(Vec<Value>, usize)>> = BTreeMap::new();
        for (index, (path, modified)) in files.iter().enumerate() {
            let text = path.to_string_lossy();
            if let Some(values) = self.values(&text, *modified) {
                groups
                    .entry(self.group(&text))
                    .or_default()
                    .push((values, index));
            }
        }
        let mut selected = vec![false; files.len()];
        for mut group in groups.into_values() {
            group.sort_by(|(a, _), (b, _)| self.compare(a, b));
            let most = match self.top_n {
                0 => group.len(),
                most => most,
            };
            for (_, index) in group.into_iter().take(most) {
                if let Some(selected) = selected.get_mut(index) {
                    *selected = true;
                }
            }
        }
        selected
    }

    fn group(&self, path: &str) -> String {
        let found = self
            .group_by
            .as_ref()
            .and_then(|regex| regex.captures(path));
        found
            .and_then(|found| found.get(1).or_else(|| found.get(0)))
            .map(|group| group.as_str().to_owned())
            .unwrap_or_default()
    }

    /// `None` for a file that has no value for a rule.
    fn values(&self, path: &str, modified: i64) -> Option<Vec<Value>> {
        let found = self.regex.captures(path)?;
        let value = |rule: &SortBy| -> Option<Value> {
            let key = || found.name(&rule.key).map(|found| found.as_str());
            Some(match &rule.kind {
                SortKind::Modified => Value::Number(modified.into()),
                SortKind::Numeric => Value::Number(key()?.parse().ok()?),
                SortKind::Alphabetical => Value::Text(key()?.to_owned()),
                SortKind::Timestamp { layout, zone } => Value::Number(time(layout, zone, key()?)?),
            })
        };
        self.sort_by.iter().map(value).collect()
    }

    fn compare(&self, a: &[Value], b: &[Value]) -> Order {
        let values = a.iter().zip(b).zip(&self.sort_by);
        values.fold(Order::Equal, |order, ((a, b), rule)| {
            order.then_with(|| match rule.ascending {
                true => a.cmp(b),
                false => b.cmp(a),
            })
        })
    }
}

fn time(layout: &str, zone: &TimeZone, text: &str) -> Option<i128> {
    let parsed = strtime::parse(layout, text).ok()?;
    if let Ok(at) = parsed.to_timestamp() {
        return Some(at.as_nanosecond());
    }
    let civil = match parsed.to_datetime() {
        Ok(civil) => civil,
        // A date or an hour alone.
        Err(_) => DateTime::from(parsed.to_date().ok()?)
            .with()
            .hour(parsed.hour().unwrap_or(0))
            .build()
            .ok()?,
    };
    Some(
        civil
            .to_zoned(zone.clone())
            .ok()?
            .timestamp()
            .as_nanosecond(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected<'a>(ordering: &Ordering, files: &[(&'a str, i64)]) -> Vec<&'a str> {
        let paths: Vec<_> = files
            .iter()
            .map(|(path, at)| (Path::new(*path), *at))
            .collect();
        let selected = ordering.select(&paths);
        files
            .iter()
            .zip(selected)
            .filter(|(_, selected)| *selected)
            .map(|((path, _), _)| *path)
            .collect()
    }

    fn ordering(regex: &str, top_n: usize, sort_by: Vec<(SortKind, &str, bool)>) -> Ordering {
        Ordering {
            regex: Regex::new(regex).unwrap(),
            group_by: None,
            top_n,
            sort_by: sort_by
                .into_iter()
                .map(|(kind, key, ascending)| SortBy {
                    kind,
                    key: key.to_owned(),
                    ascending,
                })
                .collect(),
        }
    }

    #[test]
    fn the_first_of_each_kind() {
        let files = [
            ("/a.9.log", 3),
            ("/a.10.log", 1),
            ("/b.2.log", 2),
            ("/other", 9),
        ];
        let number = |ascending| {
            ordering(
                r"\.(?<n>\d+)\.",
                1,
                vec![(SortKind::Numeric, "n", ascending)],
            )
        };
        assert_eq!(selected(&number(false), &files), ["/a.10.log"]);
        assert_eq!(selected(&number(true), &files), ["/b.2.log"]);
        let mut grouped = number(false);
        grouped.group_by = Some(Regex::new("/([a-z])").unwrap());
        assert_eq!(selected(&grouped, &files), ["/a.10.log", "/b.2.log"]);
        grouped.top_n = 0;
        assert_eq!(selected(&grouped, &files).len(), 3);
        let text = ordering(
            r"\.(?<n>\d+)\.",
            1,
            vec![(SortKind::Alphabetical, "n", false)],
        );
        assert_eq!(selected(&text, &files), ["/a.9.log"]);
        let modified = ordering("log", 1, vec![(SortKind::Modified, "", false)]);
        assert_eq!(selected(&modified, &files), ["/a.9.log"]);
        let missing = ordering("log", 1, vec![(SortKind::Numeric, "n", false)]);
        assert!(selected(&missing, &files).is_empty());
    }

    #[test]
    fn times() {
        for (layout, old, new) in [
            ("%Y%m%d", "20251231", "20260101"),
            ("%Y%m%d%H", "2026010109", "2026010110"),
            (
                "%d-%m-%Y %H:%M:%S",
                "31-12-2025 23:00:00",
                "01-01-2026 01:00:00",
            ),
        ] {
            let kind = SortKind::Timestamp {
                layout: layout.to_owned(),
                zone: TimeZone::UTC,
            };
            let newest = ordering("/x-(?<t>.*)", 1, vec![(kind, "t", false)]);
            let (old, new) = (format!("/x-{old}"), format!("/x-{new}"));
            let files = [(old.as_str(), 0), (new.as_str(), 0), ("/x-never", 0)];
            assert_eq!(selected(&newest, &files), [new.as_str()], "{layout}");
        }
    }
}
