//! Which watchers an event concerns. Pure but for the queues it puts events into.
//!
//! A watcher stands in one index, that of the narrowest thing it selects, so an event visits only those whose key, namespace, name or
//! field value it has, and those that select none of these.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{
    state::Event,
    watcher::{EventKind, WatchEvent},
};
use crate::storage::{
    key::{KeyRange, Keys},
    options::{Scope, Select},
};

/// Identifies a watcher within its cache.
pub type WatcherId = u64;

/// The narrowest thing that a watcher selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interest {
    /// One object.
    Key(Bytes),
    /// Objects whose routing field has this value.
    Field(String),
    /// The objects of a namespace.
    Namespace(String),
    /// The objects of a name, in any namespace.
    Name(String),
    /// Everything.
    All,
}

/// What a watcher wants to see.
#[derive(Debug, Clone)]
pub struct View {
    /// The keys.
    pub range: KeyRange,
    /// Which of their objects.
    pub selector: Arc<dyn Select>,
    /// Only what happens after this revision.
    pub after: i64,
}

impl View {
    /// What the event is in the eyes of this watcher, if anything: an object that begins to be selected is added, one that ceases to be
    /// is deleted.
    pub fn see(&self, event: &Event) -> Option<WatchEvent> {
        let key = event.key()?;
        if event.revision <= self.after || *key < self.range.start || *key >= self.range.end {
            return None;
        }
        let selected = |entry: &&Arc<crate::storage::Entry>| self.selector.matches(&entry.attributes);
        let current = event.current.as_ref().filter(selected);
        let previous = event.previous.as_ref().filter(selected);
        let (kind, entry) = match (current, previous) {
            (Some(current), None) => (EventKind::Added, Arc::clone(current)),
            (Some(current), Some(_)) => (EventKind::Modified, Arc::clone(current)),
            (None, Some(_)) => (EventKind::Deleted, event.departed()?),
            (None, None) => return None,
        };
        Some(WatchEvent::Object { kind, entry, frames: Arc::clone(&event.frames) })
    }
}

/// A watcher as the writer sees it.
#[derive(Debug)]
pub struct Slot {
    /// What it wants to see.
    pub view: View,
    /// Its queue.
    pub queue: mpsc::Sender<WatchEvent>,
    /// Set while the watcher is behind: then it reads the history ring from here on by itself, and its queue gets nothing.
    pub parked_at: Option<u64>,
    /// Tells the watcher that it is parked.
    pub parked: Arc<AtomicBool>,
    interest: Interest,
}

impl Slot {
    /// Queues the event, at `position` of the ring, if it concerns the watcher. One whose queue is full is parked.
    fn offer(&mut self, event: &Event, position: u64) {
        if self.parked_at.is_some() {
            return;
        }
        let Some(seen) = self.view.see(event) else { return };
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(seen) {
            self.park(position);
        }
    }

    /// From `position` on the watcher reads the ring.
    pub fn park(&mut self, position: u64) {
        self.parked_at = Some(position);
        self.parked.store(true, Ordering::Release);
    }

    /// The watcher has read all there is: events go to its queue again.
    pub fn attach(&mut self) {
        self.parked_at = None;
        self.parked.store(false, Ordering::Release);
    }
}

/// All watchers of a cache by what they select.
#[derive(Debug, Default)]
pub struct Routes {
    slots: HashMap<WatcherId, Slot>,
    next_id: WatcherId,
    by_key: HashMap<Bytes, Vec<WatcherId>>,
    by_field: HashMap<String, Vec<WatcherId>>,
    by_namespace: HashMap<String, Vec<WatcherId>>,
    by_name: HashMap<String, Vec<WatcherId>>,
    all: Vec<WatcherId>,
}

impl Routes {
    /// Adds a watcher.
    pub fn add(
        &mut self,
        interest: Interest,
        view: View,
        queue: mpsc::Sender<WatchEvent>,
        parked: Arc<AtomicBool>,
    ) -> WatcherId {
        let id = self.next_id;
        self.next_id += 1;
        self.index(&interest, |ids| ids.push(id));
        self.slots.insert(id, Slot { view, queue, parked_at: None, parked, interest });
        id
    }

    /// Removes a watcher.
    pub fn remove(&mut self, id: WatcherId) {
        if let Some(slot) = self.slots.remove(&id) {
            self.index(&slot.interest, |ids| ids.retain(|other| *other != id));
        }
    }

    /// Removes all watchers; their queues end.
    pub fn clear(&mut self) {
        *self = Self { next_id: self.next_id, ..Self::default() };
    }

    /// A watcher, unless it has been removed.
    pub fn get_mut(&mut self, id: WatcherId) -> Option<&mut Slot> {
        self.slots.get_mut(&id)
    }

    /// Whether nobody watches.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Queues the event at `position` of the ring for all whom it concerns.
    pub fn deliver(&mut self, event: &Event, position: u64, keys: &Keys, routing_field: Option<&str>) {
        if self.slots.is_empty() {
            return;
        }
        let Some(key) = event.key() else { return };
        let (namespace, name) = keys.parse(key).unwrap_or_default();
        let value = |entry: &Option<Arc<crate::storage::Entry>>| {
            Some(entry.as_ref()?.attributes.field(routing_field?).unwrap_or_default().to_owned())
        };
        let (now, before) = (value(&event.current), value(&event.previous));
        let before = before.filter(|before| Some(before) != now.as_ref());

        let concerned = [
            self.by_key.get(key),
            self.by_namespace.get(namespace),
            self.by_name.get(name),
            now.and_then(|value| self.by_field.get(&value)),
            before.and_then(|value| self.by_field.get(&value)),
            Some(&self.all),
        ];
        for id in concerned.into_iter().flatten().flatten() {
            if let Some(slot) = self.slots.get_mut(id) {
                slot.offer(event, position);
            }
        }
    }

    fn index(&mut self, interest: &Interest, change: impl FnOnce(&mut Vec<WatcherId>)) {
        fn at<K: Hash + Eq + Clone>(
            index: &mut HashMap<K, Vec<WatcherId>>,
            key: &K,
            change: impl FnOnce(&mut Vec<WatcherId>),
        ) {
            let ids = index.entry(key.clone()).or_default();
            change(ids);
            if ids.is_empty() {
                index.remove(key);
            }
        }
        match interest {
            Interest::Key(key) => at(&mut self.by_key, key, change),
            Interest::Field(value) => at(&mut self.by_field, value, change),
            Interest::Namespace(namespace) => at(&mut self.by_namespace, namespace, change),
            Interest::Name(name) => at(&mut self.by_name, name, change),
            Interest::All => change(&mut self.all),
        }
    }
}

/// The narrowest thing that scope and selector pin down. The scope has been narrowed by the selector already ([`Keys::narrow`]).
pub fn interest(keys: &Keys, scope: &Scope, selector: &dyn Select, routing_field: Option<&str>) -> Interest {
    let namespace = scope.namespace.as_deref().filter(|namespace| keys.is_namespaced() && !namespace.is_empty());
    let name = scope.name.as_deref().filter(|name| !name.is_empty());
    if let Some(name) = name
        && (namespace.is_some() || !keys.is_namespaced())
        && let Ok(key) = keys.object(namespace.unwrap_or_default(), name)
    {
        return Interest::Key(key);
    }
    if let Some(value) = routing_field.and_then(|field| selector.exact_field(field)) {
        return Interest::Field(value.to_owned());
    }
    match (namespace, name) {
        (Some(namespace), _) => Interest::Namespace(namespace.to_owned()),
        (None, Some(name)) => Interest::Name(name.to_owned()),
        (None, None) => Interest::All,
    }
}
