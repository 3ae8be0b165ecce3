//! What the words for severities mean.

use std::collections::{BTreeMap, HashMap};

use crate::value::Value;

/// The names of OTLP's severities by their numbers; `default` is 0.
pub(crate) const NAMES: [&str; 25] = [
    "default", "trace", "trace2", "trace3", "trace4", "debug", "debug2", "debug3", "debug4",
    "info", "info2", "info3", "info4", "warn", "warn2", "warn3", "warn4", "error", "error2",
    "error3", "error4", "fatal", "fatal2", "fatal3", "fatal4",
];

/// A range of numbers in a mapping is spelt out up to this many.
const WIDEST: i64 = 100_000;

/// The short name of a number, such as `ERROR` or `INFO3`; nothing for 0.
pub(crate) fn short_name(number: i32) -> String {
    usize::try_from(number)
        .ok()
        .filter(|number| *number > 0)
        .and_then(|number| NAMES.get(number))
        .map_or_else(String::new, |name| name.to_ascii_uppercase())
}

/// What is written, in small letters, and the severity it means.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Mapping {
    words: HashMap<String, i32>,
    ranges: Vec<(i64, i64, i32)>,
}

impl Mapping {
    /// The names of OTLP alone, as upstream has them: `warning` is none of them.
    pub(crate) fn preset() -> Self {
        let mut mapping = Self::default();
        for (name, number) in NAMES.iter().zip(0..).skip(1) {
            mapping.words.insert((*name).to_owned(), number);
        }
        mapping
    }

    /// Adds what a user wrote: severity's name to a value, a list, or `{min, max}`. Returns what is wrong.
    pub(crate) fn extend(
        &mut self,
        written: &BTreeMap<String, serde_json::Value>,
    ) -> Result<(), String> {
        for (name, values) in written {
            let number = NAMES
                .iter()
                .zip(0..)
                .find(|(known, _)| **known == name.to_ascii_lowercase())
                .or_else(|| {
                    let number = name.parse::<usize>().ok()?;
                    NAMES.iter().zip(0..).nth(number)
                });
            let Some((_, number)) = number else {
                let near = corten_config::nearest(name, NAMES)
                    .map_or_else(String::new, |near| format!(", did you mean '{near}'?"));
                return Err(format!("there is no severity '{name}'{near}"));
            };
            match values {
                serde_json::Value::Array(values) => {
                    for value in values {
                        self.add(value, number)?;
                    }
                }
                value => self.add(value, number)?,
            }
        }
        Ok(())
    }

    fn add(&mut self, value: &serde_json::Value, number: i32) -> Result<(), String> {
        match value {
            serde_json::Value::Object(range) => {
                let bound = |name: &str| range.get(name).and_then(serde_json::Value::as_i64);
                let (Some(min), Some(max)) = (bound("min"), bound("max")) else {
                    return Err("a range needs whole numbers 'min' and 'max'".to_owned());
                };
                if range.len() > 2 {
                    return Err("a range has 'min' and 'max' and nothing else".to_owned());
                }
                let (min, max) = (min.min(max), min.max(max));
                if max.saturating_sub(min) > WIDEST {
                    return Err(format!("a range has at most {WIDEST} numbers"));
                }
                self.ranges.push((min, max, number));
            }
            serde_json::Value::String(text) => {
                let text = text.to_lowercase();
                let hundreds = match text.as_str() {
                    "2xx" => 200,
                    "3xx" => 300,
                    "4xx" => 400,
                    "5xx" => 500,
                    _ => {
                        self.words.insert(text, number);
                        return Ok(());
                    }
                };
                self.ranges.push((hundreds, hundreds + 99, number));
            }
            serde_json::Value::Number(_) | serde_json::Value::Bool(_) => {
                self.words.insert(value.to_string().to_lowercase(), number);
            }
            _ => {
                return Err(
                    "a severity is told by text, a number, a range or a list of them".to_owned(),
                );
            }
        }
        Ok(())
    }

    /// The number and the text of a value; 0 for what is not known. `None` when it is no text and no number.
    pub(crate) fn find(&self, value: &Value) -> Option<(i32, String)> {
        let (text, whole) = match value {
            Value::Str(text) => (text.clone(), text.parse().ok()),
            Value::Int(value) => (value.to_string(), Some(*value)),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a whole number within 2^53 is exact"
            )]
            Value::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => {
                let whole = *value as i64;
                (whole.to_string(), Some(whole))
            }
            Value::Bytes(bytes) => (String::from_utf8_lossy(bytes).into_owned(), None),
            _ => return None,
        };
        // What is already in small letters, as most is, needs no copy.
        let known = match self.words.get(text.as_str()) {
            Some(number) => Some(*number),
            None => self.words.get(&text.to_lowercase()).copied(),
        };
        let ranged = || {
            let whole = whole?;
            let within = |(min, max, _): &&(i64, i64, i32)| (*min..=*max).contains(&whole);
            self.ranges
                .iter()
                .rev()
                .find(within)
                .map(|(_, _, number)| *number)
        };
        Some((known.or_else(ranged).unwrap_or(0), text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(json: &str) -> Result<Mapping, String> {
        let mut mapping = Mapping::preset();
        mapping.extend(&serde_json::from_str(json).unwrap())?;
        Ok(mapping)
    }

    #[test]
    fn words_numbers_and_ranges() {
        let mapping = mapping(
            r#"{"error":"nooo!","warn":["hey!","YSK"],"info":[{"min":300,"max":399}],"debug":"2xx","fatal":["really serious",{"min":9001,"max":9050},"5xx"],"info3":1234,"trace":true}"#,
        )
        .unwrap();
        for (value, expected) in [
            (Value::from("ERROR"), 17),
            ("nooo!".into(), 17),
            ("NOOO!".into(), 17),
            ("hey!".into(), 13),
            ("ysk".into(), 13),
            (300.into(), 9),
            (399.0.into(), 9),
            ("399".into(), 9),
            (400.into(), 0),
            (204.into(), 5),
            ("503".into(), 21),
            (9001.into(), 21),
            (1234.into(), 11),
            ("1234".into(), 11),
            ("fatal4".into(), 24),
            ("Warning".into(), 0),
            ("unknown".into(), 0),
        ] {
            assert_eq!(mapping.find(&value).unwrap().0, expected, "{value:?}");
        }
        assert_eq!(mapping.find(&"ERROR".into()).unwrap().1, "ERROR");
        assert_eq!(mapping.find(&Value::Null), None);
        assert_eq!(short_name(17), "ERROR");
        assert_eq!(short_name(11), "INFO3");
        assert_eq!(short_name(0), "");
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(
            mapping(r#"{"eror":"x"}"#).unwrap_err(),
            "there is no severity 'eror', did you mean 'error'?"
        );
        assert!(
            mapping(r#"{"error":{"min":1}}"#)
                .unwrap_err()
                .contains("'min' and 'max'")
        );
        assert!(
            mapping(r#"{"error":{"min":1,"max":9999999}}"#)
                .unwrap_err()
                .contains("at most")
        );
        assert!(
            mapping(r#"{"error":[null]}"#)
                .unwrap_err()
                .contains("a severity is told by")
        );
    }
}
