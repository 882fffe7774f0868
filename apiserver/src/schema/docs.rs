//! What the types and fields mean, in the words of the published documentation.
//!
//! The words come from the `k8s-openapi` crate's schemas; they are collected on first use and kept.

use std::collections::HashMap;
use std::sync::LazyLock;

use schemars::SchemaGenerator;
use serde_json::Value;

use super::documented;

/// What one type says of itself.
#[derive(Debug, Default)]
struct TypeDocs {
    description: String,
    fields: HashMap<String, String>,
}

static DOCS: LazyLock<HashMap<String, TypeDocs>> = LazyLock::new(|| {
    let mut generator = SchemaGenerator::default();
    documented::define(&mut generator);
    generator.definitions().iter().map(|(name, schema)| (name.clone(), TypeDocs::of(schema))).collect()
});

impl TypeDocs {
    fn of(schema: &Value) -> Self {
        let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        Self {
            description: description(schema),
            fields: fields.map(|(name, field)| (name.clone(), description(field))).collect(),
        }
    }
}

fn description(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What a type is; empty if it is not documented. Types go by their published names, such as `io.k8s.api.core.v1.Pod`.
pub fn of_type(name: &str) -> &'static str {
    DOCS.get(name).map_or("", |docs| &docs.description)
}

/// Whether there is documentation of the type.
pub fn is_documented(name: &str) -> bool {
    DOCS.contains_key(name)
}

/// What a field of a type means; empty if it is not documented.
pub fn of_field(type_name: &str, field: &str) -> &'static str {
    DOCS.get(type_name).and_then(|docs| docs.fields.get(field)).map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_fields_are_documented() {
        assert!(of_type("io.k8s.api.core.v1.Pod").starts_with("Pod is a collection of containers"));
        assert!(of_field("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "name").starts_with("Name must be unique"));
        assert_eq!(of_field("io.k8s.api.core.v1.Pod", "nope"), "");
    }
}
