//! The one error type of the store.
//!
//! Clients compare etcd's errors by text and gRPC code, so both are kept exactly as etcd's `rpctypes` package has them.

use crate::engine::EngineError;

/// The gRPC status code an error is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The caller gave up.
    Canceled,
    /// No better code is known.
    Unknown,
    /// The request can never be served.
    InvalidArgument,
    /// The caller's time is up.
    DeadlineExceeded,
    /// What was named does not exist.
    NotFound,
    /// Authenticated, but not allowed.
    PermissionDenied,
    /// A quota is used up.
    ResourceExhausted,
    /// The state does not allow it now.
    FailedPrecondition,
    /// Outside of the valid range, which moves.
    OutOfRange,
    /// The server does not do this.
    Unimplemented,
    /// The server broke.
    Internal,
    /// Try again later or elsewhere.
    Unavailable,
    /// Data is lost or corrupt.
    DataLoss,
    /// Not authenticated.
    Unauthenticated,
}

/// Declares [`StoreError`]'s etcd variants, each with its code and text.
macro_rules! store_errors {
    ($($(#[$doc:meta])* $name:ident, $code:ident, $text:literal;)*) => {
        /// Why a request was not served.
        #[derive(Debug, Clone, thiserror::Error)]
        pub enum StoreError {
            $($(#[$doc])* #[error($text)] $name,)*
            /// A reason that etcd composes from the request, so that no fixed text exists.
            #[error("{text}")]
            Composed {
                /// The gRPC code.
                code: Code,
                /// The text, beginning with `etcdserver: ` where etcd's does.
                text: String,
            },
            /// The storage engine failed; the node must halt before it can diverge.
            #[error(transparent)]
            Engine(#[from] EngineError),
            /// What was read from disk or the log is not what was written there; the node must halt.
            #[error("corrupt data: {0}")]
            CorruptData(&'static str),
        }

        impl StoreError {
            /// The gRPC code this error is answered with.
            pub fn code(&self) -> Code {
                match self {
                    $(StoreError::$name => Code::$code,)*
                    StoreError::Composed { code, .. } => *code,
                    StoreError::Engine(_) => Code::Internal,
                    StoreError::CorruptData(_) => Code::DataLoss,
                }
            }
        }
    };
}

store_errors! {
    /// A key is empty.
    EmptyKey, InvalidArgument, "etcdserver: key is not provided";
    /// A put ignores the value or lease of a key that is not there.
    KeyNotFound, InvalidArgument, "etcdserver: key not found";
    /// A put has a value and ignores it.
    ValueProvided, InvalidArgument, "etcdserver: value is provided";
    /// A put has a lease and ignores it.
    LeaseProvided, InvalidArgument, "etcdserver: lease is provided";
    /// A transaction, with those nested in it, has more operations than allowed.
    TooManyOps, InvalidArgument, "etcdserver: too many operations in txn request";
    /// A transaction puts a key twice, or puts what it deletes.
    DuplicateKey, InvalidArgument, "etcdserver: duplicate key given in txn request";
    /// A client API version that is unknown.
    InvalidClientApiVersion, InvalidArgument, "etcdserver: invalid client api version";
    /// A sort order or target that is unknown.
    InvalidSortOption, InvalidArgument, "etcdserver: invalid sort option";
    /// The revision asked for is below the compaction watermark.
    Compacted, OutOfRange, "etcdserver: mvcc: required revision has been compacted";
    /// The revision asked for has not happened.
    FutureRevision, OutOfRange, "etcdserver: mvcc: required revision is a future revision";
    /// The space quota is used up.
    NoSpace, ResourceExhausted, "etcdserver: mvcc: database space exceeded";

    /// No lease has this id.
    LeaseNotFound, NotFound, "etcdserver: requested lease not found";
    /// A lease has this id already.
    LeaseExists, FailedPrecondition, "etcdserver: lease already exists";
    /// A TTL above the maximum.
    LeaseTtlTooLarge, OutOfRange, "etcdserver: too large lease TTL";

    /// The watch was canceled.
    WatchCanceled, Canceled, "etcdserver: watch canceled";

    /// A member has this id already.
    MemberExists, FailedPrecondition, "etcdserver: member ID already exist";
    /// A member has this peer URL already.
    PeerUrlExists, FailedPrecondition, "etcdserver: Peer URLs already exists";
    /// The change would lose the quorum of started members.
    MemberNotEnoughStarted, FailedPrecondition, "etcdserver: re-configuration failed due to not enough started members";
    /// A member's URLs do not parse.
    MemberBadUrls, InvalidArgument, "etcdserver: given member URLs are invalid";
    /// No member has this id.
    MemberNotFound, NotFound, "etcdserver: member not found";
    /// Only a learner can be promoted.
    MemberNotLearner, FailedPrecondition, "etcdserver: can only promote a learner member";
    /// A learner that lags cannot be promoted.
    LearnerNotReady, FailedPrecondition, "etcdserver: can only promote a learner member which is in sync with leader";
    /// One more learner than allowed.
    TooManyLearners, FailedPrecondition, "etcdserver: too many learner members in cluster";
    /// The request was meant for another cluster.
    ClusterIdMismatch, FailedPrecondition, "etcdserver: cluster ID mismatch";

    /// The request has more bytes than allowed.
    RequestTooLarge, InvalidArgument, "etcdserver: request is too large";
    /// Too many proposals wait.
    TooManyRequests, ResourceExhausted, "etcdserver: too many requests";

    /// Authentication needs a user named root.
    RootUserNotExist, FailedPrecondition, "etcdserver: root user does not exist";
    /// Authentication needs root to have the role root.
    RootRoleNotExist, FailedPrecondition, "etcdserver: root user does not have root role";
    /// A user has this name already.
    UserAlreadyExists, FailedPrecondition, "etcdserver: user name already exists";
    /// A user needs a name.
    UserEmpty, InvalidArgument, "etcdserver: user name is empty";
    /// No user has this name.
    UserNotFound, FailedPrecondition, "etcdserver: user name not found";
    /// A role has this name already.
    RoleAlreadyExists, FailedPrecondition, "etcdserver: role name already exists";
    /// No role has this name.
    RoleNotFound, FailedPrecondition, "etcdserver: role name not found";
    /// A role needs a name.
    RoleEmpty, InvalidArgument, "etcdserver: role name is empty";
    /// Wrong user or password.
    AuthFailed, InvalidArgument, "etcdserver: authentication failed, invalid user ID or password";
    /// A grant names no permission.
    PermissionNotGiven, InvalidArgument, "etcdserver: permission not given";
    /// The user may not do this.
    PermissionDenied, PermissionDenied, "etcdserver: permission denied";
    /// The user does not have the role.
    RoleNotGranted, FailedPrecondition, "etcdserver: role is not granted to the user";
    /// The role does not have the permission.
    PermissionNotGranted, FailedPrecondition, "etcdserver: permission is not granted to the role";
    /// Authentication is off.
    AuthNotEnabled, FailedPrecondition, "etcdserver: authentication is not enabled";
    /// A token that is unknown or expired.
    InvalidAuthToken, Unauthenticated, "etcdserver: invalid auth token";
    /// The change would lock everyone out.
    InvalidAuthManagement, InvalidArgument, "etcdserver: invalid auth management";
    /// The request was authorized before roles changed.
    AuthOldRevision, InvalidArgument, "etcdserver: revision of auth store is old";

    /// No leader is known.
    NoLeader, Unavailable, "etcdserver: no leader";
    /// Only the leader does this.
    NotLeader, FailedPrecondition, "etcdserver: not leader";
    /// The leader changed while the request was under way.
    LeaderChanged, Unavailable, "etcdserver: leader changed";
    /// The cluster's version does not do this.
    NotCapable, FailedPrecondition, "etcdserver: not capable";
    /// The server is stopping.
    Stopped, Unavailable, "etcdserver: server stopped";
    /// It took too long.
    Timeout, Unavailable, "etcdserver: request timed out";
    /// It took too long, and a leader had failed.
    TimeoutDueToLeaderFail, Unavailable, "etcdserver: request timed out, possibly due to previous leader failure";
    /// It took too long, and a connection had been lost.
    TimeoutDueToConnectionLost, Unavailable, "etcdserver: request timed out, possibly due to connection lost";
    /// This node lagged too long behind.
    TimeoutWaitAppliedIndex, Unavailable, "etcdserver: request timed out, waiting for the applied index took too long";
    /// Too few members are healthy.
    Unhealthy, Unavailable, "etcdserver: unhealthy cluster";
    /// Members disagree about the data.
    Corrupt, DataLoss, "etcdserver: corrupt cluster";
    /// A learner does not serve this.
    NotSupportedForLearner, FailedPrecondition, "etcdserver: rpc not supported for learner";
    /// Leadership cannot be given to this member.
    BadLeaderTransferee, FailedPrecondition, "etcdserver: bad leader transferee";

    /// A version that does not parse.
    WrongDowngradeVersionFormat, InvalidArgument, "etcdserver: wrong downgrade target version format";
    /// A version that cannot be downgraded to.
    InvalidDowngradeTargetVersion, InvalidArgument, "etcdserver: invalid downgrade target version";
    /// The cluster's version is not known yet.
    ClusterVersionUnavailable, FailedPrecondition, "etcdserver: cluster version not found during downgrade";
    /// A downgrade is under way.
    DowngradeInProcess, FailedPrecondition, "etcdserver: cluster has a downgrade job in progress";
    /// No downgrade is under way.
    NoInflightDowngrade, FailedPrecondition, "etcdserver: no inflight downgrade job";

    /// The caller gave up.
    RequestCanceled, Canceled, "etcdserver: request canceled";
    /// The caller's time is up.
    DeadlineExceeded, DeadlineExceeded, "etcdserver: context deadline exceeded";
}

impl StoreError {
    /// Whether every node that applies the same command meets the same error: then it is a reply and the command counts
    /// as applied. Otherwise something is wrong with this node alone, which must halt before it diverges.
    pub fn is_deterministic(&self) -> bool {
        !matches!(self, StoreError::Engine(_) | StoreError::CorruptData(_))
    }
}

/// The result of what may fail for a client's or the engine's reasons.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_engine_failures_halt_the_node() {
        assert!(StoreError::Compacted.is_deterministic());
        assert!(!StoreError::Engine(EngineError("disk".into())).is_deterministic());
        assert!(!StoreError::CorruptData("live value").is_deterministic());
    }

    #[test]
    fn texts_and_codes_are_etcds() {
        assert_eq!(StoreError::NoSpace.to_string(), "etcdserver: mvcc: database space exceeded");
        assert_eq!(StoreError::NoSpace.code(), Code::ResourceExhausted);
    }
}
