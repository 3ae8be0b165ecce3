//! A message's bytes become telemetry.

use std::sync::Arc;

use bytes::Bytes;
use corten_component::{ClientMetadata, Signal};
use corten_kafka::Encoding;
use corten_pdata::build::LogsBuilder;
use corten_pdata::edit::AttributeEdits;
use corten_pdata::{AnyValue, Data};

use crate::config::HeaderExtraction;

/// A message's headers: those whose value is text.
pub(crate) type Headers = Vec<(String, String)>;

/// Headers that belong to one message and would keep batches of different messages apart.
const OF_ONE_MESSAGE: [&str; 3] = ["traceparent", "tracestate", "baggage"];

/// Reads the messages of one signal.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    signal: Signal,
    encoding: Encoding,
    /// A header and its attribute.
    extracted: Vec<(String, String)>,
}

impl Decoder {
    pub(crate) fn new(signal: Signal, encoding: Encoding, extraction: &HeaderExtraction) -> Self {
        let headers = extraction.headers.iter();
        let extracted = headers
            .filter(|_| extraction.extract_headers)
            .map(|name| (name.clone(), format!("kafka.header.{name}")))
            .collect();
        Self {
            signal,
            encoding,
            extracted,
        }
    }

    /// The telemetry in a message that came at `now` (Unix time in nanoseconds).
    ///
    /// # Errors
    ///
    /// The bytes are not what the encoding says, in words.
    pub(crate) fn decode(&self, bytes: Bytes, headers: &Headers, now: u64) -> Result<Data, String> {
        let data = match self.encoding {
            Encoding::OtlpProto => {
                Data::parse(self.signal, bytes).map_err(|error| error.to_string())?
            }
            Encoding::OtlpJson => {
                Data::from_json(self.signal, &bytes).map_err(|error| error.to_string())?
            }
            Encoding::Raw => record(&AnyValue::Bytes(&bytes), now),
            Encoding::Text(charset) => {
                let (text, _, _) = charset.decode(&bytes);
                record(&AnyValue::String(&text), now)
            }
        };
        let mut edits = AttributeEdits::new();
        for (name, attribute) in &self.extracted {
            if let Some((_, value)) = headers.iter().find(|(header, _)| header == name) {
                edits = edits.upsert(attribute.as_str(), value.as_str());
            }
        }
        if edits.is_empty() {
            return Ok(data);
        }
        Ok(data.edit_resource_attributes(&edits))
    }
}

/// A log record with nothing but a body, in a resource of its own.
fn record(body: &AnyValue<'_>, now: u64) -> Data {
    let mut logs = LogsBuilder::new();
    logs.resource(|_| {});
    logs.record(|record| {
        record.observed_time(now).body(body);
    });
    logs.finish().into()
}

/// What the pipeline learns of a message's headers.
pub(crate) fn metadata(headers: &Headers) -> Arc<ClientMetadata> {
    let told = headers
        .iter()
        .filter(|(name, _)| !OF_ONE_MESSAGE.contains(&name.as_str()));
    let mut told = told.peekable();
    if told.peek().is_none() {
        return ClientMetadata::none();
    }
    let entries = told.map(|(name, value)| (name, value.as_str()));
    Arc::new(ClientMetadata::from_entries(entries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoder(signal: Signal, encoding: &str) -> Decoder {
        let extraction = HeaderExtraction {
            extract_headers: true,
            headers: vec!["tenant".to_owned()],
        };
        Decoder::new(signal, Encoding::of(signal, encoding).unwrap(), &extraction)
    }

    fn headers() -> Headers {
        vec![
            ("tenant".to_owned(), "a".to_owned()),
            ("traceparent".to_owned(), "00-1-1-00".to_owned()),
        ]
    }

    fn json(data: &Data) -> String {
        let mut out = Vec::new();
        data.to_json(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn raw_and_text_are_bodies() {
        let bytes = || Bytes::from_static(b"caf\xe9");
        let raw = decoder(Signal::Logs, "raw").decode(bytes(), &headers(), 7);
        expect_test::expect![[r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"kafka.header.tenant","value":{"stringValue":"a"}}]},"scopeLogs":[{"scope":{},"logRecords":[{"observedTimeUnixNano":"7","body":{"bytesValue":"Y2Fm6Q=="}}]}]}]}"#]]
        .assert_eq(&json(&raw.unwrap()));
        let latin = decoder(Signal::Logs, "text_latin1").decode(bytes(), &Vec::new(), 7);
        assert!(json(&latin.unwrap()).contains("\"stringValue\":\"café\""));
        let utf8 = decoder(Signal::Logs, "text").decode(bytes(), &Vec::new(), 7);
        assert!(json(&utf8.unwrap()).contains("caf\u{fffd}"));
    }

    #[test]
    fn headers_become_attributes_of_every_resource() {
        let text =
            br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}"#;
        let decoder = decoder(Signal::Logs, "otlp_json");
        let data = decoder
            .decode(Bytes::from_static(text), &headers(), 0)
            .unwrap();
        assert!(json(&data).contains("kafka.header.tenant"));
        let without = decoder.decode(Bytes::from_static(text), &Vec::new(), 0);
        assert!(!json(&without.unwrap()).contains("kafka.header"));
    }

    #[test]
    fn the_pipeline_learns_of_headers_that_many_messages_share() {
        let told = metadata(&headers());
        assert_eq!(told.entries().collect::<Vec<_>>(), [("tenant", "a")]);
        assert!(Arc::ptr_eq(&metadata(&Vec::new()), &ClientMetadata::none()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            encoding in prop::sample::select(vec!["otlp_proto", "otlp_json", "raw", "text", "text_utf-16le", "text_shift_jis"]),
        ) {
            if let Ok(data) = decoder(Signal::Logs, encoding).decode(bytes.into(), &headers(), 1) {
                // What comes out is telemetry as every other.
                prop_assert!(Data::parse(Signal::Logs, data.to_bytes()).is_ok());
            }
        }
    }
}
