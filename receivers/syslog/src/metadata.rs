//! Who this component is, and what only it can count.

use corten_component::{Context, Kind, Metadata, Signal, Stability};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

use crate::drops::Drops;

/// `syslog`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "syslog",
    aliases: &[],
    signals: &[Signal::Logs],
    produces: &[],
    stability: Stability::Beta,
    summary: "Takes syslog messages over TCP, TLS, UDP and sockets in the file system",
};

/// What can happen to messages and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A message is none of the protocol.
    Unparsed,
    /// A message was longer than the limit: the rest is gone.
    Cut,
    /// A datagram's message came when the pipeline had no room.
    Dropped,
    /// The pipeline refused messages for good, or the agent ended before it took them.
    Lost,
    /// A connection was closed since there were too many.
    ConnectionRefused,
    /// A connection was closed since what it sent has no frames, or its handshake failed.
    ConnectionFailed,
}

/// `corten_syslog_events`.
#[derive(Debug)]
pub(crate) struct Metrics {
    events: Counter<u64>,
    receiver: KeyValue,
}

impl Metrics {
    pub(crate) fn new(cx: &Context) -> Self {
        Self {
            events: cx
                .meter()
                .u64_counter("corten_syslog_events")
                .with_description(
                    "What happened to messages and connections besides being read, by event",
                )
                .build(),
            receiver: KeyValue::new("receiver", cx.id().to_string()),
        }
    }

    pub(crate) fn count(&self, event: Event, times: usize) {
        let name = match event {
            Event::Unparsed => "message_unparsed",
            Event::Cut => "message_cut",
            Event::Dropped => "datagram_dropped",
            Event::Lost => "message_lost",
            Event::ConnectionRefused => "connection_refused",
            Event::ConnectionFailed => "connection_failed",
        };
        let times = u64::try_from(times).unwrap_or(u64::MAX);
        self.events.add(
            times,
            &[self.receiver.clone(), KeyValue::new("event", name)],
        );
    }
}

/// Registers what the kernel dropped at a UDP socket.
pub(crate) fn observe_drops(cx: &Context, drops: Drops) {
    let receiver = [KeyValue::new("receiver", cx.id().to_string())];
    cx.meter()
        .u64_observable_counter("corten_syslog_kernel_drops")
        .with_description("Datagrams that the kernel dropped since its buffer was full")
        .with_callback(move |counter| {
            if let Some(count) = drops.count() {
                counter.observe(count, &receiver);
            }
        })
        .build();
}
