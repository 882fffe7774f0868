//! Defaulting and validation, one file a family of kinds.
