//! What the directory of a component is called.

use corten_component::{ComponentId, Kind};

/// `<kind>_<type>_<name>[_<purpose>]`, as the Collector names its storage files: a component without a name has
/// nothing in that place (`exporter_loki__queue`).
///
/// The type is written in its present spelling, so that a configuration may be moved from `filelog` to
/// `file_log` without losing a checkpoint. Bytes that have a meaning in paths become `~` and two hex digits.
pub(crate) fn directory_name(kind: Kind, id: &ComponentId, purpose: &str) -> String {
    let mut name = String::from(kind.name());
    name.push('_');
    escape(canonical(kind, id.component_type()), &mut name);
    name.push('_');
    escape(id.name(), &mut name);
    if !purpose.is_empty() {
        name.push('_');
        escape(purpose, &mut name);
    }
    name
}

/// Letters, digits, `_`, `-` and `.` stay: none of these names can be `.` or `..`, since a kind precedes them.
fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') {
            out.push(char::from(byte));
        } else {
            let hex = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
            out.extend(['~', hex(byte >> 4), hex(byte & 15)]);
        }
    }
}

/// Types that the Collector renamed, of any kind.
const RENAMED: &[(&str, &str)] = &[
    ("cgroupruntime", "cgroup_runtime"),
    ("cumulativetodelta", "cumulative_to_delta"),
    ("deltatocumulative", "delta_to_cumulative"),
    ("filelog", "file_log"),
    ("filestats", "file_stats"),
    ("fluentforward", "fluent_forward"),
    ("hostmetrics", "host_metrics"),
    ("httpcheck", "http_check"),
    ("k8sattributes", "k8s_attributes"),
    ("k8sobjects", "k8s_objects"),
    ("kafkametrics", "kafka_metrics"),
    ("kubeletstats", "kubelet_stats"),
    ("loadbalancing", "load_balancing"),
    ("logdedup", "log_dedup"),
    ("metricsaslogs", "metrics_as_logs"),
    ("metricstransform", "metrics_transform"),
    ("namedpipe", "named_pipe"),
    ("otlphttp", "otlp_http"),
    ("otlpjson", "otlp_json"),
    ("otlpjsonfile", "otlp_json_file"),
    ("prometheusremotewrite", "prometheus_remote_write"),
    ("resourcedetection", "resource_detection"),
    ("servicegraph", "service_graph"),
    ("spanmetrics", "span_metrics"),
    ("tcplog", "tcp_log"),
    ("udplog", "udp_log"),
    ("windowseventlog", "windows_event_log"),
];

/// The present spelling of a type.
fn canonical(kind: Kind, type_name: &str) -> &str {
    // The receiver `otlp` kept its name, the exporter did not.
    if kind == Kind::Exporter && type_name == "otlp" {
        return "otlp_grpc";
    }
    RENAMED
        .iter()
        .find(|(old, _)| *old == type_name)
        .map_or(type_name, |(_, new)| new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(kind: Kind, id: &str, purpose: &str) -> String {
        directory_name(kind, &id.parse().unwrap(), purpose)
    }

    #[test]
    fn names_tell_kind_type_name_and_purpose() {
        assert_eq!(name(Kind::Receiver, "file_log", ""), "receiver_file_log_");
        assert_eq!(
            name(Kind::Exporter, "otlp_grpc/tempo", "queue_traces"),
            "exporter_otlp_grpc_tempo_queue_traces"
        );
        assert_eq!(
            name(Kind::Exporter, "loki", "queue_logs"),
            "exporter_loki__queue_logs"
        );
    }

    #[test]
    fn an_old_spelling_of_the_type_keeps_its_directory() {
        assert_eq!(
            name(Kind::Receiver, "filelog/pods", "checkpoint"),
            name(Kind::Receiver, "file_log/pods", "checkpoint")
        );
        assert_eq!(
            name(Kind::Exporter, "otlp/a", "q"),
            name(Kind::Exporter, "otlp_grpc/a", "q")
        );
        assert_eq!(name(Kind::Receiver, "otlp/a", "q"), "receiver_otlp_a_q");
    }

    #[test]
    fn what_means_something_in_a_path_is_escaped() {
        assert_eq!(
            name(Kind::Exporter, "loki/../../etc", "q"),
            "exporter_loki_..~2f..~2fetc_q"
        );
        assert_eq!(
            name(Kind::Exporter, "loki/ä~b", ""),
            "exporter_loki_~c3~a4~7eb"
        );
    }
}
