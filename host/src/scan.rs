//! The few moves that every parser of kernel text is made of. None of them allocates or panics.

use crate::HostError;

/// The lines of a text with their numbers, from 1, without their ends.
pub fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
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
#[must_use]
pub fn cut(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(byte, text)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The parts between runs of blanks.
pub fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|field| !field.is_empty())
}

/// A decimal number; nothing but digits, and no more than fit.
#[must_use]
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The number in a file that holds nothing else, as those of sysfs and of control groups do.
#[must_use]
pub fn only_number(text: &[u8]) -> Option<u64> {
    number(text.trim_ascii())
}

/// A decimal fraction such as `0.37`, to the last digit.
#[must_use]
pub fn fraction(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text)
        .ok()?
        .parse()
        .ok()
        .filter(|value: &f64| value.is_finite())
}

/// A number of either sign, whole or not, as a metric carries it. Whole numbers may have a base as
/// in C's source, without the octal ones that only a leading 0 tells.
#[must_use]
pub fn value(text: &[u8]) -> Option<f64> {
    let text = text.trim_ascii();
    if let Some(value) = number(text) {
        return Some(float(value));
    }
    match text.strip_prefix(b"-").and_then(number) {
        Some(below_zero) => Some(-float(below_zero)),
        None => fraction(text).or_else(|| c_number(text).map(float)),
    }
}

/// A hexadecimal number, with or without `0x`.
#[must_use]
pub fn hexadecimal(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    let text = text.strip_prefix(b"0x").unwrap_or(text);
    let digits = std::str::from_utf8(text).ok()?;
    if digits.starts_with('+') {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

/// A number as C's source has it: decimal, hexadecimal after `0x`, octal after `0`.
#[must_use]
pub fn c_number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let lower = text.to_ascii_lowercase();
    let (digits, base) = if let Some(digits) = lower.strip_prefix("0x") {
        (digits, 16)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        (digits, 2)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        (digits, 8)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (lower.get(1..).unwrap_or_default(), 8)
    } else {
        (lower.as_str(), 10)
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(digits, base).ok()
}

/// Text without surrounding blanks, each run of bytes that are no UTF-8 replaced by one `U+FFFD`.
#[must_use]
pub fn valid(text: &[u8]) -> std::borrow::Cow<'_, str> {
    replaced(text.trim_ascii())
}

/// Text, each run of bytes that are no UTF-8 replaced by one `U+FFFD`.
#[must_use]
pub fn replaced(text: &[u8]) -> std::borrow::Cow<'_, str> {
    let mut chunks = text.utf8_chunks();
    match (chunks.next(), chunks.next()) {
        (None, _) => "".into(),
        (Some(only), None) if only.invalid().is_empty() => only.valid().into(),
        _ => {
            let mut whole = String::with_capacity(text.len());
            for chunk in text.utf8_chunks() {
                whole.push_str(chunk.valid());
                let continues = chunk.valid().is_empty() && whole.ends_with('\u{fffd}');
                if !chunk.invalid().is_empty() && !continues {
                    whole.push('\u{fffd}');
                }
            }
            whole.into()
        }
    }
}

/// Text that the kernel writes as bytes but that is ASCII in practice.
///
/// # Errors
///
/// It is no UTF-8.
pub fn text<'a>(
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

/// A count as a whole number; one below zero, and what is none, counts as 0.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast saturates, and NaN is 0"
)]
pub fn whole(count: f64) -> u64 {
    count as u64
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
        assert_eq!([whole(-3.0), whole(2.0), whole(f64::NAN)], [0, 2, 0]);
    }

    #[test]
    fn values_have_signs_and_points() {
        assert_eq!(value(b" -17\n"), Some(-17.0));
        assert_eq!(value(b"0.25"), Some(0.25));
        assert_eq!(value(b"1e3"), Some(1000.0));
        assert_eq!(value(b"0x10"), Some(16.0));
        assert_eq!(value(b"010"), Some(10.0));
        assert_eq!(value(b"0x"), None);
        assert_eq!(value(b""), None);
        assert_eq!(value(b"inf"), None);
        assert_eq!(hexadecimal(b"0x10\n"), Some(16));
        assert_eq!(hexadecimal(b"ff"), Some(255));
        assert_eq!(hexadecimal(b"+f"), None);
    }

    #[test]
    fn numbers_of_c_have_a_base() {
        assert_eq!(c_number(b"0x1f\n"), Some(31));
        assert_eq!(c_number(b"017"), Some(15));
        assert_eq!(c_number(b"0"), Some(0));
        assert_eq!(c_number(b"19"), Some(19));
        for bad in ["", "0x", "-1", "+1", "0x+1", "09", "1f"] {
            assert_eq!(c_number(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_text_is_replaced_run_by_run() {
        assert_eq!(valid(b" abc\n"), "abc");
        assert_eq!(valid(b"a\xff\xfeb\xff"), "a\u{fffd}b\u{fffd}");
        assert_eq!(valid(b""), "");
        assert_eq!(replaced(b" a\xff "), " a\u{fffd} ");
    }

    #[test]
    fn lines_are_counted_and_need_no_last_end() {
        let all: Vec<_> = lines(b"a\n\nb").collect();
        assert_eq!(all, [(1, &b"a"[..]), (2, b""), (3, b"b")]);
        assert_eq!(lines(b"a\n").count(), 1);
        assert_eq!(lines(b"").count(), 0);
    }
}
