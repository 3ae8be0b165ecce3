//! Values as text.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{AnyValue, Attributes};

impl AnyValue<'_> {
    /// Appends the value as the Collector turns values into strings: text as it is, numbers and
    /// booleans as in JSON, bytes as base64, lists and maps as JSON, nothing for an empty value.
    pub fn write_text(&self, out: &mut String) {
        match self {
            Self::Empty => {}
            Self::String(text) => out.push_str(text),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => out.push_str(itoa::Buffer::new().format(*value)),
            Self::Double(value) => write_double(*value, out),
            Self::Bytes(bytes) => STANDARD.encode_string(bytes, out),
            Self::Array(_) | Self::KvList(_) => self.write_json(out),
        }
    }

    /// The value as text; see [`write_text`](Self::write_text).
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.write_text(&mut out);
        out
    }

    /// Appends the value as plain JSON (not OTLP/JSON): text and bytes (base64) quoted, an empty
    /// value as `null`, numbers that JSON does not know as strings.
    pub fn write_json(&self, out: &mut String) {
        match self {
            Self::Empty => out.push_str("null"),
            Self::String(text) => write_quoted(text, out),
            Self::Double(value) if !value.is_finite() => {
                out.push('"');
                write_double(*value, out);
                out.push('"');
            }
            Self::Bool(_) | Self::Int(_) | Self::Double(_) => self.write_text(out),
            Self::Bytes(bytes) => {
                out.push('"');
                STANDARD.encode_string(bytes, out);
                out.push('"');
            }
            Self::Array(values) => {
                out.push('[');
                for (position, value) in values.iter().enumerate() {
                    if position > 0 {
                        out.push(',');
                    }
                    value.write_json(out);
                }
                out.push(']');
            }
            Self::KvList(entries) => entries.write_json(out),
        }
    }
}

impl Attributes<'_> {
    /// Appends the attributes as one plain JSON object, in their order.
    pub fn write_json(&self, out: &mut String) {
        out.push('{');
        for (position, entry) in self.iter().enumerate() {
            if position > 0 {
                out.push(',');
            }
            write_quoted(entry.key(), out);
            out.push(':');
            entry.value().write_json(out);
        }
        out.push('}');
    }
}

/// As Go's JSON encoder writes it, which is what the Collector's values look like: the shortest form
/// that reads back, without `.0`, with an exponent below 1e-6 and from 1e21 on.
pub(crate) fn write_double(value: f64, out: &mut String) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        let size = value.abs();
        if size != 0.0 && !(1e-6..1e21).contains(&size) {
            let start = out.len();
            // Writing to a string does not fail.
            if write!(out, "{value:e}").is_ok()
                && let Some(exponent) = out.get(start..).and_then(|text| text.find('e'))
                && out.as_bytes().get(start + exponent + 1) != Some(&b'-')
            {
                out.insert(start + exponent + 1, '+');
            }
        } else {
            // Writing to a string does not fail.
            write!(out, "{value}").unwrap_or_default();
        }
    }
}

/// Appends a JSON string.
pub(crate) fn write_quoted(text: &str, out: &mut String) {
    out.push('"');
    // Without an early end the compiler looks at many bytes at once.
    let special = text.bytes().fold(false, |special, byte| {
        special | (byte < 0x20) | (byte == b'"') | (byte == b'\\')
    });
    if special {
        write_escaped(text, out);
    } else {
        out.push_str(text);
    }
    out.push('"');
}

fn write_escaped(text: &str, out: &mut String) {
    let mut plain = 0;
    for (position, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x00..=0x1f => "",
            _ => continue,
        };
        out.push_str(text.get(plain..position).unwrap_or_default());
        if escape.is_empty() {
            // Writing to a string does not fail.
            write!(out, "\\u{byte:04x}").unwrap_or_default();
        } else {
            out.push_str(escape);
        }
        plain = position + 1;
    }
    out.push_str(text.get(plain..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(value: f64) -> String {
        AnyValue::Double(value).to_text()
    }

    #[test]
    fn doubles_look_like_gos() {
        assert_eq!(double(1.0), "1");
        assert_eq!(double(-0.5), "-0.5");
        assert_eq!(double(1e21), "1e+21");
        assert_eq!(double(1.5e-7), "1.5e-7");
        assert_eq!(double(123_456_789.0), "123456789");
        assert_eq!(double(f64::NEG_INFINITY), "-Inf");
    }

    #[test]
    fn quoting_is_json() {
        let mut out = String::new();
        write_quoted("a\"\\\n\u{1}é", &mut out);
        assert_eq!(out, "\"a\\\"\\\\\\n\\u0001é\"");
        assert_eq!(
            serde_json::from_str::<String>(&out).unwrap(),
            "a\"\\\n\u{1}é"
        );
    }
}
