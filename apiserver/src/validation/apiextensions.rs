//! Custom resource definitions and aggregated API services.
//!
//! Upstream: `apiextensions-apiserver/pkg/apis/apiextensions/v1/defaults.go`, `kube-aggregator/pkg/apis/apiregistration`.

use serde_json::{Value, json};

use super::admissionregistration::default_client_config;
use super::edit::{is_empty, object, set, set_absent, set_empty, text, within};
use super::field::{Error, Errors, go_quote};
use super::node::Node;
use super::{formats, meta, webhooks};

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

/// Judges a new API service.
pub fn create_api_service(service: &Node<'_>, errors: &mut Errors) {
    let spec = service.at("spec");
    let (group, version) = (spec.at("group"), spec.at("version"));
    let required = format!("{}.{}", version.str(), group.str());
    let name_rule = |name: &str, _prefix: bool| {
        let messages = formats::path_segment(name, false);
        if messages.is_empty() && name != required {
            return vec![format!("must be `spec.version+\".\"+spec.group`: {}", go_quote(&required))];
        }
        messages
    };
    meta::validate(&service.at("metadata"), false, name_rule, errors);
    if !group.is_empty() {
        group.format(formats::dns_subdomain(group.str()), errors);
    } else if version.str() != "v1" {
        errors.push(group.required("only v1 may have an empty group and it better be legacy kube"));
    }
    version.format(formats::dns1035_label(version.str()), errors);
    for (name, max) in [("groupPriorityMinimum", 20000), ("versionPriority", 1000)] {
        if !(1..=max).contains(&spec.at(name).int()) {
            errors.push(spec.at(name).invalid_int(format!("must be positive and less than {max}")));
        }
    }
    let (bundle, insecure) = (spec.at("caBundle"), spec.at("insecureSkipTLSVerify"));
    let Some(target) = spec.at("service").some() else {
        if !bundle.is_empty() {
            let shown = format!("{} bytes", decoded_bytes(bundle.str()));
            errors.push(Error::invalid(&bundle.path, shown, "local APIServices may not have a caBundle"));
        }
        if insecure.bool() {
            errors.push(insecure.invalid("local APIServices may not have insecureSkipTLSVerify"));
        }
        return;
    };
    for name in ["namespace", "name"] {
        if target.at(name).is_empty() {
            errors.push(target.at(name).required(""));
        }
    }
    webhooks::port(&target.at("port"), errors);
    if insecure.bool() && !bundle.is_empty() {
        errors.push(insecure.invalid("may not be true if caBundle is present"));
    }
}

/// How many bytes base64 text stands for.
fn decoded_bytes(text: &str) -> usize {
    text.trim_end_matches('=').len() * 3 / 4
}

/// Judges a changed API service.
pub fn update_api_service(service: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_update(&service.at("metadata"), &old.at("metadata"), errors);
    create_api_service(service, errors);
}

/// Judges a changed status of an API service.
pub fn status_api_service(service: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_update(&service.at("metadata"), &old.at("metadata"), errors);
    for condition in service.at("status").at("conditions").items() {
        condition.at("status").one_of(&["True", "False", "Unknown"], errors);
    }
}
