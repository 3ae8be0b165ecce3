//! Temperatures, and what cools: `/sys/class/thermal`.

use corten_host::families::Kind::Gauge;
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(ThermalZone {
        folder: Attributes::new(sources.roots.sys("class/thermal")),
    })
}

struct ThermalZone {
    folder: Attributes,
}

impl Collector for ThermalZone {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for name in &self.folder.names("").unwrap_or_default() {
            let kind = |folder: &mut Attributes| {
                folder
                    .text(&format!("{name}/type"))
                    .map(|text| text.into_owned())
            };
            if let Some(zone) = name.strip_prefix("thermal_zone") {
                let kind = kind(&mut self.folder)?;
                // A sensor that is asleep has no temperature.
                if let Some(temperature) = self.folder.optional(&format!("{name}/temp"))? {
                    emit.put(
                        Gauge,
                        "node_thermal_zone_temp",
                        "Temperature of each zone, in degrees Celsius.",
                        &[("type", &kind), ("zone", zone)],
                        temperature / 1000.0,
                    );
                }
            } else if let Some(device) = name.strip_prefix("cooling_device") {
                let kind = kind(&mut self.folder)?;
                let labels = [("name", device), ("type", kind.as_str())];
                let most = self.folder.required(&format!("{name}/max_state"))?;
                emit.put(
                    Gauge,
                    "node_cooling_device_max_state",
                    "The most that each device can cool.",
                    &labels,
                    most,
                );
                // -1 is a device that does not know.
                let now = self.folder.required(&format!("{name}/cur_state"))?;
                emit.put(
                    Gauge,
                    "node_cooling_device_cur_state",
                    "How much each device cools now.",
                    &labels,
                    now,
                );
            }
        }
        self.folder.forget_unused();
        Ok(())
    }
}
