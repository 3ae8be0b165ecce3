//! A process under measurement.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

/// The release binary beside this one.
pub(crate) fn binary() -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("corten");
    anyhow::ensure!(
        path.exists(),
        "{} is not there: cargo build --release -p corten",
        path.display()
    );
    Ok(path)
}

/// The command that the agent is run under, such as `valgrind --tool=callgrind`: for counts, not for figures.
const UNDER: &str = "CORTEN_BENCH_UNDER";

/// A running process; killed when dropped.
pub(crate) struct Process(Child);

impl Process {
    /// The agent with this configuration.
    pub(crate) fn corten(yaml: &str) -> anyhow::Result<Self> {
        let mut command = match std::env::var(UNDER) {
            Err(_) => Command::new(binary()?),
            Ok(under) => {
                let mut words = under.split_whitespace();
                let mut command = Command::new(words.next().context("nothing to run it under")?);
                command.args(words).arg(binary()?);
                command
            }
        };
        command.arg("--config").arg(format!("yaml:{yaml}"));
        Self::start(command)
    }

    pub(crate) fn start(mut command: Command) -> anyhow::Result<Self> {
        let child = command
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        Ok(Self(child))
    }

    /// User and system time so far, in seconds, to the nanosecond: `/proc/<pid>/stat` counts in hundredths.
    pub(crate) fn cpu(&self) -> anyhow::Result<f64> {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id())?);
        let now = nix::time::clock_getcpuclockid(pid)?.now()?;
        Ok(Duration::from(now).as_secs_f64())
    }

    /// Peak resident memory in MiB.
    pub(crate) fn peak_mib(&self) -> anyhow::Result<f64> {
        self.memory_mib("VmHWM:")
    }

    /// Resident memory in MiB.
    pub(crate) fn resident_mib(&self) -> anyhow::Result<f64> {
        self.memory_mib("VmRSS:")
    }

    fn memory_mib(&self, name: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .with_context(|| format!("no {name}"))?;
        let kib: f64 = line
            .split_ascii_whitespace()
            .nth(1)
            .with_context(|| format!("no {name}"))?
            .parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::env::var_os(UNDER).is_some() {
            // It has something to write at its end.
            let pid = rustix::process::Pid::from_child(&self.0);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
            drop(self.0.wait());
            return;
        }
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// CPU time of this process in seconds.
pub(crate) fn own_cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds and nanoseconds of one run"
    )]
    let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    seconds
}

/// Waits until `port` takes connections.
pub(crate) fn wait_for_port(port: u16) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        anyhow::ensure!(Instant::now() < deadline, "nobody listens on {port}");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// A port that is free now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?
        .local_addr()?
        .port())
}
