//! Which format a scraper gets: what it asks for in `Accept`, best first.

use http::HeaderMap;
use http::header::ACCEPT;

use crate::escaping::Escaping;

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// Prometheus's text format, 0.0.4 (and 1.0.0, which is the same with UTF-8 names in quotes).
    Text,
    /// OpenMetrics 1.0: units, exemplars, `# EOF`.
    OpenMetrics,
    /// `io.prometheus.client.MetricFamily`, each after its length: exemplars and native histograms.
    Protobuf,
}

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// The format.
    pub syntax: Syntax,
    /// What becomes of names that older scrapers do not accept.
    pub escaping: Escaping,
    /// Its content type.
    content_type: &'static str,
}

/// The content type of a format without an escaping, and with each of them.
struct ContentTypes {
    syntax: Syntax,
    plain: &'static str,
    allow_utf8: Option<&'static str>,
    underscores: &'static str,
    dots: &'static str,
    values: &'static str,
}

macro_rules! content_types {
    ($syntax:ident, $base:literal, $utf8:expr) => {
        ContentTypes {
            syntax: Syntax::$syntax,
            plain: $base,
            allow_utf8: $utf8,
            underscores: concat!($base, "; escaping=underscores"),
            dots: concat!($base, "; escaping=dots"),
            values: concat!($base, "; escaping=values"),
        }
    };
}

// UTF-8 names came with the versions 1.0.0 of the text formats.
static TEXT_0: ContentTypes =
    content_types!(Text, "text/plain; version=0.0.4; charset=utf-8", None);
static TEXT_1: ContentTypes = content_types!(
    Text,
    "text/plain; version=1.0.0; charset=utf-8",
    Some("text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8")
);
static OPEN_METRICS_0: ContentTypes = content_types!(
    OpenMetrics,
    "application/openmetrics-text; version=0.0.1; charset=utf-8",
    None
);
static OPEN_METRICS_1: ContentTypes = content_types!(
    OpenMetrics,
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
    Some("application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8")
);
static PROTOBUF: ContentTypes = content_types!(
    Protobuf,
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
    Some(
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=allow-utf-8"
    )
);

impl ContentTypes {
    /// The format with the escaping that is asked for; what is not known is as if nothing was.
    fn escaped(&self, escaping: Option<&str>) -> Format {
        let (escaping, content_type) = match escaping.and_then(Escaping::named) {
            None => (Escaping::Underscores, self.plain),
            Some(Escaping::AllowUtf8) => match self.allow_utf8 {
                Some(content_type) => (Escaping::AllowUtf8, content_type),
                None => (Escaping::Underscores, self.plain),
            },
            Some(Escaping::Underscores) => (Escaping::Underscores, self.underscores),
            Some(Escaping::Dots) => (Escaping::Dots, self.dots),
            Some(Escaping::Values) => (Escaping::Values, self.values),
        };
        Format {
            syntax: self.syntax,
            escaping,
            content_type,
        }
    }
}

impl Format {
    /// Text 0.0.4: what everybody reads.
    pub const TEXT: Self = Self {
        syntax: Syntax::Text,
        escaping: Escaping::Underscores,
        content_type: "text/plain; version=0.0.4; charset=utf-8",
    };

    /// OpenMetrics 1.0 without UTF-8 names.
    pub const OPEN_METRICS: Self = Self {
        syntax: Syntax::OpenMetrics,
        escaping: Escaping::Underscores,
        content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8",
    };

    /// Protobuf without UTF-8 names.
    pub const PROTOBUF: Self = Self {
        syntax: Syntax::Protobuf,
        escaping: Escaping::Underscores,
        content_type: "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
    };

    /// The best format that the request accepts; text 0.0.4 when it accepts none that there is, since
    /// every scraper reads it. OpenMetrics only with `open_metrics`.
    #[must_use]
    pub fn negotiate(headers: &HeaderMap, open_metrics: bool) -> Self {
        let mut best: Option<(u16, Self)> = None;
        for range in ranges(headers, &ACCEPT) {
            let Some(format) = Self::of_range(&range, open_metrics) else {
                continue;
            };
            // Of equals the first stays.
            if range.weight > best.map_or(0, |(weight, _)| weight) {
                best = Some((range.weight, format));
            }
        }
        best.map_or(Self::TEXT, |(_, format)| format)
    }

    fn of_range(range: &Range<'_>, open_metrics: bool) -> Option<Self> {
        let is = |name: &str| range.name.eq_ignore_ascii_case(name);
        let version = range.parameter("version");
        let dialect = if is("application/vnd.google.protobuf") {
            let proto = range.parameter("proto");
            let encoding = range.parameter("encoding");
            let known = proto == Some("io.prometheus.client.MetricFamily")
                && encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case("delimited"));
            known.then_some(&PROTOBUF)?
        } else if is("application/openmetrics-text") {
            match version {
                _ if !open_metrics => return None,
                Some("1.0.0") => &OPEN_METRICS_1,
                None | Some("0.0.1") => &OPEN_METRICS_0,
                Some(_) => return None,
            }
        } else if is("text/plain") {
            match version {
                Some("1.0.0") => &TEXT_1,
                None | Some("0.0.4") => &TEXT_0,
                Some(_) => return None,
            }
        } else if is("text/*") || is("*/*") {
            &TEXT_0
        } else {
            return None;
        };
        Some(dialect.escaped(range.parameter("escaping")))
    }

    /// For the header `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        self.content_type
    }
}

/// One alternative of an `Accept…` header.
pub(crate) struct Range<'a> {
    pub(crate) name: &'a str,
    parameters: &'a str,
    /// Thousandths.
    pub(crate) weight: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Self {
        let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
        let mut range = Self {
            name: name.trim(),
            parameters,
            weight: 1000,
        };
        if let Some(weight) = range.parameter("q") {
            let weight: f64 = weight.parse().unwrap_or(0.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and 1000"
            )]
            let thousandths = (weight.clamp(0.0, 1.0) * 1000.0) as u16;
            range.weight = thousandths;
        }
        range
    }

    fn parameter(&self, wanted: &str) -> Option<&'a str> {
        self.parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            let value = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case(wanted).then_some(value)
        })
    }
}

pub(crate) fn ranges<'a>(
    headers: &'a HeaderMap,
    name: &http::HeaderName,
) -> impl Iterator<Item = Range<'a>> + use<'a> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(Range::parse)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn negotiated(accept: &str, open_metrics: bool) -> &'static str {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(accept) {
            headers.insert(ACCEPT, value);
        }
        Format::negotiate(&headers, open_metrics).content_type()
    }

    #[test]
    fn the_best_that_there_is() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_2_native = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3_native = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        let text = Format::TEXT.content_type();
        let open_metrics = Format::OPEN_METRICS.content_type();
        for (accept, open, expected) in [
            ("", true, text),
            ("*/*", true, text),
            ("text/plain", true, text),
            ("text/html, */*;q=0.8", true, text),
            ("application/json", true, text),
            (prometheus_2, true, open_metrics),
            (prometheus_2, false, text),
            (prometheus_2_native, true, Format::PROTOBUF.content_type()),
            (prometheus_3, true, OPEN_METRICS_1.allow_utf8.unwrap()),
            (prometheus_3, false, TEXT_1.allow_utf8.unwrap()),
            (prometheus_3_native, false, PROTOBUF.allow_utf8.unwrap()),
            // Text and JSON forms of the same messages are not written.
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
                true,
                text,
            ),
            ("application/vnd.google.protobuf", true, text),
            (
                "application/openmetrics-text; version=1.0.0; escaping=underscores",
                true,
                OPEN_METRICS_1.underscores,
            ),
            ("text/plain;version=1.0.0;escaping=dots", true, TEXT_1.dots),
            (
                "text/plain;version=0.0.4;escaping=VALUES",
                true,
                TEXT_0.values,
            ),
            ("text/plain;version=0.0.4;escaping=allow-utf-8", true, text),
            ("text/plain;version=1.0.0;escaping=new", true, TEXT_1.plain),
            (
                "application/openmetrics-text;version=\"1.0.0\"",
                true,
                open_metrics,
            ),
            ("application/openmetrics-text", true, OPEN_METRICS_0.plain),
            ("application/openmetrics-text;version=2.0.0", true, text),
            (
                "application/openmetrics-text;version=1.0.0;q=0, text/plain;q=0.1",
                true,
                text,
            ),
            (
                "text/plain;q=0.9, application/openmetrics-text;version=1.0.0;q=0.9",
                true,
                text,
            ),
        ] {
            assert_eq!(negotiated(accept, open), expected, "{accept}");
        }
    }

    proptest! {
        #[test]
        fn any_header_gets_a_format(accept in "[ -~]{0,80}") {
            prop_assert!(!negotiated(&accept, true).is_empty());
        }
    }
}
