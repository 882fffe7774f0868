//! The published schemas: `/openapi/v3` and `/openapi/v2`, derived from the resource table and the schema registry.

pub mod definitions;
pub mod gnostic;
pub mod operations;
pub mod served;
pub mod v2;
pub mod v3;

use std::collections::HashMap;

use crate::schema::{GroupVersionKind, Registry};

/// The version of the API that the documents describe.
const VERSION: &str = "1.36";

/// What a status code means.
const fn description_of(code: u16) -> &'static str {
    match code {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        _ => "Unauthorized",
    }
}

/// The kinds that each published type is.
fn kinds_by_type(registry: &Registry) -> HashMap<String, Vec<GroupVersionKind>> {
    let mut kinds: HashMap<String, Vec<GroupVersionKind>> = HashMap::new();
    for (gvk, ty) in registry.kinds() {
        kinds.entry(ty.name.clone()).or_default().push(gvk.clone());
    }
    for list in kinds.values_mut() {
        list.sort();
    }
    kinds
}
