//! Batteries and chargers: `/sys/class/power_supply`.

use corten_config::types::Regex;
use corten_host::families::Kind::Gauge;
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(config: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(PowerSupplyClass {
        folder: Attributes::new(sources.roots.sys("class/power_supply")),
        ignored: config.powersupply.ignored_supplies.clone(),
    })
}

struct PowerSupplyClass {
    folder: Attributes,
    ignored: Regex,
}

impl Collector for PowerSupplyClass {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for supply in &self.folder.names("")? {
            if self.ignored.is_match(supply) {
                continue;
            }
            for (file, name, divisor) in NUMBERS {
                let path = format!("{supply}/{file}");
                if self.folder.has(&path)
                    && let Some(value) = self.folder.optional(&path)?
                {
                    emit.put(
                        Gauge,
                        name,
                        &format!("The property {file} of each power supply."),
                        &[("power_supply", supply)],
                        value / divisor,
                    );
                }
            }
            let values: Vec<(&str, String)> = LABELS
                .into_iter()
                .map(|label| {
                    (
                        label,
                        self.folder.text_or_empty(&format!("{supply}/{label}")),
                    )
                })
                .collect();
            let mut labels = vec![("power_supply", supply.as_str())];
            labels.extend(
                values
                    .iter()
                    .filter(|(_, value)| !value.is_empty())
                    .map(|(label, value)| (*label, value.as_str())),
            );
            emit.put(
                Gauge,
                "node_power_supply_info",
                "What each supply is: always 1.",
                &labels,
                1.0,
            );
        }
        self.folder.forget_unused();
        Ok(())
    }
}

const LABELS: [&str; 11] = [
    "capacity_level",
    "charge_type",
    "health",
    "manufacturer",
    "model_name",
    "scope",
    "serial_number",
    "status",
    "technology",
    "type",
    "usb_type",
];

/// Millionths, as the kernel has them.
const MICRO: f64 = 1e6;

/// The files with the metric's name and what its value is divided by.
const NUMBERS: [(&str, &str, f64); 49] = [
    ("authentic", "node_power_supply_authentic", 1.0),
    ("calibrate", "node_power_supply_calibrate", 1.0),
    ("capacity", "node_power_supply_capacity", 1.0),
    (
        "capacity_alert_max",
        "node_power_supply_capacity_alert_max",
        1.0,
    ),
    (
        "capacity_alert_min",
        "node_power_supply_capacity_alert_min",
        1.0,
    ),
    ("cycle_count", "node_power_supply_cyclecount", 1.0),
    ("online", "node_power_supply_online", 1.0),
    ("present", "node_power_supply_present", 1.0),
    (
        "time_to_empty_now",
        "node_power_supply_time_to_empty_seconds",
        1.0,
    ),
    (
        "time_to_full_now",
        "node_power_supply_time_to_full_seconds",
        1.0,
    ),
    ("current_boot", "node_power_supply_current_boot", MICRO),
    ("current_max", "node_power_supply_current_max", MICRO),
    ("current_now", "node_power_supply_current_ampere", MICRO),
    ("energy_empty", "node_power_supply_energy_empty", MICRO),
    (
        "energy_empty_design",
        "node_power_supply_energy_empty_design",
        MICRO,
    ),
    ("energy_full", "node_power_supply_energy_full", MICRO),
    (
        "energy_full_design",
        "node_power_supply_energy_full_design",
        MICRO,
    ),
    ("energy_now", "node_power_supply_energy_watthour", MICRO),
    ("voltage_boot", "node_power_supply_voltage_boot", MICRO),
    ("voltage_max", "node_power_supply_voltage_max", MICRO),
    (
        "voltage_max_design",
        "node_power_supply_voltage_max_design",
        MICRO,
    ),
    ("voltage_min", "node_power_supply_voltage_min", MICRO),
    (
        "voltage_min_design",
        "node_power_supply_voltage_min_design",
        MICRO,
    ),
    ("voltage_now", "node_power_supply_voltage_volt", MICRO),
    ("voltage_ocv", "node_power_supply_voltage_ocv", MICRO),
    (
        "charge_control_limit",
        "node_power_supply_charge_control_limit",
        MICRO,
    ),
    (
        "charge_control_limit_max",
        "node_power_supply_charge_control_limit_max",
        MICRO,
    ),
    ("charge_counter", "node_power_supply_charge_counter", MICRO),
    ("charge_empty", "node_power_supply_charge_empty", MICRO),
    (
        "charge_empty_design",
        "node_power_supply_charge_empty_design",
        MICRO,
    ),
    ("charge_full", "node_power_supply_charge_full", MICRO),
    (
        "charge_full_design",
        "node_power_supply_charge_full_design",
        MICRO,
    ),
    ("charge_now", "node_power_supply_charge_ampere", MICRO),
    (
        "charge_term_current",
        "node_power_supply_charge_term_current",
        MICRO,
    ),
    (
        "constant_charge_current",
        "node_power_supply_constant_charge_current",
        MICRO,
    ),
    (
        "constant_charge_current_max",
        "node_power_supply_constant_charge_current_max",
        MICRO,
    ),
    (
        "constant_charge_voltage",
        "node_power_supply_constant_charge_voltage",
        MICRO,
    ),
    (
        "constant_charge_voltage_max",
        "node_power_supply_constant_charge_voltage_max",
        MICRO,
    ),
    (
        "precharge_current",
        "node_power_supply_precharge_current",
        MICRO,
    ),
    (
        "input_current_limit",
        "node_power_supply_input_current_limit",
        MICRO,
    ),
    ("power_now", "node_power_supply_power_watt", MICRO),
    ("temp", "node_power_supply_temp_celsius", 10.0),
    (
        "temp_alert_max",
        "node_power_supply_temp_alert_max_celsius",
        10.0,
    ),
    (
        "temp_alert_min",
        "node_power_supply_temp_alert_min_celsius",
        10.0,
    ),
    (
        "temp_ambient",
        "node_power_supply_temp_ambient_celsius",
        10.0,
    ),
    (
        "temp_ambient_max",
        "node_power_supply_temp_ambient_max_celsius",
        10.0,
    ),
    (
        "temp_ambient_min",
        "node_power_supply_temp_ambient_min_celsius",
        10.0,
    ),
    ("temp_max", "node_power_supply_temp_max_celsius", 10.0),
    ("temp_min", "node_power_supply_temp_min_celsius", 10.0),
];
