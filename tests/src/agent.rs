//! The real binary.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::wait_for;

/// How to run it.
#[derive(Debug)]
pub struct Command {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(String, OsString)>,
    dir: Option<PathBuf>,
    /// `sh` runs this first, in namespaces of its own: what `unshare` is given, and the commands.
    first: Option<(String, String)>,
}

impl Default for Command {
    fn default() -> Self {
        Self::new()
    }
}

impl Command {
    /// Without arguments: the embedded default.
    #[must_use]
    pub fn new() -> Self {
        Self {
            program: binary(),
            args: Vec::new(),
            env: Vec::new(),
            dir: None,
            first: None,
        }
    }

    /// With this configuration.
    #[must_use]
    pub fn yaml(text: &str) -> Self {
        Self::new().arg("--config").arg(format!("yaml:{text}"))
    }

    /// Under another name: a copy of the binary at `path`.
    #[must_use]
    pub fn renamed(mut self, path: PathBuf) -> Self {
        std::fs::copy(&self.program, &path).unwrap();
        self.program = path;
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Runs in this directory.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Mounts a file system of `size` (as `mount -o size=…` takes it) at `at`, which is gone when the agent is, and fills
    /// it if wanted. Needs root, or user namespaces.
    #[must_use]
    pub fn small_disk(self, at: &Path, size: &str, full: bool) -> Self {
        let at = at.display();
        let fill = if full {
            format!("; head -c 1G /dev/zero > {at}/fill 2>/dev/null")
        } else {
            String::new()
        };
        let mount = format!("mount -t tmpfs -o size={size} tmpfs {at}{fill}");
        let root = rustix::process::geteuid().is_root();
        self.within(if root { "-m" } else { "-rm" }, &mount)
    }

    /// Has `sh` run `commands` first, in namespaces of its own: `flags` are those of `unshare`, such as `-rm`; with
    /// none it is in those of the test.
    #[must_use]
    pub fn within(mut self, flags: &str, commands: &str) -> Self {
        self.first = Some((flags.to_owned(), commands.to_owned()));
        self
    }

    fn build(&self) -> std::process::Command {
        let mut command = match &self.first {
            None => std::process::Command::new(&self.program),
            Some((flags, first)) => {
                let mut command = if flags.is_empty() {
                    std::process::Command::new("sh")
                } else {
                    let mut command = std::process::Command::new("unshare");
                    command.arg(flags).arg("sh");
                    command
                };
                command
                    .args(["-c", &format!("{first}; exec \"$0\" \"$@\"")])
                    .arg(&self.program);
                command
            }
        };
        command.args(&self.args).env_remove("RUST_LOG");
        for (name, value) in &self.env {
            command.env(name, value);
        }
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }

    /// Runs it to its end and answers status, stdout and stderr.
    #[must_use]
    pub fn output(&self) -> (ExitStatus, String, String) {
        let output = self.build().stdin(Stdio::null()).output().unwrap();
        (
            output.status,
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    /// Starts it and waits until it says that everything is ready.
    #[must_use]
    pub fn start(&self) -> Agent {
        let mut agent = self.spawn();
        agent.wait_for_line("everything is ready");
        agent
    }

    /// Starts it.
    #[must_use]
    pub fn spawn(&self) -> Agent {
        let mut child = self
            .build()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                kept.lock().push(line);
            }
        });
        Agent { child, lines }
    }
}

/// The binary: `CORTEN_BIN`, or the one that stands beside the tests' own.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("CORTEN_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("corten");
    assert!(
        path.exists(),
        "{} is not there: build it with the tests: `cargo nextest run --workspace`, or `cargo build -p corten`",
        path.display()
    );
    path
}

/// A running agent; killed when dropped.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Agent {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.lines.lock().join("\n")
    }

    /// Waits for a log line that contains `text`.
    pub fn wait_for_line(&mut self, text: &str) -> String {
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        loop {
            let found = self
                .lines
                .lock()
                .iter()
                .find(|line| line.contains(text))
                .cloned();
            if let Some(line) = found {
                return line;
            }
            assert!(
                std::time::Instant::now() < deadline && self.is_running(),
                "the agent did not say {text:?}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// SIGTERM, then waits for its end.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    /// SIGKILL, then waits for its end.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let log = self.lines.clone();
        wait_for(
            &format!("the agent's end; its log:\n{}", log.lock().join("\n")),
            Duration::from_secs(40),
            || self.child.try_wait().unwrap(),
        )
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Resident memory in bytes.
    #[must_use]
    pub fn resident(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.pid())).unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * rustix::param::page_size() as u64
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("---- the agent's log\n{}\n----", self.log());
        }
    }
}
