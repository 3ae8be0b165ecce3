//! Reading Prometheus's text formats: text 0.0.4 and OpenMetrics 1.0, line by line.
//!
//! The format is one of lines, so its parser is an iterator of them: nothing is kept, names and
//! values without escapes are borrowed, and whoever reads decides what belongs together.
//!
//! ```
//! use corten_exposition::text::{Line, parse};
//!
//! let mut lines = parse("# TYPE up gauge\nup{job=\"a\"} 1\n");
//! assert!(matches!(lines.next(), Some(Ok(Line::Type { name: "up", .. }))));
//! let Some(Ok(Line::Sample(sample))) = lines.next() else { unreachable!() };
//! assert_eq!((sample.name.as_ref(), sample.value), ("up", 1.0));
//! assert_eq!(sample.labels, [("job".into(), "a".into())]);
//! ```

use std::borrow::Cow;

/// One line that says something.
#[derive(Clone, Debug, PartialEq)]
pub enum Line<'a> {
    /// `# HELP name description`, unescaped.
    Help {
        /// The family.
        name: &'a str,
        /// Its description.
        help: Cow<'a, str>,
    },
    /// `# TYPE name type`.
    Type {
        /// The family.
        name: &'a str,
        /// `counter`, `gauge`, … as it stands there.
        kind: &'a str,
    },
    /// `# UNIT name unit`, of OpenMetrics.
    Unit {
        /// The family.
        name: &'a str,
        /// Its unit.
        unit: &'a str,
    },
    /// A value.
    Sample(Sample<'a>),
    /// `# EOF`, the end of OpenMetrics.
    Eof,
}

/// A value with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// Its name, with `_total`, `_bucket` and so on.
    pub name: Cow<'a, str>,
    /// Its labels in the order of the line.
    pub labels: Vec<Label<'a>>,
    /// Its value.
    pub value: f64,
    /// The time as it stands there: milliseconds in text 0.0.4, seconds in OpenMetrics.
    pub timestamp: Option<f64>,
    /// The example that OpenMetrics puts behind ` # `; few samples have one.
    pub exemplar: Option<Box<Exemplar<'a>>>,
}

/// A label's name and value, unescaped.
pub type Label<'a> = (Cow<'a, str>, Cow<'a, str>);

/// An example of what was counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar<'a> {
    /// Its labels.
    pub labels: Vec<Label<'a>>,
    /// Its value.
    pub value: f64,
    /// When it was seen, in seconds since 1970.
    pub timestamp: Option<f64>,
}

/// A line is not as the format has it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected {expected}")]
pub struct TextError {
    /// Which one, from 1.
    pub line: usize,
    /// What should stand there.
    pub expected: &'static str,
}

/// The lines of a text; empty ones and comments are passed over. After a line that is an error the
/// next one is read.
pub fn parse(text: &str) -> impl Iterator<Item = Result<Line<'_>, TextError>> {
    lines(text).zip(1..).filter_map(|(line, number)| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let line = line.trim_start_matches(BLANKS);
        let parsed = match line.strip_prefix('#') {
            _ if line.is_empty() => return None,
            Some(comment) => described(comment).transpose()?,
            None => sample(line).map(Line::Sample),
        };
        Some(parsed.map_err(|expected| TextError {
            line: number,
            expected,
        }))
    })
}

/// `text.split('\n')`, several times as fast.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = memchr::memchr(b'\n', text.as_bytes());
        let split = end.and_then(|end| text.split_at_checked(end));
        let Some((line, after)) = split else {
            rest = None;
            return Some(text);
        };
        rest = after.get(1..);
        Some(line)
    })
}

const BLANKS: [char; 2] = [' ', '\t'];

/// What stands before and after the first run of blanks.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start_matches(BLANKS);
    let (word, rest) = text.split_once(BLANKS).unwrap_or((text, ""));
    (word, rest.trim_start_matches(BLANKS))
}

fn described(comment: &str) -> Result<Option<Line<'_>>, &'static str> {
    if comment.trim_matches(BLANKS) == "EOF" {
        return Ok(Some(Line::Eof));
    }
    if !comment.starts_with(BLANKS) {
        return Ok(None);
    }
    let (keyword, rest) = word(comment);
    if !matches!(keyword, "HELP" | "TYPE" | "UNIT") {
        return Ok(None);
    }
    let (name, rest) = named(rest)?;
    let rest = rest.trim_start_matches(BLANKS);
    Ok(Some(match keyword {
        "HELP" => Line::Help {
            name,
            help: unescaped(rest),
        },
        "TYPE" => {
            let kind = rest.trim_end_matches(BLANKS);
            if !KINDS.contains(&kind) {
                return Err("a type: counter, gauge, histogram, summary or untyped");
            }
            Line::Type { name, kind }
        }
        _ => Line::Unit {
            name,
            unit: rest.trim_end_matches(BLANKS),
        },
    }))
}

/// The types of both formats.
const KINDS: [&str; 9] = [
    "counter",
    "gauge",
    "histogram",
    "summary",
    "untyped",
    "unknown",
    "info",
    "stateset",
    "gaugehistogram",
];

/// A family's name at the beginning; in quotes where it is no classic one.
fn named(text: &str) -> Result<(&str, &str), &'static str> {
    if let Some(quoted) = text.strip_prefix('"') {
        let end = closing(quoted).ok_or("a closing quote")?;
        let (name, rest) = quoted.split_at_checked(end).ok_or("a closing quote")?;
        return Ok((name, rest.get(1..).unwrap_or_default()));
    }
    let (name, rest) = leading_name(text);
    if name.is_empty() {
        return Err("a metric's name");
    }
    Ok((name, rest))
}

/// The longest classic name at the beginning, and what follows it.
fn leading_name(text: &str) -> (&str, &str) {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
    let bytes = text.as_bytes();
    let end = match bytes.first() {
        Some(first) if first.is_ascii_digit() => 0,
        _ => bytes.iter().take_while(|byte| fits(byte)).count(),
    };
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Where the quote is that ends a text which began with one.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', bytes.get(from..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at);
        }
        from = at + 2;
    }
}

/// `\\`, `\n` and `\"` as what they stand for; other backslashes stay.
fn unescaped(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let meant = match (character, characters.peek()) {
            ('\\', Some('\\')) => '\\',
            ('\\', Some('n')) => '\n',
            ('\\', Some('"')) => '"',
            _ => {
                out.push(character);
                continue;
            }
        };
        characters.next();
        out.push(meant);
    }
    Cow::Owned(out)
}

fn sample(line: &str) -> Result<Sample<'_>, &'static str> {
    let (name, rest) = leading_name(line);
    let mut name = Cow::Borrowed(name);
    let mut labels = Vec::new();
    let mut rest = rest.trim_start_matches(BLANKS);
    if let Some(inside) = rest.strip_prefix('{') {
        let quoted_name;
        (quoted_name, labels, rest) = label_set(inside)?;
        match quoted_name {
            Some(quoted) if name.is_empty() => name = quoted,
            Some(_) => return Err("one name, before or between the braces"),
            None => {}
        }
    }
    if name.is_empty() {
        return Err("a metric's name");
    }
    let exemplar = memchr::memchr(b'#', rest.as_bytes()).and_then(|_| rest.split_once(" # "));
    let (rest, exemplar) = match exemplar {
        Some((rest, exemplar)) => (rest, Some(Box::new(exemplar_of(exemplar)?))),
        None => (rest, None),
    };
    let (value, timestamp) = value_and_time(rest)?;
    Ok(Sample {
        name,
        labels,
        value,
        timestamp,
        exemplar,
    })
}

fn exemplar_of(text: &str) -> Result<Exemplar<'_>, &'static str> {
    let inside = text
        .trim_start_matches(BLANKS)
        .strip_prefix('{')
        .ok_or("an exemplar's labels")?;
    let (_, labels, rest) = label_set(inside)?;
    let (value, timestamp) = value_and_time(rest)?;
    Ok(Exemplar {
        labels,
        value,
        timestamp,
    })
}

fn value_and_time(text: &str) -> Result<(f64, Option<f64>), &'static str> {
    let (value, rest) = word(text);
    let value = number(value).ok_or("a number")?;
    let (time, rest) = word(rest);
    let timestamp = if time.is_empty() {
        None
    } else {
        Some(number(time).ok_or("a time")?)
    };
    if rest.is_empty() {
        Ok((value, timestamp))
    } else {
        Err("a value and perhaps a time, and nothing more")
    }
}

type LabelSet<'a> = (Option<Cow<'a, str>>, Vec<Label<'a>>, &'a str);

/// What stands after `{`: the name, where it is between the braces, the labels, and what follows `}`.
fn label_set(text: &str) -> Result<LabelSet<'_>, &'static str> {
    let mut labels: Vec<Label<'_>> = Vec::with_capacity(8);
    let mut metric = None;
    let mut rest = text.trim_start_matches(BLANKS);
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((metric, labels, after));
        }
        let (name, after) = match rest.strip_prefix('"') {
            Some(_) => quoted(rest)?,
            None => {
                let (name, after) = leading_name(rest);
                (Cow::Borrowed(name), after)
            }
        };
        if name.is_empty() {
            return Err("a label's name");
        }
        let is_quoted = rest.starts_with('"');
        let after = after.trim_start_matches(BLANKS);
        let after = match after.strip_prefix('=') {
            Some(after) => {
                let (value, after) = quoted(after.trim_start_matches(BLANKS))?;
                if labels.iter().any(|(known, _)| *known == name) {
                    return Err("every label once");
                }
                labels.push((name, value));
                after
            }
            None if is_quoted && metric.is_none() && labels.is_empty() => {
                metric = Some(name);
                after
            }
            None => return Err("an equals sign"),
        };
        rest = after.trim_start_matches(BLANKS);
        if let Some(after) = rest.strip_prefix(',') {
            rest = after.trim_start_matches(BLANKS);
        } else if !rest.starts_with('}') {
            return Err("a comma or a closing brace");
        }
    }
}

fn quoted(text: &str) -> Result<(Cow<'_, str>, &str), &'static str> {
    let text = text.strip_prefix('"').ok_or("a value in quotes")?;
    let end = closing(text).ok_or("a closing quote")?;
    let (value, rest) = text.split_at_checked(end).ok_or("a closing quote")?;
    Ok((unescaped(value), rest.get(1..).unwrap_or_default()))
}

/// A number as Prometheus reads it.
fn number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let first = unsigned.bytes().next()?;
    let words = ["inf", "infinity", "nan"];
    let is_number = first.is_ascii_digit()
        || first == b'.'
        || words.iter().any(|word| unsigned.eq_ignore_ascii_case(word));
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Result<Sample<'_>, &'static str> {
        match parse(line).next() {
            Some(Ok(Line::Sample(sample))) => Ok(sample),
            Some(Err(error)) => Err(error.expected),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_of_every_kind() {
        let text = "# HELP a Says \\\\ and \\n.\n# TYPE a counter\n# UNIT a seconds\n# a comment\n#HELP x\n\n \t a 1\r\n# EOF\n";
        let lines: Vec<_> = parse(text).map(Result::unwrap).collect();
        assert_eq!(
            lines,
            [
                Line::Help {
                    name: "a",
                    help: "Says \\ and \n.".into()
                },
                Line::Type {
                    name: "a",
                    kind: "counter"
                },
                Line::Unit {
                    name: "a",
                    unit: "seconds"
                },
                Line::Sample(one("a 1").unwrap()),
                Line::Eof,
            ]
        );
    }

    #[test]
    fn labels_have_escapes_and_a_last_comma() {
        let sample = one(r#"a{ b = "x\"y\\z\n" , c="",} +Inf 1700000000000"#).unwrap();
        assert_eq!(
            sample.labels,
            [("b".into(), "x\"y\\z\n".into()), ("c".into(), "".into())]
        );
        assert_eq!(
            (sample.value, sample.timestamp),
            (f64::INFINITY, Some(1.7e12))
        );
        let sample = one(r#"{"my.metric","a.b"="c"} NaN"#).unwrap();
        assert_eq!(sample.name, "my.metric");
        assert!(sample.value.is_nan());
        assert_eq!(sample.labels, [("a.b".into(), "c".into())]);
    }

    #[test]
    fn exemplars_follow_a_hash() {
        let sample = one(r#"a_bucket{le="1"} 5 1.5 # {trace_id="x"} 0.7 1.25"#).unwrap();
        assert_eq!((sample.value, sample.timestamp), (5.0, Some(1.5)));
        let exemplar = sample.exemplar.unwrap();
        assert_eq!((exemplar.value, exemplar.timestamp), (0.7, Some(1.25)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, expected) in [
            ("1a 1", "a metric's name"),
            ("a", "a number"),
            ("a x", "a number"),
            ("a 1 x", "a time"),
            ("a 1 2 3", "a value and perhaps a time, and nothing more"),
            ("a{b} 1", "an equals sign"),
            ("a{b=1} 1", "a value in quotes"),
            ("a{b=\"1} 1", "a closing quote"),
            ("a{b=\"1\" c=\"2\"} 1", "a comma or a closing brace"),
            ("a{b=\"1\",b=\"2\"} 1", "every label once"),
            ("a{\"x\"} 1", "one name, before or between the braces"),
            ("a{", "a label's name"),
        ] {
            assert_eq!(one(line).unwrap_err(), expected, "{line}");
        }
        let error = parse("a 1\n# TYPE a thing\n").nth(1).unwrap().unwrap_err();
        assert!(error.to_string().starts_with("line 2: expected a type"));
    }
}
