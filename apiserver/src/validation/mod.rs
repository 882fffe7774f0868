//! What a kind's objects must look like: defaults for what a client leaves out, and rules for what it says.
//!
//! Everything here is pure and works on decoded objects in served form. One file a family of kinds holds both; `rules` is the
//! table that leads to them.

pub mod addresses;
mod admissionregistration;
mod affinity;
mod apiextensions;
mod autoscaling;
mod batch;
mod certificates;
mod cluster;
mod config;
mod container;
mod coordination;
mod edit;
mod events;
pub mod field;
mod flowcontrol;
pub mod formats;
mod go_struct;
mod image;
pub mod meta;
mod networking;
pub mod node;
mod paths;
mod pod;
mod pod_subresources;
mod policy;
pub mod prepare;
mod quantity;
mod rbac;
mod resource;
mod resources;
mod rules;
mod runtime_class;
mod schedule;
mod scheduling;
mod service;
mod storage;
mod tokens;
mod volume;
pub mod warnings;
mod webhooks;
mod workload;

use jiff::Timestamp;
use serde_json::{Map, Value};

use self::field::Errors;
use self::node::Node;
use crate::schema::{self, GroupVersionKind};

pub use self::warnings::warnings;

/// Fills in what the client left out, as decoding does in kube-apiserver; leaves the object in served form. `now` becomes the
/// time at which a device taint without one was added.
pub fn default(gvk: &GroupVersionKind, object: &mut Value, now: Timestamp) {
    if let Some(rules) = rules::of(gvk) {
        (rules.default)(object);
        (rules.default_time)(object, now);
        restore_served_form(gvk, object);
    }
}

/// Converts an object, already defaulted, between versions of its kind: autoscaling v1 and v2, core and events.k8s.io events.
/// All others have the same fields in each.
pub fn convert(from: &GroupVersionKind, to: &GroupVersionKind, mut object: Value) -> Value {
    if from == to {
        return object;
    }
    edit::object(&mut object, |fields| {
        match (from.group.as_str(), from.version.as_str(), to.group.as_str(), to.version.as_str()) {
            ("autoscaling", "v1", "autoscaling", "v2") => autoscaling::v1_to_v2(fields),
            ("autoscaling", "v2", "autoscaling", "v1") => autoscaling::v2_to_v1(fields),
            ("events.k8s.io", _, "", _) => events::to_core(fields),
            ("", _, "events.k8s.io", _) => events::from_core(fields),
            _ => {}
        }
        edit::set(fields, "apiVersion", to.api_version());
        edit::set(fields, "kind", to.kind.as_str());
    });
    restore_served_form(to, &mut object);
    object
}

fn restore_served_form(gvk: &GroupVersionKind, object: &mut Value) {
    if let Some(ty) = schema::builtin::registry().kind(gvk) {
        schema::complete::complete(object, &ty);
    }
}

/// Judges a new object: all of its fields, then, if these are well, what every object's metadata must be.
pub fn validate_create(gvk: &GroupVersionKind, object: &Value) -> Errors {
    let mut errors = Errors::new();
    let Some(rules) = rules::of(gvk) else { return errors };
    let node = Node::root(object);
    (rules.create)(&node, &mut errors);
    if errors.is_empty() {
        meta::validate(&node.at("metadata"), rules.namespaced, formats::path_segment, &mut errors);
    }
    errors
}

/// Judges a changed object against what it was.
pub fn validate_update(gvk: &GroupVersionKind, object: &Value, old: &Value) -> Errors {
    judge_update(gvk, object, old, |rules| rules.update)
}

/// Judges an object changed through a subresource against what it was.
pub fn validate_subresource_update(gvk: &GroupVersionKind, subresource: &str, object: &Value, old: &Value) -> Errors {
    judge_update(gvk, object, old, |rules| match (gvk.kind.as_str(), subresource) {
        ("Namespace", "finalize") => cluster::finalize_namespace,
        ("Pod", "ephemeralcontainers") => pod_subresources::update_ephemeral_containers,
        ("Pod", "resize") => pod_subresources::resize,
        (_, "status") => rules.status,
        _ => rules.update,
    })
}

/// Judges the addresses and families of a service, new or changed, before any are allocated.
pub fn service_addresses(spec: &Map<String, Value>, old: Option<&Map<String, Value>>) -> Errors {
    let mut errors = Errors::new();
    let (spec, old) = (Value::Object(spec.clone()), old.map(|old| Value::Object(old.clone())));
    let at = |value| Node { value, path: field::Path::new("spec") };
    service::related_addresses(&at(&spec), old.as_ref().map(at).as_ref(), &mut errors);
    errors
}

fn judge_update(
    gvk: &GroupVersionKind,
    object: &Value,
    old: &Value,
    rule: impl Fn(rules::Rules) -> rules::Update,
) -> Errors {
    let mut errors = Errors::new();
    let Some(rules) = rules::of(gvk) else { return errors };
    let (node, old) = (Node::root(object), Node::root(old));
    meta::validate(&node.at("metadata"), rules.namespaced, formats::path_segment, &mut errors);
    meta::validate_update(&node.at("metadata"), &old.at("metadata"), &mut errors);
    rule(rules)(&node, &old, &mut errors);
    errors
}
