//! Token requests: defaults.
//!
//! Upstream: `pkg/apis/authentication/v1/defaults.go`.

use serde_json::Value;

use super::edit::{object, set_absent, within};

/// Defaults of a token request: tokens live for an hour.
pub fn default_token_request(request: &mut Value) {
    object(request, |request| within(request, "spec", |spec| set_absent(spec, "expirationSeconds", 3600)));
}
