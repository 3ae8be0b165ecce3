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
        let names = self.folder.names("").unwrap_or_default();
        // Zones first: a device that cannot be read ends the collection.
        for name in &names {
            if let Some(zone) = numbered(name, "thermal_zone") {
                self.zone(name, zone, emit)?;
            }
        }
        for name in &names {
            if let Some(device) = numbered(name, "cooling_device") {
                self.device(name, device, emit)?;
            }
        }
        self.folder.forget_unused();
        Ok(())
    }
}

/// What follows `prefix` in a name, where that begins with a digit.
fn numbered<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    name.strip_prefix(prefix)
        .filter(|number| number.starts_with(|first: char| first.is_ascii_digit()))
}

impl ThermalZone {
    fn device(&mut self, name: &str, device: &str, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let kind = self.folder.text(&format!("{name}/type"))?.into_owned();
        let labels = [("name", device), ("type", kind.as_str())];
        let most = self.folder.required(&format!("{name}/max_state"))?;
        // -1 is a device that does not know.
        let now = self.folder.required(&format!("{name}/cur_state"))?;
        emit.put(
            Gauge,
            "node_cooling_device_max_state",
            "The most that each device can cool.",
            &labels,
            most,
        );
        emit.put(
            Gauge,
            "node_cooling_device_cur_state",
            "How much each device cools now.",
            &labels,
            now,
        );
        Ok(())
    }

    /// A zone that lacks something is left out: a sensor that is asleep has no temperature.
    fn zone(&mut self, name: &str, zone: &str, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let Ok(kind) = self.folder.text(&format!("{name}/type")) else {
            return Ok(());
        };
        let kind = kind.into_owned();
        if self.folder.bytes(&format!("{name}/policy")).is_err() {
            return Ok(());
        }
        if let Some(temperature) = self.folder.optional(&format!("{name}/temp"))? {
            emit.put(
                Gauge,
                "node_thermal_zone_temp",
                "Temperature of each zone, in degrees Celsius.",
                &[("type", &kind), ("zone", zone)],
                temperature / 1000.0,
            );
        }
        Ok(())
    }
}
