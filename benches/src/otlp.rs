//! OTLP traces in over gRPC, batch, out over gRPC.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::{BufMut, Bytes, BytesMut};
use clap::Args as ClapArgs;
use corten_pdata::build::TracesBuilder;
use corten_pdata::{Segment, Signal};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::agent::{Process, free_port, wait_for_port};
use crate::{median, sink};

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Spans in all.
    #[arg(long, default_value_t = 2_000_000)]
    spans: usize,
    /// Spans of one request.
    #[arg(long, default_value_t = 1000)]
    request: usize,
    /// Connections, with two requests in flight on each.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Compression of what comes in: none, gzip, zstd.
    #[arg(long, default_value = "none")]
    sent: String,
    /// Compression of what goes out: none, gzip, zstd.
    #[arg(long, default_value = "none")]
    compression: String,
    /// With the queue on disk.
    #[arg(long)]
    disk: bool,
    /// Runs; figures are their medians.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let message = message(args.request);
    let bytes = message.len() / args.request;
    let sent = compressed(&message, &args.sent)?;
    let requests = args.spans / args.request;
    let (mut agents, mut peaks, mut clocks) = (vec![], vec![], vec![]);
    let (mut echoes, mut floors, mut single) = (vec![], vec![], vec![]);
    for _ in 0..args.runs {
        let cost = |server: &[&str]| -> anyhow::Result<f64> {
            let (backend, _) = sink::start(true, count_spans)?;
            floor(server, backend, &message, requests, args.connections)
        };
        echoes.push(cost(&["echo"])?);
        floors.push(cost(&["forward"])?);
        single.push(cost(&["forward", "--one-thread"])?);

        let (backend, counts) = sink::start(true, count_spans)?;
        let port = free_port()?;
        let folder = tempfile::tempdir()?;
        let (extension, storage) = if args.disk {
            let folder = folder.path().display();
            (
                format!("extensions: {{file_storage: {{directory: '{folder}'}}}}"),
                "storage: file_storage, ",
            )
        } else {
            (String::new(), "")
        };
        let extensions = if args.disk {
            "extensions: [file_storage], "
        } else {
            ""
        };
        let process = Process::corten(&format!(
            "
{extension}
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}', max_recv_msg_size_mib: 64}}}}}}}}
processors: {{batch: }}
exporters:
  otlp_grpc: {{sending_queue: {{{storage}block_on_overflow: true}}, endpoint: '127.0.0.1:{backend}', tls: {{insecure: true}}, compression: {}}}
service: {{{extensions}pipelines: {{traces: {{receivers: [otlp], processors: [batch], exporters: [otlp_grpc]}}}}}}
",
            args.compression
        ))?;
        wait_for_port(port)?;
        let begun = process.cpu()?;
        let clock = Instant::now();
        send(port, &sent, requests, args.connections)?;
        let wanted = (requests * args.request) as u64;
        let deadline = Instant::now() + Duration::from_secs(60);
        while args.compression == "none" && counts.items.load(Ordering::Relaxed) < wanted {
            anyhow::ensure!(
                Instant::now() < deadline,
                "only {} of {wanted} spans arrived",
                counts.items.load(Ordering::Relaxed)
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        clocks.push(clock.elapsed().as_secs_f64());
        agents.push(process.cpu()? - begun);
        peaks.push(process.peak_mib()?);
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
    let spans = (requests * args.request) as f64;
    let agent = median(agents);
    println!(
        "otlp: {spans} spans of {bytes} B, {} a request, {} connections, compression in {}, out {}, queue {}, medians of {} runs",
        args.request,
        args.connections,
        args.sent,
        args.compression,
        if args.disk { "on disk" } else { "in memory" },
        args.runs
    );
    println!(
        "  corten (receive, batch, send)    {:6.0} ns/span  {:.0} spans/s a core  {:.0} spans/s by the clock",
        agent / spans * 1e9,
        spans / agent,
        spans / median(clocks)
    );
    for (name, floor) in [
        ("bare echo: receives only", median(echoes)),
        ("bare forwarder, as many threads", median(floors)),
        ("bare forwarder, one thread", median(single)),
    ] {
        println!(
            "  {name:<32} {:6.0} ns/span  ratio {:.2}",
            floor / spans * 1e9,
            floor / agent
        );
    }
    println!(
        "  peak resident memory             {:.1} MiB",
        median(peaks)
    );
    Ok(())
}

/// CPU time of a floor's server, which runs in a process of its own, for all requests.
fn floor(
    server: &[&str],
    backend: u16,
    message: &Bytes,
    requests: usize,
    connections: usize,
) -> anyhow::Result<f64> {
    let mut command = Command::new(std::env::current_exe()?);
    let port = free_port()?;
    command
        .args(server)
        .env("CORTEN_BENCH_PORT", port.to_string())
        .env("CORTEN_BENCH_BACKEND", backend.to_string());
    let process = Process::start(command)?;
    wait_for_port(port)?;
    let begun = process.cpu()?;
    send(port, message, requests, connections)?;
    Ok(process.cpu()? - begun)
}

/// A floor's server.
pub(crate) fn echo() -> anyhow::Result<()> {
    let port: u16 = std::env::var("CORTEN_BENCH_PORT")?.parse()?;
    let listener = std::net::TcpListener::bind(("127.0.0.1", port))?;
    sink::serve(listener, true, |_| 0, Arc::default())
}

/// A gRPC message with spans of about 480 bytes and eight attributes.
pub(crate) fn message(spans: usize) -> Bytes {
    let mut traces = TracesBuilder::new();
    traces.resource(|attributes| {
        attributes
            .attribute_str("service.name", "checkout")
            .attribute_str("k8s.pod.name", "checkout-6d5f7c9b4-x2x7q");
    });
    traces.scope("bench", "1.0");
    for n in 0..spans as u64 {
        traces.span(|span| {
            let id = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
            span.ids(&[id, id].concat(), &id)
                .parent_span_id(&id)
                .name("GET /api/v1/items/{id}")
                .kind(2)
                .times(1_700_000_000_000_000_000 + n, 1_700_000_000_001_000_000 + n);
            span.attribute_str("http.request.method", "GET")
                .attribute_str("url.path", "/api/v1/items/4711?with=details&page=12")
                .attribute_str(
                    "user_agent.original",
                    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0",
                )
                .attribute_int("http.response.status_code", 200)
                .attribute_str("server.address", "checkout.shop.svc.cluster.local")
                .attribute_int("server.port", 8080)
                .attribute_str(
                    "db.statement",
                    "SELECT id, name, price FROM items WHERE id = $1 LIMIT 1",
                )
                .attribute_double("app.ratio", 0.25);
        });
    }
    let body = traces.finish().to_bytes();
    let mut framed = BytesMut::with_capacity(body.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    framed.put_slice(&body);
    framed.freeze()
}

/// The same as a sender that compresses sends it.
fn compressed(message: &Bytes, encoding: &str) -> anyhow::Result<Bytes> {
    let plain = message.get(5..).context("no message")?;
    let packed = match encoding {
        "none" => return Ok(message.clone()),
        "gzip" => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            std::io::Write::write_all(&mut encoder, plain)?;
            encoder.finish()?
        }
        "zstd" => zstd::encode_all(plain, 0)?,
        other => anyhow::bail!("{other:?} is neither none nor gzip nor zstd"),
    };
    let mut framed = BytesMut::with_capacity(packed.len() + 5);
    framed.put_u8(1);
    framed.put_u32(u32::try_from(packed.len())?);
    framed.put_slice(&packed);
    Ok(framed.freeze())
}

fn count_spans(body: &[u8]) -> u64 {
    let message = Bytes::copy_from_slice(body.get(5..).unwrap_or_default());
    Segment::validate(Signal::Traces, message).map_or(0, |segment| segment.items() as u64)
}

/// A connection to a server that takes traces.
#[derive(Clone)]
pub(crate) struct Client {
    port: u16,
    sender: hyper::client::conn::http2::SendRequest<Full<Bytes>>,
}

impl Client {
    pub(crate) async fn connect(port: u16) -> anyhow::Result<Self> {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(1 << 20)
            .max_frame_size(64 << 10)
            .handshake(TokioIo::new(stream))
            .await?;
        #[expect(clippy::disallowed_methods, reason = "ends with its runtime")]
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { port, sender })
    }

    /// Sends a request and waits for its answer, which has to be good.
    pub(crate) async fn send(&mut self, message: &Bytes) -> anyhow::Result<()> {
        let port = self.port;
        let encoding = match message.get(..7) {
            Some([0, ..]) | None => "identity",
            Some([_, _, _, _, _, 0x1f, 0x8b]) => "gzip",
            Some(_) => "zstd",
        };
        let request = http::Request::post(format!(
            "http://127.0.0.1:{port}/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        ))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-encoding", encoding)
        .body(Full::new(message.clone()))?;
        let response = self.sender.send_request(request).await?;
        let status = response.headers().get("grpc-status").cloned();
        #[expect(clippy::disallowed_methods, reason = "the answer is a few bytes")]
        let body = response.into_body().collect().await?;
        let status = body
            .trailers()
            .and_then(|trailers| trailers.get("grpc-status").cloned())
            .or(status)
            .context("no grpc-status")?;
        anyhow::ensure!(status == "0", "grpc-status {status:?}");
        Ok(())
    }
}

/// Sends `requests` copies of the message and waits for their answers.
fn send(port: u16, message: &Bytes, requests: usize, connections: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let left = Arc::new(AtomicUsize::new(requests));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..connections {
            let client = Client::connect(port).await?;
            for _ in 0..2 {
                let (mut client, left, message) =
                    (client.clone(), Arc::clone(&left), message.clone());
                tasks.spawn(async move {
                    while left
                        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                        .is_ok()
                    {
                        client.send(&message).await?;
                    }
                    anyhow::Ok(())
                });
            }
        }
        while let Some(outcome) = tasks.join_next().await {
            outcome??;
        }
        Ok(())
    })
}
