//! The receiver with real sockets and a scripted pipeline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use corten_component::{Component, Context, Kind, Status};
use corten_pdata::{AnyValue, Attributes, Data};
use corten_testing::{Answer, RecordingSink, conforms, eventually};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream};

use crate::receiver::Syslog;

const TCP: &str = "tcp: {listen_address: '127.0.0.1:0'}\nprotocol: rfc5424\n";
const UDP: &str = "udp: {listen_address: '127.0.0.1:0'}\nprotocol: rfc3164\n";

struct Running {
    cx: Context,
    syslog: Arc<Syslog>,
    address: Option<SocketAddr>,
}

async fn start(yaml: &str, sink: &Arc<RecordingSink>) -> Running {
    let cx = Context::detached(Kind::Receiver, "syslog".parse().unwrap());
    let config = corten_config::from_str(yaml).unwrap();
    let syslog = Arc::new(Syslog::create(cx.clone(), config, sink.next()).unwrap());
    Arc::clone(&syslog).start().await.unwrap();
    let address = syslog.addresses().first().copied();
    Running {
        cx,
        syslog,
        address,
    }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address.unwrap()).await.unwrap()
    }

    async fn stop(self) {
        self.syslog.shutdown().await.unwrap();
        assert!(
            self.cx.tasks().shutdown(Duration::from_secs(5)).await,
            "a task is left"
        );
    }
}

fn text(value: AnyValue<'_>) -> String {
    match value {
        AnyValue::String(text) => text.to_owned(),
        AnyValue::Int(number) => number.to_string(),
        AnyValue::KvList(map) => format!("{{{}}}", pairs(map)),
        other => panic!("{other:?}"),
    }
}

fn pairs(attributes: Attributes<'_>) -> String {
    let pairs: Vec<_> = attributes
        .iter()
        .map(|attribute| format!("{}={}", attribute.key(), text(attribute.value())))
        .collect();
    pairs.join(" ")
}

/// A line per record: severity, time, body, attributes.
fn render(sink: &RecordingSink) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in sink.batches() {
        assert!(!batch.replayable);
        let Data::Logs(logs) = &batch.data else {
            panic!("no logs")
        };
        for resource in logs.resources() {
            for scope in resource.scopes() {
                for record in scope.records() {
                    assert!(record.observed_time_unix_nano() > 0);
                    lines.push(format!(
                        "{} {} {} | {} | {}",
                        record.severity_number(),
                        record.severity_text(),
                        record.time_unix_nano(),
                        record.body().map(text).unwrap_or_default(),
                        pairs(record.attributes()),
                    ));
                }
            }
        }
    }
    lines
}

#[tokio::test]
async fn keeps_the_contract() {
    conforms(crate::factory(), TCP).await;
    conforms(crate::factory(), UDP).await;
}

#[tokio::test]
async fn messages_over_tcp_have_the_collectors_attributes() {
    let sink = RecordingSink::new();
    let running = start(TCP, &sink).await;
    let mut connection = running.connect().await;
    connection
        .write_all(b"<86>1 2015-08-05T21:58:59.693Z 192.168.1.132 SecureAuth0 23108 ID52020 [SecureAuth@27389 UserHostAddress=\"192.168.2.132\" Realm=\"SecureAuth0\"] Found the user\nnothing\n<0>1 - - - - - - last")
        .await
        .unwrap();
    connection.shutdown().await.unwrap();
    sink.wait_for_items(3).await;
    running.stop().await;
    let lines = render(&sink);
    assert_eq!(
        lines[0],
        "9 info 1438811939693000000 | <86>1 2015-08-05T21:58:59.693Z 192.168.1.132 SecureAuth0 23108 ID52020 [SecureAuth@27389 UserHostAddress=\"192.168.2.132\" Realm=\"SecureAuth0\"] Found the user | \
         appname=SecureAuth0 hostname=192.168.1.132 message=Found the user msg_id=ID52020 proc_id=23108 facility=10 priority=86 version=1 structured_data={SecureAuth@27389={UserHostAddress=192.168.2.132 Realm=SecureAuth0}}"
    );
    assert_eq!(lines[1], "0  0 | nothing | ");
    assert_eq!(
        lines[2],
        "21 emerg 0 | <0>1 - - - - - - last | message=last facility=0 priority=0 version=1"
    );
}

#[tokio::test]
async fn datagrams_are_messages() {
    let sink = RecordingSink::new();
    let yaml = "udp: {listen_address: '127.0.0.1:0', add_attributes: true}\nprotocol: rfc3164\nbody: message\nattributes: {a: b}\n";
    let running = start(yaml, &sink).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(running.address.unwrap()).await.unwrap();
    socket
        .send(b"<34>Oct 11 2003 22:14:15 mymachine su[7]: one\ntwo\n")
        .await
        .unwrap();
    sink.wait_for_items(1).await;
    let (peer, host) = (
        socket.local_addr().unwrap().port(),
        running.address.unwrap().port(),
    );
    running.stop().await;
    assert_eq!(
        render(&sink),
        [format!(
            "18 crit 1065910455000000000 | one\ntwo | appname=su hostname=mymachine proc_id=7 facility=4 priority=34 a=b \
             net.transport=IP.UDP net.peer.ip=127.0.0.1 net.peer.port={peer} net.host.ip=127.0.0.1 net.host.port={host}"
        )]
    );
}

#[tokio::test]
async fn counted_messages_may_have_newlines() {
    let sink = RecordingSink::new();
    let running = start(
        &format!("{TCP}enable_octet_counting: true\nbody: message"),
        &sink,
    )
    .await;
    let mut connection = running.connect().await;
    for part in ["2", "0 <1>1 - - - - - ", "- a\nb", "18 <1>1 - - - - - - cx"] {
        connection.write_all(part.as_bytes()).await.unwrap();
        connection.flush().await.unwrap();
    }
    sink.wait_for_items(2).await;
    running.stop().await;
    let bodies: Vec<_> = render(&sink)
        .iter()
        .map(|line| line.split(" | ").nth(1).unwrap().to_owned())
        .collect();
    // The connection is closed at what is no count.
    assert_eq!(bodies, ["a\nb", "c"]);
}

#[tokio::test]
async fn a_refused_batch_stops_the_connection() {
    let sink = RecordingSink::scripted([
        Answer::Retry(Status::UNAVAILABLE, Some(Duration::from_millis(50))),
        Answer::Retry(Status::UNAVAILABLE, None),
        Answer::Hang,
    ]);
    let running = start(
        &format!("{TCP}retry_on_failure: {{initial_interval: 10ms}}"),
        &sink,
    )
    .await;
    let mut connection = running.connect().await;
    let line = format!("<1>1 - - - - - - {}\n", "x".repeat(1000));
    // Without anybody who reads, the connection takes no more at some time.
    let mut written = 0;
    while let Ok(outcome) = tokio::time::timeout(
        Duration::from_millis(500),
        connection.write_all(line.as_bytes()),
    )
    .await
    {
        outcome.unwrap();
        written += line.len();
        assert!(written < 64 << 20, "reading never stopped");
    }
    eventually("three offers", Duration::from_secs(10), async || {
        (sink.offered() == 3).then_some(())
    })
    .await;
    drop(connection);
    drop(running);
}

#[tokio::test]
async fn all_of_it_comes_through_refusals() {
    let refuse = || Answer::Retry(Status::UNAVAILABLE, None);
    let sink = RecordingSink::scripted([refuse(), refuse(), Answer::Keep, refuse()]);
    let running = start(
        &format!("{TCP}retry_on_failure: {{initial_interval: 1ms}}"),
        &sink,
    )
    .await;
    let mut connection = running.connect().await;
    for number in 0..5000 {
        let line = format!("<1>1 - - - - - - number {number} {}\n", "x".repeat(200));
        connection.write_all(line.as_bytes()).await.unwrap();
    }
    sink.wait_for_items(5000).await;
    running.stop().await;
    for (number, line) in render(&sink).iter().enumerate() {
        assert!(line.contains(&format!("number {number} ")), "{line}");
    }
}

#[tokio::test]
async fn datagrams_without_room_are_dropped_and_the_others_kept() {
    let sink = RecordingSink::scripted([Answer::After(Duration::from_secs(2))]);
    let running = start(UDP, &sink).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(running.address.unwrap()).await.unwrap();
    let text = "x".repeat(30_000);
    // More than sixteen batches of a quarter of a megabyte while the first one waits.
    for number in 0..400 {
        let message = format!("<34>Oct 11 22:14:15 host su: {number} {text}");
        socket.send(message.as_bytes()).await.unwrap();
        if number % 8 == 7 {
            tokio::task::yield_now().await;
        }
    }
    sink.wait_for_items(50).await;
    running.stop().await;
    assert!(sink.items() < 400, "{}", sink.items());
}

#[tokio::test]
async fn what_can_not_be_read_may_be_dropped() {
    let sink = RecordingSink::new();
    let running = start(&format!("{TCP}on_error: drop"), &sink).await;
    let mut connection = running.connect().await;
    connection
        .write_all(b"garbage\n\xff\xfe\n<1>1 - - - - - - good\n")
        .await
        .unwrap();
    sink.wait_for_items(1).await;
    running.stop().await;
    assert_eq!(render(&sink).len(), 1);
}

#[tokio::test]
async fn too_many_connections_are_closed() {
    use tokio::io::AsyncReadExt;
    let sink = RecordingSink::new();
    let yaml = "tcp: {listen_address: '127.0.0.1:0', max_connections: 1, idle_timeout: 300ms}\nprotocol: rfc5424\n";
    let running = start(yaml, &sink).await;
    let mut first = running.connect().await;
    first.write_all(b"<1>1 - - - - - - a\n").await.unwrap();
    sink.wait_for_items(1).await;
    let mut second = running.connect().await;
    assert_eq!(second.read(&mut [0; 8]).await.unwrap_or(0), 0);
    // The first one is closed since it says nothing; then there is room again.
    assert_eq!(first.read(&mut [0; 8]).await.unwrap_or(0), 0);
    eventually("room", Duration::from_secs(10), async || {
        let mut third = running.connect().await;
        // One that is served says nothing; one that is not is closed.
        let mut answer = [0; 8];
        let closed = third.read(&mut answer);
        let closed = tokio::time::timeout(Duration::from_millis(100), closed).await;
        closed.is_err().then_some(())
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn sockets_in_the_file_system() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    // One that nobody listens at any more.
    drop(std::os::unix::net::UnixDatagram::bind(&path).unwrap());
    let sink = RecordingSink::new();
    for (kind, permissions) in [("datagram", "0666"), ("stream", "0600")] {
        let yaml = format!(
            "unix: {{path: {}, type: {kind}, permissions: \"{permissions}\"}}\nprotocol: rfc3164\n",
            path.display()
        );
        let running = start(&yaml, &sink).await;
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(&path).unwrap().permissions(),
        );
        assert_eq!(format!("{:04o}", mode & 0o7777), permissions);
        let before = sink.items();
        if kind == "datagram" {
            let socket = UnixDatagram::unbound().unwrap();
            socket
                .send_to(b"<13>Oct 11 22:14:15 root: hello\0", &path)
                .await
                .unwrap();
        } else {
            let mut socket = UnixStream::connect(&path).await.unwrap();
            socket
                .write_all(b"<13>Oct 11 22:14:15 root: hello\n")
                .await
                .unwrap();
        }
        sink.wait_for_items(before + 1).await;
        running.stop().await;
        assert!(!path.exists());
    }
    for line in render(&sink) {
        assert!(
            line.contains("appname=root message=hello facility=1"),
            "{line}"
        );
        assert!(
            line.contains("| <13>Oct 11 22:14:15 root: hello |"),
            "{line:?}"
        );
    }
}

#[tokio::test]
async fn tls_is_spoken() {
    let directory = tempfile::tempdir().unwrap();
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, private) = (
        directory.path().join("c.pem"),
        directory.path().join("k.pem"),
    );
    std::fs::write(&certificate, key.cert.pem()).unwrap();
    std::fs::write(&private, key.signing_key.serialize_pem()).unwrap();
    let yaml = format!(
        "tcp:\n  listen_address: 127.0.0.1:0\n  tls: {{cert_file: {}, key_file: {}}}\nprotocol: rfc5424\n",
        certificate.display(),
        private.display()
    );
    let sink = RecordingSink::new();
    let running = start(&yaml, &sink).await;

    let settings = corten_config::settings::TlsClient {
        ca_file: Some(certificate),
        ..Default::default()
    };
    let client = corten_net::tls::ClientTls::new(&settings, corten_net::tls::Http2::Never).unwrap();
    // In the clear nothing gets through.
    let mut clear = running.connect().await;
    clear.write_all(b"<1>1 - - - - - - clear\n").await.unwrap();
    let mut stream = client
        .connect("localhost", running.connect().await)
        .await
        .unwrap();
    stream
        .write_all(b"<1>1 - - - - - - secret\n")
        .await
        .unwrap();
    stream.flush().await.unwrap();
    sink.wait_for_items(1).await;
    running.stop().await;
    let lines = render(&sink);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("message=secret"));
}

#[tokio::test]
async fn operators_work_on_what_was_parsed() {
    let sink = RecordingSink::new();
    let yaml = format!(
        "{TCP}resource: {{cluster: a}}\noperators:\n- {{type: move, from: attributes.message, to: body}}\n\
         - {{type: recombine, combine_field: body, is_last_entry: body endsWith \";\"}}\n"
    );
    let running = start(&yaml, &sink).await;
    let mut connection = running.connect().await;
    connection
        .write_all(b"<1>1 - host - - - - a\n<1>1 - host - - - - b;\n<1>1 - host - - - - held\n")
        .await
        .unwrap();
    sink.wait_for_items(1).await;
    // What an operator holds is let go at the end.
    running.stop().await;
    let lines = render(&sink);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("19 alert 0 | a\nb; | "), "{lines:?}");
    assert!(lines[1].contains("| held |"), "{lines:?}");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let sink = RecordingSink::new();
    let running = start(TCP, &sink).await;
    let port = running.address.unwrap().port();
    let yaml = format!("tcp: {{listen_address: '127.0.0.1:{port}'}}\nprotocol: rfc5424\n");
    let cx = Context::detached(Kind::Receiver, "syslog".parse().unwrap());
    let config = corten_config::from_str(&yaml).unwrap();
    let second = Arc::new(Syslog::create(cx, config, sink.next()).unwrap());
    let error = second.start().await.unwrap_err().to_string();
    assert!(
        error.contains(&format!("listen at 127.0.0.1:{port}")),
        "{error}"
    );
    running.stop().await;
}
