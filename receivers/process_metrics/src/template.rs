//! Names of groups: text with `{{.Comm}}` and its like, a small part of Go's templates.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A name with fields in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    written: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

/// What a process is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Comm,
    ExeBase,
    ExeFull,
    Username,
    Pid,
    StartTime,
    Cgroups,
    Matches(String),
}

const FIELDS: &str =
    ".Comm, .ExeBase, .ExeFull, .Username, .PID, .StartTime, .Cgroups or .Matches.<name>";

/// What the fields of a template stand for.
#[derive(Debug, Default)]
pub(crate) struct Values<'a> {
    pub(crate) comm: &'a str,
    pub(crate) exe: &'a str,
    pub(crate) user: Cow<'a, str>,
    pub(crate) pid: u32,
    /// Nanoseconds since 1970.
    pub(crate) started: i128,
    pub(crate) cgroups: &'a [String],
    pub(crate) matches: &'a [(String, String)],
}

impl Template {
    /// Whether a value of this kind is used, which costs a read.
    pub(crate) fn wants_cgroups(&self) -> bool {
        self.parts.contains(&Part::Field(Field::Cgroups))
    }

    pub(crate) fn fill(&self, values: &Values<'_>) -> String {
        let mut name = String::with_capacity(self.written.len());
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Field(field) => name.push_str(&field.of(values)),
            }
        }
        name
    }
}

/// The part of a path behind its last slash, as Go's `filepath.Base` has it.
pub(crate) fn base(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit_once('/') {
        Some((_, base)) => base,
        None if trimmed.is_empty() && !path.is_empty() => "/",
        None if path.is_empty() => ".",
        None => trimmed,
    }
}

impl Field {
    fn of<'a>(&self, values: &Values<'a>) -> Cow<'a, str> {
        match self {
            Self::Comm => values.comm.into(),
            Self::ExeBase => base(values.exe).into(),
            Self::ExeFull => values.exe.into(),
            Self::Username => values.user.clone(),
            Self::Pid => values.pid.to_string().into(),
            Self::StartTime => go_time(values.started).into(),
            // As Go prints a list.
            Self::Cgroups => format!("[{}]", values.cgroups.join(" ")).into(),
            Self::Matches(name) => {
                let found = values.matches.iter().find(|(known, _)| known == name);
                // As Go prints what a map does not have.
                found.map_or(Cow::Borrowed("<no value>"), |(_, value)| {
                    value.as_str().into()
                })
            }
        }
    }
}

/// A time as Go prints one: `2026-01-02 03:04:05.67 +0000 UTC`.
fn go_time(nanos: i128) -> String {
    let Ok(time) = Timestamp::from_nanosecond(nanos) else {
        return nanos.to_string();
    };
    let time = time.to_zoned(TimeZone::system());
    let fraction = format!("{:09}", time.subsec_nanosecond());
    let fraction = match fraction.trim_end_matches('0') {
        "" => String::new(),
        digits => format!(".{digits}"),
    };
    format!(
        "{}{fraction} {}",
        time.strftime("%Y-%m-%d %H:%M:%S"),
        time.strftime("%z %Z")
    )
}

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("expected {FIELDS}, found '{text}'");
        let words = text.split_ascii_whitespace().collect::<Vec<_>>();
        if let ["index", ".Matches", name] = words.as_slice() {
            let name = name.trim_matches(['"', '`']);
            return Ok(Self::Matches(name.to_owned()));
        }
        Ok(match text {
            ".Comm" => Self::Comm,
            ".ExeBase" => Self::ExeBase,
            ".ExeFull" => Self::ExeFull,
            ".Username" => Self::Username,
            ".PID" => Self::Pid,
            ".StartTime" => Self::StartTime,
            ".Cgroups" => Self::Cgroups,
            _ => match text.strip_prefix(".Matches.") {
                Some(name) if !name.is_empty() => Self::Matches(name.to_owned()),
                _ => return Err(unknown()),
            },
        })
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inner, behind) = after
                .split_once("}}")
                .ok_or_else(|| format!("expected '}}}}' after '{{{{' in '{text}'"))?;
            let mut before = before;
            let mut behind = behind;
            let mut inner = inner;
            // `{{-` and `-}}` take the white space beside them away.
            if let Some(trimmed) = inner.strip_prefix("- ") {
                inner = trimmed;
                before = before.trim_end();
            }
            if let Some(trimmed) = inner.strip_suffix(" -") {
                inner = trimmed;
                behind = behind.trim_start();
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Field(inner.trim().parse()?));
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self {
            written: text.to_owned(),
            parts,
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Template {
    fn schema_name() -> Cow<'static, str> {
        "Template".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(template: &str) -> String {
        let matches = [("Cfg".to_owned(), "main".to_owned())];
        let values = Values {
            comm: "nginx",
            exe: "/usr/sbin/nginx",
            user: "www-data".into(),
            pid: 42,
            started: 1_700_000_000_250_000_000,
            cgroups: &["/a".to_owned(), "/b".to_owned()],
            matches: &matches,
        };
        template.parse::<Template>().unwrap().fill(&values)
    }

    #[test]
    fn fields_are_filled_in() {
        assert_eq!(filled("{{.Comm}}"), "nginx");
        assert_eq!(
            filled("{{ .ExeBase }}:{{.ExeFull}}!"),
            "nginx:/usr/sbin/nginx!"
        );
        assert_eq!(filled("{{.Username}} {{.PID}}"), "www-data 42");
        assert_eq!(filled("a {{- .Comm -}} b"), "anginxb");
        assert_eq!(
            filled("{{.Matches.Cfg}} {{index .Matches \"Cfg\"}}"),
            "main main"
        );
        assert_eq!(filled("{{.Matches.Other}}"), "<no value>");
        assert_eq!(filled("{{.Cgroups}}"), "[/a /b]");
        assert!(filled("{{.StartTime}}").starts_with("2023-11-1"));
        assert!(filled("{{.StartTime}}").contains(".25 "));
        assert_eq!(filled("plain"), "plain");
    }

    #[test]
    fn what_is_no_field_is_named() {
        let error = "{{.Nope}}".parse::<Template>().unwrap_err();
        assert_eq!(error, format!("expected {FIELDS}, found '.Nope'"));
        let error = "x{{.Comm".parse::<Template>().unwrap_err();
        assert_eq!(error, "expected '}}' after '{{' in 'x{{.Comm'");
    }

    #[test]
    fn bases_are_gos() {
        for (path, expected) in [
            ("/usr/bin/x", "x"),
            ("x", "x"),
            ("/x/", "x"),
            ("/", "/"),
            ("", "."),
            ("./y", "y"),
        ] {
            assert_eq!(base(path), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_template_or_none(text: String) {
            if let Ok(template) = text.parse::<Template>() {
                template.fill(&Values::default());
                prop_assert_eq!(template.to_string(), text);
            }
        }
    }
}
