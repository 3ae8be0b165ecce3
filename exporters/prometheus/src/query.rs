//! Which collectors a scrape asks for: `?collect[]=cpu&collect[]=meminfo`, `?exclude[]=arp`.

use std::time::{Duration, Instant};

use corten_component::CollectRequest;
use http::HeaderMap;

/// A query that asks for two things at a time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Combined;

/// The request of a scrape with this query, to be answered within `timeout`.
pub(crate) fn collect_request(query: &str, timeout: Duration) -> Result<CollectRequest, Combined> {
    let mut request = CollectRequest {
        include: Vec::new(),
        exclude: Vec::new(),
        deadline: Instant::now() + timeout,
    };
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match decoded(name).as_str() {
            "collect[]" => request.include.push(decoded(value)),
            "exclude[]" => request.exclude.push(decoded(value)),
            _ => {}
        }
    }
    if request.include.is_empty() || request.exclude.is_empty() {
        Ok(request)
    } else {
        Err(Combined)
    }
}

/// How long the scraper waits, less what it takes to answer; `otherwise` if it does not say.
pub(crate) fn timeout(headers: &HeaderMap, otherwise: Duration) -> Duration {
    let said = headers
        .get("X-Prometheus-Scrape-Timeout-Seconds")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.trim().parse::<f64>().ok())
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        // Nobody waits longer than a day; an instant that far away may not exist.
        .map(|said| said.min(Duration::from_secs(86_400)));
    match said {
        Some(said) => said.saturating_sub((said / 10).min(Duration::from_millis(500))),
        None => otherwise,
    }
}

/// Undoes `%5B` and `+`; what is no text becomes replacement characters.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        let hex = |byte: &u8| {
            char::from(*byte)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        match (byte, tail) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, behind @ ..]) => match (hex(high), hex(low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = behind;
                }
                _ => bytes.push(b'%'),
            },
            _ => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn asked(query: &str) -> Result<(Vec<String>, Vec<String>), Combined> {
        collect_request(query, Duration::from_secs(1))
            .map(|request| (request.include, request.exclude))
    }

    #[test]
    fn collectors() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(asked(""), Ok((names(&[]), names(&[]))));
        assert_eq!(
            asked("collect[]=cpu&x=y&collect%5b%5D=mem%69nfo"),
            Ok((names(&["cpu", "meminfo"]), names(&[])))
        );
        assert_eq!(asked("exclude[]=arp&"), Ok((names(&[]), names(&["arp"]))));
        assert_eq!(
            asked("collect[]=a+b%zz%"),
            Ok((names(&["a b%zz%"]), names(&[])))
        );
        assert_eq!(asked("collect[]=cpu&exclude[]=arp"), Err(Combined));
    }

    #[test]
    fn the_scraper_says_how_long_it_waits() {
        let otherwise = Duration::from_secs(10);
        for (said, expected) in [
            ("10", 9500),
            ("1", 900),
            ("0.5", 450),
            ("0", 10_000),
            ("-1", 10_000),
            ("NaN", 10_000),
            ("1e300", 10_000),
            ("soon", 10_000),
            ("1e15", 86_399_500),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(
                "x-prometheus-scrape-timeout-seconds",
                HeaderValue::from_static(said),
            );
            assert_eq!(
                timeout(&headers, otherwise),
                Duration::from_millis(expected),
                "{said}"
            );
        }
        assert_eq!(timeout(&HeaderMap::new(), otherwise), otherwise);
    }
}
