//! How the kernel steers its clock: `adjtimex(2)`.

use corten_host::HostError;
use corten_host::families::Kind::{Counter, Gauge};
use corten_host::timex::Timex;

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, _: &Sources) -> Box<dyn Collector> {
    Box::new(TimexCollector)
}

struct TimexCollector;

impl Collector for TimexCollector {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let timex = Timex::read()?;
        for (kind, name, help, value) in [
            (
                Gauge,
                "node_timex_sync_status",
                "Whether something keeps the clock right, such as an NTP daemon.",
                f64::from(u8::from(timex.synchronized)),
            ),
            (
                Gauge,
                "node_timex_offset_seconds",
                "How far the clock is from the reference clock, in seconds.",
                timex.offset,
            ),
            (
                Gauge,
                "node_timex_frequency_adjustment_ratio",
                "How fast the clock is made to go; 1 is as it comes.",
                timex.frequency,
            ),
            (
                Gauge,
                "node_timex_maxerror_seconds",
                "The most that the clock can be wrong, in seconds.",
                timex.max_error,
            ),
            (
                Gauge,
                "node_timex_estimated_error_seconds",
                "How wrong the clock is believed to be, in seconds.",
                timex.estimated_error,
            ),
            (
                Gauge,
                "node_timex_status",
                "The bits of the clock's status (STA_…).",
                timex.status,
            ),
            (
                Gauge,
                "node_timex_loop_time_constant",
                "The time constant of the loop that steers the clock.",
                timex.constant,
            ),
            (
                Gauge,
                "node_timex_tick_seconds",
                "Time between two ticks of the clock, in seconds.",
                timex.tick,
            ),
            (
                Gauge,
                "node_timex_pps_frequency_hertz",
                "Frequency of the pulse per second.",
                timex.pps_frequency,
            ),
            (
                Gauge,
                "node_timex_pps_jitter_seconds",
                "Jitter of the pulse per second, in seconds.",
                timex.pps_jitter,
            ),
            (
                Gauge,
                "node_timex_pps_shift_seconds",
                "How long the pulse per second is measured.",
                timex.pps_shift,
            ),
            (
                Gauge,
                "node_timex_pps_stability_hertz",
                "How much the frequency of the pulse per second wanders.",
                timex.pps_stability,
            ),
            (
                Counter,
                "node_timex_pps_jitter_total",
                "Pulses that jittered more than they may.",
                timex.pps_jitters,
            ),
            (
                Counter,
                "node_timex_pps_calibration_total",
                "Intervals over which the pulse was measured.",
                timex.pps_calibrations,
            ),
            (
                Counter,
                "node_timex_pps_error_total",
                "Intervals over which measuring the pulse failed.",
                timex.pps_errors,
            ),
            (
                Counter,
                "node_timex_pps_stability_exceeded_total",
                "Intervals in which the pulse wandered more than it may.",
                timex.pps_instabilities,
            ),
            (
                Gauge,
                "node_timex_tai_offset_seconds",
                "International atomic time less UTC, in seconds.",
                timex.tai_offset,
            ),
        ] {
            emit.put(kind, name, help, &[], value);
        }
        Ok(())
    }
}
