//! How many bytes may be in flight at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A request of more bytes is large: it waits for its turn.
const LARGE: usize = 512 << 10;
/// How many bytes large requests may have together, from their arrival until their messages are gone. What is gained by more
/// of them at once is small, since one core reads and sends them one after the other anyway; each costs its whole length.
const TOGETHER: usize = 12 << 20;
/// How long a turn is waited for. Whoever has his may be slow: nobody is kept longer by that.
const PATIENCE: Duration = Duration::from_millis(250);
/// How many requests of one connection may wait with what they have sent unread. HTTP/2 bounds what a connection has unread
/// as a whole: were that all used up by those that wait, the one whose turn it is could send nothing. An eighth of it
/// is one request's.
const UNREAD: usize = 2;

/// A bound on the bytes that requests hold between their arrival and their answer. What exceeds it is
/// refused before it is read, so memory follows from the configuration and not from the load.
#[derive(Debug)]
pub struct Admission {
    limit: usize,
    used: AtomicUsize,
    /// In KiB.
    large: Arc<Semaphore>,
}

/// A connection, among the extensions of its requests: how many of them wait for their turn.
#[derive(Clone, Debug, Default)]
pub struct Connection(Arc<AtomicUsize>);

/// One that waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Connection {
    /// `None` when there are enough already.
    fn wait(&self) -> Option<Waiting<'_>> {
        let waiting = Waiting(&self.0);
        (self.0.fetch_add(1, Ordering::Relaxed) < UNREAD).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    /// At most `limit` bytes at the same time.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
            large: Arc::new(Semaphore::new(TOGETHER >> 10)),
        })
    }

    /// Room for a request of `bytes`; `None` when there is none. A request larger than the whole bound
    /// is let in when nothing else is in flight, since it would otherwise never be.
    #[must_use]
    pub fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Reservation> {
        self.take(bytes).then(|| Reservation {
            admission: Arc::clone(self),
            bytes,
            turn: None,
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
    turn: Option<OwnedSemaphorePermit>,
}

impl Reservation {
    /// Waits for a moment in which a request of so many bytes is better read: at once, unless it is large and others like it
    /// are under way. They take turns, the first first, and what waits is unread.
    ///
    /// It is read after a quarter of a second in any case, and at once where too many requests of its `connection` wait already: a
    /// turn saves memory where senders are many and fast, and never costs anybody an answer.
    pub async fn turn(&mut self, bytes: usize, connection: Option<&Connection>) {
        if bytes <= LARGE || self.turn.is_some() {
            return;
        }
        let permits = u32::try_from(bytes.min(TOGETHER) >> 10).unwrap_or(u32::MAX);
        let large = Arc::clone(&self.admission.large);
        if let Ok(turn) = Arc::clone(&large).try_acquire_many_owned(permits) {
            self.turn = Some(turn);
            return;
        }
        let waiting = connection.map(Connection::wait);
        if matches!(waiting, Some(None)) {
            return;
        }
        let turn = large.acquire_many_owned(permits);
        if let Ok(Ok(turn)) = tokio::time::timeout(PATIENCE, turn).await {
            self.turn = Some(turn);
        }
    }

    /// `message`, which keeps the turn for as long as it is anywhere, past the answer: in a queue, or on its way out. Else
    /// whoever sends quickly would fill a queue with messages that nobody has the time to send.
    #[must_use]
    pub fn keep_turn(&mut self, message: Bytes) -> Bytes {
        let Some(mut turn) = self.turn.take() else {
            return message;
        };
        // What was estimated too high.
        let spare = turn.num_permits().saturating_sub(message.len() >> 10);
        drop(turn.split(spare));
        Bytes::from_owner(InTurn {
            message,
            _turn: turn,
        })
    }

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

/// A message with its turn.
struct InTurn {
    message: Bytes,
    _turn: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for InTurn {
    fn as_ref(&self) -> &[u8] {
        &self.message
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

    #[tokio::test(start_paused = true)]
    async fn large_requests_take_turns_and_none_waits_for_long() {
        let admission = Admission::new(1 << 30);
        let reserve = || admission.reserve(1).unwrap();
        let began = tokio::time::Instant::now();
        let mut under_way: Vec<Reservation> = Vec::new();
        for _ in 0..3 {
            let mut room = reserve();
            room.turn(4 << 20, None).await;
            under_way.push(room);
        }
        // Small ones never wait, and neither did those.
        reserve().turn(LARGE, None).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        let mut fourth = reserve();
        let ends = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            drop(under_way.pop());
        };
        tokio::join!(fourth.turn(4 << 20, None), ends);
        assert_eq!(began.elapsed(), Duration::from_millis(30));
        // Nobody ends: it is read all the same.
        reserve().turn(4 << 20, None).await;
        assert_eq!(began.elapsed(), Duration::from_millis(280));
        // What was estimated too high is given back.
        let _message = fourth.keep_turn(vec![0; 1 << 20].into());
        reserve().turn(3 << 20, None).await;
        assert_eq!(began.elapsed(), Duration::from_millis(280));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_keeps_its_turn_until_it_is_gone() {
        let admission = Admission::new(1 << 30);
        let mut first = admission.reserve(1).unwrap();
        first.turn(TOGETHER, None).await;
        let message = first.keep_turn(vec![1; TOGETHER].into());
        let copy = message.slice(1..);
        drop((first, message));
        assert_eq!(admission.used(), 0);
        let began = tokio::time::Instant::now();
        let gone = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(copy.len(), TOGETHER - 1);
            drop(copy);
        };
        let mut second = admission.reserve(1).unwrap();
        let waits = async {
            second.turn(TOGETHER, None).await;
            began.elapsed()
        };
        let (waited, ()) = tokio::join!(waits, gone);
        assert_eq!(waited, Duration::from_millis(20));
        // A small one has none to keep.
        let mut small = admission.reserve(1).unwrap();
        let bytes = Bytes::from_static(b"x");
        let at = bytes.as_ptr();
        assert_eq!(small.keep_turn(bytes).as_ptr(), at);
    }

    #[tokio::test(start_paused = true)]
    async fn few_requests_of_a_connection_wait_unread() {
        let admission = Admission::new(1 << 30);
        let mut lone = admission.reserve(1).unwrap();
        lone.turn(1 << 30, None).await;
        let connection = Connection::default();
        let began = tokio::time::Instant::now();
        let one = async || {
            let mut room = admission.reserve(1).unwrap();
            room.turn(1 << 20, Some(&connection)).await;
            began.elapsed()
        };
        let waited = tokio::join!(one(), one(), one());
        assert_eq!(waited, (PATIENCE, PATIENCE, Duration::ZERO));
        // Those who waited are counted no more.
        assert_eq!(one().await, PATIENCE * 2);
    }
}
