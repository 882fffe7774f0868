//! The formats that names, labels and other short texts must have. Each check returns what is wrong, in the API's own texts;
//! nothing means valid.
//!
//! Upstream: `apimachinery/pkg/util/validation` and `pkg/api/validate/content`.

use super::field::{Error, Errors};
use super::node::Node;

/// Longest DNS label.
pub const DNS_LABEL_MAX_BYTES: usize = 63;
/// Longest DNS subdomain.
pub const DNS_SUBDOMAIN_MAX_BYTES: usize = 253;
/// Longest label value.
pub const LABEL_VALUE_MAX_BYTES: usize = 63;

const DNS1123_LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const DNS1123_SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL_KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

/// What is wrong with a text.
pub type Messages = Vec<String>;
/// Judges a text.
pub type Rule = fn(&str) -> Messages;

/// The text for a format that is given as a regular expression, with examples.
pub fn regex_error(message: &str, regex: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{message} (regex used for validation is '{regex}')");
    }
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{message} (e.g. {}regex used for validation is '{regex}')", examples.join(" or "))
}

/// The text for a number out of bounds.
pub fn range_error(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

fn too_long(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

fn too_long_characters(max: usize) -> String {
    format!("must be no more than {max} characters")
}

/// Starts and ends with `edge`, `inner` in between.
fn framed(text: &str, edge: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    match text.as_bytes() {
        [] => false,
        [only] => edge(*only),
        [first, middle @ .., last] => edge(*first) && edge(*last) && middle.iter().all(|b| inner(*b)),
    }
}

fn lower_or_digit(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

fn matches_dns_label(text: &str) -> bool {
    framed(text, lower_or_digit, |b| lower_or_digit(b) || b == b'-')
}

fn matches_dns_subdomain(text: &str) -> bool {
    text.split('.').all(matches_dns_label)
}

fn matches_label_key(text: &str) -> bool {
    framed(text, |b| b.is_ascii_alphanumeric(), |b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// A label as in RFC 1123.
pub fn dns_label(text: &str) -> Messages {
    let mut messages = Messages::new();
    if text.len() > DNS_LABEL_MAX_BYTES {
        messages.push(too_long_characters(DNS_LABEL_MAX_BYTES));
    }
    if !matches_dns_label(text) {
        messages.push(if matches_dns_subdomain(text) {
            "must not contain dots".to_owned()
        } else {
            regex_error(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
                DNS1123_LABEL,
                &["my-name", "123-abc"],
            )
        });
    }
    messages
}

/// A subdomain as in RFC 1123.
pub fn dns_subdomain(text: &str) -> Messages {
    let mut messages = Messages::new();
    if text.len() > DNS_SUBDOMAIN_MAX_BYTES {
        messages.push(too_long_characters(DNS_SUBDOMAIN_MAX_BYTES));
    }
    if !matches_dns_subdomain(text) {
        messages.push(subdomain_error());
    }
    messages
}

fn subdomain_error() -> String {
    regex_error(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        DNS1123_SUBDOMAIN,
        &["example.com"],
    )
}

/// A subdomain as in RFC 1123 that may also have underscores.
pub fn dns_subdomain_with_underscore(text: &str) -> Messages {
    let label = |text: &str| {
        let text = text.strip_prefix('_').unwrap_or(text);
        framed(text, lower_or_digit, |b| lower_or_digit(b) || b == b'-' || b == b'_')
    };
    let mut messages = Messages::new();
    if text.len() > DNS_SUBDOMAIN_MAX_BYTES {
        messages.push(too_long_characters(DNS_SUBDOMAIN_MAX_BYTES));
    }
    if !text.split('.').all(label) {
        messages.push(regex_error(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character",
            r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*",
            &["example.com"],
        ));
    }
    messages
}

/// A label as in RFC 1035: like RFC 1123, and starting with a letter.
pub fn dns1035_label(text: &str) -> Messages {
    let mut messages = Messages::new();
    if text.len() > DNS_LABEL_MAX_BYTES {
        messages.push(too_long_characters(DNS_LABEL_MAX_BYTES));
    }
    if !(matches_dns_label(text) && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase)) {
        messages.push(regex_error(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    messages
}

/// `*.` followed by a subdomain.
pub fn wildcard_dns_subdomain(text: &str) -> Messages {
    let mut messages = Messages::new();
    if text.len() > DNS_SUBDOMAIN_MAX_BYTES {
        messages.push(too_long_characters(DNS_SUBDOMAIN_MAX_BYTES));
    }
    if !text.strip_prefix("*.").is_some_and(matches_dns_subdomain) {
        messages.push(regex_error(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            &format!(r"\*\.{DNS1123_SUBDOMAIN}"),
            &["*.example.com"],
        ));
    }
    messages
}

/// A label's key, also called a qualified name: an optional subdomain and `/`, and a name.
pub fn label_key(text: &str) -> Messages {
    let regex = |head: &str| {
        regex_error(
            &format!(
                "{head}must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
            ),
            LABEL_KEY,
            &["MyName", "my.name", "123-abc"],
        )
    };
    let mut messages = Messages::new();
    let mut parts = text.split('/');
    let name = match (parts.next(), parts.next(), parts.next()) {
        (Some(prefix), Some(name), None) => {
            if prefix.is_empty() {
                messages.push("prefix part must be non-empty".to_owned());
            } else {
                // Upstream counts bytes here, and calls them characters elsewhere.
                if prefix.len() > DNS_SUBDOMAIN_MAX_BYTES {
                    messages.push(format!("prefix part {}", too_long(DNS_SUBDOMAIN_MAX_BYTES)));
                }
                if !matches_dns_subdomain(prefix) {
                    messages.push(format!("prefix part {}", subdomain_error()));
                }
            }
            name
        }
        (Some(name), None, _) => name,
        _ => {
            let message = regex("a valid label key ");
            return vec![format!(
                "{message} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        messages.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        messages.push(format!("name part {}", too_long(63)));
    }
    if !matches_label_key(name) {
        messages.push(regex("name part "));
    }
    messages
}

/// A label's value.
pub fn label_value(text: &str) -> Messages {
    let mut messages = Messages::new();
    if text.len() > LABEL_VALUE_MAX_BYTES {
        messages.push(too_long(LABEL_VALUE_MAX_BYTES));
    }
    if !(text.is_empty() || matches_label_key(text)) {
        messages.push(regex_error(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
            &["MyValue", "my_value", "12345"],
        ));
    }
    messages
}

/// A name that can stand in a URL's path.
pub fn path_segment(name: &str, prefix: bool) -> Messages {
    if !prefix && (name == "." || name == "..") {
        return vec![format!("may not be '{name}'")];
    }
    ["/", "%"].into_iter().filter(|part| name.contains(part)).map(|part| format!("may not contain '{part}'")).collect()
}

/// An identifier as in C.
pub fn c_identifier(text: &str) -> Messages {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if first && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Messages::new();
    }
    vec![regex_error(
        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
        "[A-Za-z_][A-Za-z0-9_]*",
        &["my_name", "MY_NAME", "MyName"],
    )]
}

/// A port that is not 0.
pub fn port_number(port: i64) -> Messages {
    in_range(port, 1, 65535)
}

/// A number within bounds, both included.
pub fn in_range(number: i64, low: i64, high: i64) -> Messages {
    if (low..=high).contains(&number) { Messages::new() } else { vec![range_error(low, high)] }
}

/// A user or group ID.
pub fn user_id(id: i64) -> Messages {
    in_range(id, 0, i64::from(i32::MAX))
}

/// A port's name, as in RFC 6335.
pub fn port_name(text: &str) -> Messages {
    let mut messages = Messages::new();
    if text.len() > 15 {
        messages.push(too_long_characters(15));
    }
    if text.is_empty() || !text.bytes().all(|b| lower_or_digit(b) || b == b'-') {
        messages.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !text.bytes().any(|b| b.is_ascii_lowercase()) {
        messages.push("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        messages.push("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        messages.push("must not begin or end with a hyphen".to_owned());
    }
    messages
}

/// A percentage, `93%`.
pub fn percent(text: &str) -> Messages {
    if text.strip_suffix('%').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())) {
        return Messages::new();
    }
    vec![regex_error(
        "a valid percent string must be a numeric string followed by an ending '%'",
        "[0-9]+%",
        &["1%", "93%"],
    )]
}

/// The name of an HTTP header.
pub fn http_header_name(text: &str) -> Messages {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Messages::new();
    }
    vec![regex_error(
        "a valid HTTP header must consist of alphanumeric characters or '-'",
        "[-A-Za-z0-9]+",
        &["X-Header-Name"],
    )]
}

/// The name of an environment variable: printable ASCII without `=`.
pub fn environment_variable_name(text: &str) -> Messages {
    let mut messages = Messages::new();
    if text.is_empty() {
        messages.push("environment variable name must be non-empty".to_owned());
    }
    if !text.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=') {
        messages.push(
            "a valid environment variable name must consist only of printable ASCII characters other than '='"
                .to_owned(),
        );
    }
    messages
}

/// A key of a config map or secret.
pub fn config_map_key(text: &str) -> Messages {
    let mut messages = Messages::new();
    if text.len() > DNS_SUBDOMAIN_MAX_BYTES {
        messages.push(too_long_characters(DNS_SUBDOMAIN_MAX_BYTES));
    }
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        messages.push(regex_error(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    if text == "." || text == ".." {
        messages.push(format!("must not be '{text}'"));
    } else if text.starts_with("..") {
        messages.push("must not start with '..'".to_owned());
    }
    messages
}

/// Judges a subdomain followed by a path, `example.com/controller`.
pub fn domain_prefixed_path(node: &Node<'_>, errors: &mut Errors) {
    if node.is_empty() {
        errors.push(node.required(""));
        return;
    }
    let Some((host, path)) = node.str().split_once('/').filter(|(host, path)| !host.is_empty() && !path.is_empty())
    else {
        errors.push(node.invalid_text("must be a domain-prefixed path (such as \"acme.io/foo\")"));
        return;
    };
    errors.extend(dns_subdomain(host).into_iter().map(|message| Error::invalid(&node.path, host, message)));
    if !path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b)) {
        let message = regex_error("Invalid path", "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+", &[]);
        errors.push(Error::invalid(&node.path, path, message));
    }
}

/// Judges a fully qualified domain name of two or more labels, with or without a closing dot.
pub fn fully_qualified_domain_name(node: &Node<'_>, errors: &mut Errors) {
    if node.is_empty() {
        errors.push(node.required(""));
        return;
    }
    let name = node.str().strip_suffix('.').unwrap_or(node.str());
    let mut invalid = |value: &str, message: String| errors.push(Error::invalid(&node.path, value, message));
    let messages = dns_subdomain(name);
    if !messages.is_empty() {
        return invalid(name, messages.join(","));
    }
    if !name.contains('.') {
        return invalid(name, "should be a domain with at least two segments separated by dots".to_owned());
    }
    for label in name.split('.') {
        let messages = dns_label(label);
        if !messages.is_empty() {
            return invalid(label, messages.join(","));
        }
    }
}

/// Judges a fully qualified name of three or more labels.
pub fn fully_qualified_name(node: &Node<'_>, errors: &mut Errors) {
    if node.is_empty() {
        errors.push(node.required(""));
        return;
    }
    let messages = dns_subdomain(node.str());
    if !messages.is_empty() {
        errors.push(node.invalid_text(messages.join(",")));
    } else if node.str().split('.').count() < 3 {
        errors.push(node.invalid_text("should be a domain with at least three segments separated by dots"));
    }
}

/// Hides a trailing dash of a prefix, which more characters will follow.
fn mask_trailing_dash(name: &str) -> String {
    let mut masked: Vec<char> = name.chars().collect();
    if name.len() > 1 && masked.pop() == Some('-') {
        masked.pop();
        masked.push('a');
        masked.into_iter().collect()
    } else {
        name.to_owned()
    }
}

/// Names that are DNS subdomains.
pub fn subdomain_name(name: &str, prefix: bool) -> Messages {
    if prefix { dns_subdomain(&mask_trailing_dash(name)) } else { dns_subdomain(name) }
}

/// Names that are DNS labels.
pub fn label_name(name: &str, prefix: bool) -> Messages {
    if prefix { dns_label(&mask_trailing_dash(name)) } else { dns_label(name) }
}

/// Names that are DNS labels starting with a letter.
pub fn label_1035_name(name: &str, prefix: bool) -> Messages {
    if prefix { dns1035_label(&mask_trailing_dash(name)) } else { dns1035_label(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_subdomains() {
        for good in ["a", "0", "a-b", "123-abc"] {
            assert!(dns_label(good).is_empty(), "{good}");
        }
        assert_eq!(dns_label("a.b"), ["must not contain dots"]);
        for bad in ["", "-a", "a-", "A", "a_b", "é"] {
            assert_eq!(dns_label(bad).len(), 1, "{bad}");
        }
        assert_eq!(dns_subdomain(&"a".repeat(254)), ["must be no more than 253 characters"]);
        assert!(dns_subdomain("a..b").len() == 1 && dns1035_label("1a").len() == 1);
    }

    #[test]
    fn examples_are_joined_as_upstream_joins_them() {
        assert_eq!(
            regex_error("bad", "x+", &["x", "xx"]),
            "bad (e.g. 'x',  or 'xx', regex used for validation is 'x+')"
        );
    }

    #[test]
    fn label_keys_name_the_faulty_part() {
        assert!(label_key("example.com/My_Name").is_empty());
        assert_eq!(label_key("/x"), ["prefix part must be non-empty"]);
        assert!(label_key("a/b/c")[0].starts_with("a valid label key must consist"));
        assert_eq!(label_key("").len(), 2);
    }

    #[test]
    fn prefixes_may_end_in_a_dash() {
        assert!(subdomain_name("web-", true).is_empty());
        assert_eq!(subdomain_name("web-", false).len(), 1);
    }
}
