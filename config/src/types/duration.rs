//! Durations as Go writes them.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time in Go's notation: numbers with the units `ns`, `us`, `ms`, `s`, `m`, `h`, such as `5s`,
/// `1m30s`, `200ms`, `1.5h`; `0` needs no unit. Never negative, at most 292 years.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(std::time::Duration);

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(std::time::Duration::ZERO);

    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }

    /// So many milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(std::time::Duration::from_millis(milliseconds))
    }

    /// The standard library's duration.
    pub const fn get(self) -> std::time::Duration {
        self.0
    }

    /// Whether it is no time at all, which many settings take for "never" or "no limit".
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// The standard library's duration, or `None` when it is zero.
    pub fn non_zero(self) -> Option<std::time::Duration> {
        (!self.is_zero()).then_some(self.0)
    }
}

impl From<std::time::Duration> for Duration {
    fn from(duration: std::time::Duration) -> Self {
        Self(duration)
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

/// The text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {EXPECTED}, found '{0}'")]
pub struct ParseDurationError(String);

const EXPECTED: &str = "a duration such as 5s, 1m30s or 200ms";
/// Go counts nanoseconds in an `int64`.
const LONGEST: u128 = i64::MAX as u128;

impl FromStr for Duration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, ParseDurationError> {
        nanoseconds(text)
            .and_then(|total| u64::try_from(total).ok())
            .map(|total| Self(std::time::Duration::from_nanos(total)))
            .ok_or_else(|| ParseDurationError(text.to_owned()))
    }
}

fn nanoseconds(text: &str) -> Option<u128> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_u128;
    while !rest.is_empty() {
        let (number, after) =
            rest.split_at_checked(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?)?;
        let end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        let scale: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || whole.len() > 19 {
            return None;
        }
        let whole: u128 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        total = total.checked_add(whole.checked_mul(scale)?)?;
        let mut digit_scale = scale;
        for digit in fraction.bytes() {
            digit_scale /= 10;
            total = total.checked_add(u128::from(digit - b'0') * digit_scale)?;
        }
        if total > LONGEST {
            return None;
        }
        rest = after;
    }
    Some(total)
}

/// Go's `Duration.String`: `1h30m0s`, `1.5s`, `200ms`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0.as_secs(), self.0.subsec_nanos());
        if seconds == 0 {
            return match nanos {
                0 => f.write_str("0s"),
                1..1_000 => write!(f, "{nanos}ns"),
                1_000..1_000_000 => decimal(f, nanos / 1_000, nanos % 1_000, 3, "µs"),
                _ => decimal(f, nanos / 1_000_000, nanos % 1_000_000, 6, "ms"),
            };
        }
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        if hours > 0 {
            write!(f, "{hours}h{minutes}m")?;
        } else if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        decimal(f, seconds % 60, nanos, 9, "s")
    }
}

fn decimal(
    f: &mut fmt::Formatter<'_>,
    whole: impl fmt::Display,
    fraction: u32,
    digits: usize,
    unit: &str,
) -> fmt::Result {
    if fraction == 0 {
        return write!(f, "{whole}{unit}");
    }
    let fraction = format!("{fraction:0digits$}");
    write!(f, "{whole}.{}{unit}", fraction.trim_end_matches('0'))
}

impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
                text.parse()
                    .map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }

            // The Collector takes a bare number for nanoseconds. Nobody means that, so only 0 is
            // let through.
            fn visit_u64<E: Error>(self, number: u64) -> Result<Duration, E> {
                if number == 0 {
                    return Ok(Duration::ZERO);
                }
                Err(E::custom(format_args!(
                    "expected {EXPECTED}, found the number {number} without a unit; write {number}s for seconds"
                )))
            }
        }
        deserializer.deserialize_any(Written)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl schemars::JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "integer"],
            "format": "duration",
            "pattern": r"^(0|\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$",
            "maximum": 0,
            "minimum": 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_and_writes_like_go() {
        for (text, nanos, shown) in [
            ("5s", 5_000_000_000, "5s"),
            ("1m30s", 90_000_000_000, "1m30s"),
            ("200ms", 200_000_000, "200ms"),
            ("1.5h", 5_400_000_000_000, "1h30m0s"),
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
            ("1.5s", 1_500_000_000, "1.5s"),
            (".5s", 500_000_000, "500ms"),
            ("1.s", 1_000_000_000, "1s"),
            ("100us", 100_000, "100µs"),
            ("3ns", 3, "3ns"),
            ("1h1ms", 3_600_001_000_000, "1h0m0.001s"),
            ("1500us", 1_500_000, "1.5ms"),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.get().as_nanos(), nanos, "{text}");
            assert_eq!(duration.to_string(), shown, "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "5 s",
            "5sec",
            ".s",
            "1..5s",
            "1e3s",
            "300000000h",
            "99999999999999999999999999s",
        ] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(nanos in 0..i64::MAX.unsigned_abs()) {
            let duration = Duration(std::time::Duration::from_nanos(nanos));
            prop_assert_eq!(duration.to_string().parse::<Duration>(), Ok(duration));
        }

        #[test]
        fn any_text_is_read_or_refused(text in r"[0-9.smhµnu+-]{0,12}|\PC{0,8}") {
            let read = text.parse::<Duration>();
            prop_assert!(read.is_ok() || read.is_err());
        }
    }
}
