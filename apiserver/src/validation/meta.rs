//! Rules that every kind shares: object metadata, labels and selectors.
//!
//! Upstream: `apimachinery/pkg/api/validation/objectmeta.go`, `pkg/apis/meta/v1/validation`.

use serde_json::Value;

use super::field::{BadValue, Error, Errors, Path};
use super::formats::{self, Messages};
use super::node::Node;
use crate::go_syntax::{go_json, go_quote, is_print};

/// Keys and values of all annotations of an object together.
const ANNOTATIONS_MAX_BYTES: usize = 256 * 1024;
const FIELD_MANAGER_MAX_BYTES: usize = 128;
const SUBRESOURCE_MAX_BYTES: usize = 256;

/// Judges the metadata of a new object, after its name has been generated.
pub fn validate(meta: &Node<'_>, namespaced: bool, name_rule: impl Fn(&str, bool) -> Messages, errors: &mut Errors) {
    if let Some(generate_name) = meta.at("generateName").some() {
        generate_name.format(name_rule(generate_name.str(), true), errors);
    }
    let name = meta.at("name");
    if name.is_empty() {
        errors.push(name.required("name or generateName is required"));
    } else {
        name.format(name_rule(name.str(), false), errors);
    }
    validate_common(meta, namespaced, errors);
}

/// Judges the metadata of a new object of one of the kinds whose names have length limits of their own: `generateName` is not
/// judged, only what became of it.
pub fn validate_generated(
    meta: &Node<'_>,
    namespaced: bool,
    name_rule: fn(&Node<'_>, &mut Errors),
    errors: &mut Errors,
) {
    let name = meta.at("name");
    if name.is_empty() {
        errors.push(name.required("name or generateName is required"));
    } else {
        name_rule(&name, errors);
    }
    validate_common(meta, namespaced, errors);
}

/// As [`validate`], and finalizers without a domain must be Kubernetes' own.
pub fn validate_kube(
    meta: &Node<'_>,
    namespaced: bool,
    name_rule: impl Fn(&str, bool) -> Messages,
    errors: &mut Errors,
) {
    validate(meta, namespaced, name_rule, errors);
    kube_finalizers(meta, errors);
}

/// As [`validate_update`], and finalizers without a domain must be Kubernetes' own.
pub fn validate_kube_update(meta: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    validate_update(meta, old, errors);
    kube_finalizers(meta, errors);
}

/// Requires finalizers to be Kubernetes' own or to have a domain.
pub fn kube_finalizers(meta: &Node<'_>, errors: &mut Errors) {
    for finalizer in meta.at("finalizers").items() {
        kube_finalizer(&finalizer, errors);
    }
}

/// Requires a finalizer to be one of Kubernetes' own or to have a domain.
pub fn kube_finalizer(finalizer: &Node<'_>, errors: &mut Errors) {
    if !finalizer.str().contains('/') && !matches!(finalizer.str(), "kubernetes" | "orphan" | "foregroundDeletion") {
        errors.push(finalizer.invalid_text("name is neither a standard finalizer name nor is it fully qualified"));
    }
}

fn validate_common(meta: &Node<'_>, namespaced: bool, errors: &mut Errors) {
    let namespace = meta.at("namespace");
    if !namespaced {
        if !namespace.is_empty() {
            errors.push(namespace.forbidden("not allowed on this type"));
        }
    } else if namespace.is_empty() {
        errors.push(namespace.required(""));
    } else {
        namespace.format(formats::dns_label(namespace.str()), errors);
    }
    meta.at("generation").nonnegative(errors);
    labels(&meta.at("labels"), errors);
    annotations(&meta.at("annotations"), errors);
    owner_references(&meta.at("ownerReferences"), errors);
    finalizers(&meta.at("finalizers"), errors);
    managed_fields(&meta.at("managedFields"), errors);
}

/// Judges the metadata of a changed object against what it was.
pub fn validate_update(meta: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    if old.has("deletionTimestamp") {
        no_new_finalizers(&meta.at("finalizers"), old.get("finalizers"), errors);
    }
    let version = meta.at("resourceVersion");
    if version.is_empty() {
        errors.push(version.invalid_text("must be specified for an update"));
    }
    let generation = meta.at("generation");
    if generation.int() < old.number("generation").unwrap_or_default() {
        errors.push(generation.invalid_int("must not be decremented"));
    }
    for name in ["name", "namespace", "uid"] {
        let text = meta.at(name);
        if text.str() != old.text(name) {
            errors.push(text.invalid_text("field is immutable"));
        }
    }
    for name in ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        meta.at(name).immutable(old.get(name), errors);
    }
    labels(&meta.at("labels"), errors);
    annotations(&meta.at("annotations"), errors);
    owner_references(&meta.at("ownerReferences"), errors);
    managed_fields(&meta.at("managedFields"), errors);
}

fn no_new_finalizers(new: &Node<'_>, old: &Value, errors: &mut Errors) {
    let old: Vec<&str> = old.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut extra: Vec<&str> = new.strings().filter(|name| !old.contains(name)).collect();
    extra.sort_unstable();
    extra.dedup();
    if !extra.is_empty() {
        let extra: Vec<String> = extra.into_iter().map(go_quote).collect();
        errors.push(new.forbidden(format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            extra.join(", ")
        )));
    }
}

/// Judges a label's key where it stands in a field of its own.
pub fn label_key(node: &Node<'_>, errors: &mut Errors) {
    node.format(formats::label_key(node.str()), errors);
}

/// Judges a map of labels.
pub fn labels(labels: &Node<'_>, errors: &mut Errors) {
    for (key, value) in labels.texts() {
        let invalid = |text: &str, message| Error::invalid(&labels.path, text, message);
        errors.extend(formats::label_key(key).into_iter().map(|message| invalid(key, message)));
        errors.extend(formats::label_value(value).into_iter().map(|message| invalid(value, message)));
    }
}

/// Judges a map of annotations.
pub fn annotations(annotations: &Node<'_>, errors: &mut Errors) {
    let mut bytes = 0;
    for (key, value) in annotations.texts() {
        bytes += key.len() + value.len();
        let messages = formats::label_key(&key.to_lowercase());
        errors.extend(messages.into_iter().map(|message| Error::invalid(&annotations.path, key, message)));
    }
    if bytes > ANNOTATIONS_MAX_BYTES {
        errors.push(Error::too_long(&annotations.path, ANNOTATIONS_MAX_BYTES));
    }
}

/// Drops owner references that repeat an earlier one, as writes do before anything judges them. Returns the warning to give.
pub fn dedup_owner_references(object: &mut Value) -> Option<String> {
    let references = object.pointer_mut("/metadata/ownerReferences")?.as_array_mut()?;
    let (mut seen, mut repeated): (Vec<Value>, Vec<String>) = (Vec::new(), Vec::new());
    references.retain(|reference| {
        let is_new = !seen.contains(reference);
        if is_new {
            seen.push(reference.clone());
        } else {
            let uid = reference.get("uid").and_then(Value::as_str).unwrap_or_default().to_owned();
            if !repeated.contains(&uid) {
                repeated.push(uid);
            }
        }
        is_new
    });
    (!repeated.is_empty()).then(|| {
        format!(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            repeated.join(", ")
        )
    })
}

fn owner_references(references: &Node<'_>, errors: &mut Errors) {
    let mut controller: Option<String> = None;
    for reference in references.items() {
        // Upstream names the list here, not the item.
        let at = |name| Node { value: reference.get(name), path: references.path.child(name) };
        let api_version = reference.text("apiVersion");
        // `parse.GroupVersion` fails on a second slash and then knows no version.
        let version = match api_version.split('/').collect::<Vec<_>>().as_slice() {
            [version] | [_, version] => version,
            _ => "",
        };
        if version.is_empty() {
            errors.push(at("apiVersion").invalid_text("version must not be empty"));
        }
        for name in ["kind", "name", "uid"] {
            let text = at(name);
            if text.is_empty() {
                errors.push(text.invalid_text("must not be empty"));
            }
        }
        if api_version == "v1" && reference.text("kind") == "Event" {
            errors.push(Error::invalid(
                &references.path,
                BadValue::Text(owner_reference_text(reference.value)),
                "/v1, Kind=Event is disallowed from being an owner",
            ));
        }
        if reference.flag("controller") {
            let current = format!("{}/{}", reference.text("kind"), reference.text("name"));
            if let Some(first) = &controller {
                let all: Vec<String> = references.items().map(|item| owner_reference_text(item.value)).collect();
                errors.push(Error::invalid(
                    &references.path,
                    BadValue::Text(format!("[{}]", all.join(","))),
                    format!("Only one reference can have Controller set to true. Found \"true\" in references for {first} and {current}"),
                ));
            } else {
                controller = Some(current);
            }
        }
    }
}

/// An owner reference with its fields in their own order.
fn owner_reference_text(reference: &Value) -> String {
    fields_text(reference, &["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"])
}

fn finalizers(finalizers: &Node<'_>, errors: &mut Errors) {
    let (mut orphans, mut foreground) = (false, false);
    for finalizer in finalizers.strings() {
        finalizer_name(finalizer, &finalizers.path, errors);
        orphans |= finalizer == "orphan";
        foreground |= finalizer == "foregroundDeletion";
    }
    if orphans && foreground {
        errors.push(finalizers.invalid("finalizer orphan and foregroundDeletion cannot be both set"));
    }
}

/// Judges a finalizer's name.
pub fn finalizer_name(name: &str, path: &Path, errors: &mut Errors) {
    errors.extend(formats::label_key(name).into_iter().map(|message| Error::invalid(path, name, message)));
}

fn managed_fields(entries: &Node<'_>, errors: &mut Errors) {
    for entry in entries.items() {
        let operation = entry.at("operation");
        if !matches!(operation.str(), "Apply" | "Update") {
            errors.push(operation.invalid_text("must be `Apply` or `Update`"));
        }
        let fields_type = entry.at("fieldsType");
        if !matches!(fields_type.str(), "" | "FieldsV1") {
            errors.push(fields_type.invalid_text("must be `FieldsV1`"));
        }
        let manager = entry.at("manager");
        field_manager(manager.str(), &manager.path, errors);
        if entry.text("subresource").len() > SUBRESOURCE_MAX_BYTES {
            errors.push(Error::too_long(&entry.at("subresource").path, SUBRESOURCE_MAX_BYTES));
        }
    }
}

/// Judges the name of a field manager; also that of the query parameter `fieldManager`.
pub fn field_manager(manager: &str, path: &Path, errors: &mut Errors) {
    if manager.len() > FIELD_MANAGER_MAX_BYTES {
        errors.push(Error::too_long(path, FIELD_MANAGER_MAX_BYTES));
    }
    for (at, c) in manager.char_indices() {
        if !is_print(c) {
            let code = u32::from(c);
            errors.push(Error::invalid(path, manager, format!("invalid character U+{code:04X} (at position {at})")));
        }
    }
}

/// Judges a label selector; absent is valid.
pub fn label_selector(selector: &Node<'_>, errors: &mut Errors) {
    labels(&selector.at("matchLabels"), errors);
    for requirement in selector.at("matchExpressions").items() {
        let values = requirement.at("values");
        let operator = requirement.at("operator");
        match operator.str() {
            "In" | "NotIn" if values.is_empty() => {
                errors.push(values.required("must be specified when `operator` is 'In' or 'NotIn'"));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                errors.push(values.forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => errors.push(operator.invalid_text("not a valid selector operator")),
        }
        label_key(&requirement.at("key"), errors);
        for value in values.items() {
            value.format(formats::label_value(value.str()), errors);
        }
    }
}

/// Whether a label selector (present, valid) selects a set of labels.
pub fn selects(selector: &Node<'_>, labels: &Value) -> bool {
    let label = |key: &str| labels.get(key).and_then(Value::as_str);
    selector.at("matchLabels").texts().all(|(key, value)| label(key) == Some(value))
        && selector.at("matchExpressions").items().all(|requirement| {
            let found = label(requirement.text("key"));
            let listed = || found.is_some_and(|found| requirement.at("values").strings().any(|value| value == found));
            match requirement.text("operator") {
                "In" => listed(),
                "NotIn" => !listed(),
                "Exists" => found.is_some(),
                _ => found.is_none(),
            }
        })
}

/// A label selector with its fields in their own order, as errors show it.
pub fn selector_text(selector: &Value) -> BadValue {
    let requirement = |requirement: &Value| fields_text(requirement, &["key", "operator", "values"]);
    let mut parts = Vec::new();
    if let Some(labels) = selector.get("matchLabels") {
        parts.push(format!("\"matchLabels\":{}", go_json(labels)));
    }
    if let Some(Value::Array(expressions)) = selector.get("matchExpressions") {
        let expressions: Vec<String> = expressions.iter().map(requirement).collect();
        parts.push(format!("\"matchExpressions\":[{}]", expressions.join(",")));
    }
    if selector.is_null() { BadValue::Value(Value::Null) } else { BadValue::Text(format!("{{{}}}", parts.join(","))) }
}

/// The fields of a value that it has, in the given order.
fn fields_text(value: &Value, names: &[&str]) -> String {
    let mut parts = Vec::new();
    for name in names {
        if let Some(value) = value.get(name) {
            parts.push(format!("\"{name}\":{}", go_json(value)));
        }
    }
    format!("{{{}}}", parts.join(","))
}

/// Whether a label selector has neither labels nor expressions.
pub fn selects_everything(selector: &Node<'_>) -> bool {
    selector.at("matchLabels").is_empty() && selector.at("matchExpressions").is_empty()
}

/// Judges a list of `metav1.Condition`.
pub fn conditions(conditions: &Node<'_>, errors: &mut Errors) {
    let mut seen: Vec<&str> = Vec::new();
    for condition in conditions.items() {
        let kind = condition.at("type");
        if seen.contains(&kind.str()) {
            errors.push(Error::duplicate(&kind.path, kind.str()));
        } else {
            seen.push(kind.str());
        }
        label_key(&kind, errors);
        condition.at("status").one_of(&["False", "True", "Unknown"], errors);
        let observed = condition.at("observedGeneration");
        if observed.int() < 0 {
            errors.push(observed.invalid_int("must be greater than or equal to zero"));
        }
        let transition = condition.at("lastTransitionTime");
        if !transition.present() {
            errors.push(transition.required(""));
        }
        let reason = condition.at("reason");
        if reason.is_empty() {
            errors.push(reason.required(""));
        } else {
            if !is_condition_reason(reason.str()) {
                errors.push(reason.invalid_text(formats::regex_error(
                    "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'",
                    "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?",
                    &["my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"],
                )));
            }
            if reason.len() > 1024 {
                errors.push(Error::too_long(&reason.path, 1024));
            }
        }
        let message = condition.at("message");
        if message.len() > 32 * 1024 {
            errors.push(Error::too_long(&message.path, 32 * 1024));
        }
    }
}

fn is_condition_reason(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.last().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"_,:".contains(b))
}
