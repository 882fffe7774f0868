//! Managed fields seen through `/scale`: the one field of a scale, `spec.replicas`, stands for a field of its parent.

use serde_json::Value;

use super::managers::{Entry, Managers};
use crate::object::fields::{FieldSet, Path, PathElement};

/// The version in which a scale's fields are named.
const SCALE_VERSION: &str = "autoscaling/v1";

/// Gives a scale the entries of its parent that own the number of replicas. `replicas` is its dotted path in the parent.
pub fn of_parent(parent: &Value, scale: &mut Value, replicas: &str) {
    let path = dotted(replicas);
    let mut managers = Managers::read(parent).unwrap_or_default();
    managers.0.retain(|_, entry| entry.set.contains(&path));
    for entry in managers.0.values_mut() {
        entry.set = FieldSet::of_dotted(["spec.replicas"]);
        SCALE_VERSION.clone_into(&mut entry.api_version);
    }
    managers.write(scale);
}

/// Takes the entries of a scale that was written back to its parent: managers that have lost the number of replicas there
/// lose it here, and new ones appear. `api_version` is the parent's.
pub fn of_scale(scale: &Value, parent: &mut Value, replicas: &str, api_version: &str) {
    let path = dotted(replicas);
    let Ok(mut managers) = Managers::read(parent) else { return };
    let mut scales = Managers::read(scale).unwrap_or_default();
    for (id, entry) in &mut managers.0 {
        if entry.set.contains(&path) && scales.0.remove(id).is_none() {
            entry.set = entry.set.difference(&FieldSet::of_dotted([replicas]));
        }
    }
    managers.0.retain(|_, entry| !entry.set.is_empty());
    for (id, entry) in scales.0 {
        if entry.set.contains(&dotted("spec.replicas")) {
            // As upstream: a manager that is new to the parent has no time there.
            let time = managers.0.get(&id).and_then(|known| known.time.clone());
            let set = FieldSet::of_dotted([replicas]);
            managers.0.insert(id, Entry { set, api_version: api_version.to_owned(), time });
        }
    }
    managers.write(parent);
}

fn dotted(path: &str) -> Path {
    path.split('.').map(PathElement::field).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::object::meta;

    fn entry(manager: &str, api_version: &str, subresource: &str, fields: &Value) -> Value {
        let mut entry = json!({"manager": manager, "operation": "Update", "apiVersion": api_version,
            "fieldsType": "FieldsV1", "fieldsV1": fields, "subresource": subresource});
        if subresource.is_empty() {
            entry.as_object_mut().unwrap().remove("subresource");
        }
        entry
    }

    #[test]
    fn a_scale_shows_and_takes_the_replicas() {
        let own = json!({"f:spec": {"f:replicas": {}, "f:selector": {}}});
        let mut parent = json!({"metadata": {"managedFields": [entry("a", "apps/v1", "", &own)]}});
        let mut scale = json!({"metadata": {}});
        of_parent(&parent, &mut scale, "spec.replicas");
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        assert_eq!(meta::managed_fields(&scale), [entry("a", "autoscaling/v1", "", &replicas)]);

        let scale = json!({"metadata": {"managedFields": [entry("b", "autoscaling/v1", "scale", &replicas)]}});
        of_scale(&scale, &mut parent, "spec.replicas", "apps/v1");
        let rest = json!({"f:spec": {"f:selector": {}}});
        let want = [entry("a", "apps/v1", "", &rest), entry("b", "apps/v1", "scale", &replicas)];
        assert_eq!(meta::managed_fields(&parent), want);
    }
}
