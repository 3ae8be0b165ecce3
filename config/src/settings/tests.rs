//! Defaults and checks of the shared settings.

use expect_test::{Expect, expect};
use serde::de::DeserializeOwned;

use super::*;
use crate::section::{Check, from_str};
use crate::types::{Duration, Optional};

fn good<T: DeserializeOwned + Check>(yaml: &str) -> T {
    from_str(yaml).unwrap_or_else(|problems| panic!("{problems}"))
}

fn bad<T: DeserializeOwned + Check + std::fmt::Debug>(yaml: &str, want: &Expect) {
    want.assert_eq(&from_str::<T>(yaml).unwrap_err().to_string());
}

#[test]
fn written_defaults_are_read_back() {
    fn check<T: DeserializeOwned + serde::Serialize + Default + PartialEq + std::fmt::Debug>() {
        struct Unchecked<T>(T);
        impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Unchecked<T> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                T::deserialize(deserializer).map(Self)
            }
        }
        impl<T> Check for Unchecked<T> {}
        let written = serde_yaml::to_string(&T::default()).unwrap();
        assert_eq!(good::<Unchecked<T>>(&written).0, T::default(), "{written}");
        assert_eq!(good::<Unchecked<T>>("{}").0, T::default());
    }
    check::<TlsClient>();
    check::<TlsServer>();
    check::<Retry>();
    check::<Queue>();
    check::<QueueBatch>();
    check::<HttpServer>();
    check::<GrpcServer>();
    check::<HttpClient>();
    check::<GrpcClient>();
    check::<KeepaliveServer>();
}

#[test]
fn queue() {
    let queue: Queue = good("{storage: file_storage/q, wait_for_result: auto, batch: }");
    assert_eq!(
        queue.storage.as_ref().map(ToString::to_string).as_deref(),
        Some("file_storage/q")
    );
    assert_eq!(queue.batch, Optional::On(QueueBatch::default()));
    assert_eq!(queue.batch_sizer(), Sizer::Items);
    assert_eq!(
        good::<Queue>("wait_for_result: false").wait_for_result,
        WaitForResult::Never
    );
    assert!(!good::<Queue>("{enabled: false, num_consumers: 0}").enabled);
    bad::<Queue>(
        "{num_consumers: 0, queue_size: 0, storage: s, wait_for_result: true, sizer: requets}",
        &expect![[r#"
            config:1:17: `num_consumers` must be positive
            config:1:32: `queue_size` must be positive
            config:1:64: `wait_for_result` is not supported with a persistent queue configured with `storage`
            config:1:77: sizer: unknown value 'requets', did you mean 'requests'?"#]],
    );
    bad::<Queue>(
        "{sizer: items, batch: {flush_timeout: 0, max_size: 10, partition: {metadata_keys: [a, A]}}}",
        &expect![[r#"
            config:1:23: batch: `min_size` must be less than or equal to `queue_size`
            config:1:39: batch: `flush_timeout` must be positive, found 0s
            config:1:52: batch: `max_size` (10) must be greater or equal to `min_size` (8192)
            config:1:87: batch::partition::metadata_keys[1]: duplicate entry in metadata_keys: "A" (case-insensitive)"#]],
    );
    bad::<Queue>(
        "batch: {sizer: requests}",
        &expect![
            "config:1:16: batch: `batch` supports only `items` or `bytes` sizer, found `requests`"
        ],
    );
    bad::<Queue>(
        "wait_for_result: maybe",
        &expect!["config:1:18: wait_for_result: expected auto, true or false, found 'maybe'"],
    );
}

#[test]
fn bounds_of_a_queue() {
    let limit = |yaml| good::<Queue>(yaml).byte_limit();
    assert_eq!(limit("{}"), 64 << 20);
    assert_eq!(limit("{storage: s}"), 1 << 30);
    assert_eq!(limit("{storage: s, max_bytes: 10GiB}"), 10 << 30);
    assert_eq!(
        limit("{sizer: bytes, queue_size: 1000000000}"),
        1_000_000_000
    );
    assert_eq!(
        limit("{sizer: bytes, queue_size: 5000, max_bytes: 1KiB}"),
        1024
    );
    let queue: Queue =
        good("{storage: s, fsync: always, overflow: drop_oldest, dead_letters: {max_bytes: 2MiB}}");
    assert_eq!(
        (queue.fsync, queue.overflow),
        (Fsync::Always, Overflow::DropOldest)
    );
    assert_eq!(
        good::<Queue>("fsync: 5ms").fsync,
        Fsync::Within(Duration::from_millis(5))
    );
    bad::<Queue>(
        "{fsync: 11s, dead_letters: {max_bytes: 1KiB}}",
        &expect![[r#"
            config:1:9: `fsync` must be always or at most 10s, found 11s
            config:1:28: `dead_letters` needs a `storage` to lie in, such as file_storage
            config:1:40: dead_letters: `max_bytes` must be at least 1MiB, found 1KiB"#]],
    );
    bad::<Queue>(
        "{fsync: often}",
        &expect!["config:1:9: fsync: expected always or a duration such as 100ms, found 'often'"],
    );
}

#[test]
fn retry() {
    assert_eq!(
        good::<Retry>("max_elapsed_time: 0").max_elapsed_time,
        Duration::ZERO
    );
    bad::<Retry>(
        "{max_elapsed_time: 1s, randomization_factor: 2, multiplier: -1}",
        &expect![[r#"
            config:1:20: 'max_elapsed_time' must not be less than 'initial_interval'
            config:1:20: 'max_elapsed_time' must not be less than 'max_interval'
            config:1:46: 'randomization_factor' must be within [0, 1]
            config:1:61: 'multiplier' must be non-negative"#]],
    );
    bad::<Retry>(
        "multiplier: .nan",
        &expect!["config:1:13: 'multiplier' must be non-negative"],
    );
}

#[test]
fn tls() {
    good::<TlsClient>(
        "{ca_file: /ca.pem, min_version: 1.2, max_version: '1.3', reload_interval: 1h}",
    );
    bad::<TlsClient>(
        "{ca_file: a, ca_pem: b, cert_file: c, min_version: '1.3', max_version: '1.2'}",
        &expect![[r#"
            config:1:1: for auth via TLS, provide both certificate and key, or neither
            config:1:22: provide either a CA file or the PEM-encoded string, but not both
            config:1:52: min_version cannot be greater than max_version"#]],
    );
    bad::<TlsServer>(
        "{client_ca_file: x}",
        &expect![
            "config:1:1: TLS configuration must include both certificate and key for server connections"
        ],
    );
    bad::<TlsClient>(
        "min_version: '1.0'",
        &expect![[
            r#"config:1:14: min_version must be "1.2" or "1.3"; older versions of TLS are not safe"#
        ]],
    );
}

#[test]
fn http_server() {
    let server: HttpServer = good(
        "{endpoint: '0.0.0.0:4318', tls: {cert_file: a, key_file: b}, cors: {allowed_origins: [http://x]}}",
    );
    assert!(server.endpoint.is_public() && server.tls.is_on() && server.cors.is_on());
    bad::<HttpServer>(
        "{idle_timeout: 5s, keepalive: {}, compression_algorithms: ['', gzip, br], auth: {}, tls: }",
        &expect![[r#"
            config:1:16: 'idle_timeout' is deprecated and cannot be used together with 'keepalive'
            config:1:70: compression_algorithms[2]: unknown compression 'br' (valid: gzip, zstd, zlib, snappy, x-snappy-framed, deflate, lz4)
            config:1:81: auth: authenticator is required: name an extension
            config:1:85: tls: TLS configuration must include both certificate and key for server connections"#]],
    );
    let client: HttpClient = good("keepalive: {idle_conn_timeout: 5s, max_idle_conns: 3}");
    let keeps = client.keeps_alive();
    assert!(keeps.enabled && keeps.idle_conn_timeout == Duration::from_secs(5));
    let client: HttpClient = good("{disable_keep_alives: true, max_idle_conns: 7}");
    assert!(!client.keeps_alive().enabled && client.keeps_alive().max_idle_conns == 7);
    bad::<HttpClient>(
        "{idle_conn_timeout: 5s, keepalive: {}}",
        &expect![[r#"
            config:1:21: 'idle_conn_timeout' is deprecated and cannot be used together with 'keepalive'"#]],
    );
    assert_eq!(
        good::<HttpServer>("keepalive: {idle_timeout: 0}").idle(),
        None
    );
}

#[test]
fn grpc_server() {
    let server: GrpcServer = good(
        "{max_recv_msg_size_mib: 16, keepalive: {server_parameters: {max_connection_age: 1m}}}",
    );
    assert_eq!(server.max_message_size(), 16 << 20);
    assert_eq!(GrpcServer::default().max_message_size(), 4 << 20);
    bad::<GrpcServer>(
        "keepalive: {server_parameters: {max_conection_age: 1m}}",
        &expect![
            "config:1:33: keepalive::server_parameters: unknown field 'max_conection_age', did you mean 'max_connection_age'?"
        ],
    );
}

#[test]
fn http_client() {
    let client: HttpClient = good(
        "{endpoint: 'http://[::1]:3100/loki', headers: {X-Scope-OrgID: a}, compression: '', auth: {authenticator: basicauth}}",
    );
    assert_eq!(
        client
            .headers
            .get("x-scope-orgid")
            .map(crate::types::Secret::expose),
        Some("a")
    );
    assert_eq!(client.compression, Compression::None);
    let client: HttpClient = good("headers: [{name: a, value: b}]");
    assert_eq!(client.headers.iter().count(), 1);
    for url in [
        "localhost:3100",
        "http://",
        "http://:80",
        "http://a b",
        "ftp://x",
        "http://x:99999",
        "http://[::1",
        "http://[::1]x",
    ] {
        assert!(
            from_str::<HttpClient>(&format!("endpoint: '{url}'")).is_err(),
            "{url}"
        );
    }
    bad::<HttpClient>(
        "{endpoint: 'localhost:3100', headers: {'a b': x, c: \"y\\nz\", d: 5}}",
        &expect![[r#"
            config:1:12: endpoint: expected a URL such as http://localhost:4318, found 'localhost:3100'
            config:1:47: headers: 'a b' is not a header's name
            config:1:53: headers: c has a line break or another control character in its value
            config:1:64: headers::d: expected a string; write it in quotes"#]],
    );
}

#[test]
fn grpc_client() {
    let target = |endpoint: &str| {
        good::<GrpcClient>(&format!("endpoint: '{endpoint}'"))
            .target()
            .unwrap()
    };
    let tcp = |authority: &str, tls| Target::Tcp {
        authority: authority.to_owned(),
        tls,
    };
    assert_eq!(target("localhost:4317"), tcp("localhost:4317", true));
    assert_eq!(
        target("http://localhost:4317"),
        tcp("localhost:4317", false)
    );
    assert_eq!(target("https://[::1]:4317/"), tcp("[::1]:4317", true));
    assert_eq!(
        target("dns:///tempo.monitoring:4317"),
        tcp("tempo.monitoring:4317", true)
    );
    assert_eq!(
        target("unix:///run/x.sock"),
        Target::Unix {
            path: "/run/x.sock".to_owned()
        }
    );
    assert_eq!(
        good::<GrpcClient>("{endpoint: 'x:1', tls: {insecure: true}}").target(),
        Ok(tcp("x:1", false))
    );
    bad::<GrpcClient>(
        "{}",
        &expect![[r#"config:1:1: requires a non-empty "endpoint""#]],
    );
    bad::<GrpcClient>(
        "{endpoint: tempo, compression: lz4, auth: }",
        &expect![[r#"
            config:1:12: endpoint: expected host:port such as localhost:4317, found 'tempo'
            config:1:32: compression must be gzip, zstd, snappy or none for gRPC
            config:1:37: auth: authenticator is required: name an extension"#]],
    );
}

#[test]
fn old_names_are_warned_about() {
    let section = |yaml| {
        let mut problems = crate::Problems::new();
        let section = crate::section(yaml, "x", &mut problems).unwrap();
        (section, problems)
    };
    let (queue, mut problems) = section("{blocking: true}");
    assert!(
        queue
            .decode_checked::<Queue>(&mut problems)
            .is_some_and(|queue| queue.block_on_overflow)
    );
    assert_eq!(
        problems.to_string(),
        "config:1:12: warning: x: 'blocking' is deprecated; use 'block_on_overflow' instead"
    );
    let (server, mut problems) = section("{keep_alives_enabled: false}");
    assert!(
        server
            .decode_checked::<HttpServer>(&mut problems)
            .is_some_and(|server| !server.keeps_alive())
    );
    assert_eq!(
        problems.to_string(),
        "config:1:23: warning: x: 'keep_alives_enabled' is deprecated; use 'keepalive::enabled' instead"
    );
}
