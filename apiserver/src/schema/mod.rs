//! One schema per type; transcoding, pruning, patching, managed fields and OpenAPI are derived from it.
