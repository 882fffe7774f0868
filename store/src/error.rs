//! The one error type of the store.
