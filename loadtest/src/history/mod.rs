//! What clients did to a store and what they were told, and whether that can be: the proof that nothing is lost.
//!
//! Pure: a [`History`] is a value, time is nanoseconds of one clock, and every check is a function. [`linearizable`]
//! searches for an order of the operations that a single store could have taken them in; [`replay`] reads the store's own
//! account of its past; [`watch`] holds watchers against that account; [`workload`] makes up what clients do.

pub mod linearizable;
pub mod model;
pub mod replay;
pub mod search;
pub mod violation;
pub mod watch;
pub mod workload;

pub use violation::{Guarantee, Violation};

use std::ops::AddAssign;

use pintle_proto::etcdserverpb as pb;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Store a key.
    Put(pb::PutRequest),
    /// Delete keys.
    DeleteRange(pb::DeleteRangeRequest),
    /// Read keys.
    Range(pb::RangeRequest),
    /// Compare, then do one of two lists.
    Txn(pb::TxnRequest),
    /// End a lease, which deletes its keys. A lease that expires is one of these whose outcome nobody was told.
    LeaseRevoke(pb::LeaseRevokeRequest),
}

impl Request {
    /// Whether it can change nothing, whatever the store holds.
    pub fn is_read_only(&self) -> bool {
        match self {
            Self::Range(_) => true,
            Self::Txn(txn) => txn
                .success
                .iter()
                .chain(&txn.failure)
                .all(|op| matches!(op.request, Some(pb::request_op::Request::RequestRange(_)) | None)),
            Self::Put(_) | Self::DeleteRange(_) | Self::LeaseRevoke(_) => false,
        }
    }
}

/// What the store answers, one variant a [`Request`].
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// To a put.
    Put(pb::PutResponse),
    /// To a deletion.
    DeleteRange(pb::DeleteRangeResponse),
    /// To a read.
    Range(pb::RangeResponse),
    /// To a transaction.
    Txn(pb::TxnResponse),
    /// To the end of a lease.
    LeaseRevoke(pb::LeaseRevokeResponse),
}

impl Response {
    /// The revision in the header: of the write, or that the read saw. 0 when there is no header.
    pub fn revision(&self) -> i64 {
        let header = match self {
            Self::Put(response) => &response.header,
            Self::DeleteRange(response) => &response.header,
            Self::Range(response) => &response.header,
            Self::Txn(response) => &response.header,
            Self::LeaseRevoke(response) => &response.header,
        };
        header.as_ref().map_or(0, |header| header.revision)
    }
}

/// What became of an operation, as its client knows.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was answered.
    Answered(Box<Response>),
    /// It was refused by an error that says that it took no effect.
    Refused,
    /// Nobody knows: the connection broke, time ran out. It may have taken effect, or may yet.
    Unknown,
}

/// One operation of one client.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Who.
    pub client: u32,
    /// When it was sent, in nanoseconds; before that it cannot have taken effect.
    pub invoked_nanos: u64,
    /// When its outcome was known, in nanoseconds; after that an answered one cannot take effect.
    pub returned_nanos: u64,
    /// What was asked for.
    pub request: Request,
    /// What became of it.
    pub outcome: Outcome,
}

impl Operation {
    /// The answer, if there was one.
    pub fn answer(&self) -> Option<&Response> {
        match &self.outcome {
            Outcome::Answered(response) => Some(response),
            Outcome::Refused | Outcome::Unknown => None,
        }
    }
}

/// What all clients did, in no particular order.
pub type History = Vec<Operation>;

/// How many operations met which end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answered.
    pub answered: usize,
    /// Refused without effect.
    pub refused: usize,
    /// Of unknown outcome.
    pub unknown: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.answered += more.answered;
        self.refused += more.refused;
        self.unknown += more.unknown;
    }
}

impl Tally {
    /// Counts a history.
    pub fn of(history: &[Operation]) -> Self {
        history.iter().fold(Self::default(), |mut tally, operation| {
            match operation.outcome {
                Outcome::Answered(_) => tally.answered += 1,
                Outcome::Refused => tally.refused += 1,
                Outcome::Unknown => tally.unknown += 1,
            }
            tally
        })
    }
}
