//! JSON merge patch (RFC 7386).

use serde_json::{Map, Value};

use super::PatchError;

/// Applies a merge patch to an object: members replace, `null` removes, objects merge recursively.
///
/// A patch that is not an object is refused, as an API object cannot become anything else.
pub fn apply(doc: &Value, patch: &Value) -> Result<Value, PatchError> {
    match patch {
        Value::Object(_) => {}
        Value::Null => return Err(PatchError::BadRequest("Invalid JSON Patch".to_owned())),
        other => {
            return Err(PatchError::BadRequest(format!(
                "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
                json_kind(other)
            )));
        }
    }
    let mut out = doc.clone();
    merge(&mut out, patch);
    Ok(out)
}

fn merge(target: &mut Value, patch: &Value) {
    let (Value::Object(target), Value::Object(members)) = (&mut *target, patch) else {
        *target = if target.is_object() { patch.clone() } else { without_nulls(patch) };
        return;
    };
    for (key, value) in members {
        match target.get_mut(key) {
            _ if value.is_null() => {
                target.remove(key);
            }
            Some(current) if !current.is_null() => merge(current, value),
            _ => {
                target.insert(key.clone(), without_nulls(value));
            }
        }
    }
}

/// A value that enters the document as a whole loses its null members; evanphx/json-patch looks for them within lists
/// too, which RFC 7386 does not. Null elements of a list stay.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(_, member)| !member.is_null())
                .map(|(key, member)| (key.clone(), without_nulls(member)))
                .collect::<Map<_, _>>(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        scalar => scalar.clone(),
    }
}

/// What Go's JSON decoder calls a value that it did not expect.
pub(super) fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use crate::object::patch::tests::any_object;

    use super::*;

    /// The examples of RFC 7386, appendix A, whose patches are objects.
    #[test]
    fn follows_the_rfc() {
        for (doc, patch, want) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            assert_eq!(apply(&doc, &patch).unwrap(), want, "{doc} with {patch}");
        }
    }

    #[test]
    fn prunes_nulls_in_lists_that_enter_as_a_whole() {
        let patched = apply(&json!({}), &json!({"a": [{"b": null, "c": 1}, null]})).unwrap();
        assert_eq!(patched, json!({"a": [{"c": 1}, null]}));
    }

    #[test]
    fn refuses_what_is_not_an_object() {
        assert_eq!(
            apply(&json!({}), &json!([1])).unwrap_err().message(),
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
        );
        assert_eq!(apply(&json!({}), &json!(null)).unwrap_err().message(), "Invalid JSON Patch");
    }

    fn holds_list(value: &Value) -> bool {
        value.is_array() || value.as_object().is_some_and(|members| members.values().any(holds_list))
    }

    fn merged(doc: &Value, patch: &Value) -> Value {
        apply(doc, patch).unwrap()
    }

    proptest! {
        /// A patch asks for a state: asking twice changes nothing, and nothing is asked by an empty one. Nulls within lists
        /// are left out: whether those are pruned depends on what was there.
        #[test]
        fn merging_is_idempotent(doc in any_object(), mut patch in any_object()) {
            for member in patch.as_object_mut().unwrap().values_mut().filter(|member| holds_list(member)) {
                *member = without_nulls(member);
            }
            let once = merged(&doc, &patch);
            prop_assert_eq!(merged(&once, &patch), once);
            prop_assert_eq!(merged(&doc, &json!({})), doc);
        }

        #[test]
        fn what_the_patch_says_holds(doc in any_object(), patch in any_object()) {
            let result = merged(&doc, &patch);
            for (name, value) in patch.as_object().unwrap() {
                match value {
                    Value::Null => prop_assert!(result.get(name).is_none()),
                    Value::Object(_) => prop_assert!(result[name].is_object()),
                    Value::Array(_) => prop_assert!(result[name].is_array()),
                    scalar => prop_assert_eq!(&result[name], scalar),
                }
            }
            for (name, value) in doc.as_object().unwrap() {
                if patch.get(name).is_none() {
                    prop_assert_eq!(&result[name], value);
                }
            }
        }
    }
}
