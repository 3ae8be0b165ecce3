//! Scrapes of somebody else's page: the `prometheus` receiver, and Prometheus itself as an agent.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args as ClapArgs;

use crate::agent::{Process, free_port};
use crate::median;

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Series of the page: containers with the labels that cAdvisor gives them.
    #[arg(long, default_value_t = 20_000)]
    series: u32,
    /// Scrapes of one run, four a second.
    #[arg(long, default_value_t = 40)]
    scrapes: u32,
    /// Runs; figures are their medians.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Debian's Prometheus, measured in the same run.
    #[arg(long, default_value = "target/peers/bin/prometheus")]
    peer: std::path::PathBuf,
}

/// CPU seconds a scrape, and peak resident memory in MiB.
type Cost = (f64, f64);

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let asked = Arc::new(AtomicU32::new(0));
    let target = serve(page(args.series), Arc::clone(&asked))?;
    let (mut ours, mut theirs): (Vec<Cost>, Vec<Cost>) = (vec![], vec![]);
    for _ in 0..args.runs {
        let config = format!(
            "{{global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}, scrape_configs: [{{job_name: bench, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]}}"
        );
        let agent = Process::corten(&format!(
            "
receivers: {{prometheus: {{config: {config}}}}}
exporters: {{nop: }}
service: {{pipelines: {{metrics: {{receivers: [prometheus], exporters: [nop]}}}}}}
"
        ))?;
        ours.push(measure(&agent, &asked, args.scrapes)?);
        drop(agent);
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("prometheus.yml");
        std::fs::write(&file, config)?;
        let mut command = Command::new(&args.peer);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg("--enable-feature=agent")
            .arg(format!("--storage.agent.path={}", dir.path().display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", free_port()?))
            .stderr(std::process::Stdio::null());
        let peer = Process::start(command).context("run ./scripts/peers first")?;
        theirs.push(measure(&peer, &asked, args.scrapes)?);
    }
    let of = |costs: &[Cost]| {
        let cpu = costs.iter().map(|(cpu, _)| *cpu).collect();
        let peak = costs.iter().map(|(_, peak)| *peak).collect();
        (median(cpu), median(peak))
    };
    let (ours, theirs) = (of(&ours), of(&theirs));
    println!(
        "targets: a page of {} series, {} scrapes a run, medians of {} runs",
        args.series, args.scrapes, args.runs
    );
    for (name, (cpu, peak)) in [("corten", ours), ("prometheus agent", theirs)] {
        println!(
            "  {name:17}{:7.2} ms CPU a scrape  {:5.0} ns a series  {peak:.1} MiB peak",
            cpu * 1e3,
            cpu * 1e9 / f64::from(args.series)
        );
    }
    println!("  ratio            {:7.1}", theirs.0 / ours.0);
    Ok(())
}

/// Of so many scrapes, after the first ones.
fn measure(process: &Process, asked: &AtomicU32, scrapes: u32) -> anyhow::Result<Cost> {
    let wait = |more: u32| -> anyhow::Result<()> {
        let until = asked.load(Ordering::Relaxed) + more;
        let deadline = Instant::now() + Duration::from_secs(60);
        while asked.load(Ordering::Relaxed) < until {
            anyhow::ensure!(Instant::now() < deadline, "nobody scrapes");
            std::thread::sleep(Duration::from_millis(1));
        }
        // The last one is read and worked on.
        std::thread::sleep(Duration::from_millis(125));
        Ok(())
    };
    wait(5)?;
    let begun = process.cpu()?;
    wait(scrapes)?;
    let cpu = (process.cpu()? - begun) / f64::from(scrapes);
    Ok((cpu, process.peak_mib()?))
}

/// Series of the shape of cAdvisor's.
fn page(series: u32) -> String {
    let mut page = String::new();
    for family in 0..series.div_ceil(200) {
        let name = format!("container_measured_{family}_total");
        page += &format!("# HELP {name} What was measured.\n# TYPE {name} counter\n");
        for container in 0..200.min(series - family * 200) {
            page += &format!(
                "{name}{{container=\"app-{container}\",id=\"/kubepods.slice/kubepods-burstable.slice/pod{container:032}.slice/cri-{container:064}.scope\",\
                 image=\"registry.example.org/team/app-{container}:1.2.3\",name=\"{container:064}\",namespace=\"shop\",pod=\"app-{container}-7c9f8d6b5-x2x4z\"}} {}.5\n",
                family * 1000 + container
            );
        }
    }
    page
}

/// Answers every request with the page; the port.
fn serve(page: String, asked: Arc<AtomicU32>) -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\n\r\n",
        page.len()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let (head, page, asked) = (head.clone(), page.clone(), Arc::clone(&asked));
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                while stream.read(&mut request).is_ok_and(|read| read > 0) {
                    asked.fetch_add(1, Ordering::Relaxed);
                    let answered = stream
                        .write_all(head.as_bytes())
                        .and_then(|()| stream.write_all(page.as_bytes()));
                    if answered.is_err() {
                        break;
                    }
                }
            });
        }
    });
    Ok(port)
}
