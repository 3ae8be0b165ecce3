//! Every component of this distribution, one line each. This list is all there is to it: what
//! stands here can be named in a configuration.

use corten_component::Factory;

/// The factories of all components.
pub(crate) fn all() -> Vec<Factory> {
    let mut all = vec![
        // Receivers.
        corten_container_metrics_receiver::factory(),
        corten_file_log_receiver::factory(),
        corten_host_metrics_receiver::factory(),
        corten_jaeger_receiver::factory(),
        corten_prometheus_receiver::factory(),
        corten_journald_receiver::factory(),
        corten_k8s_cluster_receiver::factory(),
        corten_k8s_events_receiver::factory(),
        corten_k8s_logs_receiver::factory(),
        corten_k8s_objects_receiver::factory(),
        corten_kubelet_stats_receiver::factory(),
        corten_node_exporter_receiver::factory(),
        corten_otlp_receiver::factory(),
        corten_pod_logs_receiver::factory(),
        corten_process_metrics_receiver::factory(),
        corten_receiver_creator_receiver::factory(),
        corten_syslog_receiver::factory(),
        corten_zipkin_receiver::factory(),
        // Processors.
        corten_attributes_processor::factory(),
        corten_k8s_attributes_processor::factory(),
        corten_resource_detection_processor::factory(),
        corten_batch_processor::factory(),
        corten_memory_limiter_processor::factory(),
        corten_resource_processor::factory(),
        // Exporters.
        corten_debug_exporter::factory(),
        corten_file_exporter::factory(),
        corten_load_balancing_exporter::factory(),
        corten_loki_exporter::factory(),
        corten_nop_exporter::factory(),
        corten_otlp_grpc_exporter::factory(),
        corten_otlp_http_exporter::factory(),
        corten_prometheus_exporter::factory(),
        // Connectors.
        corten_forward_connector::factory(),
        // Extensions.
        corten_admin_extension::factory(),
        corten_basicauth_extension::factory(),
        corten_bearertokenauth_extension::factory(),
        corten_file_storage_extension::factory(),
        corten_health_check_extension::factory(),
        corten_k8s_leader_elector_extension::factory(),
        corten_k8s_observer_extension::factory(),
    ];
    all.extend(on_request());
    all
}

/// What stands on a large library that not everybody wants: `--features kafka`. Tests know of it in any case, so that the
/// reference has it.
#[cfg(any(feature = "kafka", test))]
fn on_request() -> Vec<Factory> {
    vec![
        corten_kafka_receiver::factory(),
        corten_kafka_exporter::factory(),
    ]
}

#[cfg(not(any(feature = "kafka", test)))]
fn on_request() -> Vec<Factory> {
    Vec::new()
}

/// What this build may lack, and how one comes by it. Asked only where a type is not there.
pub(crate) const ELSEWHERE: &[(&str, &str)] = &[(
    "kafka",
    "build it with --features kafka (kafka-tls for TLS and SCRAM), as receivers/kafka/README.md says",
)];
