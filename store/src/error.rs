//! The one error type of the store.
//!
//! Clients compare etcd's errors by text and gRPC code, so both are exactly as etcd's `rpctypes` package has them.

use crate::engine::EngineError;

/// The gRPC status code an error is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The request can never be served.
    InvalidArgument,
    /// What was named does not exist.
    NotFound,
    /// A quota is used up.
    ResourceExhausted,
    /// The state does not allow it now.
    FailedPrecondition,
    /// Outside of the valid range, which moves.
    OutOfRange,
    /// The server broke.
    Internal,
    /// Try again later or elsewhere.
    Unavailable,
    /// Data is lost or corrupt.
    DataLoss,
    /// The caller may not do this.
    PermissionDenied,
    /// The caller's credentials are not valid.
    Unauthenticated,
    /// An error that etcd has given no code.
    Unknown,
}

/// Declares [`StoreError`]'s etcd variants, each with its code and text.
macro_rules! store_errors {
    ($($(#[$doc:meta])* $name:ident, $code:ident, $text:literal;)*) => {
        /// Why a request was not served.
        #[derive(Debug, Clone, thiserror::Error)]
        pub enum StoreError {
            $($(#[$doc])* #[error($text)] $name,)*
            /// The storage engine failed; the node must halt before it can diverge.
            #[error(transparent)]
            Engine(#[from] EngineError),
            /// What was read from disk or the log is not what was written there; the node must halt.
            #[error("corrupt data: {0}")]
            CorruptData(&'static str),
        }

        impl StoreError {
            /// The error that reads like this, as another member says it.
            pub fn from_text(text: &str) -> Self {
                Self::known(text).unwrap_or_else(|| {
                    tracing::error!(error = text, "another member reports an error");
                    StoreError::Unhealthy
                })
            }

            /// The error that reads like this, if it is one of etcd's.
            pub fn known(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(StoreError::$name),)*
                    _ => None,
                }
            }

            /// The gRPC code this error is answered with.
            pub fn code(&self) -> Code {
                match self {
                    $(StoreError::$name => Code::$code,)*
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

    /// No member has this id.
    MemberNotFound, NotFound, "etcdserver: member not found";
    /// A member has this id already.
    MemberExists, FailedPrecondition, "etcdserver: member ID already exist";
    /// A member is reached by one of these peer URLs already.
    PeerUrlExists, FailedPrecondition, "etcdserver: Peer URLs already exists";
    /// Afterwards too few voters would have started.
    NotEnoughStarted, FailedPrecondition, "etcdserver: re-configuration failed due to not enough started members";
    /// Peer URLs that are no URLs.
    MemberBadUrls, InvalidArgument, "etcdserver: given member URLs are invalid";
    /// A voter has nothing to be promoted to.
    NotLearner, FailedPrecondition, "etcdserver: can only promote a learner member";
    /// A learner was asked for more than it may answer.
    NotForLearners, Unavailable, "etcdserver: rpc not supported for learner";
    /// A learner that lacks too much of the log to be promoted.
    LearnerNotReady, FailedPrecondition, "etcdserver: can only promote a learner member which is in sync with leader";
    /// As many learners as are allowed.
    TooManyLearners, FailedPrecondition, "etcdserver: too many learner members in cluster";
    /// Leadership cannot be given to this member.
    BadLeaderTransferee, FailedPrecondition, "etcdserver: bad leader transferee";
    /// Leadership was not taken over in time.
    LeaderTransferTimeout, Unknown, "etcdserver: request timed out, leader transfer took too long";

    /// Not a version.
    DowngradeVersionFormat, InvalidArgument, "etcdserver: wrong downgrade target version format";
    /// A version that cannot be downgraded to.
    DowngradeTarget, InvalidArgument, "etcdserver: invalid downgrade target version";
    /// A downgrade was enabled before.
    DowngradeInProcess, FailedPrecondition, "etcdserver: cluster has a downgrade job in progress";
    /// No downgrade was enabled.
    NoDowngrade, FailedPrecondition, "etcdserver: no inflight downgrade job";
    /// An enumeration has no such value.
    UnknownMethod, Unknown, "etcdserver: unknown method";

    /// The request has more bytes than allowed.
    RequestTooLarge, InvalidArgument, "etcdserver: request is too large";
    /// Too many proposals wait.
    TooManyRequests, ResourceExhausted, "etcdserver: too many requests";

    /// Authentication cannot be turned on without a user named root.
    RootUserNotExist, FailedPrecondition, "etcdserver: root user does not exist";
    /// Authentication cannot be turned on unless root has the role root.
    RootRoleNotExist, FailedPrecondition, "etcdserver: root user does not have root role";
    /// There is a user of this name.
    UserAlreadyExists, FailedPrecondition, "etcdserver: user name already exists";
    /// No user is named, or the caller has shown no credentials.
    UserEmpty, InvalidArgument, "etcdserver: user name is empty";
    /// No user has this name.
    UserNotFound, FailedPrecondition, "etcdserver: user name not found";
    /// There is a role of this name.
    RoleAlreadyExists, FailedPrecondition, "etcdserver: role name already exists";
    /// No role has this name.
    RoleNotFound, FailedPrecondition, "etcdserver: role name not found";
    /// No role is named.
    RoleEmpty, InvalidArgument, "etcdserver: role name is empty";
    /// The password is wrong, or there is no such user.
    AuthFailed, InvalidArgument, "etcdserver: authentication failed, invalid user ID or password";
    /// A password for a user that has none, or a hash that is not base64.
    NoPasswordUser, Unknown, "auth: authentication failed, password was given for no password user";
    /// A password beyond what bcrypt looks at.
    PasswordTooLong, Unknown, "bcrypt: password length exceeds 72 bytes";
    /// A grant without a permission.
    PermissionNotGiven, InvalidArgument, "etcdserver: permission not given";
    /// The caller may not do this.
    PermissionDenied, PermissionDenied, "etcdserver: permission denied";
    /// The user does not have the role that is revoked.
    RoleNotGranted, FailedPrecondition, "etcdserver: role is not granted to the user";
    /// The role does not have the permission that is revoked.
    PermissionNotGranted, FailedPrecondition, "etcdserver: permission is not granted to the role";
    /// Credentials are checked only when authentication is on.
    AuthNotEnabled, FailedPrecondition, "etcdserver: authentication is not enabled";
    /// The token was not issued here, has expired or was taken back.
    InvalidAuthToken, Unauthenticated, "etcdserver: invalid auth token";
    /// Something that would lock everyone out, or a range of keys that is none.
    InvalidAuthManagement, InvalidArgument, "etcdserver: invalid auth management";
    /// Users, roles or permissions have changed since the caller showed its credentials.
    AuthOldRevision, InvalidArgument, "etcdserver: revision of auth store is old";
    /// Tokens can be verified here but not issued: there is no private key.
    VerifyOnly, Unknown, "auth: token signing attempted with verify-only key";

    /// No leader is known.
    NoLeader, Unavailable, "etcdserver: no leader";
    /// Only the leader does this.
    NotLeader, FailedPrecondition, "etcdserver: not leader";
    /// The leader changed while the request was under way.
    LeaderChanged, Unavailable, "etcdserver: leader changed";
    /// A member of another cluster, or meant for another member.
    ClusterIdMismatch, FailedPrecondition, "cluster ID mismatch";
    /// What another member sent makes no sense.
    MalformedPeerMessage, InvalidArgument, "malformed message between members";
    /// The server is stopping.
    Stopped, Unavailable, "etcdserver: server stopped";
    /// It took too long.
    Timeout, Unavailable, "etcdserver: request timed out";
    /// It took too long, and the leader failed meanwhile.
    TimeoutLeaderFailed, Unavailable, "etcdserver: request timed out, possibly due to previous leader failure";
    /// It took too long, and other members cannot be reached.
    TimeoutConnectionLost, Unavailable, "etcdserver: request timed out, possibly due to connection lost";
    /// Too few members are healthy.
    Unhealthy, Unavailable, "etcdserver: unhealthy cluster";
    /// Members disagree about the data.
    Corrupt, DataLoss, "etcdserver: corrupt cluster";
}

impl StoreError {
    /// Whether a command failed because it could not be replicated, whatever it says.
    pub fn is_of_replication(&self) -> bool {
        self.code() == Code::Unavailable || matches!(self, StoreError::TooManyRequests)
    }

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
    fn errors_are_known_by_their_text() {
        assert!(matches!(StoreError::from_text("etcdserver: no leader"), StoreError::NoLeader));
        assert!(matches!(StoreError::from_text("disk on fire"), StoreError::Unhealthy));
    }

    #[test]
    fn texts_and_codes_are_etcds() {
        assert_eq!(StoreError::NoSpace.to_string(), "etcdserver: mvcc: database space exceeded");
        assert_eq!(StoreError::NoSpace.code(), Code::ResourceExhausted);
    }
}
