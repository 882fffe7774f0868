//! Roles and their bindings.
//!
//! Upstream: `pkg/apis/rbac/v1/defaults.go`, `pkg/apis/rbac/validation/validation.go`.

use serde_json::Value;

use super::edit::{each, is_empty, object, set, set_empty, text, within};
use super::field::{Error, Errors};
use super::node::Node;
use super::{formats, go_struct, meta};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Defaults of a role binding or cluster role binding.
pub fn default_binding(binding: &mut Value) {
    object(binding, |binding| {
        within(binding, "roleRef", |role| set_empty(role, "apiGroup", GROUP));
        each(binding, "subjects", |subject| {
            if is_empty(subject, "apiGroup") && matches!(text(subject, "kind"), "User" | "Group") {
                set(subject, "apiGroup", GROUP);
            }
        });
    });
}

fn path_name(name: &str, _prefix: bool) -> formats::Messages {
    formats::path_segment(name, false)
}

/// Judges a new role.
pub fn create_role(role: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&role.at("metadata"), true, path_name, errors);
    rules(role, true, errors);
}

/// Judges a new cluster role.
pub fn create_cluster_role(role: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&role.at("metadata"), false, path_name, errors);
    rules(role, false, errors);
    let Some(aggregation) = role.at("aggregationRule").some() else { return };
    let selectors = aggregation.at("clusterRoleSelectors");
    if selectors.is_empty() {
        errors.push(selectors.required("at least one clusterRoleSelector required if aggregationRule is non-nil"));
    }
    for selector in selectors.items() {
        let before = errors.len();
        meta::label_selector(&selector, errors);
        if errors.len() != before {
            errors.push(Error::invalid(&selector.path, Value::Null, "invalid label selector."));
        }
    }
}

fn rules(role: &Node<'_>, namespaced: bool, errors: &mut Errors) {
    for rule in role.at("rules").items() {
        let at = |name| rule.at(name);
        if at("verbs").is_empty() {
            errors.push(at("verbs").required("verbs must contain at least one value"));
        }
        let urls = at("nonResourceURLs");
        let (groups, resources) = (at("apiGroups"), at("resources"));
        if !urls.is_empty() {
            if namespaced {
                errors.push(urls.invalid("namespaced rules cannot apply to non-resource URLs"));
            }
            if !(groups.is_empty() && resources.is_empty() && at("resourceNames").is_empty()) {
                errors.push(urls.invalid("rules cannot apply to both regular resources and non-resource URLs"));
            }
            continue;
        }
        if groups.is_empty() {
            errors.push(groups.required("resource rules must supply at least one api group"));
        }
        if resources.is_empty() {
            errors.push(resources.required("resource rules must supply at least one resource"));
        }
    }
}

/// Judges a changed role.
pub fn update_role(role: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    create_role(role, errors);
    meta::validate_kube_update(&role.at("metadata"), &old.at("metadata"), errors);
}

/// Judges a changed cluster role.
pub fn update_cluster_role(role: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    create_cluster_role(role, errors);
    meta::validate_kube_update(&role.at("metadata"), &old.at("metadata"), errors);
}

/// Judges a new role binding.
pub fn create_role_binding(binding: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&binding.at("metadata"), true, path_name, errors);
    validate_binding(binding, true, &["Role", "ClusterRole"], errors);
}

/// Judges a new cluster role binding.
pub fn create_cluster_role_binding(binding: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&binding.at("metadata"), false, path_name, errors);
    validate_binding(binding, false, &["ClusterRole"], errors);
}

/// Judges a changed role binding.
pub fn update_role_binding(binding: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    create_role_binding(binding, errors);
    update_binding(binding, old, errors);
}

/// Judges a changed cluster role binding.
pub fn update_cluster_role_binding(binding: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    create_cluster_role_binding(binding, errors);
    update_binding(binding, old, errors);
}

fn update_binding(binding: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&binding.at("metadata"), &old.at("metadata"), errors);
    let role = binding.at("roleRef");
    if role.value != old.get("roleRef") {
        let shown = go_struct::value("io.k8s.api.rbac.v1.RoleRef", role.value);
        errors.push(Error::invalid(&role.path, shown, "cannot change roleRef"));
    }
}

fn validate_binding(binding: &Node<'_>, namespaced: bool, kinds: &[&str], errors: &mut Errors) {
    let role = binding.at("roleRef");
    role.at("apiGroup").one_of(&[GROUP], errors);
    role.at("kind").one_of(kinds, errors);
    let name = role.at("name");
    if name.is_empty() {
        errors.push(name.required(""));
    } else {
        name.format(formats::path_segment(name.str(), false), errors);
    }
    for subject in binding.at("subjects").items() {
        let (name, group) = (subject.at("name"), subject.at("apiGroup"));
        if name.is_empty() {
            errors.push(name.required(""));
        }
        match subject.text("kind") {
            "ServiceAccount" => {
                if !name.is_empty() {
                    name.format(formats::dns_subdomain(name.str()), errors);
                }
                if !group.is_empty() {
                    errors.push(group.not_supported(&[""]));
                }
                let namespace = subject.at("namespace");
                if !namespaced && namespace.is_empty() {
                    errors.push(namespace.required(""));
                }
            }
            "User" | "Group" => {
                group.one_of(&[GROUP], errors);
            }
            _ => errors.push(subject.at("kind").not_supported(&["ServiceAccount", "User", "Group"])),
        }
    }
}
