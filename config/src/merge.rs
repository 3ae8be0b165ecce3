//! Several trees to one: later sources win.

use crate::node::{Node, Value};

/// Merges `over` into `base` as the Collector does: maps key by key, all else replaced; an explicit
/// null clears what was there.
pub(crate) fn merge(base: &mut Node, over: Node) {
    match (&mut base.value, over.value) {
        (Value::Map(into), Value::Map(from)) => {
            for entry in from.entries {
                match into
                    .position(&entry.key)
                    .and_then(|at| into.entries.get_mut(at))
                {
                    Some(existing) => {
                        merge(&mut existing.value, entry.value);
                        existing.key_span = entry.key_span;
                    }
                    None => into.entries.push(entry),
                }
            }
        }
        (_, value) => {
            *base = Node {
                value,
                span: over.span,
                original: over.original,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Source;
    use crate::parse::parse;
    use crate::problem::Problems;

    #[test]
    fn merges_like_the_collector() {
        for (base, over, want) in [
            ("a: 1", "b: 2", r#"{"a":1,"b":2}"#),
            (
                "a: {x: 1, y: 2}",
                "a: {y: 3, z: 4}",
                r#"{"a":{"x":1,"y":3,"z":4}}"#,
            ),
            ("a: [1, 2]", "a: [3]", r#"{"a":[3]}"#),
            ("a: {x: 1}", "a:", r#"{"a":null}"#),
            ("a: {x: 1}", "a: {}", r#"{"a":{"x":1}}"#),
            ("a: {x: 1}", "a: text", r#"{"a":"text"}"#),
            ("a:", "a: {x: 1}", r#"{"a":{"x":1}}"#),
            (
                "a: {x: {y: 1}}",
                "a::x::z: 2",
                r#"{"a":{"x":{"y":1,"z":2}}}"#,
            ),
        ] {
            let mut problems = Problems::new();
            let mut tree = parse(base, &Source::new("base"), &mut problems).unwrap();
            merge(
                &mut tree,
                parse(over, &Source::new("over"), &mut problems).unwrap(),
            );
            assert_eq!(
                serde_json::to_string(&tree).unwrap(),
                want,
                "{base} + {over}"
            );
            assert!(problems.is_empty(), "{problems}");
        }
    }
}
