//! The one error type of the apiserver: an API status.
