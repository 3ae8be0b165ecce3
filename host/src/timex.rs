//! How the kernel steers its clock: `adjtimex(2)`, asked without changing anything.

use std::io;
use std::path::Path;

use rtime_clock::adjtime;

use crate::HostError;

/// `TIME_ERROR`: nobody keeps the clock.
const NOT_SYNCHRONIZED: i32 = 5;
/// `STA_NANO`: offset and jitter are in nanoseconds, else in microseconds.
const IN_NANOSECONDS: i32 = 0x2000;
const MICRO: f64 = 1e6;
/// Frequencies are in millionths with 16 binary places.
const SCALED: f64 = 1e6 * 65536.0;

/// The discipline's state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timex {
    /// Whether something (an NTP daemon) keeps the clock right.
    pub synchronized: bool,
    /// From the reference clock, in seconds.
    pub offset: f64,
    /// How fast the clock is made to go, in parts of one above one.
    pub frequency: f64,
    /// The largest error, in seconds.
    pub max_error: f64,
    /// The error believed in, in seconds.
    pub estimated_error: f64,
    /// The `STA_…` bits.
    pub status: f64,
    /// The time constant of the loop that steers.
    pub constant: f64,
    /// Between two ticks, in seconds.
    pub tick: f64,
    /// Of the pulse per second, in hertz.
    pub pps_frequency: f64,
    /// Of the pulse per second, in seconds.
    pub pps_jitter: f64,
    /// The interval over which the pulse is measured, as the exponent of 2 seconds.
    pub pps_shift: f64,
    /// How the pulse's frequency wanders, in hertz.
    pub pps_stability: f64,
    /// Pulses that jittered more than they may.
    pub pps_jitters: f64,
    /// Intervals measured.
    pub pps_calibrations: f64,
    /// Intervals measured badly.
    pub pps_errors: f64,
    /// Intervals in which the frequency wandered more than it may.
    pub pps_instabilities: f64,
    /// International atomic time less UTC, in seconds.
    pub tai_offset: f64,
}

impl Timex {
    /// The state as of now.
    ///
    /// # Errors
    ///
    /// A sandbox forbids the question (that is [`HostError::NoData`]), or the kernel refuses it.
    pub fn read() -> Result<Self, HostError> {
        // Its `modes` are 0: nothing is set.
        let mut raw = adjtime::Timex::new();
        let state = adjtime::adjtimex(&mut raw).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => HostError::NoData("adjtimex(2) is forbidden here"),
            _ => HostError::read(Path::new("adjtimex(2)"), error),
        })?;
        let raw = raw.0;
        let fine = if raw.status & IN_NANOSECONDS == 0 {
            MICRO
        } else {
            1e9
        };
        Ok(Self {
            synchronized: state != NOT_SYNCHRONIZED,
            offset: signed(raw.offset) / fine,
            frequency: 1.0 + signed(raw.freq) / SCALED,
            max_error: signed(raw.maxerror) / MICRO,
            estimated_error: signed(raw.esterror) / MICRO,
            status: f64::from(raw.status),
            constant: signed(raw.constant),
            tick: signed(raw.tick) / MICRO,
            pps_frequency: signed(raw.ppsfreq) / SCALED,
            pps_jitter: signed(raw.jitter) / fine,
            pps_shift: f64::from(raw.shift),
            pps_stability: signed(raw.stabil) / SCALED,
            pps_jitters: signed(raw.jitcnt),
            pps_calibrations: signed(raw.calcnt),
            pps_errors: signed(raw.errcnt),
            pps_instabilities: signed(raw.stbcnt),
            tai_offset: f64::from(raw.tai),
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a metric's value is an f64; these are far below 2^53"
)]
fn signed(value: impl Into<i64>) -> f64 {
    value.into() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_this_host_ticks() {
        match Timex::read() {
            Ok(timex) => {
                // 100 ticks a second, and a frequency within the kernel's 500 millionths.
                assert!((0.009..0.011).contains(&timex.tick), "{timex:?}");
                assert!((timex.frequency - 1.0).abs() < 0.001, "{timex:?}");
                assert!(timex.max_error >= 0.0);
            }
            // A sandbox.
            Err(error) => assert!(error.is_absent(), "{error}"),
        }
    }
}
