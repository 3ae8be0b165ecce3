//! Takes the lines of one generation.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::stream::{Chain, Generation, Head, Stream, UNKNOWN};
use crate::container::{Parser, StdStream};
use crate::frame::{Frame, Frames, OverLimit, Split, Zeros};
use crate::identity::{FRONTIER, Fingerprint, Mark, Position, to_u64};
use crate::opened::{End, Opened, ReadAt};
use crate::settings::{Framing, Settings};
use crate::sink::{Answers, Completeness, Record, Sink, Source, Ticket};
use crate::stats::{Stats, add};
use crate::text::Text;

/// A run of at least this many zero bytes at the beginning of a plain line is a hole. No container's line begins with one.
const HOLE: usize = 64;
/// A compressed file that ends too early is taken for damaged when it hasn't grown for this long.
const GZIP_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
/// What a container's line has besides its message.
const CONTAINER_HEAD: usize = 256;

/// What came of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Lines were taken.
    Took,
    /// There is no complete line.
    Waiting,
    /// What was read before is no longer there.
    Truncated,
    /// The read failed; to be tried again later.
    Failed,
}

/// What reading needs of the engine.
pub(crate) struct Reading<'a, S> {
    pub(crate) out: Out<'a, S>,
    pub(crate) buffer: &'a mut Vec<u8>,
    pub(crate) text: &'a mut String,
    pub(crate) parser: &'a mut Parser,
    pub(crate) answers: &'a Arc<Answers>,
    pub(crate) dirty: &'a mut bool,
    pub(crate) now: Instant,
}

/// Where records go.
pub(crate) struct Out<'a, S> {
    pub(crate) settings: &'a Settings,
    pub(crate) sink: &'a mut S,
    pub(crate) stats: &'a Stats,
}

impl<S: Sink> Reading<'_, S> {
    /// Takes one chunk of the lines of a generation, and with `rest` its last line without newline too.
    pub(crate) fn chunk(&mut self, stream: &mut Stream, index: usize, rest: bool) -> Outcome {
        let Stream {
            generations,
            chains,
            source,
            ..
        } = stream;
        let Some(generation) = generations.get_mut(index) else {
            return Outcome::Waiting;
        };
        let before = generation.read.offset;
        let Some(mut file) = generation.file.take() else {
            return Outcome::Failed;
        };
        let taken = self.take(&mut file, generation, chains, source, rest);
        generation.file = Some(file);
        let records = match taken {
            Ok(Taken::Lines { records, .. }) => records,
            Ok(Taken::Nothing) => return Outcome::Waiting,
            Ok(Taken::Changed) => return Outcome::Truncated,
            Err(error) => {
                add(&self.out.stats.read_errors, 1);
                tracing::debug!(file = %generation.path.display(), %error, "read");
                generation.retry_at = Some(self.now + std::time::Duration::from_secs(1));
                return Outcome::Failed;
            }
        };
        let bytes = generation.read.offset - before;
        self.close(stream, records, bytes);
        Outcome::Took
    }

    /// Emits what waits in a chain, incomplete as it is.
    pub(crate) fn end_chain(&mut self, stream: &mut Stream, which: StdStream) {
        let Stream {
            generations,
            chains,
            source,
            ..
        } = stream;
        let chain = of(chains, which);
        if chain.is_active() {
            let held = chain.holds.last().map(|(id, _)| *id);
            if let Some(generation) = generations.iter_mut().find(|g| Some(g.id) == held) {
                generation.number = generation.number.max(chain.number);
            }
            let completeness = if chain.truncated {
                Completeness::Truncated
            } else {
                Completeness::Piece
            };
            self.out
                .emit_chain(source, chain, which, None, completeness);
            chain.clear();
            self.close(stream, 1, 0);
        }
    }

    fn close(&mut self, stream: &mut Stream, records: u64, bytes: u64) {
        add(&self.out.stats.records, records);
        add(&self.out.stats.bytes, bytes);
        let (sequence, committed) = stream.close_chunk(records > 0);
        *self.dirty |= committed;
        if records > 0 {
            let ticket = Ticket::new(self.answers, stream.id, sequence, bytes.max(1));
            self.out.sink.chunk(&stream.source, ticket);
        }
    }

    fn take(
        &mut self,
        file: &mut Opened,
        generation: &mut Generation,
        chains: &mut [Chain; 2],
        source: &Source,
        rest: bool,
    ) -> io::Result<Taken> {
        let settings = self.out.settings;
        let split = match settings.framing {
            Framing::Lines => Split {
                limit: settings.max_log_size,
                encoding: settings.encoding,
                multiline: settings.multiline.as_ref(),
                last: rest,
            },
            Framing::Container { .. } => Split {
                limit: settings.max_log_size + CONTAINER_HEAD,
                last: rest,
                ..Split::default()
            },
        };
        let limit = split.limit;
        let grows = generation.fingerprint.len < settings.fingerprint_size
            && generation.size > u64::from(generation.fingerprint.len);
        // At the beginning nothing else tells that it is the file that it was.
        if (grows || generation.read.offset == 0) && !generation.fingerprint.holds_in(file)? {
            return Ok(Taken::Changed);
        }
        if grows {
            generation.fingerprint = Fingerprint::read(file, settings.fingerprint_size)?;
        }
        let before = to_u64(FRONTIER).min(generation.read.offset);
        let start = generation.read.offset - before;
        let from = usize::try_from(before).unwrap_or(FRONTIER);
        let mut want = from + self.out.settings.read_size;
        let mut taken = std::mem::take(self.buffer);
        let result = loop {
            if taken.len() < want {
                taken.resize(want, 0);
            }
            let filled = match taken.get_mut(..want).map(|room| file.read_at(room, start)) {
                Some(Ok(filled)) => filled,
                Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
                Some(Err(error)) => break Err(error),
                None => 0,
            };
            let buffer = taken.get(..filled).unwrap_or_default();
            if Position::in_buffer(buffer, start, from) != Some(generation.read) {
                break Ok(Taken::Changed);
            }
            let long = want - from < limit + 8 && filled == want;
            let chunk = Chunk {
                buffer,
                start,
                from,
                ends: filled < want,
            };
            let result = self.frames(generation, chains, source, &chunk, split);
            let again = matches!(result, Taken::Nothing) && long;
            if file.is_packed() {
                let wanted = match again {
                    true => 0,
                    false => generation
                        .read
                        .offset
                        .saturating_sub(start + to_u64(FRONTIER)),
                };
                let wanted = usize::try_from(wanted).unwrap_or(0);
                file.keep(
                    buffer.get(wanted..).unwrap_or_default(),
                    start + to_u64(filled),
                );
                self.look_at_end(file, generation);
            }
            if matches!(result, Taken::Lines { hole: true, .. }) && !file.is_packed() {
                break self.leap(file, generation).map(|()| result);
            }
            if !again {
                break Ok(result);
            }
            want = (from + 2 * (want - from)).min(from + limit + 8);
        };
        // A long line's room is not kept.
        taken.truncate(FRONTIER + self.out.settings.read_size);
        taken.shrink_to(FRONTIER + self.out.settings.read_size);
        *self.buffer = taken;
        result
    }

    /// Learns from decoding where the text of a compressed file ends.
    fn look_at_end(&mut self, file: &Opened, generation: &mut Generation) {
        let Some((end, how)) = file.end().filter(|_| generation.size == UNKNOWN) else {
            return;
        };
        let damage = match how {
            End::Whole => None,
            End::Broken(what) => Some(what),
            // Whoever writes it may not be done.
            End::Cut if self.now.duration_since(generation.grown_at) < GZIP_PATIENCE => return,
            End::Cut => Some("its end is missing"),
        };
        generation.size = end;
        if let Some(damage) = damage {
            add(&self.out.stats.gzip_errors, 1);
            tracing::warn!(
                file = %generation.path.display(), damage, good_bytes = end,
                "compressed log damaged: read as far as it is good"
            );
        }
    }

    fn frames(
        &mut self,
        generation: &mut Generation,
        chains: &mut [Chain; 2],
        source: &Source,
        chunk: &Chunk<'_>,
        split: Split<'_>,
    ) -> Taken {
        let Chunk {
            buffer,
            start,
            from,
            ends,
        } = *chunk;
        let mut frames = Frames::new(buffer, from, split);
        let least = match self.out.settings.framing {
            Framing::Lines => HOLE,
            Framing::Container { .. } => 1,
        };
        let known = Text::of(buffer.get(from..).unwrap_or_default());
        let mut records = 0;
        let mut zeros = 0;
        let mut hole = false;
        loop {
            if generation.skipping.is_some() {
                if !frames.skip_line() {
                    break;
                }
                generation.skipping = None;
            }
            match frames.skip_zeros(least) {
                Zeros::None => {}
                Zeros::Skipped(count) => zeros += count,
                Zeros::ToEnd => {
                    // At a file's end they may be room that its writer has reserved.
                    if !ends || (split.last && !generation.live) {
                        zeros += frames.skip_rest();
                        hole = true;
                    }
                    break;
                }
            }
            let frame = match frames.next() {
                Some(frame) => frame,
                None if split.last => match frames.rest() {
                    Some(frame) => frame,
                    None => break,
                },
                None => break,
            };
            let at = frame.text.start;
            if frame.cut {
                match self.out.settings.over_limit {
                    OverLimit::Split => add(&self.out.stats.split, 1),
                    OverLimit::Truncate => {
                        add(&self.out.stats.cut, 1);
                        let number = generation.number;
                        generation.skipping =
                            Position::in_buffer(buffer, start, at).map(|at| Mark { at, number });
                    }
                }
            }
            let made = match self.out.settings.framing {
                Framing::Lines => {
                    let completeness = if !frame.cut {
                        Completeness::Whole
                    } else if generation.skipping.is_some() {
                        Completeness::Truncated
                    } else {
                        Completeness::Piece
                    };
                    let offset = start + to_u64(at);
                    let mut body = buffer.get(frame.text).unwrap_or_default();
                    if let Some(encoding) = split.encoding {
                        encoding.decode(body, offset == 0, self.text);
                        body = self.text.as_bytes();
                    }
                    let record = Record {
                        body,
                        text: known.part(body),
                        time: None,
                        stream: None,
                        tag: None,
                        offset,
                        number: generation.number + 1,
                        completeness,
                    };
                    self.out.sink.record(source, &record);
                    1
                }
                Framing::Container { join_docker, .. } => {
                    let line = Line {
                        known,
                        buffer,
                        start,
                        frame,
                        join_docker,
                    };
                    self.container_line(generation, chains, source, &line)
                }
            };
            records += made;
            generation.number += made;
        }
        add(&self.out.stats.zeros, to_u64(zeros));
        generation.seen = start + to_u64(buffer.len());
        if frames.at() == from {
            return Taken::Nothing;
        }
        if let Some(read) = Position::in_buffer(buffer, start, frames.at()) {
            generation.read = read;
        }
        Taken::Lines { records, hole }
    }

    /// Goes on behind a hole, however long it is, without reading it.
    fn leap(&mut self, file: &mut Opened, generation: &mut Generation) -> io::Result<()> {
        let at = generation.read.offset;
        let to = match file.next_data(at) {
            Some(data) => data.min(generation.size),
            None if generation.live => {
                generation.seen = generation.size;
                return Ok(());
            }
            None => generation.size,
        };
        let to = if self.out.settings.encoding.is_some() {
            to & !1
        } else {
            to
        };
        if to > at
            && let Some(position) = Position::read(file, to)?
        {
            add(&self.out.stats.zeros, to - at);
            generation.read = position;
            generation.seen = generation.seen.max(to);
        }
        Ok(())
    }

    /// Returns how many records it made.
    fn container_line(
        &mut self,
        generation: &mut Generation,
        chains: &mut [Chain; 2],
        source: &Source,
        line: &Line<'_>,
    ) -> u64 {
        let Line {
            known,
            buffer,
            start,
            ref frame,
            join_docker,
        } = *line;
        let text = buffer.get(frame.text.clone()).unwrap_or_default();
        let offset = start + to_u64(frame.text.start);
        let split = frame.cut && generation.skipping.is_none();
        let (head, tag, message) = match generation.cut_head.take() {
            Some(head) => (head, None, text),
            None => match self.parser.parse(text) {
                Some(parsed) => {
                    let partial = parsed.partial && (parsed.tag.is_some() || join_docker);
                    let head = Head {
                        time: parsed.time,
                        stream: parsed.stream,
                        partial,
                    };
                    (head, parsed.tag, parsed.message)
                }
                None => {
                    add(&self.out.stats.unparsed, 1);
                    let completeness = if frame.cut {
                        Completeness::Piece
                    } else {
                        Completeness::Whole
                    };
                    let record = Record {
                        body: text,
                        text: known.part(text),
                        time: None,
                        stream: None,
                        tag: None,
                        offset,
                        number: generation.number + 1,
                        completeness,
                    };
                    self.out.sink.record(source, &record);
                    return 1;
                }
            },
        };
        if split {
            generation.cut_head = Some(head);
        }
        let truncated = frame.cut && !split;
        let chain = of(chains, head.stream);
        let partial = head.partial || split;
        let mut records = 0;
        if !partial && !chain.is_active() && message.len() <= self.out.settings.max_log_size {
            let completeness = if truncated {
                Completeness::Truncated
            } else {
                Completeness::Whole
            };
            let record = Record {
                body: message,
                text: known.part(message),
                time: Some(head.time),
                stream: Some(head.stream),
                tag,
                offset,
                number: generation.number + 1,
                completeness,
            };
            self.out.sink.record(source, &record);
            records = 1;
        } else {
            if let Some(at) = Position::in_buffer(buffer, start, frame.text.start) {
                let number = generation.number;
                chain.hold(generation.id, Mark { at, number });
            }
            chain.last = Some(self.now);
            chain.time = head.time;
            chain.offset = offset;
            chain.number = generation.number + 1;
            records += self.out.append(source, chain, head.stream, message);
            chain.truncated |= truncated;
            if !partial {
                let completeness = if chain.truncated {
                    Completeness::Truncated
                } else {
                    Completeness::Whole
                };
                self.out
                    .emit_chain(source, chain, head.stream, tag, completeness);
                chain.clear();
                records += 1;
            }
        }
        records
    }
}

impl<S: Sink> Out<'_, S> {
    /// Adds a part to a chain, which never grows beyond the limit. Returns how many pieces that made.
    fn append(
        &mut self,
        source: &Source,
        chain: &mut Chain,
        which: StdStream,
        mut part: &[u8],
    ) -> u64 {
        if chain.truncated {
            return 0;
        }
        let limit = self.settings.max_log_size.max(4);
        let mut pieces = 0;
        while chain.text.len() + part.len() > limit {
            let room = cut(part, limit - chain.text.len());
            let (fits, more) = part.split_at(room);
            chain.text.extend_from_slice(fits);
            if self.settings.over_limit == OverLimit::Truncate {
                add(&self.stats.cut, 1);
                chain.truncated = true;
                return pieces;
            }
            add(&self.stats.split, 1);
            self.emit_chain(source, chain, which, None, Completeness::Piece);
            chain.number += 1;
            chain.text.clear();
            pieces += 1;
            part = more;
        }
        chain.text.extend_from_slice(part);
        pieces
    }

    fn emit_chain(
        &mut self,
        source: &Source,
        chain: &Chain,
        which: StdStream,
        tag: Option<&[u8]>,
        completeness: Completeness,
    ) {
        let record = Record {
            body: &chain.text,
            text: None,
            time: Some(chain.time),
            stream: Some(which),
            tag,
            offset: chain.offset,
            number: chain.number,
            completeness,
        };
        self.sink.record(source, &record);
    }
}

enum Taken {
    /// `hole` says that they ended with zeros only.
    Lines {
        records: u64,
        hole: bool,
    },
    Nothing,
    Changed,
}

/// What was read.
struct Chunk<'a> {
    buffer: &'a [u8],
    /// Where it begins in the file.
    start: u64,
    /// Where in the buffer lines begin; what is before was taken.
    from: usize,
    /// The file has no more.
    ends: bool,
}

struct Line<'a> {
    known: Text<'a>,
    buffer: &'a [u8],
    start: u64,
    frame: Frame,
    join_docker: bool,
}

fn of(chains: &mut [Chain; 2], which: StdStream) -> &mut Chain {
    let [stdout, stderr] = chains;
    match which {
        StdStream::Stdout => stdout,
        StdStream::Stderr => stderr,
    }
}

/// At most `room`, and not within a character.
fn cut(part: &[u8], room: usize) -> usize {
    (room.saturating_sub(3)..=room)
        .rev()
        .find(|at| part.get(*at).is_none_or(|byte| byte & 0xC0 != 0x80))
        .unwrap_or(room)
}
