//! The options of a request: its query, or for deletions its body, read and validated as apimachinery does.

use std::sync::Arc;

use serde_json::Value;

use super::Request;
use super::decode;
use crate::codec::json::FieldValidation;
use crate::error::{Cause, Qualified, Status};
use crate::http::query::Query;
use crate::object::selector::{FieldSelector, LabelSelector};
use crate::storage::{Attributes, ListOptions, ResourceVersionMatch, Scope, Select};
use crate::validation::field::{self, Path};
use crate::validation::meta as meta_rules;

/// The options of create, update and patch.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// Nothing is stored (`dryRun=All`).
    pub dry_run: bool,
    /// Who owns what the request sets; may be empty.
    pub field_manager: String,
    /// How unknown fields are treated.
    pub field_validation: FieldValidation,
    /// Whether an apply takes fields from other managers.
    pub force: Option<bool>,
}

impl WriteOptions {
    /// Reads the query; `kind` names the options in errors: `CreateOptions`, `UpdateOptions`.
    pub fn parse(query: &Query, kind: &str) -> Result<Self, Status> {
        let (options, errors) = Self::read(query);
        judged(kind, &errors)?;
        Ok(options)
    }

    /// Reads the query of a patch. An apply needs a field manager; `force` is an apply's alone.
    pub fn parse_patch(query: &Query, is_apply: bool) -> Result<Self, Status> {
        let (options, rest) = Self::read(query);
        let mut errors = field::Errors::new();
        if is_apply && options.field_manager.is_empty() {
            errors.push(field::Error::required(&Path::new("fieldManager"), "is required for apply patch"));
        }
        if !is_apply && options.force.is_some() {
            errors.push(field::Error::forbidden(&Path::new("force"), "may not be specified for non-apply patch"));
        }
        errors.extend(rest);
        judged("PatchOptions", &errors)?;
        Ok(options)
    }

    fn read(query: &Query) -> (Self, field::Errors) {
        let mut errors = field::Errors::new();
        let field_manager = query.get("fieldManager").unwrap_or_default().to_owned();
        meta_rules::field_manager(&field_manager, &Path::new("fieldManager"), &mut errors);
        let dry_run = dry_run(query.all("dryRun"), &mut errors);
        let field_validation = match query.get("fieldValidation").unwrap_or_default() {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                let supported = ["", "Ignore", "Strict", "Warn"];
                errors.push(field::Error::not_supported(&Path::new("fieldValidation"), other, &supported));
                FieldValidation::Warn
            }
        };
        let force = query.get("force").map(|_| query.flag("force"));
        (Self { dry_run, field_manager, field_validation, force }, errors)
    }
}

fn dry_run<'a>(values: impl Iterator<Item = &'a str>, errors: &mut field::Errors) -> bool {
    let values: Vec<&str> = values.collect();
    if values.iter().any(|v| *v != "All") {
        let value = Value::from(values.iter().map(|v| Value::from(*v)).collect::<Vec<_>>());
        errors.push(field::Error::not_supported(&Path::new("dryRun"), value, &["All"]));
    }
    !values.is_empty()
}

/// Turns field errors of options into a refusal.
fn judged(kind: &str, errors: &[field::Error]) -> Result<(), Status> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(Qualified { group: "meta.k8s.io", name: kind }, "", causes(errors)))
}

/// Field errors as the causes of a status.
pub fn causes(errors: &[field::Error]) -> Vec<Cause> {
    let cause =
        |e: &field::Error| Cause { reason: e.kind.reason().to_owned(), message: e.body(), field: e.field.clone() };
    errors.iter().map(cause).collect()
}

/// What a delete does with dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted first; the object waits.
    Foreground,
    /// They are deleted afterwards.
    Background,
    /// They stay.
    Orphan,
}

/// The options of a deletion.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// How long the object may take to end, in seconds.
    pub grace_period_seconds: Option<i64>,
    /// The uid that the object must have.
    pub uid: Option<String>,
    /// The resourceVersion that the object must have.
    pub resource_version: Option<String>,
    /// What becomes of dependents.
    pub propagation: Option<Propagation>,
    /// The old boolean for the same.
    pub orphan_dependents: Option<bool>,
    /// Nothing is deleted.
    pub dry_run: bool,
}

impl DeleteOptions {
    /// Reads the body, or the query where there is none.
    pub fn parse(request: &Request<'_>) -> Result<Self, Status> {
        let object =
            if request.body.is_empty() { from_query(request.query)? } else { decode::delete_options(request)? };
        Self::from_object(&object)
    }

    /// Reads decoded options; null has none.
    pub fn from_object(object: &Value) -> Result<Self, Status> {
        let mut errors = field::Errors::new();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let orphan_dependents = object["orphanDependents"].as_bool();
        let path = Path::new("propagationPolicy");
        let policy = &object["propagationPolicy"];
        if orphan_dependents.is_some() && policy.is_string() {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(field::Error::invalid(&path, policy.clone(), why));
        }
        let propagation = match policy.as_str() {
            None => None,
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Background") => Some(Propagation::Background),
            Some("Orphan") => Some(Propagation::Orphan),
            Some(other) => {
                let supported = ["Foreground", "Background", "Orphan", "nil"];
                errors.push(field::Error::not_supported(&path, other, &supported));
                None
            }
        };
        let values = object["dryRun"].as_array().map(Vec::as_slice).unwrap_or_default();
        let dry_run = dry_run(values.iter().filter_map(Value::as_str), &mut errors);
        judged("DeleteOptions", &errors)?;
        Ok(Self {
            grace_period_seconds: object["gracePeriodSeconds"].as_i64(),
            uid: text(&object["preconditions"]["uid"]),
            resource_version: text(&object["preconditions"]["resourceVersion"]),
            propagation,
            orphan_dependents,
            dry_run,
        })
    }
}

fn from_query(query: &Query) -> Result<Value, Status> {
    let mut object = serde_json::Map::new();
    if let Some(grace) = integer(query, "gracePeriodSeconds")? {
        object.insert("gracePeriodSeconds".to_owned(), grace.into());
    }
    if query.get("orphanDependents").is_some() {
        object.insert("orphanDependents".to_owned(), query.flag("orphanDependents").into());
    }
    if let Some(policy) = query.get("propagationPolicy") {
        object.insert("propagationPolicy".to_owned(), policy.into());
    }
    let dry_run: Vec<Value> = query.all("dryRun").map(Value::from).collect();
    object.insert("dryRun".to_owned(), dry_run.into());
    Ok(Value::Object(object))
}

/// An integer parameter; the text of a refusal is Go's.
pub fn integer(query: &Query, name: &str) -> Result<Option<i64>, Status> {
    let Some(text) = query.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")));
    }
    let value = text.parse().map_err(|_| format!("strconv.ParseInt: parsing {text:?}: value out of range"));
    value.map(Some).map_err(Status::bad_request)
}

/// Reads the options of a list, or of a watch.
pub fn list_options(request: &Request<'_>) -> Result<ListOptions, Status> {
    let query = request.query;
    let text = |name: &str| query.get(name).unwrap_or_default().to_owned();
    let is_watch = request.info.verb == "watch";
    let labels = LabelSelector::parse(query.get("labelSelector").unwrap_or_default()).map_err(Status::bad_request)?;
    let fields = FieldSelector::parse(query.get("fieldSelector").unwrap_or_default()).map_err(Status::bad_request)?;
    let limit = integer(query, "limit")?.unwrap_or_default();
    judged("ListOptions", &judge_list(query, is_watch))?;
    for requirement in fields.requirements() {
        if let Some(refusal) = request.spec.selectable_fields.refuse(&requirement.field) {
            return Err(Status::bad_request(refusal));
        }
    }
    let resource_version_match = match query.get("resourceVersionMatch").unwrap_or_default() {
        "Exact" => ResourceVersionMatch::Exact,
        "NotOlderThan" => ResourceVersionMatch::NotOlderThan,
        _ => ResourceVersionMatch::Unset,
    };
    let namespace = Some(request.namespace().to_owned()).filter(|n| !n.is_empty());
    Ok(ListOptions {
        scope: Scope { namespace, name: selected_name(request, &fields)? },
        selector: Arc::new(Selection { labels, fields }),
        resource_version: text("resourceVersion"),
        resource_version_match,
        limit: limit.max(0),
        continue_token: text("continue"),
    })
}

/// The one name that the URL or the field selector asks for.
fn selected_name(request: &Request<'_>, fields: &FieldSelector) -> Result<Option<String>, Status> {
    let in_url = request.info.parts.get(1).map(String::as_str);
    let selected = fields.required_value("metadata.name");
    match (in_url, selected) {
        (Some(name), selected) if !fields.is_everything() && selected != Some(name) => {
            Err(Status::bad_request("fieldSelector metadata.name doesn't match requested name"))
        }
        (Some(name), _) | (None, Some(name)) => Ok(Some(name.to_owned())),
        (None, None) => Ok(None),
    }
}

/// `k8s.io/apimachinery/pkg/apis/meta/internalversion/validation.ValidateListOptions`.
fn judge_list(query: &Query, is_watch: bool) -> field::Errors {
    let mut errors = field::Errors::new();
    let path = Path::new("resourceVersionMatch");
    let wanted = query.get("resourceVersionMatch").unwrap_or_default();
    let version = query.get("resourceVersion").unwrap_or_default();
    let continues = query.get("continue").is_some_and(|c| !c.is_empty());
    let initial_events = query.get("sendInitialEvents").is_some();
    let mut forbid = |path: &Path, why: &str| errors.push(field::Error::forbidden(path, why));
    if is_watch {
        if initial_events && wanted != "NotOlderThan" {
            forbid(&path, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
        }
        if !wanted.is_empty() {
            if !initial_events {
                forbid(&path, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
            }
            if wanted != "NotOlderThan" {
                errors.push(field::Error::not_supported(&path, wanted, &["NotOlderThan"]));
            }
            if continues {
                errors.push(field::Error::forbidden(
                    &path,
                    "resourceVersionMatch is forbidden when continue is provided",
                ));
            }
        }
        return errors;
    }
    if !wanted.is_empty() {
        if version.is_empty() {
            forbid(&path, "resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if continues {
            forbid(&path, "resourceVersionMatch is forbidden when continue is provided");
        }
        if wanted != "Exact" && wanted != "NotOlderThan" {
            errors.push(field::Error::not_supported(&path, wanted, &["Exact", "NotOlderThan", ""]));
        }
        if wanted == "Exact" && version == "0" {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.push(field::Error::forbidden(&path, why));
        }
    }
    if initial_events {
        let path = Path::new("sendInitialEvents");
        errors.push(field::Error::forbidden(&path, "sendInitialEvents is forbidden for list"));
    }
    errors
}

/// Label and field selectors together.
#[derive(Debug)]
struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Select for Selection {
    fn matches(&self, attributes: &Attributes) -> bool {
        self.labels.matches(attributes) && self.fields.matches(|label| attributes.field(label).unwrap_or_default())
    }

    fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    fn exact_field(&self, field: &str) -> Option<&str> {
        self.fields.required_value(field)
    }
}

impl crate::object::selector::Labels for Attributes {
    fn label(&self, key: &str) -> Option<&str> {
        Self::label(self, key)
    }
}
