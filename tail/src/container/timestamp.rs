//! RFC 3339 timestamps as container runtimes write them.

/// Reads timestamps, remembering the last minute: the lines of one file differ in their seconds.
#[derive(Debug, Clone, Default)]
pub struct Timestamps {
    /// `2026-01-01T00:00`
    minute: [u8; 16],
    /// Seconds from 1970 to that minute, as if it were UTC.
    base: i64,
}

impl Timestamps {
    /// Nanoseconds since 1970 (UTC) of `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)`. `None` when it is anything else, or
    /// outside of 1970…2554. Digits of the fraction beyond the ninth are dropped.
    pub fn parse(&mut self, text: &[u8]) -> Option<u64> {
        let (minute, rest) = text.split_first_chunk::<16>()?;
        if *minute != self.minute {
            self.base = minute_base(minute)?;
            self.minute = *minute;
        }
        let (&[b':', tens, ones], mut rest) = rest.split_first_chunk::<3>()? else {
            return None;
        };
        let seconds = two(tens, ones)?;
        // 60 is a leap second.
        if seconds > 60 {
            return None;
        }
        let mut nanos = 0;
        if let Some((b'.', fraction)) = rest.split_first() {
            rest = fraction;
            let mut scale = 100_000_000;
            let mut any = false;
            while let Some((digit @ b'0'..=b'9', after)) = rest.split_first() {
                nanos += i64::from(*digit - b'0') * scale;
                scale /= 10;
                any = true;
                rest = after;
            }
            if !any {
                return None;
            }
        }
        let east = match *rest {
            [b'Z' | b'z'] => 0,
            [sign @ (b'+' | b'-'), a, b, b':', c, d] => {
                let (hours, minutes) = (two(a, b)?, two(c, d)?);
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let offset = hours * 3600 + minutes * 60;
                if sign == b'+' { offset } else { -offset }
            }
            _ => return None,
        };
        let seconds = u64::try_from(self.base + seconds - east).ok()?;
        seconds
            .checked_mul(1_000_000_000)?
            .checked_add(u64::try_from(nanos).ok()?)
    }
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

fn minute_base(text: &[u8; 16]) -> Option<i64> {
    let &[
        c,
        d,
        y,
        z,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T' | b't' | b' ',
        h1,
        h2,
        b':',
        n1,
        n2,
    ] = text
    else {
        return None;
    };
    let year = two(c, d)? * 100 + two(y, z)?;
    let month = two(m1, m2)?;
    let day = two(d1, d2)?;
    let (hour, minute) = (two(h1, h2)?, two(n1, n2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if day < 1 || day > days_in_month || hour > 23 || minute > 59 {
        return None;
    }
    // Days since 1970 with years that begin in March, so that the leap day is a year's last.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    Some((days - 719_468) * 86_400 + hour * 3600 + minute * 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reference(text: &str) -> Option<u64> {
        let stamp: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(stamp.as_nanosecond()).ok()
    }

    #[test]
    fn reads_what_the_runtimes_write() {
        let mut stamps = Timestamps::default();
        for text in [
            "2026-01-01T00:00:00.000000000Z",
            "2026-01-01T00:00:59.123456789Z",
            "2024-02-29T23:59:59.9Z",
            "2000-03-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
            "2026-08-22T10:15:30.123456789+02:00",
            "2026-08-22T10:15:30.1-11:30",
        ] {
            assert_eq!(
                stamps.parse(text.as_bytes()),
                Some(reference(text).unwrap()),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_is_no_timestamp() {
        let mut stamps = Timestamps::default();
        for text in [
            "",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:61Z",
            "2026-01-01T00:00:0xZ",
            "2026-01-01T00:00:00Z ",
            "2026-01-01T00:00:00+2:00",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "2026/01/01T00:00:00Z",
        ] {
            assert_eq!(stamps.parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_reference(
            seconds in 0i64..9_000_000_000, nanos in 0i32..1_000_000_000, digits in 0usize..10,
            east in -1439i64..1440,
        ) {
            let local = jiff::Timestamp::new(seconds + 86_400 + east * 60, nanos).unwrap();
            let text = format!("{local:.digits$}");
            let text = if east == 0 {
                text
            } else {
                let (sign, east) = if east < 0 { ('-', -east) } else { ('+', east) };
                format!("{}{sign}{:02}:{:02}", text.trim_end_matches('Z'), east / 60, east % 60)
            };
            let mut stamps = Timestamps::default();
            prop_assert_eq!(stamps.parse(text.as_bytes()), Some(reference(&text).unwrap()), "{}", text);
            prop_assert_eq!(stamps.parse(text.as_bytes()), Some(reference(&text).unwrap()), "again: {}", text);
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            Timestamps::default().parse(&bytes);
        }
    }
}
