//! Files, followed from an engine to the pipeline.

use std::sync::atomic::Ordering;
use std::time::Duration;

use corten_component::{BoxError, Context, Next};
use corten_config::types::ComponentId;
use corten_storage::Directory;
use corten_tail::{Settings, Sink, Tailer};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::metrics::observe;
use crate::shipper::{Pauses, Receipt, Shipment, ship};

/// Batches between the engine's thread and the pipeline; what has no room waits with the engine.
pub const OUTBOX: usize = 64;
/// How long shutdown waits for what is in flight. What is not acknowledged by then is read again.
const DRAIN: Duration = Duration::from_secs(5);

/// How long an engine may find nothing before that is said.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running engine whose lines go to a pipeline.
#[derive(Debug)]
pub struct Follower {
    tailer: Tailer,
    end: CancellationToken,
}

impl Follower {
    /// Starts an engine. Its positions are kept by the extension `storage`; `sink` makes what takes the lines, from where its
    /// batches go.
    ///
    /// # Errors
    ///
    /// The directory of positions can't be had, or a pattern can't be read.
    pub fn start<S: Sink, R: Receipt>(
        cx: &Context,
        settings: Settings,
        storage: Option<&ComponentId>,
        next: Next,
        pauses: Pauses,
        sink: impl FnOnce(mpsc::Sender<Shipment<R>>) -> S,
    ) -> Result<Self, BoxError> {
        let directory = match storage {
            None => None,
            Some(storage) => {
                let (kind, id) = (cx.kind(), cx.id());
                let path = cx.storage(storage)?.directory(kind, id, "positions")?;
                Some(Directory::open(path, &format!("receivers::{id}"))?)
            }
        };
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        let include = settings.include.join(", ");
        let tailer = Tailer::start(settings, directory, sink(outbox))?;
        let stats = tailer.stats();
        observe(cx, &stats);
        let end = CancellationToken::new();
        let (receiver, ended) = (cx.id().to_string(), end.clone());
        // A wrong path or a missing mount would look like logs without lines.
        cx.tasks().spawn("first look", async move {
            let waited = tokio::time::timeout(PATIENCE, ended.cancelled()).await;
            if waited.is_err() && stats.streams.load(Ordering::Relaxed) == 0 {
                tracing::warn!(
                    receiver,
                    include,
                    "no file to follow is there yet; check the paths, what is mounted and who may read it"
                );
            }
        });
        let work = ship(cx.clone(), next, inbox, pauses, end.clone());
        cx.tasks().spawn("shipper", work);
        Ok(Self { tailer, end })
    }

    /// Stops reading and waits a few seconds for the answers to what is on its way.
    ///
    /// # Errors
    ///
    /// The engine's thread panicked.
    pub async fn stop(self) -> Result<(), BoxError> {
        let Self { tailer, end } = self;
        // Ended in any case, also when the deadline drops this call.
        let _end = end.drop_guard();
        tailer.stop(DRAIN);
        tokio::task::spawn_blocking(move || tailer.join()).await?;
        Ok(())
    }
}
