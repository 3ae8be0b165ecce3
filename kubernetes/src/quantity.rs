//! Kubernetes' quantities: `500m`, `1.5`, `128Mi`, `1e3`.
//!
//! Format: Kubernetes API reference, `Quantity`: a decimal number, then a binary (`Ki`…`Ei`) or decimal
//! (`n`, `u`, `m`, `k`, `M`…`E`) suffix or an exponent.

/// The number that a quantity stands for: CPUs, bytes or pieces. `None` for anything else, and for less than nothing.
#[must_use]
pub fn parse_quantity(text: &str) -> Option<f64> {
    let suffix = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(suffix)?;
    let number: f64 = number.parse().ok()?;
    let value = match suffix {
        // Divided, which is exact where multiplying by a thousandth is not.
        "n" => number / 1e9,
        "u" => number / 1e6,
        "m" => number / 1e3,
        suffix => number * scale(suffix)?,
    };
    Some(value).filter(|value| value.is_finite() && *value >= 0.0)
}

fn scale(suffix: &str) -> Option<f64> {
    Some(match suffix {
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "Pi" => 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "Ei" => 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0,
        exponent => {
            let exponent = exponent.strip_prefix(['e', 'E'])?;
            10_f64.powi(exponent.parse().ok()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities() {
        for (text, value) in [
            ("500m", 0.5),
            ("3800m", 3.8),
            ("250u", 0.00025),
            ("1.5", 1.5),
            ("2", 2.0),
            ("128Mi", 134_217_728.0),
            ("1e3", 1000.0),
            ("1E", 1e18),
            ("1E2", 100.0),
            ("100k", 100_000.0),
            (".5", 0.5),
        ] {
            assert_eq!(parse_quantity(text), Some(value), "{text}");
        }
        for text in ["", "m", "1 Mi", "1mi", "-1", "NaN", "inf", "1e999", "1ee3"] {
            assert_eq!(parse_quantity(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_number_or_nothing(text in ".{0,12}") {
            if let Some(value) = parse_quantity(&text) {
                prop_assert!(value.is_finite() && value >= 0.0);
            }
        }
    }
}
