//! Container logs from files to a Loki push endpoint.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;

use crate::agent::{Process, own_cpu};
use crate::{median, sink};

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Lines in all.
    #[arg(long, default_value_t = 4_000_000)]
    lines: u64,
    /// Files that they are in.
    #[arg(long, default_value_t = 50)]
    files: u64,
    /// Bytes of a line with its CRI prefix.
    #[arg(long, default_value_t = 200)]
    bytes: usize,
    /// Runs; figures are their medians.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let total = write_files(dir.path(), args)?;
    let (mut agents, mut floors, mut snaps, mut peaks) = (vec![], vec![], vec![], vec![]);
    for _ in 0..args.runs {
        let (floor, snap) = floor(dir.path())?;
        floors.push(floor);
        snaps.push(snap);
        let (cpu, peak) = agent(dir.path(), args)?;
        agents.push(cpu);
        peaks.push(peak);
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
    let (lines, megabytes) = (args.lines as f64, total as f64 / 1e6);
    let (agent, floor, snap) = (median(agents), median(floors), median(snaps));
    println!(
        "logs: {} lines of {} B in {} files, medians of {} runs",
        args.lines, args.bytes, args.files, args.runs
    );
    println!(
        "  floor (read, split, snap)  {:7.0} ns/line  {:6.0} MB/s",
        floor / lines * 1e9,
        megabytes / floor
    );
    println!(
        "  snap alone                 {:7.0} ns/line  {:6.0} MB/s",
        snap / lines * 1e9,
        megabytes / snap
    );
    println!(
        "  corten                     {:7.0} ns/line  {:6.0} MB/s  {:.0} lines/s a core",
        agent / lines * 1e9,
        megabytes / agent,
        lines / agent
    );
    println!(
        "  ratio to the floor         {:.2}    to snap alone {:.2}",
        floor / agent,
        snap / agent
    );
    println!("  peak resident memory       {:.1} MiB", median(peaks));
    Ok(())
}

/// Writes the files as kubelet lays them out; answers their bytes.
fn write_files(root: &Path, args: &Args) -> anyhow::Result<u64> {
    let mut total = 0;
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for file in 0..args.files {
        let dir = root.join(format!(
            "ns{}_pod-{file}_00000000-0000-4000-8000-{file:012x}/app",
            file % 5
        ));
        std::fs::create_dir_all(&dir)?;
        let mut out = std::io::BufWriter::new(File::create(dir.join("0.log"))?);
        for n in 0..args.lines / args.files {
            // Text that compresses about as real logs do: words, and a few numbers that change.
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let mut line = format!(
                "2026-11-22T10:{:02}:{:02}.{:09}Z stdout F {{\"level\":\"info\",\"msg\":\"request handled\",\"path\":\"/api/v1/items/{}\",\"status\":200,\"took_us\":{},\"trace\":\"{:016x}\",\"pad\":\"",
                n / 60_000 % 60,
                n / 1000 % 60,
                n % 1_000_000_000,
                seed >> 52,
                seed >> 44 & 0xffff,
                seed
            );
            while line.len() + 3 < args.bytes {
                line.push_str("abcdefghijklmnop".get(..1 + line.len() % 2).unwrap_or("a"));
            }
            line.push_str("\"}\n");
            out.write_all(line.as_bytes())?;
            total += line.len() as u64;
        }
        out.flush()?;
    }
    Ok(total)
}

/// CPU seconds of reading, splitting and compressing every file; and of compressing alone.
fn floor(root: &Path) -> anyhow::Result<(f64, f64)> {
    let mut buffer = vec![0; 256 << 10];
    let mut body = Vec::with_capacity(2 << 20);
    let mut compressed = vec![0; snap::raw::max_compress_len(2 << 20)];
    let (mut lines, mut alone) = (0_usize, 0.0);
    let begun = own_cpu();
    for file in files(root)? {
        let mut file = File::open(file)?;
        loop {
            let read = file.read(&mut buffer)?;
            let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
                break;
            };
            lines += memchr::memchr_iter(b'\n', chunk).count();
            body.extend_from_slice(chunk);
            if body.len() >= 1 << 20 {
                let begun = own_cpu();
                snap::raw::Encoder::new().compress(&body, &mut compressed)?;
                alone += own_cpu() - begun;
                body.clear();
            }
        }
    }
    std::hint::black_box(lines);
    Ok((own_cpu() - begun, alone))
}

fn files(root: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for pod in std::fs::read_dir(root)? {
        files.push(pod?.path().join("app/0.log"));
    }
    Ok(files)
}

/// The log pipeline of the guide's configuration.
pub(crate) fn pipeline(root: &Path, port: u16) -> String {
    format!(
        "
receivers:
  file_log:
    include: ['{}/*/*/*.log']
    start_at: beginning
    include_file_path: true
    operators: [{{type: container}}]
processors:
  memory_limiter: {{check_interval: 1s, limit_mib: 256, spike_limit_mib: 64}}
  batch:
exporters:
  loki: {{endpoint: 'http://127.0.0.1:{port}/loki/api/v1/push'}}
service:
  pipelines:
    logs: {{receivers: [file_log], processors: [memory_limiter, batch], exporters: [loki]}}
",
        root.display()
    )
}

/// CPU seconds and peak memory of the agent for all lines.
fn agent(root: &Path, args: &Args) -> anyhow::Result<(f64, f64)> {
    let (port, counts) = sink::start(false, count_entries)?;
    let process = Process::corten(&pipeline(root, port))?;
    let wanted = args.lines / args.files * args.files;
    let deadline = Instant::now() + Duration::from_secs(300);
    while counts.items.load(Ordering::Relaxed) < wanted {
        anyhow::ensure!(
            Instant::now() < deadline,
            "only {} of {wanted} lines arrived",
            counts.items.load(Ordering::Relaxed)
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok((process.cpu()?, process.peak_mib()?))
}

/// Entries of a push request: a stream is field 1 of the request, an entry field 2 of the stream.
pub(crate) fn count_entries(body: &[u8]) -> u64 {
    let Ok(body) = snap::raw::Decoder::new().decompress_vec(body) else {
        return 0;
    };
    fields(&body, 1)
        .map(|stream| fields(stream, 2).count() as u64)
        .sum()
}

fn fields(message: &[u8], wanted: u32) -> impl Iterator<Item = &[u8]> {
    corten_pdata::wire::Fields::new(message)
        .filter(move |field| field.number == wanted)
        .map(|field| field.value.bytes())
}
