//! Thrift over UDP: a call of `emitBatch` in each datagram.
//!
//! Nobody waits for the sender, who would not wait either: what the pipeline refuses for now is offered again as long as
//! there is room for what comes after it; then what comes is dropped, and counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use corten_component::{Batch, Closing};
use corten_net::admission::Reservation;
use corten_pdata::Traces;
use tokio::net::UdpSocket;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::config::Udp;
use crate::intake::Intake;
use crate::thrift::{Protocol, model};
use crate::translate::Translator;

/// The pauses between two offers.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// What waits is put together up to about this many bytes.
const TOGETHER: usize = 1 << 20;

/// Spans that wait for the pipeline, and the room that they take.
struct Waiting {
    traces: Traces,
    room: Reservation,
}

/// How datagrams are read.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) intake: Arc<Intake>,
    pub(crate) transport: &'static str,
    pub(crate) protocol: Protocol,
    pub(crate) settings: Udp,
    pub(crate) stop: CancellationToken,
    pub(crate) closing: Closing,
    /// Dropped when all is over.
    pub(crate) alive: mpsc::Sender<()>,
}

impl Service {
    pub(crate) fn new(
        intake: &Arc<Intake>,
        protocol: Protocol,
        settings: &Udp,
        stop: &CancellationToken,
        closing: &Closing,
        alive: &mpsc::Sender<()>,
    ) -> Self {
        Self {
            intake: Arc::clone(intake),
            transport: match protocol {
                Protocol::Compact => "thrift_compact",
                Protocol::Binary => "thrift_binary",
            },
            protocol,
            settings: settings.clone(),
            stop: stop.clone(),
            closing: closing.clone(),
            alive: alive.clone(),
        }
    }

    /// Reads until the receiver stops, and sends what was read.
    pub(crate) async fn serve(self, socket: UdpSocket) {
        let (outbox, inbox) = mpsc::channel(self.settings.queue_size);
        let inbox = Mutex::new(inbox);
        let _alive = self.alive.clone();
        let workers = (0..self.settings.workers).map(|_| Box::pin(self.send(&inbox)));
        let workers = futures_util::future::join_all(workers);
        tokio::join!(Box::pin(self.read(&socket, outbox)), workers);
    }

    async fn read(&self, socket: &UdpSocket, outbox: mpsc::Sender<Waiting>) {
        // One more byte than is allowed shows that a datagram was longer.
        let mut buffer = vec![0; self.settings.max_packet_size + 1];
        loop {
            let received = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                received = socket.recv_from(&mut buffer) => received,
            };
            match received {
                Ok((len, peer)) => self.take(buffer.get(..len).unwrap_or_default(), peer, &outbox),
                // A port that does not answer is told to who sent to it; that is not us.
                Err(error) => {
                    tracing::debug!(%error, "a datagram could not be read");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    fn take(&self, datagram: &[u8], peer: SocketAddr, outbox: &mpsc::Sender<Waiting>) {
        let metrics = &self.intake.metrics;
        if datagram.len() > self.settings.max_packet_size {
            metrics.malformed(self.transport, "too_long");
            return;
        }
        let mut translator = Translator::default();
        if let Err(malformed) = model::read_call(self.protocol, datagram, &mut translator) {
            tracing::debug!(%peer, transport = self.transport, %malformed, "a datagram was refused");
            metrics.malformed(self.transport, malformed.reason());
            return;
        }
        let traces = translator.finish();
        let spans = traces.items();
        if spans == 0 {
            return;
        }
        let Some(room) = self.intake.admission.reserve(traces.bytes_len()) else {
            metrics.dropped(self.transport, "no_room", spans);
            return;
        };
        if outbox.try_send(Waiting { traces, room }).is_err() {
            metrics.dropped(self.transport, "queue_full", spans);
        }
    }

    async fn send(&self, inbox: &Mutex<mpsc::Receiver<Waiting>>) {
        loop {
            let mut rooms = Vec::new();
            let traces = {
                let mut inbox = inbox.lock().await;
                let Some(first) = inbox.recv().await else {
                    return;
                };
                let mut traces = first.traces;
                rooms.push(first.room);
                while traces.bytes_len() < TOGETHER
                    && let Ok(more) = inbox.try_recv()
                {
                    traces.append(more.traces);
                    rooms.push(more.room);
                }
                traces
            };
            self.offer(Batch::new(traces)).await;
        }
    }

    /// Resolves when the batch is kept, or lost for good, which is counted.
    async fn offer(&self, mut batch: Batch) {
        let mut pause = FIRST_PAUSE;
        loop {
            let Err(refused) = self.intake.offer(batch).await else {
                return;
            };
            let spans = refused.rest().items();
            if !refused.is_retryable() {
                self.intake
                    .metrics
                    .dropped(self.transport, "refused", spans);
                return;
            }
            let wait = refused.delay().unwrap_or(pause).max(pause);
            let ended = tokio::select! {
                () = tokio::time::sleep(wait) => false,
                () = self.stop.cancelled() => true,
                () = self.closing.begun() => true,
            };
            if ended {
                self.intake
                    .metrics
                    .dropped(self.transport, "shutdown", spans);
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            batch = refused.into_rest();
        }
    }
}
