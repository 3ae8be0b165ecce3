//! The running agent: start, reload, shutdown.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use corten_component::{Health, Reload, SelfMetrics, Services, async_trait};
use corten_pipeline::{Graph, Plan, Surroundings};
use opentelemetry::metrics::Gauge;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::cli::{ConfigArgs, RunArgs};
use crate::own_pages;
use crate::setup::{self, Loaded};
use crate::telemetry::{MetricsPages, OwnMetrics, OwnTraces};
use crate::{in_words, logging, telemetry};

/// How long an idle thread for blocking work waits for more: longer than from one scrape to the next, as to make a thread
/// costs a tenth of a scrape.
const BLOCKING_THREADS_STAY: Duration = Duration::from_secs(150);

/// Runs until a signal says to stop. Exits 0 after SIGTERM and SIGINT.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    raise_descriptor_limit();
    let mut runtime = match args.workers {
        1 => tokio::runtime::Builder::new_current_thread(),
        workers => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            if workers > 0 {
                builder.worker_threads(workers);
            }
            builder
        }
    };
    let runtime = runtime
        .enable_all()
        .thread_keep_alive(BLOCKING_THREADS_STAY)
        .build()
        .context("the runtime did not start")?;
    let outcome = runtime.block_on(Agent::run(args));
    // Whatever still hangs in a file system that does not answer ends with the process.
    runtime.shutdown_background();
    outcome
}

/// Takes all file descriptors that it may have: the soft limit is low for the sake of programs that use `select`, and a
/// node has more log files than that.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!(%error, "the limit of file descriptors stays as it is");
        }
    }
}

/// What tells the agent to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("no SIGTERM handler")?,
            interrupt: signal(SignalKind::interrupt()).context("no SIGINT handler")?,
        })
    }

    /// SIGTERM or SIGINT.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// How long components may take once nobody wants to wait for them any longer.
const AT_ONCE: Duration = Duration::from_millis(500);

/// Somebody wants a reload; the answer comes when the new configuration is built, or why not.
type ReloadRequest = oneshot::Sender<Result<(), String>>;

/// The admin server's side of a reload.
struct ReloadHandle(mpsc::Sender<ReloadRequest>);

#[async_trait]
impl Reload for ReloadHandle {
    async fn reload(&self) -> Result<(), String> {
        let (answer, outcome) = oneshot::channel();
        let busy = || "another reload is under way, or the agent shuts down".to_owned();
        self.0.try_send(answer).map_err(|_| busy())?;
        outcome.await.unwrap_or_else(|_| Err(busy()))
    }
}

/// Reads and checks the configuration beside the runtime's only thread: a file system may be slow or hang.
async fn load(args: &ConfigArgs) -> anyhow::Result<Result<Loaded, String>> {
    let args = args.clone();
    let loaded = tokio::task::spawn_blocking(move || setup::load(&args)).await;
    loaded.context("reading the configuration")
}

struct Agent {
    args: RunArgs,
    own_metrics: Arc<OwnMetrics>,
    own_traces: Option<OwnTraces>,
    reload: Arc<ReloadHandle>,
    last_reload: Gauge<u64>,
}

impl Agent {
    async fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
        let mut signals = Signals::listen()?;
        let loaded = tokio::select! {
            loaded = load(&args.config) => loaded?,
            // Nothing has been started.
            () = signals.stop() => return Ok(ExitCode::SUCCESS),
        };
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(problems) => {
                eprint!("{problems}");
                return Ok(ExitCode::FAILURE);
            }
        };
        let resource = telemetry::resource(&loaded.plan.telemetry);
        let own_metrics = Arc::new(OwnMetrics::start(&loaded.plan.telemetry, resource.clone())?);
        let own_traces = OwnTraces::start(&loaded.plan.telemetry, resource)?;
        let tracer = own_traces.as_ref().map(OwnTraces::tracer);
        logging::start(&loaded.plan.telemetry.logs, tracer);
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let (reload, mut reloads) = mpsc::channel(1);
        let last_reload = own_metrics
            .meter()
            .u64_gauge("corten_config_last_reload_successful")
            .with_description("1 when the last reload of the configuration succeeded, else 0")
            .build();
        let agent = Self {
            args: args.clone(),
            own_metrics,
            own_traces,
            reload: Arc::new(ReloadHandle(reload)),
            last_reload,
        };
        agent.last_reload.record(1, &[]);

        let outcome = agent
            .serve(loaded.plan, loaded.embedded, &mut signals, &mut reloads)
            .await;
        agent.last_words().await;
        outcome
    }

    /// From the start of the graph to its end.
    async fn serve(
        &self,
        mut plan: Plan,
        embedded: bool,
        signals: &mut Signals,
        reloads: &mut mpsc::Receiver<ReloadRequest>,
    ) -> anyhow::Result<ExitCode> {
        let mut hangup = signal(SignalKind::hangup()).context("no SIGHUP handler")?;
        let mut running = Running::build(&plan, &self.surroundings())?;
        let started = tokio::select! {
            started = running.start() => Some(started),
            () = signals.stop() => None,
        };
        let Some(started) = started else {
            // Asked to stop before everything had started.
            self.stop(&mut [&mut running], signals).await;
            return Ok(ExitCode::SUCCESS);
        };
        started?;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            pid = std::process::id(),
            "everything is ready; running and processing data"
        );
        if embedded {
            setup::say_where_to_look();
        }
        // Set while a reload starts what is to take over.
        let mut next = None;
        loop {
            if let Err(error) = own_pages::let_go() {
                tracing::debug!("the pages that the start needed stay resident: {error}");
            }
            let answer = tokio::select! {
                () = signals.stop() => break,
                _ = hangup.recv() => None,
                Some(answer) = reloads.recv() => Some(answer),
            };
            let by_signal = answer.is_none();
            let reloaded = tokio::select! {
                reloaded = self.reload(&mut plan, &mut running, &mut next, answer) => reloaded,
                () = signals.stop() => break,
            };
            if let Err(problems) = reloaded
                && by_signal
            {
                tracing::error!(
                    "the configuration was not reloaded, the old one goes on:\n{problems}"
                );
            }
        }
        tracing::info!("shutting down");
        match &mut next {
            None => self.stop(&mut [&mut running], signals).await,
            // The old one was being shut down, or had been.
            Some(next) => self.stop(&mut [next, &mut running], signals).await,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Shuts down, all within one grace period; a further signal ends the waiting.
    async fn stop(&self, running: &mut [&mut Running], signals: &mut Signals) {
        let deadline = Instant::now() + self.grace();
        let all = async {
            let mut clean = true;
            for one in running.iter_mut() {
                let left = deadline.saturating_duration_since(Instant::now());
                clean &= one.shutdown(left.max(AT_ONCE)).await;
            }
            clean
        };
        let clean = tokio::select! {
            clean = all => Some(clean),
            () = signals.stop() => None,
        };
        match clean {
            Some(true) => tracing::info!("shut down cleanly"),
            Some(false) => {}
            None => {
                tracing::warn!("asked to stop again: not waiting any longer");
                // They still have to say what is lost by it.
                for one in running {
                    one.shutdown(AT_ONCE).await;
                }
            }
        }
    }

    fn grace(&self) -> Duration {
        Duration::from_secs(self.args.shutdown_grace.max(1))
    }

    /// Sends what is left of the own telemetry. From a thread beside the runtime's only one, which has
    /// to do the sending meanwhile.
    async fn last_words(self) {
        let Self {
            own_traces,
            own_metrics,
            ..
        } = self;
        let traces = tokio::task::spawn_blocking(move || {
            if let Some(traces) = &own_traces {
                traces.shutdown();
            }
        });
        let metrics = tokio::task::spawn_blocking(move || own_metrics.shutdown());
        drop(traces.await);
        drop(metrics.await);
    }

    /// Reads, checks and builds the new configuration; only then stops the old one. When the new
    /// one does not start (a port that is taken), the old one is started again. May be dropped at any time: what has
    /// to be shut down then is `next`, if it is there, and `running`.
    async fn reload(
        &self,
        plan: &mut Plan,
        running: &mut Running,
        next: &mut Option<Running>,
        answer: Option<ReloadRequest>,
    ) -> Result<(), String> {
        tracing::info!("reading the configuration again");
        let loaded = load(&self.args.config).await;
        let loaded = loaded.unwrap_or_else(|error| Err(in_words(&error)));
        let built = loaded.and_then(|loaded| {
            let built = Running::build(&loaded.plan, &self.surroundings());
            Ok((loaded, built.map_err(|error| in_words(&error))?))
        });
        let (loaded, built) = match built {
            Ok(built) => built,
            Err(problems) => {
                self.last_reload.record(0, &[]);
                if let Some(answer) = answer {
                    drop(answer.send(Err(problems.clone())));
                }
                return Err(problems);
            }
        };
        if let Some(answer) = answer {
            drop(answer.send(Ok(())));
        }
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        if running.shutdown(self.grace()).await {
            tracing::info!("the old configuration is shut down");
        }
        let started = next.insert(built).start().await;
        if let Err(error) = started {
            self.last_reload.record(0, &[]);
            tracing::error!(
                error = in_words(&error),
                "the new configuration did not start; going back to the old one"
            );
            *next = None;
            *running =
                Running::build(plan, &self.surroundings()).map_err(|error| in_words(&error))?;
            let back = running.start().await.map_err(|error| in_words(&error));
            if let Err(error) = &back {
                tracing::error!(%error, "the old configuration did not start again either");
            }
            return back;
        }
        if !telemetry::only_pages_differ(&plan.telemetry, &loaded.plan.telemetry) {
            tracing::warn!(
                "service::telemetry has changed: what is more than the pages for Prometheus takes effect at the next start of the process"
            );
        }
        *plan = loaded.plan;
        if let Some(next) = next.take() {
            *running = next;
        }
        self.last_reload.record(1, &[]);
        tracing::info!("configuration reloaded");
        Ok(())
    }

    /// What one run of a configuration finds around it: a board of its own, so that building a new
    /// graph says nothing about the old one.
    fn surroundings(&self) -> Surroundings {
        let services = Services::new();
        let health = Health::new();
        services.insert(Arc::new(health.clone()));
        services.insert::<Arc<dyn SelfMetrics>>(Arc::new(Arc::clone(&self.own_metrics) as _));
        services.insert::<Arc<dyn Reload>>(Arc::new(Arc::clone(&self.reload) as _));
        Surroundings {
            services,
            health,
            meter: self.own_metrics.meter(),
        }
    }
}

/// What one configuration runs: the pipelines, and the pages with own metrics around them, which
/// are there before the first component and after the last.
struct Running {
    pages: MetricsPages,
    graph: Graph,
}

impl Running {
    fn build(plan: &Plan, around: &Surroundings) -> anyhow::Result<Self> {
        let graph = Graph::build(plan, around)?;
        let pages = MetricsPages::build(&plan.telemetry, &around.services)?;
        Ok(Self { pages, graph })
    }

    async fn start(&mut self) -> anyhow::Result<()> {
        let started = match self.pages.start().await {
            Ok(()) => self.graph.start().await.map_err(anyhow::Error::from),
            Err(error) => Err(error.into()),
        };
        if started.is_err() {
            self.pages.shutdown().await;
        }
        started
    }

    async fn shutdown(&mut self, grace: Duration) -> bool {
        let clean = self.graph.shutdown(grace).await;
        self.pages.shutdown().await;
        clean
    }
}
