//! Strategic merge patch: a merge patch that knows from the Schema which lists are merged, and by which key, and that
//! takes directives (`$patch`, `$retainKeys`, `$setElementOrder/...`, `$deleteFromPrimitiveList/...`).
//!
//! The rules and messages are those of apimachinery's `strategicpatch` package.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::PatchError;
use crate::go_syntax::go_quote as quote;
use crate::object::go_text::{self, string_verb, type_name};
use crate::schema::types::{Field, Form, PatchStrategy, Type, ValueType};

type Object = Map<String, Value>;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList";
const SET_ELEMENT_ORDER: &str = "$setElementOrder";

/// Applies a strategic merge patch to an object of a built-in kind, in the version that `ty` describes.
///
/// The result holds whatever the patch brought in, unknown fields and wrong types included: it is decoded afterwards.
pub fn apply(doc: &Value, patch: &Value, ty: &Type) -> Result<Value, PatchError> {
    if ty.custom {
        return Err(PatchError::BadRequest("strategic merge patch format is not supported".to_owned()));
    }
    let patch = match patch {
        Value::Object(patch) => patch.clone(),
        Value::Null => Object::new(),
        other => {
            return Err(PatchError::BadRequest(format!(
                "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
                super::merge::json_kind(other)
            )));
        }
    };
    let mut merged = doc.as_object().cloned().unwrap_or_default();
    merge_object(&mut merged, patch, Shape::Struct(ty))?;
    Ok(Value::Object(merged))
}

/// What the Schema says of a place in the document.
#[derive(Clone, Copy)]
enum Shape<'t> {
    Struct(&'t Type),
    Other(&'t ValueType),
}

impl<'t> Shape<'t> {
    fn of(value: &'t ValueType) -> Self {
        match value {
            ValueType::Message(ty) if !matches!(ty.form, Form::List(_) | Form::Map(_)) => Self::Struct(ty),
            other => Self::Other(other),
        }
    }

    /// The field of a struct by its JSON name, without regard to case where no field has exactly that name.
    fn field(self, name: &str) -> Result<&'t Field, PatchError> {
        match self {
            Self::Struct(ty) => ty
                .field(name)
                .or_else(|| ty.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)))
                .ok_or_else(|| {
                    PatchError::Unknown(format!(
                        "unable to find api field in struct {} for the json field {}",
                        ty.short_go_name(),
                        quote(name)
                    ))
                }),
            Self::Other(_) => Err(PatchError::Unknown(format!(
                "merging an object in json but data type is not struct, instead is: {}",
                self.go_kind()
            ))),
        }
    }

    /// A list field of a struct, and the shape of its elements.
    fn list(self, name: &str) -> Result<(&'t Field, Shape<'t>), PatchError> {
        let field = self.field(name)?;
        let element = match &field.value {
            ValueType::List(element) => &**element,
            ValueType::Message(ty) => match &ty.form {
                Form::List(element) => element,
                _ => return Err(self.no_list()),
            },
            _ => return Err(self.no_list()),
        };
        match Shape::of(element) {
            Shape::Other(ValueType::List(_)) => Err(PatchError::Unknown("unexpected slice of slice".to_owned())),
            shape => Ok((field, shape)),
        }
    }

    fn no_list(self) -> PatchError {
        PatchError::Unknown(format!("expected slice or array type, but got: {}", self.go_kind()))
    }

    /// What Go's `reflect.Kind` calls it.
    fn go_kind(self) -> &'static str {
        match self {
            Self::Struct(_) => "struct",
            Self::Other(value) => match value {
                ValueType::String => "string",
                ValueType::Bool => "bool",
                ValueType::Int32 => "int32",
                ValueType::Int64 => "int64",
                ValueType::Float64 => "float64",
                ValueType::Any => "interface",
                ValueType::Map(_) => "map",
                ValueType::Message(ty) if matches!(ty.form, Form::Map(_)) => "map",
                ValueType::Bytes | ValueType::List(_) | ValueType::Message(_) => "slice",
            },
        }
    }
}

/// How a list is merged.
#[derive(Clone, Copy)]
struct ListRules<'t> {
    merges: bool,
    /// Empty where the field declares none.
    key: &'t str,
    element: Shape<'t>,
}

impl<'t> ListRules<'t> {
    fn of(field: &'t Field, element: Shape<'t>) -> Self {
        let merges = matches!(field.patch_strategy, PatchStrategy::Merge | PatchStrategy::MergeRetainKeys);
        Self { merges, key: field.patch_merge_key.as_deref().unwrap_or_default(), element }
    }
}

fn merge_object(original: &mut Object, mut patch: Object, shape: Shape<'_>) -> Result<(), PatchError> {
    if let Some(directive) = patch.get(PATCH) {
        match directive.as_str() {
            Some("replace") => {
                patch.remove(PATCH);
                *original = patch;
            }
            Some("delete") => original.clear(),
            _ => return Err(unknown_directive(directive, &patch)),
        }
        return Ok(());
    }
    retain_keys(original, &mut patch)?;
    merge_ordered_lists(original, &mut patch, shape)?;
    for (key, value) in patch {
        let deletes = key.starts_with(DELETE_FROM_PRIMITIVE_LIST);
        let key = if deletes { list_of_directive(&key, DELETE_FROM_PRIMITIVE_LIST)?.to_owned() } else { key };
        if value.is_null() {
            original.remove(&key);
            continue;
        }
        match (original.get_mut(&key), value) {
            (Some(Value::Object(current)), Value::Object(value)) => {
                let field = shape.field(&key)?;
                if field.patch_strategy == PatchStrategy::Replace {
                    *current = value;
                } else {
                    merge_object(current, value, Shape::of(&field.value))?;
                }
            }
            (Some(Value::Array(current)), Value::Array(value)) => {
                let (field, element) = shape.list(&key)?;
                let rules = ListRules::of(field, element);
                *current = merge_list(std::mem::take(current), value, rules, deletes)?;
            }
            // Nothing to delete from.
            _ if deletes => {}
            (_, mut value) => {
                discard_nulls(&mut value);
                match without_directives(value) {
                    Some(value) => original.insert(key, value),
                    None => original.remove(&key),
                };
            }
        }
    }
    Ok(())
}

/// Applies `$retainKeys`: what it does not name leaves the original, and the patch may set nothing else.
fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), PatchError> {
    let Some(retained) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let malformed = || PatchError::BadRequest("invalid patch format of retainKeys".to_owned());
    let Value::Array(retained) = retained else { return Err(malformed()) };
    let retained: HashSet<&str> = retained.iter().filter_map(Value::as_str).collect();
    let unnamed = |(key, value): (&String, &Value)| {
        !value.is_null()
            && !key.starts_with(DELETE_FROM_PRIMITIVE_LIST)
            && !key.starts_with(SET_ELEMENT_ORDER)
            && !retained.contains(key.as_str())
    };
    if patch.iter().any(unnamed) {
        return Err(malformed());
    }
    original.retain(|key, _| retained.contains(key.as_str()));
    Ok(())
}

/// Merges each list that a `$setElementOrder` directive names, and puts it into order: that of the directive first, then
/// that of the original. The lists and directives leave the patch.
fn merge_ordered_lists(original: &mut Object, patch: &mut Object, shape: Shape<'_>) -> Result<(), PatchError> {
    let directives: Vec<String> = patch.keys().filter(|key| key.starts_with(SET_ELEMENT_ORDER)).cloned().collect();
    for directive in directives {
        let order = list(patch.remove(&directive).unwrap_or_default())?;
        let name = list_of_directive(&directive, SET_ELEMENT_ORDER)?;
        let current = original.get(name).cloned().map(list).transpose()?;
        let value = patch.get(name).cloned().map(list).transpose()?;
        let (field, element) = shape.list(name)?;
        let rules = ListRules::of(field, element);
        check_order(value.as_deref().unwrap_or_default(), &order, rules.key)?;
        let merged = match (&current, &value) {
            (Some(current), None) => current.clone(),
            (None, Some(value)) => value.iter().cloned().filter_map(without_directives).collect(),
            (Some(current), Some(value)) => merge_list(current.clone(), value.clone(), rules, false)?,
            (None, None) => continue,
        };
        let current = current.unwrap_or_default();
        let ours = partition(merged, &order, rules.key)?;
        element_kind(current.iter().chain(value.iter().flatten()))?;
        original.insert(name.to_owned(), Value::Array(interleave(ours, &order, &current, rules.key)?));
        patch.remove(name);
    }
    Ok(())
}

/// The list that a directive such as `$setElementOrder/containers` is about.
fn list_of_directive<'d>(directive: &'d str, prefix: &str) -> Result<&'d str, PatchError> {
    match directive.split_once('/') {
        Some((head, name)) if head == prefix => Ok(name),
        _ if prefix == SET_ELEMENT_ORDER => Err(malformed_order()),
        _ => Err(PatchError::BadRequest("invalid patch format of primitive list".to_owned())),
    }
}

/// Checks that the patch's elements stand in the order of the directive; those with a directive of their own may be
/// missing from it.
fn check_order(patch: &[Value], order: &[Value], key: &str) -> Result<(), PatchError> {
    if order.is_empty() || patch.is_empty() {
        return Ok(());
    }
    let mut kept = Vec::with_capacity(patch.len());
    for item in patch {
        if key.is_empty() || object(item)?.get(PATCH).and_then(Value::as_str) != Some("delete") {
            kept.push(item);
        }
    }
    let mut kept = kept.into_iter().filter(|item| item.get(PATCH).is_none()).peekable();
    for place in order {
        let Some(item) = kept.peek() else { return Ok(()) };
        let same = if key.is_empty() { *item == place } else { merge_value(item, key)? == merge_value(place, key)? };
        if same {
            kept.next();
        }
    }
    if kept.peek().is_none() {
        return Ok(());
    }
    Err(PatchError::Unknown(format!(
        "The order in patch list:\n{}\n doesn't match {SET_ELEMENT_ORDER} list:\n{}\n",
        go_text::value(&Value::Array(patch.to_vec())),
        go_text::value(&Value::Array(order.to_vec()))
    )))
}

/// Merges two lists, or removes the patch's elements from the original where `deletes`. A list without merge strategy is
/// replaced.
fn merge_list(
    original: Vec<Value>,
    patch: Vec<Value>,
    rules: ListRules<'_>,
    deletes: bool,
) -> Result<Vec<Value>, PatchError> {
    if !rules.merges && !deletes {
        return Ok(patch);
    }
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    if element_kind(original.iter().chain(&patch))? == Element::Scalar {
        if deletes {
            let gone: HashSet<&Value> = patch.iter().collect();
            return Ok(original.into_iter().filter(|item| !gone.contains(item)).collect());
        }
        let mut seen = HashSet::new();
        let merged = original.iter().chain(&patch).filter(|item| seen.insert(*item)).cloned().collect();
        let ours = partition(merged, &patch, rules.key)?;
        return interleave(ours, &patch, &original, rules.key);
    }
    if rules.key.is_empty() {
        return Err(PatchError::Unknown(format!(
            "cannot merge lists without merge key for {}",
            rules.element.go_kind()
        )));
    }
    let (original, patch) = apply_element_directives(original, patch, rules.key)?;
    let merged = merge_elements(original.clone(), &patch, rules)?;
    let ours = partition(merged, &patch, rules.key)?;
    interleave(ours, &patch, &original, rules.key)
}

/// Carries out the elements that hold a `$patch`: deletions first, and `replace` empties the original for the rest.
fn apply_element_directives(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut rest = Vec::with_capacity(patch.len());
    let mut deleted = HashSet::new();
    let mut replaces = false;
    for item in patch {
        let Some(directive) = item.get(PATCH) else {
            rest.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                deleted.insert(merge_value(&item, key)?.clone());
            }
            Some("replace") => replaces = true,
            Some("merge") => {
                return Err(PatchError::Unknown("merging lists cannot yet be specified in the patch".to_owned()));
            }
            _ => return Err(unknown_directive(directive, object(&item)?)),
        }
    }
    if replaces {
        return Ok((rest, Vec::new()));
    }
    original.retain(|item| item.get(key).is_none_or(|value| !deleted.contains(value)));
    Ok((original, rest))
}

/// Merges each element of the patch into the first of the original with the same merge key, or appends it.
fn merge_elements(mut original: Vec<Value>, patch: &[Value], rules: ListRules<'_>) -> Result<Vec<Value>, PatchError> {
    let mut places: HashMap<Value, usize> = HashMap::with_capacity(original.len());
    for (at, item) in original.iter().enumerate() {
        if let Some(value) = item.get(rules.key) {
            places.entry(value.clone()).or_insert(at);
        }
    }
    for item in patch {
        let value = merge_value(item, rules.key)?;
        let place = places.get(value).and_then(|at| original.get_mut(*at));
        if let (Some(Value::Object(current)), Value::Object(item)) = (place, item) {
            merge_object(current, item.clone(), rules.element)?;
        } else {
            places.insert(value.clone(), original.len());
            original.push(item.clone());
        }
    }
    Ok(original)
}

/// Elements of a merged list: those that the patch has a say in, and those that only the server knows.
struct Partition {
    patched: Vec<Value>,
    server_only: Vec<Value>,
}

fn partition(merged: Vec<Value>, by: &[Value], key: &str) -> Result<Partition, PatchError> {
    let mut names = HashSet::with_capacity(by.len());
    for (at, item) in by.iter().enumerate() {
        if key.is_empty() {
            names.insert(item);
        } else {
            let item =
                item.as_object().ok_or_else(|| PatchError::Unknown(format!("value for key {at} is not a map")))?;
            names.extend(item.get(key));
        }
    }
    let mut parts = Partition { patched: Vec::new(), server_only: Vec::new() };
    for item in merged {
        let name = if key.is_empty() { &item } else { merge_value(&item, key)? };
        if names.contains(name) { parts.patched.push(item) } else { parts.server_only.push(item) }
    }
    Ok(parts)
}

/// Orders the patched elements by the patch and the others by the server's list, then merges both: an element of the
/// server goes before the first patched one that followed it on the server.
fn interleave(parts: Partition, order: &[Value], server_order: &[Value], key: &str) -> Result<Vec<Value>, PatchError> {
    let (place, server_place) = (Places::of(order, key)?, Places::of(server_order, key)?);
    let mut patched = parts.patched;
    let mut server_only = parts.server_only;
    patched.sort_by_key(|item| place.get(item).unwrap_or(usize::MAX));
    server_only.sort_by_key(|item| server_place.get(item).unwrap_or(usize::MAX));
    let mut merged = Vec::with_capacity(patched.len() + server_only.len());
    let mut patched = patched.into_iter().peekable();
    let mut server_only = server_only.into_iter().peekable();
    loop {
        let server_first = match (server_only.peek(), patched.peek()) {
            (Some(ours), Some(theirs)) => {
                matches!((server_place.get(ours), server_place.get(theirs)), (Some(ours), Some(theirs)) if ours < theirs)
            }
            (Some(_), None) => true,
            (None, _) => false,
        };
        match if server_first { server_only.next() } else { patched.next() } {
            Some(item) => merged.push(item),
            None => return Ok(merged),
        }
    }
}

/// The first place of each element in a list, by merge key or, without one, by value.
struct Places<'l> {
    key: &'l str,
    places: HashMap<&'l Value, usize>,
}

impl<'l> Places<'l> {
    fn of(list: &'l [Value], key: &'l str) -> Result<Self, PatchError> {
        let mut places = HashMap::with_capacity(list.len());
        for (at, item) in list.iter().enumerate() {
            let name = if key.is_empty() { item } else { merge_value(item, key)? };
            places.entry(name).or_insert(at);
        }
        Ok(Self { key, places })
    }

    fn get(&self, item: &Value) -> Option<usize> {
        let name = if self.key.is_empty() { item } else { item.get(self.key)? };
        self.places.get(name).copied()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Scalar,
    Object,
}

/// The one kind that all elements have.
fn element_kind<'v>(items: impl Iterator<Item = &'v Value> + Clone) -> Result<Element, PatchError> {
    let mut first = None;
    for item in items.clone() {
        let kind = type_name(item);
        if item.is_array() && first.is_none() {
            return Err(PatchError::Unprocessable("lists of lists are not supported".to_owned()));
        }
        if *first.get_or_insert(kind) != kind {
            let listed: Vec<_> = items.map(go_text::value).collect();
            return Err(PatchError::Unknown(format!("list element types are not identical: [{}]", listed.join(" "))));
        }
    }
    match first {
        None => Err(PatchError::Unknown("no elements in any of the given slices".to_owned())),
        Some("map[string]interface {}") => Ok(Element::Object),
        Some(_) => Ok(Element::Scalar),
    }
}

/// Drops null members at any depth: a value that is new to the document has nothing to delete.
fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(discard_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}

/// A value that is new to the document without the objects in it that hold a `$patch`; nothing if it is one itself.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(members) if members.contains_key(PATCH) => None,
        Value::Object(members) => Some(Value::Object(
            members.into_iter().filter_map(|(key, member)| Some((key, without_directives(member)?))).collect(),
        )),
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(without_directives).collect())),
        scalar => Some(scalar),
    }
}

/// The value by which an element of a keyed list is told from others.
fn merge_value<'v>(item: &'v Value, key: &str) -> Result<&'v Value, PatchError> {
    let members = object(item)?;
    members.get(key).ok_or_else(|| {
        PatchError::Unknown(format!("map: {} does not contain declared merge key: {key}", go_text::value(item)))
    })
}

fn object(value: &Value) -> Result<&Object, PatchError> {
    value.as_object().ok_or_else(|| bad_argument("map[string]interface {}", value))
}

fn list(value: Value) -> Result<Vec<Value>, PatchError> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(bad_argument("[]interface {}", &other)),
    }
}

fn bad_argument(expected: &str, actual: &Value) -> PatchError {
    PatchError::Unknown(format!("expected a {expected}, but received a {}", type_name(actual)))
}

fn malformed_order() -> PatchError {
    PatchError::BadRequest("invalid patch format of setElementOrder list".to_owned())
}

fn unknown_directive(directive: &Value, patch: &Object) -> PatchError {
    PatchError::Unknown(format!(
        "unknown patch type: {} in map: {}",
        string_verb(directive),
        go_text::value(&Value::Object(patch.clone()))
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::GroupVersionKind;
    use crate::schema::builtin::registry;

    fn pod_patch(doc: &Value, patch: &Value) -> Result<Value, PatchError> {
        apply(doc, patch, &registry().kind(&GroupVersionKind::new("", "v1", "Pod")).unwrap())
    }

    /// Patches the `spec` of a pod.
    fn spec(doc: &Value, patch: &Value) -> Result<Value, PatchError> {
        pod_patch(&json!({"spec": doc}), &json!({"spec": patch})).map(|mut pod| pod["spec"].take())
    }

    #[test]
    fn lists_merge_by_key() {
        let doc =
            json!({"containers": [{"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]});
        let patch = json!({"containers": [
            {"name": "c"},
            {"name": "a", "image": "a:2", "env": [{"name": "Y", "value": "2"}, {"name": "X", "$patch": "delete"}]},
        ]});
        let want = json!({"containers": [
            {"name": "c"}, {"name": "a", "image": "a:2", "env": [{"name": "Y", "value": "2"}]}, {"name": "b"},
        ]});
        assert_eq!(spec(&doc, &patch), Ok(want));
    }

    #[test]
    fn lists_without_strategy_are_replaced() {
        let doc = json!({"tolerations": [{"key": "a"}], "containers": [{"name": "a", "command": ["x", "y"]}]});
        let patch = json!({"tolerations": [{"key": "b"}], "containers": [{"name": "a", "command": ["z"]}]});
        assert_eq!(spec(&doc, &patch), Ok(patch));
    }

    #[test]
    fn directives_replace_and_delete() {
        let doc = json!({"containers": [{"name": "a"}], "nodeSelector": {"a": "1"}, "affinity": {"podAffinity": {}}});
        let patch = json!({
            "containers": [{"$patch": "replace"}, {"name": "z"}],
            "nodeSelector": {"$patch": "replace", "b": "2"},
            "affinity": {"$patch": "delete"},
        });
        let want = json!({"containers": [{"name": "z"}], "nodeSelector": {"b": "2"}, "affinity": {}});
        assert_eq!(spec(&doc, &patch), Ok(want));
    }

    #[test]
    fn retained_keys_are_all_that_stays() {
        let doc = json!({"volumes": [{"name": "v", "emptyDir": {}}]});
        let patch = json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}, "$retainKeys": ["name", "hostPath"]}]});
        assert_eq!(spec(&doc, &patch), Ok(json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]})));
        let patch = json!({"volumes": [{"name": "v", "hostPath": {}, "$retainKeys": ["name"]}]});
        assert_eq!(spec(&doc, &patch), Err(PatchError::BadRequest("invalid patch format of retainKeys".to_owned())));
    }

    #[test]
    fn scalars_merge_and_leave_lists() {
        let doc = json!({"metadata": {"finalizers": ["a", "b", "c"]}});
        let patch = json!({"metadata": {
            "$setElementOrder/finalizers": ["d", "a"],
            "$deleteFromPrimitiveList/finalizers": ["b"],
            "finalizers": ["d"],
        }});
        assert_eq!(pod_patch(&doc, &patch), Ok(json!({"metadata": {"finalizers": ["d", "a", "c"]}})));
    }

    #[test]
    fn order_is_the_directives_then_the_servers() {
        let names = |names: &[&str]| Value::Array(names.iter().map(|name| json!({"name": name})).collect());
        let doc = json!({"containers": names(&["1", "2", "3", "server"])});
        let patch = json!({"$setElementOrder/containers": names(&["3", "1", "2"]), "containers": names(&["3"])});
        assert_eq!(spec(&doc, &patch), Ok(json!({"containers": names(&["3", "1", "2", "server"])})));
        let patch = json!({"$setElementOrder/containers": names(&["3"]), "containers": names(&["3", "1"])});
        let Err(PatchError::Unknown(message)) = spec(&doc, &patch) else { panic!("patched") };
        assert_eq!(
            message,
            "The order in patch list:\n[map[name:3] map[name:1]]\n doesn't match $setElementOrder list:\n[map[name:3]]\n"
        );
    }

    #[test]
    fn nulls_delete_and_never_enter() {
        let doc = json!({"nodeName": "n", "containers": null});
        let patch =
            json!({"nodeName": null, "hostname": null, "dnsConfig": {"searches": null}, "containers": [{"name": "a"}]});
        assert_eq!(spec(&doc, &patch), Ok(json!({"dnsConfig": {}, "containers": [{"name": "a"}]})));
    }

    #[test]
    fn what_is_wrong_is_told_as_upstream() {
        let doc = json!({"containers": [{"name": "a"}], "nodeSelector": {"a": {}}, "volumes": []});
        for (patch, want) in [
            (json!({"containers": [{"image": "x"}]}), "map: map[image:x] does not contain declared merge key: name"),
            (
                json!({"containers": [{"name": "a", "$patch": "bogus"}]}),
                "unknown patch type: bogus in map: map[$patch:bogus name:a]",
            ),
            (json!({"$patch": 5}), "unknown patch type: %!s(int64=5) in map: map[$patch:5]"),
            (json!({"containers": ["a"]}), "list element types are not identical: [map[name:a] a]"),
            (json!({"$setElementOrder/containers": "a"}), "expected a []interface {}, but received a string"),
            (
                json!({"nodeSelector": {"a": {}}}),
                "merging an object in json but data type is not struct, instead is: map",
            ),
            (
                json!({"$setElementOrder/bogus": []}),
                "unable to find api field in struct PodSpec for the json field \"bogus\"",
            ),
        ] {
            assert_eq!(spec(&doc, &patch), Err(PatchError::Unknown(want.to_owned())), "{patch}");
        }
        for (patch, want) in [
            (json!({"$setElementOrder": []}), "invalid patch format of setElementOrder list"),
            (json!({"$deleteFromPrimitiveListX": []}), "invalid patch format of primitive list"),
        ] {
            assert_eq!(spec(&doc, &patch), Err(PatchError::BadRequest(want.to_owned())), "{patch}");
        }
    }
}
