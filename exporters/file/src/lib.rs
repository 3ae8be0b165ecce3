//! Exporter `file`: telemetry in a file, as OTLP.
//!
//! One OTLP/JSON object per line, or protobuf messages behind their lengths, optionally compressed with zstd. A
//! batch is taken when the operating system has all of it; a batch that does not fit (the disk is full) leaves
//! nothing behind and is refused for now, so that its sender tries again.
//!
//! ```yaml
//! exporters:
//!   file:
//!     path: /var/lib/corten/traces.json
//!     rotation: {max_megabytes: 10, max_backups: 5}
//! ```

mod config;
mod file;
mod format;

use std::io;
use std::sync::Arc;

use corten_component::{
    Batch, BoxError, Component, Consumer, Context, Exporter, Factory, Kind, Metadata, Refused,
    Signal, Stability, Status, async_trait,
};
use tokio::sync::Mutex;

use crate::config::Config;
use crate::file::{FileError, Output};
use crate::format::{EncodeError, Encoder};

/// Who this component is.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Exporter,
    type_name: "file",
    aliases: &[],
    signals: &[Signal::Logs, Signal::Metrics, Signal::Traces],
    produces: &[],
    stability: Stability::Beta,
    summary: "Writes telemetry to a file as OTLP, JSON or protobuf",
};

/// Makes instances of it.
#[must_use]
pub fn factory() -> Factory {
    Factory::exporter(&METADATA, |cx, config: Config| {
        Ok(FileExporter {
            encoder: Arc::new(Encoder::new(&config)),
            output: Arc::default(),
            config,
            cx,
        })
    })
}

/// The running exporter.
struct FileExporter {
    config: Config,
    encoder: Arc<Encoder>,
    /// `None` before the start and after shutdown. Batches are written in the order in which they ask for it.
    output: Arc<Mutex<Option<Output>>>,
    cx: Context,
}

/// Why a batch was not written.
enum NotWritten {
    Encode(EncodeError),
    File(FileError),
    Closed,
}

#[async_trait]
impl Component for FileExporter {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        let config = self.config.clone();
        let opened = tokio::task::spawn_blocking(move || Output::open(&config)).await?;
        let opened = opened.map_err(|error| match error.source.kind() {
            io::ErrorKind::NotFound => {
                format!("path: {error}; create its directory, or set create_directory")
            }
            _ => format!("path: {error}; the user that runs Corten must be able to write there"),
        })?;
        *self.output.lock().await = Some(opened);
        let (output, every) = (Arc::clone(&self.output), self.config.flush_interval.get());
        let stopping = self.cx.tasks().stopping();
        self.cx.tasks().spawn("file sync", async move {
            tokio::pin!(stopping);
            loop {
                tokio::select! {
                    () = &mut stopping => return,
                    () = tokio::time::sleep(every) => {}
                }
                let mut output = Arc::clone(&output).lock_owned().await;
                let synced = tokio::task::spawn_blocking(move || {
                    output.as_mut().map_or(Ok(()), Output::sync)
                })
                .await;
                if let Ok(Err(error)) = synced {
                    tracing::warn!(%error, "what was written may not outlive a power failure");
                }
            }
        });
        self.cx.health().ok();
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        self.cx.tasks().stop();
        let output = self.output.lock().await.take();
        if let Some(mut output) = output {
            tokio::task::spawn_blocking(move || output.sync()).await??;
        }
        self.cx.health().stopped();
        Ok(())
    }
}

#[async_trait]
impl Consumer for FileExporter {
    async fn consume(&self, batch: Batch) -> Result<(), Refused> {
        let mut output = Arc::clone(&self.output).lock_owned().await;
        let (encoder, data) = (Arc::clone(&self.encoder), batch.data.clone());
        let written = tokio::task::spawn_blocking(move || {
            let output = output.as_mut().ok_or(NotWritten::Closed)?;
            let message = encoder.encode(&data).map_err(NotWritten::Encode)?;
            output.write(&message).map_err(NotWritten::File)
        });
        match written.await {
            Ok(Ok(())) => {
                self.cx.health().ok();
                Ok(())
            }
            Ok(Err(NotWritten::File(error))) => {
                self.cx.health().failing(error.to_string());
                let status = match error.source.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        Status::RESOURCE_EXHAUSTED
                    }
                    _ => Status::UNAVAILABLE,
                };
                Err(Refused::retryable(status, batch, error))
            }
            Ok(Err(NotWritten::Encode(error))) => {
                Err(Refused::permanent(Status::INTERNAL, batch, error))
            }
            Ok(Err(NotWritten::Closed)) => Err(Refused::retryable(
                Status::UNAVAILABLE,
                batch,
                "the exporter is shut down",
            )),
            Err(error) => Err(Refused::retryable(Status::UNAVAILABLE, batch, error)),
        }
    }
}

impl Exporter for FileExporter {}

#[cfg(test)]
mod tests {
    use corten_component::Create;
    use corten_pdata::model::ExportTraceServiceRequest;
    use corten_pdata::model::trace::{ResourceSpans, ScopeSpans, Span};
    use corten_pdata::{Data, Traces, TracesSignal};
    use corten_testing::{conforms, decode};

    use super::*;

    fn model(name: &str) -> ExportTraceServiceRequest {
        let span = Span {
            name: name.to_owned(),
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            ..Span::default()
        };
        let scope = ScopeSpans {
            spans: vec![span],
            ..ScopeSpans::default()
        };
        let resource = ResourceSpans {
            scope_spans: vec![scope],
            ..ResourceSpans::default()
        };
        ExportTraceServiceRequest {
            resource_spans: vec![resource],
        }
    }

    fn batch(name: &str) -> Batch {
        Batch::new(Data::Traces(Traces::from_model(&model(name)).unwrap()))
    }

    async fn started(yaml: &str) -> Arc<dyn Exporter> {
        let prepared = decode(&factory(), yaml).unwrap_or_else(|problems| panic!("{problems}"));
        let Create::Exporter(create) = prepared.create else {
            panic!("not an exporter");
        };
        let cx = Context::detached(Kind::Exporter, "file".parse().unwrap());
        let exporter = create(cx, ()).unwrap_or_else(|error| panic!("{error}"));
        Component::start(Arc::clone(&exporter)).await.unwrap();
        exporter
    }

    #[tokio::test]
    async fn conforms_to_the_contract() {
        let root = tempfile::tempdir().unwrap();
        conforms(
            factory(),
            &format!(
                "path: {}/a/x.json\ncreate_directory: true",
                root.path().display()
            ),
        )
        .await;
    }

    #[tokio::test]
    async fn json_is_one_object_per_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let exporter = started(&format!("path: {}", file.path().display())).await;
        for name in ["one", "two"] {
            exporter.consume(batch(name)).await.unwrap();
        }
        let text = std::fs::read_to_string(file.path()).unwrap();
        let read: Vec<_> = text
            .lines()
            .map(|line| {
                corten_pdata::json::from_json::<TracesSignal>(line.as_bytes())
                    .unwrap()
                    .decode()
                    .unwrap()
            })
            .collect();
        assert_eq!(read, ["one", "two"].map(model));
        exporter.shutdown().await.unwrap();
        let refused = exporter.consume(batch("late")).await.unwrap_err();
        assert!(refused.is_retryable());
    }

    #[tokio::test]
    async fn other_formats_stand_behind_their_length() {
        for compression in ["none", "zstd"] {
            let file = tempfile::NamedTempFile::new().unwrap();
            let yaml = format!(
                "path: {}\nformat: proto\ncompression: {compression}",
                file.path().display()
            );
            let exporter = started(&yaml).await;
            for name in ["one", "two"] {
                exporter.consume(batch(name)).await.unwrap();
            }
            exporter.shutdown().await.unwrap();
            let bytes = std::fs::read(file.path()).unwrap();
            let mut rest = &*bytes;
            for name in ["one", "two"] {
                let (length, after) = rest.split_first_chunk::<4>().unwrap();
                let (message, after) =
                    after.split_at(u32::from_be_bytes(*length).try_into().unwrap());
                let message = match compression {
                    "zstd" => zstd::bulk::decompress(message, 1 << 20).unwrap(),
                    _ => message.to_vec(),
                };
                assert_eq!(message, batch(name).data.to_bytes());
                rest = after;
            }
            assert!(rest.is_empty());
        }
    }

    #[tokio::test]
    async fn a_full_disk_is_refused_for_now() {
        let exporter = started("path: /dev/full").await;
        let refused = exporter.consume(batch("one")).await.unwrap_err();
        assert!(refused.is_retryable());
        assert_eq!(refused.status(), Status::RESOURCE_EXHAUSTED);
        assert_eq!(refused.rest().items(), 1);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_opened_stops_the_start() {
        let prepared = decode(&factory(), "path: /nonexistent/x.json")
            .unwrap_or_else(|problems| panic!("{problems}"));
        let Create::Exporter(create) = prepared.create else {
            panic!("not an exporter");
        };
        let cx = Context::detached(Kind::Exporter, "file".parse().unwrap());
        let exporter = create(cx, ()).unwrap_or_else(|error| panic!("{error}"));
        let error = Component::start(exporter).await.unwrap_err().to_string();
        assert!(
            error.starts_with("path: /nonexistent/x.json: ") && error.contains("create_directory"),
            "{error}"
        );
    }
}
