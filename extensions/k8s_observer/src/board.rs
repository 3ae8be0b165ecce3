//! All endpoints as they are now.

use std::collections::BTreeMap;
use std::sync::Arc;

use corten_component::{Endpoint, Endpoints};
use corten_kubernetes::Keep;
use corten_kubernetes::object::Object;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::endpoints::{Observed, Settings};

/// The state that everybody sees.
pub(crate) struct Board {
    settings: Settings,
    seen: watch::Sender<Arc<Endpoints>>,
    /// When endpoints end by themselves.
    ends: Mutex<BTreeMap<Arc<str>, Instant>>,
    /// Somebody's end is new.
    ending: Notify,
}

impl Board {
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            seen: watch::channel(Arc::default()).0,
            ends: Mutex::default(),
            ending: Notify::new(),
        })
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Endpoints>> {
        self.seen.subscribe()
    }

    /// Puts `after` in place of `before`. What is the same stays the same `Arc`, and nobody is told when all is.
    fn replace(&self, before: &[Arc<str>], after: &[Arc<Endpoint>]) {
        let gone = |id: &&Arc<str>| !after.iter().any(|endpoint| endpoint.id == **id);
        let gone: Vec<_> = before.iter().filter(gone).collect();
        self.seen.send_if_modified(|state| {
            let is_new = |endpoint: &&Arc<Endpoint>| state.get(&endpoint.id) != Some(*endpoint);
            let new: Vec<_> = after.iter().filter(is_new).collect();
            if new.is_empty() && gone.is_empty() {
                return false;
            }
            let state = Arc::make_mut(state);
            for id in gone {
                state.remove(id);
            }
            for endpoint in new {
                state.insert(Arc::clone(&endpoint.id), Arc::clone(endpoint));
            }
            true
        });
    }

    /// Takes endpoints away when their time is over, for ever.
    pub(crate) async fn expire(&self) {
        loop {
            let now = Instant::now();
            let next = {
                let mut ends = self.ends.lock();
                let mut over = Vec::new();
                ends.retain(|id, end| {
                    let stays = *end > now;
                    if !stays {
                        over.push(Arc::clone(id));
                    }
                    stays
                });
                // Within the lock: one that begins again meanwhile must not be taken for the old one.
                self.replace(&over, &[]);
                ends.values().min().copied()
            };
            match next {
                Some(next) => tokio::select! {
                    () = tokio::time::sleep_until(next) => {}
                    () = self.ending.notified() => {}
                },
                None => self.ending.notified().await,
            }
        }
    }
}

/// The objects of one collection, by the endpoints that they have.
pub(crate) struct Collection {
    board: Arc<Board>,
    objects: BTreeMap<(String, String), Known>,
    /// Since when a list is under way: what it does not name is gone.
    round: u64,
}

struct Known {
    ids: Vec<Arc<str>>,
    round: u64,
}

impl Collection {
    pub(crate) fn new(board: &Arc<Board>) -> Self {
        Self {
            board: Arc::clone(board),
            objects: BTreeMap::new(),
            round: 0,
        }
    }

    fn forget(&mut self, ids: &[Arc<str>]) {
        let mut ends = self.board.ends.lock();
        for id in ids {
            ends.remove(id);
        }
        self.board.replace(ids, &[]);
    }
}

fn key(object: &impl Object) -> (String, String) {
    let metadata = object.metadata();
    (metadata.namespace.clone(), metadata.name.clone())
}

impl<T: Object + Observed> Keep<T> for Collection {
    fn listing(&mut self) {
        self.round += 1;
    }

    fn put(&mut self, object: T) {
        let board = &self.board;
        let mut after = Vec::new();
        let mut ends = Vec::new();
        for lasting in object.endpoints(&board.settings, Timestamp::now()) {
            let id = Arc::clone(&lasting.endpoint.id);
            ends.push((id, lasting.left.map(|left| Instant::now() + left)));
            after.push(Arc::new(lasting.endpoint));
        }
        let known = Known {
            ids: after
                .iter()
                .map(|endpoint| Arc::clone(&endpoint.id))
                .collect(),
            round: self.round,
        };
        let before = self.objects.insert(key(&object), known);
        let before = before.map(|known| known.ids).unwrap_or_default();
        let mut all = board.ends.lock();
        for id in &before {
            all.remove(id);
        }
        let mut ending = false;
        for (id, end) in ends {
            if let Some(end) = end {
                all.insert(id, end);
                ending = true;
            }
        }
        board.replace(&before, &after);
        drop(all);
        if ending {
            board.ending.notify_one();
        }
    }

    fn listed(&mut self) {
        let round = self.round;
        let mut gone = Vec::new();
        self.objects.retain(|_, known| {
            let stays = known.round == round;
            if !stays {
                gone.append(&mut known.ids);
            }
            stays
        });
        self.forget(&gone);
    }

    fn delete(&mut self, object: T) {
        if let Some(known) = self.objects.remove(&key(&object)) {
            self.forget(&known.ids);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::objects::Pod;

    fn board() -> Arc<Board> {
        Board::new(Settings {
            observer: "o".to_owned(),
            phases: vec!["Running".to_owned()],
            init_containers: false,
            terminated: Duration::from_secs(600),
        })
    }

    fn pod(name: &str, label: &str, ended: bool) -> Pod {
        let state = if ended {
            json!({"terminated": {"finishedAt": Timestamp::now().to_string()}})
        } else {
            json!({"running": {}})
        };
        serde_json::from_value(json!({
            "metadata": {"name": name, "uid": name, "labels": {"l": label}},
            "spec": {"containers": [{"name": "c"}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{"name": "c", "state": state}]},
        }))
        .unwrap()
    }

    fn ids(seen: &mut watch::Receiver<Arc<Endpoints>>) -> Vec<String> {
        let state = seen.borrow_and_update();
        state.keys().map(|id| id.to_string()).collect()
    }

    #[tokio::test]
    async fn a_list_that_says_the_same_changes_nothing() {
        let board = board();
        let mut seen = board.subscribe();
        let mut pods = Collection::new(&board);
        Keep::<Pod>::listing(&mut pods);
        pods.put(pod("a", "1", false));
        pods.put(pod("b", "1", false));
        Keep::<Pod>::listed(&mut pods);
        assert_eq!(ids(&mut seen), ["o/a", "o/a/c", "o/b", "o/b/c"]);
        let before = Arc::clone(&seen.borrow()["o/a"]);

        Keep::<Pod>::listing(&mut pods);
        pods.put(pod("a", "1", false));
        pods.put(pod("b", "1", false));
        Keep::<Pod>::listed(&mut pods);
        assert!(!seen.has_changed().unwrap(), "nobody is told of nothing");

        // One changed, one is gone.
        Keep::<Pod>::listing(&mut pods);
        pods.put(pod("a", "2", false));
        Keep::<Pod>::listed(&mut pods);
        assert_eq!(ids(&mut seen), ["o/a", "o/a/c"]);
        let after = Arc::clone(&seen.borrow()["o/a"]);
        assert!(before != after);

        pods.delete(pod("a", "2", false));
        assert!(ids(&mut seen).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_container_that_ended_goes_when_its_time_is_over() {
        let board = board();
        let mut seen = board.subscribe();
        let mut pods = Collection::new(&board);
        let watching = async {
            pods.put(pod("a", "1", true));
            assert_eq!(ids(&mut seen), ["o/a", "o/a/c"]);
            let began = Instant::now();
            seen.changed().await.unwrap();
            assert_eq!(ids(&mut seen), ["o/a"]);
            let lasted = began.elapsed();
            assert!(lasted > Duration::from_secs(590), "{lasted:?}");
            // It runs again, and so it stays.
            pods.put(pod("a", "1", true));
            pods.put(pod("a", "1", false));
            seen.mark_unchanged();
            let quiet = tokio::time::timeout(Duration::from_secs(3600), seen.changed());
            assert!(quiet.await.is_err(), "it is gone although it runs");
        };
        tokio::select! {
            () = board.expire() => {}
            () = watching => {}
        }
    }

    proptest! {
        /// Lists that begin again, that say less than before, watches in between: in the end that is seen which was told last.
        #[test]
        fn what_is_seen_is_what_was_told(told in prop::collection::vec((0..6_u8, 0..4_usize, 0..3_u8), 0..60)) {
            let board = board();
            let seen = board.subscribe();
            let mut pods = Collection::new(&board);
            let mut model: BTreeMap<String, String> = BTreeMap::new();
            // What the list that is under way has named.
            let mut listed: Option<BTreeMap<String, String>> = None;
            for (what, name, label) in told {
                let (name, label) = (format!("p{name}"), label.to_string());
                match what {
                    0 => {
                        Keep::<Pod>::listing(&mut pods);
                        listed = Some(BTreeMap::new());
                    }
                    1 => {
                        if let Some(named) = listed.take() {
                            Keep::<Pod>::listed(&mut pods);
                            model = named;
                        }
                    }
                    2 => {
                        // Only a watch tells of deletions.
                        if listed.is_none() {
                            pods.delete(pod(&name, "0", false));
                            model.remove(&name);
                        }
                    }
                    _ => {
                        pods.put(pod(&name, &label, false));
                        if let Some(named) = &mut listed {
                            named.insert(name.clone(), label.clone());
                        }
                        model.insert(name, label);
                    }
                }
            }
            let state = seen.borrow();
            let pods = state.values().filter(|endpoint| endpoint.kind == "pod");
            let now: BTreeMap<String, String> = pods
                .map(|endpoint| {
                    let label = endpoint.fields["labels"]["l"].as_str().unwrap();
                    (endpoint.fields["name"].as_str().unwrap().to_owned(), label.to_owned())
                })
                .collect();
            prop_assert_eq!(state.len(), 2 * model.len());
            prop_assert_eq!(now, model);
        }
    }
}
