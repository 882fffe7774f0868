//! The codecs against objects recorded from kube-apiserver 1.36: the same text, the same bytes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pintle_apiserver::codec::json::{self, FieldValidation};
use pintle_apiserver::codec::protobuf;
use pintle_apiserver::codec::revision::{self, KeyOrder};
use pintle_apiserver::schema::{self, GroupVersionKind, TypeRef, ValueType, builtin};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use crate::testdata::gunzip;

/// One recorded object: exact JSON text, enveloped protobuf in base64.
#[derive(Deserialize)]
struct Recorded {
    json: String,
    protobuf: String,
}

/// One object of a running server, or another of its answers.
#[derive(Deserialize)]
struct Served {
    json: Value,
    protobuf: String,
    #[serde(default)]
    status: u16,
}

/// The one kind that is sent without a version is of the version `v1`.
fn type_of(api_version: &str, kind: &str) -> Option<TypeRef> {
    let api_version = if api_version.is_empty() { "v1" } else { api_version };
    builtin::registry().kind(&GroupVersionKind::from_api_version(api_version, kind))
}

fn decode(bytes: &[u8]) -> Value {
    protobuf::decode(bytes, type_of).unwrap()
}

fn type_of_object(object: &Value) -> TypeRef {
    type_of(object["apiVersion"].as_str().unwrap_or_default(), object["kind"].as_str().unwrap()).unwrap()
}

/// The first difference, with what stands around it.
fn difference(found: &[u8], expected: &[u8]) -> String {
    let at = found.iter().zip(expected).position(|(a, b)| a != b).unwrap_or(found.len().min(expected.len()));
    let around = |bytes: &[u8]| {
        let end = bytes.len().min(at + 60);
        String::from_utf8_lossy(&bytes[at.saturating_sub(60).min(end)..end]).into_owned()
    };
    format!("at {at}:\n  found    {}\n  expected {}", around(found), around(expected))
}

fn assert_none(failures: &[String]) {
    assert!(
        failures.is_empty(),
        "{} failures, first:\n{}",
        failures.len(),
        failures[..failures.len().min(5)].join("\n")
    );
}

/// Runs a check over every recorded object and tells of all that fail.
fn check_all(check: impl Fn(&Recorded, &[u8]) -> Result<(), String>) {
    let mut failures = Vec::new();
    let mut count = 0;
    for (kind, variants) in gunzip::<BTreeMap<String, BTreeMap<String, Recorded>>>("objects.json.gz") {
        for (variant, recorded) in variants {
            count += 1;
            let bytes = STANDARD.decode(&recorded.protobuf).unwrap();
            if let Err(failure) = check(&recorded, &bytes) {
                failures.push(format!("{kind} {variant}: {failure}"));
            }
        }
    }
    assert!(count >= 270, "{count}");
    assert_none(&failures);
}

fn same(found: &[u8], expected: &[u8]) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(difference(found, expected)) }
}

/// Nil bytes in a map are sent without a value, which reads back as empty bytes: what was recorded of these is not told
/// by the bytes.
fn has_nil_bytes(recorded: &Recorded, ty: &TypeRef) -> bool {
    let byte_map = |value: &ValueType| matches!(value, ValueType::Map(item) if **item == ValueType::Bytes);
    recorded.json.contains(r#"{"k1":null}"#) && ty.fields.iter().any(|field| byte_map(&field.value))
}

/// JSON does not tell a pointer to a zero time from nil.
fn forget_zero_times(value: &mut Value, ty: &ValueType) {
    match (ty, value) {
        (ValueType::Message(ty), Value::Object(map)) => {
            for field in &ty.fields {
                if field.pointer && field.omit_empty && map.get(&field.name) == Some(&Value::Null) {
                    map.remove(&field.name);
                } else if let Some(value) = map.get_mut(&field.name) {
                    forget_zero_times(value, &field.value);
                }
            }
        }
        (ValueType::List(item), Value::Array(items)) => {
            for value in items {
                forget_zero_times(value, item);
            }
        }
        (ValueType::Map(item), Value::Object(map)) => {
            for value in map.values_mut() {
                forget_zero_times(value, item);
            }
        }
        _ => {}
    }
}

#[test]
fn protobuf_decodes_to_the_recorded_json() {
    check_all(|recorded, bytes| {
        let object = decode(bytes);
        let ty = type_of_object(&object);
        let expected = recorded.json.trim_end();
        let expected =
            if has_nil_bytes(recorded, &ty) { &expected.replace(r#""k1":null"#, r#""k1":"""#) } else { expected };
        same(&json::encode(&object, &ty), expected.as_bytes())
    });
}

#[test]
fn protobuf_is_encoded_to_the_same_bytes() {
    check_all(|recorded, bytes| {
        let object = decode(bytes);
        let ty = type_of_object(&object);
        if has_nil_bytes(recorded, &ty) { Ok(()) } else { same(&protobuf::encode(&object, &ty), bytes) }
    });
}

#[test]
fn json_decodes_to_what_protobuf_decodes_to() {
    check_all(|recorded, bytes| {
        let mut expected = decode(bytes);
        let ty = type_of_object(&expected);
        forget_zero_times(&mut expected, &ValueType::Message(ty.clone()));
        let text = recorded.json.as_bytes();
        let decoded = json::decode(text, &ty, FieldValidation::Strict).map_err(|error| error.to_string())?.object;
        if has_nil_bytes(recorded, &ty) { Ok(()) } else { same_json(&decoded, &expected) }
    });
}

fn same_json(found: &Value, expected: &Value) -> Result<(), String> {
    same(&json::encode_unstructured(found), &json::encode_unstructured(expected))
}

#[test]
fn what_a_running_server_sent_is_read_and_written_the_same() {
    let recorded: BTreeMap<String, Vec<Served>> = gunzip("protobuf.json.gz");
    let mut failures = Vec::new();
    let answers = recorded.into_values().flatten().filter(|answer| answer.status != 406);
    for answer in answers {
        let bytes = STANDARD.decode(&answer.protobuf).unwrap();
        let object = decode(&bytes);
        let ty = type_of_object(&object);
        let encoded = protobuf::encode(&object, &ty);
        let results = [
            same_json(&comparable(object.clone()), &comparable(answer.json)),
            // Raw JSON is kept as a value: spaces between its parts are not.
            if ty.name.ends_with(".ControllerRevision") {
                same_json(&decode(&encoded), &object)
            } else {
                same(&encoded, &bytes)
            },
        ];
        failures.extend(results.into_iter().filter_map(|result| Some(format!("{}: {}", ty.name, result.err()?))));
    }
    assert_none(&failures);
}

/// Leaves out what protobuf does not carry (kinds in the templates of a stateful set), and the revisions of lists, which
/// differ between the two requests.
fn comparable(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
        metadata.remove("continue");
    }
    let templates = object.pointer_mut("/spec/volumeClaimTemplates").and_then(Value::as_array_mut);
    for template in templates.into_iter().flatten().filter_map(Value::as_object_mut) {
        template.remove("kind");
        template.remove("apiVersion");
    }
    object
}

#[test]
fn completing_an_object_in_served_form_changes_nothing() {
    check_all(|_, bytes| {
        let object = decode(bytes);
        let mut completed = object.clone();
        schema::complete(&mut completed, &type_of_object(&object));
        if completed == object { Ok(()) } else { Err(format!("{completed}")) }
    });
}

#[test]
fn completing_restores_what_is_always_written() {
    let ty = type_of("v1", "Pod").unwrap();
    let mut pod = serde_json::json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"labels": {}}, "spec": {"hostNetwork": false}});
    schema::complete(&mut pod, &ty);
    let text = r#"{"kind":"Pod","apiVersion":"v1","metadata":{},"spec":{"containers":null},"status":{}}"#;
    assert_eq!(String::from_utf8(json::encode(&pod, &ty)).unwrap(), text);
}

/// Every recorded object without and with a resourceVersion.
fn revised(revision: i64) -> Vec<(TypeRef, Value, Value)> {
    let objects = gunzip::<BTreeMap<String, BTreeMap<String, Recorded>>>("objects.json.gz");
    let decoded = objects.into_values().flat_map(BTreeMap::into_values).map(|recorded| {
        let mut before = decode(&STANDARD.decode(&recorded.protobuf).unwrap());
        let metadata = before["metadata"].as_object_mut()?;
        metadata.remove("resourceVersion");
        let mut after = before.clone();
        after["metadata"]["resourceVersion"] = Value::from(revision.to_string());
        Some((type_of_object(&before), before, after))
    });
    decoded.flatten().filter(|(ty, ..)| has_object_meta(ty)).collect()
}

fn has_object_meta(ty: &TypeRef) -> bool {
    let metadata = ty.field("metadata").and_then(|field| field.element_type());
    metadata.is_some_and(|metadata| metadata.name.ends_with(".ObjectMeta"))
}

#[test]
fn a_spliced_revision_is_what_the_encoder_writes() {
    for revision in [1, 9, 10, 127, 128, 99_999, 123_456_789_012, i64::MAX] {
        let objects = revised(revision);
        assert!(objects.len() > 200);
        for (ty, before, after) in objects {
            let spliced = revision::splice(&protobuf::encode(&before, &ty), revision).unwrap();
            assert_eq!(same(&spliced, &protobuf::encode(&after, &ty)), Ok(()), "{}", ty.name);
            let again = revision::splice(&spliced, revision).unwrap();
            assert_eq!(same(&again, &spliced), Ok(()), "{}", ty.name);
            let text = revision::splice_json(&json::encode(&before, &ty), revision, KeyOrder::Schema);
            assert_eq!(same(&text, &json::encode(&after, &ty)), Ok(()), "{}", ty.name);
            let text = revision::splice_json(&json::encode_unstructured(&before), revision, KeyOrder::Sorted);
            assert_eq!(same(&text, &json::encode_unstructured(&after)), Ok(()), "{}", ty.name);
        }
    }
}

#[test]
fn one_field_is_read_without_the_others() {
    for (ty, object, _) in revised(1) {
        let message = protobuf::encode_message(&object, &ty);
        for path in
            [&["metadata"][..], &["metadata", "name"], &["metadata", "labels"], &["spec", "nodeName"], &["status"]]
        {
            let pointer: String = path.iter().flat_map(|name| ["/", name]).collect();
            let expected = object.pointer(&pointer).cloned().unwrap_or_default();
            let found = protobuf::peek(&message, &ty, path).unwrap();
            let unset = found.is_null() || found == "";
            assert!(found == expected || unset && expected.is_null(), "{} {pointer}: {found} {expected}", ty.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Bytes from anywhere are refused or read, never worse.
    #[test]
    fn malformed_bytes_are_refused(flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..20), cut in any::<usize>()) {
        let objects = sample();
        for (ty, bytes) in &objects {
            let mut broken = bytes.clone();
            for (at, byte) in &flips {
                let at = at % broken.len();
                broken[at] = *byte;
            }
            broken.truncate(cut % (bytes.len() * 2));
            let decoded = protobuf::decode_message(&broken, ty);
            if let Ok(object) = decoded {
                protobuf::encode_message(&object, ty);
            }
            let _ = revision::splice_message(&broken, 7);
            let _ = protobuf::decode(&broken, type_of);
            let _ = json::decode(&broken, ty, FieldValidation::Strict);
            let _ = json::type_meta(&broken);
            revision::splice_json(&broken, 7, KeyOrder::Schema);
        }
    }

    /// A text that is broken in places is refused or read, never worse.
    #[test]
    fn malformed_texts_are_refused(flips in proptest::collection::vec((any::<usize>(), "[{}\\[\\]\",:0-9a-z\\\\ ]"), 1..6)) {
        for (ty, bytes) in &sample() {
            let mut text = json::encode(&protobuf::decode_message(bytes, ty).unwrap(), ty);
            for (at, byte) in &flips {
                let at = at % text.len();
                text[at] = byte.as_bytes()[0];
            }
            if let Ok(decoded) = json::decode(&text, ty, FieldValidation::Warn) {
                let again = json::encode(&decoded.object, ty);
                prop_assert_eq!(json::decode(&again, ty, FieldValidation::Strict).unwrap().object, decoded.object);
            }
            revision::splice_json(&text, 7, KeyOrder::Sorted);
        }
    }
}

/// Objects with all kinds of fields.
fn sample() -> Vec<(TypeRef, Vec<u8>)> {
    static SAMPLE: LazyLock<Vec<(TypeRef, Vec<u8>)>> = LazyLock::new(|| {
        let objects = gunzip::<BTreeMap<String, BTreeMap<String, Recorded>>>("objects.json.gz");
        let kinds = [
            "v1/Service",
            "autoscaling/v2/HorizontalPodAutoscaler",
            "apiextensions.k8s.io/v1/CustomResourceDefinition",
        ];
        let read = |kind: &&str| {
            let object = decode(&STANDARD.decode(&objects[*kind]["skeleton"].protobuf).unwrap());
            let ty = type_of_object(&object);
            let message = protobuf::encode_message(&object, &ty);
            (ty, message)
        };
        kinds.iter().map(read).collect()
    });
    SAMPLE.clone()
}

#[test]
fn deeply_nested_messages_are_refused() {
    let ty = builtin::registry()
        .type_named("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
        .unwrap();
    // A schema in a schema, in a "schema or array", and in a map of schemas.
    let tag = |name: &str| usize::try_from(ty.field(name).unwrap().tag).unwrap();
    for path in [vec![tag("not")], vec![1, tag("items")], vec![2, tag("properties")]] {
        let nested = |depth: usize| {
            let members = std::iter::repeat_n(&path, depth).flatten();
            members.fold(Vec::new(), |inner: Vec<u8>, number| {
                let mut outer = Vec::new();
                put_varint(&mut outer, number << 3 | 2);
                put_varint(&mut outer, inner.len());
                outer.extend(inner);
                outer
            })
        };
        let deep = protobuf::decode_message(&nested(120), &ty).unwrap();
        assert_eq!(protobuf::decode_message(&protobuf::encode_message(&deep, &ty), &ty), Ok(deep));
        assert_eq!(protobuf::decode_message(&nested(2_000), &ty), Err(protobuf::DecodeError::Depth));
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
}
