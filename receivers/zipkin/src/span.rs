//! What a span is in Zipkin, however it is written.

use std::borrow::Cow;
use std::net::IpAddr;

/// How many tags, and how many annotations, a span may have: small ones take far more room in memory than in a request.
pub(crate) const MOST: usize = 1 << 16;
pub(crate) const TOO_MANY: &str = "a span has more than 65536 tags or annotations";

/// A request that is no list of spans.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    /// Not JSON, or not spans: with line and column.
    #[error("expected a list of Zipkin's spans, version 2: {0}")]
    Json(#[from] serde_json::Error),
    /// Not protobuf, or text that is not UTF-8.
    #[error("expected zipkin.proto3.ListOfSpans: {0}")]
    Protobuf(&'static str),
    /// A span that cannot be one.
    #[error("span {index}: {source}")]
    Span {
        /// Its place in the request, from 0.
        index: usize,
        /// What is wrong.
        source: NoSpan,
    },
}

impl Malformed {
    /// A label for metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Json(_) => "damaged_json",
            Self::Protobuf(_) => "damaged_protobuf",
            Self::Span { .. } => "invalid_span",
        }
    }
}

/// Why something is no span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoSpan {
    #[error("expected a trace id of 1 to 32 hexadecimal digits that is not zero")]
    TraceId,
    #[error("expected an id of 1 to 16 hexadecimal digits that is not zero")]
    Id,
    #[error("expected a parent id of 1 to 16 hexadecimal digits")]
    ParentId,
    #[error("has binary annotations, which is Zipkin's version 1; send version 2")]
    Version1,
}

/// A span.
#[derive(Debug, Default)]
pub(crate) struct Span<'a> {
    pub(crate) trace_id: [u8; 16],
    pub(crate) id: [u8; 8],
    /// None for a root, or when it would be its own parent.
    pub(crate) parent: Option<[u8; 8]>,
    pub(crate) kind: Kind,
    pub(crate) name: Cow<'a, str>,
    /// Microseconds since 1970; 0 when it is not known.
    pub(crate) timestamp: u64,
    /// Microseconds.
    pub(crate) duration: u64,
    pub(crate) local: Endpoint<'a>,
    pub(crate) remote: Endpoint<'a>,
    pub(crate) annotations: Vec<Annotation<'a>>,
    pub(crate) tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// What a span's process did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Unspecified,
    Client,
    Server,
    Producer,
    Consumer,
}

/// A side of a call.
#[derive(Debug, Default)]
pub(crate) struct Endpoint<'a> {
    pub(crate) service: Cow<'a, str>,
    /// The address in its usual spelling; empty when it is not known.
    pub(crate) address: Cow<'a, str>,
    /// 0 when it is not known.
    pub(crate) port: u16,
}

/// What happened while a span ran.
#[derive(Debug, Default)]
pub(crate) struct Annotation<'a> {
    /// Microseconds since 1970.
    pub(crate) timestamp: u64,
    pub(crate) value: Cow<'a, str>,
}

/// The address of an endpoint: the one of version 6 wins when it has both, as in the Collector.
pub(crate) fn address<'a>(v4: Option<IpAddr>, v6: Option<IpAddr>) -> Cow<'a, str> {
    let address = v6.or(v4).map(|address| address.to_canonical());
    address.map_or(Cow::Borrowed(""), |address| Cow::Owned(address.to_string()))
}

/// A trace's id of up to 32 hexadecimal digits; shorter ones are filled up in front, as Zipkin's 64-bit ids are.
pub(crate) fn trace_id(hex: &str) -> Result<[u8; 16], NoSpan> {
    let id = number(hex, 32).ok_or(NoSpan::TraceId)?;
    if id == 0 {
        return Err(NoSpan::TraceId);
    }
    Ok(id.to_be_bytes())
}

/// A span's id of up to 16 hexadecimal digits.
pub(crate) fn span_id(hex: &str) -> Result<[u8; 8], NoSpan> {
    let id = number(hex, 16).and_then(|id| u64::try_from(id).ok());
    match id {
        Some(id) if id != 0 => Ok(id.to_be_bytes()),
        _ => Err(NoSpan::Id),
    }
}

/// A parent's id; none when it is zero or empty.
pub(crate) fn parent_id(hex: &str) -> Result<Option<[u8; 8]>, NoSpan> {
    if hex.is_empty() {
        return Ok(None);
    }
    let id = number(hex, 16).and_then(|id| u64::try_from(id).ok());
    let id = id.ok_or(NoSpan::ParentId)?;
    Ok((id != 0).then(|| id.to_be_bytes()))
}

fn number(hex: &str, most: usize) -> Option<u128> {
    // `from_str_radix` would take a sign.
    let digits = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex.len() > most || !digits {
        return None;
    }
    u128::from_str_radix(hex, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_both_widths_are_read() {
        let short = trace_id("463ac35c9f6413ad").unwrap();
        assert_eq!(hex::encode(short), "0000000000000000463ac35c9f6413ad");
        let long = trace_id("463AC35C9F6413AD48485a3953bb6124").unwrap();
        assert_eq!(hex::encode(long), "463ac35c9f6413ad48485a3953bb6124");
        assert_eq!(span_id("a2fb4a1d1a96d312").unwrap()[0], 0xa2);
        assert_eq!(span_id("1").unwrap(), [0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(parent_id("0").unwrap(), None);
        assert_eq!(parent_id("").unwrap(), None);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for id in ["", "0", "+1", "g", "463ac35c9f6413ad48485a3953bb61240"] {
            assert_eq!(trace_id(id), Err(NoSpan::TraceId), "{id}");
        }
        for id in ["", "0", "-1", "a2fb4a1d1a96d3120"] {
            assert_eq!(span_id(id), Err(NoSpan::Id), "{id}");
        }
        assert_eq!(parent_id("x"), Err(NoSpan::ParentId));
    }

    #[test]
    fn addresses_are_spelled_as_usual() {
        let v4 = "192.168.99.1".parse().ok();
        let v6 = "2001:DB8:0:0::C001".parse().ok();
        assert_eq!(address(v4, None), "192.168.99.1");
        assert_eq!(address(v4, v6), "2001:db8::c001");
        assert_eq!(address(None, "::ffff:10.0.0.1".parse().ok()), "10.0.0.1");
        assert_eq!(address(None, None), "");
    }
}
