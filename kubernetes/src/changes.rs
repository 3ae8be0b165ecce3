//! What happens to objects, in order, for whoever tells of each happening once.
//!
//! [`run`](crate::run) keeps an index: it may be told of an object twice. [`Changes`] is for logs: who
//! takes the changes says when to go on, and where it was is a version that can be kept over restarts.
//! When the API server has forgotten that version (410, or its data came back from a backup), everything
//! is listed and what is not newer than the version is left out: the versions of one API server are
//! numbers that grow (Kubernetes 1.35 promises it, etcd always did). Where they are no numbers, or
//! began anew, something may be told twice; nothing but deletions is missed.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use serde::Deserialize;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::client::{ApiClient, Body};
use crate::error::ApiError;
use crate::object::{Metadata, Object};
use crate::page::{Page, decode};
use crate::watch::{Selection, Timing};

/// The most one page of a list may have, in bytes.
const PAGE: usize = 64 << 20;
/// The most one event may have, in bytes. etcd stores objects of 1.5 MiB.
const EVENT: usize = 8 << 20;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is there; since when is not known.
    Listed,
    /// It was made.
    Added,
    /// It was changed.
    Modified,
    /// It was deleted.
    Deleted,
}

impl ChangeKind {
    /// What a watch calls it; what was listed is called added, as a watch without a version does.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listed | Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// Something that happened to an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Change<T> {
    /// What.
    pub kind: ChangeKind,
    /// The object after it.
    pub object: T,
}

/// What came at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Round<T> {
    /// In order; may be empty, when only the version has moved.
    pub changes: Vec<Change<T>>,
    /// Where to go on after these. `None` in the middle of a list, from which nobody can go on.
    pub version: Option<String>,
}

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// With what comes from now on.
    Now,
    /// With everything that there is.
    Everything,
    /// Behind this version.
    Behind(String),
}

enum State {
    /// A list is needed. `rest` is where the next page begins.
    List { first: bool, rest: String },
    /// A watch is needed.
    Watch,
    /// A watch is open.
    Open {
        body: Box<Body>,
        began: Instant,
        heard: bool,
    },
}

/// The changes of a selection, one after another, for ever.
pub struct Changes<T> {
    client: Arc<ApiClient>,
    selection: Selection,
    timing: Timing,
    state: State,
    version: String,
    /// What is listed and not newer than this was told.
    known: Option<u64>,
    /// Whether a list tells of anything: the first one does not where only the future is wanted.
    telling: bool,
    backoff: Backoff,
    pause: Option<Duration>,
    buffer: Vec<u8>,
    ready: VecDeque<Round<T>>,
    of: PhantomData<T>,
}

impl<T: Object> Changes<T> {
    /// The changes of `selection`. No IO before [`next`](Self::next).
    #[must_use]
    pub fn new(client: Arc<ApiClient>, selection: Selection, timing: Timing, begin: Begin) -> Self {
        let list = State::List {
            first: true,
            rest: String::new(),
        };
        let (state, version, telling) = match begin {
            Begin::Now => (list, String::new(), false),
            Begin::Everything => (list, String::new(), true),
            Begin::Behind(version) => (State::Watch, version, true),
        };
        Self {
            client,
            selection,
            timing,
            state,
            known: version.parse().ok(),
            version,
            telling,
            backoff: Backoff::new(timing.first_pause, timing.longest_pause),
            pause: None,
            buffer: Vec::new(),
            ready: VecDeque::new(),
            of: PhantomData,
        }
    }

    /// What comes next. Waits for it as long as it takes.
    ///
    /// # Errors
    /// What the API server or the way to it said; call again, and it is tried again after a growing,
    /// jittered pause. Nothing is missed by that.
    pub async fn next(&mut self) -> Result<Round<T>, ApiError> {
        loop {
            if let Some(pause) = self.pause {
                tokio::time::sleep(pause).await;
                self.pause = None;
            }
            if let Some(round) = self.ready.pop_front() {
                return Ok(round);
            }
            let outcome = match &self.state {
                State::List { .. } => self.list().await,
                State::Watch => self.open().await,
                State::Open { .. } => self.read().await,
            };
            if let Err(error) = outcome {
                let watching = !matches!(self.state, State::List { .. });
                self.end_of_watch();
                self.pause = Some(self.backoff.pause());
                // 400: the version is none. 504: it is of the future, since a backup was brought back.
                let lost = matches!(error.status(), Some(400 | 410 | 504));
                if lost {
                    self.state = State::List {
                        first: true,
                        rest: String::new(),
                    };
                }
                if !(lost && watching) {
                    return Err(error);
                }
            }
        }
    }

    async fn list(&mut self) -> Result<(), ApiError> {
        let State::List { first, rest } = &self.state else {
            return Ok(());
        };
        let first = *first;
        // One object is enough to learn the version.
        let limit = if self.telling {
            self.selection.page.to_string()
        } else {
            "1".to_owned()
        };
        let path = self
            .selection
            .query(&[("limit", &limit), ("continue", rest)]);
        let accept = self.selection.accept("PartialObjectMetadataList");
        let body = self.client.get(&path, &accept, PAGE).await?;
        let page: Page<T> = Page::parse(&body, &path)?;
        let version = page.version;
        if first && is_older(&version, self.known) {
            // The API server began to count anew.
            self.known = None;
        }
        let changes = if self.telling {
            let news = page.items.into_iter().filter(|object: &T| {
                let version = object.metadata().resource_version.parse::<u64>().ok();
                version
                    .zip(self.known)
                    .is_none_or(|(this, known)| this > known)
            });
            let listed = |object| Change {
                kind: ChangeKind::Listed,
                object,
            };
            news.map(listed).collect()
        } else {
            Vec::new()
        };
        if self.telling && !page.next.is_empty() {
            self.state = State::List {
                first: false,
                rest: page.next,
            };
            if !changes.is_empty() {
                self.ready.push_back(Round {
                    changes,
                    version: None,
                });
            }
            return Ok(());
        }
        self.telling = true;
        self.known = version.parse().ok();
        self.version.clone_from(&version);
        self.state = State::Watch;
        self.ready.push_back(Round {
            changes,
            version: Some(version),
        });
        Ok(())
    }

    async fn open(&mut self) -> Result<(), ApiError> {
        let lasting = self.timing.watch.as_secs().max(1).to_string();
        let path = self.selection.query(&[
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", &lasting),
            ("resourceVersion", &self.version),
        ]);
        let accept = self.selection.accept("PartialObjectMetadata");
        let began = Instant::now();
        let answer = self.client.open(&path, &accept).await?;
        self.buffer.clear();
        self.state = State::Open {
            body: Box::new(answer.into_body()),
            began,
            heard: false,
        };
        Ok(())
    }

    async fn read(&mut self) -> Result<(), ApiError> {
        let path = &self.selection.path;
        let transport = |reason: String| ApiError::Transport {
            path: path.clone(),
            reason,
        };
        let State::Open { body, began, heard } = &mut self.state else {
            return Ok(());
        };
        let deadline = *began + self.timing.watch + Duration::from_secs(5);
        let frame = match tokio::time::timeout_at(deadline, body.frame()).await {
            Err(_) => {
                let reason = "the watch did not end when it should have".to_owned();
                return Err(transport(reason));
            }
            Ok(None) => {
                self.end_of_watch();
                return Ok(());
            }
            Ok(Some(frame)) => frame.map_err(|error| transport(error.to_string()))?,
        };
        let Ok(data) = frame.into_data() else {
            return Ok(());
        };
        let mut changes = Vec::new();
        let before = self.version.clone();
        let mut failed = None;
        // Only what is new can hold the end of a line.
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            if self.buffer.len() + piece.len() > EVENT {
                failed = Some(ApiError::TooLarge {
                    path: path.clone(),
                    cap: EVENT,
                });
                break;
            }
            self.buffer.extend_from_slice(piece);
            if piece.last() != Some(&b'\n') {
                continue;
            }
            match take(&self.buffer, path, &mut self.version) {
                Ok(change) => {
                    *heard = true;
                    changes.extend(change);
                }
                Err(error) => failed = Some(error),
            }
            self.buffer.clear();
            if failed.is_some() {
                break;
            }
        }
        if let Ok(version) = self.version.parse() {
            self.known = Some(version);
        }
        if !changes.is_empty() || before != self.version {
            self.ready.push_back(Round {
                changes,
                version: Some(self.version.clone()),
            });
        }
        failed.map_or(Ok(()), Err)
    }

    /// Notes how the watch went: one that lasted or said something is a sign of health, one that ends at
    /// once with nothing to say must not become a busy loop.
    fn end_of_watch(&mut self) {
        if let State::Open { began, heard, .. } = &self.state {
            let lasted = began.elapsed();
            if *heard || lasted >= self.timing.watch / 2 {
                self.backoff.reset();
            } else if lasted < self.timing.first_pause {
                self.pause = Some(self.timing.first_pause);
            }
            self.buffer.clear();
            self.state = State::Watch;
        }
    }
}

/// Whether a list is older than what was seen before.
fn is_older(version: &str, known: Option<u64>) -> bool {
    version
        .parse::<u64>()
        .ok()
        .zip(known)
        .is_some_and(|(now, known)| now < known)
}

/// Reads one line of a watch.
fn take<T: Object>(
    line: &[u8],
    path: &str,
    version: &mut String,
) -> Result<Option<Change<T>>, ApiError> {
    #[derive(Deserialize)]
    struct Kind {
        r#type: String,
    }
    #[derive(Deserialize)]
    struct Event<T> {
        object: T,
    }
    #[derive(Deserialize)]
    struct Status {
        code: u16,
        #[serde(default)]
        message: String,
    }
    #[derive(Deserialize)]
    struct Bookmark {
        metadata: Metadata,
    }
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let event: Kind = decode(line, path)?;
    let kind = match event.r#type.as_str() {
        "ERROR" => {
            let status = decode::<Event<Status>>(line, path)?.object;
            return Err(ApiError::Status {
                path: path.to_owned(),
                code: status.code,
                message: status.message,
            });
        }
        "BOOKMARK" => {
            let bookmark = decode::<Event<Bookmark>>(line, path)?.object;
            *version = bookmark.metadata.resource_version;
            return Ok(None);
        }
        "DELETED" => ChangeKind::Deleted,
        "MODIFIED" => ChangeKind::Modified,
        _ => ChangeKind::Added,
    };
    let object = match decode::<Event<T>>(line, path) {
        Ok(event) => event.object,
        Err(error) => {
            // The same event would come again for ever: one object is missed, the rest goes on.
            tracing::warn!(%error, "an object is left out");
            return Ok(None);
        }
    };
    let its = &object.metadata().resource_version;
    if !its.is_empty() {
        version.clone_from(its);
    }
    Ok(Some(Change { kind, object }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::anything::Anything;

    #[test]
    fn an_event_moves_the_version_and_a_broken_object_does_not_end_the_watch() {
        let mut version = "1".to_owned();
        let line = br#"{"type":"MODIFIED","object":{"kind":"Pod","metadata":{"name":"a","resourceVersion":"7"}}}"#;
        let change = take::<Anything>(line, "/", &mut version).unwrap().unwrap();
        assert_eq!((change.kind, &*version), (ChangeKind::Modified, "7"));
        assert_eq!(change.object.value["kind"], "Pod");
        let line = br#"{"type":"ADDED","object":{"metadata":7}}"#;
        assert_eq!(take::<Anything>(line, "/", &mut version).unwrap(), None);
        let line = br#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}"#;
        assert_eq!(take::<Anything>(line, "/", &mut version).unwrap(), None);
        assert_eq!(version, "9");
        let line = br#"{"type":"ERROR","object":{"code":410}}"#;
        let error = take::<Anything>(line, "/", &mut version).unwrap_err();
        assert_eq!(error.status(), Some(410));
    }

    proptest! {
        #[test]
        fn any_line_is_taken_or_refused(line: Vec<u8>) {
            let _outcome = take::<Anything>(&line, "/", &mut String::new());
        }

        #[test]
        fn any_object_is_taken_or_refused(kind in "ADDED|DELETED|BOOKMARK|ERROR|X", object in "[\\[\\]{}\":,a-z0-9]{0,40}") {
            let line = format!(r#"{{"type":"{kind}","object":{{"metadata":{object}}}}}"#);
            let _outcome = take::<Anything>(line.as_bytes(), "/", &mut String::new());
        }
    }
}
