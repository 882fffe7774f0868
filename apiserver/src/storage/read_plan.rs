//! How a LIST is served: the one place that decides what `resourceVersion`, `resourceVersionMatch`, `limit` and `continue` mean.
//!
//! The rules are those of kube-apiserver (apiserver's `storage.ValidateListOptions`, `cacher/delegator` and `watch_cache.go`), with the
//! difference that the past is served from memory as far as it is at hand.

use super::{
    continue_token::ContinueToken,
    error::Error,
    options::{ListOptions, ResourceVersionMatch},
    resource_version::parse_for_list,
};

/// What a plan depends on besides the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheView {
    /// The cache is complete as of this revision.
    pub revision: i64,
    /// The oldest revision whose state it can still tell.
    pub oldest: i64,
}

/// How fresh the newest state must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// As it is.
    Any,
    /// This revision or any later one.
    NotOlderThan(u64),
    /// The revision that the store has when the request arrives.
    Consistent,
}

/// Which state to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The cache's newest, once it is fresh enough.
    Newest(Freshness),
    /// The cache's state at this revision, once it has happened.
    Cached(u64),
    /// The store's state at this revision, which the cache cannot tell any more.
    Stored(i64),
}

/// A LIST, decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadPlan {
    /// Which state to read.
    pub state: State,
    /// Where to start, below the prefix of the list; empty for its beginning.
    pub start: String,
    /// How many objects to return at most.
    pub limit: Option<usize>,
}

/// Decides how to serve a LIST.
pub fn plan_read(options: &ListOptions, cache: &CacheView) -> Result<ReadPlan, Error> {
    let limit = usize::try_from(options.limit).ok().filter(|limit| *limit > 0);
    let plan = |state, start| {
        // A page of whatever the cache holds would be no cheaper to serve, and nobody can ask for the next one.
        let limit = limit.filter(|_| options.resource_version != "0");
        ReadPlan { state, start, limit }
    };
    if !options.continue_token.is_empty() {
        let token = ContinueToken::decode(&options.continue_token)?;
        if !matches!(options.resource_version.as_str(), "" | "0") {
            return Err(Error::BadRequest("specifying resource version is not allowed when using continue".to_owned()));
        }
        let state = match u64::try_from(token.revision) {
            Ok(revision) => exactly(revision, cache),
            Err(_) => State::Newest(Freshness::Consistent),
        };
        return Ok(plan(state, token.start));
    }
    let revision = parse_for_list(&options.resource_version)?;
    let state = match options.resource_version_match {
        ResourceVersionMatch::Exact => exactly(revision, cache),
        ResourceVersionMatch::Unset if options.resource_version.is_empty() => State::Newest(Freshness::Consistent),
        // Before resourceVersionMatch was invented, a limit made the revision an exact one.
        ResourceVersionMatch::Unset if limit.is_some() && revision > 0 => exactly(revision, cache),
        ResourceVersionMatch::Unset | ResourceVersionMatch::NotOlderThan if revision == 0 => {
            State::Newest(Freshness::Any)
        }
        ResourceVersionMatch::Unset | ResourceVersionMatch::NotOlderThan => {
            State::Newest(Freshness::NotOlderThan(revision))
        }
    };
    Ok(plan(state, String::new()))
}

fn exactly(revision: u64, cache: &CacheView) -> State {
    match i64::try_from(revision) {
        Ok(past) if past < cache.oldest => State::Stored(past),
        _ => State::Cached(revision),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CACHE: CacheView = CacheView { revision: 100, oldest: 50 };

    fn plan(
        (resource_version, resource_version_match, limit): (&str, ResourceVersionMatch, i64),
        continue_token: &str,
    ) -> Result<ReadPlan, String> {
        let options = ListOptions {
            resource_version: resource_version.to_owned(),
            resource_version_match,
            limit,
            continue_token: continue_token.to_owned(),
            ..ListOptions::default()
        };
        plan_read(&options, &CACHE).map_err(|error| error.to_string())
    }

    #[test]
    fn the_table_of_resource_versions() {
        use Freshness::{Any, Consistent, NotOlderThan};
        use ResourceVersionMatch::{Exact, NotOlderThan as NotOlder, Unset};
        let rows = [
            (("", Unset, 0), State::Newest(Consistent), None),
            (("", Unset, 5), State::Newest(Consistent), Some(5)),
            (("", Unset, -5), State::Newest(Consistent), None),
            (("0", Unset, 0), State::Newest(Any), None),
            (("0", Unset, 5), State::Newest(Any), None),
            (("70", Unset, 0), State::Newest(NotOlderThan(70)), None),
            (("70", Unset, 5), State::Cached(70), Some(5)),
            (("49", Unset, 5), State::Stored(49), Some(5)),
            (("170", Unset, 5), State::Cached(170), Some(5)),
            (("0", NotOlder, 5), State::Newest(Any), None),
            (("70", NotOlder, 5), State::Newest(NotOlderThan(70)), Some(5)),
            (("170", NotOlder, 0), State::Newest(NotOlderThan(170)), None),
            (("70", Exact, 0), State::Cached(70), None),
            (("50", Exact, 5), State::Cached(50), Some(5)),
            (("49", Exact, 0), State::Stored(49), None),
            (("18446744073709551615", Exact, 0), State::Cached(u64::MAX), None),
        ];
        for (request, state, limit) in rows {
            assert_eq!(plan(request, ""), Ok(ReadPlan { state, start: String::new(), limit }), "{request:?}");
        }
    }

    #[test]
    fn a_token_goes_on_at_its_revision() {
        let token = |revision| ContinueToken { revision, start: "default/a\0".to_owned() }.encode();
        let start = "default/a\0".to_owned();
        let unset = ("", ResourceVersionMatch::Unset, 5);
        for (revision, state) in
            [(70, State::Cached(70)), (20, State::Stored(20)), (-1, State::Newest(Freshness::Consistent))]
        {
            assert_eq!(plan(unset, &token(revision)), Ok(ReadPlan { state, start: start.clone(), limit: Some(5) }));
        }
        assert_eq!(
            plan(("70", ResourceVersionMatch::Unset, 5), &token(70)).unwrap_err(),
            "specifying resource version is not allowed when using continue"
        );
        assert!(plan(("0", ResourceVersionMatch::Unset, 5), &token(70)).is_ok());
        assert!(plan(unset, "rubbish").unwrap_err().starts_with("invalid continue token: "));
    }

    #[test]
    fn a_bad_revision_is_a_bad_request() {
        assert_eq!(
            plan(("x", ResourceVersionMatch::Exact, 0), "").unwrap_err(),
            r#"invalid resource version: resourceVersion: Invalid value: "x": strconv.ParseUint: parsing "x": invalid syntax"#
        );
    }
}
