//! What a node's logs cost while they are written at the rate of a node, or not at all.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;

use crate::agent::Process;
use crate::{logs, sink};

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Files, one for each container.
    #[arg(long, default_value_t = 2000)]
    files: u32,
    /// Lines a second, of 200 B, spread over all files; 0 for none.
    #[arg(long, default_value_t = 100_000)]
    rate: u32,
    /// How long.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
}

/// A line is written to every file so many times a second at most; more lines are written together.
const ROUNDS: u32 = 20;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut files = Vec::new();
    for file in 0..args.files {
        files.push(create(dir.path(), file)?);
    }
    let (port, counts) = sink::start(false, logs::count_entries)?;
    let process = Process::corten(&logs::pipeline(dir.path(), port))?;
    // The first lines are there, so that all files are known.
    wait(|| counts.items.load(Ordering::Relaxed) >= u64::from(args.files))?;
    std::thread::sleep(Duration::from_secs(2));
    let (cpu, begun) = (process.cpu()?, Instant::now());
    let mut written = 0_u64;
    for round in 0..args.seconds * ROUNDS {
        // Each round writes to some of the files, as often as the rate asks for.
        let due = u64::from(args.rate) * u64::from(round + 1) / u64::from(ROUNDS);
        let files_now = files.len().min(usize::try_from(due - written)?);
        let start = usize::try_from(round)? * files_now;
        for turn in 0..files_now {
            let lines = (due - written).div_ceil((files_now - turn) as u64);
            let at = (start + turn) % files.len();
            if let Some(file) = files.get_mut(at) {
                file.write_all(text(written, lines).as_bytes())?;
            }
            written += lines;
        }
        let next = Duration::from_secs(1) / ROUNDS * (round + 1);
        std::thread::sleep(next.saturating_sub(begun.elapsed()));
    }
    let (cpu, clock) = (process.cpu()? - cpu, begun.elapsed().as_secs_f64());
    let (resident, peak) = (process.resident_mib()?, process.peak_mib()?);
    let wanted = u64::from(args.files) + written;
    wait(|| counts.items.load(Ordering::Relaxed) >= wanted)?;
    println!(
        "footprint: {} files, {} lines a second for {} s",
        args.files, args.rate, args.seconds
    );
    println!(
        "  CPU                        {:7.2} % of a core",
        100.0 * cpu / clock
    );
    println!("  resident memory            {resident:7.1} MiB, at most {peak:.1}");
    Ok(())
}

fn wait(done: impl Fn() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        anyhow::ensure!(Instant::now() < deadline, "lines are missing");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn create(root: &Path, file: u32) -> anyhow::Result<File> {
    let dir = root.join(format!(
        "ns{}_pod-{file}_00000000-0000-4000-8000-{file:012x}/app",
        file % 5
    ));
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("0.log"), text(0, 1))?;
    Ok(OpenOptions::new().append(true).open(dir.join("0.log"))?)
}

/// Lines of 200 B.
fn text(from: u64, lines: u64) -> String {
    let mut text = String::new();
    for n in from..from + lines {
        let mut line = format!(
            "2026-11-22T10:00:00.{:09}Z stdout F level=info msg=\"request handled\" n={n} ",
            n % 1_000_000_000
        );
        while line.len() < 199 {
            line.push_str(
                "and more text "
                    .get(..(199 - line.len()).min(14))
                    .unwrap_or_default(),
            );
        }
        line.push('\n');
        text.push_str(&line);
    }
    text
}
