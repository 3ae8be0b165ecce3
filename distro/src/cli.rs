//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Corten: container logs to Loki, node and container metrics for Prometheus, traces to Tempo,
/// wired by one file in the OpenTelemetry Collector's own schema.
///
/// Without --config it looks at this machine and needs no backend.
#[derive(Debug, Parser)]
#[command(name = "corten", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the agent (also without this word)
    Run(RunArgs),
    /// Read and check the configuration, say everything that is wrong with it, start nothing
    Validate(ConfigArgs),
    /// Print the configuration in force: merged, expanded, with defaults, secrets redacted
    #[command(visible_alias = "print-initial-config")]
    PrintConfig(PrintArgs),
    /// List the components that a configuration can name
    Components(FormatArgs),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Look at queues on disk and at dead letters; send these again, or drop them
    Queue(QueueArgs),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct QueueArgs {
    #[command(subcommand)]
    pub(crate) action: QueueAction,
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum QueueAction {
    /// What waits, per exporter and signal; also beside a running agent
    Ls {
        #[command(flatten)]
        storage: StorageArgs,
        /// YAML or JSON instead of a table
        #[arg(long, value_enum)]
        format: Option<Format>,
    },
    /// The records of one exporter, oldest first; also beside a running agent
    Show {
        #[command(flatten)]
        which: QueueOf,
        /// Dead letters, with their reasons, instead of what waits
        #[arg(long)]
        dead_letters: bool,
        /// Show at most so many
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u64,
        /// Show the telemetry too, as OTLP/JSON
        #[arg(long)]
        data: bool,
    },
    /// Put dead letters back into the exporter's queue; the agent must not run
    Retry {
        #[command(flatten)]
        which: QueueOf,
        /// Up to this number, as `show` tells it; all of them without
        #[arg(long, value_name = "NUMBER")]
        last: Option<u64>,
    },
    /// Throw away what waits, or dead letters; the agent must not run
    Drop {
        #[command(flatten)]
        which: QueueOf,
        /// Dead letters instead of what waits
        #[arg(long)]
        dead_letters: bool,
        /// Up to this number, as `show` tells it
        #[arg(long, value_name = "NUMBER", required_unless_present = "all")]
        last: Option<u64>,
        /// Everything
        #[arg(long, conflicts_with = "last")]
        all: bool,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct QueueOf {
    /// The exporter, as in otlp_grpc/tempo
    pub(crate) exporter: String,
    /// Only this signal: logs, metrics or traces
    #[arg(long)]
    pub(crate) signal: Option<String>,
    #[command(flatten)]
    pub(crate) storage: StorageArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct StorageArgs {
    /// The directory of a file_storage; without it and without --config /var/lib/corten
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Vec<std::path::PathBuf>,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ConfigArgs {
    /// A configuration: a path, file:PATH, env:NAME, yaml:TEXT, or builtin:default,
    /// builtin:kubernetes-node, builtin:gateway. Several are merged, later ones win
    #[arg(long, value_name = "URI")]
    pub(crate) config: Vec<String>,
    /// Set one value after all --config are merged, as in processors.batch.timeout=2s
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Accepted as the Collector accepts them; gates that mean nothing here are named in a warning
    #[arg(
        long,
        value_name = "GATES",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    pub(crate) feature_gates: Vec<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// How long a shutdown may take, in seconds; what memory still holds then is counted and named
    #[arg(long, value_name = "SECONDS", default_value_t = 25)]
    pub(crate) shutdown_grace: u64,
    /// Worker threads; 0 takes one per core, which suits a gateway
    #[arg(long, value_name = "N", default_value_t = 1, env = "CORTEN_WORKERS")]
    pub(crate) workers: usize,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct PrintArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// YAML or JSON
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    pub(crate) format: Format,
    /// Redacted: with defaults, secrets hidden. Unredacted: as written, secrets shown
    #[arg(long, value_enum, default_value_t = Mode::Redacted)]
    pub(crate) mode: Mode,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct FormatArgs {
    /// YAML or JSON
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Yaml,
    Json,
}

impl From<Format> for corten_config::print::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Yaml => Self::Yaml,
            Format::Json => Self::Json,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    Redacted,
    Unredacted,
}
