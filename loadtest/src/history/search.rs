//! The search for a linearization: Wing and Gong's, with Lowe's memory of the configurations that led nowhere, as
//! porcupine does it.
//!
//! An operation may be taken next if it was invoked before any operation that is still to be taken has returned. The search
//! takes one that the model allows, goes on from the state it leaves, and comes back to try another when it is stuck. An
//! operation of unknown outcome never returns, so it may be taken at any time after its invocation, or never.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What the operations are supposed to act on.
pub trait Model {
    /// What the operations change. Equal states behave alike for ever.
    type State: Clone + Hash;

    /// The state before the first operation.
    fn initial(&self) -> Self::State;

    /// Takes operation `index` in `state`.
    fn step(&self, state: &Self::State, index: usize) -> Step<Self::State>;
}

/// What taking an operation comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<S> {
    /// It cannot have been answered as it was.
    Impossible,
    /// It fits and changes nothing.
    Unchanged,
    /// It fits and leaves this state.
    Changed(S),
}

/// From when to when an operation ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// When it was invoked.
    pub invoked: u64,
    /// When it returned; `None` if its outcome is unknown.
    pub returned: Option<u64>,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict<S> {
    /// The operations fit in this order. Those of unknown outcome that are missing took no effect.
    Linearizable {
        /// Indexes of operations.
        order: Vec<usize>,
    },
    /// They fit in no order.
    Illegal {
        /// The longest order that fits.
        longest: Vec<usize>,
        /// The state it leaves.
        state: S,
        /// The operation that should come next at the latest and cannot.
        stuck: usize,
    },
    /// The budget was spent before either was known.
    Undecided,
}

/// Searches for an order of the operations, taking at most `max_steps` steps of the model.
pub fn search<M: Model>(model: &M, intervals: &[Interval], max_steps: u64) -> Verdict<M::State> {
    let mut list = List::new(intervals);
    let mut pending = intervals.iter().filter(|interval| interval.returned.is_some()).count();
    let mut state = model.initial();
    let mut taken: Vec<Taken<M::State>> = Vec::new();
    let mut fingerprint = 0_u128;
    let mut visited = HashSet::new();
    let mut deepest: Option<(Vec<usize>, M::State, usize)> = None;
    let mut cursor = list.first();
    let mut steps = 0;
    while pending > 0 {
        let Some(node) = cursor else { return Verdict::Undecided };
        match list.kind(node) {
            Kind::Invoked(index) => {
                steps += 1;
                if steps > max_steps {
                    return Verdict::Undecided;
                }
                let returns = intervals[index].returned.is_some();
                let next = match model.step(&state, index) {
                    // Taking it at once never stands in the way of anything else, so there is nothing to come back for.
                    Step::Unchanged if returns => None,
                    Step::Changed(next) if visited.insert(configuration(fingerprint ^ mark(index), &next)) => {
                        Some(next)
                    }
                    // One of unknown outcome that would change nothing here may do so later.
                    Step::Impossible | Step::Unchanged | Step::Changed(_) => {
                        cursor = list.next(node);
                        continue;
                    }
                };
                fingerprint ^= mark(index);
                list.lift(index);
                pending -= usize::from(returns);
                let before = next.map(|next| std::mem::replace(&mut state, next));
                taken.push(Taken { index, before });
                cursor = list.first();
            }
            Kind::Returned(stuck) => {
                if deepest.as_ref().is_none_or(|(order, ..)| order.len() < taken.len()) {
                    deepest = Some((taken.iter().map(|taken| taken.index).collect(), state.clone(), stuck));
                }
                cursor = loop {
                    let Some(Taken { index, before }) = taken.pop() else {
                        let (longest, state, stuck) = deepest.unwrap_or((Vec::new(), state, stuck));
                        return Verdict::Illegal { longest, state, stuck };
                    };
                    fingerprint ^= mark(index);
                    list.unlift(index);
                    pending += usize::from(intervals[index].returned.is_some());
                    if let Some(before) = before {
                        state = before;
                        break list.next(list.invocation(index));
                    }
                };
            }
        }
    }
    Verdict::Linearizable { order: taken.iter().map(|taken| taken.index).collect() }
}

/// An operation that was taken, and the state before it unless it changed nothing.
struct Taken<S> {
    index: usize,
    before: Option<S>,
}

/// An operation's share in the fingerprint of a set of them (Zobrist's), 128 bits wide so that two sets of one search do not
/// meet by chance.
fn mark(index: usize) -> u128 {
    u128::from(hash(&(index, 0_u8))) << 64 | u128::from(hash(&(index, 1_u8)))
}

fn configuration<S: Hash>(set: u128, state: &S) -> (u128, u64) {
    (set, hash(state))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Invoked(usize),
    Returned(usize),
}

/// The invocations and returns in the order of time, as a list that nodes can be lifted out of and put back into.
struct List {
    kinds: Vec<Kind>,
    /// `next[n]` follows node `n - 1`; `next[0]` is the first.
    next: Vec<usize>,
    previous: Vec<usize>,
    /// Of each operation.
    invocations: Vec<usize>,
    returns: Vec<Option<usize>>,
}

impl List {
    fn new(intervals: &[Interval]) -> Self {
        let mut events: Vec<(u64, u8, Kind)> = Vec::with_capacity(intervals.len() * 2);
        for (index, interval) in intervals.iter().enumerate() {
            // What happens at the same moment overlaps: invocations come first.
            events.push((interval.invoked, 0, Kind::Invoked(index)));
            if let Some(returned) = interval.returned {
                events.push((returned.max(interval.invoked), 1, Kind::Returned(index)));
            }
        }
        events.sort_by_key(|(time, rank, _)| (*time, *rank));
        let kinds: Vec<Kind> = events.into_iter().map(|(.., kind)| kind).collect();
        let mut invocations = vec![0; intervals.len()];
        let mut returns = vec![None; intervals.len()];
        for (node, kind) in kinds.iter().enumerate() {
            match kind {
                Kind::Invoked(index) => invocations[*index] = node,
                Kind::Returned(index) => returns[*index] = Some(node),
            }
        }
        let len = kinds.len();
        Self { kinds, next: (0..=len).collect(), previous: (0..=len).collect(), invocations, returns }
    }

    fn first(&self) -> Option<usize> {
        self.after(0)
    }

    fn next(&self, node: usize) -> Option<usize> {
        self.after(node + 1)
    }

    fn after(&self, place: usize) -> Option<usize> {
        let node = self.next[place];
        (node < self.kinds.len()).then_some(node)
    }

    fn kind(&self, node: usize) -> Kind {
        self.kinds[node]
    }

    fn invocation(&self, index: usize) -> usize {
        self.invocations[index]
    }

    fn lift(&mut self, index: usize) {
        self.unlink(self.invocations[index]);
        if let Some(node) = self.returns[index] {
            self.unlink(node);
        }
    }

    /// The reverse of the last `lift` that was not reversed.
    fn unlift(&mut self, index: usize) {
        if let Some(node) = self.returns[index] {
            self.relink(node);
        }
        self.relink(self.invocations[index]);
    }

    fn unlink(&mut self, node: usize) {
        // `previous[n]` is the place before node `n`, which is the previous node's number plus one.
        let (place, next) = (self.previous[node], self.next[node + 1]);
        self.next[place] = next;
        self.previous[next] = place;
    }

    fn relink(&mut self, node: usize) {
        let (place, next) = (self.previous[node], self.next[node + 1]);
        self.next[place] = node;
        self.previous[next] = node + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A register: operations write a number or read one.
    enum Op {
        Write(u32),
        Read(u32),
    }

    struct Register(Vec<Op>);

    impl Model for Register {
        type State = u32;

        fn initial(&self) -> u32 {
            0
        }

        fn step(&self, state: &u32, index: usize) -> Step<u32> {
            match self.0[index] {
                Op::Write(value) => Step::Changed(value),
                Op::Read(value) if value == *state => Step::Unchanged,
                Op::Read(_) => Step::Impossible,
            }
        }
    }

    fn run(operations: Vec<(u64, Option<u64>, Op)>) -> Verdict<u32> {
        let (intervals, operations): (Vec<_>, Vec<_>) =
            operations.into_iter().map(|(invoked, returned, op)| (Interval { invoked, returned }, op)).unzip();
        search(&Register(operations), &intervals, 1_000_000)
    }

    #[test]
    fn overlapping_reads_may_see_either_side_of_a_write() {
        let history = vec![
            (0, Some(9), Op::Write(1)),
            (1, Some(3), Op::Read(0)),
            (4, Some(5), Op::Read(1)),
            (6, Some(7), Op::Read(1)),
        ];
        assert_eq!(run(history), Verdict::Linearizable { order: vec![1, 0, 2, 3] });
    }

    #[test]
    fn a_value_that_was_seen_does_not_go_away() {
        let history = vec![(0, Some(9), Op::Write(1)), (1, Some(3), Op::Read(1)), (4, Some(5), Op::Read(0))];
        assert!(matches!(run(history), Verdict::Illegal { stuck: 2, .. }));
    }

    #[test]
    fn a_write_of_unknown_outcome_may_take_effect_late_or_never() {
        let late = vec![(0, None, Op::Write(1)), (1, Some(2), Op::Write(2)), (3, Some(4), Op::Read(1))];
        assert_eq!(run(late), Verdict::Linearizable { order: vec![1, 0, 2] });
        let never = vec![(0, None, Op::Write(1)), (1, Some(2), Op::Write(2)), (3, Some(4), Op::Read(2))];
        assert!(matches!(run(never), Verdict::Linearizable { .. }));
        let twice = vec![
            (0, None, Op::Write(1)),
            (1, Some(2), Op::Read(1)),
            (3, Some(4), Op::Write(2)),
            (5, Some(6), Op::Read(1)),
        ];
        assert!(matches!(run(twice), Verdict::Illegal { .. }));
    }

    #[test]
    fn a_write_is_not_seen_before_it_is_invoked() {
        let history = vec![(0, Some(1), Op::Read(1)), (2, Some(3), Op::Write(1))];
        assert!(matches!(run(history), Verdict::Illegal { stuck: 0, .. }));
    }

    #[test]
    fn a_search_ends_when_its_budget_is_spent() {
        let mut history: Vec<_> = (0..40).map(|value| (0, Some(10), Op::Write(value))).collect();
        history.push((20, Some(21), Op::Read(99)));
        let (intervals, operations): (Vec<_>, Vec<_>) =
            history.into_iter().map(|(invoked, returned, op)| (Interval { invoked, returned }, op)).unzip();
        assert_eq!(search(&Register(operations), &intervals, 10_000), Verdict::Undecided);
    }
}
