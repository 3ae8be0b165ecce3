//! What operators can't do with an entry: counted all, told seldom.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::entry::Entry;
use crate::settings::OnError;

/// A failure of one operator is told once in this time.
const QUIET: Duration = Duration::from_secs(60);
/// Characters of an entry that are shown.
const SHOWN: usize = 200;

/// Why an operator could not do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The field is not there.
    Missing,
    /// The field holds something of another type.
    Type,
    /// The text is not of the format.
    Format,
    /// An expression can't be evaluated.
    Expression,
    /// The time can't be read.
    Time,
    /// A trace's context can't be read.
    Trace,
    /// A limit is reached.
    Limit,
}

impl Reason {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Missing,
        Self::Type,
        Self::Format,
        Self::Expression,
        Self::Time,
        Self::Trace,
        Self::Limit,
    ];

    /// What it is called in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing_field",
            Self::Type => "wrong_type",
            Self::Format => "wrong_format",
            Self::Expression => "expression",
            Self::Time => "time",
            Self::Trace => "trace",
            Self::Limit => "limit",
        }
    }
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

impl Failure {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

/// What one operator counted.
#[derive(Debug)]
pub struct OperatorStats {
    id: String,
    kind: String,
    failures: [AtomicU64; Reason::ALL.len()],
    dropped: AtomicU64,
}

impl OperatorStats {
    pub(crate) fn new(id: &str, kind: &str) -> Arc<Self> {
        Arc::new(Self {
            id: id.to_owned(),
            kind: kind.to_owned(),
            failures: Default::default(),
            dropped: AtomicU64::new(0),
        })
    }

    /// The operator's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The operator's type.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// How often it failed for a reason.
    #[must_use]
    pub fn failures(&self, reason: Reason) -> u64 {
        let index = Reason::ALL.iter().position(|known| *known == reason);
        let counter = index.and_then(|index| self.failures.get(index));
        counter.map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Entries that it took out: filtered, routed nowhere, or dropped because it failed on them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts the failures of one operator, and tells of some.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) stats: Arc<OperatorStats>,
    told: Option<Instant>,
    /// Since it was told last.
    untold: u64,
}

impl Report {
    pub(crate) fn new(stats: Arc<OperatorStats>) -> Self {
        Self {
            stats,
            told: None,
            untold: 0,
        }
    }

    pub(crate) fn failed(
        &mut self,
        failure: &Failure,
        entry: &Entry,
        on_error: OnError,
        now: Instant,
    ) {
        let index = Reason::ALL
            .iter()
            .position(|known| *known == failure.reason);
        if let Some(counter) = index.and_then(|index| self.stats.failures.get(index)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let due = self
            .told
            .is_none_or(|told| now.saturating_duration_since(told) >= QUIET);
        if !due {
            self.untold += 1;
            return;
        }
        self.told = Some(now);
        let more = std::mem::take(&mut self.untold);
        let (operator, error) = (self.stats.id.as_str(), failure.detail.as_str());
        let entry = shown(entry);
        let fate = if on_error.drops() {
            "dropped"
        } else {
            "sent as it is"
        };
        if on_error.is_quiet() {
            tracing::debug!(
                operator,
                error,
                entry,
                more,
                "operator failed on an entry, {fate}"
            );
        } else {
            tracing::error!(
                operator,
                error,
                entry,
                more,
                "operator failed on an entry, {fate}"
            );
        }
    }
}

/// The beginning of an entry's body.
fn shown(entry: &Entry) -> String {
    let text = match entry.body.as_str() {
        Some(text) => text.chars().take(SHOWN).collect::<String>(),
        None => entry
            .body
            .to_json()
            .to_string()
            .chars()
            .take(SHOWN)
            .collect(),
    };
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
