//! Numbers as Prometheus's own library prints them, byte for byte.
//!
//! That is Go's `strconv.FormatFloat(v, 'g', -1, 64)`: the shortest digits that read back, in
//! scientific form (exponent of at least two digits) below 1e-04 and from 1e+06 on.

/// Appends `value` as text 0.0.4 has it: `1.6e+09`, `0.37`, `+Inf`, `NaN`, `1e-05`.
pub(crate) fn write_float(out: &mut Vec<u8>, value: f64) {
    if let Some(whole) = exact_whole(value) {
        write_whole(out, whole);
    } else if value.is_finite() {
        write_digits(out, value);
    } else if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    }
}

/// Appends `value` as OpenMetrics has it: always recognizable as a float (`1.0`).
pub(crate) fn write_open_metrics_float(out: &mut Vec<u8>, value: f64) {
    let start = out.len();
    write_float(out, value);
    let text = out.get(start..).unwrap_or_default();
    if value.is_finite() && !text.iter().any(|byte| matches!(byte, b'.' | b'e')) {
        out.extend_from_slice(b".0");
    }
}

/// Appends a whole number without an exponent.
pub(crate) fn write_integer(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Whole numbers below it are exact, so that their own digits are the shortest that read back.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The whole number that `value` is, where all its digits are exact. Told by a conversion there and back: on the oldest
/// processors that are built for, cutting off a fraction is a call into the C library.
#[inline]
fn exact_whole(value: f64) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is cut off shows in the comparison"
    )]
    let whole = value as i64;
    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers that could lose digits are not below EXACT"
    )]
    let back = whole as f64;
    (back == value && value.abs() < EXACT).then_some(whole)
}

fn write_whole(out: &mut Vec<u8>, whole: i64) {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(whole);
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.len() <= 6 {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    if whole < 0 {
        out.push(b'-');
    }
    scientific(
        out,
        digits.trim_end_matches('0').as_bytes(),
        digits.len() - 1,
        false,
    );
}

fn write_digits(out: &mut Vec<u8>, value: f64) {
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value);
    if (1e-4..1e6).contains(&value.abs()) && !text.ends_with(".0") {
        return out.extend_from_slice(text.as_bytes());
    }
    let (text, exponent) = match text.split_once('e') {
        Some((text, exponent)) => (text, exponent.parse::<i32>().unwrap_or_default()),
        None => (text, 0),
    };
    let text = match text.strip_prefix('-') {
        Some(rest) => {
            out.push(b'-');
            rest
        }
        None => text,
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    // All digits in one row, and where the point stands in it.
    let mut row = [0u8; 40];
    let mut len = 0;
    for byte in whole.bytes().chain(fraction.bytes()) {
        if let Some(place) = row.get_mut(len) {
            *place = byte;
            len += 1;
        }
    }
    let row = row.get(..len).unwrap_or_default();
    let leading = row.iter().take_while(|digit| **digit == b'0').count();
    let digits = row.get(leading..).unwrap_or_default();
    let trailing = digits
        .iter()
        .rev()
        .take_while(|digit| **digit == b'0')
        .count();
    let digits = digits.get(..digits.len() - trailing).unwrap_or_default();
    let length = |len: usize| i32::try_from(len).unwrap_or(i32::MAX);
    let point = length(whole.len()) - length(leading) + exponent;
    let exponent = point - 1;
    if !(-4..6).contains(&exponent) {
        scientific(
            out,
            digits,
            usize::try_from(exponent.abs()).unwrap_or_default(),
            exponent < 0,
        );
    } else if point <= 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(
            b'0',
            usize::try_from(-point).unwrap_or_default(),
        ));
        out.extend_from_slice(digits);
    } else {
        let point = usize::try_from(point).unwrap_or_default();
        for (position, digit) in digits.iter().enumerate() {
            if position == point {
                out.push(b'.');
            }
            out.push(*digit);
        }
        out.extend(std::iter::repeat_n(
            b'0',
            point.saturating_sub(digits.len()),
        ));
    }
}

fn scientific(out: &mut Vec<u8>, digits: &[u8], exponent: usize, negative: bool) {
    if let Some((first, rest)) = digits.split_first() {
        out.push(*first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
    }
    out.extend_from_slice(if negative { b"e-" } else { b"e+" });
    if exponent < 10 {
        out.push(b'0');
    }
    out.extend_from_slice(itoa::Buffer::new().format(exponent).as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        write_float(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_look_like_gos() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.0, "-1"),
            (0.37, "0.37"),
            (-2.5, "-2.5"),
            (100.0, "100"),
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (-1e6, "-1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (1.6e9, "1.6e+09"),
            (123_456.78, "123456.78"),
            (1_234_567.8, "1.2345678e+06"),
            (1_700_000_000.123, "1.700000000123e+09"),
            (9_007_199_254_740_993.0, "9.007199254740992e+15"),
            (1.844_674_407_370_955_2e19, "1.8446744073709552e+19"),
            (1e100, "1e+100"),
            (0.0001, "0.0001"),
            (0.00012, "0.00012"),
            (0.00001, "1e-05"),
            (1.5e-9, "1.5e-09"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn open_metrics_floats_have_a_point_or_an_exponent() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-3.0, "-3.0"),
            (0.5, "0.5"),
            (1e6, "1e+06"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
        ] {
            let mut out = Vec::new();
            write_open_metrics_float(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn every_float_reads_back(bits: u64) {
            let value = f64::from_bits(bits);
            let read: f64 = text(value).parse().unwrap();
            prop_assert!(read == value || (read.is_nan() && value.is_nan()));
        }

        #[test]
        fn every_decimal_is_shortest(digits in -1_000_000_000i64..1_000_000_000, scale in -12i32..12) {
            // Rust prints the shortest digits too, in another form.
            let value: f64 = format!("{digits}e{scale}").parse().unwrap();
            let significant = |text: String| {
                let mantissa = text.split('e').next().unwrap_or_default().to_owned();
                let row: String = mantissa.chars().filter(char::is_ascii_digit).collect();
                row.trim_matches('0').to_owned()
            };
            prop_assert_eq!(significant(text(value)), significant(format!("{value:e}")));
        }
    }
}
