//! What the targets of operators share: lines through operators that a configuration names.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use corten_config::{Problems, section};
use corten_operators::{Chain, Entry, EntryWriter, Operators, Origin, Origins};

#[derive(Debug, Default)]
struct Chunk(AtomicUsize);

impl Origin for Chunk {
    fn lost(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Operators of a configuration that may be none.
pub fn chain(yaml: &str) -> Option<Chain> {
    let mut problems = Problems::new();
    let operators: Operators = section(yaml, "operators", &mut problems)?.decode(&mut problems)?;
    operators.build(&mut problems)
}

/// Sends every line of `text` through the operators: nothing panics, nothing is forgotten, and what comes out is OTLP.
pub fn feed(chain: &mut Chain, text: &str) {
    let (chunk, now) = (Arc::new(Chunk::default()), Instant::now());
    let mut writer = EntryWriter::default();
    for line in text.split('\u{1}') {
        let origin: Arc<dyn Origin> = chunk.clone();
        let entry = Entry {
            origins: Origins::of(origin),
            observed: 1_781_524_800_000_000_000,
            ..Entry::text(line)
        };
        chain.process(entry, now, &mut |entry| writer.write(entry));
    }
    chain.flush(now + Duration::from_secs(3600), &mut |entry| {
        writer.write(entry)
    });
    let (logs, origins) = writer.finish();
    origins.settle();
    assert_eq!(
        (Arc::strong_count(&chunk), chunk.0.load(Ordering::Relaxed)),
        (1, 0)
    );
    logs.decode().expect("what is written can be read");
}

/// The same, for operators that are right.
#[allow(dead_code, reason = "some targets make their operators themselves")]
pub fn check(yaml: &str, bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        feed(&mut chain(yaml).expect(yaml), text);
    }
}
