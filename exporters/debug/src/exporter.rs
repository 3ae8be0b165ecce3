//! Showing.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use corten_component::{
    Batch, BoxError, Component, ComponentId, Consumer, Context, Exporter, Refused, async_trait,
};
use corten_pdata::{Data, text};
use parking_lot::Mutex;

use crate::config::{Config, Verbosity};
use crate::normal;
use crate::sampling::Sampling;

/// The exporter.
pub(crate) struct Debug {
    id: ComponentId,
    config: Config,
    sampling: Mutex<Sampling>,
    files: Mutex<Vec<File>>,
}

impl Debug {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "the signature that a factory takes"
    )]
    pub(crate) fn create(cx: Context, config: Config) -> Result<Self, BoxError> {
        Ok(Self {
            id: cx.id().clone(),
            sampling: Mutex::new(Sampling::new(
                config.sampling_initial,
                config.sampling_thereafter,
            )),
            config,
            files: Mutex::default(),
        })
    }

    fn show(&self, batch: &Batch) -> std::io::Result<()> {
        let counts = counts(&batch.data);
        if self.config.use_internal_logger {
            let (signal, id) = (batch.signal(), &self.id);
            match self.config.verbosity {
                Verbosity::Basic => tracing::info!(exporter = %id, "{signal}: {counts}"),
                Verbosity::Normal | Verbosity::Detailed => {
                    tracing::info!(exporter = %id, "{signal}: {counts}\n{}", self.text(&batch.data));
                }
            }
            return Ok(());
        }
        let mut text = format!("{}: {counts}\n", batch.signal());
        text += &self.text(&batch.data);
        for path in &self.config.output_paths {
            match path.as_str() {
                "stdout" => std::io::stdout().write_all(text.as_bytes())?,
                "stderr" => std::io::stderr().write_all(text.as_bytes())?,
                // Files are opened at the start.
                _ => {}
            }
        }
        for file in &mut *self.files.lock() {
            file.write_all(text.as_bytes())?;
        }
        Ok(())
    }

    fn text(&self, data: &Data) -> String {
        match self.config.verbosity {
            Verbosity::Basic => String::new(),
            Verbosity::Normal => normal::render(data),
            Verbosity::Detailed => {
                let mut out = String::new();
                text::write_detailed(data, &mut out);
                out
            }
        }
    }
}

/// What a batch holds: `resource logs: 1, log records: 3`.
fn counts(data: &Data) -> String {
    match data {
        Data::Logs(logs) => {
            let resources = logs.resources().count();
            format!("resource logs: {resources}, log records: {}", logs.items())
        }
        Data::Metrics(metrics) => {
            let resources = metrics.resources();
            let scopes = metrics.resources().flat_map(|resource| resource.scopes());
            format!(
                "resource metrics: {}, metrics: {}, data points: {}",
                resources.count(),
                scopes.map(|scope| scope.metrics().count()).sum::<usize>(),
                metrics.items()
            )
        }
        Data::Traces(traces) => {
            let resources = traces.resources().count();
            format!("resource spans: {resources}, spans: {}", traces.items())
        }
    }
}

impl Exporter for Debug {}

#[async_trait]
impl Component for Debug {
    /// Opens the files that it writes to.
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        if self.config.use_internal_logger {
            return Ok(());
        }
        let mut files = self.files.lock();
        for path in &self.config.output_paths {
            if path != "stdout" && path != "stderr" {
                let file = OpenOptions::new().append(true).create(true).open(path);
                files.push(file.map_err(|error| format!("output_paths: {path}: {error}"))?);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Consumer for Debug {
    /// Always `Ok`: nobody's telemetry should fail because it could not be shown.
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        if self.sampling.lock().shows(Instant::now())
            && let Err(error) = self.show(&batch)
        {
            tracing::warn!(exporter = %self.id, %error, "telemetry could not be shown");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use corten_component::Kind;
    use corten_pdata::build::LogsBuilder;
    use expect_test::{Expect, expect};

    use super::*;

    async fn shown(verbosity: &str, expected: Expect) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let yaml = format!(
            "{{verbosity: {verbosity}, use_internal_logger: false, output_paths: ['{}']}}",
            path.display()
        );
        let config = corten_config::from_str(&yaml).unwrap();
        let cx = Context::detached(Kind::Exporter, "debug".parse().unwrap());
        let debug = Arc::new(Debug::create(cx, config).unwrap());
        Arc::clone(&debug).start().await.unwrap();
        let mut logs = LogsBuilder::new();
        logs.resource(|attributes| {
            attributes.attribute_str("service.name", "shop");
        });
        logs.scope("lib", "1.2");
        logs.record(|record| {
            record.time(1_700_000_000_000_000_000).body_str("hello");
            record.attribute_int("n", 7);
        });
        debug.consume(Batch::new(logs.finish())).await.unwrap();
        expected.assert_eq(&std::fs::read_to_string(path).unwrap());
    }

    #[tokio::test]
    async fn basic_is_a_line_a_batch() {
        shown("basic", expect!["logs: resource logs: 1, log records: 1\n"]).await;
    }

    #[tokio::test]
    async fn normal_is_a_line_an_item() {
        let expected = expect![[r"
            logs: resource logs: 1, log records: 1
            ResourceLog #0 service.name=shop
            ScopeLog #0 lib@1.2
            hello n=7
        "]];
        shown("normal", expected).await;
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_stops_the_start() {
        let yaml = "{use_internal_logger: false, output_paths: [/no/such/folder/out]}";
        let sink = corten_testing::RecordingSink::new();
        let debug = corten_testing::create(&crate::factory(), yaml, &sink);
        let error = debug.start().await.unwrap_err().to_string();
        assert!(error.contains("/no/such/folder/out"), "{error}");
    }

    #[tokio::test]
    async fn conforms() {
        corten_testing::conforms(crate::factory(), "verbosity: detailed").await;
    }
}
