//! Ranges: keys of the present or the past, filtered, sorted, limited and counted.

use bytes::Bytes;
use pintle_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use pintle_proto::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader};
use pintle_proto::mvccpb::KeyValue;

use super::directory::{Directories, Directory};
use super::writer::own;
use super::{past, pdqsort};
use crate::engine::schema::{Change, LiveRecord};
use crate::engine::{Column, Cursor, Direction, Reader, Span};
use crate::error::{Result, StoreError};
use crate::limits::MAX_COUNT_REPLAY_EVENTS;

/// What a range reads from: a consistent view of the store at its present revision.
pub struct Source<'a, R> {
    /// The data.
    pub(super) reader: &'a R,
    /// The present main revision.
    pub(super) revision: i64,
    /// Nothing below can be read.
    pub(super) compacted: i64,
    /// The counts at the present revision, if they are known.
    pub(super) directory: Option<&'a Directory>,
    /// The counts at recent revisions.
    pub(super) directories: &'a Directories,
}

/// The header of a response at a revision; the node fills in who answers.
#[expect(clippy::unnecessary_wraps, reason = "header fields of messages are optional")]
pub(crate) fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision, ..ResponseHeader::default() })
}

/// How a request's result is ordered and cut.
struct Plan {
    target: SortTarget,
    /// `Ascend` or `Descend` if the found keys must be sorted, `None` if they come in the order wanted.
    sort: SortOrder,
    direction: Direction,
    /// Found keys after which no more are needed.
    enough: usize,
}

impl Plan {
    fn of(request: &RangeRequest, is_past: bool) -> Result<Self> {
        let order = SortOrder::try_from(request.sort_order).map_err(|_| StoreError::InvalidSortOption)?;
        let target = SortTarget::try_from(request.sort_target).map_err(|_| StoreError::InvalidSortOption)?;
        let backwards = target == SortTarget::Key && order == SortOrder::Descend;
        let by_key = target == SortTarget::Key && !(backwards && is_past);
        let sort = match (by_key, order) {
            (true, _) => SortOrder::None,
            (false, SortOrder::None) => SortOrder::Ascend,
            (false, order) => order,
        };
        // etcd cuts before it sorts when a target is given without an order and nothing is filtered.
        let cut_first = by_key || (order == SortOrder::None && !has_revision_filters(request));
        let enough = match usize::try_from(request.limit) {
            Ok(limit) if limit > 0 && cut_first => limit.saturating_add(1),
            _ => usize::MAX,
        };
        let direction = if backwards && by_key { Direction::Reverse } else { Direction::Forward };
        Ok(Self { target, sort, direction, enough })
    }
}

/// Whether a request selects keys by revision.
pub fn has_revision_filters(request: &RangeRequest) -> bool {
    [request.min_mod_revision, request.max_mod_revision, request.min_create_revision, request.max_create_revision]
        .iter()
        .any(|bound| *bound != 0)
}

/// Whether a key passes a request's revision filters; 0 is no filter.
fn is_selected(request: &RangeRequest, record: &LiveRecord) -> bool {
    let within = |value: i64, min: i64, max: i64| (min == 0 || value >= min) && (max == 0 || value <= max);
    within(record.modified, request.min_mod_revision, request.max_mod_revision)
        && within(record.created, request.min_create_revision, request.max_create_revision)
}

/// The keys found so far.
struct Found {
    kvs: Vec<KeyValue>,
    /// Keys seen, selected or not.
    seen: u64,
    /// Whether every key of the range was seen.
    complete: bool,
}

impl<R: Reader> Source<'_, R> {
    /// The present main revision.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The revision below which nothing can be read.
    pub fn compacted(&self) -> i64 {
        self.compacted
    }

    /// The data.
    pub(crate) fn reader(&self) -> &R {
        self.reader
    }

    /// Answers a range request.
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse> {
        let at = self.readable(request.revision)?;
        let span = Span::of_request(request.key.clone(), request.range_end.clone());
        let mut response = RangeResponse { header: header(self.revision), ..RangeResponse::default() };
        if request.count_only {
            response.count = count_field(self.count(&span, at)?);
            return Ok(response);
        }
        let plan = Plan::of(request, at != self.revision)?;
        let found = self.collect(&span, at, request, &plan)?;
        let mut kvs = found.kvs;
        sort(&mut kvs, plan.target, plan.sort);
        if let Ok(limit) = usize::try_from(request.limit)
            && limit > 0
            && kvs.len() > limit
        {
            kvs.truncate(limit);
            response.more = true;
        }
        if request.keys_only && plan.target == SortTarget::Value {
            for kv in &mut kvs {
                kv.value = Bytes::new();
            }
        }
        response.count = count_field(if found.complete { found.seen } else { self.count(&span, at)? });
        response.kvs = kvs;
        Ok(response)
    }

    /// The revision that a request for `revision` reads; 0 and below is the present.
    fn readable(&self, revision: i64) -> Result<i64> {
        if revision > self.revision {
            return Err(StoreError::FutureRevision);
        }
        let at = if revision <= 0 { self.revision } else { revision };
        if at < self.compacted { Err(StoreError::Compacted) } else { Ok(at) }
    }

    /// The selected keys of `span` at revision `at`.
    fn collect(&self, span: &Span, at: i64, request: &RangeRequest, plan: &Plan) -> Result<Found> {
        let mut found = Found { kvs: Vec::new(), seen: 0, complete: false };
        let without_value = request.keys_only && plan.target != SortTarget::Value;
        if at == self.revision
            && let Some(key) = span.as_single_key()
        {
            found.complete = true;
            if let Some(value) = self.reader.get(Column::Live, key)? {
                found.seen = 1;
                let value = if without_value { value.slice(..LiveRecord::without_value(&value).len()) } else { value };
                let record = LiveRecord::decode(value)?;
                if is_selected(request, &record) {
                    found.kvs.push(record.into_key_value(key.clone()));
                }
            }
        } else if at == self.revision {
            let mut cursor = self.reader.scan(Column::Live, span, plan.direction)?;
            while found.kvs.len() < plan.enough {
                let Some((key, value)) = cursor.entry() else {
                    found.complete = true;
                    break;
                };
                found.seen += 1;
                let value = if without_value { LiveRecord::without_value(value) } else { value };
                let (key, value) = own(key, value);
                let record = LiveRecord::decode(value)?;
                if is_selected(request, &record) {
                    found.kvs.push(record.into_key_value(key));
                }
                cursor.advance()?;
            }
        } else {
            found.complete = true;
            past::scan(self.reader, span, at, |key, mut record| {
                if found.kvs.len() == plan.enough {
                    found.complete = false;
                    return false;
                }
                found.seen += 1;
                if without_value {
                    record.value = Bytes::new();
                }
                if is_selected(request, &record) {
                    found.kvs.push(record.into_key_value(key));
                }
                true
            })?;
        }
        Ok(found)
    }

    /// Live keys in `span` at revision `at`: from the nearest directory, or by walking the range.
    pub fn count(&self, span: &Span, at: i64) -> Result<u64> {
        if at == self.revision {
            if let Some(directory) = self.directory {
                return directory.count(span, |part| self.walk(part, at));
            }
            return self.walk(span, at);
        }
        if let Some((near, directory)) = self.directories.nearest(at, self.revision)
            && let Some(grown) = self.growth(span, at, near)?
        {
            let then = directory.count(span, |part| self.walk(part, near))?;
            return Ok(then.saturating_add_signed(-grown));
        }
        past::count(self.reader, span, at)
    }

    /// Live keys in `span` at revision `at`, one by one.
    fn walk(&self, span: &Span, at: i64) -> Result<u64> {
        if at != self.revision {
            return past::count(self.reader, span, at);
        }
        let mut keys = 0;
        let mut cursor = self.reader.scan(Column::Live, span, Direction::Forward)?;
        while cursor.entry().is_some() {
            keys += 1;
            cursor.advance()?;
        }
        Ok(keys)
    }

    /// By how many keys `span` grew after revision `from` up to `to`; `None` if too much happened to look through.
    fn growth(&self, span: &Span, from: i64, to: i64) -> Result<Option<i64>> {
        let mut looked_at = 0;
        let mut grown = 0;
        past::changes(self.reader, from.saturating_add(1), to, |_, record| {
            looked_at += 1;
            if span.contains(&record.key) {
                match record.change {
                    Change::Put(state) if state.version == 1 => grown += 1,
                    Change::Put(_) => {}
                    Change::Delete => grown -= 1,
                }
            }
            Ok(looked_at < MAX_COUNT_REPLAY_EVENTS)
        })?;
        Ok((looked_at < MAX_COUNT_REPLAY_EVENTS).then_some(grown))
    }
}

/// A count as a response holds it.
fn count_field(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Sorts by what `target` names; keys that are equal in it come as they do from etcd.
fn sort(kvs: &mut [KeyValue], target: SortTarget, order: SortOrder) {
    let compare = |a: &KeyValue, b: &KeyValue| match target {
        SortTarget::Key => a.key.cmp(&b.key),
        SortTarget::Version => a.version.cmp(&b.version),
        SortTarget::Create => a.create_revision.cmp(&b.create_revision),
        SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
        SortTarget::Value => a.value.cmp(&b.value),
    };
    match order {
        SortOrder::None => {}
        SortOrder::Ascend => pdqsort::sort(kvs, |a, b| compare(a, b).is_lt()),
        SortOrder::Descend => pdqsort::sort(kvs, |a, b| compare(b, a).is_lt()),
    }
}
