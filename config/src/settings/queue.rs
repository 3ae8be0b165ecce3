//! What stands between a pipeline and a backend.

use std::collections::HashSet;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::section::{Check, Checker};
use crate::types::{ByteSize, ComponentId, Duration, Optional};

/// `sending_queue`: holds data while the backend is slow or away, in memory or on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Queue {
    /// Whether there is a queue. Without one the pipeline waits for every request.
    pub enabled: bool,
    /// How many requests are under way at the same time.
    pub num_consumers: u32,
    /// How much the queue holds, counted as `sizer` says.
    pub queue_size: u64,
    /// What `queue_size` counts: `requests`, `items` (spans, data points, log records) or `bytes`.
    pub sizer: Sizer,
    /// When the pipeline hears that the data is safe. `true`: when the backend has taken it. `false`: as soon as it is
    /// in the queue. `auto`: as `true` for data whose source can send it again (a file keeps its place), as `false` for
    /// the rest.
    pub wait_for_result: WaitForResult,
    /// Wait for room when the queue is full, instead of refusing the data so that its sender tries again.
    #[serde(alias = "blocking")]
    pub block_on_overflow: bool,
    /// The storage extension that keeps the queue on disk, such as `file_storage`, so that it survives a crash.
    pub storage: Option<ComponentId>,
    /// The most bytes of OTLP that the queue of one signal holds, in addition to `queue_size`. `0` means 64 MiB for a
    /// queue in memory and 1 GiB for one on disk, and `queue_size` alone where `sizer` is `bytes`. On disk this
    /// is the only bound: requests and items are not counted there.
    pub max_bytes: ByteSize,
    /// What gives way when the queue is full: `block` makes the sender wait or try again, and loses nothing;
    /// `drop_oldest` takes everything and drops what has waited longest, counted in
    /// `corten_exporter_queue_dropped_items`.
    pub overflow: Overflow,
    /// When a queue on disk syncs what it has been given: at most so long after it came, together with what else
    /// came meanwhile, or `always`: at once. Data is answered only after its sync either way.
    pub fsync: Fsync,
    /// Keeps what the backend refuses for good, with its reason, in the storage's directory, where `corten queue` shows
    /// it and sends it again. Needs `storage`. Off unless it is written.
    pub dead_letters: Optional<DeadLetters>,
    /// Put requests together, or cut them, before they are sent. Off unless it is written.
    pub batch: Optional<QueueBatch>,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            enabled: true,
            num_consumers: 10,
            queue_size: 1000,
            sizer: Sizer::Requests,
            wait_for_result: WaitForResult::Auto,
            block_on_overflow: false,
            storage: None,
            max_bytes: ByteSize::default(),
            overflow: Overflow::Block,
            fsync: Fsync::default(),
            dead_letters: Optional::Off,
            batch: Optional::Off,
        }
    }
}

impl Queue {
    /// Of a queue in memory, of one signal, unless more or less is asked for.
    const IN_MEMORY: u64 = 64 << 20;
    /// Of a queue on disk, of one signal, unless more or less is asked for.
    const ON_DISK: u64 = 1 << 30;

    /// The most bytes that the queue of one signal may hold.
    pub fn byte_limit(&self) -> u64 {
        let asked = match self.max_bytes.get() {
            0 => None,
            bytes => Some(bytes),
        };
        let counted = (self.sizer == Sizer::Bytes).then_some(self.queue_size);
        match (asked, counted) {
            (Some(asked), Some(counted)) => asked.min(counted),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) if self.storage.is_some() => Self::ON_DISK,
            (None, None) => Self::IN_MEMORY,
        }
    }

    /// What the sizes of `batch` count: its own sizer, else the queue's, else items.
    pub fn batch_sizer(&self) -> Sizer {
        match (
            self.batch.as_ref().and_then(|batch| batch.sizer),
            self.sizer,
        ) {
            (Some(sizer), _) => sizer,
            (None, Sizer::Requests) => Sizer::Items,
            (None, sizer) => sizer,
        }
    }
}

/// What gives way when a queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// The sender: it waits (`block_on_overflow`) or is told to try again.
    #[default]
    Block,
    /// What has waited longest.
    DropOldest,
}

/// When a queue on disk syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Whatever has come, as soon as the sync before is done: `always`.
    Always,
    /// At most so long after it came, so that several share a sync.
    Within(Duration),
}

impl Default for Fsync {
    fn default() -> Self {
        Self::Within(Duration::from_millis(100))
    }
}

impl<'de> Deserialize<'de> for Fsync {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "always" {
            return Ok(Self::Always);
        }
        let within: Duration = text.parse().map_err(|_| {
            D::Error::custom(format_args!(
                "expected always or a duration such as 100ms, found '{text}'"
            ))
        })?;
        Ok(Self::Within(within))
    }
}

impl Serialize for Fsync {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Always => serializer.serialize_str("always"),
            Self::Within(duration) => serializer.collect_str(duration),
        }
    }
}

impl JsonSchema for Fsync {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Fsync".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["always", "100ms"] })
    }
}

/// `sending_queue::dead_letters`: what the backend refuses for good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DeadLetters {
    /// The most bytes that are kept, of one signal. The oldest go first, counted in
    /// `corten_exporter_dead_letters_dropped_items`.
    pub max_bytes: ByteSize,
}

impl Default for DeadLetters {
    fn default() -> Self {
        Self {
            max_bytes: ByteSize::mib(64),
        }
    }
}

/// What a size counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sizer {
    /// Requests, whatever their size.
    Requests,
    /// Spans, data points or log records.
    Items,
    /// Bytes of OTLP.
    Bytes,
}

impl fmt::Display for Sizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests",
            Self::Items => "items",
            Self::Bytes => "bytes",
        })
    }
}

/// When the pipeline hears that data is safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitForResult {
    /// As [`Always`](Self::Always) for data whose source can send it again, as [`Never`](Self::Never) for the rest.
    #[default]
    Auto,
    /// When the backend has taken it: `true`.
    Always,
    /// When it is in the queue: `false`.
    Never,
}

impl<'de> Deserialize<'de> for WaitForResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = WaitForResult;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("auto, true or false")
            }

            fn visit_bool<E>(self, wait: bool) -> Result<WaitForResult, E> {
                Ok(if wait {
                    WaitForResult::Always
                } else {
                    WaitForResult::Never
                })
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<WaitForResult, E> {
                match text {
                    "auto" => Ok(WaitForResult::Auto),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Written)
    }
}

impl Serialize for WaitForResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Always => serializer.serialize_bool(true),
            Self::Never => serializer.serialize_bool(false),
        }
    }
}

impl JsonSchema for WaitForResult {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WaitForResult".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "enum": ["auto", true, false] })
    }
}

/// `sending_queue::batch`: requests of a size that the backend likes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct QueueBatch {
    /// How long to wait for more before less than `min_size` is sent.
    pub flush_timeout: Duration,
    /// The size from which a request is sent at once.
    pub min_size: u64,
    /// The largest request; larger ones are cut. `0` means no limit.
    pub max_size: u64,
    /// What the sizes count: `items` or `bytes`. By default as the queue does, or `items` when the queue counts
    /// requests.
    pub sizer: Option<Sizer>,
    /// Data that must not be put together.
    pub partition: Partition,
}

impl Default for QueueBatch {
    fn default() -> Self {
        Self {
            flush_timeout: Duration::from_millis(200),
            min_size: 8192,
            max_size: 0,
            sizer: None,
            partition: Partition::default(),
        }
    }
}

/// `sending_queue::batch::partition`: which data must not be put together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Partition {
    /// Request metadata (headers of the sender, such as `x-scope-orgid`) that has to be equal within a request.
    pub metadata_keys: Vec<String>,
}

impl Check for Queue {
    fn check(&self, at: &mut Checker<'_>) {
        if !self.enabled {
            return;
        }
        if at.has("blocking") {
            at.on("blocking")
                .warning("'blocking' is deprecated; use 'block_on_overflow' instead");
        }
        if self.num_consumers == 0 {
            at.on("num_consumers")
                .error("`num_consumers` must be positive");
        }
        if self.queue_size == 0 {
            at.on("queue_size").error("`queue_size` must be positive");
        }
        if self.storage.is_some() && self.wait_for_result == WaitForResult::Always {
            at.on("wait_for_result")
                .error("`wait_for_result` is not supported with a persistent queue configured with `storage`");
        }
        if self.storage.is_none() && self.dead_letters.as_ref().is_some() {
            at.on("dead_letters")
                .error("`dead_letters` needs a `storage` to lie in, such as file_storage");
        }
        if let Fsync::Within(within) = self.fsync
            && within > Duration::from_secs(10)
        {
            at.on("fsync").error(format!(
                "`fsync` must be always or at most 10s, found {within}"
            ));
        }
        if let Some(letters) = self.dead_letters.as_ref()
            && letters.max_bytes < ByteSize::mib(1)
        {
            at.section("dead_letters").on("max_bytes").error(format!(
                "`max_bytes` must be at least 1MiB, found {}",
                letters.max_bytes
            ));
        }
        let Some(batch) = self.batch.as_ref() else {
            return;
        };
        let sizer = self.batch_sizer();
        if batch.sizer != Some(Sizer::Requests)
            && sizer == self.sizer
            && batch.min_size > self.queue_size
        {
            at.section("batch")
                .on("min_size")
                .error("`min_size` must be less than or equal to `queue_size`");
        }
        batch.check(&mut at.section("batch"));
    }
}

impl Check for QueueBatch {
    fn check(&self, at: &mut Checker<'_>) {
        if self.sizer == Some(Sizer::Requests) {
            at.on("sizer")
                .error("`batch` supports only `items` or `bytes` sizer, found `requests`");
        }
        if self.flush_timeout.is_zero() {
            at.on("flush_timeout").error(format!(
                "`flush_timeout` must be positive, found {}",
                self.flush_timeout
            ));
        }
        if self.max_size > 0 && self.max_size < self.min_size {
            let (max, min) = (self.max_size, self.min_size);
            at.on("max_size").error(format!(
                "`max_size` ({max}) must be greater or equal to `min_size` ({min})"
            ));
        }
        let mut keys = HashSet::new();
        for (index, key) in self.partition.metadata_keys.iter().enumerate() {
            if !keys.insert(key.to_ascii_lowercase()) {
                at.section("partition")
                    .item("metadata_keys", index)
                    .error(format!(
                        "duplicate entry in metadata_keys: \"{key}\" (case-insensitive)"
                    ));
            }
        }
    }
}
