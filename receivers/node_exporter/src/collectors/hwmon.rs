//! Sensors: `/sys/class/hwmon`.

use std::collections::BTreeMap;

use corten_host::families::Kind::{Counter, Gauge};
use corten_host::scan::{replaced, value};
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::filter::Filter;
use crate::shared::Sources;

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    let config = &config.hwmon;
    Box::new(Hwmon {
        chips: Filter::new(
            config.chip_exclude.as_ref(),
            config.chip_include.as_ref(),
            None,
        ),
        sensors: Filter::new(
            config.sensor_exclude.as_ref(),
            config.sensor_include.as_ref(),
            None,
        ),
        folder: Attributes::new(sources.roots.sys("class/hwmon")),
    })
}

struct Hwmon {
    chips: Filter,
    sensors: Filter,
    folder: Attributes,
}

const TYPES: [&str; 14] = [
    "vrm",
    "beep_enable",
    "update_interval",
    "in",
    "cpu",
    "fan",
    "pwm",
    "temp",
    "curr",
    "power",
    "energy",
    "humidity",
    "intrusion",
    "freq",
];

/// A sensor's files: `input`, `label`, `crit_alarm`; the empty name is the sensor's own file.
type Sensors = BTreeMap<(&'static str, u64), BTreeMap<String, String>>;

impl Collector for Hwmon {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let mut result = Ok(());
        for hwmon in &self.folder.names("")? {
            if !self.folder.has_folder(hwmon) {
                continue;
            }
            // One chip that fails must not hide the others.
            if let Err(error) = self.chip(emit, hwmon) {
                result = Err(error);
            }
        }
        self.folder.forget_unused();
        result
    }
}

impl Hwmon {
    fn chip(&mut self, emit: &mut Emit<'_>, hwmon: &str) -> Result<(), HostError> {
        let own_name = cleaned(&self.folder.text_or_empty(&format!("{hwmon}/name")));
        let chip = self.name(hwmon, &own_name);
        if !self.chips.lets_in(&chip) {
            return Ok(());
        }
        let mut sensors = Sensors::new();
        self.read(hwmon, &mut sensors)?;
        let device = format!("{hwmon}/device");
        if self.folder.has_folder(&device) {
            self.read(&device, &mut sensors)?;
        }
        if !own_name.is_empty() {
            emit.put(
                Gauge,
                "node_hwmon_chip_names",
                "What each chip is called: always 1.",
                &[("chip", &chip), ("chip_name", &own_name)],
                1.0,
            );
        }
        for ((kind, number), files) in &sensors {
            let sensor = format!("{kind}{number}");
            if !self.sensors.lets_in(&format!("{chip};{sensor}")) {
                continue;
            }
            if let Some(label) = files.get("label") {
                emit.put(
                    Gauge,
                    "node_hwmon_sensor_label",
                    "What each sensor is called: always 1.",
                    &[("chip", &chip), ("label", label), ("sensor", &sensor)],
                    1.0,
                );
            }
            show(emit, &chip, &sensor, kind, files);
        }
        Ok(())
    }

    /// A name that stays the same whatever order drivers are loaded in: that of the device and its
    /// bus, else the chip's own.
    fn name(&self, hwmon: &str, own_name: &str) -> String {
        let folder = self.folder.folder().join(hwmon);
        if let Ok(device) = folder.join("device").canonicalize() {
            let part = |path: Option<&std::path::Path>| {
                let name = path
                    .and_then(std::path::Path::file_name)
                    .unwrap_or_default();
                cleaned(&name.to_string_lossy())
            };
            let (name, bus) = (part(Some(&device)), part(device.parent()));
            if !name.is_empty() {
                return if bus.is_empty() {
                    name
                } else {
                    format!("{bus}_{name}")
                };
            }
        }
        if !own_name.is_empty() {
            return own_name.to_owned();
        }
        let real = folder.canonicalize().unwrap_or(folder);
        cleaned(&real.file_name().unwrap_or_default().to_string_lossy())
    }

    fn read(&mut self, folder: &str, sensors: &mut Sensors) -> Result<(), HostError> {
        for file in self.folder.names(folder)? {
            if let Some((kind, number, property)) = exploded(&file)
                && let Ok(text) = self.folder.bytes(&format!("{folder}/{file}"))
            {
                // Labels keep their blanks.
                let line_end = |byte: &u8| *byte == b'\n';
                let start = text.iter().take_while(|byte| line_end(byte)).count();
                let text = text.get(start..).unwrap_or_default();
                let end = text.iter().rev().take_while(|byte| line_end(byte)).count();
                let text = text.get(..text.len() - end).unwrap_or_default();
                let sensor = sensors.entry((kind, number)).or_default();
                sensor.insert(property.to_owned(), replaced(text).into_owned());
            }
        }
        Ok(())
    }
}

/// `temp1_crit_alarm` is the property `crit_alarm` of the first sensor of type `temp`.
fn exploded(file: &str) -> Option<(&'static str, u64, &str)> {
    let digits = file.find(|character: char| character.is_ascii_digit());
    let (kind, number, property) = match digits {
        None => (file, 0, ""),
        Some(at) => {
            let (kind, rest) = file.split_at_checked(at)?;
            let end = rest
                .find(|character: char| !character.is_ascii_digit())
                .unwrap_or(rest.len());
            let (number, rest) = rest.split_at_checked(end)?;
            let property = if rest.is_empty() {
                ""
            } else {
                rest.strip_prefix('_')?
            };
            (kind, number.parse().ok()?, property)
        }
    };
    let kind = TYPES.iter().find(|known| **known == kind)?;
    Some((kind, number, property))
}

/// Letters, digits and what stands for all else.
fn cleaned(name: &str) -> String {
    let name = name.to_lowercase();
    let replaced: String = name
        .chars()
        .map(|character| match character {
            'a'..='z' | '0'..='9' | ':' | '_' => character,
            _ => '_',
        })
        .collect();
    replaced.trim_matches('_').to_owned()
}

fn show(
    emit: &mut Emit<'_>,
    chip: &str,
    sensor: &str,
    kind: &str,
    files: &BTreeMap<String, String>,
) {
    let labels = [("chip", chip), ("sensor", sensor)];
    let number = |text: &str| value(text.as_bytes());
    let own = files.get("");
    match kind {
        "beep_enable" => {
            let on = if own.is_some_and(|text| text == "1") {
                1.0
            } else {
                0.0
            };
            emit.put(
                Gauge,
                "node_hwmon_beep_enabled",
                "Whether the chip may beep.",
                &labels,
                on,
            );
            return;
        }
        "vrm" => {
            if let Some(version) = own.and_then(|text| number(text)) {
                emit.put(
                    Gauge,
                    "node_hwmon_voltage_regulator_version",
                    "Version of the voltage regulator.",
                    &labels,
                    version,
                );
            }
            return;
        }
        "update_interval" => {
            if let Some(milliseconds) = own.and_then(|text| number(text)) {
                emit.put(
                    Gauge,
                    "node_hwmon_update_interval_seconds",
                    "Time between two measurements, in seconds.",
                    &labels,
                    milliseconds * 0.001,
                );
            }
            return;
        }
        _ => {}
    }
    for (element, text) in files {
        let Some(number) = (element != "label").then(|| number(text)).flatten() else {
            continue;
        };
        let mut name = format!("node_hwmon_{kind}");
        if element == "input" {
            // The value itself, unless there is a file without a property.
            if own.is_some() {
                name.push_str("_input");
            }
        } else if !element.is_empty() {
            name.push('_');
            name.push_str(&cleaned(element));
        }
        let (unit, value, is_counter) = match (kind, element.as_str()) {
            (_, "fault" | "alarm") => ("", number, false),
            (_, "beep") => ("_enabled", number, false),
            ("in" | "cpu", _) => ("_volts", number * 0.001, false),
            ("temp", element) if element != "type" => ("_celsius", number * 0.001, false),
            ("curr", _) => ("_amps", number * 0.001, false),
            ("energy", _) => ("_joule_total", number / 1_000_000.0, true),
            ("power", "accuracy") | ("humidity", _) => ("", number / 1_000_000.0, false),
            ("power", "average_interval" | "average_interval_min" | "average_interval_max") => {
                ("_seconds", number * 0.001, false)
            }
            ("power", _) => ("_watt", number / 1_000_000.0, false),
            ("fan", "input" | "min" | "max" | "target") => ("_rpm", number, false),
            ("freq", "input") => {
                // Told apart by what they are the frequency of.
                if let Some(label) = files.get("label") {
                    name.push_str("_freq_mhz");
                    let label = cleaned(label);
                    emit.put(
                        Gauge,
                        &name,
                        "Frequency, in megahertz.",
                        &[("chip", chip), ("sensor", &label)],
                        number / 1_000_000.0,
                    );
                }
                continue;
            }
            _ => ("", number, false),
        };
        name.push_str(unit);
        let family = if is_counter { Counter } else { Gauge };
        emit.put(family, &name, "What each sensor says.", &labels, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_name() {
        assert_eq!(exploded("temp1_input"), Some(("temp", 1, "input")));
        assert_eq!(exploded("in0_max"), Some(("in", 0, "max")));
        assert_eq!(
            exploded("temp12_crit_alarm"),
            Some(("temp", 12, "crit_alarm"))
        );
        assert_eq!(exploded("pwm1"), Some(("pwm", 1, "")));
        assert_eq!(
            exploded("pwm1_auto_point2_temp"),
            Some(("pwm", 1, "auto_point2_temp"))
        );
        assert_eq!(exploded("beep_enable"), Some(("beep_enable", 0, "")));
        assert_eq!(
            exploded("update_interval"),
            Some(("update_interval", 0, ""))
        );
        for other in [
            "name",
            "uevent",
            "subsystem",
            "temp1x",
            "xyz1_input",
            "in_max",
            "",
        ] {
            assert_eq!(exploded(other), None, "{other}");
        }
    }

    #[test]
    fn names_are_cleaned() {
        assert_eq!(cleaned("PCI-Adapter 0000:01\n"), "pci_adapter_0000:01");
        assert_eq!(cleaned("__"), "");
    }
}
