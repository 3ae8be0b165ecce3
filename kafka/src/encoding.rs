//! What a message's bytes are.

use corten_component::Signal;

/// What a message's bytes are, under the Collector's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `otlp_proto`: an `Export…ServiceRequest` as protobuf.
    OtlpProto,
    /// `otlp_json`: the same as OTLP/JSON.
    OtlpJson,
    /// `raw`: a log record's body, as bytes; one message a record.
    Raw,
    /// `text`, `text_<charset>`: a log record's body, as text in this charset; one message a record.
    Text(&'static encoding_rs::Encoding),
}

/// A name of an encoding that a topic of a signal cannot have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEncoding(String);

impl std::fmt::Display for UnknownEncoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UnknownEncoding {}

impl Encoding {
    /// The encoding that a configuration calls `name`, for topics of `signal`.
    ///
    /// # Errors
    ///
    /// There is none, or not for this signal; says which there are.
    pub fn of(signal: Signal, name: &str) -> Result<Self, UnknownEncoding> {
        let known = match signal {
            Signal::Logs => "otlp_proto, otlp_json, raw or text",
            Signal::Metrics | Signal::Traces => "otlp_proto or otlp_json",
        };
        let refused = |why: &str| UnknownEncoding(format!("expected {known}, found '{name}'{why}"));
        match name {
            "otlp_proto" => return Ok(Self::OtlpProto),
            "otlp_json" => return Ok(Self::OtlpJson),
            "jaeger_proto" | "jaeger_json" | "jaeger" | "zipkin_proto" | "zipkin_json"
            | "zipkin_thrift" => {
                return Err(refused(
                    ": Corten does not speak Jaeger and Zipkin over Kafka; let the sender write otlp_proto",
                ));
            }
            "raw" | "text" if signal != Signal::Logs => {
                return Err(refused(": that is for logs"));
            }
            "raw" => return Ok(Self::Raw),
            "text" => return Ok(Self::Text(encoding_rs::UTF_8)),
            _ => {}
        }
        let Some(charset) = name
            .strip_prefix("text_")
            .filter(|_| signal == Signal::Logs)
        else {
            return Err(refused(""));
        };
        match encoding_rs::Encoding::for_label(charset.as_bytes()) {
            Some(encoding) => Ok(Self::Text(encoding)),
            None => Err(refused(": no such charset")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_collectors() {
        let logs = |name| Encoding::of(Signal::Logs, name);
        assert_eq!(logs("otlp_proto"), Ok(Encoding::OtlpProto));
        assert_eq!(logs("raw"), Ok(Encoding::Raw));
        assert_eq!(logs("text"), Ok(Encoding::Text(encoding_rs::UTF_8)));
        assert_eq!(logs("text_utf-8"), Ok(Encoding::Text(encoding_rs::UTF_8)));
        assert_eq!(logs("text_gbk"), Ok(Encoding::Text(encoding_rs::GBK)));
        assert_eq!(
            Encoding::of(Signal::Traces, "otlp_json"),
            Ok(Encoding::OtlpJson)
        );
        assert_eq!(
            logs("text_klingon").unwrap_err().to_string(),
            "expected otlp_proto, otlp_json, raw or text, found 'text_klingon': no such charset"
        );
        assert_eq!(
            Encoding::of(Signal::Metrics, "raw")
                .unwrap_err()
                .to_string(),
            "expected otlp_proto or otlp_json, found 'raw': that is for logs"
        );
        let jaeger = Encoding::of(Signal::Traces, "jaeger_proto").unwrap_err();
        assert!(jaeger.to_string().contains("does not speak Jaeger"));
    }
}
