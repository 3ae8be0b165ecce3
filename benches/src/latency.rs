//! How long a client waits for the answer of one OTLP request: directly from the backend, through the agent, and through
//! an agent that thousands of others hold connections to.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args as ClapArgs;

use crate::agent::{Process, free_port, wait_for_port};
use crate::otlp::{Client, message};
use crate::{median, sink};

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Requests a second, spread over the connections.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// Seconds of one run.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Spans of one request.
    #[arg(long, default_value_t = 100)]
    request: usize,
    /// Connections of the client that is measured.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Other clients that have connected and say nothing.
    #[arg(long, default_value_t = 0)]
    idle: usize,
    /// Other clients that send a byte of their request each second.
    #[arg(long, default_value_t = 0)]
    slow: usize,
    /// Runs; figures are their medians.
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let message = message(args.request);
    let (mut direct, mut through) = (Quantiles::default(), Quantiles::default());
    let mut peaks = Vec::new();
    for _ in 0..args.runs {
        let (backend, _) = sink::start(true, |_| 0)?;
        direct.add(measure(backend, &message, args)?);
        let (grpc, http) = (free_port()?, free_port()?);
        // Answers come when the backend has answered: nothing waits in between by configuration.
        let process = Process::corten(&format!(
            "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{grpc}'}}, http: {{endpoint: '127.0.0.1:{http}'}}}}}}}}
exporters: {{otlp_grpc: {{endpoint: '127.0.0.1:{backend}', tls: {{insecure: true}}, sending_queue: {{enabled: false}}}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_grpc]}}}}}}
"
        ))?;
        wait_for_port(grpc)?;
        wait_for_port(http)?;
        let crowd = Crowd::gather(grpc, http, args)?;
        through.add(measure(grpc, &message, args)?);
        peaks.push(process.peak_mib()?);
        drop(crowd);
    }
    println!(
        "latency: {} requests of {} spans a second over {} connections for {} s, {} idle and {} slow clients besides, medians of {} runs",
        args.rate, args.request, args.connections, args.seconds, args.idle, args.slow, args.runs
    );
    let (direct, through) = (direct.medians(), through.medians());
    for (name, [middle, high, worst]) in [("backend alone", direct), ("through corten", through)] {
        println!("  {name:<16} p50 {middle:6.2} ms  p99 {high:6.2} ms  worst {worst:7.2} ms");
    }
    println!(
        "  added            p50 {:6.2} ms  p99 {:6.2} ms",
        through[0] - direct[0],
        through[1] - direct[1]
    );
    println!("  peak resident memory {:.1} MiB", median(peaks));
    Ok(())
}

/// p50, p99 and the largest of each run, in milliseconds.
#[derive(Default)]
struct Quantiles([Vec<f64>; 3]);

impl Quantiles {
    fn add(&mut self, mut all: Vec<Duration>) {
        all.sort_unstable();
        let at = |share: usize| all.get((all.len() * share / 100).min(all.len() - 1));
        for (values, share) in self.0.iter_mut().zip([50, 99, 100]) {
            values.extend(at(share).map(|took| took.as_secs_f64() * 1e3));
        }
    }

    fn medians(self) -> [f64; 3] {
        self.0.map(median)
    }
}

/// Sends at a steady rate, whatever the answers do, and says how long each took.
fn measure(port: u16, message: &Bytes, args: &Args) -> anyhow::Result<Vec<Duration>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..args.connections {
            clients.push(Client::connect(port).await?);
        }
        for client in &mut clients {
            client.send(message).await?;
        }
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / args.rate);
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..args.rate * args.seconds {
            ticks.tick().await;
            let Some(client) = clients.get(number as usize % args.connections) else {
                continue;
            };
            let (mut client, message) = (client.clone(), message.clone());
            tasks.spawn(async move {
                let begun = Instant::now();
                client.send(&message).await?;
                anyhow::Ok(begun.elapsed())
            });
        }
        let mut all = Vec::new();
        while let Some(took) = tasks.join_next().await {
            all.push(took??);
        }
        Ok(all)
    })
}

/// Clients that take up connections. They are gone when this is dropped.
struct Crowd {
    _idle: Vec<TcpStream>,
    stop: Arc<AtomicBool>,
    slow: Option<std::thread::JoinHandle<()>>,
}

impl Crowd {
    fn gather(grpc: u16, http: u16, args: &Args) -> anyhow::Result<Self> {
        let mut idle = Vec::new();
        for _ in 0..args.idle {
            let mut stream = TcpStream::connect(("127.0.0.1", grpc))?;
            // HTTP/2's preface and empty settings.
            stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")?;
            idle.push(stream);
        }
        let mut slow = Vec::new();
        for _ in 0..args.slow {
            let mut stream = TcpStream::connect(("127.0.0.1", http))?;
            stream.write_all(b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 1000\r\n\r\n")?;
            slow.push(stream);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let dribble = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let begun = Instant::now();
                // Those that were turned away have nothing to send any more.
                slow.retain_mut(|stream| stream.write_all(b"\n").is_ok());
                std::thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
            }
        });
        Ok(Self {
            _idle: idle,
            stop,
            slow: Some(dribble),
        })
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(slow) = self.slow.take() {
            drop(slow.join());
        }
    }
}
