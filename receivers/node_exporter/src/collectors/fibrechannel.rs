//! Fibre Channel adapters: `/sys/class/fc_host`.

use corten_host::families::Kind::{Counter, Gauge};
use corten_host::scan::{c_number, float};
use corten_host::{Attributes, HostError};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(FibreChannel {
        folder: Attributes::new(sources.roots.sys("class/fc_host")),
    })
}

struct FibreChannel {
    folder: Attributes,
}

impl Collector for FibreChannel {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        for host in &self.folder.names("")? {
            let values: Vec<(&str, String)> = LABELS
                .into_iter()
                .map(|(file, is_number)| {
                    let text = self.folder.text_or_empty(&format!("{host}/{file}"));
                    let text = if is_number {
                        // `0x`, whatever it is.
                        text.get(2..)
                            .filter(|rest| !rest.is_empty())
                            .unwrap_or(&text)
                            .to_owned()
                    } else {
                        text
                    };
                    (file, text)
                })
                .collect();
            // A host without counters is none.
            self.folder.names(&format!("{host}/statistics"))?;
            let mut labels = vec![("fc_host", host.as_str())];
            labels.extend(values.iter().map(|(label, value)| (*label, value.as_str())));
            emit.put(
                Gauge,
                "node_fibrechannel_info",
                "What each adapter is: always 1.",
                &labels,
                1.0,
            );
            for (file, name, help) in COUNTERS {
                let path = format!("{host}/statistics/{file}");
                let value = match self.folder.bytes(&path) {
                    Ok(text) => Some(c_number(text)),
                    Err(_) => None,
                };
                match value {
                    Some(None) => return Err(self.folder.no_number(&path)),
                    // All ones: the adapter does not count this.
                    Some(Some(u64::MAX)) => {}
                    value => emit.put(
                        Counter,
                        name,
                        help,
                        &[("fc_host", host)],
                        float(value.flatten().unwrap_or(0)),
                    ),
                }
            }
        }
        self.folder.forget_unused();
        Ok(())
    }
}

/// The files that become labels, and whether they are numbers written `0x…`.
const LABELS: [(&str, bool); 10] = [
    ("dev_loss_tmo", false),
    ("fabric_name", true),
    ("port_id", true),
    ("port_name", true),
    ("port_state", false),
    ("port_type", false),
    ("speed", false),
    ("supported_classes", false),
    ("supported_speeds", false),
    ("symbolic_name", false),
];

const COUNTERS: [(&str, &str, &str); 14] = [
    (
        "dumped_frames",
        "node_fibrechannel_dumped_frames_total",
        "Frames thrown away.",
    ),
    (
        "error_frames",
        "node_fibrechannel_error_frames_total",
        "Frames with errors.",
    ),
    (
        "fcp_packet_aborts",
        "node_fibrechannel_fcp_packet_aborts_total",
        "Packets given up.",
    ),
    (
        "invalid_crc_count",
        "node_fibrechannel_invalid_crc_total",
        "Frames with a wrong checksum.",
    ),
    (
        "invalid_tx_word_count",
        "node_fibrechannel_invalid_tx_words_total",
        "Invalid words sent.",
    ),
    (
        "link_failure_count",
        "node_fibrechannel_link_failure_total",
        "Times that the link failed.",
    ),
    (
        "loss_of_signal_count",
        "node_fibrechannel_loss_of_signal_total",
        "Times that the signal was lost.",
    ),
    (
        "loss_of_sync_count",
        "node_fibrechannel_loss_of_sync_total",
        "Times that synchronisation was lost.",
    ),
    (
        "nos_count",
        "node_fibrechannel_nos_total",
        "Times that the other side said that it does not operate.",
    ),
    (
        "rx_frames",
        "node_fibrechannel_rx_frames_total",
        "Frames received.",
    ),
    (
        "rx_words",
        "node_fibrechannel_rx_words_total",
        "Words received.",
    ),
    (
        "seconds_since_last_reset",
        "node_fibrechannel_seconds_since_last_reset_total",
        "Time since the adapter was reset, in seconds.",
    ),
    (
        "tx_frames",
        "node_fibrechannel_tx_frames_total",
        "Frames sent.",
    ),
    (
        "tx_words",
        "node_fibrechannel_tx_words_total",
        "Words sent.",
    ),
];
