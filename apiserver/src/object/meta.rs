//! Reading and writing an object's metadata, the parts of it that every verb needs.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// The longest part of a `generateName` that a generated name keeps, in bytes: 63 less the suffix.
const GENERATED_BASE_BYTES_MAX: usize = 58;
/// Letters of generated names: no vowels, so no words; nothing that is easily mistaken for something else.
const SUFFIX_LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The metadata of an object; `None` where it has none.
pub fn metadata(object: &Value) -> Option<&Map<String, Value>> {
    object.get("metadata").and_then(Value::as_object)
}

/// The metadata of an object to write to; made where it is missing. `None` where the value is no object at all.
pub fn metadata_mut(object: &mut Value) -> Option<&mut Map<String, Value>> {
    let metadata = object.as_object_mut()?.entry("metadata").or_insert(Value::Null);
    if !metadata.is_object() {
        *metadata = Value::Object(Map::new());
    }
    metadata.as_object_mut()
}

/// A text of the metadata, empty where it is absent.
pub fn text<'o>(object: &'o Value, field: &str) -> &'o str {
    metadata(object).and_then(|metadata| metadata.get(field)).and_then(Value::as_str).unwrap_or_default()
}

/// Sets a text of the metadata; an empty one is removed.
pub fn set_text(object: &mut Value, field: &str, text: impl Into<String>) {
    let text = text.into();
    let value = (!text.is_empty()).then_some(Value::String(text));
    set(object, field, value);
}

/// Sets or removes a field of the metadata.
pub fn set(object: &mut Value, field: &str, value: Option<Value>) {
    let Some(metadata) = metadata_mut(object) else { return };
    match value {
        Some(value) => metadata.insert(field.to_owned(), value),
        None => metadata.remove(field),
    };
}

/// `metadata.name`
pub fn name(object: &Value) -> &str {
    text(object, "name")
}

/// `metadata.namespace`
pub fn namespace(object: &Value) -> &str {
    text(object, "namespace")
}

/// `metadata.generateName`
pub fn generate_name(object: &Value) -> &str {
    text(object, "generateName")
}

/// `metadata.uid`
pub fn uid(object: &Value) -> &str {
    text(object, "uid")
}

/// `metadata.resourceVersion`
pub fn resource_version(object: &Value) -> &str {
    text(object, "resourceVersion")
}

/// `metadata.creationTimestamp`, empty where there is none.
pub fn creation_timestamp(object: &Value) -> &str {
    text(object, "creationTimestamp")
}

/// `metadata.deletionTimestamp`, which says that the object is being deleted.
pub fn deletion_timestamp(object: &Value) -> Option<&str> {
    metadata(object)?.get("deletionTimestamp")?.as_str()
}

/// `metadata.deletionGracePeriodSeconds`
pub fn deletion_grace_period_seconds(object: &Value) -> Option<i64> {
    metadata(object)?.get("deletionGracePeriodSeconds")?.as_i64()
}

/// `metadata.generation`, 0 where there is none.
pub fn generation(object: &Value) -> i64 {
    metadata(object).and_then(|metadata| metadata.get("generation")).and_then(Value::as_i64).unwrap_or_default()
}

/// Sets `metadata.generation`; 0 removes it.
pub fn set_generation(object: &mut Value, generation: i64) {
    set(object, "generation", (generation != 0).then(|| generation.into()));
}

/// `metadata.labels`
pub fn labels(object: &Value) -> Option<&Map<String, Value>> {
    metadata(object)?.get("labels")?.as_object()
}

/// `metadata.annotations`
pub fn annotations(object: &Value) -> Option<&Map<String, Value>> {
    metadata(object)?.get("annotations")?.as_object()
}

/// One of the annotations.
pub fn annotation<'o>(object: &'o Value, key: &str) -> Option<&'o str> {
    annotations(object)?.get(key)?.as_str()
}

/// `metadata.finalizers`
pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    list(object, "finalizers").iter().filter_map(Value::as_str)
}

/// Sets `metadata.finalizers`; an empty list is removed.
pub fn set_finalizers(object: &mut Value, finalizers: Vec<String>) {
    let value = (!finalizers.is_empty()).then(|| finalizers.into());
    set(object, "finalizers", value);
}

/// `metadata.ownerReferences`
pub fn owner_references(object: &Value) -> &[Value] {
    list(object, "ownerReferences")
}

/// The owner reference that is marked as the controller's.
pub fn controller(object: &Value) -> Option<&Value> {
    owner_references(object).iter().find(|owner| owner.get("controller") == Some(&Value::Bool(true)))
}

/// Drops owner references that are there more than once, and returns the warning for the client if there were any. `when`
/// says when they were found: nothing, or [`AFTER_ADMISSION`].
pub fn drop_duplicate_owners(object: &mut Value, when: &str) -> Option<String> {
    let mut kept: Vec<Value> = Vec::new();
    let mut repeated = Vec::new();
    for owner in owner_references(object) {
        if kept.contains(owner) {
            repeated.push(owner.get("uid").and_then(Value::as_str).unwrap_or_default().to_owned());
        } else {
            kept.push(owner.clone());
        }
    }
    if repeated.is_empty() {
        return None;
    }
    set(object, "ownerReferences", Some(Value::Array(kept)));
    Some(format!(
        ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, and may \
         reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
        repeated.join(", ")
    ))
}

/// When admission, or a patch, has repeated an owner reference; see [`drop_duplicate_owners`].
pub const AFTER_ADMISSION: &str = " after mutating admission happens";

/// `metadata.managedFields`
pub fn managed_fields(object: &Value) -> &[Value] {
    list(object, "managedFields")
}

fn list<'o>(object: &'o Value, field: &str) -> &'o [Value] {
    let list = metadata(object).and_then(|metadata| metadata.get(field)).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

/// A name from a `generateName`: its first 58 bytes and five letters that come from `random`.
pub fn generated_name(base: &str, random: u64) -> String {
    let mut end = base.len().min(GENERATED_BASE_BYTES_MAX);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    let mut name = base.get(..end).unwrap_or_default().to_owned();
    let mut rest = random;
    for _ in 0..5 {
        let letter = usize::try_from(rest % 27).unwrap_or_default();
        name.push(char::from(SUFFIX_LETTERS.get(letter).copied().unwrap_or(b'b')));
        rest /= 27;
    }
    name
}

/// A time as the API writes it: RFC 3339 in UTC, to the second, rounded down.
pub fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_is_there_and_nothing_else() {
        let object = json!({"metadata": {"name": "a", "generation": 3, "finalizers": ["f"],
            "ownerReferences": [{"uid": "1"}, {"uid": "2", "controller": true}]}});
        assert_eq!((name(&object), namespace(&object), generation(&object)), ("a", "", 3));
        assert_eq!(finalizers(&object).collect::<Vec<_>>(), ["f"]);
        assert_eq!(controller(&object), Some(&json!({"uid": "2", "controller": true})));
        assert_eq!((name(&json!({})), generation(&json!(1)), owner_references(&json!({})).len()), ("", 0, 0));
    }

    #[test]
    fn writes_what_is_not_empty() {
        let mut object = json!({});
        set_text(&mut object, "uid", "u");
        set_generation(&mut object, 2);
        set_finalizers(&mut object, vec!["f".to_owned()]);
        assert_eq!(object, json!({"metadata": {"uid": "u", "generation": 2, "finalizers": ["f"]}}));
        set_text(&mut object, "uid", "");
        set_generation(&mut object, 0);
        set_finalizers(&mut object, Vec::new());
        assert_eq!(object, json!({"metadata": {}}));
    }

    #[test]
    fn owners_are_told_once() {
        let mut object = json!({"metadata": {"ownerReferences": [{"uid": "1"}, {"uid": "2"}, {"uid": "1"}, {"uid": "1", "name": "a"}]}});
        let warning = drop_duplicate_owners(&mut object, AFTER_ADMISSION).unwrap();
        assert!(
            warning.contains("entries after mutating admission happens; ") && warning.ends_with("observed: 1"),
            "{warning}"
        );
        assert_eq!(
            owner_references(&object),
            [json!({"uid": "1"}), json!({"uid": "2"}), json!({"uid": "1", "name": "a"})]
        );
        assert_eq!(drop_duplicate_owners(&mut object, ""), None);
    }

    #[test]
    fn generated_names_fit_a_label() {
        assert_eq!(generated_name("web-", 0), "web-bbbbb");
        assert_eq!(generated_name("web-", 26 + 27), "web-9cbbb");
        assert_eq!(generated_name(&"a".repeat(100), u64::MAX).len(), 63);
        assert_eq!(generated_name(&"é".repeat(100), 0).chars().count(), 29 + 5);
    }

    #[test]
    fn times_are_whole_seconds() {
        let time = Timestamp::from_millisecond(1_700_000_000_999).unwrap();
        assert_eq!(rfc3339(time), "2023-11-14T22:13:20Z");
    }
}
