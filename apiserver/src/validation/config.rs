//! Config maps and secrets: defaults.
//!
//! Upstream: `pkg/apis/core/v1/defaults.go` and `conversion.go`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::edit::{object, set, set_empty, within_new};

/// Defaults of a secret. `stringData` is a way to write `data`, and is never kept.
pub fn default_secret(secret: &mut Value) {
    object(secret, |secret| {
        set_empty(secret, "type", "Opaque");
        if let Some(Value::Object(texts)) = secret.remove("stringData") {
            if !texts.is_empty() {
                within_new(secret, "data", |data| {
                    for (key, text) in texts {
                        set(data, &key, STANDARD.encode(text.as_str().unwrap_or_default()));
                    }
                });
            }
        }
    });
}
