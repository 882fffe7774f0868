//! Whether a watcher was told what etcd's watch promises: events ordered, unique, reliable, atomic, resumable, bookmarkable,
//! each with its previous value.

use bytes::Bytes;
use pintle_proto::mvccpb::Event;

use super::model::is_within;
use super::replay::{Replay, describe, revision_of};
use super::{Guarantee, Violation};

/// What one watcher asked for and was told.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// The first key.
    pub key: Bytes,
    /// The key after the last, as etcd reads it.
    pub range_end: Bytes,
    /// Whether previous values were asked for.
    pub prev_kv: bool,
    /// The revision that it began at.
    pub from: i64,
    /// What happened to it, in order.
    pub notes: Vec<Note>,
}

/// What a watcher was told, or did.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    /// A response with events.
    Events {
        /// The header's revision.
        revision: i64,
        /// The events.
        events: Vec<Event>,
    },
    /// A response without, which tells that everything through this revision has been told.
    Progress(i64),
    /// The connection was lost, and the watch begun anew from this revision.
    Resumed(i64),
    /// The watch was ended since what it needs is compacted through this revision.
    Compacted(i64),
}

/// Checks a watcher against the account of all revisions. It has been given time to be told everything through `through`; 0
/// asks for no more than it was told.
///
/// # Errors
/// The guarantee that was broken.
pub fn check(watched: &Watched, replay: &Replay, through: i64) -> Result<(), Violation> {
    let mut reader = Reader { watched, replay, next: watched.from, resumed: true };
    let mut may_skip_to = 0;
    for note in &watched.notes {
        match note {
            Note::Events { revision, events } => reader.events(*revision, events)?,
            Note::Progress(revision) => reader.progress(*revision)?,
            Note::Compacted(revision) if *revision > reader.next => may_skip_to = revision + 1,
            Note::Compacted(revision) => {
                let text = format!("ended by a compaction of {revision}, but it needs {} and later", reader.next);
                return Err(Guarantee::Resumable.broken(text));
            }
            Note::Resumed(from) if *from <= reader.next.max(may_skip_to) => {
                (reader.next, reader.resumed) = (*from, true);
            }
            Note::Resumed(from) => {
                return Err(
                    Guarantee::Resumable.broken(format!("resumed from {from}, having seen less than {}", reader.next))
                );
            }
        }
    }
    reader
        .due(through)
        .next()
        .map_or(Ok(()), |event| Err(Guarantee::Reliable.broken(format!("never told of {}", describe(event)))))
}

struct Reader<'a> {
    watched: &'a Watched,
    replay: &'a Replay,
    /// Everything below this revision was told.
    next: i64,
    /// Nothing was told since the watch began or was resumed.
    resumed: bool,
}

impl<'a> Reader<'a> {
    /// What is still to be told through a revision.
    fn due(&self, through: i64) -> impl Iterator<Item = &'a Event> + use<'a> {
        let watched = self.watched;
        self.replay.between(self.next..=through, |key| is_within(key, &watched.key, &watched.range_end))
    }

    fn progress(&mut self, revision: i64) -> Result<(), Violation> {
        if let Some(event) = self.due(revision).next() {
            let text = format!("progress to revision {revision} before {}", describe(event));
            return Err(Guarantee::Bookmarkable.broken(text));
        }
        self.next = self.next.max(revision + 1);
        Ok(())
    }

    fn events(&mut self, revision: i64, events: &[Event]) -> Result<(), Violation> {
        let revisions = || events.iter().map(revision_of);
        let Some(last) = revisions().next_back() else { return self.progress(revision) };
        if !revisions().is_sorted() {
            return Err(
                Guarantee::Ordered.broken(format!("revisions {:?} in one response", revisions().collect::<Vec<_>>()))
            );
        }
        if let Some(early) = events.iter().find(|event| revision_of(event) < self.next) {
            let guarantee = if self.resumed { Guarantee::Resumable } else { Guarantee::Unique };
            return Err(guarantee.broken(format!("{} when {} was next", describe(early), self.next)));
        }
        if revision < last {
            return Err(Guarantee::Bookmarkable.broken(format!("the header of revision {last} says {revision}")));
        }
        let due: Vec<&Event> = self.due(last).collect();
        if due.len() != events.len() || !due.iter().zip(events).all(|(due, told)| self.same(due, told)) {
            return Err(self.difference(&due, events));
        }
        (self.next, self.resumed) = (last + 1, false);
        Ok(())
    }

    fn same(&self, due: &Event, told: &Event) -> bool {
        let prev_kv = if self.watched.prev_kv { due.prev_kv.as_ref() } else { None };
        without_previous(due) == without_previous(told) && told.prev_kv.as_ref() == prev_kv
    }

    /// Which promise it is that events differ from what was due.
    fn difference(&self, due: &[&Event], told: &[Event]) -> Violation {
        let bare = |event: &Event| without_previous(event);
        if let Some(unknown) = told.iter().find(|told| !due.iter().any(|due| bare(due) == bare(told))) {
            return Guarantee::Consistent.broken(format!("told of {}, which never was", describe(unknown)));
        }
        if let Some(missing) = due.iter().find(|due| !told.iter().any(|told| bare(due) == bare(told))) {
            let partly = told.iter().any(|told| revision_of(told) == revision_of(missing));
            let guarantee = if partly { Guarantee::Atomic } else { Guarantee::Reliable };
            return guarantee.broken(format!("{} was left out", describe(missing)));
        }
        if told.len() > due.len() {
            return Guarantee::Unique.broken(format!("{} events where {} were due", told.len(), due.len()));
        }
        if let Some((due, told)) =
            due.iter().zip(told).find(|(due, told)| bare(due) == bare(told) && !self.same(due, told))
        {
            let text =
                format!("{} with {:?} before it, where there was {:?}", describe(told), told.prev_kv, due.prev_kv);
            return Guarantee::PrevKv.broken(text);
        }
        Guarantee::Ordered.broken(format!("the events of revision {} are out of order", self.next))
    }
}

fn without_previous(event: &Event) -> Event {
    Event { prev_kv: None, ..event.clone() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::workload::tests::sequential;
    use super::*;

    /// A watcher of everything that is told each revision in a response of its own, and the account.
    fn told(seed: u64) -> (Watched, Replay) {
        let (_, events) = sequential(seed, 150);
        let replay = Replay::of(events).unwrap();
        let notes = (2..=replay.last())
            .map(|revision| Note::Events { revision, events: replay.events(revision).to_vec() })
            .collect();
        (Watched { key: vec![0].into(), range_end: vec![0].into(), prev_kv: true, from: 2, notes }, replay)
    }

    fn broken(watched: &Watched, replay: &Replay) -> Guarantee {
        check(watched, replay, replay.last()).unwrap_err().guarantee
    }

    #[test]
    fn a_watcher_that_was_told_everything_is_content() {
        let (mut watched, replay) = told(1);
        check(&watched, &replay, replay.last()).unwrap();
        watched.notes.insert(10, Note::Resumed(12));
        watched.notes.insert(11, Note::Progress(11));
        watched.notes.insert(5, Note::Resumed(7));
        check(&watched, &replay, replay.last()).unwrap();
        watched.notes.truncate(20);
        check(&watched, &replay, 0).unwrap();
        assert_eq!(broken(&watched, &replay), Guarantee::Reliable, "it was not told the rest");
    }

    #[test]
    fn only_what_was_asked_for_is_due() {
        let (mut watched, replay) = told(2);
        let some = replay.events(2)[0].kv.as_ref().unwrap().key.clone();
        (watched.key, watched.range_end) = (some.clone(), Bytes::new());
        for note in &mut watched.notes {
            let Note::Events { events, .. } = note else { unreachable!() };
            events.retain(|event| event.kv.as_ref().unwrap().key == some);
        }
        watched.notes.retain(|note| !matches!(note, Note::Events { events, .. } if events.is_empty()));
        check(&watched, &replay, replay.last()).unwrap();
    }

    #[test]
    fn a_compaction_lets_it_skip_what_is_gone_and_no_more() {
        let (mut watched, replay) = told(3);
        watched.notes.drain(4..9);
        let [compacted, resumed] = [Note::Compacted(10), Note::Resumed(11)];
        watched.notes.splice(4..4, [compacted, resumed]);
        check(&watched, &replay, replay.last()).unwrap();
        watched.notes[5] = Note::Resumed(12);
        watched.notes.remove(6);
        assert_eq!(broken(&watched, &replay), Guarantee::Resumable);
        let (mut watched, replay) = told(3);
        watched.notes.insert(20, Note::Compacted(5));
        assert_eq!(broken(&watched, &replay), Guarantee::Resumable, "what it needs was still there");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn every_broken_promise_is_found_by_its_name(seed in 0..10_000_u64, at in 1..1000_usize) {
            let (good, replay) = told(seed);
            let at = at % (good.notes.len() - 1);
            let mutated = |change: &dyn Fn(&mut Vec<Note>)| {
                let mut watched = good.clone();
                change(&mut watched.notes);
                broken(&watched, &replay)
            };
            prop_assert_eq!(mutated(&|notes| { notes.remove(at); }), Guarantee::Reliable);
            prop_assert_eq!(mutated(&|notes| notes.insert(at + 1, notes[at].clone())), Guarantee::Unique);
            // The later of the two comes first: the earlier has been left out by then.
            prop_assert_eq!(mutated(&|notes| notes.swap(at, at + 1)), Guarantee::Reliable);
            let beyond = i64::try_from(at).unwrap() + 2;
            prop_assert_eq!(mutated(&|notes| notes.insert(at, Note::Progress(beyond))), Guarantee::Bookmarkable);
            prop_assert_eq!(mutated(&|notes| notes.insert(at + 1, Note::Resumed(beyond + 2))), Guarantee::Resumable);
            let joined = mutated(&|notes| {
                let Note::Events { revision, events: later } = notes.remove(at + 1) else { unreachable!() };
                let Note::Events { events, .. } = notes.remove(at) else { unreachable!() };
                notes.insert(at, Note::Events { revision, events: [later, events].concat() });
            });
            prop_assert_eq!(joined, Guarantee::Ordered);
            let previous = good.notes.iter().position(|note| {
                matches!(note, Note::Events { events, .. } if events.iter().any(|event| event.prev_kv.is_some()))
            });
            let forgotten = mutated(&|notes| {
                let Note::Events { events, .. } = &mut notes[previous.unwrap()] else { unreachable!() };
                for event in events {
                    event.prev_kv = None;
                }
            });
            prop_assert_eq!(forgotten, Guarantee::PrevKv);
            if let Some(several) = good.notes.iter().position(|note| {
                matches!(note, Note::Events { events, .. } if events.len() > 1)
            }) {
                let split = mutated(&|notes| {
                    let Note::Events { revision, events } = notes[several].clone() else { unreachable!() };
                    let (first, rest) = events.split_at(1);
                    notes[several] = Note::Events { revision, events: first.to_vec() };
                    notes.insert(several + 1, Note::Events { revision, events: rest.to_vec() });
                });
                prop_assert_eq!(split, Guarantee::Atomic);
            }
        }
    }
}
