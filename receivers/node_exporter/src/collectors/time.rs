//! What time it is, and by which clock: `/sys/devices/system/clocksource`.

use std::time::SystemTime;

use corten_host::HostError;
use corten_host::clocksource::Clocksources;
use corten_host::timezone::LocalZone;

use crate::collector::{Collector, Emit, single};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Time {
        zone: LocalZone::default(),
        sources: Clocksources::new(&sources.roots),
    })
}

struct Time {
    zone: LocalZone,
    sources: Clocksources,
}

impl Collector for Time {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        single(
            emit.gauge("node_time_seconds", "The time, in seconds since 1970."),
            now.as_secs_f64(),
        );
        let (abbreviation, seconds) = self.zone.offset();
        let mut family = emit.gauge(
            "node_time_zone_offset_seconds",
            "How far local time is ahead of UTC, in seconds.",
        );
        family.add(&[("time_zone", &abbreviation)], f64::from(seconds));
        family.end();
        self.sources.read()?;
        let mut family = emit.gauge(
            "node_time_clocksource_available_info",
            "The clocks that the kernel could tell the time by: always 1.",
        );
        for source in self.sources.iter() {
            for clock in source.available.split_ascii_whitespace() {
                let labels = [("clocksource", clock), ("device", source.device)];
                family.add(&labels, 1.0);
            }
        }
        family.end();
        let mut family = emit.gauge(
            "node_time_clocksource_current_info",
            "The clock that the kernel tells the time by: always 1.",
        );
        for source in self.sources.iter() {
            let labels = [("clocksource", source.current), ("device", source.device)];
            family.add(&labels, 1.0);
        }
        Ok(())
    }
}
