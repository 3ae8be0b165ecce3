//! Who this component is, and what only it can count.

use corten_component::{Context, Kind, Metadata, Signal, Stability};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

/// `journald`.
pub const METADATA: Metadata = Metadata {
    kind: Kind::Receiver,
    type_name: "journald",
    aliases: &[],
    signals: &[Signal::Logs],
    produces: &[],
    stability: Stability::Beta,
    summary: "Follows the systemd journal; an entry is done when the backend has it",
};

/// What can happen besides reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// `journalctl` ended, or could not be started.
    Ended,
    /// A line was no entry and was left out.
    Unparsed,
    /// An entry was longer than the limit.
    Cut,
    /// The cursor could not be saved.
    CheckpointError,
}

/// `corten_journald_events`.
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
                .u64_counter("corten_journald_events")
                .with_description("What happened to the journal besides being read, by event")
                .build(),
            receiver: KeyValue::new("receiver", cx.id().to_string()),
        }
    }

    pub(crate) fn count(&self, event: Event) {
        let name = match event {
            Event::Ended => "journalctl_ended",
            Event::Unparsed => "line_unparsed",
            Event::Cut => "entry_cut",
            Event::CheckpointError => "checkpoint_error",
        };
        self.events
            .add(1, &[self.receiver.clone(), KeyValue::new("event", name)]);
    }
}
