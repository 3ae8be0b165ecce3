//! A batch becomes messages.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use corten_component::{Batch, BoxError, ClientMetadata, Signal};
use corten_kafka::Encoding;
use corten_pdata::edit::{Whole, partition};
use corten_pdata::logs::{LogRecord, ResourceLogs};
use corten_pdata::traces::Span;
use corten_pdata::{AnyValue, Attributes, Cursor as _, Data, Logs, Rope, SignalKind};
use sha2::{Digest as _, Sha256};

use crate::config::Config;

/// What a record takes in Kafka beside its key, payload and headers, generously.
const OVERHEAD: usize = 128;
const HEADER: usize = 16;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: Arc<str>,
    pub(crate) key: Option<Arc<[u8]>>,
    pub(crate) payload: Bytes,
    pub(crate) items: usize,
}

/// Messages that are sent together.
#[derive(Debug)]
pub(crate) struct Bundle {
    pub(crate) messages: Vec<Message>,
    pub(crate) data: Data,
}

/// What parts a message from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    None,
    TraceId,
    Resource,
}

/// How one signal becomes messages.
#[derive(Debug)]
struct Plan {
    topic: Arc<str>,
    from_metadata: Option<String>,
    encoding: Encoding,
    key: Key,
}

/// How batches become messages.
#[derive(Debug)]
pub(crate) struct Layout {
    logs: Plan,
    metrics: Plan,
    traces: Plan,
    from_attribute: Option<String>,
    headers: Vec<String>,
    limit: usize,
}

/// What the messages of a batch have in common.
type Common = (Arc<str>, Option<Arc<[u8]>>);

impl Layout {
    pub(crate) fn new(config: &Config) -> Result<Self, BoxError> {
        let own = &config.own;
        let plan = |signal, key| -> Result<Plan, BoxError> {
            let (_, section) = own.section(signal);
            let from_metadata = &section.topic_from_metadata_key;
            Ok(Plan {
                topic: own.topic(signal).into(),
                from_metadata: (!from_metadata.is_empty()).then(|| from_metadata.clone()),
                encoding: own.encoding(signal)?,
                key,
            })
        };
        let logs = match (
            own.partition_logs_by_trace_id,
            own.partition_logs_by_resource_attributes,
        ) {
            (true, _) => Key::TraceId,
            (false, true) => Key::Resource,
            (false, false) => Key::None,
        };
        let metrics = match own.partition_metrics_by_resource_attributes {
            true => Key::Resource,
            false => Key::None,
        };
        let traces = match own.partition_traces_by_id {
            true => Key::TraceId,
            false => Key::None,
        };
        let from_attribute = &own.topic_from_attribute;
        Ok(Self {
            logs: plan(Signal::Logs, logs)?,
            metrics: plan(Signal::Metrics, metrics)?,
            traces: plan(Signal::Traces, traces)?,
            from_attribute: (!from_attribute.is_empty()).then(|| from_attribute.clone()),
            headers: own.include_metadata_keys.clone(),
            limit: usize::try_from(own.producer.max_message_bytes)?,
        })
    }

    fn plan(&self, signal: Signal) -> &Plan {
        match signal {
            Signal::Logs => &self.logs,
            Signal::Metrics => &self.metrics,
            Signal::Traces => &self.traces,
        }
    }

    /// The headers of a batch's messages.
    pub(crate) fn headers(&self, metadata: &ClientMetadata) -> Vec<(String, String)> {
        let keys = self.headers.iter();
        let headers = keys.flat_map(|key| {
            let values = metadata.get(key);
            values.map(move |value| (key.clone(), value.to_owned()))
        });
        headers.collect()
    }

    /// The messages of a batch. What no broker will take, because a single record is too large, stands alone, so that
    /// it alone is refused.
    ///
    /// # Errors
    ///
    /// It cannot be written, ever.
    pub(crate) fn bundles(&self, batch: &Batch) -> Result<Vec<Bundle>, BoxError> {
        if batch.data.items() == 0 {
            return Ok(Vec::new());
        }
        let plan = self.plan(batch.signal());
        let named = plan.from_metadata.as_ref().and_then(|key| {
            let mut values = batch.metadata.get(key);
            values.find(|topic| !topic.is_empty()).map(Arc::from)
        });
        let fixed = named.is_some();
        let topic: Arc<str> = named.unwrap_or_else(|| Arc::clone(&plan.topic));
        let headers: usize = self
            .headers(&batch.metadata)
            .iter()
            .map(|(key, value)| key.len() + value.len() + HEADER)
            .sum();
        let reserved = OVERHEAD + headers;
        let pieces = match &batch.data {
            Data::Logs(rope) => self.pieces(plan, rope, topic, fixed),
            Data::Metrics(rope) => self.pieces(plan, rope, topic, fixed),
            Data::Traces(rope) => self.pieces(plan, rope, topic, fixed),
        };
        let mut together = Bundle {
            messages: Vec::new(),
            data: Data::empty(batch.signal()),
        };
        let mut alone = Vec::new();
        for ((topic, key), data) in pieces {
            let limit = self
                .limit
                .saturating_sub(reserved + key.as_ref().map_or(0, |key| key.len()));
            let mut writer = Writer {
                plan,
                topic: &topic,
                key: key.as_ref(),
                limit,
                together: &mut together,
                alone: &mut alone,
            };
            writer.write(data)?;
        }
        if !together.messages.is_empty() {
            alone.insert(0, together);
        }
        Ok(alone)
    }

    /// The batch by topics and keys.
    fn pieces<S: SignalKind>(
        &self,
        plan: &Plan,
        rope: &Rope<S>,
        topic: Arc<str>,
        fixed: bool,
    ) -> Vec<(Common, Data)>
    where
        Data: From<Rope<S>>,
    {
        let attribute = self.from_attribute.as_deref().filter(|_| !fixed);
        if plan.key == Key::None && attribute.is_none() {
            return vec![((topic, None), rope.clone().into())];
        }
        let mut commons: Vec<Common> = Vec::new();
        let mut known: HashMap<Common, usize> = HashMap::new();
        let mut places = Vec::new();
        let mut resource: Option<(*const u8, Common)> = None;
        // One part: nothing is copied, every record is shown.
        drop(partition(rope, 1, |whole| {
            let at = whole.resource.as_ptr();
            let (topic, resource_key) = match &resource {
                Some((seen, common)) if *seen == at => common.clone(),
                _ => {
                    let common = of_resource(plan, whole, attribute, &topic);
                    resource = Some((at, common.clone()));
                    common
                }
            };
            let key = match plan.key {
                Key::TraceId => trace_key(S::SIGNAL, whole.raw),
                _ => resource_key,
            };
            let common = (topic, key);
            let place = *known.entry(common).or_insert_with_key(|common| {
                commons.push(common.clone());
                commons.len() - 1
            });
            places.push(place);
            0
        }));
        let mut places = places.into_iter();
        let ropes = partition(rope, commons.len(), |_| places.next().unwrap_or(0));
        let pieces = commons.into_iter().zip(ropes);
        pieces.map(|(common, rope)| (common, rope.into())).collect()
    }
}

fn of_resource(
    plan: &Plan,
    whole: &Whole<'_>,
    attribute: Option<&str>,
    topic: &Arc<str>,
) -> Common {
    // The resource stands in the same place for every signal.
    let attributes = ResourceLogs::new(whole.resource).resource().attributes();
    let named = attribute
        .and_then(|name| attributes.get_str(name))
        .filter(|topic| !topic.is_empty());
    let topic = named.map_or_else(|| Arc::clone(topic), Arc::from);
    let key = (plan.key == Key::Resource).then(|| hash(attributes));
    (topic, key)
}

/// The trace's id in hex, as every client of the Collector's topics expects it.
fn trace_key(signal: Signal, raw: &[u8]) -> Option<Arc<[u8]>> {
    let id = match signal {
        Signal::Traces => Span::new(raw).trace_id(),
        Signal::Logs => LogRecord::new(raw).trace_id(),
        Signal::Metrics => &[],
    };
    let known = id.iter().any(|byte| *byte != 0);
    known.then(|| hex::encode(id).into_bytes().into())
}

/// 16 bytes of SHA-256 over the attributes in the order of their names: the same set has the same key, wherever it is written.
fn hash(attributes: Attributes<'_>) -> Arc<[u8]> {
    let mut pairs: Vec<(&[u8], &[u8])> = attributes
        .iter()
        .map(|pair| (pair.key_bytes(), pair.value_raw()))
        .collect();
    pairs.sort_unstable();
    let mut hash = Sha256::new();
    for (key, value) in pairs {
        hash.update(key.len().to_le_bytes());
        hash.update(key);
        hash.update(value.len().to_le_bytes());
        hash.update(value);
    }
    let digest = hash.finalize();
    digest.iter().copied().take(16).collect()
}

/// Writes what has one topic and one key.
struct Writer<'a> {
    plan: &'a Plan,
    topic: &'a Arc<str>,
    key: Option<&'a Arc<[u8]>>,
    limit: usize,
    together: &'a mut Bundle,
    alone: &'a mut Vec<Bundle>,
}

impl Writer<'_> {
    fn write(&mut self, data: Data) -> Result<(), BoxError> {
        match (self.plan.encoding, &data) {
            (Encoding::OtlpProto, _) => {
                for data in data.split_bytes(self.limit) {
                    self.put(data.to_bytes(), data)?;
                }
                Ok(())
            }
            (Encoding::OtlpJson, _) => self.json(data),
            (encoding, Data::Logs(logs)) => self.bodies(encoding, logs),
            (_, Data::Metrics(_) | Data::Traces(_)) => {
                Err("only logs can be written as 'raw' or 'text'".into())
            }
        }
    }

    fn message(&self, payload: Bytes, items: usize) -> Message {
        Message {
            topic: Arc::clone(self.topic),
            key: self.key.cloned(),
            payload,
            items,
        }
    }

    fn put(&mut self, payload: Bytes, data: Data) -> Result<(), BoxError> {
        let message = self.message(payload, data.items());
        if message.payload.len() > self.limit {
            self.alone.push(Bundle {
                messages: vec![message],
                data,
            });
        } else {
            self.together.messages.push(message);
            self.together.data.append(data)?;
        }
        Ok(())
    }

    /// JSON is longer than what is in memory by a factor that only shows in the end.
    fn json(&mut self, data: Data) -> Result<(), BoxError> {
        // The first in order lies on top.
        let mut waiting = vec![data];
        while let Some(data) = waiting.pop() {
            let mut text = Vec::with_capacity(data.bytes_len().saturating_mul(3));
            data.to_json(&mut text)?;
            let items = data.items();
            if text.len() <= self.limit || items <= 1 {
                self.put(text.into(), data)?;
                continue;
            }
            let pieces = text.len().div_ceil(self.limit.max(1)).saturating_add(1);
            let mut pieces = data.split_items(items.div_ceil(pieces).max(1));
            pieces.reverse();
            waiting.append(&mut pieces);
        }
        Ok(())
    }

    /// A message a record.
    fn bodies(&mut self, encoding: Encoding, logs: &Logs) -> Result<(), BoxError> {
        let mut messages = Vec::with_capacity(logs.items());
        let mut oversized = false;
        for resource in logs.resources() {
            for scope in resource.scopes() {
                for record in scope.records() {
                    let body = body(encoding, &record);
                    oversized |= body.len() > self.limit;
                    messages.push(self.message(body, 1));
                }
            }
        }
        if !oversized {
            self.together.messages.append(&mut messages);
            self.together.data.append(logs.clone().into())?;
            return Ok(());
        }
        for data in Data::from(logs.clone()).split_items(1) {
            if let Data::Logs(logs) = &data
                && let Some(record) = logs.resources().next()
                && let Some(record) = record.scopes().next()
                && let Some(record) = record.records().next()
            {
                self.put(body(encoding, &record), data)?;
            }
        }
        Ok(())
    }
}

fn body(encoding: Encoding, record: &LogRecord<'_>) -> Bytes {
    match (encoding, record.body()) {
        (_, None) => Bytes::new(),
        (Encoding::Raw, Some(AnyValue::Bytes(bytes))) => Bytes::copy_from_slice(bytes),
        (_, Some(value)) => value.to_text().into(),
    }
}

#[cfg(test)]
mod tests;
