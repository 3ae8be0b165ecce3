//! Several entries of one log become one.
//!
//! What is held is bounded: by entries and bytes in each batch, by the number of batches, and by the bytes of all batches. Whoever waits
//! longer than the period goes on alone. A held entry keeps its [origins](crate::Origins): until it has left, what it was read from is not acknowledged.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use corten_config::types::{ByteSize, Duration as Period};
use corten_config::{Checker, Problems, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chain::{Built, Work};
use crate::embedded::text;
use crate::entry::{Entry, Origins};
use crate::expr::Expr;
use crate::failure::{Failure, Reason};
use crate::field::Field;
use crate::settings::{Plain, check_names};
use crate::value::Value;

/// Bytes that one operator holds at most, whatever its settings say.
const HELD: usize = 32 << 20;

/// Settings of `recombine`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Settings {
    /// An expression that is true for the first entry of each batch.
    pub(crate) is_first_entry: Option<Expr>,
    /// An expression that is true for the last entry of each batch.
    pub(crate) is_last_entry: Option<Expr>,
    /// Which text is combined.
    pub(crate) combine_field: Option<Field>,
    /// What stands between the texts.
    pub(crate) combine_with: String,
    /// Entries of a batch, at most.
    pub(crate) max_batch_size: usize,
    /// The same, as long as no entry of the batch was a first or last one. `0`: `max_batch_size` alone.
    pub(crate) max_unmatched_batch_size: usize,
    /// Whose other fields are kept: those of the `newest` or the `oldest` entry.
    pub(crate) overwrite_with: Overwrite,
    /// How long a batch waits for its end.
    pub(crate) force_flush_period: Period,
    /// Which field tells logs apart; the log itself where the field is not there.
    pub(crate) source_identifier: Field,
    /// Batches at one time, at most.
    pub(crate) max_sources: usize,
    /// Of `recombine`: bytes of the combined text from which on a batch goes out. `0`: no limit but 32 MiB for all.
    pub(crate) max_log_size: ByteSize,
}

/// Whose fields are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Overwrite {
    /// The last entry's.
    #[default]
    Newest,
    /// The first entry's.
    Oldest,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            is_first_entry: None,
            is_last_entry: None,
            combine_field: None,
            combine_with: "\n".to_owned(),
            max_batch_size: 1000,
            max_unmatched_batch_size: 100,
            overwrite_with: Overwrite::Newest,
            force_flush_period: Period::from_secs(5),
            source_identifier: Field::attribute("log.file.path"),
            max_sources: 1000,
            max_log_size: ByteSize::default(),
        }
    }
}

pub(crate) fn build(section: &Section, problems: &mut Problems) -> Option<Built> {
    let settings: Plain<Settings> = section.decode(problems)?;
    let mut at = Checker::new(section, problems);
    let own = settings.own;
    if own.combine_field.is_none() {
        at.on("combine_field")
            .error("missing required field `combine_field`");
    }
    let (first, expr) = match (own.is_first_entry, own.is_last_entry) {
        (Some(first), None) => {
            check_names(&mut at, "is_first_entry", &first);
            (true, first)
        }
        (None, Some(last)) => {
            check_names(&mut at, "is_last_entry", &last);
            (false, last)
        }
        (Some(_), Some(_)) => {
            at.error("only one of is_first_entry and is_last_entry can be set");
            return None;
        }
        (None, None) => {
            at.error("one of is_first_entry and is_last_entry must be set");
            return None;
        }
    };
    for (name, value) in [
        ("max_batch_size", own.max_batch_size),
        ("max_sources", own.max_sources),
    ] {
        if value == 0 {
            at.field(name).error("must be positive");
        }
    }
    let field = own.combine_field?;
    if field.is_whole_map() {
        at.field("combine_field")
            .error("must be a text, such as body");
        return None;
    }
    Some(Built {
        common: settings.common,
        work: Work::Recombine(Box::new(Recombine {
            first,
            expr,
            field,
            source: own.source_identifier,
            oldest: own.overwrite_with == Overwrite::Oldest,
            max_unmatched: own.max_unmatched_batch_size,
            batches: Batches::new(Limits {
                with: own.combine_with,
                entries: own.max_batch_size,
                sources: own.max_sources,
                bytes: own.max_log_size.as_usize(),
                period: own.force_flush_period.get(),
            }),
        })),
    })
}

/// Combines entries.
pub(crate) struct Recombine {
    /// The expression tells the first entries, not the last.
    first: bool,
    expr: Expr,
    field: Field,
    source: Field,
    oldest: bool,
    max_unmatched: usize,
    batches: Batches,
}

impl Recombine {
    /// Takes an entry, and puts what is complete into `out`. An entry that it can't take comes back.
    pub(crate) fn take(
        &mut self,
        entry: Entry,
        now: Instant,
        out: &mut Vec<Entry>,
    ) -> Result<(), Box<(Entry, Failure)>> {
        let part = match self.expr.matches(&entry) {
            Err(error) => Err(Failure::new(Reason::Expression, error.to_string())),
            Ok(matches) => text(&self.field, &entry).map(|part| (matches, part.to_owned())),
        };
        let (matches, part) = match part {
            Ok(part) => part,
            Err(failure) => return Err(Box::new((entry, failure))),
        };
        let source = match self
            .source
            .get(&entry)
            .and_then(crate::field::Found::as_str)
        {
            Some(source) if !source.is_empty() => Source::Named(source.to_owned()),
            _ => Source::Log(entry.log),
        };
        if matches && self.first {
            self.batches.flush(&source, &self.field, out);
        }
        let batch = self
            .batches
            .add(source, entry, &part, self.oldest, now, &self.field, out);
        batch.matched |= matches;
        let unmatched =
            !batch.matched && self.max_unmatched > 0 && batch.entries >= self.max_unmatched;
        let last = matches && !self.first;
        self.batches.settle(last || unmatched, &self.field, out);
        Ok(())
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        self.batches.due()
    }

    /// What has waited long enough.
    pub(crate) fn expire(&mut self, now: Instant, out: &mut Vec<Entry>) {
        self.batches.expire(now, &self.field, out);
    }
}

/// Which log an entry is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    Named(String),
    Log(u64),
    /// One of the streams of a log.
    Stream(String, String),
}

/// What batches are bounded by.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) with: String,
    pub(crate) entries: usize,
    pub(crate) sources: usize,
    /// `0`: none.
    pub(crate) bytes: usize,
    pub(crate) period: Duration,
}

/// Entries that wait for others.
pub(crate) struct Batches {
    limits: Limits,
    open: HashMap<Source, Batch>,
    bytes: usize,
    /// Counts the batches that were begun.
    begun: u64,
    /// The one that was added to last.
    current: Option<Source>,
}

/// Entries that become one.
pub(crate) struct Batch {
    base: Entry,
    origins: Origins,
    text: String,
    pub(crate) entries: usize,
    pub(crate) matched: bool,
    since: Instant,
    number: u64,
}

impl Batches {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            open: HashMap::new(),
            bytes: 0,
            begun: 0,
            current: None,
        }
    }

    /// Adds an entry to the batch of its source. [`settle`](Self::settle) has to follow.
    #[expect(
        clippy::too_many_arguments,
        reason = "what is added, and where what gives way goes"
    )]
    pub(crate) fn add(
        &mut self,
        source: Source,
        mut entry: Entry,
        part: &str,
        oldest: bool,
        now: Instant,
        field: &Field,
        out: &mut Vec<Entry>,
    ) -> &mut Batch {
        let known = self.open.contains_key(&source);
        if (!known && self.open.len() >= self.limits.sources) || self.bytes + part.len() > HELD {
            tracing::debug!(
                sources = self.open.len(),
                bytes = self.bytes,
                "too much is held for combining: all of it goes out"
            );
            self.flush_all(field, out);
        }
        self.current = Some(source.clone());
        let begun = &mut self.begun;
        let batch = self.open.entry(source).or_insert_with(|| {
            *begun += 1;
            Batch {
                base: Entry::default(),
                origins: Origins::default(),
                text: String::new(),
                entries: 0,
                matched: false,
                since: now,
                number: *begun,
            }
        });
        let before = batch.text.len();
        if batch.entries > 0 {
            batch.text.push_str(&self.limits.with);
        }
        batch.text.push_str(part);
        self.bytes += batch.text.len() - before;
        batch.entries += 1;
        batch.origins.join(std::mem::take(&mut entry.origins));
        if batch.entries == 1 || !oldest {
            batch.base = entry;
        }
        batch
    }

    /// Lets the batch go that was added to last, if it is complete or full.
    pub(crate) fn settle(&mut self, complete: bool, field: &Field, out: &mut Vec<Entry>) {
        let Some(source) = self.current.take() else {
            return;
        };
        let full = self.open.get(&source).is_some_and(|batch| {
            batch.entries >= self.limits.entries
                || (self.limits.bytes > 0 && batch.text.len() > self.limits.bytes)
        });
        if complete || full {
            self.flush(&source, field, out);
        }
    }

    pub(crate) fn is_open(&self, source: &Source) -> bool {
        self.open.contains_key(source)
    }

    pub(crate) fn flush(&mut self, source: &Source, field: &Field, out: &mut Vec<Entry>) {
        if let Some(batch) = self.open.remove(source) {
            self.bytes = self.bytes.saturating_sub(batch.text.len());
            out.push(batch.finish(field));
        }
    }

    fn flush_all(&mut self, field: &Field, out: &mut Vec<Entry>) {
        let mut batches: Vec<Batch> = self.open.drain().map(|(_, batch)| batch).collect();
        batches.sort_by_key(|batch| batch.number);
        self.bytes = 0;
        out.extend(batches.into_iter().map(|batch| batch.finish(field)));
    }

    /// When the next batch has waited long enough.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.limits.period.is_zero() {
            return None;
        }
        let oldest = self.open.values().map(|batch| batch.since).min()?;
        oldest.checked_add(self.limits.period)
    }

    pub(crate) fn expire(&mut self, now: Instant, field: &Field, out: &mut Vec<Entry>) {
        let period = self.limits.period;
        if period.is_zero() || self.open.is_empty() {
            return;
        }
        let expired = |batch: &Batch| now.saturating_duration_since(batch.since) >= period;
        let mut due: Vec<(u64, Source)> = self
            .open
            .iter()
            .filter(|(_, batch)| expired(batch))
            .map(|(source, batch)| (batch.number, source.clone()))
            .collect();
        due.sort_unstable_by_key(|(number, _)| *number);
        for (_, source) in due {
            self.flush(&source, field, out);
        }
    }
}

impl Batch {
    fn finish(self, field: &Field) -> Entry {
        let Self {
            mut base,
            origins,
            text,
            ..
        } = self;
        // The field is no whole map: that was checked when it was built.
        let _put = field.set(&mut base, Value::Str(text));
        base.origins = origins;
        base
    }
}
