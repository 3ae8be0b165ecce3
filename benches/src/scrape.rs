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
    let (mut ours, mut theirs, mut peaks) = (vec![], vec![], vec![]);
    let mut samples = (0, 0);
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
        let (cpu, count) = measure(&agent, port, args.scrapes)?;
        ours.push(cpu);
        samples.0 = count;
        peaks.push(agent.peak_mib()?);
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
        let (cpu, count) = measure(&peer, port, args.scrapes)?;
        theirs.push(cpu);
        samples.1 = count;
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!(
        "scrape: the collectors that both run by default, {} scrapes a run, medians of {} runs",
        args.scrapes, args.runs
    );
    println!(
        "  corten         {:6.2} ms CPU a scrape  {} samples  {:.1} MiB peak",
        ours * 1e3,
        samples.0,
        median(peaks)
    );
    println!(
        "  node_exporter  {:6.2} ms CPU a scrape  {} samples",
        theirs * 1e3,
        samples.1
    );
    println!("  ratio          {:.1}", theirs / ours);
    Ok(())
}

/// CPU seconds a scrape, and samples of the last one.
fn measure(process: &Process, port: u16, scrapes: u32) -> anyhow::Result<(f64, usize)> {
    wait_for_port(port)?;
    let mut samples = 0;
    for _ in 0..10 {
        samples = scrape(port)?;
    }
    let begun = process.cpu()?;
    for _ in 0..scrapes {
        scrape(port)?;
    }
    Ok(((process.cpu()? - begun) / f64::from(scrapes), samples))
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
