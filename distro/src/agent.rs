//! The running agent: start, reload, shutdown.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use corten_component::{Health, Reload, SelfMetrics, Services, async_trait};
use corten_pipeline::{Graph, Plan, Surroundings};
use opentelemetry::metrics::Gauge;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::cli::RunArgs;
use crate::setup::{self, Loaded};
use crate::telemetry::{MetricsPages, OwnMetrics, OwnTraces};
use crate::{in_words, logging, telemetry};

/// Runs until a signal says to stop. Exits 0 after SIGTERM and SIGINT.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let loaded = match setup::load(&args.config) {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprint!("{problems}");
            return Ok(ExitCode::FAILURE);
        }
    };
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
    runtime
        .enable_all()
        .build()
        .context("the runtime did not start")?
        .block_on(Agent::run(args, loaded))
}

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

struct Agent {
    args: RunArgs,
    own_metrics: Arc<OwnMetrics>,
    own_traces: Option<OwnTraces>,
    reload: Arc<ReloadHandle>,
    last_reload: Gauge<u64>,
}

impl Agent {
    async fn run(args: &RunArgs, loaded: Loaded) -> anyhow::Result<ExitCode> {
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
            .serve(loaded.plan, loaded.embedded, &mut reloads)
            .await;
        agent.last_words().await;
        outcome
    }

    /// From the start of the graph to its end.
    async fn serve(
        &self,
        mut plan: Plan,
        embedded: bool,
        reloads: &mut mpsc::Receiver<ReloadRequest>,
    ) -> anyhow::Result<ExitCode> {
        let mut terminate = signal(SignalKind::terminate()).context("no SIGTERM handler")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("no SIGINT handler")?;
        let mut hangup = signal(SignalKind::hangup()).context("no SIGHUP handler")?;

        let mut running = Running::build(&plan, &self.surroundings())?;
        tokio::select! {
            started = running.start() => started?,
            // Asked to stop before everything had started.
            _ = terminate.recv() => { self.stop(&mut running).await; return Ok(ExitCode::SUCCESS); }
            _ = interrupt.recv() => { self.stop(&mut running).await; return Ok(ExitCode::SUCCESS); }
        }
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            pid = std::process::id(),
            "everything is ready; running and processing data"
        );
        if embedded {
            setup::say_where_to_look();
        }
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => {
                    if let Err(problems) = self.reload(&mut plan, &mut running, None).await {
                        tracing::error!("the configuration was not reloaded, the old one goes on:\n{problems}");
                    }
                }
                Some(answer) = reloads.recv() => {
                    drop(self.reload(&mut plan, &mut running, Some(answer)).await);
                }
            }
        }
        tracing::info!("shutting down");
        tokio::select! {
            () = self.stop(&mut running) => {}
            _ = terminate.recv() => tracing::warn!("asked to stop again: not waiting any longer"),
            _ = interrupt.recv() => tracing::warn!("asked to stop again: not waiting any longer"),
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn stop(&self, running: &mut Running) {
        let grace = Duration::from_secs(self.args.shutdown_grace.max(1));
        if running.shutdown(grace).await {
            tracing::info!("shut down cleanly");
        }
    }

    /// Sends what is left of the own telemetry. From a thread beside the runtime's only one, which has
    /// to do the sending meanwhile.
    async fn last_words(self) {
        let said = tokio::task::spawn_blocking(move || {
            if let Some(traces) = &self.own_traces {
                traces.shutdown();
            }
            self.own_metrics.shutdown();
        });
        drop(said.await);
    }

    /// Reads, checks and builds the new configuration; only then stops the old one. When the new
    /// one does not start (a port that is taken), the old one is started again.
    async fn reload(
        &self,
        plan: &mut Plan,
        running: &mut Running,
        answer: Option<ReloadRequest>,
    ) -> Result<(), String> {
        tracing::info!("reading the configuration again");
        let built = setup::load(&self.args.config).and_then(|loaded| {
            let next = self.surroundings();
            let running = Running::build(&loaded.plan, &next).map_err(|error| in_words(&error))?;
            Ok((loaded, running))
        });
        let (loaded, mut next) = match built {
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
        self.stop(running).await;
        if let Err(error) = next.start().await {
            self.last_reload.record(0, &[]);
            tracing::error!(
                error = in_words(&error),
                "the new configuration did not start; going back to the old one"
            );
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
        *running = next;
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
