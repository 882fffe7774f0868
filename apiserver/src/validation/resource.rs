//! Dynamic resource allocation: defaults.
//!
//! Upstream: `pkg/apis/resource/v1/defaults.go`.

use jiff::Timestamp;
use serde_json::Value;

use super::edit::{Fields, each, is_empty, object, set, set_absent, set_empty, text, within};

/// Defaults of a resource claim.
pub fn default_claim(claim: &mut Value) {
    object(claim, |claim| {
        within(claim, "spec", default_claim_spec);
        within(claim, "status", |status| {
            within(status, "allocation", |allocation| {
                within(allocation, "devices", |devices| each(devices, "results", default_tolerations));
            });
        });
    });
}

/// Defaults of a template of resource claims.
pub fn default_claim_template(template: &mut Value) {
    object(template, |template| within(template, "spec", |outer| within(outer, "spec", default_claim_spec)));
}

fn default_claim_spec(spec: &mut Fields) {
    within(spec, "devices", |devices| {
        each(devices, "requests", |request| {
            within(request, "exactly", default_request);
            each(request, "firstAvailable", default_request);
        });
    });
}

fn default_request(request: &mut Fields) {
    set_empty(request, "allocationMode", "ExactCount");
    if text(request, "allocationMode") == "ExactCount" && is_empty(request, "count") {
        set(request, "count", 1);
    }
    default_tolerations(request);
}

fn default_tolerations(fields: &mut Fields) {
    each(fields, "tolerations", |toleration| set_empty(toleration, "operator", "Equal"));
}

/// Defaults of a resource slice: a taint was added now unless it says otherwise.
pub fn default_slice(slice: &mut Value, now: Timestamp) {
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    object(slice, |slice| {
        within(slice, "spec", |spec| {
            each(spec, "devices", |device| {
                each(device, "taints", |taint| set_absent(taint, "timeAdded", now.as_str()));
                within(device, "nodeAllocatableResourceMappings", |mappings| {
                    for mapping in mappings.values_mut() {
                        object(mapping, |mapping| set_absent(mapping, "allocationMultiplier", "1"));
                    }
                });
            });
        });
    });
}
