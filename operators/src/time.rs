//! Times in text, by a layout.

mod layout;
mod zone;

pub(crate) use layout::Layout;
pub(crate) use zone::{Location, Zones};

use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

use crate::value::Value;
use layout::Parts;

/// The layouts of `epoch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Epoch {
    Seconds,
    Millis,
    Micros,
    Nanos,
    /// `s.ms`, `s.us` and `s.ns`: seconds with a fraction, of which so many digits count.
    Fraction(usize),
}

impl Epoch {
    pub(crate) fn of(layout: &str) -> Option<Self> {
        Some(match layout {
            "s" => Self::Seconds,
            "ms" => Self::Millis,
            "us" => Self::Micros,
            "ns" => Self::Nanos,
            "s.ms" => Self::Fraction(3),
            "s.us" => Self::Fraction(6),
            "s.ns" => Self::Fraction(9),
            _ => return None,
        })
    }

    /// How many of it are a second.
    fn per_second(self) -> i64 {
        match self {
            Self::Seconds | Self::Fraction(_) => 1,
            Self::Millis => 1000,
            Self::Micros => 1_000_000,
            Self::Nanos => 1_000_000_000,
        }
    }

    /// Nanoseconds since 1970.
    pub(crate) fn parse(self, value: &Value) -> Result<i128, String> {
        let nanos_each = i128::from(1_000_000_000 / self.per_second());
        match value {
            Value::Int(value) => Ok(i128::from(*value) * nanos_each),
            Value::Float(value) => {
                if !value.is_finite() || value.abs() > 1e19 {
                    return Err(format!("the number {value} is no time"));
                }
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "bounded above; a fraction of a nanosecond is nothing"
                )]
                let whole = value.trunc() as i128;
                #[expect(clippy::cast_possible_truncation, reason = "less than one second")]
                let fraction = match self {
                    // A double of this size has about 100 ns left; what was written counts.
                    Self::Fraction(digits) => {
                        let scale = [1.0, 1e3, 1e6, 1e9].get(digits / 3).copied().unwrap_or(1.0);
                        ((value.fract() * scale).round() as i128)
                            * (1_000_000_000.0 / scale) as i128
                    }
                    _ => (value.fract() * 1e9) as i128 / i128::from(self.per_second()),
                };
                Ok(whole * nanos_each + fraction)
            }
            Value::Str(text) => self
                .text(text.trim())
                .ok_or_else(|| format!("expected a number since 1970, found '{}'", short(text))),
            other => Err(format!(
                "expected a number or text, found {}",
                other.type_name()
            )),
        }
    }

    fn text(self, text: &str) -> Option<i128> {
        let (whole, fraction) = match self {
            Self::Fraction(_) => text.split_once('.').unwrap_or((text, "")),
            _ => (text, ""),
        };
        let negative = whole.starts_with('-');
        let whole: i64 = whole.parse().ok()?;
        let mut nanos = i128::from(whole) * i128::from(1_000_000_000 / self.per_second());
        if let Self::Fraction(digits) = self {
            if !fraction.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            let part = fraction
                .bytes()
                .chain(std::iter::repeat(b'0'))
                .take(digits.max(fraction.len().min(9)))
                .chain(std::iter::repeat(b'0'))
                .take(9)
                .fold(0_i128, |nanos, digit| nanos * 10 + i128::from(digit - b'0'));
            nanos += if negative { -part } else { part };
        }
        Some(nanos)
    }
}

/// Reads a time of `layout`; what it leaves open comes from `zones` and, for the year, from `now` (nanoseconds since 1970).
pub(crate) fn parse(layout: &Layout, zones: &Zones, text: &str, now: i128) -> Result<i128, String> {
    let parts = layout.read(text).ok_or_else(|| {
        format!(
            "expected a time like '{}', found '{}'",
            layout.text(),
            short(text)
        )
    })?;
    instant(&parts, zones, now).ok_or_else(|| format!("there is no time '{}'", short(text)))
}

fn instant(parts: &Parts<'_>, zones: &Zones, now: i128) -> Option<i128> {
    let year_known = parts.year.is_some();
    let now_year = || {
        let now = jiff::Timestamp::from_nanosecond(now).ok()?;
        Some(Offset::UTC.to_datetime(now).year())
    };
    let year = match parts.year {
        Some(year) => year,
        None => now_year()?,
    };
    let date = match parts.day_of_year {
        Some(day) => Date::new(year, 1, 1)
            .ok()?
            .checked_add(jiff::Span::new().days(i64::from(day) - 1))
            .ok()?,
        None => Date::new(year, parts.month.unwrap_or(1), parts.day.unwrap_or(1)).ok()?,
    };
    let hour = match (parts.hour, parts.afternoon) {
        (hour, Some(true)) if hour < 12 => hour + 12,
        (12, Some(false)) => 0,
        (hour, _) => hour,
    };
    let at = |date: Date| {
        // A leap second is the next one.
        let (second, leap) = match parts.second {
            60 => (59, 1_000_000_000),
            second => (second, 0),
        };
        let time = DateTime::new(
            date.year(),
            date.month(),
            date.day(),
            hour,
            parts.minute,
            second,
            parts.nanos,
        );
        let time = time.ok()?;
        let instant = match parts.offset {
            Some(seconds) => Offset::from_seconds(seconds)
                .ok()?
                .to_timestamp(time)
                .ok()?,
            None => zones.instant(time, parts.zone)?,
        };
        Some(instant.as_nanosecond() + leap)
    };
    let instant = at(date)?;
    if !year_known && instant > now + 7 * 24 * 3600 * 1_000_000_000 {
        // December's lines in January: a date more than a week ahead is last year's.
        let date = Date::new(year - 1, date.month(), date.day());
        // There was no February 29.
        return date.ok().and_then(at).or(Some(instant));
    }
    Some(instant)
}

/// Enough of a text for a message.
pub(crate) fn short(text: &str) -> String {
    let mut short: String = text.chars().take(64).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
