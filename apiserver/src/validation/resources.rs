//! What containers and pods request and may use, and the names of resources.
//!
//! Upstream: `pkg/apis/core/validation/validation.go`, `pkg/apis/core/helper/helpers.go`.

use super::field::{Error, Errors};
use super::formats;
use super::node::Node;
use super::quantity::Quantity;

/// Resources that have a meaning without a domain: compute resources, and what quotas count.
const STANDARD: [&str; 20] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];

/// Resources that a quota may limit.
const QUOTA: [&str; 19] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
];

/// Resources that are counted in whole units.
const WHOLE: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// Whether a resource is huge pages of some size.
pub fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn is_quota_huge_page(name: &str) -> bool {
    is_huge_page(name) || name.starts_with("requests.hugepages-")
}

/// Whether a resource is Kubernetes' own.
pub fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether a resource is of a vendor.
pub fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.") && formats::label_key(&format!("requests.{name}")).is_empty()
}

/// Whether more of a resource may be promised than there is.
pub fn may_overcommit(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

/// How a place judges the names of resources.
pub type NameRule = fn(&str, &Node<'_>, &mut Errors);

/// Any resource: standard, or with a domain.
pub fn name(name: &str, at: &Node<'_>, errors: &mut Errors) {
    let messages = formats::label_key(name);
    if messages.is_empty() {
        if !name.contains('/') && !STANDARD.contains(&name) && !is_quota_huge_page(name) {
            errors.push(Error::invalid(&at.path, name, "must be a standard resource type or fully qualified"));
        }
    } else {
        errors.extend(messages.into_iter().map(|message| Error::invalid(&at.path, name, message)));
    }
}

/// A resource that a container can use.
pub fn container_name(resource: &str, at: &Node<'_>, errors: &mut Errors) {
    name(resource, at, errors);
    if resource.contains('/') {
        if !is_native(resource) && !is_extended(resource) {
            errors.push(Error::invalid(&at.path, resource, "doesn't follow extended resource name standard"));
        }
    } else if !matches!(resource, "cpu" | "memory" | "ephemeral-storage") && !is_huge_page(resource) {
        errors.push(Error::invalid(&at.path, resource, "must be a standard resource for containers"));
    }
}

/// A resource that a pod as a whole can use.
pub fn pod_name(resource: &str, at: &Node<'_>, errors: &mut Errors) {
    let before = errors.len();
    name(resource, at, errors);
    if errors.len() == before && !matches!(resource, "cpu" | "memory") && !is_huge_page(resource) {
        errors.push(Error::not_supported(&at.path, resource, &["cpu", "hugepages-", "memory"]));
    }
}

/// Whether a resource is one that a quota can limit without a domain.
pub fn is_quota(resource: &str) -> bool {
    QUOTA.contains(&resource) || is_quota_huge_page(resource)
}

/// A resource that a quota can limit.
pub fn quota_name(resource: &str, at: &Node<'_>, errors: &mut Errors) {
    name(resource, at, errors);
    if !resource.contains('/') && !is_quota(resource) {
        errors.push(Error::invalid(&at.path, resource, "must be a standard resource for quota"));
    }
}

/// Requires a quantity that its resource can have: not negative, and whole where units are.
pub fn quantity(resource: &str, at: &Node<'_>, errors: &mut Errors) {
    let value = Quantity::of(at.value);
    if value.is_negative() {
        errors.push(at.invalid_text("must be greater than or equal to 0"));
    }
    if (WHOLE.contains(&resource) || is_extended(resource)) && !value.is_integer() {
        errors.push(at.invalid_text("must be an integer"));
    }
}

fn huge_page_quantity(resource: &str, at: &Node<'_>, errors: &mut Errors) {
    let page = resource.strip_prefix("hugepages-").and_then(Quantity::parse);
    if !page.is_some_and(|page| page.is_integer() && Quantity::of(at.value).is_multiple_of(page)) {
        let message = format!("{} is not positive integer multiple of {resource}", at.str());
        errors.push(at.invalid_text(message));
    }
}

/// Judges requests and limits against each other. `claims` are the names of the pod's resource claims.
pub fn requirements(node: &Node<'_>, name_rule: NameRule, claims: &[&str], errors: &mut Errors) {
    let (limits, requests) = (node.at("limits"), node.at("requests"));
    let (mut computes, mut huge_pages) = (false, false);
    let mut seen = |resource: &str| {
        computes |= matches!(resource, "cpu" | "memory");
        huge_pages |= is_huge_page(resource);
    };
    for (resource, amount) in limits.entries() {
        name_rule(resource, &amount, errors);
        quantity(resource, &amount, errors);
        if is_huge_page(resource) {
            huge_page_quantity(resource, &amount, errors);
        }
        seen(resource);
    }
    for (resource, amount) in requests.entries() {
        name_rule(resource, &amount, errors);
        quantity(resource, &amount, errors);
        let limit = limits.get(resource);
        if limit.is_null() {
            if !may_overcommit(resource) {
                errors.push(limits.required("Limit must be set for non overcommitable resources"));
            }
        } else {
            let (requested, allowed) = (Quantity::of(amount.value), Quantity::of(limit));
            let shown = limit.as_str().unwrap_or_default();
            if requested != allowed && !may_overcommit(resource) {
                let message = format!("must be equal to {resource} limit of {shown}");
                errors.push(Error::invalid(&requests.path, amount.str(), message));
            } else if requested > allowed {
                let message = format!("must be less than or equal to {resource} limit of {shown}");
                errors.push(Error::invalid(&requests.path, amount.str(), message));
            }
        }
        if is_huge_page(resource) {
            huge_page_quantity(resource, &amount, errors);
        }
        seen(resource);
    }
    if huge_pages && !computes {
        errors.push(node.forbidden("HugePages require cpu or memory"));
    }
    claim_names(&node.at("claims"), claims, errors);
}

fn claim_names(claims: &Node<'_>, known: &[&str], errors: &mut Errors) {
    let mut seen: Vec<String> = Vec::new();
    for claim in claims.items() {
        let name = claim.text("name");
        if name.is_empty() {
            errors.push(claim.required(""));
            continue;
        }
        if seen.iter().any(|other| other == name) {
            errors.push(Error::duplicate(&claim.path, name));
        } else {
            let request = claim.at("request");
            let mut key = name.to_owned();
            if !request.is_empty() {
                request.format(formats::dns_label(request.str()), errors);
                key = format!("{name}/{}", request.str());
            }
            if seen.contains(&key) {
                errors.push(Error::duplicate(&claim.path, key.as_str()));
            } else if request.is_empty() {
                for other in &seen {
                    if other.split_once('/').is_some_and(|(other, _)| other == name) {
                        errors.push(Error::duplicate(&claim.path, name));
                    }
                }
            }
            seen.push(key);
        }
        if !known.contains(&name) {
            let mut sorted = known.to_vec();
            sorted.sort_unstable();
            let listed =
                if sorted.is_empty() { " which is empty".to_owned() } else { format!(": {}", sorted.join(", ")) };
            let mut error = Error::not_found(&claim.path, name);
            error.detail = format!("must be one of the names in pod.spec.resourceClaims{listed}");
            errors.push(error);
        }
    }
}
