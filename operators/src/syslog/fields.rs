//! A message, field by field.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::ParseError;

/// What of a message is not read yet.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn expected<T>(&self, expected: &'static str) -> Result<T, ParseError> {
        Err(ParseError {
            at: self.at,
            expected,
        })
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Takes `byte`, which is ASCII, if it is next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes what `keep` lets through; it lets through whole characters or none.
    pub(super) fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest
            .bytes()
            .position(|byte| !keep(byte))
            .unwrap_or(rest.len());
        let (taken, _) = rest.split_at_checked(len).unwrap_or_default();
        self.at += taken.len();
        taken
    }

    /// Takes a word up to the next space or the end; never an empty one.
    pub(super) fn word(&mut self, expected: &'static str) -> Result<&'a str, ParseError> {
        let word = self.clone().take_while(|byte| byte != b' ');
        if word.is_empty() {
            return self.expected(expected);
        }
        self.at += word.len();
        Ok(word)
    }

    pub(super) fn space(&mut self) -> Result<(), ParseError> {
        if self.take(b' ') {
            Ok(())
        } else {
            self.expected("a space")
        }
    }

    pub(super) fn skip(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes).min(self.text.len());
    }

    /// One to `most` digits.
    pub(super) fn number(&mut self, most: usize) -> Option<u32> {
        let digits = self.clone().take_while(|byte| byte.is_ascii_digit());
        if digits.is_empty() || digits.len() > most {
            return None;
        }
        self.at += digits.len();
        digits.parse().ok()
    }

    /// `<34>`
    pub(super) fn priority(&mut self) -> Result<u8, ParseError> {
        const EXPECTED: &str = "a priority such as <34>, at most <191>,";
        let mut inner = self.clone();
        let priority = inner
            .take(b'<')
            .then(|| inner.number(3))
            .flatten()
            .and_then(|priority| u8::try_from(priority).ok())
            .filter(|priority| *priority < 192);
        match priority {
            Some(priority) if inner.take(b'>') => {
                *self = inner;
                Ok(priority)
            }
            _ => self.expected(EXPECTED),
        }
    }

    /// `22:14:15` and perhaps a fraction: hour, minute, second, nanosecond. A leap second is the second before it.
    pub(super) fn time_of_day(&mut self) -> Option<[u32; 4]> {
        let hour = self.exactly(2)?;
        let minute = self.take(b':').then(|| self.exactly(2))??;
        let second = self.take(b':').then(|| self.exactly(2))??;
        let mut nanos = 0;
        if self.take(b'.') {
            let digits = self.take_while(|byte| byte.is_ascii_digit());
            if digits.is_empty() || digits.len() > 9 {
                return None;
            }
            nanos = format!("{digits:0<9}").parse().ok()?;
        }
        Some([
            hour,
            minute,
            second.min(if second == 60 { 59 } else { 99 }),
            nanos,
        ])
    }

    fn exactly(&mut self, digits: usize) -> Option<u32> {
        let before = self.at;
        let number = self.number(digits)?;
        (self.at - before == digits).then_some(number)
    }

    /// `2003-10-11T22:14:15.003Z`, nanoseconds since 1970.
    pub(super) fn rfc3339(&mut self) -> Option<u64> {
        let year = self.exactly(4)?;
        let month = self.take(b'-').then(|| self.exactly(2))??;
        let day = self.take(b'-').then(|| self.exactly(2))??;
        if !(self.take(b'T') || self.take(b't')) {
            return None;
        }
        let clock = self.time_of_day()?;
        let offset = if self.take(b'Z') || self.take(b'z') {
            0
        } else {
            let sign = if self.take(b'+') {
                1
            } else if self.take(b'-') {
                -1
            } else {
                return None;
            };
            let hours = i32::try_from(self.exactly(2)?).ok()?;
            let minutes = self.take(b':').then(|| self.exactly(2))??;
            let minutes = i32::try_from(minutes)
                .ok()
                .filter(|minutes| *minutes < 60)?;
            sign * (hours * 3600 + minutes * 60)
        };
        let offset = Offset::from_seconds(offset).ok()?;
        let time = civil(year, month, day, clock)?;
        nanos(offset.to_timestamp(time).ok()?)
    }
}

/// A wall clock's time, if there is such a time.
pub(super) fn civil(year: u32, month: u32, day: u32, clock: [u32; 4]) -> Option<DateTime> {
    let [hour, minute, second, nanos] = clock;
    let small = |number: u32| i8::try_from(number).ok();
    DateTime::new(
        i16::try_from(year).ok()?,
        small(month)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        small(second)?,
        i32::try_from(nanos).ok()?,
    )
    .ok()
}

/// Nanoseconds since 1970; none for what was before.
pub(super) fn nanos(time: Timestamp) -> Option<u64> {
    u64::try_from(time.as_nanosecond()).ok()
}
