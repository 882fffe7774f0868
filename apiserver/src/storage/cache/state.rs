//! What a cache holds: the objects as of one revision, and enough of the past to go back. Pure: no clock, no tasks.
//!
//! The objects are a persistent map, so that a reader takes the whole of it in constant time and is never in the writer's way. Every
//! change goes into the history ring; every [`Limits::changes_per_checkpoint`] changes the map of that moment is kept too. The state at
//! any revision that the ring reaches back to is the next checkpoint after it, or the present, with the changes since undone.

use std::{
    collections::VecDeque,
    ops::Bound,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use imbl::OrdMap;

use crate::storage::{
    entry::{Encodings, Entry},
    key::KeyRange,
};

/// How much history a cache keeps.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Changes are kept at least this long, as far as the two bounds below allow.
    pub fresh_for: Duration,
    /// Changes kept however old they are.
    pub min_changes: usize,
    /// Changes kept at most.
    pub max_changes: usize,
    /// Stored bytes that the kept changes may hold at most (the newest change is always kept).
    pub max_bytes: usize,
    /// Every how many changes the state is kept whole.
    pub changes_per_checkpoint: usize,
    /// For how many of the newest changes the frames made for watchers are kept.
    pub framed_changes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fresh_for: Duration::from_secs(75),
            min_changes: 1024,
            max_changes: 100 * 1024,
            max_bytes: 64 << 20,
            changes_per_checkpoint: 256,
            framed_changes: 512,
        }
    }
}

/// The objects of a collection at one moment. Cloning takes constant time.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    by_key: OrdMap<Bytes, Arc<Entry>>,
    /// The same by the value of the routing field.
    by_field: OrdMap<(Box<str>, Bytes), Arc<Entry>>,
}

impl Objects {
    /// The object of a key.
    pub fn get(&self, key: &[u8]) -> Option<&Arc<Entry>> {
        self.by_key.get(key)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.by_key.len()
    }

    /// The objects of a range in the order of their keys.
    pub fn range<'a>(&'a self, range: &KeyRange) -> impl Iterator<Item = &'a Arc<Entry>> + use<'a> {
        let bounds = (Bound::Included(range.start.as_ref()), Bound::Excluded(range.end.as_ref()));
        self.by_key.range::<_, [u8]>(bounds).map(|(_, entry)| entry)
    }

    /// The objects of a range whose routing field has this value, in the order of their keys.
    pub fn range_with_field<'a>(
        &'a self,
        value: &str,
        range: &KeyRange,
    ) -> impl Iterator<Item = &'a Arc<Entry>> + use<'a> {
        let start = (Box::from(value), range.start.clone());
        let end = (Box::from(value), range.end.clone());
        self.by_field.range((Bound::Included(start), Bound::Excluded(end))).map(|(_, entry)| entry)
    }

    /// Puts an object in the place of its predecessor, which is returned.
    fn insert(&mut self, entry: Arc<Entry>, routing_field: Option<&str>) -> Option<Arc<Entry>> {
        let value = routing_field.map(|field| field_value(&entry, field));
        let previous = self.by_key.insert(entry.key.clone(), Arc::clone(&entry));
        if let (Some(field), Some(value)) = (routing_field, value) {
            if let Some(previous) = &previous {
                let old = field_value(previous, field);
                if old != value {
                    self.by_field.remove(&(old, entry.key.clone()));
                }
            }
            self.by_field.insert((value, entry.key.clone()), entry);
        }
        previous
    }

    fn remove(&mut self, key: &Bytes, routing_field: Option<&str>) -> Option<Arc<Entry>> {
        let previous = self.by_key.remove(key.as_ref())?;
        if let Some(field) = routing_field {
            self.by_field.remove(&(field_value(&previous, field), key.clone()));
        }
        Some(previous)
    }
}

fn field_value(entry: &Entry, field: &str) -> Box<str> {
    Box::from(entry.attributes.field(field).unwrap_or_default())
}

/// A change with what it replaced, shared by the ring and all watchers.
#[derive(Debug)]
pub struct Event {
    /// The revision of the change.
    pub revision: i64,
    /// The object after it; `None` if it was deleted.
    pub current: Option<Arc<Entry>>,
    /// The object before it; `None` if there was none.
    pub previous: Option<Arc<Entry>>,
    /// Frames made for watchers.
    pub frames: Arc<Encodings>,
    departed: OnceLock<Option<Arc<Entry>>>,
    /// When it arrived, on the clock of whoever called [`State::apply`].
    at: Duration,
}

impl Event {
    /// The key that changed.
    pub fn key(&self) -> Option<&Bytes> {
        self.current.as_ref().or(self.previous.as_ref()).map(|entry| &entry.key)
    }

    /// The object before the change at the revision of the change: what those see for whom it is deleted.
    pub fn departed(&self) -> Option<Arc<Entry>> {
        self.departed.get_or_init(|| Some(Arc::new(self.previous.as_ref()?.at(self.revision)))).clone()
    }

    fn bytes(&self) -> usize {
        self.current.as_ref().or(self.previous.as_ref()).map_or(0, |entry| entry.stored.len() + entry.key.len())
    }
}

/// What a change does to one key, read and ready to be applied.
#[derive(Debug, Clone)]
pub enum Update {
    /// The object is now this.
    Put(Arc<Entry>),
    /// The object is gone.
    Delete {
        /// Its key.
        key: Bytes,
        /// The revision of the deletion.
        revision: i64,
    },
}

/// The objects as of some revision with their recent history.
#[derive(Debug)]
pub struct State {
    limits: Limits,
    routing_field: Option<String>,
    objects: Objects,
    /// The objects are complete as of this revision.
    revision: i64,
    /// The newest changes, oldest first.
    ring: VecDeque<Arc<Event>>,
    /// How many changes have left the ring since the beginning: the position of its first.
    dropped: u64,
    ring_bytes: usize,
    /// All changes after this revision are in the ring.
    complete_since: i64,
    /// Whole states of moments within the ring, oldest first.
    checkpoints: VecDeque<Checkpoint>,
}

#[derive(Debug, Clone)]
struct Checkpoint {
    /// The position of the first change that is not in it.
    position: u64,
    objects: Objects,
}

/// How to get at the state of a past revision: a state after it and the changes in between.
#[derive(Debug)]
pub struct Past {
    objects: Objects,
    changes: Vec<Arc<Event>>,
    routing_field: Option<String>,
}

impl Past {
    /// Does the work; needs no access to the cache any more.
    pub fn objects(self) -> Objects {
        let mut objects = self.objects;
        let routing_field = self.routing_field.as_deref();
        for event in self.changes.iter().rev() {
            match (&event.previous, event.key()) {
                (Some(previous), _) => drop(objects.insert(Arc::clone(previous), routing_field)),
                (None, Some(key)) => drop(objects.remove(key, routing_field)),
                (None, None) => {}
            }
        }
        objects
    }
}

impl State {
    /// The state that a list at `revision` found.
    pub fn new(limits: Limits, routing_field: Option<String>, entries: Vec<Arc<Entry>>, revision: i64) -> Self {
        let mut objects = Objects::default();
        for entry in entries {
            objects.insert(entry, routing_field.as_deref());
        }
        Self {
            limits,
            routing_field,
            objects,
            revision,
            ring: VecDeque::new(),
            dropped: 0,
            ring_bytes: 0,
            complete_since: revision,
            checkpoints: VecDeque::new(),
        }
    }

    /// The objects now.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The revision that the objects are complete as of.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Every change after this revision is at hand, and the state at it.
    pub fn complete_since(&self) -> i64 {
        self.complete_since
    }

    /// The position of the next change.
    pub fn end(&self) -> u64 {
        self.dropped + self.ring.len() as u64
    }

    /// Nothing has changed up to this revision.
    pub fn advance(&mut self, revision: i64) {
        self.revision = self.revision.max(revision);
    }

    /// Applies the changes of one or more whole revisions, in order, and returns them as events; `now` counts from any fixed moment.
    /// Changes that the state already holds are passed over.
    pub fn apply(&mut self, updates: Vec<Update>, now: Duration) -> Vec<Arc<Event>> {
        let known = self.revision;
        let mut events = Vec::with_capacity(updates.len());
        for update in updates {
            let (revision, current, previous) = match update {
                Update::Put(entry) if entry.revision > known => {
                    let previous = self.objects.insert(Arc::clone(&entry), self.routing_field.as_deref());
                    (entry.revision, Some(entry), previous)
                }
                Update::Delete { key, revision } if revision > known => {
                    let Some(previous) = self.objects.remove(&key, self.routing_field.as_deref()) else { continue };
                    (revision, None, Some(previous))
                }
                Update::Put(_) | Update::Delete { .. } => continue,
            };
            if let Some(previous) = &previous {
                previous.forget_encodings();
            }
            let event = Arc::new(Event {
                revision,
                current,
                previous,
                frames: Arc::default(),
                departed: OnceLock::new(),
                at: now,
            });
            self.revision = self.revision.max(revision);
            self.remember(Arc::clone(&event));
            events.push(event);
        }
        self.forget(now);
        events
    }

    fn remember(&mut self, event: Arc<Event>) {
        self.ring_bytes += event.bytes();
        self.ring.push_back(event);
        let unframed = self.ring.len().checked_sub(self.limits.framed_changes + 1);
        if let Some(event) = unframed.and_then(|at| self.ring.get(at)) {
            event.frames.clear();
        }
        let last = self.checkpoints.back().map_or(0, |checkpoint| checkpoint.position);
        if self.end() - last >= self.limits.changes_per_checkpoint as u64 {
            self.checkpoints.push_back(Checkpoint { position: self.end(), objects: self.objects.clone() });
        }
    }

    /// Lets go of the oldest changes and of the checkpoints among them.
    fn forget(&mut self, now: Duration) {
        while let Some(oldest) = self.ring.front() {
            let too_many = self.ring.len() > self.limits.max_changes
                || (self.ring_bytes > self.limits.max_bytes && self.ring.len() > 1);
            let stale =
                self.ring.len() > self.limits.min_changes && now.saturating_sub(oldest.at) > self.limits.fresh_for;
            if !too_many && !stale {
                break;
            }
            self.ring_bytes -= oldest.bytes();
            self.complete_since = oldest.revision;
            self.dropped += 1;
            self.ring.pop_front();
        }
        while self.checkpoints.front().is_some_and(|checkpoint| checkpoint.position < self.dropped) {
            self.checkpoints.pop_front();
        }
    }

    /// The way to the state as of `revision`; `None` if that lies in the future, or before [`State::complete_since`].
    pub fn at(&self, revision: i64) -> Option<Past> {
        if revision > self.revision || revision < self.complete_since {
            return None;
        }
        let wanted = self.position_after(revision);
        let after = self.checkpoints.partition_point(|checkpoint| checkpoint.position < wanted);
        let (position, objects) = match self.checkpoints.get(after) {
            Some(checkpoint) => (checkpoint.position, &checkpoint.objects),
            None => (self.end(), &self.objects),
        };
        let count = usize::try_from(position - wanted).ok()?;
        let changes = self.from(wanted)?.take(count).cloned().collect();
        Some(Past { objects: objects.clone(), changes, routing_field: self.routing_field.clone() })
    }

    /// The position of the first change after `revision`, which must not be before [`State::complete_since`].
    pub fn position_after(&self, revision: i64) -> u64 {
        self.dropped + self.ring.partition_point(|event| event.revision <= revision) as u64
    }

    /// The changes from a position on; `None` if the ring has lost some of them.
    pub fn from(&self, position: u64) -> Option<impl Iterator<Item = &Arc<Event>>> {
        let skip = usize::try_from(position.checked_sub(self.dropped)?).ok()?;
        Some(self.ring.iter().skip(skip))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::storage::{backend::prefix_end, entry::Attributes};

    const FIELD: &str = "spec.nodeName";

    fn entry(key: &str, node: &str, revision: i64) -> Arc<Entry> {
        let attributes = Attributes::new([], [(Box::from(FIELD), Box::from(node))]);
        Arc::new(Entry::new(
            Bytes::from(key.to_owned()),
            Bytes::from(format!("{key}@{revision}")),
            revision,
            Arc::new(attributes),
        ))
    }

    fn everything() -> KeyRange {
        KeyRange { start: Bytes::from_static(b"/p/"), end: prefix_end(b"/p/") }
    }

    type Model = BTreeMap<Bytes, (i64, Box<str>)>;

    fn contents(objects: &Objects) -> Model {
        objects
            .range(&everything())
            .map(|entry| (entry.key.clone(), (entry.revision, field_value(entry, FIELD))))
            .collect()
    }

    /// One revision: writes and deletions of distinct keys.
    fn revision() -> impl Strategy<Value = Vec<(u8, Option<u8>)>> {
        proptest::collection::btree_map(0..12u8, proptest::option::weighted(0.7, 0..3u8), 1..4)
            .prop_map(|changes| changes.into_iter().collect())
    }

    proptest! {
        #[test]
        fn every_revision_in_reach_reads_as_a_naive_model(
            history in vec(revision(), 1..120), max_changes in 1..80usize, every in 1..20usize, batch in 1..5usize,
        ) {
            let limits = Limits { max_changes, changes_per_checkpoint: every, ..Limits::default() };
            let mut state = State::new(limits, Some(FIELD.to_owned()), vec![entry("/p/00", "n0", 1)], 1);
            let mut model: Model = BTreeMap::from([(Bytes::from("/p/00"), (1, "n0".into()))]);
            let mut models = BTreeMap::from([(1, model.clone())]);
            let mut revision = 1;
            for chunk in history.chunks(batch) {
                let mut updates = Vec::new();
                for changes in chunk {
                    revision += 1;
                    for (key, node) in changes {
                        let key = format!("/p/{key:02}");
                        if let Some(node) = node {
                            let entry = entry(&key, &format!("n{node}"), revision);
                            model.insert(entry.key.clone(), (revision, field_value(&entry, FIELD)));
                            updates.push(Update::Put(entry));
                        } else {
                            model.remove(key.as_bytes());
                            updates.push(Update::Delete { key: Bytes::from(key), revision });
                        }
                    }
                    models.insert(revision, model.clone());
                }
                state.apply(updates, Duration::ZERO);
                state.advance(revision);
                prop_assert!(state.ring.len() <= max_changes);

                prop_assert_eq!(state.revision(), revision);
                for (at, model) in &models {
                    match state.at(*at) {
                        Some(past) => prop_assert_eq!(&contents(&past.objects()), model, "at {}", at),
                        None => prop_assert!(*at < state.complete_since(), "{} should be in reach", at),
                    }
                }
                prop_assert!(state.at(revision + 1).is_none());

                for node in ["n0", "n1", "n2"] {
                    let indexed: Vec<_> =
                        state.objects().range_with_field(node, &everything()).map(|entry| entry.key.clone()).collect();
                    let expected: Vec<_> =
                        model.iter().filter(|(_, (_, value))| &**value == node).map(|(key, _)| key.clone()).collect();
                    prop_assert_eq!(indexed, expected);
                }
            }
        }
    }

    #[test]
    fn changes_stay_while_they_are_fresh() {
        let limits = Limits { min_changes: 2, max_changes: 5, fresh_for: Duration::from_secs(10), ..Limits::default() };
        let mut state = State::new(limits, None, Vec::new(), 1);
        for revision in 2..=5 {
            state.apply(vec![Update::Put(entry("/p/x", "", revision))], Duration::from_secs(1));
        }
        assert_eq!(state.complete_since(), 1);
        state.apply(vec![Update::Put(entry("/p/x", "", 6))], Duration::from_secs(30));
        assert_eq!(state.complete_since(), 4, "two are kept whatever their age");
        for revision in 7..=20 {
            state.apply(vec![Update::Put(entry("/p/x", "", revision))], Duration::from_secs(30));
        }
        assert_eq!(state.complete_since(), 15, "five at most");
    }

    #[test]
    fn changes_seen_already_are_passed_over() {
        let mut state = State::new(Limits::default(), None, vec![entry("/p/x", "", 5)], 7);
        let events = state.apply(
            vec![
                Update::Put(entry("/p/x", "", 6)),
                Update::Delete { key: Bytes::from("/p/x"), revision: 7 },
                Update::Delete { key: Bytes::from("/p/unknown"), revision: 8 },
                Update::Put(entry("/p/x", "", 9)),
            ],
            Duration::ZERO,
        );
        assert_eq!(events.iter().map(|event| event.revision).collect::<Vec<_>>(), [9]);
        assert_eq!(events[0].departed().map(|entry| entry.revision), Some(9));
    }
}
