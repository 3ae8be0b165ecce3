//! How many bytes may be in flight at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A bound on the bytes that requests hold between their arrival and their answer. What exceeds it is
/// refused before it is read, so memory follows from the configuration and not from the load.
#[derive(Debug)]
pub struct Admission {
    limit: usize,
    used: AtomicUsize,
}

impl Admission {
    /// At most `limit` bytes at the same time.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
        })
    }

    /// Room for a request of `bytes`; `None` when there is none. A request larger than the whole bound
    /// is let in when nothing else is in flight, since it would otherwise never be.
    #[must_use]
    pub fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Reservation> {
        self.take(bytes).then(|| Reservation {
            admission: Arc::clone(self),
            bytes,
        })
    }

    /// Bytes in flight now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The bound.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    fn take(&self, bytes: usize) -> bool {
        self.used
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                let after = used.checked_add(bytes)?;
                (after <= self.limit || used == 0).then_some(after)
            })
            .is_ok()
    }
}

/// Room that one request holds until this is dropped.
#[derive(Debug)]
pub struct Reservation {
    admission: Arc<Admission>,
    bytes: usize,
}

impl Reservation {
    /// Makes room for at least `bytes` in all. `false` when there is none; what was held stays held.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else {
            return true;
        };
        // The rule for a lone large request, counted without what it holds itself.
        let others = self.admission.used().saturating_sub(self.bytes);
        if others == 0 {
            self.admission.used.fetch_add(more, Ordering::Relaxed);
        } else if !self.admission.take(more) {
            return false;
        }
        self.bytes = bytes;
        true
    }

    /// Gives back what is held beyond `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        if let Some(less) = self.bytes.checked_sub(bytes) {
            self.admission.used.fetch_sub(less, Ordering::Relaxed);
            self.bytes = bytes;
        }
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.admission.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_until_room_is_given_back() {
        let admission = Admission::new(100);
        let mut first = admission.reserve(60).unwrap();
        assert!(admission.reserve(50).is_none());
        let second = admission.reserve(40).unwrap();
        assert!(!first.grow(61));
        drop(second);
        assert!(first.grow(90));
        first.shrink(10);
        assert_eq!(admission.used(), 10);
        drop(first);
        assert_eq!(admission.used(), 0);
    }

    #[test]
    fn a_request_beyond_the_bound_passes_alone() {
        let admission = Admission::new(10);
        let lone = admission.reserve(1000).unwrap();
        assert!(admission.reserve(1).is_none());
        drop(lone);
        let mut growing = admission.reserve(1).unwrap();
        assert!(growing.grow(1000));
        drop(growing);
        assert_eq!(admission.used(), 0);
    }
}
