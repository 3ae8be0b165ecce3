//! `/proc/uptime` (proc_uptime(5)).

use crate::HostError;
use crate::scan::{fields, fraction};

/// Seconds since the host booted.
///
/// # Errors
///
/// The text does not begin with a number.
pub fn parse(text: &[u8]) -> Result<f64, HostError> {
    fields(text)
        .next()
        .and_then(fraction)
        .ok_or_else(|| HostError::malformed("uptime", 1, "a number of seconds", text.trim_ascii()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_first_number_counts() {
        assert_eq!(super::parse(b"350735.47 234388.90\n").unwrap(), 350_735.47);
        assert!(super::parse(b"\n").is_err());
    }
}
