//! The decision, shared by every instance of one id.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::config::Limits;

/// Counts what is in flight and decides whether more may come in.
pub(crate) struct Limiter {
    limits: Limits,
    check_interval: Duration,
    read: fn() -> Option<u64>,
    reading: Mutex<Option<Reading>>,
    /// Bytes admitted and not yet answered for.
    in_flight: AtomicU64,
    refusing: AtomicBool,
}

#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    resident: u64,
    /// What was in flight at that moment: it is part of `resident`.
    in_flight: u64,
}

/// How a batch stands to the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Estimate {
    /// Bytes in use, as far as is known.
    pub(crate) used: u64,
    /// The limit that it is over.
    pub(crate) limit: u64,
}

impl Limiter {
    pub(crate) fn new(limits: Limits, check_interval: Duration, read: fn() -> Option<u64>) -> Self {
        Self {
            limits,
            check_interval,
            read,
            reading: Mutex::new(None),
            in_flight: AtomicU64::new(0),
            refusing: AtomicBool::new(false),
        }
    }

    /// Admits `bytes` until the guard is dropped, or says by how much memory is short.
    pub(crate) fn admit(&self, bytes: u64) -> Result<Admitted<'_>, Estimate> {
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        let reading = self.reading(in_flight);
        let since = in_flight.saturating_sub(reading.in_flight);
        let used = reading.resident.saturating_add(since);
        if used > self.limits.soft || used.saturating_add(bytes) > self.limits.hard {
            return Err(Estimate {
                used,
                limit: self.limits.soft,
            });
        }
        self.in_flight.fetch_add(bytes, Ordering::Relaxed);
        Ok(Admitted {
            limiter: self,
            bytes,
        })
    }

    /// Notes the state; `Some(new)` when it has just changed, so that it is said once.
    pub(crate) fn note(&self, refusing: bool) -> Option<bool> {
        (self.refusing.swap(refusing, Ordering::Relaxed) != refusing).then_some(refusing)
    }

    /// How long a sender should wait: memory is read again by then.
    pub(crate) fn come_back_after(&self) -> Duration {
        self.check_interval.max(Duration::from_secs(1))
    }

    fn reading(&self, in_flight: u64) -> Reading {
        let mut reading = self.reading.lock();
        match *reading {
            Some(known) if known.at.elapsed() < self.check_interval => known,
            _ => {
                let fresh = Reading {
                    at: Instant::now(),
                    resident: (self.read)().unwrap_or(0),
                    in_flight,
                };
                *reading = Some(fresh);
                fresh
            }
        }
    }
}

/// Bytes that count as in flight until this is dropped.
pub(crate) struct Admitted<'l> {
    limiter: &'l Limiter,
    bytes: u64,
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.limiter
            .in_flight
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(read: fn() -> Option<u64>) -> Limiter {
        let limits = Limits {
            hard: 1000,
            soft: 800,
        };
        Limiter::new(limits, Duration::from_secs(3600), read)
    }

    #[test]
    fn a_burst_between_two_readings_is_refused() {
        let limiter = limiter(|| Some(500));
        let first = limiter.admit(301).ok().unwrap();
        let estimate = limiter.admit(1).err().unwrap();
        assert_eq!(
            estimate,
            Estimate {
                used: 801,
                limit: 800
            }
        );
        drop(first);
        assert!(limiter.admit(1).is_ok());
    }

    #[test]
    fn one_batch_larger_than_what_is_left_is_refused() {
        let limiter = limiter(|| Some(500));
        assert!(limiter.admit(501).is_err());
        assert!(limiter.admit(500).is_ok());
    }

    #[test]
    fn resident_memory_above_the_soft_limit_is_refused() {
        assert!(limiter(|| Some(801)).admit(1).is_err());
        assert!(limiter(|| Some(799)).admit(1).is_ok());
    }

    #[test]
    fn a_change_is_noted_once() {
        let limiter = limiter(|| None);
        assert_eq!(limiter.note(false), None);
        assert_eq!(limiter.note(true), Some(true));
        assert_eq!(limiter.note(true), None);
        assert_eq!(limiter.note(false), Some(false));
    }
}
