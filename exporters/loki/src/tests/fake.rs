//! A Loki that decodes what it gets and answers as it is told.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use corten_component::{BoxError, async_trait};
use parking_lot::Mutex;
use prost::Message;
use tokio::time::Instant;

use crate::transport::{Answer, Transport};

#[derive(Clone, PartialEq, Message)]
pub(super) struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Stream {
    #[prost(string, tag = "1")]
    pub(super) labels: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Entry {
    #[prost(message, optional, tag = "1")]
    pub(super) timestamp: Option<Timestamp>,
    #[prost(string, tag = "2")]
    pub(super) line: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) metadata: Vec<LabelPair>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LabelPair {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

impl PushRequest {
    pub(super) fn render(&self) -> String {
        let mut out = String::new();
        for stream in &self.streams {
            writeln!(out, "{}", stream.labels).unwrap();
            for entry in &stream.entries {
                let time = entry.timestamp.unwrap();
                writeln!(out, "{}.{:09} {}", time.seconds, time.nanos, entry.line).unwrap();
                for pair in &entry.metadata {
                    let separator = if std::ptr::eq(pair, &entry.metadata[0]) {
                        "  "
                    } else {
                        " "
                    };
                    write!(out, "{separator}{}={}", pair.name, pair.value).unwrap();
                }
                out.push('\n');
            }
        }
        out
    }
}

/// One attempt to push.
#[derive(Clone)]
pub(super) struct Push {
    pub(super) tenant: Option<String>,
    pub(super) body: Bytes,
    /// Bytes after decompression.
    pub(super) size: usize,
    pub(super) request: PushRequest,
}

type Judge = dyn Fn(&Push, Duration) -> Answer + Send + Sync;

pub(super) struct FakeLoki {
    script: Mutex<VecDeque<Result<Answer, String>>>,
    judge: Box<Judge>,
    began: Instant,
    /// With the status that it was answered with; 0: none.
    pushes: Mutex<Vec<(u16, Push)>>,
}

impl Default for FakeLoki {
    fn default() -> Self {
        Self::judged(|_, _| Answer {
            status: 204,
            ..Answer::default()
        })
    }
}

impl FakeLoki {
    /// Answers these first, then 204.
    pub(super) fn scripted(script: impl IntoIterator<Item = Result<Answer, String>>) -> Self {
        let loki = Self::default();
        loki.script.lock().extend(script);
        loki
    }

    /// Answers what `judge` says of a push and the time since the beginning.
    pub(super) fn judged(
        judge: impl Fn(&Push, Duration) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self {
            script: Mutex::default(),
            judge: Box::new(judge),
            began: Instant::now(),
            pushes: Mutex::default(),
        }
    }

    /// Every attempt.
    pub(super) fn pushes(&self) -> Vec<Push> {
        self.pushes
            .lock()
            .iter()
            .map(|(_, push)| push.clone())
            .collect()
    }

    /// The attempts that were answered with 204.
    pub(super) fn stored(&self) -> Vec<Push> {
        self.pushes
            .lock()
            .iter()
            .filter(|(status, _)| *status == 204)
            .map(|(_, push)| push.clone())
            .collect()
    }
}

#[async_trait]
impl Transport for FakeLoki {
    async fn post(&self, tenant: Option<&str>, body: Bytes) -> Result<Answer, BoxError> {
        // As over a network: others get their turn.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let decoded = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
        let request = PushRequest::decode(&*decoded).unwrap();
        let push = Push {
            tenant: tenant.map(str::to_owned),
            body,
            size: decoded.len(),
            request,
        };
        assert!(
            push.request
                .streams
                .iter()
                .all(|stream| !stream.entries.is_empty())
        );
        let answer = match self.script.lock().pop_front() {
            Some(answer) => answer,
            None => Ok((self.judge)(&push, self.began.elapsed())),
        };
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        self.pushes.lock().push((status, push));
        Ok(answer?)
    }

    fn address(&self) -> Cow<'_, str> {
        Cow::Borrowed("http://loki/loki/api/v1/push")
    }
}
