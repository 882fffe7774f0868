//! PATCH: an object changed by a description of the change.

use serde_json::Value;

use super::endpoint::Endpoint;
use super::options::WriteOptions;
use super::update::require_name;
use super::write::{self, Change};
use super::{Reply, Request, create};
use crate::codec::json::{self, FieldValidation};
use crate::codec::yaml;
use crate::error::{Cause, Qualified, Status};
use crate::object::patch::{apply, json as json_patch, merge, strategic};
use crate::object::{go_text, meta};
use crate::validation;

/// How a patch describes the change.
enum Patch {
    /// RFC 6902.
    Json(json_patch::Patch),
    /// RFC 7386.
    Merge(Value),
    /// Kubernetes' own merge, by the keys of lists.
    Strategic(Value),
    /// Server-side apply: what one manager wants.
    Apply(Value),
}

/// Applies the patch in the body to the object, or to its subresource.
pub async fn run(request: &Request<'_>) -> Result<Reply, Status> {
    let media_type = request.content_type.split(';').next().unwrap_or_default().trim();
    let is_apply = media_type == "application/apply-patch+yaml";
    let known =
        ["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];
    if !is_apply && !known.contains(&media_type) {
        return Err(Status::http(415, "UnsupportedMediaType", "415: Unsupported Media Type"));
    }
    let endpoint = Endpoint::of(request)?;
    let options = WriteOptions::parse_patch(request.query, is_apply)?;
    let (patch, faults) = read(media_type, &request.body, &options)?;
    let manager = request.manager(&options.field_manager);
    let how = Change { options: &options, uid: None, creates: is_apply };
    let written = write::change(request, &how, |live| {
        let mut wanted = match &patch {
            Patch::Apply(config) => make_applied(request, &endpoint, config, live, &options, &manager)?,
            patch => make_patched(request, &endpoint, patch, live, &faults, &options)?,
        };
        create::require_namespace(request, &mut wanted)?;
        require_name(request, &wanted)?;
        let manager = Some(manager.as_str()).filter(|_| !is_apply);
        endpoint.absorb(live, wanted, manager)
    });
    let written = written.await?;
    let code = if written.created { 201 } else { 200 };
    Reply::object(request, code, &endpoint.show(&written.object))
}

/// The patch, and the faults of its text that do not prevent reading it.
fn read(media_type: &str, body: &[u8], options: &WriteOptions) -> Result<(Patch, Vec<String>), Status> {
    if media_type == "application/apply-patch+yaml" {
        let config = yaml::to_value(body).map_err(|e| Status::bad_request(format!("error decoding YAML: {e}")))?;
        return Ok((Patch::Apply(config), Vec::new()));
    }
    let strict = options.field_validation != FieldValidation::Ignore;
    let parsed = json::decode_any(body, FieldValidation::Warn);
    let json::Decoded { object: value, warnings: mut faults } = parsed.map_err(|e| match media_type {
        _ if !strict => Status::bad_request(e.to_string()),
        "application/strategic-merge-patch+json" => Status::bad_request(e.to_string()),
        _ => Status::bad_request(format!("error decoding patch: {e}")),
    })?;
    let patch = match media_type {
        "application/json-patch+json" => {
            let patch = json_patch::Patch::decode(&value)?;
            faults.extend(patch.unknown_fields().iter().cloned());
            faults = faults.into_iter().map(|fault| format!("json patch {fault}")).collect();
            Patch::Json(patch)
        }
        "application/merge-patch+json" => Patch::Merge(value),
        _ => Patch::Strategic(value),
    };
    Ok((patch, if strict { faults } else { Vec::new() }))
}

/// The object that a patch makes of the one that is there.
fn make_patched(
    request: &Request<'_>,
    endpoint: &Endpoint<'_>,
    patch: &Patch,
    live: Option<&Value>,
    faults: &[String],
    options: &WriteOptions,
) -> Result<Value, Status> {
    let live = live.ok_or_else(|| Status::not_found(request.qualified(), &request.info.name))?;
    let live = &*endpoint.live(live);
    let patched = match patch {
        Patch::Json(patch) => patch.apply(live),
        Patch::Merge(patch) => merge::apply(live, patch),
        Patch::Strategic(patch) | Patch::Apply(patch) => strategic::apply(live, patch, &endpoint.ty),
    };
    let patched = patched?;
    let shown = || match patch {
        Patch::Strategic(patch) => Value::from(go_text::value(patch)),
        _ => Value::from(patched.to_string()),
    };
    let text = json::encode_unstructured(&patched);
    let decoded = json::decode(&text, &endpoint.ty, FieldValidation::Warn);
    let decoded = decoded.map_err(|e| invalid_patch(&shown(), &e.to_string()))?;
    let mut warnings = faults.to_vec();
    warnings.extend(decoded.warnings);
    match options.field_validation {
        FieldValidation::Strict if !warnings.is_empty() => {
            return Err(invalid_patch(&shown(), &format!("strict decoding error: {}", warnings.join(", "))));
        }
        FieldValidation::Ignore => warnings.clear(),
        FieldValidation::Strict | FieldValidation::Warn => {}
    }
    let mut object = decoded.object;
    validation::default(&endpoint.gvk, &mut object, request.now);
    request.warnings.extend(warnings);
    Ok(object)
}

/// The object that a manager's configuration makes of the one that is there, or of nothing.
fn make_applied(
    request: &Request<'_>,
    endpoint: &Endpoint<'_>,
    config: &Value,
    live: Option<&Value>,
    options: &WriteOptions,
    manager: &str,
) -> Result<Value, Status> {
    let shown = live.map(|live| endpoint.live(live));
    let force = options.force.unwrap_or_default();
    let applied = endpoint.with_context(manager, |context| apply::apply(shown.as_deref(), config, context, force))?;
    let text = json::encode_unstructured(&applied);
    let decoded = json::decode(&text, &endpoint.ty, FieldValidation::Ignore);
    let decoded = decoded.map_err(|e| Status::plain(e.to_string()))?;
    let mut object = decoded.object;
    validation::default(&endpoint.gvk, &mut object, request.now);
    if live.is_none() && !meta::uid(&object).is_empty() {
        let why = format!(
            "uid mismatch: the provided object specified uid {}, and no existing object was found",
            meta::uid(&object)
        );
        return Err(Status::conflict(request.qualified(), &request.info.name, &why));
    }
    Ok(object)
}

fn invalid_patch(value: &Value, why: &str) -> Status {
    let path = validation::field::Path::new("patch");
    let error = validation::field::Error::invalid(&path, value.clone(), why);
    let cause = Cause { reason: error.kind.reason().to_owned(), message: error.body(), field: "patch".to_owned() };
    Status::invalid(Qualified { group: "", name: "" }, "", vec![cause])
}
