//! What users set.

use corten_component::Signal;
use corten_config::settings::Retry;
use corten_config::types::{ByteSize, Duration, OneOrMany};
use corten_config::{Check, Checker};
use corten_kafka::settings::{Client, milliseconds};
use corten_kafka::{Encoding, UnknownEncoding};
use rdkafka::ClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a group begins that has no offset yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InitialOffset {
    /// At the first message that comes after the group.
    #[default]
    Latest,
    /// At the oldest message that is still there.
    Earliest,
}

/// How partitions are dealt out to the group's members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Strategy {
    /// Evenly, with as few moves as possible, and only those that move are interrupted.
    #[serde(rename = "cooperative-sticky")]
    CooperativeSticky,
    /// Neighbouring partitions of each topic.
    Range,
    /// One after the other.
    RoundRobin,
}

impl Strategy {
    fn name(self) -> &'static str {
        match self {
            Self::CooperativeSticky => "cooperative-sticky",
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
        }
    }
}

/// Settings of the `kafka` receiver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Config {
    /// The brokers, and as whom to speak to them.
    #[serde(flatten)]
    pub(crate) client: Client,
    /// What is the receiver's own.
    #[serde(flatten)]
    pub(crate) own: Own,
}

/// What is not the client's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Own {
    /// The topics of logs, `otlp_logs` by default.
    pub(crate) logs: Topics,
    /// The topics of metrics, `otlp_metrics` by default.
    pub(crate) metrics: Topics,
    /// The topics of traces, `otlp_spans` by default.
    pub(crate) traces: Topics,
    /// Deprecated: use `topics` of the signal.
    pub(crate) topic: String,
    /// Deprecated: use `encoding` of the signal.
    pub(crate) encoding: String,
    /// The consumer group: its members share the partitions, and its offsets say what has been read.
    pub(crate) group_id: String,
    /// A name for this member that outlives a restart, so that a quick restart does not move partitions. Each signal's
    /// consumer puts its signal behind it.
    pub(crate) group_instance_id: String,
    /// Where the group begins when it has no offset yet: `latest` or `earliest`.
    pub(crate) initial_offset: InitialOffset,
    /// After how long without a sign of life a member's partitions go to others.
    pub(crate) session_timeout: Duration,
    /// How often to give a sign of life; a third of `session_timeout` or less.
    pub(crate) heartbeat_interval: Duration,
    /// How partitions are dealt out, the first that all members know: `cooperative-sticky`, `range`, `roundrobin`.
    pub(crate) group_rebalance_strategies: Vec<Strategy>,
    /// Deprecated: use `group_rebalance_strategies`.
    pub(crate) group_rebalance_strategy: Option<Strategy>,
    /// When offsets are written to Kafka.
    pub(crate) autocommit: Autocommit,
    /// A broker answers when it has so many bytes, or after `max_fetch_wait`.
    pub(crate) min_fetch_size: u32,
    /// The most bytes of an answer; a single larger message still comes.
    pub(crate) max_fetch_size: u32,
    /// How long a broker waits for `min_fetch_size`.
    pub(crate) max_fetch_wait: Duration,
    /// The most bytes of one partition in an answer.
    pub(crate) max_partition_fetch_size: u32,
    /// What becomes of messages that are refused.
    pub(crate) message_marking: Marking,
    /// Puts headers of messages into resource attributes.
    pub(crate) header_extraction: HeaderExtraction,
    /// The pauses before what was refused for now is offered again. It is offered again in any case; without this
    /// section after 0.2 s, growing to 10 s.
    pub(crate) error_backoff: Retry,
    /// The rack or zone of this process: brokers that know theirs let it read from the nearest replica.
    pub(crate) rack_id: String,
    /// Accepted for compatibility: epochs of leaders are used wherever brokers know them.
    pub(crate) use_leader_epoch: bool,
    /// The most bytes of messages under way in the pipeline, of each signal. Beyond it the partitions are paused. As much
    /// again is read ahead.
    pub(crate) max_in_flight_size: ByteSize,
}

/// The topics of a signal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Topics {
    /// The topics; those that begin with `^` are regular expressions.
    pub(crate) topics: OneOrMany<String>,
    /// Deprecated: use `topics`.
    pub(crate) topic: String,
    /// Regular expressions of topics to leave out, where `topics` has regular expressions.
    pub(crate) exclude_topics: OneOrMany<String>,
    /// What the messages are: `otlp_proto` (the default) or `otlp_json`; of logs also `raw`, `text`, `text_<charset>`.
    pub(crate) encoding: String,
}

/// `autocommit`: when offsets are written to Kafka.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Autocommit {
    /// Every `interval`; otherwise after each step forward. Only what the pipeline has kept, either way.
    pub(crate) enable: bool,
    /// How often.
    pub(crate) interval: Duration,
}

/// `message_marking`: what becomes of messages that are refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Marking {
    /// The offset moves past a message only after the pipeline has kept it. Corten always does so. What `true` adds is
    /// that a message which is refused for good stops its partition, unless `on_permanent_error` says otherwise.
    pub(crate) after: bool,
    /// With `after`: move past messages that were refused, also for now, once `error_backoff::max_elapsed_time` is
    /// over (needs `error_backoff`).
    pub(crate) on_error: bool,
    /// With `after`: move past messages that were refused for good. As `on_error` unless it is set.
    pub(crate) on_permanent_error: Option<bool>,
}

impl Marking {
    /// Whether the offset moves past what was refused for good.
    pub(crate) fn passes_refused(&self) -> bool {
        !self.after || self.on_permanent_error.unwrap_or(self.on_error)
    }

    /// Whether the offset moves past what was refused for now, for too long.
    pub(crate) fn passes_overdue(&self) -> bool {
        self.after && self.on_error
    }
}

/// `header_extraction`: puts headers of messages into resource attributes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct HeaderExtraction {
    /// Whether to.
    pub(crate) extract_headers: bool,
    /// The headers. The attribute of `tenant` is `kafka.header.tenant`.
    pub(crate) headers: Vec<String>,
}

impl Default for Own {
    fn default() -> Self {
        Self {
            logs: Topics::default(),
            metrics: Topics::default(),
            traces: Topics::default(),
            topic: String::new(),
            encoding: String::new(),
            group_id: "otel-collector".to_owned(),
            group_instance_id: String::new(),
            initial_offset: InitialOffset::Latest,
            session_timeout: Duration::from_secs(10),
            heartbeat_interval: Duration::from_secs(3),
            group_rebalance_strategies: Vec::new(),
            group_rebalance_strategy: None,
            autocommit: Autocommit::default(),
            min_fetch_size: 1,
            max_fetch_size: 1_048_576,
            max_fetch_wait: Duration::from_millis(250),
            max_partition_fetch_size: 1_048_576,
            message_marking: Marking::default(),
            header_extraction: HeaderExtraction::default(),
            error_backoff: Retry {
                enabled: false,
                initial_interval: Duration::from_millis(200),
                max_interval: Duration::from_secs(10),
                max_elapsed_time: Duration::ZERO,
                ..Retry::default()
            },
            rack_id: String::new(),
            use_leader_epoch: true,
            max_in_flight_size: ByteSize::mib(16),
        }
    }
}

impl Default for Autocommit {
    fn default() -> Self {
        Self {
            enable: true,
            interval: Duration::from_secs(1),
        }
    }
}

corten_config::squash!(Config { client, own });

impl Own {
    fn section(&self, signal: Signal) -> (&'static str, &Topics) {
        match signal {
            Signal::Logs => ("logs", &self.logs),
            Signal::Metrics => ("metrics", &self.metrics),
            Signal::Traces => ("traces", &self.traces),
        }
    }

    /// The topics of a signal.
    pub(crate) fn topics(&self, signal: Signal) -> Vec<&str> {
        let (_, section) = self.section(signal);
        let default = match signal {
            Signal::Logs => "otlp_logs",
            Signal::Metrics => "otlp_metrics",
            Signal::Traces => "otlp_spans",
        };
        if !section.topics.is_empty() {
            return section.topics.iter().map(String::as_str).collect();
        }
        let old = [section.topic.as_str(), self.topic.as_str()];
        let old = old.into_iter().find(|topic| !topic.is_empty());
        vec![old.unwrap_or(default)]
    }

    /// What messages of a signal are.
    pub(crate) fn encoding(&self, signal: Signal) -> Result<Encoding, UnknownEncoding> {
        let (_, section) = self.section(signal);
        let names = [section.encoding.as_str(), self.encoding.as_str()];
        let name = names.into_iter().find(|name| !name.is_empty());
        Encoding::of(signal, name.unwrap_or("otlp_proto"))
    }

    fn strategies(&self) -> Vec<Strategy> {
        match (
            &*self.group_rebalance_strategies,
            self.group_rebalance_strategy,
        ) {
            ([], Some(strategy)) => vec![strategy],
            ([], None) => vec![Strategy::CooperativeSticky],
            (strategies, _) => strategies.to_vec(),
        }
    }
}

impl Config {
    /// The properties of the consumer of `signal`; `alone`: no other signal is read.
    pub(crate) fn properties(&self, signal: Signal, alone: bool) -> ClientConfig {
        const DAY: u128 = 86_400_000;
        let own = &self.own;
        let mut config = self.client.config();
        let strategies: Vec<&str> = own.strategies().into_iter().map(Strategy::name).collect();
        let fetch = own.max_fetch_size.max(1024);
        let ahead = (own.max_in_flight_size.get() / 1024).clamp(1, 2_097_151);
        config
            .set("group.id", &own.group_id)
            .set("partition.assignment.strategy", strategies.join(","))
            .set(
                "auto.offset.reset",
                match own.initial_offset {
                    InitialOffset::Latest => "latest",
                    InitialOffset::Earliest => "earliest",
                },
            )
            .set(
                "session.timeout.ms",
                milliseconds(own.session_timeout, 1, 3_600_000),
            )
            .set(
                "heartbeat.interval.ms",
                milliseconds(own.heartbeat_interval, 1, 3_600_000),
            )
            // Offsets are stored by hand, when a batch is safe.
            .set("enable.auto.offset.store", "false")
            .set("enable.auto.commit", own.autocommit.enable.to_string())
            .set(
                "auto.commit.interval.ms",
                milliseconds(own.autocommit.interval, 1, DAY),
            )
            .set("fetch.min.bytes", own.min_fetch_size.max(1).to_string())
            .set("fetch.max.bytes", fetch.to_string())
            // The consumer sends nothing; it only must not be more than an answer may have.
            .set("message.max.bytes", fetch.min(1_000_000).to_string())
            .set(
                "receive.message.max.bytes",
                fetch
                    .saturating_add(1024)
                    .clamp(100_000_000, 2_147_483_647)
                    .to_string(),
            )
            .set(
                "fetch.wait.max.ms",
                milliseconds(own.max_fetch_wait, 0, 300_000),
            )
            .set(
                "max.partition.fetch.bytes",
                own.max_partition_fetch_size
                    .clamp(1, 1_000_000_000)
                    .to_string(),
            )
            .set("queued.max.messages.kbytes", ahead.to_string())
            // Tells that brokers are back.
            .set("statistics.interval.ms", "5000");
        let (_, section) = own.section(signal);
        if !section.exclude_topics.is_empty() {
            config.set("topic.blacklist", section.exclude_topics.join(","));
        }
        if !own.rack_id.is_empty() {
            config.set("client.rack", &own.rack_id);
        }
        if !own.group_instance_id.is_empty() {
            let id = &own.group_instance_id;
            let id = if alone {
                id.clone()
            } else {
                format!("{id}-{signal}")
            };
            config.set("group.instance.id", id);
        }
        config
    }
}

impl Check for Config {
    fn check(&self, at: &mut Checker<'_>) {
        self.client.check(at);
        let own = &self.own;
        let renamed = [
            ("topic", !own.topic.is_empty(), "topics"),
            ("encoding", !own.encoding.is_empty(), "encoding"),
        ];
        for (old, set, new) in renamed {
            if set {
                at.on(old).warning(format!(
                    "'{old}' is deprecated; use '{new}' in 'logs', 'metrics' or 'traces' instead"
                ));
            }
        }
        if own.group_rebalance_strategy.is_some() {
            at.on("group_rebalance_strategy").warning(
                "'group_rebalance_strategy' is deprecated; use 'group_rebalance_strategies' instead",
            );
        }
        if own.group_id.is_empty() {
            at.field("group_id").error("is required");
        }
        let strategies = own.strategies();
        if strategies.len() > 1 && strategies.contains(&Strategy::CooperativeSticky) {
            at.on("group_rebalance_strategies")
                .error("cooperative-sticky cannot stand beside other strategies");
        }
        if own.heartbeat_interval >= own.session_timeout {
            at.field("heartbeat_interval")
                .error("must be less than session_timeout");
        }
        if own.max_in_flight_size.get() == 0 {
            at.field("max_in_flight_size").error("must be positive");
        }
        own.error_backoff.check(&mut at.section("error_backoff"));
        for signal in Signal::ALL {
            let (name, section) = own.section(signal);
            let mut at = at.section(name);
            if !section.topic.is_empty() {
                at.on("topic")
                    .warning("'topic' is deprecated; use 'topics' instead");
            }
            if !section.exclude_topics.is_empty()
                && !section.topics.iter().any(|topic| topic.starts_with('^'))
            {
                at.field("exclude_topics")
                    .error("is only for topics that are regular expressions (they begin with '^')");
            }
            if section
                .exclude_topics
                .iter()
                .any(|topic| topic.contains(','))
            {
                at.field("exclude_topics")
                    .error("must not have commas within an expression");
            }
            if !section.encoding.is_empty()
                && let Err(error) = Encoding::of(signal, &section.encoding)
            {
                at.field("encoding").error(error.to_string());
            }
        }
        // The one encoding of every signal: it has to be one of some signal.
        let all = Signal::ALL.map(|signal| Encoding::of(signal, &own.encoding));
        if !own.encoding.is_empty()
            && let [Err(error), Err(_), Err(_)] = all
        {
            at.field("encoding").error(error.to_string());
        }
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
        assert_eq!(own("{}").topics(Signal::Traces), ["otlp_spans"]);
        assert_eq!(own("{topic: a}").topics(Signal::Logs), ["a"]);
        assert_eq!(own("{logs: {topic: b}}").topics(Signal::Logs), ["b"]);
        assert_eq!(own("{logs: {topics: b}}").topics(Signal::Logs), ["b"]);
        assert_eq!(
            own("{topic: a, logs: {topics: [b, ^c]}}").topics(Signal::Logs),
            ["b", "^c"]
        );
        let old = own("{encoding: otlp_json, logs: {encoding: raw}}");
        assert_eq!(old.encoding(Signal::Metrics), Ok(Encoding::OtlpJson));
        assert_eq!(old.encoding(Signal::Logs), Ok(Encoding::Raw));
    }

    #[test]
    fn every_property_is_one_of_librdkafka() {
        for yaml in [
            "{}",
            "{group_instance_id: a, rack_id: b, max_fetch_size: 0, max_partition_fetch_size: 0, max_in_flight_size: 1, \
             max_fetch_wait: 0s, autocommit: {enable: false, interval: 0s}}",
            "{max_fetch_size: 500000000, max_in_flight_size: 1TiB, group_rebalance_strategy: range, initial_offset: earliest}",
            "{logs: {topics: [^a], exclude_topics: [^ab, ^ac]}}",
        ] {
            let properties = config(yaml).properties(Signal::Logs, false);
            let made: rdkafka::error::KafkaResult<rdkafka::consumer::BaseConsumer> =
                properties.create();
            made.unwrap_or_else(|error| panic!("{yaml}: {error}"));
        }
    }

    #[test]
    fn marking_is_after_in_any_case() {
        let marking = |yaml: &str| {
            config(&format!("message_marking: {yaml}"))
                .own
                .message_marking
        };
        let passes = |yaml| {
            let marking = marking(yaml);
            (marking.passes_refused(), marking.passes_overdue())
        };
        assert_eq!(passes("{}"), (true, false));
        assert_eq!(passes("{after: true}"), (false, false));
        assert_eq!(passes("{after: true, on_error: true}"), (true, true));
        assert_eq!(
            passes("{after: true, on_permanent_error: true}"),
            (true, false)
        );
        assert_eq!(
            passes("{after: true, on_error: true, on_permanent_error: false}"),
            (false, true)
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(problems("{traces: {encoding: raw}}").contains("encoding expected otlp_proto"));
        assert!(problems("{encoding: zipkin_proto}").contains("does not speak"));
        assert_eq!(problems("{encoding: raw}"), "");
        assert!(problems("{logs: {exclude_topics: [a]}}").contains("begin with '^'"));
        assert!(problems("{heartbeat_interval: 10s}").contains("less than session_timeout"));
        assert!(
            problems("{group_rebalance_strategies: [cooperative-sticky, range]}")
                .contains("cannot stand beside")
        );
        assert!(problems("{group_rebalance_strategies: [sticky]}").contains("sticky"));
        assert!(problems("{group_id: ''}").contains("group_id is required"));
    }

    #[test]
    fn older_keys_warn_once() {
        let mut problems = corten_config::Problems::new();
        let section = corten_config::section("{topic: a, encoding: raw}", "x", &mut problems);
        let config: Option<Config> = section.unwrap().decode_checked(&mut problems);
        assert!(config.is_some());
        let text = problems.to_string();
        assert_eq!(text.matches("'topic' is deprecated").count(), 1, "{text}");
        assert_eq!(
            text.matches("'encoding' is deprecated").count(),
            1,
            "{text}"
        );
    }
}
