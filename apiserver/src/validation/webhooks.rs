//! Where webhooks are called.
//!
//! Upstream: `apiserver/pkg/util/webhook/validation.go`.

use super::field::{Error, Errors};
use super::formats;
use super::node::Node;

const FORM: &str = "; desired format: https://host[/path]";

/// Judges a webhook's URL.
pub fn url(node: &Node<'_>, errors: &mut Errors) {
    let text = node.str();
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    if let Some(reason) = unparsable(text) {
        errors.push(node.required(format!(
            "url must be a valid URL: parse {}: {reason}{FORM}",
            crate::go_syntax::go_quote(node.str())
        )));
        return;
    }
    let (scheme, rest) = match text.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
        _ => (String::new(), text),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.strip_prefix("//").map_or("", |rest| rest.split('/').next().unwrap_or_default());
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let mut judge = |bad: bool, value: &str, detail: &str| {
        if bad {
            errors.push(Error::invalid(&node.path, value, detail));
        }
    };
    judge(scheme != "https", &scheme, &format!("'https' is the only allowed URL scheme{FORM}"));
    judge(host.is_empty(), host, &format!("host must be specified{FORM}"));
    judge(user.is_some(), user.unwrap_or_default(), "user information is not permitted in the URL");
    judge(!fragment.is_empty(), fragment, "fragments are not permitted in the URL");
    judge(!query.is_empty(), query, "query parameters are not permitted in the URL");
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Why Go would not parse a URL.
fn unparsable(url: &str) -> Option<String> {
    if url.chars().any(|c| c.is_ascii_control()) {
        return Some("net/url: invalid control character in URL".to_owned());
    }
    if url.starts_with(':') {
        return Some("missing protocol scheme".to_owned());
    }
    let scheme = url.split_once(':').is_some_and(|(scheme, _)| is_scheme(scheme));
    if !scheme && !url.starts_with('/') && url.split('/').next().is_some_and(|first| first.contains(':')) {
        return Some("first path segment in URL cannot contain colon".to_owned());
    }
    let authority = url.split_once("//").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    if scheme && authority.contains(' ') {
        return Some("invalid character \" \" in host name".to_owned());
    }
    None
}

/// Judges the service behind a webhook. Upstream mixes up namespace and name.
pub fn service(service: &Node<'_>, errors: &mut Errors) {
    if service.text("namespace").is_empty() {
        errors.push(service.at("name").required(""));
    }
    if service.text("name").is_empty() {
        errors.push(service.at("namespace").required(""));
    }
    port(&service.at("port"), errors);
    let path = service.at("path");
    if !path.present() || matches!(path.str(), "" | "/") {
        return;
    }
    if path.str() == "//" {
        errors.push(path.invalid_text("segment[0] may not be empty"));
        return;
    }
    if !path.str().starts_with('/') {
        errors.push(path.invalid_text("must start with a '/'"));
    }
    let mut rest = path.str().chars();
    rest.next();
    let rest = rest.as_str();
    for (i, segment) in rest.strip_suffix('/').unwrap_or(rest).split('/').enumerate() {
        if segment.is_empty() {
            errors.push(path.invalid_text(format!("segment[{i}] may not be empty")));
            continue;
        }
        for message in formats::dns_subdomain(segment) {
            errors.push(path.invalid_text(format!("segment[{i}]: {message}")));
        }
    }
}

/// Judges the port of a service that is called.
pub fn port(port: &Node<'_>, errors: &mut Errors) {
    let messages = formats::port_number(port.int());
    if !messages.is_empty() {
        errors.push(port.invalid_int(format!("port is not valid: {}", messages.join(", "))));
    }
}
