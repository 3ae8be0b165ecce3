//! What a caller waits for.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::response::Reason;

/// One batch on its way: how many of its lines nobody has answered for, and what was dropped of it.
#[derive(Debug)]
pub(crate) struct Job {
    /// Whether its source can send it again, so that there is no point in giving it up.
    pub(crate) replayable: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    left: usize,
    rejected: Vec<Rejected>,
    /// Taken when the end has been told.
    end: Option<oneshot::Sender<End>>,
}

/// How a job ended: what Loki dropped of it, or why it was given up.
pub(crate) type End = Result<Vec<Rejected>, GaveUp>;

/// Lines that Loki dropped for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub(crate) reason: Reason,
    pub(crate) lines: usize,
    /// Loki's words.
    pub(crate) message: Arc<str>,
}

/// Not all of it was taken: the exporter stops, or it took too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GaveUp {
    /// The status of the last answer, if there was one.
    pub(crate) status: Option<u16>,
    /// What went wrong.
    pub(crate) why: Arc<str>,
}

impl Job {
    /// A job of so many lines (at least one), and where its end is told.
    pub(crate) fn new(lines: usize, replayable: bool) -> (Arc<Self>, oneshot::Receiver<End>) {
        let (end, told) = oneshot::channel();
        let state = State {
            left: lines,
            rejected: Vec::new(),
            end: Some(end),
        };
        (
            Arc::new(Self {
                replayable,
                state: Mutex::new(state),
            }),
            told,
        )
    }

    /// Loki has answered for `lines` of it, and dropped what `rejected` says.
    pub(crate) fn settle(&self, lines: usize, rejected: Vec<Rejected>) {
        let mut state = self.state.lock();
        state.left = state.left.saturating_sub(lines);
        state.rejected.extend(rejected);
        if state.left == 0
            && let Some(end) = state.end.take()
        {
            // The caller may no longer wait; its data went on all the same.
            drop(end.send(Ok(std::mem::take(&mut state.rejected))));
        }
    }

    /// It will not be sent any more.
    pub(crate) fn give_up(&self, why: &GaveUp) {
        if let Some(end) = self.state.lock().end.take() {
            drop(end.send(Err(why.clone())));
        }
    }

    /// Whether its end has been told.
    pub(crate) fn is_over(&self) -> bool {
        self.state.lock().end.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_with_its_last_line() {
        let (job, mut end) = Job::new(3, true);
        job.settle(1, Vec::new());
        let rejected = Rejected {
            reason: Reason::UNKNOWN,
            lines: 1,
            message: Arc::from("x"),
        };
        job.settle(1, vec![rejected.clone()]);
        assert!(end.try_recv().is_err());
        job.settle(1, Vec::new());
        assert_eq!(end.try_recv().unwrap(), Ok(vec![rejected]));
        assert!(job.is_over());
    }

    #[test]
    fn giving_up_ends_it() {
        let (job, mut end) = Job::new(3, false);
        let why = GaveUp {
            status: Some(503),
            why: Arc::from("no route"),
        };
        job.give_up(&why);
        job.settle(3, Vec::new());
        assert_eq!(end.try_recv().unwrap(), Err(why));
    }
}
