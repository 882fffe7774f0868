//! Signers, trust bundles and certificate signing requests.
//!
//! Upstream: `pkg/apis/core/validation/names.go`, `pkg/apis/certificates/validation`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::field::{Error, Errors};
use super::formats::{self, Messages};
use super::meta;
use super::node::Node;
use crate::go_syntax::go_quote;

const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];
/// Conditions that stay, and can only be true.
const DECISIONS: &[&str] = &["Approved", "Denied", "Failed"];

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

/// Judges a new request for a certificate.
pub fn create_request(request: &Node<'_>, errors: &mut Errors) {
    judge_request(request, None, errors);
}

/// Judges a changed request for a certificate, whose status is as it was.
pub fn update_request(request: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    judge_request(request, Some(old), errors);
    kept_conditions(request, old, errors);
    meta::validate_kube_update(&request.at("metadata"), &old.at("metadata"), errors);
}

/// Judges a changed status of a request for a certificate.
pub fn status_request(request: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    judge_request(request, Some(old), errors);
    kept_conditions(request, old, errors);
    for decision in ["Approved", "Denied"] {
        if conditions_of(request, decision).len() > conditions_of(old, decision).len() {
            let detail = format!("updates may not add a condition of type {}", go_quote(decision));
            errors.push(request.at("status").at("conditions").forbidden(detail));
        }
    }
    let (certificate, before) = (request.at("status").at("certificate"), old.at("status").at("certificate"));
    if certificate.str() != before.str() && !before.is_empty() {
        errors.push(certificate.forbidden("updates may not modify existing certificate content"));
    }
    meta::validate_kube_update(&request.at("metadata"), &old.at("metadata"), errors);
}

fn conditions_of<'a>(request: &Node<'a>, ty: &str) -> Vec<Node<'a>> {
    request.at("status").at("conditions").items().filter(|condition| condition.text("type") == ty).collect()
}

fn kept_conditions(request: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    for decision in DECISIONS {
        if conditions_of(request, decision).len() < conditions_of(old, decision).len() {
            let detail = format!("updates may not remove a condition of type {}", go_quote(decision));
            errors.push(request.at("status").at("conditions").forbidden(detail));
        }
    }
}

fn judge_request(request: &Node<'_>, old: Option<&Node<'_>>, errors: &mut Errors) {
    meta::validate_kube(&request.at("metadata"), false, |_, _| Vec::new(), errors);
    let spec = request.at("spec");
    let pem = STANDARD.decode(spec.text("request")).unwrap_or_default();
    if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE REQUEST-----") {
        errors.push(spec.at("request").invalid("PEM block type must be CERTIFICATE REQUEST"));
    }
    let usages = spec.at("usages");
    if usages.is_empty() {
        errors.push(usages.required(""));
    }
    let unchanged = old.is_some_and(|old| old.at("spec").get("usages") == usages.value);
    if !unchanged {
        for usage in usages.items() {
            usage.one_of(USAGES, errors);
        }
        for (i, usage) in usages.items().enumerate() {
            if usages.strings().take(i).any(|other| other == usage.str()) {
                errors.push(usage.duplicate());
            }
        }
    }
    let signer = spec.at("signerName");
    if signer.str() == "kubernetes.io/legacy-unknown" && old.is_none() {
        errors.push(signer.invalid_text("the legacy signerName is not allowed via this API version"));
    } else {
        signer_name(&signer, errors);
    }
    let expiration = spec.at("expirationSeconds");
    if expiration.present() && expiration.int() < 600 {
        errors.push(expiration.invalid_int("may not specify a duration less than 600 seconds (10 minutes)"));
    }
    let conditions = request.at("status").at("conditions");
    let mut seen = Vec::new();
    for condition in conditions.items() {
        let (ty, status) = (condition.at("type"), condition.at("status"));
        if ty.is_empty() {
            errors.push(ty.required(""));
        }
        let allowed: &[&str] = if DECISIONS.contains(&ty.str()) { &["True"] } else { &["False", "True", "Unknown"] };
        if status.is_empty() {
            errors.push(status.required(""));
        } else {
            status.one_of(allowed, errors);
        }
        let opposite = match ty.str() {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if !opposite.is_empty() && seen.contains(&opposite) {
            let detail = "Approved and Denied conditions are mutually exclusive";
            errors.push(Error::invalid(&conditions.path, ty.str(), detail));
        }
        if seen.contains(&ty.str()) {
            errors.push(Error::duplicate(&ty.path, ty.str()));
        }
        seen.push(ty.str());
    }
}
