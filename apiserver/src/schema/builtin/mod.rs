//! The built-in types, read once from the table beside this file, which `pintle-generate` writes.

mod table;

use std::sync::LazyLock;

use super::registry::Registry;

/// The registry of the built-in kinds and types.
pub fn registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(|| table::read(include_bytes!("types.json")));
    &REGISTRY
}

#[cfg(test)]
mod tests {
    use super::registry;
    use crate::schema::{GroupVersionKind, ListType, PatchStrategy, ValueType};

    #[test]
    fn kinds_are_found_with_their_fields() {
        let pod = registry().kind(&GroupVersionKind::new("", "v1", "Pod")).unwrap();
        assert_eq!((pod.name.as_str(), pod.go_name.as_str()), ("io.k8s.api.core.v1.Pod", "v1.Pod"));
        let names: Vec<&str> = pod.fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["kind", "apiVersion", "metadata", "spec", "status"]);
        let spec = pod.field("spec").and_then(|field| field.element_type()).unwrap();
        let containers = spec.field("containers").unwrap();
        assert_eq!(containers.list_type, ListType::Map(vec!["name".to_owned()]));
        assert_eq!((containers.patch_strategy, containers.tag), (PatchStrategy::Merge, 2));
        assert!(matches!(&containers.value, ValueType::List(item) if matches!(**item, ValueType::Message(_))));
    }

    #[test]
    fn inlined_fields_stand_in_their_place() {
        let volume = registry().type_named("io.k8s.api.core.v1.Volume").unwrap();
        let host_path = volume.field("hostPath").unwrap();
        assert_eq!((host_path.tag, host_path.embedded.as_str()), (0, "VolumeSource"));
        assert_eq!(volume.members.len(), 2);
    }

    #[test]
    fn no_reference_leads_nowhere() {
        let mut types = 0;
        for ty in registry().types() {
            types += 1;
            for field in &ty.fields {
                assert!(
                    field.element_type().is_none_or(|element| !element.name.is_empty()),
                    "{}.{}",
                    ty.name,
                    field.name
                );
            }
        }
        assert!(types > 600, "{types}");
    }
}
