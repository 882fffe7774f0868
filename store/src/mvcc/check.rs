//! What can be said about a request before it is proposed, without looking at any data.
//!
//! etcd's API layer makes these checks (`server/etcdserver/api/v3rpc/key.go`), in this order.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use pintle_proto::etcdserverpb::request_op::Request;

use crate::error::{Result, StoreError};

/// Checks a range request.
pub fn range(request: &pb::RangeRequest) -> Result<()> {
    key(&request.key)?;
    SortOrder::try_from(request.sort_order).map_err(|_| StoreError::InvalidSortOption)?;
    SortTarget::try_from(request.sort_target).map_err(|_| StoreError::InvalidSortOption)?;
    Ok(())
}

/// Checks a put request.
pub fn put(request: &pb::PutRequest) -> Result<()> {
    key(&request.key)?;
    if request.ignore_value && !request.value.is_empty() {
        return Err(StoreError::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(StoreError::LeaseProvided);
    }
    Ok(())
}

/// Checks a delete request.
pub fn delete_range(request: &pb::DeleteRangeRequest) -> Result<()> {
    key(&request.key)
}

/// Checks a transaction and all nested in it: at most `max_ops` operations along any path, every operation valid, no
/// key put twice or both put and deleted.
pub fn txn(request: &pb::TxnRequest, max_ops: usize) -> Result<()> {
    operations(request, max_ops)?;
    Touched::of(&request.success)?;
    Touched::of(&request.failure)?;
    Ok(())
}

fn key(key: &Bytes) -> Result<()> {
    if key.is_empty() { Err(StoreError::EmptyKey) } else { Ok(()) }
}

fn operations(request: &pb::TxnRequest, max_ops: usize) -> Result<()> {
    let ops = request.compare.len().max(request.success.len()).max(request.failure.len());
    let left = max_ops.checked_sub(ops).ok_or(StoreError::TooManyOps)?;
    request.compare.iter().try_for_each(|compare| key(&compare.key))?;
    for op in request.success.iter().chain(&request.failure) {
        match &op.request {
            Some(Request::RequestRange(request)) => range(request)?,
            Some(Request::RequestPut(request)) => put(request)?,
            Some(Request::RequestDeleteRange(request)) => delete_range(request)?,
            Some(Request::RequestTxn(request)) => operations(request, left)?,
            None => return Err(StoreError::KeyNotFound),
        }
    }
    Ok(())
}

/// The keys that a list of operations, with those nested in it, puts and deletes.
#[derive(Default)]
struct Touched<'a> {
    puts: HashSet<&'a [u8]>,
    deletes: Intervals<'a>,
}

impl<'a> Touched<'a> {
    fn of(ops: &'a [pb::RequestOp]) -> Result<Self> {
        let mut touched = Self::default();
        for op in ops {
            if let Some(Request::RequestDeleteRange(request)) = &op.request {
                touched.deletes.insert_request(request);
            }
        }
        for op in ops {
            if let Some(Request::RequestTxn(request)) = &op.request {
                let then = Self::of(&request.success)?;
                let otherwise = Self::of(&request.failure)?;
                touched.add_nested(then, otherwise)?;
            }
        }
        for op in ops {
            if let Some(Request::RequestPut(request)) = &op.request {
                touched.add_put(&request.key)?;
            }
        }
        Ok(touched)
    }

    fn add_put(&mut self, key: &'a [u8]) -> Result<()> {
        if self.deletes.contains(key) || !self.puts.insert(key) {
            return Err(StoreError::DuplicateKey);
        }
        Ok(())
    }

    /// Adds a nested transaction, of whose two branches only one will run: they may put the same key.
    fn add_nested(&mut self, then: Self, otherwise: Self) -> Result<()> {
        for key in &then.puts {
            self.add_put(key)?;
        }
        for key in otherwise.puts {
            if then.puts.contains(key) {
                continue;
            }
            self.add_put(key)?;
        }
        self.deletes.extend(then.deletes);
        self.deletes.extend(otherwise.deletes);
        Ok(())
    }
}

/// A union of key ranges, as disjoint intervals: start (included) to end (excluded). A single key is its own end.
#[derive(Default)]
struct Intervals<'a> {
    disjoint: BTreeMap<&'a [u8], End<'a>>,
}

/// Where an interval ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End<'a> {
    /// Right before this key.
    Before(&'a [u8]),
    /// Right after this key.
    After(&'a [u8]),
}

impl End<'_> {
    /// Whether `key` comes before the end.
    fn is_beyond(self, key: &[u8]) -> bool {
        match self {
            End::Before(end) => key < end,
            End::After(end) => key <= end,
        }
    }

    /// The key at the end and whether it belongs to the interval: orders ends.
    fn rank(self) -> (Vec<u8>, bool) {
        match self {
            End::Before(end) => (end.to_vec(), false),
            End::After(end) => (end.to_vec(), true),
        }
    }
}

impl<'a> Intervals<'a> {
    /// etcd takes the `range_end` of a deletion literally here, so that "every key from here on", a lone 0 byte, is an
    /// empty interval and overlaps nothing.
    fn insert_request(&mut self, request: &'a pb::DeleteRangeRequest) {
        let (start, end) = (request.key.as_ref(), request.range_end.as_ref());
        match end {
            [] => self.insert(start, End::After(start)),
            end if start < end => self.insert(start, End::Before(end)),
            _ => {}
        }
    }

    fn insert(&mut self, start: &'a [u8], end: End<'a>) {
        let (mut start, mut end) = (start, end);
        if let Some((&before, &before_end)) = self.disjoint.range(..=start).next_back()
            && before_end.is_beyond(start)
        {
            start = before;
            end = later(end, before_end);
        }
        let swallowed: Vec<&[u8]> =
            self.disjoint.range(start..).map(|(key, _)| *key).take_while(|key| end.is_beyond(key)).collect();
        for key in swallowed {
            if let Some(other) = self.disjoint.remove(key) {
                end = later(end, other);
            }
        }
        self.disjoint.insert(start, end);
    }

    fn extend(&mut self, other: Self) {
        for (start, end) in other.disjoint {
            self.insert(start, end);
        }
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.disjoint.range(..=key).next_back().is_some_and(|(_, end)| end.is_beyond(key))
    }
}

fn later<'a>(a: End<'a>, b: End<'a>) -> End<'a> {
    if a.rank() >= b.rank() { a } else { b }
}
