//! Events, and the conversion between core/v1, which is stored, and events.k8s.io/v1.
//!
//! Upstream: `pkg/apis/events/v1/conversion.go`, `pkg/apis/core/validation/events.go`.

use serde_json::Value;

use super::edit::Fields;
use super::field::{BadValue, Error, Errors, Path};
use super::node::Node;
use super::{formats, go_struct, meta};

/// Names of the same fields in core/v1 and events.k8s.io/v1; all others are named alike.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// Rewrites the fields of an events.k8s.io/v1 event as those of core/v1.
pub fn to_core(event: &mut Fields) {
    for (core, events) in NAMES {
        if let Some(value) = event.remove(events) {
            event.insert(core.to_owned(), value);
        }
    }
}

/// Rewrites the fields of a core/v1 event as those of events.k8s.io/v1.
pub fn from_core(event: &mut Fields) {
    for (core, events) in NAMES {
        if let Some(value) = event.remove(core) {
            event.insert(events.to_owned(), value);
        }
    }
}

const TEXT_MAX_BYTES: usize = 128;
const MESSAGE_MAX_BYTES: usize = 1024;

/// Judges what a core/v1 event has to say, new or changed. Upstream judges nothing of its metadata here.
pub fn create_core(event: &Node<'_>, errors: &mut Errors) {
    legacy(event, "reportingComponent", errors);
}

/// Judges a changed core/v1 event.
pub fn update_core(event: &Node<'_>, _old: &Node<'_>, errors: &mut Errors) {
    create_core(event, errors);
}

/// An events.k8s.io/v1 event in the fields of core/v1, which its errors name.
fn as_core(event: &Node<'_>) -> Value {
    let mut event = event.value.clone();
    super::edit::object(&mut event, to_core);
    event
}

/// Judges a new events.k8s.io/v1 event.
pub fn create(event: &Node<'_>, errors: &mut Errors) {
    let event = as_core(event);
    let event = Node::root(&event);
    legacy(&event, "reportingController", errors);
    meta::validate_kube(&event.at("metadata"), true, formats::subdomain_name, errors);
    series(&event, errors);
    let time = event.at("eventTime");
    if !time.present() {
        errors.push(time.required(""));
    }
    let kind = event.at("type");
    if !matches!(kind.str(), "Normal" | "Warning") {
        errors.push(Error::invalid(&kind.path, "", format!("has invalid value: {}", kind.str())));
    }
    for name in ["firstTimestamp", "lastTimestamp", "count"] {
        let field = event.at(name);
        if field.present() && field.value != &Value::from(0) {
            errors.push(Error::invalid(&field.path, "", "needs to be unset"));
        }
    }
    let source = event.at("source");
    if !source.text("component").is_empty() || !source.text("host").is_empty() {
        errors.push(Error::invalid(&source.path, "", "needs to be unset"));
    }
}

/// Judges a changed events.k8s.io/v1 event: only its series may change.
pub fn update(event: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    let (event, old) = (as_core(event), as_core(old));
    let (event, old) = (Node::root(&event), Node::root(&old));
    legacy(&event, "reportingController", errors);
    meta::validate_kube_update(&event.at("metadata"), &old.at("metadata"), errors);
    if event.get("series") != old.get("series") {
        series(&event, errors);
    }
    let immutable = |name: &'static str, reported: &'static str, ty: &str, errors: &mut Errors| {
        let field = Node { value: event.get(name), path: Path::new(reported) };
        if field.value == old.get(name) {
            return;
        }
        let shown = match ty {
            "" => BadValue::from(field.str()),
            "value" => BadValue::from(field.value),
            "count" => BadValue::from(field.int()),
            _ if field.present() => go_struct::value(ty, field.value),
            _ => BadValue::from(field.value),
        };
        errors.push(Error::invalid(&field.path, shown, "field is immutable"));
    };
    let reference = "io.k8s.api.core.v1.ObjectReference";
    immutable("involvedObject", "involvedObject", reference, errors);
    immutable("reason", "reason", "", errors);
    immutable("message", "message", "", errors);
    immutable("source", "source", "io.k8s.api.core.v1.EventSource", errors);
    immutable("firstTimestamp", "firstTimestamp", "value", errors);
    immutable("lastTimestamp", "lastTimestamp", "value", errors);
    immutable("count", "count", "count", errors);
    immutable("reason", "reason", "", errors);
    immutable("type", "type", "", errors);
    immutable("eventTime", "eventTime", "value", errors);
    immutable("action", "action", "", errors);
    immutable("related", "related", reference, errors);
    immutable("reportingComponent", "reportingController", "", errors);
    immutable("reportingInstance", "reportingInstance", "", errors);
}

fn series(event: &Node<'_>, errors: &mut Errors) {
    let Some(series) = event.at("series").some() else { return };
    if series.number("count").unwrap_or_default() < 2 {
        errors.push(Error::invalid(&Path::new("series.count"), "", "should be at least 2"));
    }
    if !series.has("lastObservedTime") {
        errors.push(Error::required(&Path::new("series.lastObservedTime"), ""));
    }
}

/// What holds of events in both versions, on core/v1's fields. `controller` is how the version names the reporter.
fn legacy(event: &Node<'_>, controller: &'static str, errors: &mut Errors) {
    let namespace = event.at("metadata").text("namespace");
    let involved = event.at("involvedObject").at("namespace");
    let mismatch = "does not match event.namespace";
    if event.has("eventTime") {
        if involved.is_empty() && !matches!(namespace, "default" | "kube-system") {
            errors.push(involved.invalid_text(mismatch));
        }
        let reporter = Node { value: event.get("reportingComponent"), path: Path::new(controller) };
        if reporter.is_empty() {
            errors.push(reporter.required(""));
        }
        meta::label_key(&reporter, errors);
        let texts = [("reportingInstance", TEXT_MAX_BYTES), ("action", TEXT_MAX_BYTES), ("reason", TEXT_MAX_BYTES)];
        for (name, max) in texts {
            let text = event.at(name);
            if text.is_empty() {
                errors.push(text.required(""));
            }
            at_most(&text, max, errors);
        }
        at_most(&event.at("message"), MESSAGE_MAX_BYTES, errors);
    } else {
        let matches =
            if involved.is_empty() { matches!(namespace, "" | "default") } else { namespace == involved.str() };
        if !matches {
            errors.push(involved.invalid_text(mismatch));
        }
    }
    let path = Path::new("namespace");
    let messages = formats::dns_subdomain(namespace);
    errors.extend(messages.into_iter().map(|message| Error::invalid(&path, namespace, message)));
}

fn at_most(text: &Node<'_>, max: usize, errors: &mut Errors) {
    if text.len() > max {
        errors.push(Error::invalid(&text.path, "", format!("can have at most {max} characters")));
    }
}
