//! Datagrams: UDP, and sockets in the file system. Nobody waits for their sender, who would not wait either.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use corten_pdata::Logs;
use tokio::net::{UdpSocket, UnixDatagram};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::metadata::Event;
use crate::outlet::Outlet;
use crate::stream::at;
use crate::writer::{Ends, Format, Writer};

/// Batches that wait for the pipeline, of a quarter of a megabyte each.
const WAITING: usize = 16;
/// How long a message waits for others.
const LINGER: Duration = Duration::from_millis(100);
/// The longest datagram.
const LONGEST: usize = 64 << 10;
/// Datagrams taken before anything else is looked at.
const RUN: usize = 256;

/// Where datagrams come in.
pub(crate) enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Socket {
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Option<SocketAddr>)> {
        match self {
            Self::Udp(socket) => {
                let (len, peer) = socket.recv_from(buffer).await?;
                Ok((len, Some(peer)))
            }
            Self::Unix(socket) => Ok((socket.recv(buffer).await?, None)),
        }
    }

    fn try_receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Option<SocketAddr>)> {
        match self {
            Self::Udp(socket) => {
                let (len, peer) = socket.try_recv_from(buffer)?;
                Ok((len, Some(peer)))
            }
            Self::Unix(socket) => Ok((socket.try_recv(buffer)?, None)),
        }
    }
}

/// How datagrams are read.
pub(crate) struct Service {
    pub(crate) format: Arc<Format>,
    pub(crate) outlet: Arc<Outlet>,
    pub(crate) trim: [bool; 2],
    /// Each line is a message.
    pub(crate) lines: bool,
    pub(crate) addresses: bool,
    pub(crate) limit: usize,
    /// Dropped when it is over.
    pub(crate) alive: mpsc::Sender<()>,
}

/// Reads until the receiver stops, and sends what was read.
pub(crate) async fn serve(socket: Socket, service: Service) {
    let (outbox, mut inbox) = mpsc::channel::<Logs>(WAITING);
    let outlet = Arc::clone(&service.outlet);
    let sending = async move {
        while let Some(logs) = inbox.recv().await {
            outlet.send(logs).await;
        }
    };
    let _alive = service.alive.clone();
    tokio::join!(Box::pin(read(socket, service, outbox)), sending);
}

async fn read(socket: Socket, service: Service, outbox: mpsc::Sender<Logs>) {
    let stop = service.outlet.stop.clone();
    let [start, end] = service.trim;
    let mut writer = Writer::new(&service.format, start, end);
    let mut buffer = vec![0; LONGEST];
    let mut due: Option<Instant> = None;
    let mut sender = Sender::new(&socket, service.addresses);
    loop {
        let received = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            received = socket.receive(&mut buffer) => received,
            () = at(due) => {
                due = None;
                hand_over(&mut writer, &service, &outbox);
                continue;
            }
        };
        match received {
            Ok((len, peer)) => sender.add(&mut writer, &service, buffer.get(..len), peer),
            // A port that does not answer is told to who sent to it; that is not us.
            Err(error) => {
                tracing::debug!(%error, "a datagram could not be read");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        // Those that are there already, without a look at clocks.
        for _ in 0..RUN {
            match socket.try_receive(&mut buffer) {
                Ok((len, peer)) => sender.add(&mut writer, &service, buffer.get(..len), peer),
                Err(_) => break,
            }
        }
        let overdue = due.is_some_and(|due| due <= Instant::now());
        if writer.is_full() || overdue {
            due = None;
            hand_over(&mut writer, &service, &outbox);
        } else if due.is_none() && !writer.is_empty() {
            due = Some(Instant::now() + LINGER);
        }
    }
    hand_over(&mut writer, &service, &outbox);
}

/// Drops and counts what there is no room for.
fn hand_over(writer: &mut Writer, service: &Service, outbox: &mpsc::Sender<Logs>) {
    let Some(logs) = writer.take() else { return };
    if let Err(error) = outbox.try_send(logs) {
        let logs = error.into_inner();
        service.outlet.metrics.count(Event::Dropped, logs.items());
    }
}

/// Who sent the datagrams of the moment: as a rule one sender sends several.
struct Sender {
    host: Option<SocketAddr>,
    addresses: bool,
    peer: Option<SocketAddr>,
    ends: Ends,
}

impl Sender {
    fn new(socket: &Socket, addresses: bool) -> Self {
        let host = match socket {
            Socket::Udp(socket) => socket.local_addr().ok(),
            Socket::Unix(_) => None,
        };
        Self {
            host,
            addresses,
            peer: None,
            ends: Ends::unnamed(0),
        }
    }

    fn add(
        &mut self,
        writer: &mut Writer,
        service: &Service,
        datagram: Option<&[u8]>,
        peer: Option<SocketAddr>,
    ) {
        if self.addresses && self.peer != peer {
            self.peer = peer;
            self.ends = match peer {
                Some(peer) => Ends::addresses(0, "IP.UDP", peer, self.host),
                None => Ends::unnamed(0),
            };
        }
        let datagram = datagram.unwrap_or_default();
        let mut add = |message: &[u8]| {
            let cut = message.len() > service.limit;
            let message = message.get(..service.limit).unwrap_or(message);
            writer.add(message, cut, &self.ends);
        };
        if service.lines {
            datagram.split(|byte| *byte == b'\n').for_each(add);
        } else {
            add(datagram);
        }
    }
}
