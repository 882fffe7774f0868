//! The body of a request as an object: decoded, checked to be of the right kind, defaulted.

use serde_json::Value;

use super::Request;
use crate::codec::json::{self, FieldValidation, TypeMeta};
use crate::codec::negotiate::Encoding;
use crate::codec::{protobuf, yaml};
use crate::error::Status;
use crate::schema::{GroupVersionKind, TypeRef};
use crate::validation;

/// Decodes the body as an object of kind `gvk`.
pub fn body(
    request: &Request<'_>,
    gvk: &GroupVersionKind,
    ty: &TypeRef,
    field_validation: FieldValidation,
) -> Result<Value, Status> {
    let encoding = Encoding::of_body(request.content_type)?;
    decode(encoding, &request.body, request, gvk, ty, field_validation)
}

/// Decodes `bytes` as an object of kind `gvk`. What the object leaves out of its kind is taken from `gvk`.
pub fn decode(
    encoding: Encoding,
    bytes: &[u8],
    request: &Request<'_>,
    gvk: &GroupVersionKind,
    ty: &TypeRef,
    field_validation: FieldValidation,
) -> Result<Value, Status> {
    let said = type_meta(encoding, bytes, gvk)?;
    let actual = actual_kind(&said, gvk);
    let refuse = |why: &dyn std::fmt::Display| {
        Status::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: {why}",
            actual.kind, actual.version, gvk.kind
        ))
    };
    if actual.group != gvk.group || actual.version != gvk.version {
        let known = request.api.registry.kind(&actual).is_some();
        if known && actual.kind == gvk.kind {
            return Err(Status::bad_request(format!(
                "the API version in the data ({}) does not match the expected API version ({})",
                actual.api_version(),
                gvk.api_version()
            )));
        }
    }
    if actual != *gvk {
        if request.api.registry.kind(&actual).is_none() {
            const SCHEME: &str = "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30";
            return Err(refuse(&format_args!(
                "no kind {:?} is registered for version {:?} in scheme {SCHEME:?}",
                actual.kind,
                actual.api_version()
            )));
        }
        return Err(Status::bad_request(format!(
            "the API version in the data ({}) does not match the expected API version ({})",
            actual.api_version(),
            gvk.api_version()
        )));
    }
    let (mut object, warnings) = match encoding {
        Encoding::Protobuf => (protobuf::decode(bytes, |_, _| Some(ty.clone())).map_err(|e| refuse(&e))?, Vec::new()),
        Encoding::Json => json::decode(bytes, ty, field_validation).map(into_parts).map_err(|e| refuse(&e))?,
        Encoding::Yaml => yaml::decode(bytes, ty, field_validation).map(into_parts).map_err(|e| refuse(&e))?,
    };
    if let Some(fields) = object.as_object_mut() {
        fields.insert("apiVersion".to_owned(), gvk.api_version().into());
        fields.insert("kind".to_owned(), gvk.kind.as_str().into());
    }
    validation::default(gvk, &mut object, request.now);
    request.warnings.extend(warnings);
    Ok(object)
}

fn into_parts(decoded: json::Decoded) -> (Value, Vec<String>) {
    (decoded.object, decoded.warnings)
}

/// The kind that the body names, or why it cannot be told.
fn type_meta(encoding: Encoding, bytes: &[u8], gvk: &GroupVersionKind) -> Result<TypeMeta, Status> {
    let read = match encoding {
        Encoding::Json => json::type_meta(bytes).map_err(|e| e.to_string()),
        Encoding::Yaml => yaml::type_meta(bytes).map_err(|e| e.to_string()),
        Encoding::Protobuf => pintle_proto::k8s::decode(bytes)
            .map_err(|e| e.to_string())
            .map(|envelope| TypeMeta { api_version: envelope.api_version.to_owned(), kind: envelope.kind.to_owned() }),
    };
    read.map_err(|why| {
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): {why} ({})",
            gvk.kind,
            summary(bytes)
        ))
    })
}

fn actual_kind(said: &TypeMeta, default: &GroupVersionKind) -> GroupVersionKind {
    let kind = if said.kind.is_empty() { &default.kind } else { &said.kind };
    match said.api_version.as_str() {
        "" => GroupVersionKind { kind: kind.clone(), ..default.clone() },
        api_version => GroupVersionKind::from_api_version(api_version, kind.as_str()),
    }
}

/// The beginning of a body, for an error text.
fn summary(bytes: &[u8]) -> String {
    const SHOWN: usize = 30;
    let head = bytes.get(..SHOWN).unwrap_or(bytes);
    let more = if bytes.len() > SHOWN { " ..." } else { "" };
    match bytes.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(head)),
        Some(_) => head.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")) + more,
    }
}

/// Decodes the body of a deletion. Any group's `DeleteOptions` are as good as `v1`'s.
pub fn delete_options(request: &Request<'_>) -> Result<Value, Status> {
    let gvk = GroupVersionKind::new("", "v1", "DeleteOptions");
    let Some(ty) = request.api.registry.kind(&gvk) else { return Err(Status::internal("no type for DeleteOptions")) };
    let encoding = Encoding::of_body(request.content_type)?;
    let said = type_meta(encoding, &request.body, &gvk)?;
    if !said.kind.is_empty() && said.kind != gvk.kind {
        return Err(Status::bad_request("decoded object cannot be converted to DeleteOptions"));
    }
    let ignore = FieldValidation::Ignore;
    let decoded = match encoding {
        Encoding::Protobuf => protobuf::decode(&request.body, |_, _| Some(ty)).map_err(|e| e.to_string()),
        Encoding::Json => json::decode(&request.body, &ty, ignore).map(|d| d.object).map_err(|e| e.to_string()),
        Encoding::Yaml => yaml::decode(&request.body, &ty, ignore).map(|d| d.object).map_err(|e| e.to_string()),
    };
    decoded.map_err(Status::bad_request)
}
