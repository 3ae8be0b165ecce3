//! Errors of IPsec: `/proc/net/xfrm_stat`.

use corten_host::families::Kind::Counter;
use corten_host::scan::{fields, float, lines, number};
use corten_host::{HostError, HostFile};

use crate::collector::{Collector, Emit};
use crate::config::Config;
use crate::shared::Sources;

pub(crate) fn make(_: &Config, sources: &Sources) -> Box<dyn Collector> {
    Box::new(Xfrm {
        file: HostFile::of_short_lines(sources.roots.proc("net/xfrm_stat")),
    })
}

struct Xfrm {
    file: HostFile,
}

impl Collector for Xfrm {
    fn update(&mut self, emit: &mut Emit<'_>) -> Result<(), HostError> {
        let text = self.file.read()?;

        for (at, line) in lines(text) {
            let mut words = fields(line);
            let (Some(name), Some(count)) = (words.next(), words.next()) else {
                return Err(HostError::malformed(
                    "net/xfrm_stat",
                    at,
                    "a name and a number",
                    line,
                ));
            };
            let count = number(count).ok_or_else(|| {
                HostError::malformed("net/xfrm_stat", at, "a name and a number", line)
            })?;
            if let Some((_, metric)) = COUNTERS
                .iter()
                .find(|(kernel, _)| kernel.as_bytes() == name)
            {
                emit.put(
                    Counter,
                    metric,
                    "Packets that IPsec did not let through, by reason.",
                    &[],
                    float(count),
                );
            }
        }
        Ok(())
    }
}

/// The kernel's names, and the metrics'.
const COUNTERS: [(&str, &str); 28] = [
    ("XfrmInError", "node_xfrm_in_error_packets_total"),
    (
        "XfrmInBufferError",
        "node_xfrm_in_buffer_error_packets_total",
    ),
    ("XfrmInHdrError", "node_xfrm_in_hdr_error_packets_total"),
    ("XfrmInNoStates", "node_xfrm_in_no_states_packets_total"),
    (
        "XfrmInStateProtoError",
        "node_xfrm_in_state_proto_error_packets_total",
    ),
    (
        "XfrmInStateModeError",
        "node_xfrm_in_state_mode_error_packets_total",
    ),
    (
        "XfrmInStateSeqError",
        "node_xfrm_in_state_seq_error_packets_total",
    ),
    (
        "XfrmInStateExpired",
        "node_xfrm_in_state_expired_packets_total",
    ),
    (
        "XfrmInStateMismatch",
        "node_xfrm_in_state_mismatch_packets_total",
    ),
    (
        "XfrmInStateInvalid",
        "node_xfrm_in_state_invalid_packets_total",
    ),
    (
        "XfrmInTmplMismatch",
        "node_xfrm_in_tmpl_mismatch_packets_total",
    ),
    ("XfrmInNoPols", "node_xfrm_in_no_pols_packets_total"),
    ("XfrmInPolBlock", "node_xfrm_in_pol_block_packets_total"),
    ("XfrmInPolError", "node_xfrm_in_pol_error_packets_total"),
    ("XfrmOutError", "node_xfrm_out_error_packets_total"),
    (
        "XfrmOutBundleGenError",
        "node_xfrm_out_bundle_gen_error_packets_total",
    ),
    (
        "XfrmOutBundleCheckError",
        "node_xfrm_out_bundle_check_error_packets_total",
    ),
    ("XfrmOutNoStates", "node_xfrm_out_no_states_packets_total"),
    (
        "XfrmOutStateProtoError",
        "node_xfrm_out_state_proto_error_packets_total",
    ),
    (
        "XfrmOutStateModeError",
        "node_xfrm_out_state_mode_error_packets_total",
    ),
    (
        "XfrmOutStateSeqError",
        "node_xfrm_out_state_seq_error_packets_total",
    ),
    (
        "XfrmOutStateExpired",
        "node_xfrm_out_state_expired_packets_total",
    ),
    ("XfrmOutPolBlock", "node_xfrm_out_pol_block_packets_total"),
    ("XfrmOutPolDead", "node_xfrm_out_pol_dead_packets_total"),
    ("XfrmOutPolError", "node_xfrm_out_pol_error_packets_total"),
    ("XfrmFwdHdrError", "node_xfrm_fwd_hdr_error_packets_total"),
    (
        "XfrmOutStateInvalid",
        "node_xfrm_out_state_invalid_packets_total",
    ),
    ("XfrmAcquireError", "node_xfrm_acquire_error_packets_total"),
];
