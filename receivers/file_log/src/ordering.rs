//! `ordering_criteria`: which of the files that match are followed.

use corten_config::Checker;
use corten_config::types::Regex;
use corten_tail::SortKind;
use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Sorts the files that match and follows the first of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct OrderingCriteria {
    /// Matched against the path; its named groups are what `regex_key` names. A file that it doesn't match is not followed.
    pub(crate) regex: Option<Regex>,
    /// Files for which the first group of this expression is the same are sorted by themselves, and `top_n` counts for each such group.
    pub(crate) group_by: Option<Regex>,
    /// How many are followed. `0`: all, which leaves out only what `regex` doesn't match.
    pub(crate) top_n: usize,
    /// The rules, in order of precedence.
    pub(crate) sort_by: Vec<SortBy>,
}

impl Default for OrderingCriteria {
    fn default() -> Self {
        Self {
            regex: None,
            group_by: None,
            top_n: 1,
            sort_by: Vec::new(),
        }
    }
}

/// One rule of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct SortBy {
    /// How values are compared.
    pub(crate) sort_type: Option<SortType>,
    /// The named group of `regex` that has the value; not for `mtime`.
    pub(crate) regex_key: String,
    /// How a `timestamp` is written, in `strptime`'s language: `%Y%m%d%H`.
    pub(crate) layout: String,
    /// Where a `timestamp` without a zone is: a name of the IANA database, `UTC` or `Local`.
    pub(crate) location: String,
    /// The smallest, or oldest, first. For the newest say `false`.
    pub(crate) ascending: bool,
}

impl Default for SortBy {
    fn default() -> Self {
        Self {
            sort_type: None,
            regex_key: String::new(),
            layout: String::new(),
            location: "UTC".to_owned(),
            ascending: true,
        }
    }
}

/// How values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SortType {
    /// As whole numbers.
    Numeric,
    /// Byte by byte.
    Alphabetical,
    /// As times.
    Timestamp,
    /// By when the file was written last.
    Mtime,
}

impl OrderingCriteria {
    pub(crate) fn check(&self, at: &mut Checker<'_>) {
        let by_name = |rule: &SortBy| rule.sort_type != Some(SortType::Mtime);
        if self.regex.is_none() && (self.sort_by.is_empty() || self.sort_by.iter().any(by_name)) {
            at.on("regex").error("missing required field `regex`");
        }
        if self.sort_by.is_empty() {
            at.on("sort_by").error(
                "missing required field `sort_by`: name an order, such as {sort_type: mtime, ascending: false}",
            );
        }
        for (index, rule) in self.sort_by.iter().enumerate() {
            if let Err(error) = self.rule(rule) {
                at.field("sort_by").error(format!("[{index}] {error}"));
            }
        }
    }

    /// What the engine is told; `None` for what [`check`](Self::check) refuses.
    pub(crate) fn tail(&self) -> Option<corten_tail::Ordering> {
        let regex = match &self.regex {
            Some(regex) => (**regex).clone(),
            // Times of writing need no name.
            None => "".parse().ok()?,
        };
        Some(corten_tail::Ordering {
            regex,
            group_by: self.group_by.as_deref().cloned(),
            top_n: self.top_n,
            sort_by: self
                .sort_by
                .iter()
                .map(|rule| self.rule(rule).ok())
                .collect::<Option<_>>()?,
        })
    }

    fn rule(&self, rule: &SortBy) -> Result<corten_tail::SortBy, String> {
        let kind = match rule.sort_type {
            None => {
                return Err(
                    "needs a sort_type: numeric, alphabetical, timestamp or mtime".to_owned(),
                );
            }
            Some(SortType::Numeric) => SortKind::Numeric,
            Some(SortType::Alphabetical) => SortKind::Alphabetical,
            Some(SortType::Mtime) => SortKind::Modified,
            Some(SortType::Timestamp) => SortKind::Timestamp {
                layout: layout(&rule.layout)?,
                zone: zone(&rule.location)?,
            },
        };
        let key = &rule.regex_key;
        if !matches!(kind, SortKind::Modified) {
            if key.is_empty() {
                return Err("needs a regex_key: a named group of regex".to_owned());
            }
            let regex = self.regex.as_deref();
            let has =
                |regex: &regex::Regex| regex.capture_names().flatten().any(|name| name == key);
            if regex.is_some_and(|regex| !has(regex)) {
                return Err(format!(
                    "has the regex_key '{key}', which is no group of regex: write it as (?P<{key}>…)"
                ));
            }
        }
        Ok(corten_tail::SortBy {
            kind,
            key: key.clone(),
            ascending: rule.ascending,
        })
    }
}

/// A layout that reads what it writes.
fn layout(layout: &str) -> Result<String, String> {
    if layout.is_empty() {
        return Err("needs a layout for its timestamp, such as %Y%m%d%H".to_owned());
    }
    let wrong = |error| format!("has the layout '{layout}', which can't be used: {error}");
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    let text = strtime::format(layout, &now).map_err(wrong)?;
    let parsed = strtime::parse(layout, text).map_err(wrong)?;
    if parsed.to_timestamp().is_err() {
        parsed.to_date().map_err(wrong)?;
    }
    Ok(layout.to_owned())
}

fn zone(location: &str) -> Result<TimeZone, String> {
    match location {
        "" | "UTC" => Ok(TimeZone::UTC),
        "Local" => Ok(TimeZone::system()),
        name => TimeZone::get(name).map_err(|_| {
            format!(
                "has the location '{name}', which is not in this machine's time zone database: expected a name such as Europe/Berlin, UTC or Local"
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use corten_config::from_str;
    use corten_tail::SortKind;

    fn problems(criteria: &str) -> String {
        from_str::<Config>(&format!("include: [/x]\nordering_criteria: {criteria}"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn reach_the_engine() {
        let config: Config = from_str(
            "include: [/x]\nordering_criteria:\n  regex: '(?P<day>\\d{8})-(?P<n>\\d+)\\.log'\n  group_by: '/([a-z]+)-'\n  top_n: 3\n  sort_by:\n  - {sort_type: timestamp, regex_key: day, layout: '%Y%m%d', location: Local, ascending: false}\n  - {sort_type: numeric, regex_key: n}\n  - {sort_type: mtime}\n",
        )
        .unwrap();
        let ordering = config.tail("x").ordering.unwrap();
        assert_eq!(ordering.top_n, 3);
        assert!(ordering.group_by.is_some() && ordering.regex.is_match("20260101-7.log"));
        let [day, n, modified] = &ordering.sort_by[..] else {
            panic!("{ordering:?}")
        };
        assert!(matches!(day.kind, SortKind::Timestamp { .. }) && !day.ascending);
        assert!(matches!(n.kind, SortKind::Numeric) && n.ascending && n.key == "n");
        assert!(matches!(modified.kind, SortKind::Modified));
        let config: Config = from_str(
            "include: [/x]\nordering_criteria: {sort_by: [{sort_type: mtime, ascending: false}]}",
        )
        .unwrap();
        let ordering = config.tail("x").ordering.unwrap();
        assert!(ordering.top_n == 1 && ordering.regex.is_match("/any"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (criteria, expected) in [
            ("{}", "missing required field `regex`"),
            ("{regex: a}", "missing required field `sort_by`"),
            ("{regex: '('}", "expected a regular expression"),
            (
                "{regex: a, sort_by: [{regex_key: n}]}",
                "[0] needs a sort_type: numeric",
            ),
            (
                "{regex: a, sort_by: [{sort_type: numeric}]}",
                "[0] needs a regex_key",
            ),
            (
                "{regex: '(?P<m>a)', sort_by: [{sort_type: mtime}, {sort_type: numeric, regex_key: n}]}",
                "[1] has the regex_key 'n', which is no group of regex: write it as (?P<n>…)",
            ),
            (
                "{regex: '(?P<n>a)', sort_by: [{sort_type: timestamp, regex_key: n}]}",
                "needs a layout",
            ),
            (
                "{regex: '(?P<n>a)', sort_by: [{sort_type: timestamp, regex_key: n, layout: '%H'}]}",
                "has the layout '%H', which can't be used",
            ),
            (
                "{regex: '(?P<n>a)', sort_by: [{sort_type: timestamp, regex_key: n, layout: '%é'}]}",
                "which can't be used",
            ),
            (
                "{regex: '(?P<n>a)', sort_by: [{sort_type: timestamp, regex_key: n, layout: '%Y%m%d', location: Europe/Atlantis}]}",
                "location 'Europe/Atlantis'",
            ),
            ("{regex: a, sort_by: [{sort_type: size}]}", "mtime"),
        ] {
            let text = problems(criteria);
            assert!(text.contains(expected), "{expected} in\n{text}");
        }
    }
}
