//! The store's own account of its past: every event from the first revision on, as a watch of everything tells it.

use std::collections::BTreeMap;

use pintle_proto::mvccpb::Event;
use pintle_proto::mvccpb::event::EventType;

use super::model::{FIRST_REVISION, State};
use super::{Guarantee, Violation};

/// All revisions, each with its events and what they left.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    revisions: BTreeMap<i64, (Vec<Event>, State)>,
}

impl Replay {
    /// Reads an account from revision 2 on and checks that it follows from itself.
    ///
    /// # Errors
    /// [`Guarantee::Consistent`] if a revision is missing, or an event does not follow from what was there before it.
    pub fn of(events: impl IntoIterator<Item = Event>) -> Result<Self, Violation> {
        let mut revisions: BTreeMap<i64, (Vec<Event>, State)> = BTreeMap::new();
        let mut state = State::default();
        for event in events {
            let revision = revision_of(&event);
            if revision != state.revision && revision != state.revision + 1 || revision <= FIRST_REVISION {
                let after = state.revision;
                return Err(
                    Guarantee::Consistent.broken(format!("revision {after} is followed by {}", describe(&event)))
                );
            }
            state.revision = revision;
            take(&mut state, &event)?;
            let entry = revisions.entry(revision).or_insert_with(|| (Vec::new(), state.clone()));
            entry.0.push(event);
            entry.1 = state.clone();
        }
        Ok(Self { revisions })
    }

    /// The last revision.
    pub fn last(&self) -> i64 {
        self.revisions.last_key_value().map_or(FIRST_REVISION, |(revision, _)| *revision)
    }

    /// The events of a revision; none if it has none.
    pub fn events(&self, revision: i64) -> &[Event] {
        self.revisions.get(&revision).map_or(&[], |(events, _)| events)
    }

    /// What a revision left.
    pub fn state(&self, revision: i64) -> Option<State> {
        if revision == FIRST_REVISION {
            return Some(State::default());
        }
        self.revisions.get(&revision).map(|(_, state)| state.clone())
    }

    /// The events of `revisions` whose keys `wanted` takes.
    pub fn between(
        &self,
        revisions: std::ops::RangeInclusive<i64>,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> impl Iterator<Item = &Event> {
        let none = revisions.is_empty();
        let revisions = if none { 0..=0 } else { revisions };
        let all = self.revisions.range(revisions).flat_map(|(_, (events, _))| events);
        all.filter(move |event| event.kv.as_ref().is_some_and(|kv| wanted(&kv.key)))
    }

    /// Checks another account of the same past, which may begin later, as one does after a compaction.
    ///
    /// # Errors
    /// [`Guarantee::Consistent`] if they differ where both speak.
    pub fn agrees<'a>(&self, from: i64, other: impl IntoIterator<Item = &'a Event>) -> Result<(), Violation> {
        let mut own = self.between(from..=i64::MAX, |_| true);
        for event in other {
            let expected = own.next();
            if expected != Some(event) {
                let expected = expected.map_or_else(|| "nothing".to_owned(), describe);
                return Err(Guarantee::Consistent.broken(format!("{} where others have {expected}", describe(event))));
            }
        }
        own.next().map_or(Ok(()), |missing| {
            Err(Guarantee::Consistent.broken(format!("it ends before {}", describe(missing))))
        })
    }
}

/// Applies an event if it follows from the state.
fn take(state: &mut State, event: &Event) -> Result<(), Violation> {
    let broken = |what: &str| {
        let key = event.kv.as_ref().map(|kv| kv.key.clone()).unwrap_or_default();
        let before = state.keys.get(&key).map_or_else(|| "no such key".to_owned(), |kv| format!("{kv:?}"));
        Guarantee::Consistent.broken(format!("{what} of {} does not follow from {before}", describe(event)))
    };
    let Some(kv) = &event.kv else { return Err(broken("the missing key")) };
    let previous = state.keys.get(&kv.key);
    if event.prev_kv.as_ref() != previous {
        return Err(broken("the previous value"));
    }
    if event.r#type() == EventType::Delete {
        if previous.is_none() {
            return Err(broken("the deletion"));
        }
        state.keys.remove(&kv.key);
        return Ok(());
    }
    let create_revision = previous.map_or(kv.mod_revision, |previous| previous.create_revision);
    let version = previous.map_or(0, |previous| previous.version) + 1;
    if (kv.create_revision, kv.version) != (create_revision, version) {
        return Err(broken("the version"));
    }
    state.keys.insert(kv.key.clone(), kv.clone());
    Ok(())
}

/// The revision that an event belongs to.
pub fn revision_of(event: &Event) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}

/// An event in a few words.
pub fn describe(event: &Event) -> String {
    let Some(kv) = &event.kv else { return "an event without a key".to_owned() };
    let key = String::from_utf8_lossy(&kv.key);
    match event.r#type() {
        EventType::Put => {
            format!("put {key}={} at revision {}", String::from_utf8_lossy(&kv.value), kv.mod_revision)
        }
        EventType::Delete => format!("delete {key} at revision {}", kv.mod_revision),
    }
}

#[cfg(test)]
mod tests {
    use super::super::workload::tests::sequential;
    use super::*;

    #[test]
    fn an_account_that_follows_from_itself_is_read() {
        let (_, events) = sequential(1, 200);
        let replay = Replay::of(events.clone()).unwrap();
        assert_eq!(replay.last(), revision_of(events.last().unwrap()));
        let middle = replay.last() / 2;
        let later: Vec<Event> = events.into_iter().filter(|event| revision_of(event) >= middle).collect();
        replay.agrees(middle, &later).unwrap();
        assert!(replay.agrees(middle, &later[1..]).is_err());
        assert!(replay.agrees(middle, &later[..later.len() - 1]).is_err());
    }

    #[test]
    fn one_that_does_not_is_refused() {
        let (_, events) = sequential(2, 100);
        for index in 0..events.len() - 1 {
            // The last event of a revision of several can only be missed by its successors of the same key.
            if revision_of(&events[index]) == revision_of(&events[index + 1]) {
                continue;
            }
            let mut swapped = events.clone();
            swapped.swap(index, index + 1);
            assert_eq!(Replay::of(swapped).unwrap_err().guarantee, Guarantee::Consistent, "{index} swapped");
            let mut without_previous = events.clone();
            if without_previous[index].prev_kv.take().is_some() {
                assert!(Replay::of(without_previous).is_err(), "{index} without its previous value");
            }
        }
    }
}
