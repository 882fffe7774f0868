//! File system paths in pods.

use super::field::Errors;
use super::node::Node;

/// What a file's mode must be.
pub const FILE_MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

/// Requires a relative path that stays below where it starts.
pub fn descending(path: &Node<'_>, errors: &mut Errors) {
    if path.str().starts_with('/') {
        errors.push(path.invalid_text("must be a relative path"));
    }
    no_backsteps(path, errors);
}

/// Requires a path without `..`.
pub fn no_backsteps(path: &Node<'_>, errors: &mut Errors) {
    if has_backsteps(path.str()) {
        errors.push(path.invalid_text("must not contain '..'"));
    }
}

/// Whether a path has a `..`.
pub fn has_backsteps(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

/// Requires a descending path whose first part kubelets do not use for themselves.
pub fn local(path: &Node<'_>, errors: &mut Errors) {
    descending(path, errors);
    if path.str().starts_with("..") && !path.str().starts_with("../") {
        errors.push(path.invalid_text("must not start with '..'"));
    }
}

/// Requires an optional file mode to be one.
pub fn mode(mode: &Node<'_>, errors: &mut Errors) {
    if mode.present() && !(0..=0o777).contains(&mode.int()) {
        errors.push(mode.invalid_int(FILE_MODE));
    }
}
