//! The built-in types, read once from the generated table beside this file.

use std::sync::LazyLock;

use super::registry::Registry;

/// The registry of the built-in kinds and types.
pub fn registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::default);
    &REGISTRY
}
