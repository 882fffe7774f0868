//! Leases.
//!
//! Upstream: `pkg/apis/coordination/validation/validation.go`.

use super::field::Errors;
use super::node::Node;
use super::{formats, meta};

/// Judges a new lease.
pub fn create_lease(lease: &Node<'_>, errors: &mut Errors) {
    meta::validate(&lease.at("metadata"), true, formats::subdomain_name, errors);
    lease_spec(&lease.at("spec"), errors);
}

/// Judges a changed lease.
pub fn update_lease(lease: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_update(&lease.at("metadata"), &old.at("metadata"), errors);
    lease_spec(&lease.at("spec"), errors);
}

/// The fields of coordinated leader election are dropped, as its feature is off.
fn lease_spec(spec: &Node<'_>, errors: &mut Errors) {
    let duration = spec.at("leaseDurationSeconds");
    if duration.present() && duration.int() <= 0 {
        errors.push(duration.invalid_int("must be greater than 0"));
    }
    let transitions = spec.at("leaseTransitions");
    if transitions.int() < 0 {
        errors.push(transitions.invalid_int("must be greater than or equal to 0"));
    }
}
