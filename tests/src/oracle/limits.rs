//! What Loki refuses by itself, and in which words: the limits of its defaults, the texts of `pkg/validation` and of the
//! ingester's stream in 3.x.

use std::collections::BTreeMap;

/// Loki's limits, its defaults at first.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest line, bytes.
    pub line: usize,
    /// The most labels of a stream, `service_name` not counted.
    pub label_names: usize,
    /// How far behind its stream's newest a line may be, nanoseconds.
    pub behind: i128,
    /// How old a line may be, nanoseconds.
    pub age: i128,
    /// How far in the future a line may be, nanoseconds.
    pub future: i128,
    /// The most structured metadata of a line, bytes.
    pub metadata: usize,
    /// The largest body before it is decompressed, bytes.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const HOUR: i128 = 3_600_000_000_000;
        Self {
            line: 256 << 10,
            label_names: 15,
            behind: HOUR,
            age: 7 * 24 * HOUR,
            future: HOUR / 6,
            metadata: 64 << 10,
            body: 100 << 20,
        }
    }
}

/// A line that was refused: its place in its stream, and Loki's name of the reason.
pub(super) struct Refusal {
    pub(super) at: usize,
    pub(super) reason: &'static str,
}

/// What of a stream is refused, and what is said about it.
#[derive(Default)]
pub(super) struct Refusals {
    pub(super) lines: Vec<Refusal>,
    pub(super) texts: Vec<String>,
}

/// One line, as far as limits care.
pub(super) struct Candidate {
    pub(super) time: i128,
    pub(super) len: usize,
    pub(super) metadata: usize,
}

impl Limits {
    /// Validates one stream. `newest` is its newest line so far.
    pub(super) fn validate(
        &self,
        labels: &str,
        lines: &[Candidate],
        now: i128,
        newest: &mut i128,
    ) -> Refusals {
        let mut refused = Refusals::default();
        let names = label_names(labels);
        let stream = if names.len() > self.label_names {
            Some((
                "max_label_names_per_series",
                format!(
                    "entry for stream '{labels}' has {} label names; limit {}",
                    names.len(),
                    self.label_names
                ),
            ))
        } else if let Some((name, _)) = names.iter().find(|(name, _)| name.len() > 1024) {
            Some((
                "label_name_too_long",
                format!("stream '{labels}' has label name too long: '{name}'"),
            ))
        } else if let Some((_, value)) = names.iter().find(|(_, value)| value.len() > 2048) {
            Some((
                "label_value_too_long",
                format!("stream '{labels}' has label value too long: '{value}'"),
            ))
        } else {
            None
        };
        if let Some((reason, text)) = stream {
            let all = 0..lines.len();
            refused.lines = all.map(|at| Refusal { at, reason }).collect();
            refused.texts.push(text);
            return refused;
        }
        let mut behind = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let (reason, text) = if line.time < now - self.age {
                (
                    "greater_than_max_sample_age",
                    format!(
                        "entry for stream '{labels}' has timestamp too old: {}, oldest acceptable timestamp is: {}",
                        time(line.time),
                        time(now - self.age)
                    ),
                )
            } else if line.time > now + self.future {
                (
                    "too_far_in_future",
                    format!(
                        "entry for stream '{labels}' has timestamp too new: {}",
                        time(line.time)
                    ),
                )
            } else if line.len > self.line {
                (
                    "line_too_long",
                    format!(
                        "max entry size '{}' bytes exceeded for stream '{labels}' while adding an entry with length '{}' bytes",
                        self.line, line.len
                    ),
                )
            } else if line.metadata > self.metadata {
                (
                    "structured_metadata_too_large",
                    format!(
                        "stream '{labels}' has structured metadata too large: '{}' bytes, limit: '{}' bytes. Please see `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it.",
                        line.metadata, self.metadata
                    ),
                )
            } else if line.time < *newest - self.behind {
                behind.push((line.time, *newest - self.behind));
                refused.lines.push(Refusal {
                    at,
                    reason: "too_far_behind",
                });
                continue;
            } else {
                *newest = line.time.max(*newest);
                continue;
            };
            refused.lines.push(Refusal { at, reason });
            refused.texts.push(text);
        }
        if !behind.is_empty() {
            let mut text = String::new();
            for (at, oldest) in behind.iter().take(10) {
                text += &format!(
                    "entry with timestamp {} ignored, reason: 'entry too far behind, entry timestamp is: {}, oldest acceptable timestamp is: {}',\n",
                    time(*at),
                    time(*at),
                    time(*oldest)
                );
            }
            text += &format!(
                "user 'fake', total ignored: {} out of {} for stream: {labels}",
                behind.len(),
                lines.len()
            );
            refused.texts.push(text);
        }
        refused
    }
}

/// Loki groups equal texts, and answers with all of them.
pub(super) fn answer(texts: &[String]) -> String {
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for text in texts {
        *counted.entry(text).or_default() += 1;
    }
    if let [only] = texts {
        return only.clone();
    }
    let grouped = counted
        .iter()
        .map(|(text, times)| format!("{times} errors like: {text}"));
    grouped.collect::<Vec<_>>().join("; ")
}

/// Names and values of `{a="b", c="d"}`, without `service_name`.
fn label_names(labels: &str) -> Vec<(String, String)> {
    let inner = labels.trim_start_matches('{').trim_end_matches('}');
    let pairs = inner
        .split("\", ")
        .filter_map(|pair| pair.split_once("=\""));
    pairs
        .map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()))
        .filter(|(name, _)| name != "service_name")
        .collect()
}

fn time(nanos: i128) -> String {
    jiff::Timestamp::from_nanosecond(nanos).map_or_else(|_| nanos.to_string(), |at| format!("{at}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time: i128, len: usize) -> Candidate {
        Candidate {
            time,
            len,
            metadata: 0,
        }
    }

    #[test]
    fn each_limit_has_its_reason() {
        const HOUR: i128 = 3_600_000_000_000;
        let now = 1_000 * HOUR;
        let mut newest = i128::MIN / 2;
        let lines = [
            line(now, 10),
            line(now, (256 << 10) + 1),
            line(now - HOUR - 1, 10),
            line(now - HOUR, 10),
            line(now - 200 * HOUR, 10),
            line(now + HOUR, 10),
        ];
        let refused = Limits::default().validate("{a=\"b\"}", &lines, now, &mut newest);
        let reasons: Vec<_> = refused
            .lines
            .iter()
            .map(|one| (one.at, one.reason))
            .collect();
        assert_eq!(
            reasons,
            [
                (1, "line_too_long"),
                (2, "too_far_behind"),
                (4, "greater_than_max_sample_age"),
                (5, "too_far_in_future"),
            ]
        );
        assert_eq!(refused.texts.len(), 4);
        let many: Vec<_> = (0..16).map(|at| format!("l{at}=\"v\"")).collect();
        let many = format!("{{{}}}", many.join(", "));
        let refused = Limits::default().validate(&many, &lines, now, &mut newest);
        assert_eq!(refused.lines.len(), lines.len());
    }
}
