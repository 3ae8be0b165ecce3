//! An entry as `journalctl --output=json` writes it: one object on one line.
//!
//! Values are strings; arrays of numbers where the value has unprintable characters or is no UTF-8 (its bytes); arrays of either
//! where a field occurs several times; `null` where a value is too long and `--all` was not given.
//! (systemd, *Journal JSON Format*.)

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// An entry: its fields in their order.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Entry<'a> {
    pub(crate) fields: Vec<(Cow<'a, str>, Field<'a>)>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Field<'a> {
    /// Left out by `journalctl`.
    Absent,
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes that are no UTF-8.
    Bytes(Vec<u8>),
    /// Several values.
    List(Vec<Field<'a>>),
}

impl<'a> Entry<'a> {
    /// Reads as much of the line as is an entry. `None` when it has no cursor.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        Self::beginning(line).filter(|entry| entry.text("__CURSOR").is_some())
    }

    /// Reads the fields up to where a line was cut. Its cursor may come after that: fields have no order.
    pub(crate) fn beginning(line: &'a [u8]) -> Option<Self> {
        let mut entry = Self::default();
        let mut json = serde_json::Deserializer::from_slice(line);
        // What was read before an error counts.
        drop(Fields(&mut entry).deserialize(&mut json));
        (!entry.fields.is_empty()).then_some(entry)
    }

    /// The text of a field.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.fields.iter().find_map(|(key, field)| match field {
            Field::Text(text) if key == name => Some(&**text),
            _ => None,
        })
    }

    /// The number that a field says.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }
}

impl<'a> Field<'a> {
    fn bytes(bytes: Vec<u8>) -> Self {
        // Text with a colour in it comes as bytes.
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(Cow::Owned(text)),
            Err(error) => Self::Bytes(error.into_bytes()),
        }
    }
}

struct Fields<'e, 'a>(&'e mut Entry<'a>);

impl<'a> DeserializeSeed<'a> for Fields<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Fields<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an entry of the journal")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Field::Text(key)) = map.next_key_seed(Value)? {
            let value = map.next_value_seed(Value)?;
            self.0.fields.push((key, value));
        }
        Ok(())
    }
}

struct Value;

impl<'a> DeserializeSeed<'a> for Value {
    type Value = Field<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Field<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Value {
    type Value = Field<'a>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value of the journal")
    }

    fn visit_unit<E: Error>(self) -> Result<Field<'a>, E> {
        Ok(Field::Absent)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Field<'a>, E> {
        Ok(Field::Text(Cow::Owned(value.to_string())))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Field<'a>, E> {
        Ok(Field::Text(Cow::Owned(value.to_string())))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Field<'a>, E> {
        Ok(Field::Text(Cow::Owned(value.to_string())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Field<'a>, E> {
        Ok(Field::Text(Cow::Owned(value.to_string())))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'a str) -> Result<Field<'a>, E> {
        Ok(Field::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Field<'a>, E> {
        Ok(Field::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Field<'a>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Absent)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Field<'a>, A::Error> {
        let mut bytes = Vec::new();
        let mut list = Vec::new();
        while let Some(element) = seq.next_element_seed(Element)? {
            match element {
                Item::Byte(byte) => bytes.push(byte),
                Item::Field(field) => list.push(field),
            }
        }
        Ok(if list.is_empty() {
            Field::bytes(bytes)
        } else {
            Field::List(list)
        })
    }
}

enum Item<'a> {
    Byte(u8),
    Field(Field<'a>),
}

struct Element;

impl<'a> DeserializeSeed<'a> for Element {
    type Value = Item<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Item<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Element {
    type Value = Item<'a>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a byte or a value")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Item<'a>, E> {
        match u8::try_from(value) {
            Ok(byte) => Ok(Item::Byte(byte)),
            Err(_) => Value.visit_u64(value).map(Item::Field),
        }
    }

    // Some versions write bytes as signed numbers.
    fn visit_i64<E: Error>(self, value: i64) -> Result<Item<'a>, E> {
        match i8::try_from(value) {
            Ok(byte) => Ok(Item::Byte(byte.cast_unsigned())),
            Err(_) => Value.visit_i64(value).map(Item::Field),
        }
    }

    fn visit_unit<E: Error>(self) -> Result<Item<'a>, E> {
        Ok(Item::Field(Field::Absent))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Item<'a>, E> {
        Value.visit_bool(value).map(Item::Field)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Item<'a>, E> {
        Value.visit_f64(value).map(Item::Field)
    }

    fn visit_borrowed_str<E: Error>(self, value: &'a str) -> Result<Item<'a>, E> {
        Value.visit_borrowed_str(value).map(Item::Field)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Item<'a>, E> {
        Value.visit_str(value).map(Item::Field)
    }

    fn visit_map<A: MapAccess<'a>>(self, map: A) -> Result<Item<'a>, A::Error> {
        Value.visit_map(map).map(Item::Field)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, seq: A) -> Result<Item<'a>, A::Error> {
        Value.visit_seq(seq).map(Item::Field)
    }
}

/// Closes what was cut, so that the field it was cut in is read as far as it goes.
pub(crate) fn repair(line: &mut Vec<u8>) {
    let mut open = Vec::new();
    let mut in_text = false;
    let mut bytes = line.iter().copied().enumerate();
    // Where to go back to: before an escape that is not complete, behind the last element of an array.
    let mut escape = None;
    let mut comma = None;
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' if in_text => {
                let len = match bytes.next() {
                    Some((_, b'u')) => 6,
                    Some(_) => 2,
                    None => 0,
                };
                if len == 6 {
                    for _ in 0..4 {
                        bytes.next();
                    }
                }
                if len == 0 || at + len > line.len() {
                    escape = Some(at);
                }
            }
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                open.push(byte);
                comma = None;
            }
            b']' | b'}' if !in_text => {
                open.pop();
                comma = None;
            }
            b',' if !in_text => comma = Some(at),
            _ => {}
        }
    }
    if in_text {
        if let Some(at) = escape {
            line.truncate(at);
        }
        // A character that is not complete.
        if let Err(error) = str::from_utf8(line)
            && error.error_len().is_none()
        {
            line.truncate(error.valid_up_to());
        }
        line.push(b'"');
    } else if open.last() == Some(&b'[')
        && let Some(at) = comma
    {
        line.truncate(at);
    }
    while let Some(bracket) = open.pop() {
        line.push(if bracket == b'[' { b']' } else { b'}' });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As it is, and as if it had been cut.
    fn read(line: &[u8]) {
        drop(Entry::parse(line));
        let mut line = line.to_vec();
        repair(&mut line);
        drop(Entry::beginning(&line));
    }

    fn text(text: &str) -> Field<'_> {
        Field::Text(text.into())
    }

    #[test]
    fn every_kind_of_value() {
        let line = br#"{"__CURSOR":"s=1;i=2","MESSAGE":[27,91,51,49,109,195,169],"RAW":[255,0,254],"NEG":[-1,65],"TWICE":["a",[98]],"LONG":null,"N":7,"E":"q\"\u00e9","OBJ":{"x":[1]}}"#;
        let entry = Entry::parse(line).unwrap();
        assert_eq!(entry.text("__CURSOR"), Some("s=1;i=2"));
        let field = |name: &str| {
            let found = entry.fields.iter().find(|(key, _)| key == name);
            found.unwrap().1.clone()
        };
        assert_eq!(field("MESSAGE"), text("\u{1b}[31mé"));
        assert_eq!(field("RAW"), Field::Bytes(vec![255, 0, 254]));
        assert_eq!(field("NEG"), Field::Bytes(vec![255, 65]));
        assert_eq!(field("TWICE"), Field::List(vec![text("a"), text("b")]));
        assert_eq!(field("LONG"), Field::Absent);
        assert_eq!(entry.number("N"), Some(7));
        assert_eq!(field("E"), text("q\"é"));
        assert_eq!(field("OBJ"), Field::Absent);
    }

    #[test]
    fn what_is_no_entry_is_none() {
        for line in [
            "",
            "{",
            "-- Boot 1234 --",
            "[1]",
            "{\"MESSAGE\":\"x\"}",
            "{\"__CURSOR\":[255]}",
            "\u{0}",
        ] {
            assert_eq!(Entry::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_cut_entry_keeps_its_beginning() {
        let whole = r#"{"__CURSOR":"c","A":"1","MESSAGE":"long \"é\u00e9\\ text","B":[1,2,3,255]}"#;
        let cut = |len: usize| {
            let mut line = whole.as_bytes()[..len].to_vec();
            repair(&mut line);
            let found = Entry::parse(&line);
            found.map(|entry| {
                let shown = |name: &str| {
                    entry
                        .fields
                        .iter()
                        .find(|(key, _)| key == name)
                        .map(|(_, field)| format!("{field:?}"))
                };
                (shown("MESSAGE"), shown("B"))
            })
        };
        let message = whole.find("long").unwrap();
        assert_eq!(cut(message + 4).unwrap().0.unwrap(), "Text(\"long\")");
        let (text, _) = cut(whole.find("\\u00e9").unwrap() + 3).unwrap();
        assert_eq!(text.unwrap(), "Text(\"long \\\"é\")");
        let (_, bytes) = cut(whole.find(",255").unwrap() + 2).unwrap();
        assert_eq!(bytes.unwrap(), "Text(\"\\u{1}\\u{2}\\u{3}\")");
        // Wherever it is cut behind the cursor, it is an entry.
        for len in 15..=whole.len() {
            assert!(
                cut(len).is_some(),
                "{}",
                &String::from_utf8_lossy(&whole.as_bytes()[..len])
            );
        }
    }

    proptest! {
        #[test]
        fn never_panics(line in prop::collection::vec(any::<u8>(), 0..200)) {
            read(&line);
        }

        #[test]
        fn pieces_of_entries_never_panic(pieces in prop::collection::vec(prop_oneof![
            Just("{"), Just("}"), Just("["), Just("]"), Just("\"__CURSOR\":\"c\""), Just(","), Just("\"A\":"), Just("\"\\"), Just("\\u12"), Just("é"), Just("255"), Just("-1"), Just("\"x\""), Just("null"),
        ], 0..30)) {
            read(pieces.concat().as_bytes());
        }

        #[test]
        fn bytes_and_text_are_read(bytes in prop::collection::vec(any::<u8>(), 0..60), words in any::<String>()) {
            let line = serde_json::json!({"__CURSOR": "c", "B": bytes, "T": words}).to_string();
            let entry = Entry::parse(line.as_bytes()).unwrap();
            prop_assert_eq!(entry.text("T"), Some(words.as_str()));
            let found = entry.fields.iter().find(|(key, _)| key == "B").map(|(_, field)| match field {
                Field::Bytes(bytes) => bytes.clone(),
                Field::Text(text) => text.as_bytes().to_vec(),
                other => panic!("{other:?}"),
            });
            prop_assert_eq!(found, Some(bytes));
        }
    }
}
