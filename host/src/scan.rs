//! The few moves that every parser of kernel text is made of. None of them allocates or panics.

use crate::HostError;

/// The lines of a text with their numbers, from 1, without their ends.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = text;
    let mut number = 0;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (line, after) = cut(rest, b'\n').unwrap_or((rest, &[]));
        rest = after;
        number += 1;
        Some((number, line))
    })
}

/// What stands before and after the first `byte`.
pub(crate) fn cut(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(byte, text)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The parts between runs of blanks.
pub(crate) fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|field| !field.is_empty())
}

/// A decimal number; nothing but digits, and no more than fit.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The number in a file that holds nothing else, as those of sysfs and of control groups do.
pub(crate) fn only_number(text: &[u8]) -> Option<u64> {
    number(text.trim_ascii())
}

/// A decimal fraction such as `0.37`, to the last digit.
pub(crate) fn fraction(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text)
        .ok()?
        .parse()
        .ok()
        .filter(|value: &f64| value.is_finite())
}

/// Text that the kernel writes as bytes but that is ASCII in practice.
pub(crate) fn text<'a>(
    file: &'static str,
    line: usize,
    expected: &'static str,
    bytes: &'a [u8],
) -> Result<&'a str, HostError> {
    std::str::from_utf8(bytes).map_err(|_| HostError::malformed(file, line, expected, bytes))
}

/// `u64` as the `f64` that metrics carry; exact below 2^53, and the nearest above.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "a metric's value is an f64; the kernel's counters stay below 2^53 for centuries"
)]
pub fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_and_fit() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for bad in ["", "18446744073709551616", "-1", "1.5", " 1", "0x1"] {
            assert_eq!(number(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(only_number(b" 17\n"), Some(17));
    }

    #[test]
    fn lines_are_counted_and_need_no_last_end() {
        let all: Vec<_> = lines(b"a\n\nb").collect();
        assert_eq!(all, [(1, &b"a"[..]), (2, b""), (3, b"b")]);
        assert_eq!(lines(b"a\n").count(), 1);
        assert_eq!(lines(b"").count(), 0);
    }
}
