//! `/proc/loadavg` (proc_loadavg(5)).

use crate::HostError;
use crate::scan::{fields, fraction};

/// Processes that ran or waited for a disk, averaged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadAverage {
    /// Over one minute.
    pub one: f64,
    /// Over five minutes.
    pub five: f64,
    /// Over fifteen minutes.
    pub fifteen: f64,
}

impl LoadAverage {
    /// Reads the file's text.
    ///
    /// # Errors
    ///
    /// It does not begin with three numbers.
    pub fn parse(text: &[u8]) -> Result<Self, HostError> {
        let mut averages = fields(text).map(fraction);
        match (averages.next(), averages.next(), averages.next()) {
            (Some(Some(one)), Some(Some(five)), Some(Some(fifteen))) => {
                Ok(Self { one, five, fifteen })
            }
            _ => Err(HostError::malformed(
                "loadavg",
                1,
                "three averages",
                text.trim_ascii(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_exact() {
        let load = LoadAverage::parse(b"0.37 0.08 12.00 1/93 10084\n").unwrap();
        assert_eq!((load.one, load.five, load.fifteen), (0.37, 0.08, 12.0));
        for bad in ["", "1 2", "1 2 x", "1 nan 2"] {
            assert!(LoadAverage::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
