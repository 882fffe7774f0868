//! JSON patch (RFC 6902), as evanphx/json-patch v4 reads it: indices may be negative (from the end), `replace` adds a
//! missing member, and what `copy` may add to the document is bounded.

use std::io;

use serde_json::{Map, Value};

use super::PatchError;
use super::merge::json_kind;
use crate::go_syntax::go_quote;
use crate::limits::{JSON_DEPTH_MAX, JSON_PATCH_COPY_BYTES_MAX, JSON_PATCH_OPERATIONS_MAX};

/// A decoded JSON patch.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    operations: Vec<Map<String, Value>>,
    unknown_fields: Vec<String>,
}

impl Patch {
    /// Checks the shape of a patch: a list of objects whose `op`, `path` and `from` are strings.
    pub fn decode(patch: &Value) -> Result<Self, PatchError> {
        let items = match patch {
            Value::Array(items) => items.as_slice(),
            Value::Null => &[],
            other => return Err(cannot_unmarshal(other, "Go value of type []handlers.jsonPatchOp")),
        };
        let mut operations = Vec::with_capacity(items.len().min(JSON_PATCH_OPERATIONS_MAX));
        let mut unknown_fields = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let members = match item {
                Value::Object(members) => members.clone(),
                Value::Null => Map::new(),
                other => return Err(cannot_unmarshal(other, "Go value of type handlers.jsonPatchOp")),
            };
            for (name, value) in &members {
                match name.as_str() {
                    "op" | "path" | "from" if !value.is_string() && !value.is_null() => {
                        return Err(cannot_unmarshal(
                            value,
                            &format!("Go struct field jsonPatchOp.{name} of type string"),
                        ));
                    }
                    "op" | "path" | "from" | "value" => {}
                    _ => unknown_fields.push(format!("unknown field {}", go_quote(&format!("[{index}].{name}")))),
                }
            }
            operations.push(members);
        }
        if operations.len() > JSON_PATCH_OPERATIONS_MAX {
            return Err(PatchError::TooLarge(format!(
                "The allowed maximum operations in a JSON patch is {JSON_PATCH_OPERATIONS_MAX}, got {}",
                operations.len()
            )));
        }
        Ok(Self { operations, unknown_fields })
    }

    /// What strict field validation says of members that no operation has: `unknown field "[0].foo"`.
    pub fn unknown_fields(&self) -> &[String] {
        &self.unknown_fields
    }

    /// Applies every operation in order, or none.
    pub fn apply(&self, doc: &Value) -> Result<Value, PatchError> {
        let mut target = Target { depth: depth(doc), doc: doc.clone(), copied_bytes: 0 };
        for operation in &self.operations {
            target.apply(operation).map_err(PatchError::Unprocessable)?;
        }
        Ok(target.doc)
    }
}

fn cannot_unmarshal(value: &Value, into: &str) -> PatchError {
    PatchError::BadRequest(format!("error decoding patch: json: cannot unmarshal {} into {into}", json_kind(value)))
}

/// The document while it is being patched, and what the patch has cost so far.
struct Target {
    doc: Value,
    /// An upper bound of the document's depth. It keeps `move` from nesting without end, which would exhaust the stack
    /// of whoever walks the result.
    depth: usize,
    /// What `copy` has added so far, in encoded bytes.
    copied_bytes: usize,
}

impl Target {
    fn apply(&mut self, operation: &Map<String, Value>) -> Result<(), String> {
        let value = || operation.get("value").cloned().unwrap_or(Value::Null);
        match operation.get("op").and_then(Value::as_str).unwrap_or("unknown") {
            "add" => self.add(pointer(operation, "path")?, value()),
            "remove" => self.take(pointer(operation, "path")?).map(drop),
            "replace" => self.replace(pointer(operation, "path")?, value()),
            "move" => self.relocate(pointer(operation, "from")?, operation),
            "copy" => {
                let copied = self.get(pointer(operation, "from")?)?.cloned().unwrap_or(Value::Null);
                self.copied_bytes += encoded_bytes(&copied);
                if self.copied_bytes > JSON_PATCH_COPY_BYTES_MAX {
                    return Err(format!("copies exceed {JSON_PATCH_COPY_BYTES_MAX} bytes"));
                }
                self.add(pointer(operation, "path")?, copied)
            }
            "test" => self.test(pointer(operation, "path")?, operation.get("value")),
            other => Err(format!("unexpected operation {other:?}")),
        }
    }

    /// The object or list that holds the last step of a pointer, and that step.
    fn container(&mut self, pointer: &str) -> Result<(&mut Value, String), String> {
        let missing = || format!("missing path: {pointer:?}");
        // What precedes the first slash is ignored; without a slash there is no step at all.
        let (_, steps) = pointer.split_once('/').ok_or_else(missing)?;
        let (parents, last) = steps.rsplit_once('/').map_or((None, steps), |(parents, last)| (Some(parents), last));
        let mut container = &mut self.doc;
        for step in parents.into_iter().flat_map(|parents| parents.split('/')) {
            container = match container {
                Value::Object(members) => members.get_mut(&unescape(step)).ok_or_else(missing)?,
                Value::Array(items) => {
                    let at = index(step, items.len()).map_err(|_| missing())?;
                    items.get_mut(at).ok_or_else(missing)?
                }
                _ => return Err(missing()),
            };
        }
        if container.is_object() || container.is_array() { Ok((container, unescape(last))) } else { Err(missing()) }
    }

    /// The value at a pointer; a member that an object lacks reads as nothing, an index out of a list is an error.
    fn get(&mut self, pointer: &str) -> Result<Option<&Value>, String> {
        let (container, key) = self.container(pointer)?;
        match container {
            Value::Array(items) => {
                let at = index(&key, items.len())?;
                Ok(items.get(at))
            }
            other => Ok(other.get(&key)),
        }
    }

    fn take(&mut self, pointer: &str) -> Result<Value, String> {
        let (container, key) = self.container(pointer)?;
        match container {
            Value::Object(members) => members.remove(&key).ok_or_else(|| format!("nothing to remove at {pointer:?}")),
            Value::Array(items) => {
                let at = index(&key, items.len())?;
                Ok(items.remove(at))
            }
            _ => Err(format!("missing path: {pointer:?}")),
        }
    }

    fn add(&mut self, pointer: &str, value: Value) -> Result<(), String> {
        self.allow_depth(steps(pointer) + depth(&value))?;
        self.insert(pointer, value)
    }

    /// Moves a value. A value `n` steps below the root is at least `n` less deep than the document may be; its depth is
    /// only looked at where that leaves a doubt, so that many moves of a large value stay cheap.
    fn relocate(&mut self, from: &str, operation: &Map<String, Value>) -> Result<(), String> {
        let moved = self.take(from)?;
        let to = pointer(operation, "path")?;
        let bound = steps(to) + self.depth.saturating_sub(steps(from));
        self.allow_depth(if bound <= JSON_DEPTH_MAX { bound } else { steps(to) + depth(&moved) })?;
        self.insert(to, moved)
    }

    fn insert(&mut self, pointer: &str, value: Value) -> Result<(), String> {
        let (container, key) = self.container(pointer)?;
        match container {
            Value::Object(members) => {
                members.insert(key, value);
            }
            Value::Array(items) if key == "-" => items.push(value),
            Value::Array(items) => {
                let at = insertion_index(&key, items.len())?;
                items.insert(at, value);
            }
            _ => return Err(format!("missing path: {pointer:?}")),
        }
        Ok(())
    }

    fn replace(&mut self, pointer: &str, value: Value) -> Result<(), String> {
        self.allow_depth(steps(pointer) + depth(&value))?;
        if pointer.is_empty() {
            if !value.is_object() && !value.is_array() {
                return Err("only an object or a list can replace the document".to_owned());
            }
            self.doc = value;
            return Ok(());
        }
        let (container, key) = self.container(pointer)?;
        match container {
            Value::Object(members) => {
                members.insert(key, value);
            }
            Value::Array(items) => {
                let at = index(&key, items.len())?;
                if let Some(item) = items.get_mut(at) {
                    *item = value;
                }
            }
            _ => return Err(format!("missing path: {pointer:?}")),
        }
        Ok(())
    }

    fn test(&mut self, pointer: &str, want: Option<&Value>) -> Result<(), String> {
        let failed = || format!("test failed at {pointer:?}");
        if pointer.is_empty() {
            return if want == Some(&self.doc) { Ok(()) } else { Err(failed()) };
        }
        // Absent and null are alike.
        let got = self.get(pointer)?.unwrap_or(&Value::Null);
        if got == want.unwrap_or(&Value::Null) { Ok(()) } else { Err(failed()) }
    }

    /// Refuses a value that would nest deeper than a document may.
    fn allow_depth(&mut self, nested: usize) -> Result<(), String> {
        if nested > JSON_DEPTH_MAX {
            return Err(format!("exceeded max depth of {JSON_DEPTH_MAX}"));
        }
        self.depth = self.depth.max(nested);
        Ok(())
    }
}

/// How many steps a pointer takes from the root.
fn steps(pointer: &str) -> usize {
    pointer.bytes().filter(|byte| *byte == b'/').count()
}

/// A pointer member of an operation.
fn pointer<'o>(operation: &'o Map<String, Value>, name: &str) -> Result<&'o str, String> {
    operation.get(name).and_then(Value::as_str).ok_or_else(|| format!("operation without {name}"))
}

/// Undoes the escapes of a pointer's step in one pass (RFC 6901, section 4).
fn unescape(step: &str) -> String {
    let mut out = String::with_capacity(step.len());
    let mut rest = step;
    while let Some((before, after)) = rest.split_once('~') {
        out.push_str(before);
        rest = match after.as_bytes().first() {
            Some(b'1') => {
                out.push('/');
                &after[1..]
            }
            Some(b'0') => {
                out.push('~');
                &after[1..]
            }
            _ => {
                out.push('~');
                after
            }
        };
    }
    out.push_str(rest);
    out
}

/// The position of an existing element; negative positions count from the end.
fn index(key: &str, len: usize) -> Result<usize, String> {
    let at = position(key, len)?;
    if at < len { Ok(at) } else { Err(format!("index out of range: {key}")) }
}

/// The position at which an element may be inserted: the end is one of them, and counts for negative positions.
fn insertion_index(key: &str, len: usize) -> Result<usize, String> {
    index(key, len + 1)
}

fn position(key: &str, len: usize) -> Result<usize, String> {
    let at: i64 = key.parse().map_err(|_| format!("not an index: {key:?}"))?;
    let at = if at < 0 { i64::try_from(len).unwrap_or(i64::MAX).saturating_add(at) } else { at };
    usize::try_from(at).map_err(|_| format!("index out of range: {key}"))
}

/// How many objects and lists enclose the innermost value, the outermost included.
fn depth(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// The length of a value's JSON text, as Go writes it: `<`, `>` and `&` as escapes of six characters.
fn encoded_bytes(value: &Value) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() + 5 * bytes.iter().filter(|byte| matches!(byte, b'<' | b'>' | b'&')).count();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting never fails, and a decoded value always encodes.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use crate::object::patch::tests::any_object;

    use super::*;

    fn apply(doc: &Value, patch: &Value) -> Result<Value, PatchError> {
        Patch::decode(patch)?.apply(doc)
    }

    fn refused(doc: &Value, patch: &Value) -> bool {
        matches!(apply(doc, patch), Err(PatchError::Unprocessable(_)))
    }

    #[test]
    fn operations_apply_in_order() {
        let doc = json!({"a": [1, 2, 3], "b": {"c/d": 1, "e~f": 2}});
        let patch = json!([
            {"op": "add", "path": "/a/1", "value": 9},
            {"op": "add", "path": "/a/-", "value": 4},
            {"op": "remove", "path": "/a/-1"},
            {"op": "replace", "path": "/b/c~1d", "value": [7]},
            {"op": "copy", "from": "/b/e~0f", "path": "/g"},
            {"op": "move", "from": "/b", "path": "/h"},
            {"op": "test", "path": "/g", "value": 2},
        ]);
        let want = json!({"a": [1, 9, 2, 3], "g": 2, "h": {"c/d": [7], "e~f": 2}});
        assert_eq!(apply(&doc, &patch).unwrap(), want);
    }

    #[test]
    fn evanphx_ways() {
        let doc = json!({"a": [1], "b": {}});
        assert_eq!(
            apply(&doc, &json!([{"op": "replace", "path": "/b/x", "value": 1}])).unwrap(),
            json!({"a": [1], "b": {"x": 1}}),
            "replace adds a missing member"
        );
        assert_eq!(
            apply(&doc, &json!([{"op": "copy", "from": "/nope", "path": "/b/x"}])).unwrap(),
            json!({"a": [1], "b": {"x": null}}),
            "a copy of a missing member is null"
        );
        assert_eq!(
            apply(&doc, &json!([{"op": "add", "path": "/a/-1", "value": 2}])).unwrap(),
            json!({"a": [1, 2], "b": {}}),
            "an insertion counts the end from the end"
        );
        assert_eq!(
            apply(&doc, &json!([{"op": "test", "path": "/nope", "value": null}])).unwrap(),
            doc,
            "a missing member tests as null"
        );
        for patch in [
            json!([{"op": "test", "path": "/a/0", "value": 2}]),
            json!([{"op": "test", "path": "/a/0", "value": 1.0}]),
            json!([{"op": "remove", "path": "/nope"}]),
            json!([{"op": "remove", "path": "/a/1"}]),
            json!([{"op": "replace", "path": "/a/1", "value": 1}]),
            json!([{"op": "replace", "path": "", "value": 1}]),
            json!([{"op": "add", "path": "/a/x", "value": 1}]),
            json!([{"op": "add", "path": "/a/3", "value": 1}]),
            json!([{"op": "add", "path": "/no/x", "value": 1}]),
            json!([{"op": "add", "path": "", "value": 1}]),
            json!([{"op": "add", "value": 1}]),
            json!([{"op": "bogus", "path": "/a"}]),
            json!([{"path": "/a"}]),
            json!([null]),
        ] {
            assert!(refused(&doc, &patch), "{patch}");
        }
    }

    #[test]
    fn shape_is_checked_first() {
        for (patch, want) in [
            (
                json!({}),
                "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
            ),
            (
                json!([1]),
                "error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp",
            ),
            (
                json!([{"op": "add", "path": 5}]),
                "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.path of type string",
            ),
        ] {
            assert_eq!(Patch::decode(&patch), Err(PatchError::BadRequest(want.to_owned())));
        }
        let patch = Patch::decode(&json!([{"op": "test", "path": "/a", "x": 1}])).unwrap();
        assert_eq!(patch.unknown_fields(), [r#"unknown field "[0].x""#]);
    }

    #[test]
    fn too_many_operations_are_refused() {
        let patch = Value::Array(vec![json!({"op": "test", "path": "/a"}); JSON_PATCH_OPERATIONS_MAX + 1]);
        let text = "The allowed maximum operations in a JSON patch is 10000, got 10001";
        assert_eq!(Patch::decode(&patch), Err(PatchError::TooLarge(text.to_owned())));
    }

    #[test]
    fn copies_that_double_the_document_are_refused() {
        let double: Vec<_> = (0..64).map(|i| json!({"op": "copy", "from": "/a", "path": format!("/a/{i}")})).collect();
        assert!(refused(&json!({"a": {"x": "0123456789"}}), &Value::Array(double)));
    }

    #[test]
    fn moves_that_nest_without_end_are_refused() {
        let mut patch = Vec::new();
        for _ in 0..5_000 {
            patch.push(json!({"op": "add", "path": "/b", "value": {}}));
            patch.push(json!({"op": "move", "from": "/a", "path": "/b/a"}));
            patch.push(json!({"op": "move", "from": "/b", "path": "/a"}));
        }
        patch.truncate(JSON_PATCH_OPERATIONS_MAX);
        assert!(refused(&json!({"a": {}}), &Value::Array(patch)));
    }

    fn any_operation() -> impl Strategy<Value = Value> {
        let pointer = || "(/([a-c]|[0-2]|-)){1,3}";
        let name = prop::sample::select(vec!["add", "remove", "replace", "move", "copy", "test"]);
        (name, pointer(), pointer(), any_object()).prop_map(|(name, path, from, value)| {
            let value = value.get("a").cloned().unwrap_or(json!(1));
            json!({"op": name, "path": path, "from": from, "value": value})
        })
    }

    proptest! {
        /// Another implementation of the RFC agrees wherever it accepts a patch, but for the ways that are evanphx's own.
        #[test]
        fn agrees_with_the_json_patch_crate(doc in any_object(), patch in prop::collection::vec(any_operation(), 1..5)) {
            let patch = Value::Array(patch);
            let mut theirs = doc.clone();
            let parsed: json_patch::Patch = serde_json::from_value(patch.clone()).unwrap();
            // The one that undoes a patch that fails panics when it cannot.
            if json_patch::patch_unsafe(&mut theirs, &parsed).is_ok() {
                prop_assert_eq!(apply(&doc, &patch).unwrap(), theirs);
            }
        }

        /// The difference of two documents, as a patch, leads from one to the other.
        #[test]
        fn differences_apply(from in any_object(), to in any_object()) {
            let patch = serde_json::to_value(json_patch::diff(&from, &to)).unwrap();
            prop_assert_eq!(apply(&from, &patch).unwrap(), to);
        }
    }
}
