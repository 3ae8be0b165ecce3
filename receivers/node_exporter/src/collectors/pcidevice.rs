//! What is on the PCI bus: `/sys/bus/pci/devices`.

use std::path::Path;

use corten_host::families::Kind::Gauge;
use corten_host::scan::c_number;
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Pcidevice {
        folder: Attributes::new(sources.roots.sys("bus/pci/devices")),
    })
}

struct Pcidevice {
    folder: Attributes,
}

const POWER_STATES: [&str; 7] = ["D0", "D1", "D2", "D3hot", "D3cold", "unknown", "error"];

/// The files that are numbers which every device has or that are 0.
const NUMBERS: [(&str, &str, &str); 4] = [
    (
        "sriov_numvfs",
        "node_pcidevice_sriov_numvfs",
        "Virtual functions that are enabled.",
    ),
    (
        "sriov_totalvfs",
        "node_pcidevice_sriov_totalvfs",
        "Virtual functions that may be enabled.",
    ),
    (
        "sriov_vf_total_msix",
        "node_pcidevice_sriov_vf_total_msix",
        "Interrupt vectors for virtual functions.",
    ),
    (
        "d3cold_allowed",
        "node_pcidevice_d3cold_allowed",
        "Whether the device may be switched off entirely.",
    ),
];

impl Collector for Pcidevice {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for name in &self.folder.names("")? {
            self.device(name, emit)?;
        }
        self.folder.forget_unused();
        Ok(())
    }
}

impl Pcidevice {
    fn device(&mut self, name: &str, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let wrong = || HostError::Missing {
            file: "bus/pci/devices",
            expected: "places such as 0000:00:1f.2",
        };
        // Entries are links into the tree of devices, where a device lies below its bridge.
        let target = std::fs::read_link(self.folder.folder().join(name)).ok();
        let target = target.as_deref();
        let own = target.and_then(base).unwrap_or(name);
        let own = Place::parse(own).ok_or_else(wrong)?;
        let parent = match target.and_then(Path::parent).and_then(base) {
            Some(parent) if !parent.starts_with("pci") => {
                Some(Place::parse(parent).ok_or_else(wrong)?)
            }
            _ => None,
        };
        let parent = parent.unwrap_or_else(Place::nowhere);
        let place = own.labels();

        let mut id = |file: &str, digits: usize| -> Result<String, HostError> {
            let path = format!("{name}/{file}");
            let number = c_number(self.folder.bytes(&path)?);
            let number = number.ok_or_else(|| self.folder.no_number(&path))?;
            Ok(format!("0x{number:0digits$x}"))
        };
        let (class, vendor, device) = (id("class", 6)?, id("vendor", 4)?, id("device", 4)?);
        let subsystem = (id("subsystem_vendor", 4)?, id("subsystem_device", 4)?);
        let revision = id("revision", 2)?;
        let numa = self.folder.required(&format!("{name}/numa_node"))?;
        let [segment, bus, slot, function] = place;
        emit.put(
            Gauge,
            "node_pcidevice_info",
            "What each device is: always 1.",
            &[
                segment,
                bus,
                slot,
                function,
                ("parent_segment", &parent.0[0]),
                ("parent_bus", &parent.0[1]),
                ("parent_device", &parent.0[2]),
                ("parent_function", &parent.0[3]),
                ("class_id", &class),
                ("vendor_id", &vendor),
                ("device_id", &device),
                ("subsystem_vendor_id", &subsystem.0),
                ("subsystem_device_id", &subsystem.1),
                ("revision", &revision),
            ],
            1.0,
        );

        for (file, metric, help, factor) in [
            (
                "max_link_speed",
                "node_pcidevice_max_link_transfers_per_second",
                "Transfers per second that the link may do; -1 where unknown.",
                Some(1e9),
            ),
            (
                "max_link_width",
                "node_pcidevice_max_link_width",
                "Lanes that the link may have; -1 where unknown.",
                None,
            ),
            (
                "current_link_speed",
                "node_pcidevice_current_link_transfers_per_second",
                "Transfers per second that the link does; -1 where unknown.",
                Some(1e9),
            ),
            (
                "current_link_width",
                "node_pcidevice_current_link_width",
                "Lanes that the link has; -1 where unknown.",
                None,
            ),
        ] {
            let value = self.link(&format!("{name}/{file}"), factor)?;
            emit.put(Gauge, metric, help, &place, value.unwrap_or(-1.0));
        }
        let probe = self.optional(&format!("{name}/sriov_drivers_autoprobe"))?;
        emit.put(
            Gauge,
            "node_pcidevice_sriov_drivers_autoprobe",
            "Whether virtual functions get a driver by themselves.",
            &place,
            f64::from(u8::from(probe != 0.0)),
        );
        for (file, metric, help) in NUMBERS {
            let mut value = self.optional(&format!("{name}/{file}"))?;
            if file == "d3cold_allowed" {
                value = f64::from(u8::from(value != 0.0));
            }
            emit.put(Gauge, metric, help, &place, value);
        }
        let power = self.folder.text_or_empty(&format!("{name}/power_state"));
        if !power.is_empty() {
            for state in POWER_STATES {
                emit.put(
                    Gauge,
                    "node_pcidevice_power_state",
                    "In which power state each device is.",
                    &[segment, bus, slot, function, ("state", state)],
                    f64::from(u8::from(power == state)),
                );
            }
        }
        if (numa - -1.0).abs() > f64::EPSILON {
            emit.put(
                Gauge,
                "node_pcidevice_numa_node",
                "The NUMA node that each device is at.",
                &place,
                numa,
            );
        }
        Ok(())
    }

    /// The number in a file, 0 where there is no file or nothing in it.
    fn optional(&mut self, path: &str) -> Result<f64, HostError> {
        if self.folder.text_or_empty(path).is_empty() {
            return Ok(0.0);
        }
        self.folder.required(path)
    }

    /// The width or, with a factor, the speed of a link: `8.0 GT/s PCIe`. None where the device
    /// has no link or does not know.
    fn link(&mut self, path: &str, factor: Option<f64>) -> Result<Option<f64>, HostError> {
        let text = self.folder.text_or_empty(path);
        if text.is_empty() || text.starts_with("Unknown") {
            return Ok(None);
        }
        let number = match factor {
            Some(_) => text.strip_suffix(" GT/s PCIe"),
            None => Some(text.as_str()),
        };
        number
            .and_then(|number| number.parse::<f64>().ok())
            .map(|number| Some(number * factor.unwrap_or(1.0)))
            .ok_or_else(|| self.folder.no_number(path))
    }
}

fn base(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// Segment, bus, device and function, as they are printed.
#[derive(Debug, PartialEq, Eq)]
struct Place([String; 4]);

impl Place {
    /// `0000:00:1f.2`.
    fn parse(text: &str) -> Option<Self> {
        let (segment, rest) = text.split_once(':')?;
        let (bus, rest) = rest.split_once(':')?;
        let (device, function) = rest.split_once('.')?;
        let hexadecimal = |text: &str| u32::from_str_radix(text, 16).ok();
        Some(Self([
            format!("{:04x}", hexadecimal(segment)?),
            format!("{:02x}", hexadecimal(bus)?),
            format!("{:02x}", hexadecimal(device)?),
            format!("{:x}", hexadecimal(function)?),
        ]))
    }

    /// The parent of what stands at the root.
    fn nowhere() -> Self {
        Self(std::array::from_fn(|_| "*".to_owned()))
    }

    fn labels(&self) -> [(&'static str, &str); 4] {
        let [segment, bus, device, function] = &self.0;
        [
            ("segment", segment),
            ("bus", bus),
            ("device", device),
            ("function", function),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_four_numbers() {
        assert_eq!(
            Place::parse("0000:a2:1f.6"),
            Some(Place(["0000", "a2", "1f", "6"].map(str::to_owned)))
        );
        for bad in ["", "0000:00:00", "0000:00:00.g", "x:0:0.0"] {
            assert_eq!(Place::parse(bad), None, "{bad}");
        }
    }
}
