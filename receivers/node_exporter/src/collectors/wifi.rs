//! Wireless interfaces, the networks they are in and whom they speak with.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use corten_host::HostError;
use corten_host::families::Kind::{Counter, Gauge};
use corten_host::scan::float;
use corten_host::wireless::{Mac, Network, Station, Wireless};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(config: &Config, _: &Sources) -> Box<dyn Collector> {
    Box::new(WifiCollector {
        fixtures: config.wifi.fixtures.clone(),
    })
}

struct WifiCollector {
    /// Where all of it is read instead, when not empty.
    fixtures: PathBuf,
}

impl Collector for WifiCollector {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        if !self.fixtures.as_os_str().is_empty() {
            return recorded(&self.fixtures, emit);
        }
        let Some(wireless) = Wireless::find()? else {
            return Err(HostError::NoData("the kernel has no wireless networks"));
        };
        for interface in wireless.interfaces()? {
            // Some have no network device.
            if interface.name.is_empty() {
                continue;
            }
            put_interface(emit, &interface.name, interface.frequency);
            if let Some(network) = wireless.network(&interface)? {
                put_network(emit, &interface.name, &network);
            }
            for station in wireless.stations(&interface)? {
                put_station(emit, &interface.name, &station);
            }
        }
        Ok(())
    }
}

fn written(address: Mac) -> String {
    address.map(|byte| format!("{byte:02x}")).join(":")
}

fn put_interface(emit: &mut Emit<'_>, device: &str, megahertz: u32) {
    emit.put(
        Gauge,
        "node_wifi_interface_frequency_hertz",
        "What each wireless interface sends on, in hertz.",
        &[("device", device)],
        f64::from(megahertz) * 1e6,
    );
}

fn put_network(emit: &mut Emit<'_>, device: &str, network: &Network) {
    emit.put(
        Gauge,
        "node_wifi_station_info",
        "The network that each wireless interface is in: always 1.",
        &[
            ("bssid", &written(network.bssid)),
            ("device", device),
            (
                "mode",
                match network.status {
                    1 => "client",
                    2 => "ad-hoc",
                    _ => "unknown",
                },
            ),
            ("ssid", &network.ssid),
        ],
        1.0,
    );
}

fn put_station(emit: &mut Emit<'_>, device: &str, station: &Station) {
    let address = written(station.address);
    let labels = [("device", device), ("mac_address", address.as_str())];
    for (kind, name, help, value) in [
        (
            Counter,
            "connected_seconds_total",
            "For how long each station has been connected, in seconds.",
            f64::from(station.connected),
        ),
        (
            Gauge,
            "inactive_seconds",
            "Since when nothing was heard of each station, in seconds.",
            f64::from(station.inactive) / 1e3,
        ),
        (
            Gauge,
            "receive_bits_per_second",
            "How fast is received from each station, in bits a second.",
            float(station.receive_rate),
        ),
        (
            Gauge,
            "transmit_bits_per_second",
            "How fast is sent to each station, in bits a second.",
            float(station.transmit_rate),
        ),
        (
            Counter,
            "receive_bytes_total",
            "Bytes received from each station.",
            float(station.received_bytes),
        ),
        (
            Counter,
            "transmit_bytes_total",
            "Bytes sent to each station.",
            float(station.transmitted_bytes),
        ),
        (
            Counter,
            "received_packets_total",
            "Packets received from each station.",
            f64::from(station.received_packets),
        ),
        (
            Counter,
            "transmitted_packets_total",
            "Packets sent to each station.",
            f64::from(station.transmitted_packets),
        ),
        (
            Gauge,
            "signal_dbm",
            "How strong each station is heard, in dBm.",
            f64::from(station.signal),
        ),
        (
            Counter,
            "transmit_retries_total",
            "Packets that were sent to each station again.",
            f64::from(station.retries),
        ),
        (
            Counter,
            "transmit_failed_total",
            "Packets that could not be sent to each station.",
            f64::from(station.failed),
        ),
        (
            Counter,
            "beacon_loss_total",
            "How often each station's beacon was missed.",
            f64::from(station.beacon_loss),
        ),
    ] {
        emit.put(
            kind,
            &format!("node_wifi_station_{name}"),
            help,
            &labels,
            value,
        );
    }
}

/// `interfaces.json`: what node_exporter's library writes of an interface. Addresses are Base64, times nanoseconds.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct RecordedInterface {
    name: String,
    frequency: u32,
}

/// `<interface>/bss.json`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RecordedNetwork {
    #[serde(rename = "SSID")]
    ssid: String,
    #[serde(rename = "BSSID")]
    bssid: String,
    status: u32,
}

/// `<interface>/stationinfo.json`, a list of these.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RecordedStation {
    hardware_addr: String,
    connected: u64,
    inactive: u64,
    received_bytes: u64,
    transmitted_bytes: u64,
    received_packets: u32,
    transmitted_packets: u32,
    receive_bitrate: u64,
    transmit_bitrate: u64,
    signal: i8,
    transmit_retries: u32,
    transmit_failed: u32,
    beacon_loss: u32,
}

fn address(base64: &str) -> Mac {
    let bytes = BASE64.decode(base64).unwrap_or_default();
    bytes.try_into().unwrap_or_default()
}

/// What a file holds; `None` where there is none: an interface that has no such thing.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, HostError> {
    let text = match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| HostError::read(path, error))?,
    };
    let parsed = serde_json::from_slice(&text);
    parsed
        .map(Some)
        .map_err(|error| HostError::read(path, error.into()))
}

fn recorded(folder: &Path, emit: &mut Emit<'_>) -> Result<(), HostError> {
    let interfaces: Option<Vec<RecordedInterface>> = read(&folder.join("interfaces.json"))?;
    let interfaces = interfaces.ok_or(HostError::NoData("there is no interfaces.json"))?;
    for RecordedInterface { name, frequency } in interfaces {
        if name.is_empty() {
            continue;
        }
        put_interface(emit, &name, frequency);
        if let Some(network) = read::<RecordedNetwork>(&folder.join(&name).join("bss.json"))? {
            let network = Network {
                ssid: network.ssid,
                bssid: address(&network.bssid),
                status: network.status,
            };
            put_network(emit, &name, &network);
        }
        let stations: Option<Vec<RecordedStation>> =
            read(&folder.join(&name).join("stationinfo.json"))?;
        for station in stations.into_iter().flatten() {
            let whole = |time: u64, unit: u64| u32::try_from(time / unit).unwrap_or(u32::MAX);
            let station = Station {
                address: address(&station.hardware_addr),
                connected: whole(station.connected, 1_000_000_000),
                inactive: whole(station.inactive, 1_000_000),
                received_bytes: station.received_bytes,
                transmitted_bytes: station.transmitted_bytes,
                received_packets: station.received_packets,
                transmitted_packets: station.transmitted_packets,
                receive_rate: station.receive_bitrate,
                transmit_rate: station.transmit_bitrate,
                signal: station.signal,
                retries: station.transmit_retries,
                failed: station.transmit_failed,
                beacon_loss: station.beacon_loss,
            };
            put_station(emit, &name, &station);
        }
    }
    Ok(())
}
