//! Buffers that come back when the telemetry in them is gone.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// Buffers for builders. What a builder finished is in one of them until the last clone of that telemetry is dropped; then the
/// buffer is used again, its memory known to the processor's caches and to the kernel, where a new one of
/// this size would be mapped, cleared and unmapped each time.
///
/// Cloning shares the buffers.
#[derive(Clone)]
pub struct Pool {
    shelf: Arc<Shelf>,
}

struct Shelf {
    buffers: Mutex<Vec<Vec<u8>>>,
    most: usize,
    size: usize,
}

impl Pool {
    /// Buffers of `size` bytes, of which at most `most` are kept unused.
    #[must_use]
    pub fn new(size: usize, most: usize) -> Self {
        Self {
            shelf: Arc::new(Shelf {
                buffers: Mutex::default(),
                most,
                size,
            }),
        }
    }

    /// Gives the memory of unused buffers back. To be called when there has been nothing to do for a while.
    pub fn trim(&self) {
        let unused = std::mem::take(&mut *self.shelf.buffers.lock());
        drop(unused);
    }

    /// How many buffers are unused.
    #[must_use]
    pub fn unused(&self) -> usize {
        self.shelf.buffers.lock().len()
    }

    pub(crate) fn take(&self) -> Vec<u8> {
        let buffer = self.shelf.buffers.lock().pop();
        buffer.unwrap_or_else(|| Vec::with_capacity(self.shelf.size))
    }

    /// The contents of a buffer, which comes back once they are gone. What fills little of it gets memory of its own: telemetry
    /// may wait for long.
    pub(crate) fn lend(&self, buffer: Vec<u8>) -> Bytes {
        if buffer.len() < buffer.capacity() / 4 {
            let own = Bytes::copy_from_slice(&buffer);
            self.shelf.put(buffer);
            return own;
        }
        Bytes::from_owner(Lent {
            buffer,
            shelf: Arc::clone(&self.shelf),
        })
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} unused)", self.unused())
    }
}

struct Lent {
    buffer: Vec<u8>,
    shelf: Arc<Shelf>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.shelf.put(std::mem::take(&mut self.buffer));
    }
}

impl Shelf {
    fn put(&self, mut buffer: Vec<u8>) {
        // One that had to grow far is not kept: the next may never need as much.
        if buffer.capacity() > self.size * 2 {
            return;
        }
        buffer.clear();
        let mut buffers = self.buffers.lock();
        if buffers.len() < self.most {
            buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::build::{LogsBuilder, Pool};

    fn one(pool: &Pool, text: &str) -> crate::Logs {
        let mut builder = LogsBuilder::pooled(pool);
        builder.record(|record| {
            record.body_str(text);
        });
        builder.finish()
    }

    #[test]
    fn a_buffer_comes_back_with_the_last_clone() {
        let pool = Pool::new(100, 2);
        let first = one(&pool, &"1".repeat(50));
        let clone = first.clone();
        let begin = first.segments()[0].bytes().as_ptr();
        drop(first);
        assert_eq!(pool.unused(), 0);
        drop(clone);
        assert_eq!(pool.unused(), 1);
        let second = one(&pool, &"2".repeat(50));
        assert_eq!(second.segments()[0].bytes().as_ptr(), begin);
        let text = second.decode().unwrap().resource_logs[0].scope_logs[0].log_records[0].clone();
        assert_eq!(
            text.body.unwrap().value.unwrap(),
            crate::model::common::any_value::Value::StringValue("2".repeat(50))
        );
    }

    #[test]
    fn no_more_is_kept_than_was_said_and_none_that_grew_far() {
        let pool = Pool::new(100, 2);
        let many = [(); 5].map(|()| one(&pool, &"x".repeat(50)));
        assert_eq!(pool.unused(), 0);
        drop(many);
        assert_eq!(pool.unused(), 2);
        let long = [(); 2].map(|()| one(&pool, &"x".repeat(300)));
        drop(long);
        assert_eq!(pool.unused(), 0);
        let short = one(&pool, "x");
        assert_eq!(pool.unused(), 1, "it has memory of its own");
        drop(short);
        pool.trim();
        assert_eq!(pool.unused(), 0);
        // An unfinished builder takes its buffer along.
        drop(LogsBuilder::pooled(&pool));
        assert_eq!(pool.unused(), 0);
    }
}
