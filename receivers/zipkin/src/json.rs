//! Spans as JSON (Zipkin's API, version 2: `ListOfSpans`), read one by one.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::span::{
    Annotation, Endpoint, Kind, MOST, Malformed, NoSpan, Span, TOO_MANY, address, parent_id,
    span_id, trace_id,
};

/// Reads a list of spans, and passes on each as soon as it is read.
///
/// # Errors
///
/// The first thing that is not as it should be. What was passed on before has to be forgotten.
pub(crate) fn read(json: &[u8], mut each: impl FnMut(Span<'_>)) -> Result<(), Malformed> {
    let mut wrong = None;
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let list = List {
        each: |index, span: Written<'_>| match span.checked() {
            Ok(span) => {
                each(span);
                true
            }
            Err(source) => {
                wrong = Some(Malformed::Span { index, source });
                false
            }
        },
    };
    let read = deserializer
        .deserialize_seq(list)
        .and_then(|()| deserializer.end());
    match wrong {
        Some(wrong) => Err(wrong),
        None => Ok(read?),
    }
}

struct List<F> {
    /// Whether to go on.
    each: F,
}

impl<'de, F: FnMut(usize, Written<'de>) -> bool> Visitor<'de> for List<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of spans")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let mut index = 0;
        // The Collector leaves out `null`, and so do we.
        while let Some(span) = list.next_element::<Option<Written<'de>>>()? {
            if let Some(span) = span
                && !(self.each)(index, span)
            {
                return Err(A::Error::custom("a span is malformed"));
            }
            index += 1;
        }
        Ok(())
    }
}

/// A span as it is written.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "a span")]
struct Written<'a> {
    #[serde(borrow)]
    trace_id: Text<'a>,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    parent_id: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    timestamp: Count,
    duration: Count,
    #[serde(borrow)]
    local_endpoint: Option<WrittenEndpoint<'a>>,
    #[serde(borrow)]
    remote_endpoint: Option<WrittenEndpoint<'a>>,
    #[serde(borrow)]
    annotations: Annotations<'a>,
    #[serde(borrow)]
    tags: Tags<'a>,
    /// Version 1 has them.
    binary_annotations: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "an endpoint")]
struct WrittenEndpoint<'a> {
    #[serde(borrow)]
    service_name: Text<'a>,
    #[serde(borrow)]
    ipv4: Text<'a>,
    #[serde(borrow)]
    ipv6: Text<'a>,
    port: Count,
}

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an annotation")]
struct WrittenAnnotation<'a> {
    timestamp: Count,
    #[serde(borrow)]
    value: Text<'a>,
}

impl<'a> Written<'a> {
    fn checked(self) -> Result<Span<'a>, NoSpan> {
        if self.binary_annotations.is_some() {
            return Err(NoSpan::Version1);
        }
        let id = span_id(&self.id.0)?;
        Ok(Span {
            trace_id: trace_id(&self.trace_id.0)?,
            id,
            parent: parent_id(&self.parent_id.0)?.filter(|parent| *parent != id),
            kind: kind(&self.kind.0),
            name: self.name.0,
            timestamp: self.timestamp.0,
            duration: self.duration.0,
            local: self.local_endpoint.map(endpoint).unwrap_or_default(),
            remote: self.remote_endpoint.map(endpoint).unwrap_or_default(),
            annotations: self.annotations.0,
            tags: self.tags.0,
        })
    }
}

fn kind(name: &str) -> Kind {
    const KINDS: [(&str, Kind); 4] = [
        ("CLIENT", Kind::Client),
        ("SERVER", Kind::Server),
        ("PRODUCER", Kind::Producer),
        ("CONSUMER", Kind::Consumer),
    ];
    let found = KINDS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, kind)| *kind).unwrap_or_default()
}

fn endpoint(written: WrittenEndpoint<'_>) -> Endpoint<'_> {
    let parse = |text: &str| text.parse::<IpAddr>().ok();
    let parsed = address(parse(&written.ipv4.0), parse(&written.ipv6.0));
    Endpoint {
        service: written.service_name.0,
        // What is no address says something to people all the same.
        address: match (parsed.is_empty(), written.ipv6.0.is_empty()) {
            (false, _) => parsed,
            (true, false) => written.ipv6.0,
            (true, true) => written.ipv4.0,
        },
        port: u16::try_from(written.port.0).unwrap_or_default(),
    }
}

/// Text; numbers and truth values where a sender wrote one instead; nothing for `null`.
#[derive(Default)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text)))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(if value { "true" } else { "false" })))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(value.to_string())))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(value.to_string())))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(value.to_string())))
            }

            fn visit_unit<E: Error>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// A number that is not negative: whole, or written with a fraction that is cut off; 0 for `null` and for less.
#[derive(Clone, Copy, Default)]
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl Visitor<'_> for Any {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Count, E> {
                Ok(Count(value))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Count, E> {
                Ok(Count(u64::try_from(value).unwrap_or_default()))
            }

            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the cast saturates, and nobody's clock shows such times"
            )]
            fn visit_f64<E: Error>(self, value: f64) -> Result<Count, E> {
                Ok(Count(value as u64))
            }

            fn visit_unit<E: Error>(self) -> Result<Count, E> {
                Ok(Count(0))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// The annotations in their order.
#[derive(Default)]
struct Annotations<'a>(Vec<Annotation<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Several;

        impl<'de> Visitor<'de> for Several {
            type Value = Annotations<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of annotations")
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> Result<Annotations<'de>, A::Error> {
                let mut annotations = Vec::new();
                while let Some(written) = list.next_element::<WrittenAnnotation<'de>>()? {
                    if annotations.len() == MOST {
                        return Err(A::Error::custom(TOO_MANY));
                    }
                    annotations.push(Annotation {
                        timestamp: written.timestamp.0,
                        value: written.value.0,
                    });
                }
                Ok(Annotations(annotations))
            }

            fn visit_unit<E: Error>(self) -> Result<Annotations<'de>, E> {
                Ok(Annotations::default())
            }
        }

        deserializer.deserialize_any(Several)
    }
}

/// The tags in their order, doubles included.
#[derive(Default)]
struct Tags<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Tags<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;

        impl<'de> Visitor<'de> for Map {
            type Value = Tags<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tags, an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tags<'de>, A::Error> {
                let mut tags = Vec::new();
                while let Some((key, value)) = map.next_entry::<Text<'de>, Text<'de>>()? {
                    if tags.len() == MOST {
                        return Err(A::Error::custom(TOO_MANY));
                    }
                    tags.push((key.0, value.0));
                }
                Ok(Tags(tags))
            }

            fn visit_unit<E: Error>(self) -> Result<Tags<'de>, E> {
                Ok(Tags::default())
            }
        }

        deserializer.deserialize_any(Map)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(json: &str) -> String {
        read(json.as_bytes(), |_| {}).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_told() {
        let no_json = refused("[{\"traceId\":");
        assert!(no_json.contains("EOF while parsing"), "{no_json}");
        assert!(refused("{}").contains("expected a list of spans"));
        assert!(refused("[] x").contains("trailing characters"));
        assert_eq!(
            refused(r#"[{"traceId":"1","id":"1"},{"traceId":"zz","id":"1"}]"#),
            "span 1: expected a trace id of 1 to 32 hexadecimal digits that is not zero"
        );
        assert!(
            refused(r#"[{"traceId":"1","id":"1","binaryAnnotations":[{}]}]"#)
                .contains("send version 2")
        );
        assert!(refused(r#"[{"traceId":"1","id":"1","tags":[]}]"#).contains("an object of texts"));
        let many = format!(
            r#"[{{"traceId":"1","id":"1","annotations":[{}{{}}]}}]"#,
            "{},".repeat(MOST)
        );
        assert!(refused(&many).contains("more than 65536"));
        let nested = format!("[{{\"x\":{}", "[".repeat(100_000));
        assert!(refused(&nested).contains("EOF while parsing"));
    }

    #[test]
    fn other_ways_to_write_the_same_are_taken() {
        let json = r#"[null, {"traceId": "1", "id": "2", "parentId": "2", "kind": "server", "name": null,
            "timestamp": 1.5e15, "duration": -3, "unknown": {"a": [1]}, "localEndpoint": null,
            "remoteEndpoint": {"ipv4": "backend", "port": 70000}, "annotations": null,
            "tags": {"n": 5, "b": true, "f": 0.5, "z": null, "e": "a\"b"}}]"#;
        let mut spans = 0;
        read(json.as_bytes(), |span| {
            spans += 1;
            assert_eq!(span.parent, None, "nobody is their own parent");
            assert_eq!(span.kind, Kind::Server);
            assert_eq!((span.timestamp, span.duration), (1_500_000_000_000_000, 0));
            assert_eq!((&*span.remote.address, span.remote.port), ("backend", 0));
            let tags: Vec<_> = span.tags.iter().map(|(k, v)| format!("{k}={v}")).collect();
            assert_eq!(tags, ["n=5", "b=true", "f=0.5", "z=", "e=a\"b"]);
        })
        .unwrap();
        assert_eq!(spans, 1);
    }

    proptest! {
        #[test]
        fn never_panics(json: Vec<u8>) {
            let _ignored = read(&json, |_| {}).is_ok();
        }

        #[test]
        fn truncated_is_refused(cut in 1usize..100) {
            let json = r#"[{"traceId":"463ac35c9f6413ad","id":"a2fb4a1d1a96d312","name":"get","tags":{"a":"b"}}]"#;
            let cut = cut.min(json.len());
            let part = &json.as_bytes()[..json.len() - cut];
            let refused = read(part, |_| {}).is_err();
            prop_assert!(refused);
        }
    }
}
