//! Scrapes of the node's metrics.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args as ClapArgs;

use crate::agent::{Process, free_port, wait_for_port};
use crate::median;

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Scrapes of one run.
    #[arg(long, default_value_t = 200)]
    scrapes: u32,
    /// Runs; figures are their medians.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Debian's node_exporter, measured in the same run.
    #[arg(long, default_value = "target/peers/bin/prometheus-node-exporter")]
    peer: std::path::PathBuf,
}

/// The collectors that both run by default.
const COLLECTORS: [&str; 44] = [
    "arp",
    "bcache",
    "bonding",
    "btrfs",
    "conntrack",
    "cpu",
    "cpufreq",
    "diskstats",
    "dmi",
    "edac",
    "entropy",
    "fibrechannel",
    "filefd",
    "filesystem",
    "hwmon",
    "infiniband",
    "ipvs",
    "loadavg",
    "mdadm",
    "meminfo",
    "netclass",
    "netdev",
    "netstat",
    "nfs",
    "nfsd",
    "nvme",
    "os",
    "powersupplyclass",
    "pressure",
    "rapl",
    "schedstat",
    "selinux",
    "sockstat",
    "softnet",
    "stat",
    "tapestats",
    "textfile",
    "thermal_zone",
    "time",
    "udp_queues",
    "uname",
    "vmstat",
    "xfs",
    "zfs",
];

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let (mut ours, mut theirs) = (Runs::default(), Runs::default());
    for _ in 0..args.runs {
        let port = free_port()?;
        let agent = Process::corten(&format!(
            "
receivers: {{node_exporter: {{collectors: {{disable_defaults: true, enable: [{}]}}}}}}
exporters: {{prometheus: {{endpoint: '127.0.0.1:{port}'}}}}
service: {{pipelines: {{metrics: {{receivers: [node_exporter], exporters: [prometheus]}}}}}}
",
            COLLECTORS.join(", ")
        ))?;
        ours.add(&agent, port, args.scrapes)?;
        drop(agent);
        let port = free_port()?;
        let mut command = Command::new(&args.peer);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        // Debian's looks into a folder of its own.
        command.arg("--collector.textfile.directory=");
        command.arg("--collector.disable-defaults");
        for name in COLLECTORS {
            command.arg(format!("--collector.{name}"));
        }
        command.stderr(std::process::Stdio::null());
        let peer = Process::start(command).context("run ./scripts/peers first")?;
        theirs.add(&peer, port, args.scrapes)?;
    }
    println!(
        "scrape: the collectors that both run by default, {} scrapes a run, medians of {} runs
                 plain, a connection each         as Prometheus asks, gzip         memory, MiB
                 CPU ms  until it is there  |     CPU ms  until it is there  |     resident  at most  |  samples",
        args.scrapes, args.runs
    );
    let shown = |name: &str, of: [f64; 6], samples: String| {
        let [cpu, wall, asked_cpu, asked_wall, resident, peak] = of;
        println!(
            "  {name:<13} {cpu:7.3} {wall:18.3}  | {asked_cpu:10.3} {asked_wall:18.3}  | {resident:12.2} {peak:8.2}  |  {samples}"
        );
    };
    shown("corten", ours.medians(), ours.samples.to_string());
    shown(
        "node_exporter",
        theirs.medians(),
        theirs.samples.to_string(),
    );
    let mut ratios = ours.medians();
    for (ratio, their) in ratios.iter_mut().zip(theirs.medians()) {
        *ratio /= their;
    }
    shown("ratio", ratios, String::new());
    Ok(())
}

/// What was measured of one program, run by run.
#[derive(Default)]
struct Runs {
    plain: Costs,
    as_prometheus: Costs,
    /// Resident memory after the last scrape, MiB.
    resident: Vec<f64>,
    /// The most that it was, MiB.
    peak: Vec<f64>,
    /// Samples of the last scrape.
    samples: usize,
}

/// Of one scrape, run by run, in milliseconds.
#[derive(Default)]
struct Costs {
    cpu: Vec<f64>,
    /// From asking to having it.
    wall: Vec<f64>,
}

impl Costs {
    fn add(
        &mut self,
        process: &Process,
        scrapes: u32,
        mut scrape: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for _ in 0..10 {
            scrape()?;
        }
        let begun = process.cpu()?;
        let clock = Instant::now();
        for _ in 0..scrapes {
            scrape()?;
        }
        let each = 1e3 / f64::from(scrapes);
        self.wall.push(clock.elapsed().as_secs_f64() * each);
        self.cpu.push((process.cpu()? - begun) * each);
        Ok(())
    }
}

impl Runs {
    fn add(&mut self, process: &Process, port: u16, scrapes: u32) -> anyhow::Result<()> {
        wait_for_port(port)?;
        let mut samples = 0;
        self.plain.add(process, scrapes, || {
            samples = scrape(port)?;
            Ok(())
        })?;
        self.samples = samples;
        let mut prometheus = Prometheus::connect(port)?;
        self.as_prometheus
            .add(process, scrapes, || prometheus.scrape())?;
        self.resident.push(process.resident_mib()?);
        self.peak.push(process.peak_mib()?);
        Ok(())
    }

    fn medians(&self) -> [f64; 6] {
        [
            &self.plain.cpu,
            &self.plain.wall,
            &self.as_prometheus.cpu,
            &self.as_prometheus.wall,
            &self.resident,
            &self.peak,
        ]
        .map(|all| median(all.clone()))
    }
}

fn connect(port: u16) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}

/// One scrape over a connection of its own; the number of samples.
fn scrape(port: u16) -> anyhow::Result<usize> {
    let mut stream = connect(port)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    anyhow::ensure!(
        reply.starts_with("HTTP/1.1 200"),
        "{}",
        reply.lines().next().unwrap_or("")
    );
    Ok(reply
        .lines()
        .filter(|line| line.starts_with("node_"))
        .count())
}

/// Asks as Prometheus does: over one connection, for OpenMetrics if there is such, compressed.
struct Prometheus(BufReader<TcpStream>);

impl Prometheus {
    fn connect(port: u16) -> anyhow::Result<Self> {
        Ok(Self(BufReader::new(connect(port)?)))
    }

    fn scrape(&mut self) -> anyhow::Result<()> {
        self.0.get_mut().write_all(
            b"GET /metrics HTTP/1.1\r\nhost: x\r\nuser-agent: Prometheus/2.42.0\r\n\
            accept: application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
            text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n\
            accept-encoding: gzip\r\nx-prometheus-scrape-timeout-seconds: 10\r\n\r\n",
        )?;
        let status = self.line()?;
        anyhow::ensure!(status.starts_with("HTTP/1.1 200"), "{status}");
        let (mut length, mut compressed) = (None, false);
        loop {
            let header = self.line()?.to_ascii_lowercase();
            match header.split_once(": ") {
                Some(("content-length", value)) => length = Some(value.parse()?),
                Some(("content-encoding", "gzip")) => compressed = true,
                Some(_) => {}
                None => break,
            }
        }
        anyhow::ensure!(compressed, "the page is not compressed");
        if let Some(length) = length {
            return self.skip(length);
        }
        loop {
            let length = u64::from_str_radix(&self.line()?, 16)?;
            self.skip(length)?;
            anyhow::ensure!(self.line()?.is_empty(), "a chunk does not end");
            if length == 0 {
                return Ok(());
            }
        }
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn skip(&mut self, length: u64) -> anyhow::Result<()> {
        let skipped = std::io::copy(&mut self.0.by_ref().take(length), &mut std::io::sink())?;
        anyhow::ensure!(skipped == length, "the page ends early");
        Ok(())
    }
}
