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
    /// The time at the beginning of a line, as containerd writes it: in UTC with nine digits, `2026-01-01T00:00:00.000000000Z `, and what
    /// follows. `None` when it is anything else, which may be a time nevertheless.
    #[inline]
    pub(super) fn leading<'a>(&mut self, line: &'a [u8]) -> Option<(u64, &'a [u8])> {
        let (minute, rest) = line.split_first_chunk::<16>()?;
        let (&[b':', tens, ones, b'.', first, ref fraction @ ..], rest) =
            rest.split_first_chunk::<13>()?
        else {
            return None;
        };
        let rest = rest.strip_prefix(b"Z ")?;
        let (seconds, fraction) = (two(tens, ones)?, eight(*fraction)?);
        if *minute != self.minute || minute[0] == 0 || seconds > 60 || !first.is_ascii_digit() {
            return None;
        }
        let seconds = u64::try_from(self.base + seconds).ok()?;
        let nanos = u64::from(first - b'0') * 100_000_000 + fraction;
        Some((
            seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?,
            rest,
        ))
    }

    /// Nanoseconds since 1970 (UTC) of `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)`. `None` when it is anything else, or
    /// outside of 1970…2554. Digits of the fraction beyond the ninth are dropped.
    pub fn parse(&mut self, text: &[u8]) -> Option<u64> {
        let (minute, rest) = text.split_first_chunk::<16>()?;
        if *minute != self.minute || minute[0] == 0 {
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

/// The number that eight digits are, all at once: neighbours are joined to pairs, pairs to fours, fours to eight.
#[inline]
fn eight(digits: [u8; 8]) -> Option<u64> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let text = u64::from_le_bytes(digits);
    let above = text.wrapping_add(ONES * 0x06);
    if (text | above) & (ONES * 0xf0) != ONES * 0x30 || text & (ONES * 0xf0) != ONES * 0x30 {
        return None;
    }
    let ones = text & (ONES * 0x0f);
    let pairs = (ones * 10 + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours & 0xffff) * 10_000 + (fours >> 32))
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

    proptest! {
        #[test]
        fn eight_digits_are_read_as_one_number(digits in prop::array::uniform8(any::<u8>()), mask in any::<u8>()) {
            // Mostly digits, so that both answers occur.
            let digits: [u8; 8] = std::array::from_fn(|at| if mask >> at & 1 == 0 || mask & 0x81 != 0x81 { b'0' + digits[at] % 10 } else { digits[at] });
            let expected = digits.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(&digits).unwrap().parse::<u64>().unwrap());
            prop_assert_eq!(eight(digits), expected);
        }

        #[test]
        fn the_quick_reading_agrees(text in "20[0-9]{2}-0[1-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9][.,][0-9]{8}[0-9:/]Z [a-z]?") {
            let mut timestamps = Timestamps::default();
            let slow = timestamps.parse(&text.as_bytes()[..30]);
            let quick = timestamps.leading(text.as_bytes());
            if slow.is_some() {
                prop_assert_eq!(quick, slow.map(|time| (time, &text.as_bytes()[31..])));
            } else {
                prop_assert_eq!(quick, None);
            }
        }
    }

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
