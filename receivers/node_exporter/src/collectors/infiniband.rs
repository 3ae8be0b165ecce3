//! InfiniBand adapters and their ports: `/sys/class/infiniband`.

use corten_host::families::Kind::{Counter, Gauge};
use corten_host::scan::{cut, value};
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Infiniband {
        folder: Attributes::new(sources.roots.sys("class/infiniband")),
    })
}

struct Infiniband {
    folder: Attributes,
}

impl Collector for Infiniband {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for device in &self.folder.names("")? {
            let firmware = self
                .folder
                .text(&format!("{device}/fw_ver"))
                .map(|text| text.into_owned());
            let firmware = match firmware {
                Ok(firmware) => firmware,
                Err(error) if error.is_absent() => String::new(),
                Err(error) => return Err(error),
            };
            let board = self.folder.text_or_empty(&format!("{device}/board_id"));
            let kind = self.folder.text_or_empty(&format!("{device}/hca_type"));
            emit.put(
                Gauge,
                "node_infiniband_info",
                "What each adapter is: always 1.",
                &[
                    ("board_id", &board),
                    ("device", device),
                    ("firmware_version", &firmware),
                    ("hca_type", &kind),
                ],
                1.0,
            );
            for port in &self.folder.names(&format!("{device}/ports"))? {
                self.port(emit, device, port)?;
            }
        }
        self.folder.forget_unused();
        Ok(())
    }
}

impl Infiniband {
    fn port(&mut self, emit: &mut Emit<'_>, device: &str, port: &str) -> Result<(), HostError> {
        let labels = [("device", device), ("port", port)];
        let root = format!("{device}/ports/{port}");
        for (file, name, help) in [
            (
                "state",
                "node_infiniband_state_id",
                "State of each port: 1 down, 2 initialising, 3 armed, 4 active, 5 active but deferred.",
            ),
            (
                "phys_state",
                "node_infiniband_physical_state_id",
                "Physical state of each port: 1 sleeping, 2 polling, 3 disabled, 4 training, 5 up, 6 recovering, 7 testing.",
            ),
        ] {
            let path = format!("{root}/{file}");
            // `4: ACTIVE`
            let id = cut(self.folder.bytes(&path)?, b':').and_then(|(id, _)| value(id));
            let id = id.ok_or_else(|| self.folder.no_number(&path))?;
            emit.put(Gauge, name, help, &labels, id);
        }
        let path = format!("{root}/rate");
        // `40 Gb/sec (4X QDR)`
        let gigabits = cut(self.folder.bytes(&path)?, b' ').and_then(|(rate, _)| value(rate));
        let gigabits = gigabits.ok_or_else(|| self.folder.no_number(&path))?;
        emit.put(
            Gauge,
            "node_infiniband_rate_bytes_per_second",
            "How fast each port can be, in bytes a second.",
            &labels,
            (gigabits * 125e6).trunc(),
        );
        let own_counters = ["irdma", "mlx5_"]
            .iter()
            .any(|prefix| device.starts_with(prefix));
        for (folder, file, name, factor) in COUNTERS {
            // Cards of Intel have no `counters`; only some drivers' own counters are known.
            if (folder == "hw_counters" && !own_counters)
                || (folder != "hw_counters" && device.starts_with("irdma"))
            {
                continue;
            }
            let path = format!("{root}/{folder}/{file}");
            let number = match self.folder.bytes(&path) {
                // An old driver says so where it cannot count.
                Ok(text) if text.starts_with(b"N/A") => continue,
                Ok(text) => value(text).ok_or_else(|| self.folder.no_number(&path))?,
                Err(_) => continue,
            };
            emit.put(
                Counter,
                name,
                &format!("The counter {file} of each InfiniBand port."),
                &labels,
                number * factor,
            );
        }
        if own_counters
            && let Some(lifespan) = self
                .folder
                .optional(&format!("{root}/hw_counters/lifespan"))?
        {
            emit.put(
                Gauge,
                "node_infiniband_lifespan_seconds",
                "For how long the driver keeps its counters' values, in seconds.",
                &labels,
                lifespan,
            );
        }
        Ok(())
    }
}

/// The folder and the file, the metric's name, and what the value is multiplied with: data is counted
/// in words of four bytes.
const COUNTERS: [(&str, &str, &str, f64); 54] = [
    (
        "counters_ext",
        "port_multicast_rcv_packets",
        "node_infiniband_legacy_multicast_packets_received_total",
        1.0,
    ),
    (
        "counters_ext",
        "port_multicast_xmit_packets",
        "node_infiniband_legacy_multicast_packets_transmitted_total",
        1.0,
    ),
    (
        "counters_ext",
        "port_rcv_data_64",
        "node_infiniband_legacy_data_received_bytes_total",
        4.0,
    ),
    (
        "counters_ext",
        "port_rcv_packets_64",
        "node_infiniband_legacy_packets_received_total",
        1.0,
    ),
    (
        "counters_ext",
        "port_unicast_rcv_packets",
        "node_infiniband_legacy_unicast_packets_received_total",
        1.0,
    ),
    (
        "counters_ext",
        "port_unicast_xmit_packets",
        "node_infiniband_legacy_unicast_packets_transmitted_total",
        1.0,
    ),
    (
        "counters_ext",
        "port_xmit_data_64",
        "node_infiniband_legacy_data_transmitted_bytes_total",
        4.0,
    ),
    (
        "counters_ext",
        "port_xmit_packets_64",
        "node_infiniband_legacy_packets_transmitted_total",
        1.0,
    ),
    (
        "counters",
        "excessive_buffer_overrun_errors",
        "node_infiniband_excessive_buffer_overrun_errors_total",
        1.0,
    ),
    (
        "counters",
        "link_downed",
        "node_infiniband_link_downed_total",
        1.0,
    ),
    (
        "counters",
        "link_error_recovery",
        "node_infiniband_link_error_recovery_total",
        1.0,
    ),
    (
        "counters",
        "local_link_integrity_errors",
        "node_infiniband_local_link_integrity_errors_total",
        1.0,
    ),
    (
        "counters",
        "multicast_rcv_packets",
        "node_infiniband_multicast_packets_received_total",
        1.0,
    ),
    (
        "counters",
        "multicast_xmit_packets",
        "node_infiniband_multicast_packets_transmitted_total",
        1.0,
    ),
    (
        "counters",
        "port_rcv_constraint_errors",
        "node_infiniband_port_constraint_errors_received_total",
        1.0,
    ),
    (
        "counters",
        "port_xmit_constraint_errors",
        "node_infiniband_port_constraint_errors_transmitted_total",
        1.0,
    ),
    (
        "counters",
        "port_rcv_data",
        "node_infiniband_port_data_received_bytes_total",
        4.0,
    ),
    (
        "counters",
        "port_xmit_data",
        "node_infiniband_port_data_transmitted_bytes_total",
        4.0,
    ),
    (
        "counters",
        "port_rcv_discards",
        "node_infiniband_port_discards_received_total",
        1.0,
    ),
    (
        "counters",
        "port_xmit_discards",
        "node_infiniband_port_discards_transmitted_total",
        1.0,
    ),
    (
        "counters",
        "port_rcv_errors",
        "node_infiniband_port_errors_received_total",
        1.0,
    ),
    (
        "counters",
        "port_rcv_packets",
        "node_infiniband_port_packets_received_total",
        1.0,
    ),
    (
        "counters",
        "port_xmit_packets",
        "node_infiniband_port_packets_transmitted_total",
        1.0,
    ),
    (
        "counters",
        "port_rcv_remote_physical_errors",
        "node_infiniband_port_receive_remote_physical_errors_total",
        1.0,
    ),
    (
        "counters",
        "port_rcv_switch_relay_errors",
        "node_infiniband_port_receive_switch_relay_errors_total",
        1.0,
    ),
    (
        "counters",
        "port_xmit_wait",
        "node_infiniband_port_transmit_wait_total",
        1.0,
    ),
    (
        "counters",
        "symbol_error",
        "node_infiniband_symbol_error_total",
        1.0,
    ),
    (
        "counters",
        "unicast_rcv_packets",
        "node_infiniband_unicast_packets_received_total",
        1.0,
    ),
    (
        "counters",
        "unicast_xmit_packets",
        "node_infiniband_unicast_packets_transmitted_total",
        1.0,
    ),
    (
        "counters",
        "VL15_dropped",
        "node_infiniband_vl15_dropped_total",
        1.0,
    ),
    (
        "hw_counters",
        "duplicate_request",
        "node_infiniband_duplicate_requests_packets_total",
        1.0,
    ),
    (
        "hw_counters",
        "implied_nak_seq_err",
        "node_infiniband_implied_nak_seq_errors_total",
        1.0,
    ),
    (
        "hw_counters",
        "local_ack_timeout_err",
        "node_infiniband_local_ack_timeout_errors_total",
        1.0,
    ),
    (
        "hw_counters",
        "out_of_buffer",
        "node_infiniband_out_of_buffer_drops_total",
        1.0,
    ),
    (
        "hw_counters",
        "out_of_sequence",
        "node_infiniband_out_of_sequence_packets_received_total",
        1.0,
    ),
    (
        "hw_counters",
        "packet_seq_err",
        "node_infiniband_packet_sequence_errors_total",
        1.0,
    ),
    (
        "hw_counters",
        "req_cqe_error",
        "node_infiniband_req_cqes_errors_total",
        1.0,
    ),
    (
        "hw_counters",
        "req_cqe_flush_error",
        "node_infiniband_req_cqes_flush_errors_total",
        1.0,
    ),
    (
        "hw_counters",
        "req_remote_access_errors",
        "node_infiniband_req_remote_access_errors_total",
        1.0,
    ),
    (
        "hw_counters",
        "req_remote_invalid_request",
        "node_infiniband_req_remote_invalid_request_errors_total",
        1.0,
    ),
    (
        "hw_counters",
        "resp_cqe_error",
        "node_infiniband_resp_cqes_errors_total",
        1.0,
    ),
    (
        "hw_counters",
        "resp_cqe_flush_error",
        "node_infiniband_resp_cqes_flush_errors_total",
        1.0,
    ),
    (
        "hw_counters",
        "resp_local_length_error",
        "node_infiniband_resp_local_length_errors_total",
        1.0,
    ),
    (
        "hw_counters",
        "resp_remote_access_errors",
        "node_infiniband_resp_remote_access_errors_total",
        1.0,
    ),
    (
        "hw_counters",
        "rnr_nak_retry_err",
        "node_infiniband_rnr_nak_retry_packets_received_total",
        1.0,
    ),
    (
        "hw_counters",
        "roce_adp_retrans",
        "node_infiniband_roce_adp_retransmits_total",
        1.0,
    ),
    (
        "hw_counters",
        "roce_adp_retrans_to",
        "node_infiniband_roce_adp_retransmits_timeout_total",
        1.0,
    ),
    (
        "hw_counters",
        "roce_slow_restart",
        "node_infiniband_roce_slow_restart_used_total",
        1.0,
    ),
    (
        "hw_counters",
        "roce_slow_restart_cnps",
        "node_infiniband_roce_slow_restart_cnps_total",
        1.0,
    ),
    (
        "hw_counters",
        "roce_slow_restart_trans",
        "node_infiniband_roce_slow_restart_total",
        1.0,
    ),
    (
        "hw_counters",
        "rx_atomic_requests",
        "node_infiniband_rx_atomic_requests_total",
        1.0,
    ),
    (
        "hw_counters",
        "rx_dct_connect",
        "node_infiniband_rx_dct_connect_requests_total",
        1.0,
    ),
    (
        "hw_counters",
        "rx_read_requests",
        "node_infiniband_rx_read_requests_total",
        1.0,
    ),
    (
        "hw_counters",
        "rx_write_requests",
        "node_infiniband_rx_write_requests_total",
        1.0,
    ),
];
