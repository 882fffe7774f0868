//! Custom resource definitions and aggregated API services: defaults.
//!
//! Upstream: `apiextensions-apiserver/pkg/apis/apiextensions/v1/defaults.go`, `kube-aggregator/pkg/apis/apiregistration/v1`.

use serde_json::{Value, json};

use super::admissionregistration::default_client_config;
use super::edit::{is_empty, object, set, set_absent, set_empty, text, within};

/// Defaults of a custom resource definition.
pub fn default_definition(definition: &mut Value) {
    object(definition, |definition| {
        let mut stored = None;
        within(definition, "spec", |spec| {
            within(spec, "names", |names| {
                let kind = text(names, "kind").to_owned();
                if !kind.is_empty() {
                    set_empty(names, "singular", kind.to_lowercase());
                    set_empty(names, "listKind", format!("{kind}List"));
                }
            });
            set_absent(spec, "conversion", json!({"strategy": "None"}));
            within(spec, "conversion", |conversion| {
                within(conversion, "webhook", |webhook| within(webhook, "clientConfig", default_client_config));
            });
            let versions = spec.get("versions").and_then(Value::as_array).into_iter().flatten();
            stored = versions
                .filter(|version| version.get("storage") == Some(&Value::Bool(true)))
                .find_map(|version| version.get("name").cloned());
        });
        if let Some(stored) = stored {
            within(definition, "status", |status| {
                if is_empty(status, "storedVersions") {
                    set(status, "storedVersions", json!([stored]));
                }
            });
        }
    });
}

/// Defaults of an API service.
pub fn default_api_service(service: &mut Value) {
    object(service, |service| within(service, "spec", default_client_config));
}
