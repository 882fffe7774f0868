//! Signers, trust bundles and certificate signing requests.
//!
//! Upstream: `pkg/apis/core/validation/names.go`, `pkg/apis/certificates/validation`.

use super::field::{Error, Errors, go_quote};
use super::formats::{self, Messages};
use super::node::Node;

/// Judges a signer's name, `example.com/signer`.
pub fn signer_name(name: &Node<'_>, errors: &mut Errors) {
    if name.is_empty() {
        errors.push(name.required(""));
        return;
    }
    let Some((domain, path)) = name.str().split_once('/').filter(|(_, path)| !path.contains('/')) else {
        errors
            .push(name.invalid_text("must be a fully qualified domain and path of the form 'example.com/signer-name'"));
        return;
    };
    if domain.len() > formats::DNS_SUBDOMAIN_MAX_BYTES {
        errors.push(Error::too_long(&name.path, formats::DNS_SUBDOMAIN_MAX_BYTES));
    }
    labels(name, domain, formats::dns_label, errors);
    if !domain.contains('.') {
        let message = "should be a domain with at least two segments separated by dots";
        errors.push(Error::invalid(&name.path, domain, message));
    }
    labels(name, path, formats::dns_subdomain, errors);
    let max = 2 * formats::DNS_SUBDOMAIN_MAX_BYTES + formats::DNS_LABEL_MAX_BYTES + 2;
    if name.len() > max {
        errors.push(Error::too_long(&name.path, max));
    }
}

/// Judges the labels between dots; after the first that is wrong, others would only repeat it.
fn labels(name: &Node<'_>, segment: &str, format: fn(&str) -> Messages, errors: &mut Errors) {
    for label in segment.split('.') {
        let messages = format(label);
        if !messages.is_empty() {
            for message in messages {
                let message = format!("validating label {}: {message}", go_quote(label));
                errors.push(Error::invalid(&name.path, segment, message));
            }
            break;
        }
    }
}

/// Judges the name of a trust bundle, whose part before the last `:` is its signer's.
pub fn trust_bundle_name(name: &str) -> Messages {
    match name.rsplit_once(':') {
        Some((_, rest)) => formats::dns_subdomain(rest),
        None => formats::dns_subdomain(name),
    }
}
