//! What a span is in Jaeger, however it is written.

/// How many tags, logs and references a span may have: small ones take far more room in memory than in a message.
pub(crate) const MOST: usize = 1 << 16;
pub(crate) const TOO_MANY: Malformed =
    Malformed::Damaged("a span has more than 65536 tags, logs or references");

/// A message that is no batch of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// The encoding is broken.
    #[error("expected a batch of Jaeger's spans: {0}")]
    Damaged(&'static str),
    /// A required field is not there.
    #[error("expected a batch of Jaeger's spans: {0} is missing")]
    Missing(&'static str),
    /// A call of another method.
    #[error("expected a call of emitBatch")]
    Method,
}

impl Malformed {
    /// A label for metrics.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Damaged(_) => "damaged",
            Self::Missing(_) => "missing_field",
            Self::Method => "unknown_method",
        }
    }
}

/// Who made spans.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Process<'a> {
    pub(crate) service: &'a str,
    pub(crate) tags: Vec<Tag<'a>>,
}

/// A span.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Span<'a> {
    /// High half first.
    pub(crate) trace_id: [u8; 16],
    pub(crate) id: [u8; 8],
    /// As the span itself says it; its references may say it instead.
    pub(crate) parent: [u8; 8],
    pub(crate) name: &'a str,
    pub(crate) references: Vec<Reference>,
    /// Nanoseconds since 1970.
    pub(crate) start: u64,
    /// Nanoseconds since 1970.
    pub(crate) end: u64,
    pub(crate) tags: Vec<Tag<'a>>,
    pub(crate) logs: Vec<Log<'a>>,
}

/// A span that this one refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) child_of: bool,
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
}

/// A key with a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tag<'a> {
    pub(crate) key: &'a str,
    pub(crate) value: Value<'a>,
}

/// A tag's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
    /// Of a type that Jaeger does not have.
    Unknown(i64),
}

impl<'a> Value<'a> {
    /// Its text; nothing for any other value.
    pub(crate) fn text(self) -> &'a str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }
}

/// What happened while a span ran.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Log<'a> {
    /// Nanoseconds since 1970.
    pub(crate) time: u64,
    pub(crate) fields: Vec<Tag<'a>>,
}

impl Span<'_> {
    /// Whether there is nothing in it: such spans are left out, as in the Collector.
    pub(crate) fn is_blank(&self) -> bool {
        *self == Span::default()
    }

    /// The parent: what the span says; else the first it is a child of within the trace, else the first it follows there.
    pub(crate) fn parent(&self) -> [u8; 8] {
        if self.parent != [0; 8] {
            return self.parent;
        }
        let mut within = self
            .references
            .iter()
            .filter(|reference| reference.trace_id == self.trace_id);
        let child_of = within.clone().find(|reference| reference.child_of);
        let parent = child_of.or_else(|| within.next());
        parent.map(|parent| parent.span_id).unwrap_or_default()
    }
}

/// Nanoseconds since 1970 of microseconds; times before count as 1970.
pub(crate) fn from_micros(micros: i64) -> u64 {
    u64::try_from(micros)
        .unwrap_or_default()
        .saturating_mul(1000)
}
