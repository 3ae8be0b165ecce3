//! List, watch from there, and list again when the version is gone.

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use serde::Deserialize;

use crate::backoff::Backoff;
use crate::client::ApiClient;
use crate::error::ApiError;
use crate::object::{Metadata, Object};
use crate::page::{Page, decode};
use crate::rbac::Rule;

/// The most one page of a list may have, in bytes.
const PAGE: usize = 64 << 20;
/// The most one event may have, in bytes. etcd stores objects of 1.5 MiB.
const EVENT: usize = 8 << 20;

/// Which objects.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The collection, such as `/api/v1/pods`.
    pub path: String,
    /// A field selector; empty for all.
    pub fields: String,
    /// A label selector; empty for all.
    pub labels: String,
    /// Whether the server should send the metadata alone.
    pub metadata_only: bool,
    /// Objects per page of a list.
    pub page: u32,
}

impl Selection {
    /// Every object of a collection.
    #[must_use]
    pub fn all(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            fields: String::new(),
            labels: String::new(),
            metadata_only: false,
            page: 500,
        }
    }

    /// The pods of one node.
    #[must_use]
    pub fn pods_on(node: &str) -> Self {
        Self {
            fields: format!("spec.nodeName={node}"),
            ..Self::all("/api/v1/pods")
        }
    }

    pub(crate) fn query(&self, more: &[(&str, &str)]) -> String {
        let mut to = format!("{}?", self.path);
        let own = [
            ("fieldSelector", self.fields.as_str()),
            ("labelSelector", self.labels.as_str()),
        ];
        for (key, value) in own
            .iter()
            .chain(more)
            .filter(|(_, value)| !value.is_empty())
        {
            to.push_str(key);
            to.push('=');
            escape(value, &mut to);
            to.push('&');
        }
        to.pop();
        to
    }

    pub(crate) fn accept(&self, kind: &str) -> String {
        if self.metadata_only {
            format!("application/json;as={kind};g=meta.k8s.io;v=v1")
        } else {
            "application/json".to_owned()
        }
    }
}

/// Percent-encodes what RFC 3986 does not call unreserved.
pub(crate) fn escape(value: &str, to: &mut String) {
    use std::fmt::Write as _;
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            to.push(char::from(byte));
        } else if write!(to, "%{byte:02X}").is_err() {
            // A `String` takes everything.
            return;
        }
    }
}

/// The paces of a watch.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// The first pause after a failure.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// How long one watch is asked to last. A connection that died without a word is noticed a
    /// little later than this, so it also bounds how late news can be.
    pub watch: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(20),
            watch: Duration::from_secs(30),
        }
    }
}

/// Keeps what a watch tells.
pub trait Keep<T>: Send {
    /// A list begins: what it will not name is gone. May be called again before `listed`.
    fn listing(&mut self);
    /// An object is there, new or changed.
    fn put(&mut self, object: T);
    /// The list is complete.
    fn listed(&mut self);
    /// An object was deleted.
    fn delete(&mut self, object: T);
}

enum End {
    /// The server ended it, as it was asked to.
    Over,
    /// The version is too old: only a list helps.
    Gone,
}

/// Lists and watches `selection` for ever, telling `keep`. Whatever fails is tried again after
/// a growing pause; to end it, drop the future.
pub async fn run<T: Object, K: Keep<T>>(
    client: &ApiClient,
    selection: &Selection,
    keep: &mut K,
    timing: Timing,
) {
    let mut backoff = Backoff::new(timing.first_pause, timing.longest_pause);
    let mut version = String::new();
    let mut failing = false;
    loop {
        let began = Instant::now();
        let mut heard = false;
        let outcome = if version.is_empty() {
            list(client, selection, keep).await.map(|at| version = at)
        } else {
            match watch(
                client,
                selection,
                keep,
                &mut version,
                &mut heard,
                timing.watch,
            )
            .await
            {
                Ok(End::Over) => Ok(()),
                Ok(End::Gone) => {
                    version.clear();
                    // The first time at once; a server that always says so is asked ever more seldom.
                    tokio::time::sleep(backoff.pause()).await;
                    continue;
                }
                Err(error) => {
                    if error.status() == Some(410) {
                        version.clear();
                    }
                    Err(error)
                }
            }
        };
        // A list alone is no sign of health: in a storm of 410 every one of them succeeds.
        let lasted = heard || began.elapsed() >= timing.watch / 2;
        match outcome {
            Ok(()) if lasted => {
                backoff.reset();
                if failing {
                    tracing::info!(path = selection.path, "the API server answers again");
                    failing = false;
                }
            }
            // A watch that ends at once with nothing to say must not become a busy loop.
            Ok(()) if began.elapsed() < timing.first_pause && !version.is_empty() => {
                tokio::time::sleep(timing.first_pause).await;
            }
            Ok(()) => {}
            Err(error) => {
                if !failing {
                    let remedy = Rule::to_watch(&selection.path).remedy(&error);
                    tracing::warn!("{error}{remedy}; what was known last still stands");
                    failing = true;
                }
                if heard {
                    backoff.reset();
                }
                tokio::time::sleep(backoff.pause()).await;
            }
        }
    }
}

async fn list<T: Object, K: Keep<T>>(
    client: &ApiClient,
    selection: &Selection,
    keep: &mut K,
) -> Result<String, ApiError> {
    let limit = selection.page.to_string();
    let mut next = String::new();
    keep.listing();
    loop {
        let path = selection.query(&[("limit", &limit), ("continue", &next)]);
        let body = client
            .get(&path, &selection.accept("PartialObjectMetadataList"), PAGE)
            .await?;
        let page: Page<T> = Page::parse(&body, &path)?;
        for object in page.items {
            keep.put(object);
        }
        if page.next.is_empty() {
            keep.listed();
            return Ok(page.version);
        }
        next = page.next;
    }
}

async fn watch<T: Object, K: Keep<T>>(
    client: &ApiClient,
    selection: &Selection,
    keep: &mut K,
    version: &mut String,
    heard: &mut bool,
    lasting: Duration,
) -> Result<End, ApiError> {
    let path = selection.query(&[
        ("watch", "1"),
        ("allowWatchBookmarks", "true"),
        ("timeoutSeconds", &lasting.as_secs().max(1).to_string()),
        ("resourceVersion", version),
    ]);
    let transport = |reason: String| ApiError::Transport {
        path: path.clone(),
        reason,
    };
    let mut body = client
        .open(&path, &selection.accept("PartialObjectMetadata"))
        .await?
        .into_body();
    let deadline = tokio::time::Instant::now() + lasting + Duration::from_secs(5);
    let mut buffer: Vec<u8> = Vec::new();
    loop {
        let frame = match tokio::time::timeout_at(deadline, body.frame()).await {
            Err(_) => {
                return Err(transport(
                    "the watch did not end when it should have".to_owned(),
                ));
            }
            Ok(None) => return Ok(End::Over),
            Ok(Some(frame)) => frame.map_err(|error| transport(error.to_string()))?,
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        // Only what is new can hold the end of a line.
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            if buffer.len() + piece.len() > EVENT {
                return Err(ApiError::TooLarge {
                    path: path.clone(),
                    cap: EVENT,
                });
            }
            buffer.extend_from_slice(piece);
            if piece.last() != Some(&b'\n') {
                continue;
            }
            let gone = take(&buffer, &path, keep, version)?;
            buffer.clear();
            if gone {
                return Ok(End::Gone);
            }
            *heard = true;
        }
    }
}

/// Takes one event in; whether it says that the version is gone.
fn take<T: Object, K: Keep<T>>(
    line: &[u8],
    path: &str,
    keep: &mut K,
    version: &mut String,
) -> Result<bool, ApiError> {
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
        return Ok(false);
    }
    let kind: Kind = decode(line, path)?;
    match kind.r#type.as_str() {
        "ERROR" => {
            let status = decode::<Event<Status>>(line, path)?.object;
            if status.code == 410 {
                return Ok(true);
            }
            return Err(ApiError::Status {
                path: path.to_owned(),
                code: status.code,
                message: status.message,
            });
        }
        "BOOKMARK" => {
            let bookmark = decode::<Event<Bookmark>>(line, path)?.object;
            *version = bookmark.metadata.resource_version;
        }
        kind => {
            let object = match decode::<Event<T>>(line, path) {
                Ok(event) => event.object,
                Err(error) => {
                    // The same event would come again for ever: one object is missed, the rest goes on.
                    tracing::warn!(%error, "an object is left out");
                    return Ok(false);
                }
            };
            version.clone_from(&object.metadata().resource_version);
            if kind == "DELETED" {
                keep.delete(object);
            } else {
                keep.put(object);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::object::Pod;

    struct Nothing;
    impl Keep<Pod> for Nothing {
        fn listing(&mut self) {}
        fn put(&mut self, _: Pod) {}
        fn listed(&mut self) {}
        fn delete(&mut self, _: Pod) {}
    }

    #[test]
    fn selectors_are_escaped() {
        assert_eq!(
            Selection::pods_on("a b").query(&[("limit", "5"), ("continue", "")]),
            "/api/v1/pods?fieldSelector=spec.nodeName%3Da%20b&limit=5"
        );
    }

    proptest! {
        #[test]
        fn any_line_is_taken_or_refused(line: Vec<u8>) {
            let _outcome = take::<Pod, _>(&line, "/", &mut Nothing, &mut String::new());
        }

        #[test]
        fn any_object_is_taken_or_refused(kind in "ADDED|DELETED|BOOKMARK|ERROR|X", object in "[\\[\\]{}\":,a-z0-9]{0,40}") {
            let line = format!(r#"{{"type":"{kind}","object":{{"metadata":{object}}}}}"#);
            let _outcome = take::<Pod, _>(line.as_bytes(), "/", &mut Nothing, &mut String::new());
        }
    }
}
