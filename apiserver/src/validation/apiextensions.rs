//! Custom resource definitions and aggregated API services. The schemas in definitions are not judged here.
//!
//! Upstream: `apiextensions-apiserver/pkg/apis/apiextensions/v1/defaults.go`, `kube-aggregator/pkg/apis/apiregistration`.

use serde_json::{Value, json};

use super::admissionregistration::default_client_config;
use super::edit::{is_empty, object, set, set_absent, set_empty, text, within, within_new};
use super::field::{Error, Errors};
use super::node::Node;
use super::{formats, go_struct, meta, webhooks};
use crate::go_syntax::go_quote;

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

/// What versions have that inside is the definition's own if it is the same in all, and its name there.
const SHARED: &[(&str, &str)] = &[
    ("schema", "validation"),
    ("subresources", "subresources"),
    ("additionalPrinterColumns", "additionalPrinterColumns"),
    ("selectableFields", "selectableFields"),
];
const COLUMN_TYPES: &[&str] = &["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: &[&str] = &["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

/// A definition as it is inside, where errors are found. The storage version is stored if nothing else is yet.
fn inside(definition: &Value) -> Value {
    let mut inside = definition.clone();
    object(&mut inside, |definition| {
        let storage = definition.get("spec").and_then(|spec| spec.get("versions")).and_then(Value::as_array);
        let storage = storage.into_iter().flatten().find(|version| version.get("storage") == Some(&Value::Bool(true)));
        if let Some(name) = storage.and_then(|version| version.get("name")).cloned() {
            within_new(definition, "status", |status| set_empty(status, "storedVersions", json!([name])));
        }
        within(definition, "spec", |spec| {
            let Some(Value::Array(mut versions)) = spec.get("versions").cloned() else { return };
            for (name, shared) in SHARED {
                let first = versions.first().and_then(|version| version.get(*name)).cloned().unwrap_or_default();
                let same = |version: &Value| version.get(*name).cloned().unwrap_or_default() == first;
                if !first.is_null() && versions.iter().all(same) {
                    set(spec, shared, first);
                    for version in versions.iter_mut().filter_map(Value::as_object_mut) {
                        version.remove(*name);
                    }
                }
            }
            set(spec, "version", versions.first().and_then(|it| it.get("name")).cloned().unwrap_or_default());
            set(spec, "versions", versions);
        });
    });
    inside
}

/// Judges a new definition of a resource.
pub fn create_definition(definition: &Node<'_>, errors: &mut Errors) {
    let inside = inside(definition.value);
    let definition = Node::root(&inside);
    let spec = definition.at("spec");
    let required = format!("{}.{}", spec.at("names").text("plural"), spec.text("group"));
    let name_rule = |name: &str, prefix: bool| {
        let mut messages = formats::subdomain_name(name, prefix);
        if name != required {
            messages.push("must be spec.names.plural+\".\"+spec.group".to_owned());
        }
        messages
    };
    meta::validate(&definition.at("metadata"), false, name_rule, errors);
    definition_spec(&spec, errors);
    names(&definition.at("status").at("acceptedNames"), errors);
    stored_versions(&definition, errors);
    let preserve = spec.at("preserveUnknownFields");
    if preserve.bool() {
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema \
                      instead";
        errors.push(preserve.invalid(detail));
    }
}

/// Judges a changed definition of a resource.
pub fn update_definition(definition: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    let (inside, old_inside) = (inside(definition.value), inside(old.value));
    let (definition, old) = (Node::root(&inside), Node::root(&old_inside));
    meta::validate_update(&definition.at("metadata"), &old.at("metadata"), errors);
    let (spec, old_spec) = (definition.at("spec"), old.at("spec"));
    definition_spec(&spec, errors);
    let established = old
        .at("status")
        .at("conditions")
        .items()
        .any(|condition| condition.text("type") == "Established" && condition.text("status") == "True");
    if established {
        spec.at("scope").immutable(old_spec.get("scope"), errors);
        spec.at("names").at("kind").immutable(old_spec.at("names").get("kind"), errors);
    }
    spec.at("group").immutable(old_spec.get("group"), errors);
    spec.at("names").at("plural").immutable(old_spec.at("names").get("plural"), errors);
    stored_versions(&definition, errors);
}

/// Judges a changed status of a definition of a resource.
pub fn status_definition(definition: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_update(&definition.at("metadata"), &old.at("metadata"), errors);
    names(&definition.at("status").at("acceptedNames"), errors);
    stored_versions(definition, errors);
}

fn stored_versions(definition: &Node<'_>, errors: &mut Errors) {
    let stored = definition.at("status").at("storedVersions");
    if stored.is_empty() {
        errors.push(Error::invalid(&stored.path, Value::Null, "must have at least one stored version"));
        return;
    }
    let mut missing: Vec<Node<'_>> = stored.items().collect();
    for version in definition.at("spec").at("versions").items() {
        let name = version.text("name");
        let before = missing.len();
        missing.retain(|stored| stored.str() != name);
        if version.flag("storage") && missing.len() == before {
            errors.push(stored.invalid(format!("must have the storage version {name}")));
        }
    }
    for version in missing {
        let name = version.str();
        errors.push(version.invalid_text(format!(
            "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until \
             a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
        )));
    }
}

fn required_choice(node: &Node<'_>, supported: &[&str], errors: &mut Errors) {
    if node.is_empty() {
        errors.push(node.required(""));
    } else {
        node.one_of(supported, errors);
    }
}

/// Adds one error for all that a format has to say about a text.
fn joined(node: &Node<'_>, messages: &[String], before: &str, errors: &mut Errors) {
    if !messages.is_empty() {
        errors.push(node.invalid_text(format!("{before}{}", messages.join(","))));
    }
}

fn definition_spec(spec: &Node<'_>, errors: &mut Errors) {
    let (group, versions) = (spec.at("group"), spec.at("versions"));
    let messages = formats::dns_subdomain(group.str());
    if group.is_empty() {
        errors.push(group.required(""));
    } else if !messages.is_empty() {
        joined(&group, &messages, "", errors);
    } else if !group.str().contains('.') {
        errors.push(group.invalid_text("should be a domain with at least one dot"));
    }
    required_choice(&spec.at("scope"), &["Cluster", "Namespaced"], errors);
    if !spec.at("validation").has("openAPIV3Schema") {
        for version in versions.items() {
            let schema = version.at("schema").at("openAPIV3Schema");
            if !schema.present() {
                errors.push(schema.required(""));
            }
        }
    }
    let preserve = spec.at("preserveUnknownFields");
    if preserve.bool() && (has_defaults(spec.get("validation")) || has_defaults(versions.value)) {
        errors.push(preserve.invalid("must be false in order to use defaults in the schema"));
    }
    for version in versions.items() {
        let name = version.at("name");
        joined(&name, &formats::dns1035_label(name.str()), "", errors);
        definition_version(&version, errors);
    }
    let shown = || {
        let ty = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionVersion";
        go_struct::list(ty, versions.value)
    };
    let names_of: Vec<&str> = versions.items().map(|version| version.text("name")).collect();
    if names_of.iter().enumerate().any(|(i, name)| names_of.iter().take(i).any(|other| other == name)) {
        errors.push(Error::invalid(&versions.path, shown(), "must contain unique version names"));
    }
    if versions.items().filter(|version| version.flag("storage")).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.push(Error::invalid(&versions.path, shown(), detail));
    }
    let version = spec.at("version");
    if !version.is_empty() {
        joined(&version, &formats::dns1035_label(version.str()), "", errors);
    }
    let own = spec.at("names");
    for name in ["plural", "singular", "kind", "listKind"] {
        if own.at(name).is_empty() {
            errors.push(own.at(name).required(""));
        }
    }
    names(&own, errors);
    subresources(&spec.at("subresources"), errors);
    columns(&spec.at("additionalPrinterColumns"), errors);
    let selectable = spec.at("selectableFields");
    if !selectable.is_empty() && !spec.has("validation") {
        errors.push(Error::invalid(&selectable.path, "", "may only be set when validations.schema is included"));
    }
    conversion(&spec.at("conversion"), preserve.bool(), errors);
}

/// Whether a schema, or a version's, has a default anywhere.
fn has_defaults(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            let default = fields.get("default").is_some_and(|default| !default.is_null());
            let is_schema = ["type", "properties", "items"].iter().any(|name| fields.contains_key(*name));
            (default && is_schema) || fields.values().any(has_defaults)
        }
        Value::Array(items) => items.iter().any(has_defaults),
        _ => false,
    }
}

fn definition_version(version: &Node<'_>, errors: &mut Errors) {
    let warning = version.at("deprecationWarning");
    if warning.present() && !version.flag("deprecated") {
        errors.push(warning.invalid_text("can only be set for deprecated versions"));
    } else if warning.present() {
        if warning.len() > 256 {
            errors.push(warning.invalid_text("must be <= 256 characters long"));
        }
        if warning.is_empty() {
            errors.push(warning.invalid_text("must not be an empty string"));
        }
        if let Some((i, _)) = warning.str().char_indices().find(|(_, c)| c.is_control()) {
            errors.push(warning.invalid_text(format!(
                "must only contain printable UTF-8 characters; non-printable character found at index {i}"
            )));
        }
    }
    subresources(&version.at("subresources"), errors);
    columns(&version.at("additionalPrinterColumns"), errors);
}

fn names(names: &Node<'_>, errors: &mut Errors) {
    for name in ["plural", "singular"] {
        let name = names.at(name);
        if !name.is_empty() {
            joined(&name, &formats::dns1035_label(name.str()), "", errors);
        }
    }
    for name in ["kind", "listKind"] {
        let name = names.at(name);
        if !name.is_empty() {
            let messages = formats::dns1035_label(&name.str().to_lowercase());
            joined(&name, &messages, "may have mixed case, but should otherwise match: ", errors);
        }
    }
    for name in names.at("shortNames").items() {
        joined(&name, &formats::dns1035_label(name.str()), "", errors);
    }
    let list = names.at("listKind");
    if !list.is_empty() && list.str() == names.text("kind") {
        errors.push(list.invalid_text("kind and listKind may not be the same"));
    }
    for name in names.at("categories").items() {
        joined(&name, &formats::dns1035_label(name.str()), "", errors);
    }
}

/// Requires a path of fields from a dot on.
fn simple_path(path: &Node<'_>, errors: &mut Errors) -> bool {
    let simple = path.str().starts_with('.');
    if !simple {
        errors.push(path.invalid_text("must be a simple json path starting with ."));
    }
    simple
}

fn subresources(subresources: &Node<'_>, errors: &mut Errors) {
    let Some(scale) = subresources.at("scale").some() else { return };
    for (name, path, prefix, root) in [
        ("specReplicasPath", "scale.specReplicasPath", ".spec.", ".spec"),
        ("statusReplicasPath", "scale.statusReplicasPath", ".status.", ".status"),
    ] {
        let path = Node { value: scale.get(name), path: subresources.path.child(path) };
        if path.is_empty() {
            errors.push(path.required(""));
        } else if simple_path(&path, errors) && !path.str().starts_with(prefix) {
            errors.push(path.invalid_text(format!("should be a json path under {root}")));
        }
    }
    let path = Node { value: scale.get("labelSelectorPath"), path: subresources.path.child("scale.labelSelectorPath") };
    if !path.is_empty()
        && simple_path(&path, errors)
        && !path.str().starts_with(".spec.")
        && !path.str().starts_with(".status.")
    {
        errors.push(path.invalid_text("should be a json path under either .spec or .status"));
    }
}

fn columns(columns: &Node<'_>, errors: &mut Errors) {
    for column in columns.items() {
        let (name, ty, format) = (column.at("name"), column.at("type"), column.at("format"));
        let path = Node { value: column.get("jsonPath"), path: column.path.child("JSONPath") };
        if name.is_empty() {
            errors.push(name.required(""));
        }
        let types = format!("must be one of {}", COLUMN_TYPES.join(","));
        if ty.is_empty() {
            errors.push(ty.required(types));
        } else if !COLUMN_TYPES.contains(&ty.str()) {
            errors.push(ty.invalid_text(types));
        }
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format.str()) {
            errors.push(format.invalid_text(format!("must be one of {}", COLUMN_FORMATS.join(","))));
        }
        if path.is_empty() {
            errors.push(path.required(""));
        } else {
            simple_path(&path, errors);
        }
    }
}

fn conversion(conversion: &Node<'_>, preserve: bool, errors: &mut Errors) {
    if !conversion.present() {
        return;
    }
    let (strategy, webhook) = (conversion.at("strategy"), conversion.at("webhook"));
    if preserve && strategy.str() != "None" {
        errors.push(strategy.invalid_text("must be None if spec.preserveUnknownFields is true"));
    }
    required_choice(&strategy, &["None", "Webhook"], errors);
    let client = Node { value: webhook.get("clientConfig"), path: conversion.path.child("webhookClientConfig") };
    let versions = Node {
        value: webhook.get("conversionReviewVersions"),
        path: conversion.path.child("conversionReviewVersions"),
    };
    if strategy.str() != "Webhook" {
        let detail = "should not be set when strategy is not set to Webhook";
        if client.present() {
            errors.push(client.forbidden(detail));
        }
        if !versions.is_empty() {
            errors.push(versions.forbidden(detail));
        }
        return;
    }
    if !client.present() {
        errors.push(client.required("required when strategy is set to Webhook"));
    } else if client.has("url") == client.has("service") {
        errors.push(client.required("exactly one of url or service is required"));
    } else if client.has("url") {
        webhooks::url(&client.at("url"), errors);
    } else {
        webhooks::service(&client.at("service"), errors);
    }
    if versions.is_empty() {
        errors.push(versions.required(""));
        return;
    }
    let mut seen = Vec::new();
    for version in versions.items() {
        if seen.contains(&version.str()) {
            errors.push(version.invalid_text("duplicate version"));
            continue;
        }
        seen.push(version.str());
        version.format(formats::dns1035_label(version.str()), errors);
    }
    if !seen.iter().any(|version| matches!(*version, "v1" | "v1beta1")) {
        errors.push(versions.invalid("must include at least one of v1, v1beta1"));
    }
}
