//! Finds a type by its kind or by its published name.

use std::collections::HashMap;
use std::fmt;

use super::types::TypeRef;

/// A kind with the API group and version that it belongs to. The core group is the empty string.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// API group, such as `apps`.
    pub group: String,
    /// Version, such as `v1`.
    pub version: String,
    /// Kind, such as `Deployment`.
    pub kind: String,
}

impl GroupVersionKind {
    /// A kind from its three parts.
    pub fn new(group: impl Into<String>, version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// A kind from the `apiVersion` and `kind` of an object. `apiVersion` is `version` or `group/version`.
    pub fn from_api_version(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self::new(group, version, kind)
    }

    /// The `apiVersion` of an object of this kind.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

impl fmt::Display for GroupVersionKind {
    /// Writes the kind as Go's `schema.GroupVersionKind` prints: `apps/v1, Kind=Deployment`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Kind={}", self.group, self.version, self.kind)
    }
}

/// Types by kind and by name.
#[derive(Debug, Default, Clone)]
pub struct Registry {
    kinds: HashMap<GroupVersionKind, TypeRef>,
    types: HashMap<String, TypeRef>,
}

impl Registry {
    /// The type of a kind.
    pub fn kind(&self, gvk: &GroupVersionKind) -> Option<TypeRef> {
        self.kinds.get(gvk).cloned()
    }

    /// The type that `OpenAPI` publishes under a name, such as `io.k8s.api.core.v1.Pod`.
    pub fn type_named(&self, name: &str) -> Option<TypeRef> {
        self.types.get(name).cloned()
    }

    /// Every kind, in no order.
    pub fn kinds(&self) -> impl Iterator<Item = (&GroupVersionKind, &TypeRef)> {
        self.kinds.iter()
    }

    /// Every type, in no order.
    pub fn types(&self) -> impl Iterator<Item = &TypeRef> {
        self.types.values()
    }

    /// Adds a kind, replacing an earlier one.
    pub fn insert_kind(&mut self, gvk: GroupVersionKind, ty: TypeRef) {
        self.kinds.insert(gvk, ty);
    }

    /// Adds a type under its own name, replacing an earlier one.
    pub fn insert_type(&mut self, ty: TypeRef) {
        self.types.insert(ty.name.clone(), ty);
    }
}
