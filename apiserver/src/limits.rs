//! Every bound of the apiserver in one place, unit in the name.

use std::time::Duration;

/// Operations that one JSON patch may hold.
pub const JSON_PATCH_OPERATIONS_MAX: usize = 10_000;
/// What the `copy` operations of one JSON patch may add to a document, in encoded bytes.
pub const JSON_PATCH_COPY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Objects and lists that may enclose a value: what the JSON decoder reads back.
pub const JSON_DEPTH_MAX: usize = 127;
/// Length of a label or field selector, in bytes.
pub const SELECTOR_BYTES_MAX: usize = 64 * 1024;
/// Structs that may enclose a value in protobuf: one more than JSON allows, so that what came as JSON can be read back.
pub const PROTOBUF_DEPTH_MAX: usize = JSON_DEPTH_MAX + 1;

/// Largest body of a request (kube-apiserver's `MaxRequestBodyBytes`).
pub const REQUEST_BODY_BYTES: usize = 3 * 1024 * 1024;
/// How long a client may take to finish the TLS handshake.
pub const TLS_HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a client may take to send a request's head.
pub const REQUEST_HEADER: Duration = Duration::from_secs(32);
/// How often it is looked whether a connection is idle. One that is so twice running is closed.
pub const IDLE_CHECK: Duration = Duration::from_secs(45);
/// Largest head of a request, HTTP/1 and HTTP/2 alike.
pub const REQUEST_HEADER_BYTES: u32 = 1024 * 1024;
/// Streams that one HTTP/2 connection may hold open (kube-apiserver's `--http2-max-streams-per-connection`).
pub const STREAMS_PER_CONNECTION: u32 = 100;
/// Streams that a client may open and reset before their answer, after which its connection is closed.
pub const RESET_STREAMS: usize = 200;
/// How long a request that is not a watch may take (kube-apiserver's `--request-timeout`).
pub const REQUEST: Duration = Duration::from_secs(60);
/// How long a change of an object may take, its admission and the attempts at it included (kube-apiserver's
/// `requestTimeoutUpperBound`).
pub const MUTATION: Duration = Duration::from_secs(34);
/// The shortest and longest lifetime the server gives a watch that asks for none (`--min-request-timeout`).
pub const WATCH_LIFETIME: std::ops::Range<Duration> = Duration::from_secs(1800)..Duration::from_secs(3600);
/// The longest lifetime that a watch may ask for.
pub const WATCH_LIFETIME_MAX: Duration = Duration::from_secs(24 * 3600);
/// Objects that one `deletecollection` fetches at a time.
pub const DELETE_COLLECTION_PAGE: i64 = 500;
/// Letters that the warnings of one answer may have together; more, and each is cut short (kube-apiserver's
/// `truncateAtTotalRunes`).
pub const WARNING_LETTERS: usize = 4 * 1024;
/// What a warning is cut to when there are too many (kube-apiserver's `truncateItemRunes`).
pub const WARNING_LETTERS_EACH: usize = 256;
/// How long the server waits at its stop for requests in flight.
pub const SHUTDOWN: Duration = Duration::from_secs(10);
/// How long the listener rests after it could not accept a connection.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// From this size on, a piece of a streamed answer is sent.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// What a YAML text may grow to when its aliases are written out, in bytes of its scalars.
pub const YAML_EXPANDED_BYTES_MAX: usize = 16 * 1024 * 1024;
