//! What a client asks of a watch, and why it may be refused.

use super::event::{Filter, WatchId};
use crate::engine::Span;

/// What a watcher wants.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// Keys.
    pub range: Span,
    /// The first revision wanted; 0 for what comes after [`WatchOptions::now`]. May lie in the future.
    pub start_revision: i64,
    /// The store's revision when the request was received: no event at or below it is "from now on".
    pub now: i64,
    /// The watch's name; 0 lets the hub choose.
    pub id: WatchId,
    /// Events left out.
    pub filter: Filter,
    /// Whether events carry what was there before.
    pub prev_kv: bool,
}

/// Why a watch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// A negative start revision.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    NegativeRevision,
    /// No key can lie in the range.
    #[error("mvcc: watcher range is empty")]
    EmptyRange,
    /// The stream has a watch of this name.
    #[error("mvcc: duplicate watch ID provided on the WatchStream")]
    DuplicateId,
    /// The stream's watches take too much memory.
    #[error("etcdserver: too many requests")]
    TooManyWatches,
    /// The client may not read all of the keys. etcd tells this and the reasons below as its client prints errors.
    #[error("rpc error: code = PermissionDenied desc = etcdserver: permission denied")]
    PermissionDenied,
    /// The client's token does not count.
    #[error("rpc error: code = Unauthenticated desc = etcdserver: invalid auth token")]
    InvalidAuthToken,
    /// Users, roles or permissions have changed since the client showed its credentials.
    #[error("rpc error: code = InvalidArgument desc = etcdserver: revision of auth store is old")]
    AuthOldRevision,
    /// The client has shown no credentials.
    #[error("rpc error: code = InvalidArgument desc = etcdserver: user name is empty")]
    UserEmpty,
}
