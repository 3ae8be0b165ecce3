//! Bodies as they are pushed to Loki, made from a seed, and the two ends of what there is to compress.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "data for tests and benchmarks"
)]

/// A name and its bytes.
pub(crate) type Sample = (&'static str, Vec<u8>);

/// Every sample, about `len` bytes each.
pub(crate) fn all(len: usize) -> Vec<Sample> {
    let mut samples = vec![
        ("push-bench", push(len, false, bench_line)),
        ("push-bench-meta", push(len, true, bench_line)),
        ("push-json", push(len, false, json_line)),
        ("push-json-meta", push(len, true, json_line)),
        ("push-nginx", push(len, false, nginx_line)),
        ("push-logfmt", push(len, true, logfmt_line)),
        ("push-klog", push(len, true, klog_line)),
        ("push-java", push(len, true, java_line)),
        ("push-mixed", mixed(len)),
        ("plain-200", lines(len, plain_line)),
        ("cri-json", lines(len, cri_line)),
        ("random", random(len)),
    ];
    samples.push(("zeros", vec![0; len]));
    samples
}

/// A generator of numbers that repeats itself never and its sequence always.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    pub(crate) fn pick(&mut self, of: &[&'static str]) -> &'static str {
        // Low numbers more often, as words and paths are in life.
        let len = of.len() as u64;
        let at = self.below(len).min(self.below(len));
        of[usize::try_from(at).unwrap()]
    }
}

type Line = fn(&mut Dice, u64) -> String;

fn lines(len: usize, line: Line) -> Vec<u8> {
    let mut dice = Dice::new(7);
    let mut out = Vec::with_capacity(len + 4096);
    let mut at = 0;
    while out.len() < len {
        out.extend_from_slice(line(&mut dice, at).as_bytes());
        out.push(b'\n');
        at += 1;
    }
    out.truncate(len);
    out
}

fn random(len: usize) -> Vec<u8> {
    let mut dice = Dice::new(3);
    (0..len).map(|_| dice.roll().to_le_bytes()[0]).collect()
}

/// A `PushRequest`: streams of about 100 lines each.
fn push(len: usize, metadata: bool, line: Line) -> Vec<u8> {
    let mut dice = Dice::new(11);
    let mut body = Vec::with_capacity(len + 65536);
    let (mut pod, mut at) = (0, 0);
    while body.len() < len {
        stream(&mut body, &mut dice, pod, &mut at, metadata, line);
        pod += 1;
    }
    body.truncate(len);
    body
}

/// One in which every stream logs in a way of its own.
fn mixed(len: usize) -> Vec<u8> {
    let ways: [Line; 6] = [
        json_line,
        nginx_line,
        logfmt_line,
        klog_line,
        java_line,
        plain_line,
    ];
    let mut dice = Dice::new(13);
    let mut body = Vec::with_capacity(len + 65536);
    let (mut pod, mut at) = (0_usize, 0);
    while body.len() < len {
        stream(
            &mut body,
            &mut dice,
            pod as u64,
            &mut at,
            true,
            ways[pod % 6],
        );
        pod += 1;
    }
    body.truncate(len);
    body
}

fn stream(body: &mut Vec<u8>, dice: &mut Dice, pod: u64, at: &mut u64, metadata: bool, line: Line) {
    let mut stream = Vec::new();
    let labels = format!(
        "{{namespace=\"ns{}\", pod=\"pod-{pod}-{:08x}\", container=\"app\", node_name=\"node-3\"}}",
        pod % 5,
        dice.roll() >> 32
    );
    put_bytes(&mut stream, 1, labels.as_bytes());
    let uid = dice.roll();
    for _ in 0..100 {
        *at += 1;
        let mut entry = Vec::new();
        let mut time = Vec::new();
        put_varint(&mut time, 1 << 3);
        put_varint(&mut time, 1_763_805_600 + *at / 500);
        put_varint(&mut time, 2 << 3);
        put_varint(&mut time, *at % 500 * 2_000_000 + dice.below(2_000_000));
        put_bytes(&mut entry, 1, &time);
        put_bytes(&mut entry, 2, line(dice, *at).as_bytes());
        if metadata {
            let path = format!("/var/log/pods/ns{}_pod-{pod}_{uid:016x}/app/0.log", pod % 5);
            for (name, value) in [("log_iostream", "stdout"), ("log_file_path", &path)] {
                let mut pair = Vec::new();
                put_bytes(&mut pair, 1, name.as_bytes());
                put_bytes(&mut pair, 2, value.as_bytes());
                put_bytes(&mut entry, 3, &pair);
            }
        }
        put_bytes(&mut stream, 2, &entry);
    }
    put_bytes(body, 1, &stream);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn clock(at: u64) -> String {
    format!(
        "{:02}:{:02}:{:02}",
        10 + at / 3_600_000 % 12,
        at / 60_000 % 60,
        at / 1000 % 60
    )
}

/// The line of the throughput benchmark, without its CRI prefix.
fn bench_line(dice: &mut Dice, _: u64) -> String {
    let seed = dice.roll();
    let mut line = format!(
        "{{\"level\":\"info\",\"msg\":\"request handled\",\"path\":\"/api/v1/items/{}\",\"status\":200,\"took_us\":{},\"trace\":\"{seed:016x}\",\"pad\":\"",
        seed >> 52,
        seed >> 44 & 0xffff
    );
    while line.len() < 157 {
        line.push_str(&"abcdefghijklmnop"[..1 + line.len() % 2]);
    }
    line.push_str("\"}");
    line
}

fn cri_line(dice: &mut Dice, at: u64) -> String {
    format!(
        "2026-11-22T{}.{:09}Z stdout F {}",
        clock(at),
        at % 1000 * 1_000_000 + dice.below(1_000_000),
        json_line(dice, at)
    )
}

const PATHS: [&str; 12] = [
    "/api/v1/items",
    "/healthz",
    "/api/v1/users/me",
    "/api/v2/orders/search",
    "/static/js/app.3f2a.js",
    "/login",
    "/api/v1/cart/checkout",
    "/metrics",
    "/api/v1/items/recommended",
    "/favicon.ico",
    "/api/v1/sessions/refresh",
    "/static/css/main.css",
];
const WORDS: [&str; 48] = [
    "the",
    "request",
    "to",
    "for",
    "connection",
    "user",
    "failed",
    "with",
    "from",
    "timeout",
    "in",
    "cache",
    "retry",
    "order",
    "is",
    "worker",
    "processed",
    "message",
    "queue",
    "database",
    "not",
    "found",
    "started",
    "finished",
    "after",
    "update",
    "key",
    "on",
    "reading",
    "response",
    "upstream",
    "closing",
    "idle",
    "partition",
    "offset",
    "committed",
    "rebalance",
    "lease",
    "acquired",
    "lost",
    "payment",
    "shipment",
    "declined",
    "invoice",
    "customer",
    "expired",
    "token",
    "refreshed",
];

fn sentence(dice: &mut Dice, len: usize) -> String {
    let mut text = String::new();
    while text.len() < len {
        if dice.below(9) == 0 {
            text.push_str(&format!("{} ", dice.below(100_000)));
        } else {
            text.push_str(dice.pick(&WORDS));
            text.push(' ');
        }
    }
    text.truncate(len);
    text
}

/// What a program says: one of the messages in its source, with what it is about.
fn message(dice: &mut Dice) -> String {
    let (number, id) = (dice.below(100_000), dice.roll() >> 32);
    match dice.below(24).min(dice.below(24)) {
        0 => format!(
            "Processed message offset={number} partition={} topic=orders",
            id % 12
        ),
        1 => format!("Finished request in {number} us"),
        2 => format!("Order {id:08x} accepted for customer {number}"),
        3 => "Refreshing access token for upstream".to_owned(),
        4 => format!(
            "Connection to 10.0.{}.{}:5432 closed after {number} ms of being idle",
            id % 4,
            id % 250
        ),
        5 => format!("Retrying payment {id:08x}, attempt {} of 5", number % 5),
        6 => format!("Cache miss for key user:{number}:profile, reading from database"),
        7 => "Heartbeat sent to coordinator".to_owned(),
        8 => format!("Committed {number} offsets in {} ms", id % 90),
        9 => format!("Session {id:08x} expired, removing it from the store"),
        10 => format!(
            "Slow query took {number} ms: SELECT * FROM orders WHERE customer_id = {} ORDER BY created_at DESC LIMIT 50",
            id % 100_000
        ),
        11 => format!("Rebalance of group billing-worker finished, generation {number}"),
        12 => format!("Shipment {id:08x} left warehouse {}", number % 40),
        13 => format!("Invoice {number} was declined by the payment provider: insufficient funds"),
        14 => "Lease acquired, starting as leader".to_owned(),
        15 => format!("Loaded {number} feature flags from configuration service"),
        _ => {
            let words = 30 + usize::try_from(dice.below(50)).unwrap_or_default();
            sentence(dice, words)
        }
    }
}

fn plain_line(dice: &mut Dice, at: u64) -> String {
    let level = dice.pick(&["INFO ", "DEBUG", "WARN ", "ERROR"]);
    let head = format!(
        "2026-11-22 {},{:03} {level} [worker-{}] ",
        clock(at),
        at % 1000,
        dice.below(16)
    );
    let rest = sentence(dice, 199 - head.len());
    head + &rest
}

fn json_line(dice: &mut Dice, at: u64) -> String {
    let level = dice.pick(&["info", "info", "debug", "warn", "error"]);
    match dice.below(4) {
        0 => {
            format!(
                "{{\"level\":\"{level}\",\"ts\":\"2026-11-22T{}.{:06}Z\",\"caller\":\"server/{}.go:{}\",\"msg\":\"{}\",\"attempt\":{},\"elapsed_ms\":{}.{}}}",
                clock(at),
                dice.below(1_000_000),
                dice.pick(&["handler", "queue", "store", "auth"]),
                dice.below(400),
                message(dice),
                dice.below(5),
                dice.below(900),
                dice.below(1000)
            )
        }
        _ => format!(
            "{{\"level\":\"{level}\",\"ts\":\"2026-11-22T{}.{:06}Z\",\"caller\":\"server/handler.go:{}\",\"msg\":\"request finished\",\"method\":\"{}\",\"path\":\"{}/{}\",\"status\":{},\"request_id\":\"{:016x}\",\"duration_ms\":{}.{:03}}}",
            clock(at),
            dice.below(1_000_000),
            dice.below(400),
            dice.pick(&["GET", "POST", "PUT", "DELETE"]),
            dice.pick(&PATHS),
            dice.below(100_000),
            dice.pick(&["200", "200", "201", "204", "404", "500"]),
            dice.roll(),
            dice.below(300),
            dice.below(1000)
        ),
    }
}

fn nginx_line(dice: &mut Dice, at: u64) -> String {
    format!(
        "10.{}.{}.{} - - [22/Nov/2026:{} +0000] \"{} {}?id={} HTTP/1.1\" {} {} \"{}\" \"{}\" \"{}.{}.{}.{}\" rt=0.{:03} uct=\"0.{:03}\" urt=\"0.{:03}\"",
        dice.below(4), dice.below(256), dice.below(256), clock(at), dice.pick(&["GET", "POST", "HEAD"]), dice.pick(&PATHS), dice.below(1_000_000),
        dice.pick(&["200", "200", "304", "404", "301", "502"]), dice.below(50_000),
        dice.pick(&["-", "https://shop.example.com/", "https://shop.example.com/cart", "https://www.google.com/"]),
        dice.pick(&[
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
            "kube-probe/1.34",
            "curl/8.14.1",
            "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
        ]),
        dice.below(223), dice.below(256), dice.below(256), dice.below(256), dice.below(1000), dice.below(1000), dice.below(1000)
    )
}

fn logfmt_line(dice: &mut Dice, at: u64) -> String {
    let level = dice.pick(&["info", "debug", "warn", "error"]);
    match dice.below(3) {
        0 => format!(
            "ts=2026-11-22T{}.{:03}Z caller=compact.go:{} level={level} component=tsdb msg=\"write block\" mint={} maxt={} ulid=01{:016X} duration={}.{}ms",
            clock(at),
            at % 1000,
            dice.below(900),
            1_763_805_600_000 + at * 7200,
            1_763_812_800_000 + at * 7200,
            dice.roll(),
            dice.below(2000),
            dice.below(1_000_000)
        ),
        1 => {
            format!(
                "ts=2026-11-22T{}.{:03}Z caller=main.go:{} level={level} msg=\"{}\" err=\"context deadline exceeded\"",
                clock(at),
                at % 1000,
                dice.below(900),
                message(dice)
            )
        }
        _ => format!(
            "ts=2026-11-22T{}.{:03}Z caller=metrics.go:{} level={level} org_id=tenant-{} traceID={:016x}{:016x} latency=fast query=\"{{app=\\\"shop\\\"}}\" query_type=limited range_type=range length={}m0s duration={}.{}ms status=200 limit={} returned_lines={}",
            clock(at),
            at % 1000,
            dice.below(300),
            dice.below(20),
            dice.roll(),
            dice.roll(),
            dice.below(60),
            dice.below(100),
            dice.below(1_000_000),
            dice.below(5) * 100,
            dice.below(1000)
        ),
    }
}

fn klog_line(dice: &mut Dice, at: u64) -> String {
    let head = format!(
        "{}1122 {}.{:06}       1 ",
        dice.pick(&["I", "I", "W", "E"]),
        clock(at),
        dice.below(1_000_000)
    );
    let pod = format!(
        "{}-{:09x}-{:05x}",
        dice.pick(&["shop-frontend", "cart", "billing-worker", "coredns"]),
        dice.roll() >> 28,
        dice.roll() >> 44
    );
    head + &match dice.below(4) {
        0 => format!(
            "reconciler.go:{}] \"Reconciler: start to sync state\" pod=\"default/{pod}\" podUID=\"{:08x}-{:04x}-4{:03x}-{:016x}\"",
            dice.below(500),
            dice.roll() >> 32,
            dice.roll() >> 48,
            dice.roll() >> 52,
            dice.roll()
        ),
        1 => format!(
            "kubelet_volumes.go:{}] \"Cleaned up orphaned pod volumes dir\" podUID=\"{:016x}\" path=\"/var/lib/kubelet/pods/{:016x}/volumes\"",
            dice.below(500),
            dice.roll(),
            dice.roll()
        ),
        2 => format!(
            "pod_startup_latency_tracker.go:{}] \"Observed pod startup duration\" pod=\"kube-system/{pod}\" podStartSLOduration={}.{} podStartE2EDuration=\"{}.{}s\" firstStartedPulling=\"0001-01-01 00:00:00 +0000 UTC\" lastFinishedPulling=\"0001-01-01 00:00:00 +0000 UTC\"",
            dice.below(200),
            dice.below(10),
            dice.below(1_000_000_000),
            dice.below(10),
            dice.below(1_000_000_000)
        ),
        _ => format!(
            "httplog.go:{}] \"HTTP\" verb=\"{}\" URI=\"/apis/apps/v1/namespaces/default/deployments?limit=500&resourceVersion={}\" latency=\"{}.{:06}ms\" userAgent=\"kube-controller-manager/v1.34.1 (linux/amd64) kubernetes/93248f9\" audit-ID=\"{:016x}\" srcIP=\"10.0.0.{}:{}\" resp=200",
            dice.below(200),
            dice.pick(&["GET", "WATCH", "PUT"]),
            dice.below(10_000_000),
            dice.below(50),
            dice.below(1_000_000),
            dice.roll(),
            dice.below(255),
            30_000 + dice.below(30_000)
        ),
    }
}

fn java_line(dice: &mut Dice, at: u64) -> String {
    let class = |dice: &mut Dice| {
        dice.pick(&[
            "OrderService",
            "PaymentGateway",
            "KafkaListener",
            "UserRepository",
            "HikariPool",
            "DispatcherServlet",
            "CartController",
            "InvoiceJob",
        ])
    };
    if dice.below(6) < 2 {
        return format!(
            "\tat {}.{}.{}({}.java:{})",
            dice.pick(&[
                "com.example.shop.orders",
                "org.springframework.web.servlet",
                "org.springframework.aop.framework",
                "java.base/java.util.concurrent",
                "com.zaxxer.hikari.pool",
                "org.apache.tomcat.util.net"
            ]),
            class(dice),
            dice.pick(&[
                "invoke",
                "process",
                "doFilter",
                "run",
                "execute",
                "getConnection",
                "handle",
                "proceed"
            ]),
            class(dice),
            dice.below(1200)
        );
    }
    format!(
        "2026-11-22 {}.{:03}  {} 1 --- [nio-8080-exec-{}] c.e.shop.{}.{} : {}",
        clock(at),
        at % 1000,
        dice.pick(&["INFO", "WARN", "DEBUG", "ERROR"]),
        dice.below(200),
        dice.pick(&["orders", "payments", "users"]),
        class(dice),
        message(dice)
    )
}
