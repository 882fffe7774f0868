//! Why a read or write of objects failed. The verbs turn these into API statuses.

use std::sync::Arc;

use super::{backend::BackendError, entry::Entry};

/// An error of the storage layer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A create found the key taken.
    #[error("key exists")]
    AlreadyExists,
    /// An update or delete found another revision than it expected. Holds what stands there now, `None` if it is gone.
    #[error("resource version conflicts")]
    Conflict(Option<Arc<Entry>>),
    /// A namespace or name that no key can be made of.
    #[error("{0}")]
    InvalidKey(String),
    /// 400 `BadRequest`: options that make no sense, such as a malformed continue token.
    #[error("{0}")]
    BadRequest(String),
    /// A `resourceVersion` that is no number, in the words that follow `resourceVersion: Invalid value: `. A list reports it as
    /// [`Error::BadRequest`].
    #[error("resourceVersion: Invalid value: {0}")]
    InvalidResourceVersion(String),
    /// 410 `Expired`: the history asked for is gone.
    #[error("{message}")]
    Expired {
        /// The message for the client.
        message: String,
        /// For `metadata.continue` of the status: a token to go on with, inconsistently.
        continue_token: Option<String>,
    },
    /// 504 `Timeout`, cause `ResourceVersionTooLarge`: the revision asked for has not happened yet.
    #[error("Too large resource version: {requested}, current: {current}")]
    TooLargeResourceVersion {
        /// The `resourceVersion` asked for.
        requested: u64,
        /// The newest known here.
        current: i64,
        /// For `details.retryAfterSeconds`.
        retry_after_seconds: u32,
    },
    /// 429 `TooManyRequests`: the cache is being filled and the request cannot be served without it.
    #[error("storage is (re)initializing")]
    NotReady {
        /// For `details.retryAfterSeconds`.
        retry_after_seconds: u32,
    },
    /// The store failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}
