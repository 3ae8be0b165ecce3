//! Logs, Loki, books and the agent.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tempfile::TempDir;

use super::books::{Books, Verdict};
use super::endpoint::{Endpoint, Fault, at};
use super::random::Random;
use super::script::{Action, Who};
use super::writer::Writer;
use crate::{Agent, Command, Metrics, free_port, scrape};

/// The longest that anything may take to arrive.
const SOON: Duration = Duration::from_secs(40);
/// Positions are saved 10 ms after an acknowledgement, and a little later on a busy machine.
const SAVED: Duration = Duration::from_millis(250);

/// What the agent is configured with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// More settings of the receiver, a line of YAML each.
    pub receiver: Vec<String>,
    /// More settings of the exporter, a line of YAML each.
    pub loki: Vec<String>,
    /// Bytes that may be read and not acknowledged.
    pub in_flight: usize,
    /// The host in Loki's URL.
    pub host: String,
    /// The address that Loki listens on, an address of loopback.
    pub ip: [u8; 4],
    /// What the folder of the pods is called, below the test's own.
    pub root: String,
    /// What the folder of the positions is called.
    pub state: String,
    /// `unshare`'s flags and what a shell does first, in these namespaces. `{dir}` is the test's folder.
    pub within: Option<(String, String)>,
    /// Environment.
    pub env: Vec<(String, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            receiver: Vec::new(),
            loki: Vec::new(),
            in_flight: 1 << 20,
            host: "127.0.0.1".to_owned(),
            ip: [127, 0, 0, 1],
            root: "pods".to_owned(),
            state: "state".to_owned(),
            within: None,
            env: Vec::new(),
        }
    }
}

/// All of it.
pub struct World {
    name: String,
    seed: u64,
    dir: TempDir,
    setup: Setup,
    admin: u16,
    books: Arc<Mutex<Books>>,
    /// Who writes.
    pub writer: Writer,
    /// Loki.
    pub loki: Endpoint,
    /// Choices.
    pub random: Random,
    agent: Option<Agent>,
    done: Vec<String>,
    begun: Instant,
    kills: usize,
    /// Bytes that may come twice: what was in flight when the agent was killed.
    twice: usize,
    /// Lines that may come twice: those behind an unfinished one when the agent ended.
    behind: usize,
}

impl World {
    /// Ready to begin, with the settings of [`Setup`].
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::with(name, |_| ())
    }

    /// With other settings.
    #[must_use]
    pub fn with(name: &str, change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::default();
        change(&mut setup);
        let seed = std::env::var("CORTEN_ORACLE_SEED").map_or_else(
            |_| {
                name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                })
            },
            |seed| seed.parse().expect("CORTEN_ORACLE_SEED is a number"),
        );
        // Below the target folder: a disk, where /tmp may be memory.
        let target = crate::repository().join("target/oracle");
        std::fs::create_dir_all(&target).unwrap();
        let dir = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir_in(target)
            .unwrap();
        let root = dir.path().join(&setup.root);
        std::fs::create_dir_all(&root).unwrap();
        let books = Arc::new(Mutex::new(Books::default()));
        let address = at(setup.ip, free_port());
        Self {
            name: name.to_owned(),
            seed,
            admin: free_port(),
            writer: Writer::new(&root, seed, Arc::clone(&books)),
            loki: Endpoint::start_at(Arc::clone(&books), address),
            random: Random::new(seed ^ 0x5eed),
            books,
            setup,
            dir,
            agent: None,
            done: Vec::new(),
            begun: Instant::now(),
            kills: 0,
            twice: 0,
            behind: 0,
        }
    }

    /// The test's folder.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// The settings, for the next start.
    pub fn setup(&mut self) -> &mut Setup {
        &mut self.setup
    }

    /// The files of the positions.
    #[must_use]
    pub fn checkpoints(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.dir.path().join(&self.setup.state)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.to_string_lossy().contains("positions") {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }

    /// The agent's own metrics.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        scrape(self.admin, "/metrics")
    }

    /// The agent.
    pub fn agent(&mut self) -> &mut Agent {
        self.agent.as_mut().expect("the agent is started")
    }

    /// Writes something beside the script.
    pub fn note(&mut self, text: &str) {
        let at = self.begun.elapsed().as_millis();
        self.done.push(format!("# {at} ms: {text}"));
    }

    /// What of the books was written, came, and came not.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.books.lock().verdict()
    }

    /// Lines that have come.
    #[must_use]
    pub fn have(&self) -> usize {
        self.books.lock().have()
    }

    /// How the agent is run.
    #[must_use]
    pub fn command(&self) -> Command {
        let Setup {
            receiver,
            loki,
            in_flight,
            host,
            root,
            state,
            ..
        } = &self.setup;
        let dir = self.dir.path().display();
        let port = self.loki.port();
        let lines = |lines: &[String]| {
            lines.iter().fold(String::new(), |mut text, line| {
                write!(text, "\n    {line}").unwrap();
                text
            })
        };
        let (receiver, loki) = (lines(receiver), lines(loki));
        let yaml = format!(
            r#"
receivers:
  file_log:
    include: ["{dir}/{root}/*/*/*.log"]
    start_at: beginning
    storage: file_storage
    operators: [{{type: container}}]
    poll_interval: 100ms
    max_in_flight: {in_flight}{receiver}
processors:
  memory_limiter: {{check_interval: 1s, limit_mib: 256, spike_limit_mib: 64}}
  batch: {{}}
exporters:
  loki:
    endpoint: http://{host}:{port}
    timeout: 2s
    batchwait: 50ms
    retry_on_failure: {{initial_interval: 50ms, max_interval: 300ms}}{loki}
extensions:
  admin: {{endpoint: "127.0.0.1:{admin}"}}
  file_storage: {{directory: "{dir}/{state}", create_directory: true}}
service:
  extensions: [admin, file_storage]
  pipelines:
    logs: {{receivers: [file_log], processors: [memory_limiter, batch], exporters: [loki]}}
"#,
            admin = self.admin,
        );
        let mut command = Command::yaml(&yaml);
        if let Some((flags, shell)) = &self.setup.within {
            let shell = shell.replace("{dir}", &dir.to_string());
            command = command.within(flags, &shell);
        }
        for (name, value) in &self.setup.env {
            command = command.env(name, value);
        }
        command
    }

    /// Plays a script: actions, one a line or between `;`, `#` begins a comment.
    ///
    /// # Panics
    ///
    /// When an action fails, or is none.
    pub fn play(&mut self, script: &str) {
        for line in script.split(['\n', ';']).map(str::trim) {
            if !line.is_empty() && !line.starts_with('#') {
                let action = line.parse().unwrap_or_else(|why| panic!("{why}"));
                self.act(&action);
            }
        }
    }

    fn each(&mut self, who: Who, mut act: impl FnMut(&mut Writer, usize)) {
        match who {
            Who::One(log) => act(&mut self.writer, log),
            Who::All => (0..self.writer.logs()).for_each(|log| act(&mut self.writer, log)),
        }
    }

    /// Does one thing.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn act(&mut self, action: &Action) {
        self.done.push(action.to_string());
        match *action {
            Action::Pod => {
                self.writer.pod();
            }
            Action::Write(who, lines) => self.each(who, |writer, log| writer.write(log, lines)),
            Action::Begin(who) => self.each(who, Writer::begin),
            Action::End(who) => self.each(who, Writer::end),
            Action::Tear(who) => self.each(who, Writer::tear),
            Action::Mend(who) => self.each(who, Writer::mend),
            Action::Rotate(who) => self.each(who, Writer::rotate),
            Action::Gzip(who) => self.each(who, Writer::gzip),
            Action::GzipAll(who) => self.each(who, Writer::gzip_all),
            Action::Prune(who, keep) => self.each(who, |writer, log| writer.prune(log, keep)),
            Action::Restart(who) => self.each(who, Writer::restart),
            Action::CopyTruncate(who) => self.each(who, Writer::copytruncate),
            Action::Truncate(who) => self.each(who, Writer::truncate),
            Action::Hole(who, kib) => self.each(who, |writer, log| writer.hole(log, kib)),
            Action::Delete(who) => self.each(who, Writer::delete),
            Action::Start => {
                assert!(self.agent.is_none(), "it runs");
                let begun = Instant::now();
                self.agent = Some(self.command().start());
                self.note(&format!("started within {:?}", begun.elapsed()));
            }
            Action::Stop => {
                let agent = self.agent.take().expect("it runs");
                let (log, status) = (agent.log(), agent.stop());
                assert!(status.success(), "{status} after SIGTERM\n{log}");
                self.behind += self.writer.behind_unfinished();
            }
            Action::Kill => {
                let agent = self.agent.take().expect("it runs");
                agent.kill();
                self.kills += 1;
                self.behind += self.writer.behind_unfinished();
                let books = self.books.lock();
                self.twice += books.since(SAVED);
                // A position waits for those before it, so what came long ago may be behind what has not come.
                if books.have() < books.wanted() {
                    self.twice += self.setup.in_flight;
                }
            }
            Action::Pause => self.agent().signal(rustix::process::Signal::STOP),
            Action::Resume => self.agent().signal(rustix::process::Signal::CONT),
            Action::Loki(status) => self.loki.always(Some(Fault::Status(status))),
            Action::LokiUp => self.loki.always(None),
            Action::LokiAway => self.loki.close(),
            Action::LokiBack => self.loki.open(),
            Action::Pace(span) => std::thread::sleep(span),
            Action::Drain => self.drain(SOON),
        }
    }

    /// Waits until everything that has to come has come.
    ///
    /// # Panics
    ///
    /// When it does not come.
    pub fn drain(&mut self, within: Duration) {
        let deadline = Instant::now() + within;
        loop {
            {
                let books = self.books.lock();
                if books.have() >= books.wanted() {
                    break;
                }
            }
            assert!(
                Instant::now() < deadline,
                "not within {within:?}: {}",
                self.verdict()
            );
            if let Some(agent) = &mut self.agent {
                assert!(agent.is_running(), "the agent ended\n{}", self.verdict());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.writer.all_read();
        self.note("drained");
    }

    /// The last line of a log need not come: Loki was told to refuse it for good.
    pub fn excuse_last(&mut self, log: usize) {
        let mut books = self.books.lock();
        let last = books.next(log) - 1;
        books.excuse(log, last);
    }

    /// Whether everything has come but lines of this log.
    #[must_use]
    pub fn all_but(&self, log: usize) -> bool {
        self.books.lock().complete_but(log)
    }

    /// Loki listens on another address of loopback when it is back.
    pub fn move_loki(&mut self, ip: [u8; 4]) {
        self.setup.ip = ip;
        let address = at(ip, self.loki.port());
        self.loki.moves(address);
    }

    /// Waits until so many more requests have come.
    ///
    /// # Panics
    ///
    /// When they do not.
    pub fn requests(&mut self, more: usize) {
        let wanted = self.loki.requests() + more;
        crate::wait_for(&format!("{more} more requests"), SOON, || {
            (self.loki.requests() >= wanted).then_some(())
        });
    }

    /// Waits until everything has come, stops the agent, and holds what came against what was written: nothing lost,
    /// nothing corrupted, all in order, and nothing twice but what was in flight when the agent was killed or Loki
    /// kept without answering.
    ///
    /// # Panics
    ///
    /// When it is not so.
    pub fn finish(&mut self) -> Verdict {
        self.drain(SOON);
        if self.agent.is_some() {
            self.act(&Action::Stop);
        }
        let verdict = self.verdict();
        self.note(&verdict.to_string());
        let right = verdict.lost == 0 && verdict.corrupted == 0 && verdict.reordered == 0;
        assert!(right && verdict.written > 0, "{verdict}");
        let unanswered = self.loki.unanswered() + self.behind;
        if self.twice == 0 {
            assert!(
                verdict.duplicated <= unanswered,
                "{unanswered} lines were kept without a word or followed an unfinished one: {verdict}"
            );
        } else {
            let allowed = self.twice + unanswered * self.writer.sizes.1;
            assert!(
                verdict.duplicated_bytes <= allowed,
                "{} kills allow {allowed} bytes twice: {verdict}",
                self.kills
            );
        }
        verdict
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "---- {}: CORTEN_ORACLE_SEED={}, and this script so far:\n{}\n----",
                self.name,
                self.seed,
                self.done.join("\n")
            );
            if self.agent.is_some()
                && let Ok(reply) = crate::get(self.admin, "/metrics")
            {
                eprintln!("---- what the agent counts");
                let text = reply.text();
                let own = |line: &&str| line.contains("file_log") && !line.contains("_bucket");
                text.lines()
                    .filter(own)
                    .for_each(|line| eprintln!("{line}"));
            }
            eprintln!("---- the last requests");
            for seen in self.loki.seen().iter().rev().take(10) {
                let ago = seen.at.elapsed();
                eprintln!("{ago:?} ago: {} with {} lines", seen.status, seen.lines);
            }
        }
    }
}
