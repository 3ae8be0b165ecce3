//! The log of a container, through the API server.
//!
//! `GET /api/v1/namespaces/{namespace}/pods/{name}/log?timestamps=true`: lines that begin with the
//! runtime's time in RFC 3339, oldest first, of the file that the kubelet writes now (what it rotated
//! away is not told). `sinceTime` has whole seconds: what is asked for overlaps what was read. `follow`
//! goes on until the container ends, and in some versions of Kubernetes falls silent when the kubelet
//! rotates the file.

use std::time::Duration;

use http_body_util::BodyExt as _;

use crate::client::{ApiClient, Body};
use crate::error::ApiError;
use crate::rbac::Rule;

/// Which log, and from when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The container's name in the pod.
    pub container: String,
    /// Go on with what comes.
    pub follow: bool,
    /// The log of the container's life before this one.
    pub previous: bool,
    /// What is older than this, in nanoseconds since 1970, is not wanted; up to a second before it may
    /// come all the same. 0: everything.
    pub since: u64,
}

impl LogQuery {
    /// The rule that is needed.
    #[must_use]
    pub fn rule() -> Rule {
        Rule::core("pods/log", &["get"])
    }

    /// The request's path.
    #[must_use]
    pub fn path(&self) -> String {
        let mut to = format!(
            "/api/v1/namespaces/{}/pods/{}/log?container={}&timestamps=true",
            self.namespace, self.pod, self.container
        );
        if self.follow {
            to.push_str("&follow=true");
        }
        if self.previous {
            to.push_str("&previous=true");
        }
        let seconds = i64::try_from(self.since / 1_000_000_000).unwrap_or(0);
        if seconds > 0
            && let Ok(since) = jiff::Timestamp::from_second(seconds)
        {
            // Digits, `-`, `:`, `T` and `Z`: all may stand in a query as they are.
            to.push_str(&format!("&sinceTime={since}"));
        }
        to
    }
}

/// A log that is being read.
pub struct LogStream {
    path: String,
    body: Body,
    buffer: Vec<u8>,
    /// How much of the buffer was given out.
    taken: usize,
    longest: usize,
    /// Whether what follows the last whole line is one at the end. Of a log that is followed it is not: the end may
    /// be anywhere, and the line comes whole when the log is opened again.
    rest_is_line: bool,
    over: bool,
}

/// Lines that came at once; see [`LogStream::next`].
pub struct Lines<'a> {
    rest: &'a [u8],
    longest: usize,
    used: &'a mut usize,
    last: bool,
}

impl LogStream {
    /// Asks for a log. Lines longer than `longest` bytes come in pieces, of which the last may be empty.
    ///
    /// The kubelet sends nothing of a log, not even the head of its answer, before the first line.
    ///
    /// # Errors
    /// As [`ApiClient::open`], or nothing came for `idle` ([`is_idle`]).
    pub async fn open(
        client: &ApiClient,
        query: &LogQuery,
        longest: usize,
        idle: Duration,
    ) -> Result<Self, ApiError> {
        let path = query.path();
        let opened = tokio::time::timeout(idle, client.open_late(&path, "*/*")).await;
        let quiet = |_| ApiError::Transport {
            path: path.clone(),
            reason: IDLE.to_owned(),
        };
        let body = opened.map_err(quiet)??.into_body();
        Ok(Self {
            path,
            body,
            buffer: Vec::new(),
            taken: 0,
            longest: longest.max(64),
            rest_is_line: !query.follow,
            over: false,
        })
    }

    /// The lines that come next; `None` when the log has ended. The iterator must be used up. Safe to be
    /// dropped while it waits.
    ///
    /// # Errors
    /// The connection broke, or nothing came for `idle` ([`is_idle`]).
    pub async fn next(&mut self, idle: Duration) -> Result<Option<Lines<'_>>, ApiError> {
        self.buffer.drain(..self.taken.min(self.buffer.len()));
        self.taken = 0;
        loop {
            if self.over {
                if self.buffer.is_empty() || !self.rest_is_line {
                    return Ok(None);
                }
                break;
            }
            let before = self.buffer.len();
            let transport = |reason: String| ApiError::Transport {
                path: self.path.clone(),
                reason,
            };
            match tokio::time::timeout(idle, self.body.frame()).await {
                Err(_) => {
                    return Err(transport(IDLE.to_owned()));
                }
                Ok(None) => {
                    self.over = true;
                    continue;
                }
                Ok(Some(frame)) => {
                    let frame = frame.map_err(|error| transport(error.to_string()))?;
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
            let new = self.buffer.get(before..).unwrap_or_default();
            if new.contains(&b'\n') || self.buffer.len() > self.longest {
                break;
            }
        }
        Ok(Some(Lines {
            rest: &self.buffer,
            longest: self.longest,
            used: &mut self.taken,
            last: self.over,
        }))
    }
}

const IDLE: &str = "nothing was written for a while";

/// Whether it is that nothing was written, and not that anything broke.
#[must_use]
pub fn is_idle(error: &ApiError) -> bool {
    matches!(error, ApiError::Transport { reason, .. } if reason == IDLE)
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if let Some(at) = self
            .rest
            .iter()
            .take(self.longest)
            .position(|b| *b == b'\n')
        {
            let (line, rest) = self.rest.split_at_checked(at)?;
            *self.used += at + 1;
            self.rest = rest.get(1..)?;
            return Some(line);
        }
        // A piece of a line that is too long, or the end of a log that does not end with a line.
        let len = if self.rest.len() >= self.longest {
            self.longest
        } else if self.last && !self.rest.is_empty() {
            self.rest.len()
        } else {
            return None;
        };
        let (piece, rest) = self.rest.split_at_checked(len)?;
        *self.used += len;
        self.rest = rest;
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(text: &[u8], longest: usize, last: bool) -> (Vec<Vec<u8>>, usize) {
        let mut used = 0;
        let lines = Lines {
            rest: text,
            longest,
            used: &mut used,
            last,
        };
        let all = lines.map(<[u8]>::to_vec).collect();
        (all, used)
    }

    #[test]
    fn a_query_names_whole_seconds() {
        let mut query = LogQuery {
            namespace: "shop".into(),
            pod: "web-0".into(),
            container: "app".into(),
            follow: true,
            previous: false,
            since: 1_700_000_000_999_999_999,
        };
        assert_eq!(
            query.path(),
            "/api/v1/namespaces/shop/pods/web-0/log?container=app&timestamps=true&follow=true&sinceTime=2023-11-14T22:13:20Z"
        );
        query.since = 0;
        query.follow = false;
        query.previous = true;
        assert!(query.path().ends_with("timestamps=true&previous=true"));
    }

    #[test]
    fn lines_wait_for_their_end_and_long_ones_come_in_pieces() {
        assert_eq!(
            lines(b"one\ntwo\nthr", 64, false),
            (vec![b"one".to_vec(), b"two".to_vec()], 8)
        );
        assert_eq!(lines(b"thr", 64, true).0, [b"thr"]);
        assert_eq!(lines(b"0123456789", 4, false).0, [b"0123", b"4567"]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_between_lines(text in "[a\n]{0,60}", longest in 1usize..10) {
            let (all, used) = lines(text.as_bytes(), longest, true);
            prop_assert_eq!(used, text.len());
            let joined: Vec<u8> = all.concat();
            let expected: Vec<u8> = text.bytes().filter(|b| *b != b'\n').collect();
            prop_assert_eq!(joined, expected);
        }
    }
}
