//! Every bound of the apiserver in one place, unit in the name.

/// Operations that one JSON patch may hold.
pub const JSON_PATCH_OPERATIONS_MAX: usize = 10_000;
/// What the `copy` operations of one JSON patch may add to a document, in encoded bytes.
pub const JSON_PATCH_COPY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Objects and lists that may enclose a value: what the JSON decoder reads back.
pub const JSON_DEPTH_MAX: usize = 127;
/// Length of a label or field selector, in bytes.
pub const SELECTOR_BYTES_MAX: usize = 64 * 1024;
/// Messages that may enclose a protobuf message. The deepest types of the API, schemas, take three for each level.
pub const PROTOBUF_DEPTH_MAX: usize = 256;
