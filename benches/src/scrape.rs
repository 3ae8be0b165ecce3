//! Scrapes of the node's metrics.

use std::io::{Read, Write};
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
        "scrape: the collectors that both run by default, {} scrapes a run, medians of {} runs",
        args.scrapes, args.runs
    );
    let shown = |name: &str, runs: &Runs| -> [f64; 4] {
        let [cpu, wall, resident, peak] = runs.medians();
        println!(
            "  {name:<14} {:6.3} ms CPU a scrape  {:6.3} ms until it is there  {resident:5.1} MiB resident, {peak:.1} at most  {} samples",
            cpu * 1e3,
            wall * 1e3,
            runs.samples
        );
        [cpu, wall, resident, peak]
    };
    let ours = shown("corten", &ours);
    let theirs = shown("node_exporter", &theirs);
    let ratios: Vec<f64> = ours
        .iter()
        .zip(theirs)
        .map(|(our, their)| our / their)
        .collect();
    if let [cpu, wall, resident, peak] = ratios[..] {
        println!(
            "  ratio          {cpu:6.3}                  {wall:6.3}                        {resident:5.2}               {peak:.2}"
        );
    }
    Ok(())
}

/// What was measured of one program, run by run.
#[derive(Default)]
struct Runs {
    /// CPU seconds a scrape.
    cpu: Vec<f64>,
    /// Seconds from asking to having a scrape.
    wall: Vec<f64>,
    /// Resident memory after the last scrape, MiB.
    resident: Vec<f64>,
    /// The most that it was, MiB.
    peak: Vec<f64>,
    /// Samples of the last scrape.
    samples: usize,
}

impl Runs {
    fn add(&mut self, process: &Process, port: u16, scrapes: u32) -> anyhow::Result<()> {
        wait_for_port(port)?;
        for _ in 0..10 {
            scrape(port)?;
        }
        let begun = process.cpu()?;
        let clock = Instant::now();
        for _ in 0..scrapes {
            self.samples = scrape(port)?;
        }
        self.wall
            .push(clock.elapsed().as_secs_f64() / f64::from(scrapes));
        self.cpu.push((process.cpu()? - begun) / f64::from(scrapes));
        self.resident.push(process.resident_mib()?);
        self.peak.push(process.peak_mib()?);
        Ok(())
    }

    fn medians(&self) -> [f64; 4] {
        [&self.cpu, &self.wall, &self.resident, &self.peak].map(|all| median(all.clone()))
    }
}

fn scrape(port: u16) -> anyhow::Result<usize> {
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(deadline.saturating_duration_since(Instant::now())))?;
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
