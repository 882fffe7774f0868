//! Whether a history of keys and transactions is linearizable.
//!
//! Every answer tells a revision, and that prunes the search: an answered write fits only right before the revision it was
//! given, a read only at the one it saw. What branches is left to operations of unknown outcome, at revisions that nobody
//! was answered. So the search runs over all keys at once, transactions included, in little more than linear time, and
//! splitting it by key, as is done where answers tell no revision, would only lose what ties the keys together. Where the
//! store's own account of its past is known, each write must also have caused just the events that it tells.

use std::collections::HashSet;
use std::fmt::Write as _;

use pintle_proto::etcdserverpb as pb;

use super::model::{State, comparable};
use super::replay::Replay;
use super::search::{Interval, Model, Step, Verdict, search};
use super::{Guarantee, Operation, Outcome, Request, Response, Violation};

/// Steps that a search may take for each operation before it gives up.
const STEPS_PER_OPERATION: u64 = 10_000;
/// Operations that a report shows before the one that does not fit.
const OPERATIONS_SHOWN: usize = 12;

/// Checks a history against one store. With `replay`, the account of all its revisions, also that every acknowledged write
/// is part of it, and that reads of the past and stale ones saw what was there then.
///
/// # Errors
/// [`Guarantee::Linearizable`] or [`Guarantee::Durable`], with the operations that lead up to the one that does not fit.
pub fn check(history: &[Operation], replay: Option<&Replay>) -> Result<(), Violation> {
    if let Some(replay) = replay {
        durable(history, replay)?;
    }
    let searched: Vec<&Operation> = history
        .iter()
        .filter(|operation| operation.outcome != Outcome::Refused && !is_serializable(&operation.request))
        .filter(|operation| operation.answer().is_some() || !operation.request.is_read_only())
        .collect();
    let model = Store { claimed: claimed(&searched), operations: searched, replay };
    let intervals: Vec<Interval> = model.operations.iter().map(|operation| interval(operation)).collect();
    let max_steps = STEPS_PER_OPERATION.saturating_mul(intervals.len() as u64);
    match search(&model, &intervals, max_steps) {
        Verdict::Linearizable { .. } => replay.map_or(Ok(()), |replay| read_right(history, replay)),
        Verdict::Illegal { longest, state, stuck } => Err(model.violation(&longest, &state, stuck)),
        Verdict::Undecided => Err(Guarantee::Linearizable.broken("the search did not end within its budget")),
    }
}

fn interval(operation: &Operation) -> Interval {
    let returned = operation.answer().map(|_| operation.returned_nanos);
    Interval { invoked: operation.invoked_nanos, returned }
}

/// The revisions that somebody was answered for a write. A read's do not count, nor those of writes that changed nothing:
/// such a revision is claimed by whoever made it, if it is known at all.
fn claimed(operations: &[&Operation]) -> HashSet<i64> {
    let wrote = |operation: &&&Operation| {
        operation.answer().is_some_and(|answer| match answer {
            Response::Put(_) => true,
            Response::DeleteRange(response) => response.deleted > 0,
            Response::Txn(response) => wrote_in(response),
            Response::Range(_) | Response::LeaseRevoke(_) => false,
        })
    };
    operations.iter().filter(wrote).filter_map(|operation| operation.answer().map(Response::revision)).collect()
}

fn wrote_in(txn: &pb::TxnResponse) -> bool {
    use pb::response_op::Response as OpResponse;
    txn.responses.iter().filter_map(|op| op.response.as_ref()).any(|response| match response {
        OpResponse::ResponsePut(_) => true,
        OpResponse::ResponseDeleteRange(response) => response.deleted > 0,
        OpResponse::ResponseTxn(response) => wrote_in(response),
        OpResponse::ResponseRange(_) => false,
    })
}

/// Every revision that was acknowledged is in the account.
fn durable(history: &[Operation], replay: &Replay) -> Result<(), Violation> {
    let end = replay.last();
    let lost = history.iter().find(|operation| operation.answer().is_some_and(|answer| answer.revision() > end));
    lost.map_or(Ok(()), |lost| {
        Err(Guarantee::Durable
            .broken(format!("the account ends at revision {end}, but it was answered:\n  {}", line(lost))))
    })
}

fn is_serializable(request: &Request) -> bool {
    matches!(request, Request::Range(range) if range.serializable)
}

fn past_revision(request: &Request) -> Option<i64> {
    match request {
        Request::Range(range) if range.revision > 0 => Some(range.revision),
        _ => None,
    }
}

struct Store<'a> {
    operations: Vec<&'a Operation>,
    claimed: HashSet<i64>,
    replay: Option<&'a Replay>,
}

impl Model for Store<'_> {
    type State = State;

    fn initial(&self) -> State {
        State::default()
    }

    fn step(&self, state: &State, index: usize) -> Step<State> {
        let operation = self.operations[index];
        let Some(answer) = operation.answer() else {
            // Somebody else was told that the next revision is theirs.
            if self.claimed.contains(&(state.revision + 1)) {
                return Step::Impossible;
            }
            return self.run(state, operation, None);
        };
        let ahead = answer.revision() - state.revision;
        if ahead == 0 && past_revision(&operation.request).is_some() {
            return Step::Unchanged;
        }
        if ahead == 0 || ahead == 1 { self.run(state, operation, Some(answer)) } else { Step::Impossible }
    }
}

impl Store<'_> {
    fn run(&self, state: &State, operation: &Operation, answer: Option<&Response>) -> Step<State> {
        let effect = state.apply(&operation.request);
        let fits = answer.is_none_or(|answer| {
            let request = &operation.request;
            answer.revision() == effect.state.revision
                && comparable(request, answer) == comparable(request, &effect.response)
        });
        if !fits {
            return Step::Impossible;
        }
        if effect.events.is_empty() {
            return Step::Unchanged;
        }
        if self.replay.is_some_and(|replay| replay.events(effect.state.revision) != effect.events) {
            return Step::Impossible;
        }
        Step::Changed(effect.state)
    }

    fn violation(&self, longest: &[usize], state: &State, stuck: usize) -> Violation {
        let mut detail = format!(
            "after {} operations, at revision {}, one should come next at the latest and cannot:\n",
            longest.len(),
            state.revision
        );
        let stuck = self.operations[stuck];
        let _ = writeln!(detail, "> {}", line(stuck));
        let _ = writeln!(detail, "  one store would have answered {:?}", state.apply(&stuck.request).response);
        if let Some(replay) = self.replay {
            for event in replay.events(state.revision + 1) {
                let _ = writeln!(detail, "  its own account goes on with {}", super::replay::describe(event));
            }
        }
        let before = longest.len().saturating_sub(OPERATIONS_SHOWN);
        for index in &longest[before..] {
            let _ = writeln!(detail, "  {}", line(self.operations[*index]));
        }
        Guarantee::Linearizable.broken(detail)
    }
}

/// Checks what the search leaves open: reads at a revision of the past, and reads that may be stale but not wrong.
fn read_right(history: &[Operation], replay: &Replay) -> Result<(), Violation> {
    for operation in history {
        let (Request::Range(request), Some(Response::Range(answer))) = (&operation.request, operation.answer()) else {
            continue;
        };
        let header = answer.header.as_ref().map_or(0, |header| header.revision);
        let revision = past_revision(&operation.request).unwrap_or(header);
        let present = pb::RangeRequest { revision: 0, ..request.clone() };
        let present = Request::Range(present);
        let right = |state: State| {
            let Response::Range(expected) = comparable(&present, &state.apply(&present).response) else { return false };
            let Response::Range(told) = comparable(&present, &Response::Range(answer.clone())) else { return false };
            (expected.kvs, expected.count) == (told.kvs, told.count)
        };
        if !replay.state(revision).is_some_and(right) {
            let text = format!("not what was there at revision {revision}:\n> {}", line(operation));
            return Err(Guarantee::Linearizable.broken(text));
        }
    }
    Ok(())
}

/// An operation on one line: who, when, what, and the answer.
pub fn line(operation: &Operation) -> String {
    let Operation { client, invoked_nanos, returned_nanos, request, outcome } = operation;
    let millis = |nanos: u64| nanos / 1_000_000;
    format!("client {client} [{}..{} ms] {request:?} -> {outcome:?}", millis(*invoked_nanos), millis(*returned_nanos))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::workload::tests::{concurrent, sequential};
    use super::*;

    fn header(revision: i64) -> pb::ResponseHeader {
        pb::ResponseHeader { revision, ..pb::ResponseHeader::default() }
    }

    fn put(invoked: u64, returned: u64, value: &'static str, revision: Option<i64>) -> Operation {
        let request = Request::Put(pb::PutRequest { key: "k".into(), value: value.into(), ..Default::default() });
        let outcome = revision.map_or(Outcome::Unknown, |revision| {
            Outcome::Answered(Box::new(Response::Put(pb::PutResponse {
                header: Some(header(revision)),
                prev_kv: None,
            })))
        });
        Operation { client: 0, invoked_nanos: invoked, returned_nanos: returned, request, outcome }
    }

    fn get(invoked: u64, returned: u64, revision: i64, writes: &[&Operation]) -> Operation {
        let request = Request::Range(pb::RangeRequest { key: "k".into(), ..Default::default() });
        let state = writes.iter().fold(State::default(), |state, write| state.apply(&write.request).state);
        let Response::Range(mut response) = state.apply(&request).response else { unreachable!() };
        response.header = Some(header(revision));
        let outcome = Outcome::Answered(Box::new(Response::Range(response)));
        Operation { client: 1, invoked_nanos: invoked, returned_nanos: returned, request, outcome }
    }

    fn broken(history: &[Operation]) -> Guarantee {
        check(history, None).unwrap_err().guarantee
    }

    #[test]
    fn a_stale_read_is_found() {
        let (first, second) = (put(0, 10, "1", Some(2)), put(20, 30, "2", Some(3)));
        let fresh = get(40, 50, 3, &[&first, &second]);
        check(&[first.clone(), second.clone(), fresh], None).unwrap();
        let overlapping = get(25, 50, 2, &[&first]);
        check(&[first.clone(), second.clone(), overlapping], None).unwrap();
        let stale = get(40, 50, 2, &[&first]);
        assert_eq!(broken(&[first, second, stale]), Guarantee::Linearizable);
    }

    #[test]
    fn a_write_that_was_acknowledged_and_lost_is_found() {
        let (first, second) = (put(0, 10, "1", Some(2)), put(20, 30, "2", Some(2)));
        assert_eq!(broken(&[first.clone(), second]), Guarantee::Linearizable, "one revision was given twice");
        let empty = get(40, 50, 1, &[]);
        assert_eq!(broken(&[first.clone(), empty]), Guarantee::Linearizable);
        let nothing = Replay::of([]).unwrap();
        assert_eq!(check(&[first], Some(&nothing)).unwrap_err().guarantee, Guarantee::Durable);
    }

    #[test]
    fn an_unknown_write_is_taken_where_it_is_seen() {
        let unknown = put(0, 5, "1", None);
        let known = put(20, 30, "2", Some(2));
        let seen = get(40, 50, 3, &[&known, &unknown]);
        check(&[unknown.clone(), known.clone(), seen], None).unwrap();
        let twice = get(60, 70, 4, &[&known, &unknown, &unknown]);
        assert_eq!(broken(&[unknown, known, twice]), Guarantee::Linearizable, "it took effect twice");
    }

    #[test]
    fn reads_of_the_past_and_serializable_ones_are_not_wrong() {
        let (first, second) = (put(0, 10, "1", Some(2)), put(20, 30, "2", Some(3)));
        let events = State::default().apply(&first.request);
        let events = [events.events, events.state.apply(&second.request).events].concat();
        let replay = Replay::of(events).unwrap();
        let judge = |read: &Operation| check(&[first.clone(), second.clone(), read.clone()], Some(&replay));
        let asking = |mut read: Operation, revision, serializable| {
            let Request::Range(request) = &mut read.request else { unreachable!() };
            (request.revision, request.serializable) = (revision, serializable);
            read
        };
        judge(&asking(get(40, 50, 3, &[&first]), 2, false)).unwrap();
        judge(&asking(get(40, 50, 3, &[&first]), 3, false)).unwrap_err();
        judge(&asking(get(40, 50, 2, &[&first]), 0, true)).unwrap();
        judge(&asking(get(40, 50, 2, &[&second]), 0, true)).unwrap_err();
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn what_one_store_did_is_linearizable(seed in 0..10_000_u64, known in any::<bool>()) {
            let (history, events) = concurrent(seed, 300);
            let replay = Replay::of(events).unwrap();
            let replay = known.then_some(&replay);
            prop_assert_eq!(check(&history, replay), Ok(()));
        }

        /// Whatever is changed in an answer, it is noticed.
        #[test]
        fn a_mutated_history_is_not(seed in 0..10_000_u64, at in 0..300_usize, kind in 0..4_u8) {
            let (mut history, events) = sequential(seed, 300);
            let replay = Replay::of(events).unwrap();
            let answered: Vec<usize> =
                (0..history.len()).filter(|index| mutable(&history[*index], kind)).collect();
            prop_assume!(!answered.is_empty());
            let index = answered[at % answered.len()];
            mutate(&mut history[index], kind);
            prop_assert!(check(&history, Some(&replay)).is_err(), "{}", line(&history[index]));
        }

        #[test]
        fn a_write_that_is_missing_from_the_account_is_noticed(seed in 0..10_000_u64, at in 0..300_usize) {
            let (history, events) = concurrent(seed, 200);
            let cut = 1 + at % (events.len() - 1);
            let first_lost = super::super::replay::revision_of(&events[cut]);
            let kept = events.into_iter().filter(|event| super::super::replay::revision_of(event) < first_lost);
            let replay = Replay::of(kept).unwrap();
            let acknowledged = claimed(&history.iter().collect::<Vec<_>>());
            prop_assume!(acknowledged.iter().any(|revision| *revision >= first_lost));
            prop_assert!(check(&history, Some(&replay)).is_err());
        }
    }

    fn mutable(operation: &Operation, kind: u8) -> bool {
        match (kind, operation.answer()) {
            (0, Some(_)) => !is_serializable(&operation.request),
            (1, Some(Response::Range(response))) => !response.kvs.is_empty(),
            (2, Some(Response::Txn(_))) | (3, Some(Response::DeleteRange(_))) => true,
            _ => false,
        }
    }

    fn mutate(operation: &mut Operation, kind: u8) {
        let Outcome::Answered(response) = &mut operation.outcome else { unreachable!() };
        match (kind, &mut **response) {
            (0, response) => {
                let header = match response {
                    Response::Put(response) => &mut response.header,
                    Response::DeleteRange(response) => &mut response.header,
                    Response::Range(response) => &mut response.header,
                    Response::Txn(response) => &mut response.header,
                    Response::LeaseRevoke(response) => &mut response.header,
                };
                header.as_mut().unwrap().revision += 1;
            }
            (1, Response::Range(response)) => response.kvs[0].mod_revision += 1,
            (2, Response::Txn(response)) => response.succeeded = !response.succeeded,
            (3, Response::DeleteRange(response)) => response.deleted += 1,
            _ => unreachable!(),
        }
    }
}
