//! Serving a LIST: plan, wait, read.

use std::sync::Arc;

use bytes::Bytes;

use super::{Cache, NOT_READY_RETRY_SECONDS, TOO_LARGE_RETRY_SECONDS, state::Objects};
use crate::storage::{
    backend::{BackendError, ListRequest},
    collection::{ListResult, describe},
    continue_token::ContinueToken,
    entry::Entry,
    error::Error,
    key::KeyRange,
    options::{ListOptions, Scope, Select},
    read_plan::{CacheView, Freshness, ReadPlan, State, plan_read},
};

/// How many keys are read from the store at most at a time while a selector leaves a page unfilled.
const MAX_STORE_PAGE_KEYS: i64 = 10_000;

const EXPIRED: &str = "The resourceVersion for the provided list is too old.";
const INCONSISTENT_CONTINUE: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list \
     without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing \
     with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the \
     first chunk was returned and now may show up in the list.";

/// A list, ready to be read.
struct Query<'a> {
    /// The keys from where the list starts.
    range: KeyRange,
    /// The first key of the whole list: what continue tokens are relative to.
    prefix: Bytes,
    selector: &'a dyn Select,
    limit: Option<usize>,
    continuing: bool,
}

impl Cache {
    /// A LIST.
    pub(in crate::storage) async fn list(self: &Arc<Self>, options: &ListOptions) -> Result<ListResult, Error> {
        self.filled().await?;
        let plan = plan_read(options, &self.view()?)?;
        let query = self.query(options, &plan)?;
        match plan.state {
            State::Newest(freshness) => {
                let wanted = match freshness {
                    Freshness::Any => 0,
                    Freshness::NotOlderThan(revision) => revision,
                    Freshness::Consistent => u64::try_from(self.backend.current_revision().await?).unwrap_or_default(),
                };
                match self.reach(wanted).await {
                    Ok(()) => self.list_newest(&query),
                    // The store answers for a cache that cannot keep up.
                    Err(Error::TooLargeResourceVersion { .. }) if freshness == Freshness::Consistent => {
                        self.list_stored(&query, i64::try_from(wanted).unwrap_or(i64::MAX)).await
                    }
                    Err(error) => Err(error),
                }
            }
            State::Cached(revision) => {
                self.reach(revision).await?;
                let revision = i64::try_from(revision).unwrap_or(i64::MAX);
                let past = self.inner.read().state.as_ref().and_then(|state| state.at(revision));
                match past {
                    Some(past) => query.page(&past.objects(), None, revision),
                    None => self.list_stored(&query, revision).await,
                }
            }
            State::Stored(revision) => self.list_stored(&query, revision).await,
        }
    }

    /// What the cache can tell now.
    fn view(&self) -> Result<CacheView, Error> {
        let inner = self.inner.read();
        let state = inner.state.as_ref().ok_or(Error::NotReady { retry_after_seconds: NOT_READY_RETRY_SECONDS })?;
        Ok(CacheView { revision: state.revision(), oldest: state.complete_since() })
    }

    fn query<'a>(&self, options: &'a ListOptions, plan: &ReadPlan) -> Result<Query<'a>, Error> {
        let continuing = !options.continue_token.is_empty();
        let scope = if continuing {
            // A token belongs to the range that the request names, whatever the selector demands.
            Scope { name: None, ..options.scope.clone() }
        } else {
            self.keys.narrow(&options.scope, &*options.selector)
        };
        let KeyRange { start: prefix, end } = self.keys.range(&scope)?;
        let start = Bytes::from([prefix.as_ref(), plan.start.as_bytes()].concat());
        Ok(Query {
            range: KeyRange { start, end },
            prefix: self.list_prefix(&scope, prefix),
            selector: &*options.selector,
            limit: plan.limit,
            continuing,
        })
    }

    /// What tokens of a list are relative to: the namespace's prefix even when only one of its objects is read.
    fn list_prefix(&self, scope: &Scope, start: Bytes) -> Bytes {
        let whole = Scope { name: None, ..scope.clone() };
        self.keys.range(&whole).map_or(start, |range| range.start)
    }

    fn list_newest(&self, query: &Query<'_>) -> Result<ListResult, Error> {
        let snapshot = self.snapshot.load_full();
        let snapshot = snapshot.ok_or(Error::NotReady { retry_after_seconds: NOT_READY_RETRY_SECONDS })?;
        query.page(&snapshot.objects, self.routing_field.as_deref(), snapshot.revision)
    }

    /// Reads from the store, as of `revision`.
    async fn list_stored(&self, query: &Query<'_>, revision: i64) -> Result<ListResult, Error> {
        let limit = query.limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(0);
        let mut request = ListRequest {
            start: query.range.start.clone(),
            end: query.range.end.clone(),
            limit,
            revision: Some(revision),
        };
        let mut items = Vec::new();
        loop {
            let page = match self.backend.list(request.clone()).await {
                Ok(page) => page,
                Err(error) => return Err(self.list_error(query, &request.start, revision, error).await),
            };
            let mut last = None;
            let mut more = page.more;
            let mut rest = page.count;
            for found in page.items {
                if query.limit.is_some_and(|limit| items.len() >= limit) {
                    more = true;
                    break;
                }
                last = Some(found.key.clone());
                rest -= 1;
                let entry = describe(&*self.describe, found);
                if query.selector.matches(&entry.attributes) {
                    items.push(Arc::new(entry));
                }
            }
            let full = query.limit.is_none_or(|limit| items.len() >= limit);
            match last {
                Some(last) if more && full => return query.result(items, Some((&last, rest)), revision),
                Some(last) if more => request.start = after(&last),
                _ => return query.result(items, None, revision),
            }
            request.limit = (request.limit.saturating_mul(2)).clamp(limit, MAX_STORE_PAGE_KEYS.max(limit));
        }
    }

    async fn list_error(&self, query: &Query<'_>, start: &Bytes, revision: i64, error: BackendError) -> Error {
        match error {
            BackendError::Compacted(_) if query.continuing => Error::Expired {
                message: INCONSISTENT_CONTINUE.to_owned(),
                continue_token: query.token(start, -1).ok(),
            },
            BackendError::Compacted(_) => Error::Expired { message: EXPIRED.to_owned(), continue_token: None },
            BackendError::FutureRevision(_) => Error::TooLargeResourceVersion {
                requested: u64::try_from(revision).unwrap_or_default(),
                current: self.backend.current_revision().await.unwrap_or(0),
                retry_after_seconds: TOO_LARGE_RETRY_SECONDS,
            },
            other => other.into(),
        }
    }
}

impl Query<'_> {
    /// A page of a state in memory.
    fn page(&self, objects: &Objects, routing_field: Option<&str>, revision: i64) -> Result<ListResult, Error> {
        match routing_field.and_then(|field| self.selector.exact_field(field)) {
            Some(value) => self.take(objects.range_with_field(value, &self.range), revision),
            None => self.take(objects.range(&self.range), revision),
        }
    }

    fn take<'e>(
        &self,
        mut candidates: impl Iterator<Item = &'e Arc<Entry>>,
        revision: i64,
    ) -> Result<ListResult, Error> {
        let everything = self.selector.is_everything();
        let mut items: Vec<Arc<Entry>> = Vec::new();
        for entry in candidates.by_ref() {
            if everything || self.selector.matches(&entry.attributes) {
                items.push(Arc::clone(entry));
                if self.limit.is_some_and(|limit| items.len() >= limit) {
                    break;
                }
            }
        }
        // Whether there is more is judged by what the range holds, not by what the selector would take of it.
        let rest = if everything { candidates.count() } else { usize::from(candidates.next().is_some()) };
        let last = items.last().filter(|_| rest > 0).map(|entry| entry.key.clone());
        let rest = i64::try_from(rest).unwrap_or(i64::MAX);
        self.result(items, last.as_ref().map(|last| (last, rest)), revision)
    }

    /// The result, which goes on after the key in `more`, if any, with so many objects.
    fn result(&self, items: Vec<Arc<Entry>>, more: Option<(&Bytes, i64)>, revision: i64) -> Result<ListResult, Error> {
        let (continue_token, remaining) = match more {
            Some((last, rest)) => {
                let remaining = self.selector.is_everything().then_some(rest);
                (Some(self.token(&after(last), revision)?), remaining)
            }
            None => (None, None),
        };
        Ok(ListResult { items, revision, continue_token, remaining })
    }

    fn token(&self, next: &Bytes, revision: i64) -> Result<String, Error> {
        let start = next
            .strip_prefix(self.prefix.as_ref())
            .and_then(|start| std::str::from_utf8(start).ok())
            .ok_or_else(|| BackendError::Other("a key of a list is not below its prefix".to_owned()))?;
        Ok(ContinueToken { revision, start: start.to_owned() }.encode())
    }
}

/// The first key that can follow `key`.
fn after(key: &Bytes) -> Bytes {
    Bytes::from([key.as_ref(), b"\0"].concat())
}
