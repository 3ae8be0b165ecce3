use corten_config::from_str;

use super::*;

#[test]
fn a_prometheus_yml_is_read() {
    let config: Config = from_str(
        r#"
config:
  global: {scrape_interval: 15s, sample_limit: 100, external_labels: {cluster: c1}}
  scrape_configs:
    - job_name: kubelet
      scheme: https
      bearer_token_file: /var/run/secrets/kubernetes.io/serviceaccount/token
      tls_config: {ca_file: /ca.crt, insecure_skip_verify: true, min_version: TLS12}
      kubernetes_sd_configs: [{role: node}]
      metrics_path: /metrics/cadvisor
      sample_limit: 5
      params: {module: [http_2xx], x: one}
      relabel_configs:
        - {action: labelmap, regex: '__meta_kubernetes_node_label_(.+)'}
        - {source_labels: [__address__], regex: '(.*):\d+', replacement: '$1:9100', target_label: __address__}
    - job_name: static
      static_configs:
        - {targets: ['localhost:9100'], labels: {team: a}}
      basic_auth: {username: me, password: hunter2}
      http_headers: {X-Scope: {values: [a, b]}}
"#,
    )
    .unwrap_or_else(|problems| panic!("{problems}"));
    let [kubelet, fixed] = config.config.scrape_configs.as_slice() else {
        panic!("{config:?}");
    };
    assert_eq!(kubelet.job.scheme, Scheme::Https);
    assert_eq!(kubelet.job.kubernetes_sd_configs[0].role, Some(Role::Node));
    assert_eq!(kubelet.job.relabel_configs.len(), 2);
    let limits = |config: &ScrapeConfig, global| config.limits.over(global).sample_limit;
    assert_eq!(limits(kubelet, config.config.global.limits), Some(5));
    assert_eq!(limits(fixed, config.config.global.limits), Some(100));
    assert_eq!(
        kubelet.access.tls_config.settings().min_version,
        Some(TlsVersion::V1_2)
    );
    assert!(
        !format!("{fixed:?}").contains("hunter2"),
        "a password is shown"
    );
}

#[test]
fn what_is_wrong_is_said_where() {
    let job = |rest: &str| format!("{{config: {{scrape_configs: [{{job_name: a, {rest}}}]}}}}");
    let discovers = |rest: &str| job(&format!("kubernetes_sd_configs: [{{{rest}}}]"));
    for (yaml, expected) in [
        ("{}".to_owned(), "no Prometheus scrape_configs"),
        (
            "{config: {scrape_configs: [{}]}}".to_owned(),
            "scrape_configs[0]: job_name is empty",
        ),
        (
            "{config: {scrape_configs: [{job_name: a}, {job_name: a}]}}".to_owned(),
            "found multiple scrape configs with job name \"a\"",
        ),
        (
            "{config: {remote_write: [], scrape_configs: [{job_name: a}]}}".to_owned(),
            "unsupported feature 'remote_write'",
        ),
        (
            "{target_allocator: {}, config: {scrape_configs: [{job_name: a}]}}".to_owned(),
            "target allocator is not supported",
        ),
        (
            job("scrape_interval: 5s, scrape_timeout: 6s"),
            "scrape_timeout must not be greater than the interval",
        ),
        (
            job("scrape_interval: 0s"),
            "scrape_interval must be greater than zero",
        ),
        (
            job("static_configs: [{targets: ['http://a/metrics']}]"),
            "'http://a/metrics' is no address",
        ),
        (
            job("scarpe_interval: 5s"),
            "did you mean 'scrape_interval'?",
        ),
        (
            job("bearer_token: a, bearer_token_file: b"),
            "at most one of basic_auth",
        ),
        (
            job("authorization: {type: Basic, credentials: a}"),
            "use \"basic_auth\" instead",
        ),
        (job("oauth2: {client_id: a}"), "oauth2 is not supported"),
        (
            job("scrape_protocols: [PrometheusProto]"),
            "names no format that is read here",
        ),
        (
            job("relabel_configs: [{action: replace}]"),
            "relabel_configs[0]: action 'replace' needs target_label",
        ),
        (
            job("dns_sd_configs: [{names: [a], type: SRV}]"),
            "only the types A and AAAA",
        ),
        (
            job("dns_sd_configs: [{names: [a], type: A}]"),
            "port is missing",
        ),
        (
            job("file_sd_configs: [{files: []}]"),
            "name at least one file",
        ),
        (
            job("http_sd_configs: [{url: 'ftp://a'}]"),
            "url has to be http",
        ),
        (discovers("namespaces: {}"), "role is missing"),
        (discovers("role: pods"), "did you mean 'pod'?"),
        (
            discovers("role: pod, api_server: 'https://a'"),
            "use kubeconfig_file",
        ),
    ] {
        let problems = from_str::<Config>(&yaml).unwrap_err().to_string();
        assert!(problems.contains(expected), "{yaml}: {problems}");
    }
}
