//! From attributes to labels, tenants and structured metadata.

use std::sync::Arc;

use bytes::Bytes;
use corten_pdata::attributes::{AnyValue, Resource, Scope};
use corten_pdata::logs::LogRecord;
use corten_pdata::wire::put_bytes_field;

use crate::config::{Config, From};
use crate::labels::{LabelSet, push_name};

/// Field number of an entry's structured metadata in Loki's protocol.
const METADATA: u32 = 3;

/// What the configuration says about labels and metadata, ready to use.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// Labels that every stream has; those of records and resources replace them.
    fixed: LabelSet,
    resource: Vec<(String, String)>,
    record: Vec<(String, String)>,
    tenant: Option<Arc<str>>,
    tenant_from: Option<String>,
    metadata: Option<Limits>,
}

/// Loki's limits for the structured metadata of one line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes: usize,
    pub(crate) entries: usize,
}

impl Mapping {
    pub(crate) fn new(config: &Config) -> Self {
        let mut mapping = Self {
            fixed: LabelSet::default(),
            resource: Vec::new(),
            record: Vec::new(),
            tenant: config.tenant_id.as_deref().map(Arc::from),
            tenant_from: config.tenant_from.clone(),
            metadata: config.structured_metadata.enabled.then_some(Limits {
                bytes: config.structured_metadata.max_bytes.as_usize(),
                entries: config.structured_metadata.max_entries,
            }),
        };
        for (label, value) in &config.external_labels {
            mapping.fixed.set(label, value);
        }
        for (label, source) in &config.labels {
            let source = source.full();
            match source.from {
                From::Static => {
                    mapping.fixed.set(label, &source.value);
                }
                From::Resource => mapping.resource.push((label.clone(), source.name)),
                From::Attribute => mapping.record.push((label.clone(), source.name)),
            }
        }
        mapping
    }

    /// Whether records of one resource may belong to different streams.
    pub(crate) fn looks_at_records(&self) -> bool {
        !self.record.is_empty()
    }

    /// The limits of structured metadata; `None` when there is to be none.
    pub(crate) fn limits(&self) -> Option<Limits> {
        self.metadata
    }

    /// Labels and tenant of a resource. Counts label values that were cut.
    pub(crate) fn resource(
        &self,
        resource: Resource<'_>,
        cut: &mut u64,
    ) -> (LabelSet, Option<Arc<str>>) {
        let mut labels = self.fixed.clone();
        let mut tenant = self.tenant.clone();
        let mut text = String::new();
        for attribute in resource.attributes() {
            let key = attribute.key();
            for (label, _) in self.resource.iter().filter(|(_, name)| name == key) {
                *cut += u64::from(labels.set(label, as_text(attribute.value(), &mut text)));
            }
            if self.tenant_from.as_deref() == Some(key) {
                let text = as_text(attribute.value(), &mut text);
                if is_tenant(text) {
                    tenant = Some(Arc::from(text));
                }
            }
        }
        (labels, tenant)
    }

    /// Adds the labels that come from a record's attributes.
    pub(crate) fn record(&self, record: &LogRecord<'_>, labels: &mut LabelSet, cut: &mut u64) {
        let mut text = String::new();
        for attribute in record.attributes() {
            for (label, _) in self
                .record
                .iter()
                .filter(|(_, name)| name == attribute.key())
            {
                *cut += u64::from(labels.set(label, as_text(attribute.value(), &mut text)));
            }
        }
    }

    /// The metadata that every line of a resource and a scope has: what is in no label.
    pub(crate) fn common_metadata(
        &self,
        resource: Resource<'_>,
        scope: Scope<'_>,
        trimmed: &mut u64,
    ) -> Metadata {
        let mut metadata = Metadata::default();
        let Some(limits) = self.metadata else {
            return metadata;
        };
        for attribute in resource.attributes() {
            let key = attribute.key();
            let is_label = self.resource.iter().any(|(_, name)| name == key);
            if !is_label && self.tenant_from.as_deref() != Some(key) {
                metadata.add(key, attribute.value(), limits, trimmed);
            }
        }
        metadata.add_text(b"scope_name", scope.name().as_bytes(), limits, trimmed);
        metadata.add_text(
            b"scope_version",
            scope.version().as_bytes(),
            limits,
            trimmed,
        );
        for attribute in scope.attributes() {
            metadata.add(attribute.key(), attribute.value(), limits, trimmed);
        }
        metadata
    }

    /// Whether a record's attribute became a label, so that it is no metadata.
    pub(crate) fn is_record_label(&self, key: &str) -> bool {
        self.record.iter().any(|(_, name)| name == key)
    }
}

/// Whether Loki can have a tenant of this name: what it allows has no meaning in headers or paths.
pub(crate) fn is_tenant(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!-_.*'()".contains(&byte);
    (1..=150).contains(&name.len()) && name != "." && name != ".." && name.bytes().all(legal)
}

/// The value as text, in `buffer` unless it is one.
fn as_text<'a>(value: AnyValue<'a>, buffer: &'a mut String) -> &'a str {
    if let AnyValue::String(text) = value {
        return text;
    }
    buffer.clear();
    value.write_text(buffer);
    buffer
}

/// Encoded structured metadata: fields of an entry, ready to be copied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    pub(crate) encoded: Vec<u8>,
    /// Bytes as Loki counts them: of the names and of the values.
    pub(crate) bytes: usize,
    pub(crate) entries: usize,
    pair: Vec<u8>,
    name: Vec<u8>,
    text: String,
}

impl Metadata {
    pub(crate) fn clear(&mut self) {
        self.encoded.clear();
        self.bytes = 0;
        self.entries = 0;
    }

    /// Adds an attribute; maps are taken apart, `a: {b: 1}` becomes `a_b`. Counts what does not fit.
    pub(crate) fn add(
        &mut self,
        key: &str,
        value: AnyValue<'_>,
        limits: Limits,
        trimmed: &mut u64,
    ) {
        let mut name = std::mem::take(&mut self.name);
        name.clear();
        push_name(key, &mut name);
        self.add_named(&mut name, value, limits, trimmed);
        self.name = name;
    }

    fn add_named(
        &mut self,
        name: &mut Vec<u8>,
        value: AnyValue<'_>,
        limits: Limits,
        trimmed: &mut u64,
    ) {
        if let AnyValue::KvList(entries) = value {
            let own = name.len();
            for entry in entries {
                name.push(b'_');
                push_name(entry.key(), name);
                self.add_named(name, entry.value(), limits, trimmed);
                name.truncate(own);
            }
            return;
        }
        let mut text = std::mem::take(&mut self.text);
        let value = match value {
            AnyValue::String(text) => text.as_bytes(),
            other => {
                text.clear();
                other.write_text(&mut text);
                text.as_bytes()
            }
        };
        self.add_text(name, value, limits, trimmed);
        self.text = text;
    }

    /// Adds a legal name with its value.
    #[inline]
    pub(crate) fn add_text(
        &mut self,
        name: &[u8],
        value: &[u8],
        limits: Limits,
        trimmed: &mut u64,
    ) {
        // To Loki an empty value is none.
        if value.is_empty() {
            return;
        }
        let bytes = self.bytes + name.len() + value.len();
        if bytes > limits.bytes || self.entries >= limits.entries {
            *trimmed += 1;
            return;
        }
        self.bytes = bytes;
        self.entries += 1;
        self.pair.clear();
        put_bytes_field(&mut self.pair, 1, name);
        put_bytes_field(&mut self.pair, 2, value);
        put_bytes_field(&mut self.encoded, METADATA, &self.pair);
    }
}

/// Common metadata, shared by the runs of one scope.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) encoded: Bytes,
    pub(crate) bytes: usize,
    pub(crate) entries: usize,
}

impl std::convert::From<Metadata> for Common {
    fn from(metadata: Metadata) -> Self {
        Self {
            encoded: metadata.encoded.into(),
            bytes: metadata.bytes,
            entries: metadata.entries,
        }
    }
}
