//! Pod disruption budgets.
//!
//! Upstream: `pkg/apis/policy/validation/validation.go`.

use super::field::{Error, Errors};
use super::node::Node;
use super::{go_struct, meta, workload};

/// Judges a new pod disruption budget. Upstream leaves its metadata to what is judged of every object.
pub fn create_budget(budget: &Node<'_>, errors: &mut Errors) {
    let spec = budget.at("spec");
    let (available, unavailable) = (spec.at("minAvailable"), spec.at("maxUnavailable"));
    if available.present() && unavailable.present() {
        let shown = go_struct::value("io.k8s.api.policy.v1.PodDisruptionBudgetSpec", spec.value);
        errors.push(Error::invalid(&spec.path, shown, "minAvailable and maxUnavailable cannot be both set"));
    }
    for bound in [available, unavailable] {
        if bound.present() {
            workload::int_or_percent(&bound, errors);
            workload::at_most_100_percent(&bound, errors);
        }
    }
    meta::label_selector(&spec.at("selector"), errors);
    let policy = spec.at("unhealthyPodEvictionPolicy");
    if policy.present() {
        policy.one_of(&["AlwaysAllow", "IfHealthyBudget"], errors);
    }
}

/// Judges a changed pod disruption budget.
pub fn update_budget(budget: &Node<'_>, _old: &Node<'_>, errors: &mut Errors) {
    create_budget(budget, errors);
}

/// Judges a pod disruption budget's changed status.
pub fn status_budget(budget: &Node<'_>, _old: &Node<'_>, errors: &mut Errors) {
    let status = budget.at("status");
    meta::conditions(&status.at("conditions"), errors);
    for name in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
        status.at(name).nonnegative(errors);
    }
}
