//! Label names, label sets and their text.

/// Longest label value that Loki takes by default, in bytes.
pub(crate) const LONGEST_VALUE: usize = 2048;
/// Longest label name that Loki takes by default, in bytes.
const LONGEST_NAME: usize = 1024;

/// Appends `name` with every character that may not stand in a label name (`[a-zA-Z_][a-zA-Z0-9_]*`) as `_`;
/// `k8s.pod.name` becomes `k8s_pod_name`, `1st` becomes `_1st`.
pub(crate) fn push_name(name: &str, out: &mut Vec<u8>) {
    let start = out.len();
    if name.as_bytes().first().is_none_or(u8::is_ascii_digit) {
        out.push(b'_');
    }
    out.extend(name.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            u8::try_from(c).unwrap_or(b'_')
        } else {
            b'_'
        }
    }));
    out.truncate(start + LONGEST_NAME);
}

/// The same as a string.
pub(crate) fn legal_name(name: &str) -> String {
    let mut out = Vec::with_capacity(name.len() + 1);
    push_name(name, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// A label set under construction: sorted by name, no name twice, no empty value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelSet(Vec<(String, String)>);

impl LabelSet {
    /// Adds a label; a later value replaces an earlier one, an empty value removes it (to Loki both are the same).
    /// `true` when the value was cut to the length that Loki takes.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> bool {
        let kept = truncated(value, LONGEST_VALUE);
        match self
            .0
            .binary_search_by(|(known, _)| known.as_str().cmp(name))
        {
            Ok(at) if kept.is_empty() => {
                self.0.remove(at);
            }
            Ok(at) => {
                if let Some((_, value)) = self.0.get_mut(at) {
                    kept.clone_into(value);
                }
            }
            Err(_) if kept.is_empty() => {}
            Err(at) => self.0.insert(at, (name.to_owned(), kept.to_owned())),
        }
        kept.len() < value.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a label out.
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }

    /// `{a="b", c="d"}`, as Loki writes it.
    pub(crate) fn write(&self, out: &mut String) {
        out.push('{');
        for (index, (name, value)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            out.push_str(name);
            out.push_str("=\"");
            for c in value.chars() {
                match c {
                    '"' => out.push_str("\\\""),
                    '\\' => out.push_str("\\\\"),
                    '\n' => out.push_str("\\n"),
                    '\r' => out.push_str("\\r"),
                    '\t' => out.push_str("\\t"),
                    c if c.is_ascii_control() => {
                        let hex = |nibble: u32| char::from_digit(nibble, 16).unwrap_or('0');
                        let code = u32::from(c);
                        out.extend(['\\', 'x', hex(code >> 4), hex(code & 15)]);
                    }
                    c => out.push(c),
                }
            }
            out.push('"');
        }
        out.push('}');
    }

    /// Reads the label set that `text` begins with; its length with it. `None`: something else stands there.
    pub(crate) fn parse(text: &str) -> Option<(Self, usize)> {
        let mut labels = Self::default();
        let mut rest = text.strip_prefix('{')?;
        loop {
            rest = rest.trim_start_matches([' ', ',']);
            if let Some(after) = rest.strip_prefix('}') {
                return Some((labels, text.len() - after.len()));
            }
            let (name, after) = rest.split_once("=\"")?;
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return None;
            }
            let (value, after) = unquote(after)?;
            labels.set(name, &value);
            rest = after;
        }
    }
}

/// The text up to the closing quote, escapes resolved, and what follows.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'x' => hex(&mut chars, 2)?,
                'u' => hex(&mut chars, 4)?,
                'U' => hex(&mut chars, 8)?,
                other => other,
            }),
            c => value.push(c),
        }
    }
}

/// The character whose number the next `digits` characters are.
fn hex(chars: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let mut number: u32 = 0;
    for _ in 0..digits {
        number = number.checked_mul(16)? + chars.next()?.to_digit(16)?;
    }
    char::from_u32(number)
}

/// At most `limit` bytes of `text`, cut between characters.
pub(crate) fn truncated(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    text.get(..text.floor_char_boundary(limit))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(labels: &LabelSet) -> String {
        let mut out = String::new();
        labels.write(&mut out);
        out
    }

    #[test]
    fn names_become_legal() {
        for (name, legal) in [
            ("k8s.pod.name", "k8s_pod_name"),
            ("1st", "_1st"),
            ("", "_"),
            ("ä-b/c", "__b_c"),
            ("__name__", "__name__"),
        ] {
            assert_eq!(legal_name(name), legal);
        }
        assert_eq!(legal_name(&"x".repeat(5000)).len(), LONGEST_NAME);
    }

    #[test]
    fn a_set_is_sorted_and_has_no_name_twice() {
        let mut labels = LabelSet::default();
        assert!(!labels.set("pod", "a"));
        labels.set("namespace", "n");
        labels.set("pod", "b\"\\\n\u{1}");
        labels.set("empty", "");
        assert_eq!(text(&labels), r#"{namespace="n", pod="b\"\\\n\x01"}"#);
        labels.set("pod", "");
        assert_eq!(text(&labels), r#"{namespace="n"}"#);
        labels.remove("namespace");
        assert!(labels.is_empty());
        assert_eq!(text(&labels), "{}");
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let mut labels = LabelSet::default();
        assert!(labels.set("a", &"ä".repeat(1025)));
        assert_eq!(text(&labels).len(), LONGEST_VALUE + r#"{a=""}"#.len());
        assert_eq!(truncated("aä", 2), "a");
    }

    #[test]
    fn what_go_writes_is_read() {
        let (labels, used) = LabelSet::parse(r#"{a="x\u00e4\x01", b="}"} totaling"#).unwrap();
        assert_eq!(used, r#"{a="x\u00e4\x01", b="}"}"#.len());
        assert_eq!(text(&labels), r#"{a="xä\x01", b="}"}"#);
        for damaged in [
            "",
            "{",
            "{a}",
            "{a=\"",
            "{a=\"\\",
            "{a=\"\\x1\"}",
            "{=\"\"}",
            "{\"a\":1}",
        ] {
            assert_eq!(LabelSet::parse(damaged), None, "{damaged}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(pairs in prop::collection::vec(("[a-z_][a-z0-9_]{0,8}", ".{0,40}"), 0..6), after in ".*") {
            let mut labels = LabelSet::default();
            for (name, value) in &pairs {
                labels.set(name, value);
            }
            let written = text(&labels);
            let (read, used) = LabelSet::parse(&format!("{written}{after}")).unwrap();
            prop_assert_eq!(read, labels);
            prop_assert_eq!(used, written.len());
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = LabelSet::parse(&text);
            let _ = LabelSet::parse(&format!("{{{text}"));
        }
    }
}
