//! Runtime classes.
//!
//! Upstream: `pkg/apis/node/validation/validation.go`.

use super::field::{Error, Errors};
use super::node::Node;
use super::{formats, go_struct, meta, pod};

/// Judges a new runtime class.
pub fn create(class: &Node<'_>, errors: &mut Errors) {
    meta::validate(&class.at("metadata"), false, formats::subdomain_name, errors);
    let handler = class.at("handler");
    if handler.is_empty() {
        errors.push(handler.required(""));
    } else {
        handler.format(formats::dns_label(handler.str()), errors);
    }
    let overhead = class.at("overhead");
    let fixed = Node { value: overhead.get("podFixed"), path: overhead.path.clone() };
    if fixed.present() {
        pod::validate_overhead(&fixed, errors);
    }
    let scheduling = class.at("scheduling");
    meta::labels(&scheduling.at("nodeSelector"), errors);
    let tolerations = scheduling.at("tolerations");
    pod::validate_tolerations(&tolerations, errors);
    let key =
        |toleration: &Node<'_>| ["key", "operator", "value", "effect"].map(|name| toleration.text(name).to_owned());
    for (i, toleration) in tolerations.items().enumerate() {
        if tolerations.items().take(i).any(|other| key(&other) == key(&toleration)) {
            let shown = go_struct::value("io.k8s.api.core.v1.Toleration", toleration.value);
            errors.push(Error::duplicate(&toleration.path, shown));
        }
    }
}

/// Judges a changed runtime class.
pub fn update(class: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_update(&class.at("metadata"), &old.at("metadata"), errors);
    class.at("handler").immutable(old.get("handler"), errors);
}
