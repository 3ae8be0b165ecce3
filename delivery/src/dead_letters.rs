//! What a sink refused for good, kept for whoever wants to know why.
//!
//! A log of its own beside the queue's, a record a letter. This format is final, too:
//!
//! ```text
//! size
//!    1  version: 1
//!    1  length of the reason
//!    2  length of the message
//!    8  when it was refused, ns since 1970
//!       the reason, a label such as `invalid_argument`; the sink's message, cut at 1 KiB; both UTF-8
//!       the data and its sender, as a record of the queue
//! ```

use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use corten_component::{Batch, Signal};
use corten_storage::Directory;
use corten_storage::record::HEADER_LEN;
use parking_lot::Mutex;

use crate::disk::{Found, Limits, Log, payload};
use crate::metrics::Metrics;
use crate::report::Reporter;

const VERSION: u8 = 1;
/// Of a message that is kept.
const MESSAGE: usize = 1024;

/// One letter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    /// When it was refused, ns since 1970.
    pub(crate) refused: u64,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// A record of the queue.
    pub(crate) record: Bytes,
}

impl Letter {
    pub(crate) fn encode(batch: &Batch, reason: &str, message: &str) -> Vec<Bytes> {
        let reason = cut(reason, usize::from(u8::MAX));
        let message = cut(message, MESSAGE);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut head = BytesMut::with_capacity(12 + reason.len() + message.len());
        head.put_u8(VERSION);
        head.put_u8(u8::try_from(reason.len()).unwrap_or(0));
        head.put_u16_le(u16::try_from(message.len()).unwrap_or(0));
        head.put_u64_le(now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(0)));
        head.put_slice(reason.as_bytes());
        head.put_slice(message.as_bytes());
        let mut parts = vec![head.freeze()];
        parts.extend(payload::encode(batch));
        parts
    }

    /// `None` of what is no letter, or one of a later version.
    pub(crate) fn decode(mut bytes: Bytes) -> Option<Self> {
        if bytes.try_get_u8().ok()? != VERSION {
            return None;
        }
        let reason = usize::from(bytes.try_get_u8().ok()?);
        let message = usize::from(bytes.try_get_u16_le().ok()?);
        let refused = bytes.try_get_u64_le().ok()?;
        let mut text = |len: usize| {
            let text = (len <= bytes.len()).then(|| bytes.split_to(len))?;
            String::from_utf8(text.to_vec()).ok()
        };
        Some(Self {
            refused,
            reason: text(reason)?,
            message: text(message)?,
            record: bytes,
        })
    }
}

fn cut(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max))
        .unwrap_or_default()
}

/// The letters of all signals of one exporter. Blocking.
pub(crate) struct DeadLetters {
    logs: Vec<(Signal, Mutex<Log>)>,
    metrics: Arc<Metrics>,
    reporter: Arc<Reporter>,
}

impl DeadLetters {
    pub(crate) fn open(
        directory: &Directory,
        capacity: u64,
        metrics: Arc<Metrics>,
        reporter: Arc<Reporter>,
    ) -> io::Result<Self> {
        let mut logs = Vec::new();
        for signal in Signal::ALL {
            let limits = Limits::of(capacity);
            let (log, _) = Log::open(directory.clone(), signal.as_str(), limits)?;
            logs.push((signal, Mutex::new(log)));
        }
        Ok(Self {
            logs,
            metrics,
            reporter,
        })
    }

    /// Keeps a batch; on the disk when it returns, unless that does not work, which is counted and told.
    pub(crate) fn keep(&self, batch: &Batch, reason: &str, message: &str) {
        let signal = batch.signal();
        let Some((_, log)) = self.logs.iter().find(|(own, _)| *own == signal) else {
            return;
        };
        let log = log.lock();
        let parts = Letter::encode(batch, reason, message);
        match self.append(&log, signal, &parts) {
            Ok(()) => self.metrics.dead_letters(signal, batch.items()),
            Err(error) => {
                self.metrics.dead_letters_dropped(signal, batch.items());
                let place = log.directory().path().display().to_string();
                self.reporter.letter_lost(&place, &error.to_string());
            }
        }
    }

    fn append(&self, log: &Log, signal: Signal, parts: &[Bytes]) -> io::Result<()> {
        let len = parts.iter().map(Bytes::len).sum::<usize>() + HEADER_LEN;
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        let mut before = None;
        while !log.has_room(len) {
            let pending = log.pending();
            if before == Some(pending) {
                return Err(io::Error::other("one letter is larger than all may be"));
            }
            before = Some(pending);
            self.drop_oldest(log, signal)?;
        }
        log.append(&[parts], &mut Vec::new())
    }

    fn drop_oldest(&self, log: &Log, signal: Signal) -> io::Result<()> {
        loop {
            let found = log.read_oldest_file(1 << 20)?;
            if found.is_empty() {
                break;
            }
            for item in found {
                if let Found::Record { sequence, payload } = item {
                    let items =
                        Letter::decode(payload).map_or(0, |letter| payload::items(&letter.record));
                    self.metrics.dead_letters_dropped(signal, items);
                    log.acknowledge(sequence);
                }
            }
        }
        log.release_oldest();
        log.save()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_pdata::Data;
    use proptest::prelude::*;

    #[test]
    fn a_letter_comes_back_and_long_words_are_cut() {
        let batch = Batch::new(Data::empty(Signal::Traces));
        let message = "ü".repeat(2000);
        let bytes: Bytes = Letter::encode(&batch, "too_large", &message)
            .concat()
            .into();
        let letter = Letter::decode(bytes.clone()).unwrap();
        assert_eq!(letter.reason, "too_large");
        assert_eq!(letter.message, "ü".repeat(512));
        assert_eq!(
            payload::decode(letter.record).unwrap().signal(),
            Signal::Traces
        );
        let mut later = bytes.to_vec();
        later[0] = 2;
        assert_eq!(Letter::decode(later.into()), None);
    }

    proptest! {
        #[test]
        fn anything_is_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut bytes = bytes;
            if let Some(version) = bytes.first_mut() {
                *version = 1;
            }
            drop(Letter::decode(bytes.into()));
        }
    }
}
