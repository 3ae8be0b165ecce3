//! The receiver's life.

use std::sync::Arc;
use std::time::Duration;

use corten_component::{BoxError, Component, Context, Next, Receiver, async_trait};
use corten_storage::Directory;
use corten_tail::Tailer;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::encoder::Encoder;
use crate::metadata::observe;
use crate::shipper::{self, Pauses};

/// Batches between the engine's thread and the pipeline; what has no room waits with the engine.
const OUTBOX: usize = 64;
/// How long shutdown waits for what is in flight. What is not acknowledged by then is read again.
const DRAIN: Duration = Duration::from_secs(5);

/// Follows files.
pub(crate) struct FileLog {
    cx: Context,
    config: Config,
    next: Next,
    running: Mutex<Option<Running>>,
}

struct Running {
    tailer: Tailer,
    end: CancellationToken,
}

impl FileLog {
    pub(crate) fn create(cx: Context, config: Config, next: Next) -> Result<Self, BoxError> {
        if let Some(storage) = &config.storage {
            cx.storage(storage)?;
        }
        Ok(Self {
            cx,
            config,
            next,
            running: Mutex::new(None),
        })
    }

    fn directory(&self) -> Result<Option<Directory>, BoxError> {
        let Some(storage) = &self.config.storage else {
            return Ok(None);
        };
        let (kind, id) = (self.cx.kind(), self.cx.id());
        let path = self.cx.storage(storage)?.directory(kind, id, "positions")?;
        Ok(Some(Directory::open(path, &format!("receivers::{id}"))?))
    }
}

#[async_trait]
impl Component for FileLog {
    async fn start(self: Arc<Self>) -> Result<(), BoxError> {
        let directory = self.directory()?;
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        let encoder = Encoder::new(&self.config, outbox);
        let settings = self.config.tail(&self.cx.id().to_string());
        let tailer = Tailer::start(settings, directory, encoder)?;
        observe(&self.cx, &tailer.stats());
        let end = CancellationToken::new();
        let retry = &self.config.retry_on_failure;
        let pauses = Pauses {
            first: retry.initial_interval.get(),
            longest: retry.max_interval.get(),
        };
        let work = shipper::run(
            self.next.clone(),
            inbox,
            pauses,
            self.cx.closing(),
            end.clone(),
        );
        self.cx.tasks().spawn("file_log", work);
        *self.running.lock() = Some(Running { tailer, end });
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), BoxError> {
        let Some(Running { tailer, end }) = self.running.lock().take() else {
            return Ok(());
        };
        // Ended in any case, also when the deadline drops this call.
        let _end = end.drop_guard();
        tailer.stop(DRAIN);
        tokio::task::spawn_blocking(move || tailer.join()).await?;
        Ok(())
    }
}

impl Receiver for FileLog {}
