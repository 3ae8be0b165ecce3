//! The list made ready.

use std::sync::Arc;

use corten_component::ClientMetadata;
use corten_config::types::Regex;
use corten_pdata::AnyValue;
use corten_pdata::build::OwnedValue;
use corten_pdata::edit::{AttributeEdits, NewValue};
use sha2::{Digest, Sha256};

use crate::config::{Action, Converted, Literal, Verb};

/// A list of actions, ready to be carried out in one pass.
#[derive(Debug)]
pub struct Actions {
    steps: Vec<Step>,
    /// The edits, where they do not depend on the sender.
    fixed: Option<Arc<AttributeEdits>>,
}

/// One action with its pattern compiled.
#[derive(Debug)]
struct Step {
    action: Action,
    pattern: Option<Regex>,
}

impl Actions {
    /// Makes checked actions ready. A pattern that is no regular expression matches nothing; the
    /// check of the configuration has refused it before.
    #[must_use]
    pub fn new(actions: &[Action]) -> Self {
        let steps: Vec<Step> = actions
            .iter()
            .map(|action| Step {
                action: action.clone(),
                pattern: action.pattern.as_deref().and_then(|p| Regex::new(p).ok()),
            })
            .collect();
        let depends = actions.iter().any(|action| action.from_context.is_some());
        let fixed = (!depends).then(|| Arc::new(edits(&steps, &ClientMetadata::default())));
        Self { steps, fixed }
    }

    /// The edits for data of this sender.
    #[must_use]
    pub fn edits(&self, sender: &ClientMetadata) -> Arc<AttributeEdits> {
        match &self.fixed {
            Some(fixed) => Arc::clone(fixed),
            None => Arc::new(edits(&self.steps, sender)),
        }
    }
}

fn edits(steps: &[Step], sender: &ClientMetadata) -> AttributeEdits {
    steps
        .iter()
        .fold(AttributeEdits::new(), |edits, step| step.add(edits, sender))
}

impl Step {
    fn add(&self, edits: AttributeEdits, sender: &ClientMetadata) -> AttributeEdits {
        let key = self.action.key.as_str();
        let matches = self.pattern.clone().map(|pattern| {
            let key = self.action.key.clone();
            move |name: &str, _: &AnyValue<'_>| name == key || pattern.is_match(name)
        });
        match self.action.action {
            Verb::Insert | Verb::Update | Verb::Upsert => {
                let Some(value) = self.value(sender) else {
                    return edits;
                };
                match self.action.action {
                    Verb::Insert => edits.insert(key, value),
                    Verb::Update => edits.update(key, value),
                    _ => edits.upsert(key, value),
                }
            }
            Verb::Delete => match matches {
                Some(matches) => edits.delete_if(matches),
                None => edits.delete(key),
            },
            Verb::Hash => match matches {
                Some(matches) => edits.convert_if(matches, |value| Some(hash(value))),
                None => edits.convert(key, |value| Some(hash(value))),
            },
            Verb::Extract => match self.pattern.clone() {
                Some(pattern) => edits.extract(key, move |value, found| {
                    extract(&pattern, value, found);
                }),
                None => edits,
            },
            Verb::Convert => match self.action.converted_type {
                Some(to) => edits.convert(key, move |value| convert(value, to)),
                None => edits,
            },
        }
    }

    /// The new value; `None` when the sender did not say what `from_context` names.
    fn value(&self, sender: &ClientMetadata) -> Option<NewValue> {
        if let Some(attribute) = &self.action.from_attribute {
            return Some(NewValue::FromAttribute(attribute.clone()));
        }
        if let Some(context) = self.action.from_context.as_deref() {
            let text = match context.strip_prefix("metadata.") {
                Some(header) => {
                    let values: Vec<&str> = sender.get(header).collect();
                    if values.is_empty() {
                        return None;
                    }
                    values.join(";")
                }
                None => sender.peer()?.ip().to_string(),
            };
            return Some(OwnedValue::from(text).into());
        }
        Some(match self.action.value.as_ref()? {
            Literal::Bool(value) => OwnedValue::from(*value).into(),
            Literal::Int(value) => OwnedValue::from(*value).into(),
            Literal::Double(value) => OwnedValue::from(*value).into(),
            Literal::String(value) => OwnedValue::from(value.as_str()).into(),
        })
    }
}

/// SHA-256 in hexadecimal digits, of a text's bytes, of a number's eight bytes (little endian), of a
/// boolean's one byte, and of the text of anything else.
fn hash(value: &AnyValue<'_>) -> OwnedValue {
    let digest = match value {
        AnyValue::String(text) => Sha256::digest(text.as_bytes()),
        AnyValue::Bool(value) => Sha256::digest([u8::from(*value)]),
        AnyValue::Int(value) => Sha256::digest(value.to_le_bytes()),
        AnyValue::Double(value) => Sha256::digest(value.to_bits().to_le_bytes()),
        AnyValue::Bytes(bytes) => Sha256::digest(bytes),
        other => Sha256::digest(other.to_text().as_bytes()),
    };
    let mut text = String::with_capacity(64);
    for byte in digest {
        text += &format!("{byte:02x}");
    }
    OwnedValue::from(text)
}

fn extract(pattern: &Regex, value: &AnyValue<'_>, found: &mut dyn FnMut(&str, &AnyValue<'_>)) {
    let Some(captures) = value.as_str().and_then(|text| pattern.captures(text)) else {
        return;
    };
    for name in pattern.capture_names().flatten() {
        let text = captures.name(name).map_or("", |group| group.as_str());
        found(name, &AnyValue::String(text));
    }
}

/// The value as another type; `None` where it cannot be one, and stays as it is.
fn convert(value: &AnyValue<'_>, to: Converted) -> Option<OwnedValue> {
    match to {
        Converted::String => Some(OwnedValue::from(value.to_text())),
        Converted::Int => match value {
            AnyValue::Int(value) => Some(*value),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a fraction is cut off, as documented upstream"
            )]
            AnyValue::Double(value) => Some(*value as i64),
            AnyValue::Bool(value) => Some(i64::from(*value)),
            AnyValue::String(text) => text.trim().parse().ok(),
            _ => None,
        }
        .map(OwnedValue::from),
        Converted::Double => match value {
            #[expect(
                clippy::cast_precision_loss,
                reason = "the nearest double is what is asked for"
            )]
            AnyValue::Int(value) => Some(*value as f64),
            AnyValue::Double(value) => Some(*value),
            AnyValue::Bool(value) => Some(f64::from(u8::from(*value))),
            AnyValue::String(text) => text.trim().parse().ok(),
            _ => None,
        }
        .map(OwnedValue::from),
        Converted::Bool => match value {
            AnyValue::Bool(value) => Some(*value),
            AnyValue::Int(value) => Some(*value != 0),
            AnyValue::Double(value) => Some(*value != 0.0),
            AnyValue::String(text) => match text.trim() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
                _ => None,
            },
            _ => None,
        }
        .map(OwnedValue::from),
    }
}

#[cfg(test)]
mod tests {
    use corten_pdata::Logs;
    use corten_pdata::build::LogsBuilder;
    use corten_pdata::edit::edit_record_attributes;

    use super::*;

    fn logs() -> Logs {
        let mut logs = LogsBuilder::new();
        logs.resource(|_| {});
        logs.scope("", "");
        logs.record(|record| {
            record
                .attribute_str("user", "anna")
                .attribute_str("path", "/shop/42")
                .attribute_str("number", "17")
                .attribute_str("token.a", "x")
                .attribute_str("token.b", "y");
        });
        logs.finish()
    }

    fn after(actions: &[(&str, Verb)], change: impl Fn(&mut Action)) -> Vec<String> {
        let actions: Vec<Action> = actions
            .iter()
            .map(|(key, verb)| {
                let mut action = Action {
                    key: (*key).to_owned(),
                    action: *verb,
                    ..Action::default()
                };
                change(&mut action);
                action
            })
            .collect();
        let edits =
            Actions::new(&actions).edits(&ClientMetadata::from_entries([("x-tenant", "t1")]));
        let logs = edit_record_attributes(&logs(), &edits, |_| true);
        let record = logs
            .resources()
            .flat_map(|resource| resource.scopes())
            .flat_map(|scope| scope.records())
            .next()
            .unwrap();
        record
            .attributes()
            .iter()
            .map(|attribute| format!("{}={}", attribute.key(), attribute.value().to_text()))
            .collect()
    }

    #[test]
    fn insert_update_upsert_differ_in_what_is_there() {
        let text = |action: &mut Action| action.value = Some(Literal::String("new".to_owned()));
        let inserted = after(&[("user", Verb::Insert), ("fresh", Verb::Insert)], text);
        assert!(inserted.contains(&"user=anna".to_owned()));
        assert!(inserted.contains(&"fresh=new".to_owned()));
        let updated = after(&[("user", Verb::Update), ("fresh", Verb::Update)], text);
        assert!(updated.contains(&"user=new".to_owned()));
        assert!(
            !updated
                .iter()
                .any(|attribute| attribute.starts_with("fresh"))
        );
        let upserted = after(&[("user", Verb::Upsert), ("fresh", Verb::Upsert)], text);
        assert!(upserted.contains(&"user=new".to_owned()));
        assert!(upserted.contains(&"fresh=new".to_owned()));
    }

    #[test]
    fn values_come_from_attributes_and_from_the_sender() {
        let copied = after(&[("copy", Verb::Upsert)], |action| {
            action.from_attribute = Some("user".to_owned());
        });
        assert!(copied.contains(&"copy=anna".to_owned()));
        let tenant = after(&[("tenant", Verb::Upsert)], |action| {
            action.from_context = Some("metadata.X-Tenant".to_owned());
        });
        assert!(tenant.contains(&"tenant=t1".to_owned()));
        let absent = after(&[("tenant", Verb::Upsert)], |action| {
            action.from_context = Some("metadata.other".to_owned());
        });
        assert_eq!(absent.len(), 5, "nothing was said, nothing is set");
    }

    #[test]
    fn delete_and_hash_take_patterns_of_keys() {
        let deleted = after(&[("", Verb::Delete)], |action| {
            action.pattern = Some("^token\\.".to_owned());
        });
        assert_eq!(deleted, ["user=anna", "path=/shop/42", "number=17"]);
        let hashed = after(&[("user", Verb::Hash)], |_| {});
        assert_eq!(
            hashed[0],
            "user=55579b557896d0ce1764c47fed644f9b35f58bad620674af23f356d80ed0c503"
        );
    }

    #[test]
    fn extract_makes_attributes_of_named_groups() {
        let extracted = after(&[("path", Verb::Extract)], |action| {
            action.pattern = Some("^/(?P<area>[^/]+)/(?P<item>\\d+)$".to_owned());
        });
        assert!(extracted.contains(&"area=shop".to_owned()));
        assert!(extracted.contains(&"item=42".to_owned()));
    }

    #[test]
    fn convert_changes_the_type_or_nothing() {
        assert_eq!(
            convert(&AnyValue::String("17"), Converted::Int),
            Some(OwnedValue::from(17_i64))
        );
        assert_eq!(convert(&AnyValue::String("x"), Converted::Int), None);
        assert_eq!(
            convert(&AnyValue::Double(2.9), Converted::Int),
            Some(OwnedValue::from(2_i64))
        );
        assert_eq!(
            convert(&AnyValue::Int(1), Converted::Bool),
            Some(OwnedValue::from(true))
        );
        assert_eq!(
            convert(&AnyValue::Bool(true), Converted::String),
            Some(OwnedValue::from("true"))
        );
        assert_eq!(
            convert(&AnyValue::String("2.5"), Converted::Double),
            Some(OwnedValue::from(2.5))
        );
    }
}
