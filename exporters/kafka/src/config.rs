//! What users set.

use corten_component::Signal;
use corten_config::settings::{Queue, Retry};
use corten_config::types::Duration;
use corten_config::{Check, Checker};
use corten_kafka::settings::{Client, milliseconds};
use corten_kafka::{Encoding, UnknownEncoding};
use rdkafka::ClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How messages are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Snappy: quick, and a little.
    Snappy,
    /// LZ4: quick, and a little more.
    Lz4,
    /// Zstandard: much for its cost; brokers since 2.1.
    Zstd,
}

impl Compression {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    fn levels(self) -> std::ops::RangeInclusive<i32> {
        match self {
            Self::Gzip => 0..=9,
            Self::Lz4 | Self::Zstd => 0..=12,
            Self::None | Self::Snappy => 0..=0,
        }
    }
}

/// Settings of the `kafka` exporter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Config {
    /// The brokers, and as whom to speak to them.
    #[serde(flatten)]
    pub(crate) client: Client,
    /// What is the exporter's own.
    #[serde(flatten)]
    pub(crate) own: Own,
}

/// What is not the client's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Own {
    /// The topic of logs, `otlp_logs` by default.
    pub(crate) logs: Topic,
    /// The topic of metrics, `otlp_metrics` by default.
    pub(crate) metrics: Topic,
    /// The topic of traces, `otlp_spans` by default.
    pub(crate) traces: Topic,
    /// Deprecated: use `topic` of the signal.
    pub(crate) topic: String,
    /// Deprecated: use `encoding` of the signal. Signals that have no such encoding have `otlp_proto`.
    pub(crate) encoding: String,
    /// The resource attribute whose value is the topic, where a resource has it.
    pub(crate) topic_from_attribute: String,
    /// Metadata of the sender's request (its receiver needs `include_metadata`) that become headers of the message.
    pub(crate) include_metadata_keys: Vec<String>,
    /// A message a trace, whose key is the trace's id: all of a trace comes into one partition.
    pub(crate) partition_traces_by_id: bool,
    /// A message for each set of resource attributes, whose hash is the key.
    pub(crate) partition_metrics_by_resource_attributes: bool,
    /// A message for each set of resource attributes, whose hash is the key.
    pub(crate) partition_logs_by_resource_attributes: bool,
    /// A message a trace, whose key is the trace's id; what belongs to no trace has no key.
    pub(crate) partition_logs_by_trace_id: bool,
    /// How messages are sent.
    pub(crate) producer: Producer,
    /// How long one attempt may take, until the broker's report.
    pub(crate) timeout: Duration,
    /// Holds data while the brokers are slow or away.
    pub(crate) sending_queue: Queue,
    /// Sends again what the brokers did not take for now.
    pub(crate) retry_on_failure: Retry,
}

/// The topic of a signal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Topic {
    /// The topic.
    pub(crate) topic: String,
    /// Metadata of the sender's request whose value is the topic, where a request has it.
    pub(crate) topic_from_metadata_key: String,
    /// What the messages are: `otlp_proto` (the default) or `otlp_json`; of logs also `raw` and `text`: the body alone, a
    /// message a record.
    pub(crate) encoding: String,
}

/// `producer`: how messages are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Producer {
    /// The largest message, before compression. Larger batches are cut; a single record that is larger is refused.
    pub(crate) max_message_bytes: u32,
    /// Whom the report is from: `1` the partition's leader, `-1` all replicas in sync, `0` nobody (then what is on its
    /// way to a broker that fails is lost).
    pub(crate) required_acks: i32,
    /// How messages are compressed: `none`, `gzip`, `snappy`, `lz4`, `zstd`.
    pub(crate) compression: Compression,
    /// How hard.
    pub(crate) compression_params: CompressionParams,
    /// The most messages of a request to a broker; `0` means no limit.
    pub(crate) flush_max_messages: u32,
    /// Accepted for compatibility: whether a topic that is not there is made is for the brokers to say
    /// (`auto.create.topics.enable`).
    pub(crate) allow_auto_topic_creation: bool,
    /// How long a message waits for others before it is sent.
    pub(crate) linger: Duration,
}

/// `producer::compression_params`: how hard to compress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct CompressionParams {
    /// gzip 1 to 9, lz4 and zstd 1 to 12; `0` means the method's own choice.
    pub(crate) level: i32,
}

impl Default for Own {
    fn default() -> Self {
        Self {
            logs: Topic::default(),
            metrics: Topic::default(),
            traces: Topic::default(),
            topic: String::new(),
            encoding: String::new(),
            topic_from_attribute: String::new(),
            include_metadata_keys: Vec::new(),
            partition_traces_by_id: false,
            partition_metrics_by_resource_attributes: false,
            partition_logs_by_resource_attributes: false,
            partition_logs_by_trace_id: false,
            producer: Producer::default(),
            timeout: Duration::from_secs(5),
            sending_queue: Queue::default(),
            retry_on_failure: Retry::default(),
        }
    }
}

impl Default for Producer {
    fn default() -> Self {
        Self {
            max_message_bytes: 1_000_000,
            required_acks: 1,
            compression: Compression::None,
            compression_params: CompressionParams::default(),
            flush_max_messages: 10_000,
            allow_auto_topic_creation: true,
            linger: Duration::from_millis(10),
        }
    }
}

corten_config::squash!(Config { client, own });

impl Own {
    pub(crate) fn section(&self, signal: Signal) -> (&'static str, &Topic) {
        match signal {
            Signal::Logs => ("logs", &self.logs),
            Signal::Metrics => ("metrics", &self.metrics),
            Signal::Traces => ("traces", &self.traces),
        }
    }

    /// The topic of a signal, where nothing in the data says another.
    pub(crate) fn topic(&self, signal: Signal) -> &str {
        let (_, section) = self.section(signal);
        let default = match signal {
            Signal::Logs => "otlp_logs",
            Signal::Metrics => "otlp_metrics",
            Signal::Traces => "otlp_spans",
        };
        let set = [section.topic.as_str(), self.topic.as_str()];
        set.into_iter()
            .find(|topic| !topic.is_empty())
            .unwrap_or(default)
    }

    /// What messages of a signal are.
    pub(crate) fn encoding(&self, signal: Signal) -> Result<Encoding, UnknownEncoding> {
        let (_, section) = self.section(signal);
        let old = Encoding::of(signal, &self.encoding);
        match (section.encoding.as_str(), old) {
            // An old name of one signal's encoding says nothing about the others.
            ("", old) => Ok(old.unwrap_or(Encoding::OtlpProto)),
            (name, _) => Encoding::of(signal, name),
        }
    }
}

impl Config {
    /// The producer's properties.
    pub(crate) fn properties(&self) -> ClientConfig {
        let producer = &self.own.producer;
        let linger = producer.linger.get().as_millis().min(900_000);
        let mut config = self.client.config();
        // The report comes before the attempt is given up, and librdkafka keeps nothing that is sent again.
        let limit = match self.own.timeout.get().as_millis() {
            0 => 0,
            timeout => (timeout - timeout / 10).clamp(linger + 1, 2_147_483_647),
        };
        config
            .set("message.max.bytes", producer.max_message_bytes.to_string())
            .set("acks", producer.required_acks.to_string())
            .set("compression.codec", producer.compression.name())
            .set("linger.ms", linger.to_string())
            .set("message.timeout.ms", limit.to_string())
            .set(
                "request.timeout.ms",
                milliseconds(self.own.timeout, 1, 900_000),
            )
            .set(
                "batch.num.messages",
                match producer.flush_max_messages {
                    0 => 1_000_000,
                    messages => messages.min(1_000_000),
                }
                .to_string(),
            )
            // As Kafka's own clients deal keys out, so that a key has one partition whoever writes.
            .set("partitioner", "murmur2_random")
            // What waits belongs into the sending queue.
            .set("queue.buffering.max.kbytes", "131072");
        if producer.compression_params.level > 0 {
            config.set(
                "compression.level",
                producer.compression_params.level.to_string(),
            );
        }
        config
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        self.client.check(at);
        let own = &self.own;
        for (old, set) in [
            ("topic", !own.topic.is_empty()),
            ("encoding", !own.encoding.is_empty()),
        ] {
            if set {
                at.on(old).warning(format!(
                    "'{old}' is deprecated; use '{old}' in 'logs', 'metrics' or 'traces' instead"
                ));
            }
        }
        if own.partition_logs_by_resource_attributes && own.partition_logs_by_trace_id {
            at.error(
                "partition_logs_by_resource_attributes and partition_logs_by_trace_id cannot both be enabled",
            );
        }
        own.sending_queue.check(&mut at.section("sending_queue"));
        own.retry_on_failure
            .check(&mut at.section("retry_on_failure"));
        for signal in Signal::ALL {
            let (name, section) = own.section(signal);
            if !section.encoding.is_empty() {
                check_encoding(&section.encoding, &[signal], &mut at.section(name));
            }
        }
        if !own.encoding.is_empty() {
            check_encoding(&own.encoding, &Signal::ALL, at);
        }
        let producer = &own.producer;
        let mut at = at.section("producer");
        if !(1000..=1_000_000_000).contains(&producer.max_message_bytes) {
            at.field("max_message_bytes")
                .error("must be from 1000 to 1000000000");
        }
        if !(-1..=1).contains(&producer.required_acks) {
            at.field("required_acks").error("must be -1, 0 or 1");
        }
        let levels = producer.compression.levels();
        if !levels.contains(&producer.compression_params.level) {
            at.section("compression_params")
                .field("level")
                .error(format!(
                    "must be from {} to {} for {}",
                    levels.start(),
                    levels.end(),
                    producer.compression.name()
                ));
        }
    }
}

/// Whether one of the signals has the encoding, and it can be written.
fn check_encoding(name: &str, signals: &[Signal], at: &mut Checker<'_>) {
    let mut why = None;
    for signal in signals {
        match Encoding::of(*signal, name) {
            Ok(Encoding::Text(charset)) if charset != encoding_rs::UTF_8 => {
                why.get_or_insert_with(|| format!("text is written as UTF-8, found '{name}'"));
            }
            Ok(_) => return,
            Err(error) => {
                why.get_or_insert_with(|| error.to_string());
            }
        }
    }
    if let Some(why) = why {
        at.field("encoding").error(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(yaml: &str) -> Config {
        corten_config::from_str(yaml).unwrap()
    }

    fn problems(yaml: &str) -> String {
        match corten_config::from_str::<Config>(yaml) {
            Ok(_) => String::new(),
            Err(problems) => problems.to_string(),
        }
    }

    #[test]
    fn topics_have_defaults_and_older_spellings() {
        let own = |yaml| config(yaml).own;
        assert_eq!(own("{}").topic(Signal::Metrics), "otlp_metrics");
        assert_eq!(own("{topic: a}").topic(Signal::Logs), "a");
        assert_eq!(own("{topic: a, logs: {topic: b}}").topic(Signal::Logs), "b");
        let old = own("{encoding: otlp_json, logs: {encoding: raw}}");
        assert_eq!(old.encoding(Signal::Metrics), Ok(Encoding::OtlpJson));
        assert_eq!(old.encoding(Signal::Logs), Ok(Encoding::Raw));
        let raw = own("{encoding: raw}");
        assert_eq!(raw.encoding(Signal::Logs), Ok(Encoding::Raw));
        assert_eq!(raw.encoding(Signal::Traces), Ok(Encoding::OtlpProto));
    }

    #[test]
    fn every_property_is_one_of_librdkafka() {
        for yaml in [
            "{}",
            "{timeout: 0s, producer: {linger: 0s, flush_max_messages: 0, required_acks: -1, compression: lz4}}",
            "{timeout: 1ms, producer: {linger: 1m, max_message_bytes: 1000000000, compression: zstd, compression_params: {level: 12}}}",
            "{timeout: 24h, producer: {required_acks: 0, compression: gzip, compression_params: {level: 9}, max_message_bytes: 1000}}",
            "{producer: {compression: snappy}}",
        ] {
            let made: rdkafka::error::KafkaResult<rdkafka::producer::BaseProducer> =
                config(yaml).properties().create();
            if let Err(error) = made {
                panic!("{yaml}: {error}");
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(problems("{metrics: {encoding: raw}}").contains("encoding expected otlp_proto"));
        assert!(problems("{logs: {encoding: text_gbk}}").contains("written as UTF-8"));
        assert!(problems("{traces: {encoding: jaeger_proto}}").contains("does not speak"));
        assert_eq!(problems("{encoding: raw}"), "");
        assert!(problems("{producer: {required_acks: 2}}").contains("must be -1, 0 or 1"));
        assert!(problems("{producer: {max_message_bytes: 1}}").contains("must be from 1000"));
        assert!(
            problems("{producer: {compression: gzip, compression_params: {level: 10}}}")
                .contains("level must be from 0 to 9 for gzip")
        );
        assert!(
            problems(
                "{partition_logs_by_trace_id: true, partition_logs_by_resource_attributes: true}"
            )
            .contains("cannot both be enabled")
        );
    }
}
