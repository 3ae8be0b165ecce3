//! `sending_queue::batch`: putting small parts together and cutting large ones, behind the queue.

use std::collections::VecDeque;
use std::time::Duration;

use corten_component::{Batch, Tasks};
use corten_config::settings::{Queue, Sizer};
use tokio::time::Instant;

use crate::courier::Group;
use crate::memory::size;
use crate::part::Part;

/// Bytes of open groups beyond which the oldest goes, full or not.
const HELD: u64 = 32 << 20;

/// How to group.
#[derive(Debug, Clone)]
pub(crate) struct Grouping {
    sizer: Sizer,
    min: u64,
    /// `None`: no limit.
    max: Option<u64>,
    timeout: Duration,
    metadata_keys: Vec<String>,
}

impl Grouping {
    /// What the configuration says; `None` when it does not ask for batching.
    pub(crate) fn of(queue: &Queue) -> Option<Self> {
        let batch = queue.batch.as_ref()?;
        Some(Self {
            sizer: queue.batch_sizer(),
            min: batch.min_size,
            max: (batch.max_size > 0).then_some(batch.max_size),
            timeout: batch.flush_timeout.get(),
            metadata_keys: batch.partition.metadata_keys.clone(),
        })
    }

    fn mergeable(&self, one: &Batch, other: &Batch) -> bool {
        // Without keys of their own batches merge as they do everywhere: with equal metadata.
        if self.metadata_keys.is_empty() || std::sync::Arc::ptr_eq(&one.metadata, &other.metadata) {
            return one.mergeable_with(other);
        }
        one.with_data(one.data.clone())
            .with_metadata(std::sync::Arc::clone(&other.metadata))
            .mergeable_with(other)
            && self
                .metadata_keys
                .iter()
                .all(|key| one.metadata.get(key).eq(other.metadata.get(key)))
    }
}

struct Open {
    parts: Vec<Part>,
    size: u64,
    bytes: u64,
    due: Instant,
}

/// Collects parts from `pop` and hands groups to `emit`, until `pop` ends.
pub(crate) async fn run<P, E>(
    grouping: Grouping,
    tasks: Tasks,
    mut pop: impl FnMut() -> P,
    mut emit: impl FnMut(Group) -> E,
) where
    P: Future<Output = Option<Part>>,
    E: Future<Output = ()>,
{
    let mut open: VecDeque<Open> = VecDeque::new();
    loop {
        let due = open.front().map(|group| group.due);
        let part = tokio::select! {
            biased;
            part = pop() => part,
            () = sleep_until(due) => {
                flush_front(&mut open, &mut emit).await;
                continue;
            }
            () = tasks.stopping(), if !open.is_empty() => {
                while !open.is_empty() {
                    flush_front(&mut open, &mut emit).await;
                }
                continue;
            }
        };
        let Some(part) = part else {
            break;
        };
        for group in add(&grouping, &mut open, part) {
            emit(group).await;
        }
        while open.iter().map(|group| group.bytes).sum::<u64>() > HELD {
            flush_front(&mut open, &mut emit).await;
        }
    }
    while !open.is_empty() {
        flush_front(&mut open, &mut emit).await;
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

async fn flush_front<E: Future<Output = ()>>(
    open: &mut VecDeque<Open>,
    emit: &mut impl FnMut(Group) -> E,
) {
    if let Some(group) = open.pop_front() {
        emit(Group { parts: group.parts }).await;
    }
}

/// Adds a part to the group it belongs to; returns the groups that are complete.
fn add(grouping: &Grouping, open: &mut VecDeque<Open>, mut part: Part) -> Vec<Group> {
    let mut complete = Vec::new();
    loop {
        let index = open.iter().position(|group| {
            let first = group.parts.first();
            first.is_some_and(|first| grouping.mergeable(&first.batch, &part.batch))
        });
        let held = index
            .and_then(|index| open.get(index))
            .map_or(0, |group| group.size);
        let len = size(grouping.sizer, &part.batch);
        let over = grouping.max.filter(|max| held.saturating_add(len) > *max);
        if let Some(max) = over {
            // Cut at what still fits; bytes are cut by their share of the items.
            let fits = max.saturating_sub(held);
            let count = match grouping.sizer {
                Sizer::Bytes => {
                    let items = size(Sizer::Items, &part.batch);
                    items.saturating_mul(fits) / len.max(1)
                }
                _ => fits,
            };
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            if let Some(head) = part.take_items(count) {
                push(grouping, open, index, head);
                if let Some(group) = take(open, index) {
                    complete.push(group);
                }
                continue;
            }
            if held > 0 {
                // Not even one item fits: the group goes as it is.
                complete.extend(take(open, index));
                continue;
            }
            // A single item over the limit travels alone.
        }
        push(grouping, open, index, part);
        let at = index.unwrap_or(open.len().saturating_sub(1));
        if open.get(at).is_some_and(|group| group.size >= grouping.min) {
            complete.extend(take(open, Some(at)));
        }
        return complete;
    }
}

fn push(grouping: &Grouping, open: &mut VecDeque<Open>, index: Option<usize>, part: Part) {
    let len = size(grouping.sizer, &part.batch);
    let bytes = size(Sizer::Bytes, &part.batch);
    match index.and_then(|index| open.get_mut(index)) {
        Some(group) => {
            group.size += len;
            group.bytes += bytes;
            group.parts.push(part);
        }
        None => open.push_back(Open {
            parts: vec![part],
            size: len,
            bytes,
            due: Instant::now() + grouping.timeout,
        }),
    }
}

/// Takes the group at `index`, or the one that was just opened.
fn take(open: &mut VecDeque<Open>, index: Option<usize>) -> Option<Group> {
    let at = index.unwrap_or(open.len().saturating_sub(1));
    open.remove(at).map(|group| Group { parts: group.parts })
}
