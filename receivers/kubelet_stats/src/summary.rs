//! The kubelet's `/stats/summary`.
//!
//! Shape: `k8s.io/kubelet/pkg/apis/stats/v1alpha1`, `Summary`. Everything may be missing: a container that
//! has just started has no CPU yet.

use serde::Deserialize;

/// The whole answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Summary {
    pub(crate) node: Node,
    pub(crate) pods: Option<Vec<Pod>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Node {
    pub(crate) node_name: String,
    pub(crate) start_time: Option<String>,
    pub(crate) cpu: Option<Cpu>,
    pub(crate) memory: Option<Memory>,
    pub(crate) network: Option<Network>,
    pub(crate) fs: Option<Fs>,
    pub(crate) rlimit: Option<Rlimit>,
    pub(crate) system_containers: Option<Vec<Container>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Pod {
    pub(crate) pod_ref: PodRef,
    pub(crate) start_time: Option<String>,
    pub(crate) containers: Option<Vec<Container>>,
    pub(crate) cpu: Option<Cpu>,
    pub(crate) memory: Option<Memory>,
    pub(crate) network: Option<Network>,
    #[serde(rename = "volume")]
    pub(crate) volumes: Option<Vec<Volume>>,
    #[serde(rename = "ephemeral-storage")]
    pub(crate) ephemeral_storage: Option<Fs>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PodRef {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) start_time: Option<String>,
    pub(crate) cpu: Option<Cpu>,
    pub(crate) memory: Option<Memory>,
    pub(crate) rootfs: Option<Fs>,
    pub(crate) logs: Option<Fs>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Cpu {
    pub(crate) usage_nano_cores: Option<u64>,
    pub(crate) usage_core_nano_seconds: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Memory {
    pub(crate) available_bytes: Option<u64>,
    pub(crate) usage_bytes: Option<u64>,
    pub(crate) working_set_bytes: Option<u64>,
    pub(crate) rss_bytes: Option<u64>,
    pub(crate) page_faults: Option<u64>,
    pub(crate) major_page_faults: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Network {
    /// The default interface.
    #[serde(flatten)]
    pub(crate) default: Interface,
    pub(crate) interfaces: Option<Vec<Interface>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) rx_bytes: Option<u64>,
    pub(crate) rx_errors: Option<u64>,
    pub(crate) tx_bytes: Option<u64>,
    pub(crate) tx_errors: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Fs {
    pub(crate) available_bytes: Option<u64>,
    pub(crate) capacity_bytes: Option<u64>,
    pub(crate) used_bytes: Option<u64>,
    pub(crate) inodes_free: Option<u64>,
    pub(crate) inodes: Option<u64>,
    pub(crate) inodes_used: Option<u64>,
}

/// How many tasks there may be, and are.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Rlimit {
    pub(crate) maxpid: Option<u64>,
    pub(crate) curproc: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Volume {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) fs: Fs,
    pub(crate) pvc_ref: Option<PvcRef>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PvcRef {
    pub(crate) name: String,
    pub(crate) namespace: String,
}

/// Nanoseconds since 1970 of RFC 3339; 0 when it is not known.
pub(crate) fn nanos(time: Option<&str>) -> u64 {
    time.and_then(|text| text.parse::<jiff::Timestamp>().ok())
        .and_then(|time| u64::try_from(time.as_nanosecond()).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_before_1970_are_not_known() {
        assert_eq!(nanos(Some("1970-01-01T00:00:01Z")), 1_000_000_000);
        assert_eq!(nanos(Some("1969-01-01T00:00:01Z")), 0);
        assert_eq!(nanos(Some("soon")), 0);
        assert_eq!(nanos(None), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_error_at_worst(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(serde_json::from_slice::<Summary>(&body));
        }

        #[test]
        fn any_shape_is_an_error_at_worst(node in "[\\[\\]{}\":,a-z0-9]{0,60}") {
            let body = format!(r#"{{"node":{node},"pods":[{node}]}}"#);
            drop(serde_json::from_slice::<Summary>(body.as_bytes()));
        }
    }
}
