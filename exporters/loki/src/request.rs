//! From what waits to one request, and back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::encode::{Encoder, Progress};
use crate::job::{GaveUp, Job, Rejected};
use crate::mapping::Mapping;
use crate::response::{Reason, Sent};
use crate::streams::{Key, Run, Taken, TakenStream};

/// A request as it is sent, as often as needed.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) tenant: Option<Arc<str>>,
    /// Compressed.
    pub(crate) body: Bytes,
    /// Bytes before compression.
    pub(crate) size: usize,
    pub(crate) lines: usize,
    pub(crate) streams: Vec<Part>,
}

/// One stream of a request.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) stream: TakenStream,
    pub(crate) lines: usize,
    /// What is in the request, and how many lines of each.
    pub(crate) sent: Vec<(Run, usize)>,
}

/// Buffers that are kept from one request to the next.
pub(crate) struct Workshop {
    pub(crate) encoder: Encoder,
    snappy: corten_snappy::Encoder,
    /// Where a body is compressed to; only as many bytes as came out of it are kept.
    compressed: Vec<u8>,
}

impl Default for Workshop {
    fn default() -> Self {
        Self {
            encoder: Encoder::default(),
            snappy: corten_snappy::Encoder::new(),
            compressed: Vec::new(),
        }
    }
}

impl Workshop {
    /// Encodes as much of `taken` as fits into `limit` bytes. Gives the request, and the streams of which nothing
    /// fitted; of a stream that fitted in part, the rest stays in [`TakenStream::runs`].
    pub(crate) fn make(
        &mut self,
        taken: Taken,
        mapping: &Mapping,
        limit: usize,
    ) -> Result<(Request, Vec<TakenStream>), (corten_snappy::TooLong, Request)> {
        let now = now();
        let encoder = &mut self.encoder;
        encoder.clear();
        let mut request = Request {
            tenant: taken.tenant,
            body: Bytes::new(),
            size: 0,
            lines: 0,
            streams: Vec::with_capacity(taken.streams.len()),
        };
        let mut left_out = Vec::new();
        let mut full = false;
        for mut stream in taken.streams {
            if full {
                left_out.push(stream);
                continue;
            }
            let (start, lines) = (encoder.body().len(), request.lines);
            encoder.open_stream(&stream.key.labels);
            let mut sent = Vec::with_capacity(stream.runs.len());
            while let Some(run) = stream.runs.front_mut() {
                if run.job.is_over() {
                    stream.runs.pop_front();
                    continue;
                }
                let (whole, before) = (run.records.clone(), request.lines);
                let progress = encoder.write(
                    &mut run.records,
                    &run.common,
                    mapping,
                    limit,
                    &mut request.lines,
                    now,
                );
                let taken = request.lines - before;
                if taken > 0 {
                    let records = whole.slice(..whole.len() - run.records.len());
                    sent.push((
                        Run {
                            records,
                            ..run.clone()
                        },
                        taken,
                    ));
                }
                if progress == Progress::Full {
                    full = true;
                    break;
                }
                stream.runs.pop_front();
            }
            let lines = request.lines - lines;
            if lines == 0 {
                encoder.cancel_stream(start);
                left_out.push(stream);
                continue;
            }
            encoder.close_stream();
            request.streams.push(Part {
                stream,
                lines,
                sent,
            });
        }
        request.size = encoder.body().len();
        self.compressed.clear();
        match (self.snappy).compress_into(encoder.body(), &mut self.compressed) {
            Ok(()) => {
                request.body = Bytes::copy_from_slice(&self.compressed);
                Ok((request, left_out))
            }
            Err(error) => Err((error, request)),
        }
    }
}

impl Request {
    /// What [`crate::response`] wants to know.
    pub(crate) fn sent(&self) -> Vec<Sent<'_>> {
        self.streams
            .iter()
            .map(|part| Sent {
                labels: &part.stream.labels,
                lines: part.lines,
            })
            .collect()
    }

    /// Tells all jobs that Loki has answered for their lines, and what it dropped. Whose lines those were is not in
    /// its answer, so that they are laid to the first.
    pub(crate) fn settle(&self, dropped: &[(Reason, usize)], message: &Arc<str>) {
        let mut dropped: VecDeque<(Reason, usize)> = dropped.iter().copied().collect();
        for (run, lines) in self.runs() {
            let mut room = lines;
            let mut rejected = Vec::new();
            while room > 0
                && let Some((reason, count)) = dropped.front_mut()
            {
                let lines = room.min(*count);
                if lines > 0 {
                    rejected.push(Rejected {
                        reason: *reason,
                        lines,
                        message: Arc::clone(message),
                    });
                }
                room -= lines;
                *count -= lines;
                if *count == 0 {
                    dropped.pop_front();
                }
            }
            run.job.settle(lines, rejected);
        }
    }

    /// Gives up the jobs that `which` names.
    pub(crate) fn give_up(&self, why: &GaveUp, which: impl Fn(&Job) -> bool) {
        for (run, _) in self.runs() {
            if which(&run.job) {
                run.job.give_up(why);
            }
        }
    }

    fn runs(&self) -> impl Iterator<Item = (&Run, usize)> {
        self.streams
            .iter()
            .flat_map(|part| part.sent.iter().map(|(run, lines)| (run, *lines)))
    }
}

impl Part {
    /// The stream with everything that waits for it, what was in the request in front.
    pub(crate) fn undo(self) -> (Key, VecDeque<Run>) {
        let mut runs: VecDeque<Run> = self.sent.into_iter().map(|(run, _)| run).collect();
        runs.extend(self.stream.runs);
        (self.stream.key, runs)
    }

    /// The stream with what did not fit.
    pub(crate) fn rest(self) -> (Key, VecDeque<Run>) {
        (self.stream.key, self.stream.runs)
    }
}

/// Nanoseconds since 1970, for records that do not say when they happened.
fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
