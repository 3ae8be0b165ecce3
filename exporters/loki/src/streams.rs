//! Which records go next: the streams, what waits for each, and who may be sent.
//!
//! Loki wants the entries of one stream in order, and streams do not care about each other. So what waits is
//! kept by stream, and a stream has at most one request under way: a request takes what waits for any number of
//! streams, and while it is under way (retries included) the others go on with other requests. A stream that Loki
//! alone refuses for now (its rate limit) waits by itself and is then tried by itself.
//!
//! This is a plain state machine: it has no clock, no lock and no IO.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::job::Job;
use crate::labels::LabelSet;
use crate::mapping::Common;

/// Records of one stream that wait: fields of a `ScopeLogs`, in order.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) records: Bytes,
    pub(crate) common: Arc<Common>,
    pub(crate) job: Arc<Job>,
}

/// Who a stream is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) tenant: Option<Arc<str>>,
    /// The label set as text.
    pub(crate) labels: Arc<str>,
}

/// The streams that have something to send or something under way; all others are forgotten.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    streams: HashMap<Key, Stream>,
    /// Streams that wait for nothing but their turn, with the one that has waited longest in front.
    ready: VecDeque<Key>,
    /// Streams that wait for a time to come.
    parked: Vec<Key>,
    /// Bytes that wait in the ready streams.
    ready_bytes: usize,
    under_way: usize,
}

#[derive(Debug)]
struct Stream {
    labels: LabelSet,
    waiting: VecDeque<Run>,
    bytes: usize,
    /// When the first of what waits came.
    since: Instant,
    state: State,
    /// How often Loki refused this stream alone, since it last took something of it.
    refused: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In `ready`, or nothing waits.
    Ready,
    UnderWay,
    Until(Instant),
}

/// What goes into one request: some streams of one tenant, each with the runs that wait for it.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) streams: Vec<TakenStream>,
}

/// One stream of a request.
#[derive(Debug)]
pub(crate) struct TakenStream {
    pub(crate) key: Key,
    pub(crate) labels: LabelSet,
    pub(crate) runs: VecDeque<Run>,
}

/// What became of a stream of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Loki is done with it.
    Done,
    /// It goes back to the front and may go again at once.
    Back,
    /// It goes back to the front and waits.
    Wait(Duration),
}

/// When the next request may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Now,
    At(Instant),
    /// Not before something comes in or a request ends.
    Idle,
}

impl Streams {
    /// Adds records to the end of a stream.
    pub(crate) fn push(&mut self, key: &Key, labels: &LabelSet, run: Run, now: Instant) {
        let bytes = run.records.len();
        let stream = self.streams.entry(key.clone()).or_insert_with(|| Stream {
            labels: labels.clone(),
            waiting: VecDeque::new(),
            bytes: 0,
            since: now,
            state: State::Ready,
            refused: 0,
        });
        if stream.waiting.is_empty() {
            stream.since = now;
            if stream.state == State::Ready {
                self.ready.push_back(key.clone());
            }
        }
        stream.waiting.push_back(run);
        stream.bytes += bytes;
        if stream.state == State::Ready {
            self.ready_bytes += bytes;
        }
    }

    /// Whether a request is worth making: it is full, or none is under way (so nothing is gained by waiting), or
    /// something has waited for `patience`.
    pub(crate) fn due(&mut self, full: usize, patience: Duration, now: Instant) -> Due {
        self.wake(now);
        let wakes = self
            .parked
            .iter()
            .filter_map(|key| match self.streams.get(key)?.state {
                State::Until(at) => Some(at),
                State::Ready | State::UnderWay => None,
            });
        let wakes = wakes.min();
        let Some(oldest) = self.oldest() else {
            return wakes.map_or(Due::Idle, Due::At);
        };
        let ripe = oldest + patience;
        if self.under_way == 0 || self.ready_bytes >= full || ripe <= now {
            return Due::Now;
        }
        Due::At(wakes.map_or(ripe, |at| at.min(ripe)))
    }

    fn oldest(&self) -> Option<Instant> {
        self.streams
            .get(self.ready.front()?)
            .map(|stream| stream.since)
    }

    fn wake(&mut self, now: Instant) {
        let Self {
            streams,
            parked,
            ready,
            ready_bytes,
            ..
        } = self;
        parked.retain(|key| {
            let Some(stream) = streams.get_mut(key) else {
                return false;
            };
            if matches!(stream.state, State::Until(at) if at > now) {
                return true;
            }
            stream.state = State::Ready;
            ready.push_back(key.clone());
            *ready_bytes += stream.bytes;
            false
        });
    }

    /// Ends every waiting for a time: the process is about to stop.
    pub(crate) fn release(&mut self, now: Instant) {
        for key in &self.parked {
            if let Some(stream) = self.streams.get_mut(key) {
                stream.state = State::Until(now);
            }
        }
    }

    /// Whether nothing waits and nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.under_way == 0
    }

    /// Takes what goes into the next request: about `full` bytes of one tenant's ready streams. `None` when
    /// nothing is ready.
    pub(crate) fn take(&mut self, full: usize) -> Option<Taken> {
        let first = self.ready.front()?;
        let tenant = first.tenant.clone();
        let mut taken = Taken {
            tenant,
            streams: Vec::new(),
        };
        let mut bytes = 0;
        let mut passed_over = VecDeque::new();
        while bytes < full {
            let Some(key) = self.ready.pop_front() else {
                break;
            };
            let Some(stream) = self.streams.get_mut(&key) else {
                continue;
            };
            let alone = stream.refused > 0;
            if key.tenant != taken.tenant || (alone && !taken.streams.is_empty()) {
                passed_over.push_back(key);
                continue;
            }
            // What does not fit stays where it is.
            let mut runs = VecDeque::new();
            while bytes < full
                && let Some(run) = stream.waiting.pop_front()
            {
                let len = run.records.len();
                bytes += len;
                stream.bytes -= len;
                self.ready_bytes -= len;
                runs.push_back(run);
            }
            self.ready_bytes -= stream.bytes;
            stream.state = State::UnderWay;
            taken.streams.push(TakenStream {
                labels: stream.labels.clone(),
                key,
                runs,
            });
            if alone {
                break;
            }
        }
        while let Some(key) = passed_over.pop_back() {
            self.ready.push_front(key);
        }
        self.under_way += 1;
        Some(taken)
    }

    /// A request has ended. `back` goes to the front of its stream again: what did not fit, and unless the outcome
    /// is [`Outcome::Done`] all that was in it.
    pub(crate) fn settle(
        &mut self,
        ended: impl IntoIterator<Item = (Key, VecDeque<Run>, Outcome)>,
        now: Instant,
    ) {
        self.under_way -= 1;
        for (key, back, outcome) in ended {
            self.give_back(key, back, outcome, now);
        }
    }

    /// A taken stream is no longer in its request; `back` goes to its front again.
    pub(crate) fn give_back(
        &mut self,
        key: Key,
        back: VecDeque<Run>,
        outcome: Outcome,
        now: Instant,
    ) {
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        for run in back.into_iter().rev() {
            stream.bytes += run.records.len();
            stream.waiting.push_front(run);
        }
        match outcome {
            Outcome::Done => {
                stream.refused = 0;
                stream.state = State::Ready;
            }
            Outcome::Back => stream.state = State::Ready,
            Outcome::Wait(delay) => {
                stream.refused = stream.refused.saturating_add(1);
                stream.state = State::Until(now + delay);
            }
        }
        if stream.waiting.is_empty() {
            self.streams.remove(&key);
        } else if stream.state == State::Ready {
            self.ready_bytes += stream.bytes;
            self.ready.push_back(key);
        } else {
            self.parked.push(key);
        }
    }

    /// How often Loki refused this stream alone, since it last took something of it.
    pub(crate) fn refused(&self, key: &Key) -> u32 {
        self.streams.get(key).map_or(0, |stream| stream.refused)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mapping::Metadata;

    fn key(tenant: Option<&str>, name: &str) -> Key {
        Key {
            tenant: tenant.map(Arc::from),
            labels: Arc::from(name),
        }
    }

    fn run(bytes: &[u8]) -> Run {
        Run {
            records: Bytes::copy_from_slice(bytes),
            common: Arc::new(Common::from(Metadata::default())),
            job: Job::new(1, true).0,
        }
    }

    fn push(streams: &mut Streams, key: &Key, bytes: &[u8], now: Instant) {
        streams.push(key, &LabelSet::default(), run(bytes), now);
    }

    fn end(taken: Taken, outcome: Outcome) -> Vec<(Key, VecDeque<Run>, Outcome)> {
        taken
            .streams
            .into_iter()
            .map(|stream| {
                (
                    stream.key,
                    if outcome == Outcome::Done {
                        VecDeque::new()
                    } else {
                        stream.runs
                    },
                    outcome,
                )
            })
            .collect()
    }

    fn names(taken: &Taken) -> Vec<&str> {
        taken
            .streams
            .iter()
            .map(|stream| &*stream.key.labels)
            .collect()
    }

    const PATIENCE: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_first_goes_at_once_and_the_next_waits_for_company() {
        let mut streams = Streams::default();
        let now = Instant::now();
        assert_eq!(streams.due(10, PATIENCE, now), Due::Idle);
        push(&mut streams, &key(None, "a"), b"123", now);
        assert_eq!(streams.due(10, PATIENCE, now), Due::Now);
        let first = streams.take(10).unwrap();
        push(&mut streams, &key(None, "b"), b"123", now);
        assert_eq!(streams.due(10, PATIENCE, now), Due::At(now + PATIENCE));
        push(&mut streams, &key(None, "c"), b"1234567", now);
        assert_eq!(streams.due(10, PATIENCE, now), Due::Now, "it is full");
        let second = streams.take(10).unwrap();
        assert_eq!(names(&second), ["b", "c"]);
        streams.settle(end(first, Outcome::Done), now);
        streams.settle(end(second, Outcome::Done), now);
        assert_eq!(streams.due(10, PATIENCE, now), Due::Idle);
        assert!(streams.streams.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_under_way_waits_and_others_do_not() {
        let mut streams = Streams::default();
        let now = Instant::now();
        push(&mut streams, &key(None, "a"), b"1", now);
        let first = streams.take(10).unwrap();
        push(&mut streams, &key(None, "a"), b"2", now);
        assert!(streams.take(10).is_none());
        push(&mut streams, &key(None, "b"), b"3", now);
        assert_eq!(names(&streams.take(10).unwrap()), ["b"]);
        streams.settle(end(first, Outcome::Back), now);
        let again = streams.take(10).unwrap();
        let bytes: Vec<&[u8]> = again.streams[0]
            .runs
            .iter()
            .map(|run| &*run.records)
            .collect();
        assert_eq!(bytes, [b"1", b"2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_stream_waits_and_comes_back_alone() {
        let mut streams = Streams::default();
        let now = Instant::now();
        let (a, b) = (key(None, "a"), key(None, "b"));
        push(&mut streams, &a, b"1", now);
        let first = streams.take(10).unwrap();
        streams.settle(end(first, Outcome::Wait(PATIENCE)), now);
        assert_eq!(streams.refused(&a), 1);
        assert_eq!(streams.due(10, PATIENCE, now), Due::At(now + PATIENCE));
        push(&mut streams, &b, b"2", now);
        let other = streams.take(10).unwrap();
        assert_eq!(names(&other), ["b"]);
        streams.settle(end(other, Outcome::Done), now);
        let later = now + PATIENCE;
        push(&mut streams, &b, b"3", later);
        assert_eq!(streams.due(10, PATIENCE, later), Due::Now);
        assert_eq!(names(&streams.take(10).unwrap()), ["b"]);
        let alone = streams.take(10).unwrap();
        assert_eq!(names(&alone), ["a"]);
        streams.settle(end(alone, Outcome::Done), later);
        assert_eq!(streams.refused(&a), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn tenants_never_share_a_request() {
        let mut streams = Streams::default();
        let now = Instant::now();
        for (tenant, name) in [(None, "a"), (Some("x"), "a"), (None, "b")] {
            push(&mut streams, &key(tenant, name), b"1", now);
        }
        assert_eq!(names(&streams.take(10).unwrap()), ["a", "b"]);
        assert_eq!(streams.take(10).unwrap().tenant.as_deref(), Some("x"));
    }

    proptest! {
        /// Whatever ends how, every stream's records come out once and in order.
        #[test]
        fn order_is_kept(steps in prop::collection::vec((0..6_u8, 0..4_u8), 1..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let _entered = runtime.enter();
            let mut now = Instant::now();
            let mut streams = Streams::default();
            let mut next = [0_u8; 4];
            let mut done: [Vec<u8>; 4] = Default::default();
            let mut under_way: VecDeque<Taken> = VecDeque::new();
            let finish = |streams: &mut Streams, taken: Taken, keep: usize, done: &mut [Vec<u8>; 4], now: Instant| {
                let ended: Vec<_> = taken.streams.into_iter().map(|mut stream| {
                    let name: usize = stream.key.labels.parse().unwrap();
                    for run in stream.runs.drain(..keep.min(stream.runs.len())) {
                        done[name].extend_from_slice(&run.records);
                    }
                    (stream.key, stream.runs, Outcome::Done)
                }).collect();
                streams.settle(ended, now);
            };
            for (step, which) in steps {
                match step {
                    0..=2 => {
                        let name = usize::from(which);
                        push(&mut streams, &key(None, &name.to_string()), &[next[name]], now);
                        next[name] = next[name].wrapping_add(1);
                    }
                    3 => under_way.extend(streams.take(usize::from(which) + 1)),
                    4 => if let Some(taken) = under_way.pop_front() {
                        finish(&mut streams, taken, usize::from(which), &mut done, now);
                    },
                    _ => if let Some(taken) = under_way.pop_back() {
                        now += Duration::from_millis(10);
                        streams.settle(end(taken, if which == 0 { Outcome::Back } else { Outcome::Wait(Duration::from_millis(u64::from(which) * 8)) }), now);
                    },
                }
            }
            while let Some(taken) = under_way.pop_front() {
                finish(&mut streams, taken, usize::MAX, &mut done, now);
            }
            loop {
                match streams.due(1, PATIENCE, now) {
                    Due::Now => {
                        let taken = streams.take(3).unwrap();
                        finish(&mut streams, taken, usize::MAX, &mut done, now);
                    }
                    Due::At(at) => now = at,
                    Due::Idle => break,
                }
            }
            for (done, next) in done.iter().zip(next) {
                prop_assert_eq!(done, &(0..next).collect::<Vec<u8>>());
            }
            prop_assert!(streams.streams.is_empty());
            prop_assert_eq!(streams.ready_bytes, 0);
        }
    }
}
