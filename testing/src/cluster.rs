//! An API server of Kubernetes as far as lists and watches go, that misbehaves when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::http::{Asked, Reply};

/// Objects in collections (`/api/v1/pods`), listed in pages and watched. Cheap to clone: all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Cluster(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    version: u64,
    objects: BTreeMap<String, BTreeMap<String, Value>>,
    /// What watches tell: the collection, the version, the line.
    events: Vec<(String, u64, String)>,
    watching: Vec<(String, mpsc::Sender<Vec<u8>>)>,
    /// Versions before this one are not known any more.
    oldest: u64,
    away: bool,
    forbidden: BTreeSet<String>,
    token: Option<String>,
    seen: Vec<String>,
}

impl Cluster {
    /// An empty one, at version 100.
    #[must_use]
    pub fn new() -> Self {
        let cluster = Self::default();
        cluster.0.lock().version = 100;
        cluster
    }

    /// Puts an object in, with a new version; it needs `metadata.name`.
    pub fn put(&self, collection: &str, mut object: Value) {
        let mut inner = self.0.lock();
        inner.version += 1;
        let version = inner.version;
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".to_owned(), json!(version.to_string()));
        }
        let objects = inner.objects.entry(collection.to_owned()).or_default();
        let before = objects.insert(name(&object), object.clone());
        let kind = if before.is_some() {
            "MODIFIED"
        } else {
            "ADDED"
        };
        inner.tell(collection, kind, &object);
    }

    /// Deletes an object.
    pub fn delete(&self, collection: &str, object: &str) {
        let mut inner = self.0.lock();
        inner.version += 1;
        let version = inner.version;
        let objects = inner.objects.entry(collection.to_owned()).or_default();
        if let Some(mut gone) = objects.remove(object) {
            if let Some(metadata) = gone.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.insert("resourceVersion".to_owned(), json!(version.to_string()));
            }
            inner.tell(collection, "DELETED", &gone);
        }
    }

    /// Forgets all versions before the present one: a watch from one of them is answered with 410.
    pub fn forget(&self) {
        let mut inner = self.0.lock();
        inner.oldest = inner.version;
        inner.events.clear();
    }

    /// Begins to count anew at `version`, as after a backup was brought back. Objects stay.
    pub fn rewind(&self, version: u64) {
        let mut inner = self.0.lock();
        inner.version = version;
        inner.oldest = 0;
        inner.events.clear();
        inner.watching.clear();
        for object in inner.objects.values_mut().flat_map(BTreeMap::values_mut) {
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.insert("resourceVersion".to_owned(), json!(version.to_string()));
            }
        }
    }

    /// Ends every watch.
    pub fn cut(&self) {
        self.0.lock().watching.clear();
    }

    /// Whether every connection is closed without an answer.
    pub fn set_away(&self, away: bool) {
        let mut inner = self.0.lock();
        inner.away = away;
        inner.watching.clear();
    }

    /// Whether what begins with `path` is answered with 403.
    pub fn set_forbidden(&self, path: &str, forbidden: bool) {
        let mut inner = self.0.lock();
        if forbidden {
            inner.forbidden.insert(path.to_owned());
            inner.watching.clear();
        } else {
            inner.forbidden.remove(path);
        }
    }

    /// The only token that is accepted from now on.
    pub fn set_token(&self, token: &str) {
        let mut inner = self.0.lock();
        inner.token = Some(token.to_owned());
        inner.watching.clear();
    }

    /// What was asked so far: the targets.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        self.0.lock().seen.clone()
    }

    /// How many watches are open.
    #[must_use]
    pub fn watches(&self) -> usize {
        let mut inner = self.0.lock();
        inner.watching.retain(|(_, watch)| !watch.is_closed());
        inner.watching.len()
    }

    /// The answer, or `None` to what is neither a list nor a watch of a collection with objects: the test's own affair.
    #[must_use]
    pub fn answer(&self, asked: &Asked) -> Option<Reply> {
        let mut inner = self.0.lock();
        inner.seen.push(asked.target.clone());
        if inner.away {
            return Some(Reply::Nothing);
        }
        let bearer = |token: &String| asked.header("authorization") == format!("Bearer {token}");
        if !inner.token.as_ref().is_none_or(bearer) {
            return Some(status(401, "Unauthorized"));
        }
        if inner
            .forbidden
            .iter()
            .any(|path| asked.path().starts_with(path))
        {
            return Some(status(403, "forbidden: not allowed here"));
        }
        let collection = asked.path();
        if !inner.objects.contains_key(collection) {
            return None;
        }
        if matches!(asked.parameter("watch"), "1" | "true") {
            return Some(inner.watch(collection, asked.parameter("resourceVersion")));
        }
        let from: usize = asked.parameter("continue").parse().unwrap_or(0);
        let limit: usize = asked.parameter("limit").parse().unwrap_or(usize::MAX);
        let objects = inner.objects.get(collection)?;
        let items: Vec<&Value> = objects.values().skip(from).take(limit).collect();
        let end = from.saturating_add(limit);
        let next = if end < objects.len() {
            end.to_string()
        } else {
            String::new()
        };
        let version = inner.version.to_string();
        let list =
            json!({"metadata": {"resourceVersion": version, "continue": next}, "items": items});
        Some(Reply::ok(list.to_string()))
    }

    /// Makes the collection known, empty.
    #[must_use]
    pub fn with(self, collection: &str) -> Self {
        self.0
            .lock()
            .objects
            .entry(collection.to_owned())
            .or_default();
        self
    }
}

impl Inner {
    fn tell(&mut self, collection: &str, kind: &str, object: &Value) {
        let line = json!({"type": kind, "object": object}).to_string() + "\n";
        self.watching
            .retain(|(of, watch)| of != collection || watch.try_send(line.clone().into()).is_ok());
        self.events
            .push((collection.to_owned(), self.version, line));
    }

    fn watch(&mut self, collection: &str, from: &str) -> Reply {
        let (sender, reply) = Reply::pieces();
        let send = |line: &str| drop(sender.try_send(line.as_bytes().to_vec()));
        let error = |code: u16, message: &str| {
            let status = json!({"kind": "Status", "code": code, "message": message});
            send(&(json!({"type": "ERROR", "object": status}).to_string() + "\n"));
        };
        match from.parse::<u64>() {
            Err(_) => return status(400, "invalid resource version"),
            Ok(from) if from < self.oldest => error(410, "too old resource version"),
            Ok(from) if from > self.version => error(504, "Too large resource version"),
            Ok(from) => {
                for (of, version, line) in &self.events {
                    if of == collection && *version > from {
                        send(line);
                    }
                }
                self.watching.push((collection.to_owned(), sender));
            }
        }
        reply
    }
}

fn status(code: u16, message: &str) -> Reply {
    let status = json!({"kind": "Status", "code": code, "message": message});
    Reply::Whole(code, status.to_string())
}

fn name(object: &Value) -> String {
    let name = object.pointer("/metadata/name").and_then(Value::as_str);
    name.unwrap_or_default().to_owned()
}
