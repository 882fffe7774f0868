//! What kube-apiserver said of bodies that it could not decode, word for word; and that it could decode the others.

use std::collections::BTreeMap;

use pintle_apiserver::codec::json::{self, DecodeError, FieldValidation};
use pintle_apiserver::schema::{GroupVersionKind, TypeRef, builtin};
use serde::Deserialize;
use serde_json::Value;

use super::mutations::apply;
use super::testdata::gunzip;

#[derive(Deserialize)]
struct Recording {
    bases: BTreeMap<String, Base>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Base {
    body: Value,
}

#[derive(Deserialize)]
struct Case {
    base: String,
    set: Vec<Vec<Value>>,
    want: Want,
}

#[derive(Deserialize)]
struct Want {
    code: u16,
    body: Value,
    #[serde(default)]
    warning: String,
}

fn type_of(object: &Value) -> Option<TypeRef> {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    builtin::registry().kind(&GroupVersionKind::from_api_version(text("apiVersion")?, text("kind")?))
}

/// Recorded texts have times left out.
fn without_times(text: &str) -> String {
    let shape = b"0000-00-00T00:00:00";
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let bytes = rest.as_bytes();
        let fits = bytes.len() > shape.len()
            && shape
                .iter()
                .zip(bytes)
                .all(|(shape, byte)| if *shape == b'0' { byte.is_ascii_digit() } else { shape == byte });
        let zone = rest.find('Z').filter(|_| fits);
        let taken = if let Some(zone) = zone {
            out.push_str("<time>");
            zone + 1
        } else {
            let c = rest.chars().next().unwrap();
            out.push(c);
            c.len_utf8()
        };
        rest = &rest[taken..];
    }
    out
}

/// Decodes one body and compares what is said of it.
fn play(base: &Base, case: &Case) -> Option<Result<(), String>> {
    let mut body = base.body.clone();
    for change in &case.set {
        apply(&mut body, change)?;
    }
    let ty = type_of(&body)?;
    let message = case.want.body.get("message").and_then(Value::as_str).unwrap_or_default();
    let wanted =
        message.split_once(" cannot be handled as a ").and_then(|split| split.1.split_once(": ")).map(|split| split.1);
    let decoded = json::decode(&json::encode_unstructured(&body), &ty, FieldValidation::Warn);
    Some(match (decoded, wanted) {
        (Err(error), Some(wanted)) if without_times(&error.to_string()) == wanted => Ok(()),
        (Ok(decoded), None) if decoded.warnings.iter().all(|warning| told(&case.want.warning, warning)) => Ok(()),
        (Ok(decoded), _) => Err(format!("{:?}: decoded {:?}, not {wanted:?}", case.set, decoded.warnings)),
        (Err(error), _) => Err(format!("{:?}: {error}\n   not {wanted:?}", case.set)),
    })
}

/// The header has its texts in quotes.
fn told(header: &str, warning: &str) -> bool {
    header.contains(&warning.replace('"', "\\\""))
}

#[test]
fn what_cannot_be_decoded_is_told_in_the_recorded_words() {
    let mut failures = Vec::new();
    let (mut played, mut refused) = (0, 0);
    for file in ["mutations.json.gz", "tables.json.gz"] {
        let recording: Recording = gunzip(file);
        // What the client cannot be answered in is not decoded.
        for case in recording.cases.iter().filter(|case| case.want.code != 406) {
            let Some(result) = recording.bases.get(&case.base).and_then(|base| play(base, case)) else { continue };
            played += 1;
            refused += usize::from(case.want.body.to_string().contains("cannot be handled"));
            failures.extend(result.err().map(|failure| format!("{}: {failure}", case.base)));
        }
    }
    assert!(played > 11_000 && refused > 250, "{played} played, {refused} refused");
    assert!(
        failures.is_empty(),
        "{} of {played} failed:\n{}",
        failures.len(),
        failures[..failures.len().min(40)].join("\n")
    );
}

fn decode(kind: &str, text: &str, validation: FieldValidation) -> Result<json::Decoded, DecodeError> {
    json::decode(
        text.as_bytes(),
        &builtin::registry().kind(&GroupVersionKind::new("", "v1", kind)).unwrap(),
        validation,
    )
}

#[test]
fn unknown_and_duplicate_fields() {
    let text = r#"{"kind":"Pod","bogus":1,"metadata":{"labels":{"a":"1","a":"2"},"Name":"x"},
        "spec":{"containers":[{"name":"a"},{"name":"b","name":"c","ports":[{"x":1}]}],"containers":[{"image":"i"}]}}"#;
    let faults = [
        r#"unknown field "bogus""#,
        r#"duplicate field "metadata.labels.a""#,
        r#"unknown field "metadata.Name""#,
        r#"duplicate field "spec.containers[1].name""#,
        r#"unknown field "spec.containers[1].ports[0].x""#,
        r#"duplicate field "spec.containers""#,
    ];
    let decoded = decode("Pod", text, FieldValidation::Warn).unwrap();
    assert_eq!(decoded.warnings, faults);
    assert_eq!(decoded.object.pointer("/metadata/labels/a"), Some(&Value::from("2")));
    assert_eq!(decoded.object.pointer("/spec/containers/0/name"), Some(&Value::from("a")));
    let error = decode("Pod", text, FieldValidation::Strict).unwrap_err();
    assert_eq!(error.to_string(), format!("strict decoding error: {}", faults.join(", ")));
    assert_eq!(decode("Pod", text, FieldValidation::Ignore).unwrap().warnings, [""; 0]);
}

#[test]
fn the_kind_is_read_before_the_type_is_known() {
    let table = [
        (r#"{"KIND":"Pod","apiVersion":"v1","x":{"kind":"y"}}"#, Ok(("v1", "Pod"))),
        ("null", Ok(("", ""))),
        (r#"{"kind":null}"#, Ok(("", ""))),
        (r#"{"kind":1}"#, Err("json: cannot unmarshal number into Go struct field .kind of type string")),
        ("{", Err("unexpected end of JSON input")),
        (
            "[]",
            Err("json: cannot unmarshal array into Go value of type struct { APIVersion string \
                \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }"),
        ),
    ];
    for (text, expected) in table {
        let found = json::type_meta(text.as_bytes()).map_err(|error| error.to_string());
        let expected = expected
            .map(|(api_version, kind)| json::TypeMeta { api_version: api_version.to_owned(), kind: kind.to_owned() })
            .map_err(|error| format!("couldn't get version/kind; json parse error: {error}"));
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn null_is_nil_or_nothing() {
    let text = r#"{"metadata":null,"data":null,"binaryData":{"a":null},"immutable":null}"#;
    let decoded = decode("ConfigMap", text, FieldValidation::Strict).unwrap();
    assert_eq!(decoded.object, serde_json::json!({"metadata": {}, "binaryData": {"a": null}}));
}
