//! Server-side apply: merging what one manager wants of an object into it, with an owner for every field.
//!
//! Upstream: `apimachinery/pkg/util/managedfields` and structured-merge-diff's `merge` package.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::error::Status;
use crate::go_syntax::go_json;
use crate::object::fields::{self, Duplicates, FieldSet, display_path};
use crate::object::managed_fields::{
    Changes, Conflict, Context, Entry, ManagerId, Managers, Operation, label, never_managed, update_managers,
};
use crate::object::meta;
use crate::schema::registry::GroupVersionKind;

/// The annotation in which client-side apply remembers what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The manager whose applied objects may take over what client-side apply set.
const KUBECTL: &str = "kubectl";
/// The manager of whatever an object held before anyone managed it.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// What the annotations of an object may add up to, keys included.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// Why a configuration cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplyError {
    /// 400 `BadRequest` with this message.
    BadRequest(String),
    /// 409 `Conflict`: others own fields that would change.
    Conflicts {
        /// The message of the status.
        message: String,
        /// A cause `FieldManagerConflict` for each field.
        causes: Vec<ConflictCause>,
    },
    /// 500 without a reason, with this message.
    Unknown(String),
}

/// One field that someone else owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictCause {
    /// The field's path, such as `.spec.replicas`.
    pub field: String,
    /// Who owns it: `conflict with "m1"`.
    pub message: String,
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest(message) | Self::Conflicts { message, .. } | Self::Unknown(message) => {
                f.write_str(message)
            }
        }
    }
}

impl std::error::Error for ApplyError {}

impl From<ApplyError> for Status {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::BadRequest(message) => Self::bad_request(message),
            ApplyError::Conflicts { message, causes } => {
                let status = Self::http(409, "Conflict", message);
                causes
                    .iter()
                    .fold(status, |status, cause| status.cause("FieldManagerConflict", &cause.message, &cause.field))
            }
            ApplyError::Unknown(message) => Self::plain(message),
        }
    }
}

/// What applying within one attempt may fail with; conflicts are still open to negotiation.
enum Failure {
    Conflicts(Vec<Conflict>),
    Other(ApplyError),
}

fn unknown(message: String) -> Failure {
    Failure::Other(ApplyError::Unknown(message))
}

/// Applies a configuration to an object, or makes the object from it where `live` is none.
///
/// `force` takes fields from other managers. The result has its managed fields; it is yet to be decoded and defaulted.
pub fn apply(live: Option<&Value>, applied: &Value, context: &Context<'_>, force: bool) -> Result<Value, ApplyError> {
    let live = live.map_or_else(|| Cow::Owned(context.empty_object()), Cow::Borrowed);
    let live = live.as_ref();
    let managers = Managers::read(live)
        .map_err(|error| ApplyError::Unknown(format!("failed to decode managed fields: {error}")))?;
    check_kind(applied, context)?;
    let outcome = match attempt(live, applied, managers.clone(), context, force) {
        Err(Failure::Conflicts(conflicts)) if context.manager == KUBECTL => {
            match allowed_by_last_applied(live, context) {
                Some(allowed) if conflicts.iter().all(|conflict| allowed.contains(&conflict.path)) => {
                    attempt(live, applied, managers, context, true)
                }
                Some(allowed) => Err(Failure::Conflicts(
                    conflicts.into_iter().filter(|conflict| !allowed.contains(&conflict.path)).collect(),
                )),
                None => Err(Failure::Conflicts(conflicts)),
            }
        }
        outcome => outcome,
    };
    let (mut object, managers) = outcome.map_err(|failure| match failure {
        Failure::Conflicts(conflicts) => describe(&conflicts),
        Failure::Other(error) => error,
    })?;
    if context.manager == KUBECTL && meta::annotation(&object, LAST_APPLIED).is_some_and(|text| !text.is_empty()) {
        set_last_applied(&mut object, applied);
    }
    managers.write(&mut object);
    Ok(object)
}

fn check_kind(applied: &Value, context: &Context<'_>) -> Result<(), ApplyError> {
    let text = |field: &str| applied.get(field).and_then(Value::as_str).unwrap_or_default();
    let kind = GroupVersionKind::from_api_version(text("apiVersion"), text("kind"));
    if kind != *context.kind {
        return Err(ApplyError::BadRequest(format!("invalid object type: {kind}")));
    }
    Ok(())
}

fn attempt(
    live: &Value,
    applied: &Value,
    mut managers: Managers,
    context: &Context<'_>,
    force: bool,
) -> Result<(Value, Managers), Failure> {
    if managers.is_empty() {
        let before = Context { manager: BEFORE_FIRST_APPLY, ..*context };
        managers = update_managers(&context.empty_object(), live, managers, &before)
            .map_err(|error| unknown(format!("failed to create manager for existing fields: {error}")))?;
    }
    let entries = meta::metadata(applied).and_then(|metadata| metadata.get("managedFields"));
    if entries.is_some_and(Value::is_array) {
        return Err(Failure::Other(ApplyError::BadRequest("metadata.managedFields must be nil".to_owned())));
    }
    let shape = context.shape();
    fields::validate(applied, shape, Duplicates::Refused)
        .map_err(|faults| unknown(format!("failed to create typed patch object ({}): {faults}", label(applied))))?;
    fields::validate(live, shape, Duplicates::Allowed)
        .map_err(|faults| unknown(format!("failed to create typed live object ({}): {faults}", label(live))))?;

    managers.reconcile(context);
    let id = context.manager_id(Operation::Apply);
    let merged =
        fields::merge(live, applied, shape).map_err(|faults| unknown(format!("failed to merge config: {faults}")))?;
    let previous = managers.0.remove(&id);
    let set = fields::field_set(applied, shape).difference_with_descendants(context.reset);
    let time = previous.as_ref().and_then(|entry| entry.time.clone());
    managers.0.insert(id.clone(), Entry { set, api_version: context.kind.api_version(), time });
    let object = match previous.filter(|entry| !entry.set.is_empty()) {
        Some(previous) => prune(&merged, &previous.set, &managers, context),
        None => merged,
    };

    let changes = Changes::between(live, &object, &managers, context).map_err(unknown)?;
    if !force {
        let conflicts = managers.conflicts(&id, &changes);
        if !conflicts.is_empty() {
            return Err(Failure::Conflicts(conflicts));
        }
    }
    managers.yield_fields(Some(&id), &changes);
    if let Some(entry) = managers.0.get_mut(&id) {
        entry.set = entry.set.difference(&never_managed());
        if object != *live {
            entry.time = Some(context.now.to_owned());
        }
    }
    managers.0.retain(|_, entry| !entry.set.is_empty());
    Ok((object, managers))
}

/// Removes what the manager applied last time and does not any more, unless somebody else owns it, and nothing that it
/// never owned.
fn prune(merged: &Value, last: &FieldSet, managers: &Managers, context: &Context<'_>) -> Value {
    let shape = context.shape();
    let named = |set: &FieldSet| fields::with_named_fields(set, shape);
    let last = named(last);
    let all = named(&fields::field_set(merged, shape));
    let pruned = named(&fields::field_set(&fields::remove(merged, &last, shape), shape));
    let owned = managers.0.values().fold(FieldSet::default(), |owned, entry| owned.union(&entry.set));
    let kept = fields::remove(merged, &all.difference(&pruned.union(&named(&owned))), shape);
    let kept = named(&fields::field_set(&kept, shape));
    fields::remove(merged, &all.difference(&kept).intersection(&last), shape)
}

/// The fields that client-side apply set and that still are what it set; a client-side applier that turns to server-side
/// apply may take them.
fn allowed_by_last_applied(live: &Value, context: &Context<'_>) -> Option<FieldSet> {
    let text = meta::annotation(live, LAST_APPLIED).filter(|text| !text.is_empty())?;
    let shape = context.shape();
    fields::validate(live, shape, Duplicates::Refused).ok()?;
    let last: Value = serde_json::from_str(text).ok()?;
    if last.get("apiVersion").and_then(Value::as_str) != Some(&context.kind.api_version()) {
        return None;
    }
    fields::validate(&last, shape, Duplicates::Refused).ok()?;
    let changes = fields::compare(&last, live, shape).ok()?;
    let differing = changes.modified.union(&changes.added).union(&changes.removed);
    Some(fields::field_set(&last, shape).difference(&differing))
}

/// Keeps the annotation of client-side apply in step, so that a client may go back to it. Where it grows too large it goes.
fn set_last_applied(object: &mut Value, applied: &Value) {
    let mut applied = applied.clone();
    if let Some(annotations) = applied.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) else { return };
    annotations.insert(LAST_APPLIED.to_owned(), format!("{}\n", go_json(&applied)).into());
    let bytes: usize = annotations.iter().map(|(key, text)| key.len() + text.as_str().map_or(0, str::len)).sum();
    if bytes > ANNOTATIONS_BYTES_MAX {
        annotations.remove(LAST_APPLIED);
    }
}

/// The error for conflicts: one is told in a line, more are listed by manager.
fn describe(conflicts: &[Conflict]) -> ApplyError {
    let causes = conflicts
        .iter()
        .map(|conflict| ConflictCause {
            field: display_path(&conflict.path),
            message: format!("conflict with {}", conflict.manager.describe()),
        })
        .collect();
    let message = if let [only] = conflicts {
        let (manager, path) = (only.manager.describe(), display_path(&only.path));
        format!("Apply failed with 1 conflict: conflict with {manager}: {path}")
    } else {
        let mut by_manager: BTreeMap<&ManagerId, Vec<String>> = BTreeMap::new();
        for conflict in conflicts {
            by_manager.entry(&conflict.manager).or_default().push(display_path(&conflict.path));
        }
        let lines: Vec<String> = by_manager
            .into_iter()
            .flat_map(|(manager, paths)| {
                let head = format!("conflicts with {}:", manager.describe());
                std::iter::once(head).chain(paths.into_iter().map(|path| format!("- {path}")))
            })
            .collect();
        format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
    };
    ApplyError::Conflicts { message, causes }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::managed_fields;
    use crate::schema::builtin::registry;

    fn in_context<T>(manager: &str, run: impl FnOnce(&Context<'_>) -> T) -> T {
        let kind = GroupVersionKind::new("apps", "v1", "Deployment");
        let ty = registry().kind(&kind).unwrap();
        let reset = FieldSet::of_dotted(["status"]);
        let now = "2026-01-01T00:00:00Z";
        run(&Context { ty: &ty, kind: &kind, manager, subresource: None, now, reset: &reset })
    }

    fn applied(live: Option<&Value>, config: &Value, manager: &str, force: bool) -> Result<Value, ApplyError> {
        in_context(manager, |context| apply(live, config, context, force))
    }

    fn updated(live: Option<&Value>, mut new: Value, manager: &str) -> Value {
        in_context(manager, |context| managed_fields::update(live, &mut new, context));
        new
    }

    fn deployment(metadata: &Value, spec: &Value) -> Value {
        let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec});
        object["metadata"]["name"] = json!("d");
        object
    }

    fn fields(object: &Value, manager: &str) -> Value {
        let entry = meta::managed_fields(object).iter().find(|entry| entry["manager"] == manager);
        entry.map_or(Value::Null, |entry| entry["fieldsV1"].clone())
    }

    #[test]
    fn what_is_applied_is_owned_and_what_is_left_out_later_goes() {
        let first =
            applied(None, &deployment(&json!({"labels": {"a": "1", "b": "1"}}), &json!({"replicas": 1})), "one", false);
        let first = first.unwrap();
        let want = json!({"f:metadata": {"f:labels": {"f:a": {}, "f:b": {}}}, "f:spec": {"f:replicas": {}}});
        assert_eq!(fields(&first, "one"), want);

        let second =
            applied(Some(&first), &deployment(&json!({"labels": {"b": "1"}}), &json!({})), "two", false).unwrap();
        let third = applied(Some(&second), &deployment(&json!({}), &json!({"replicas": 1})), "one", false).unwrap();
        assert_eq!(third["metadata"]["labels"], json!({"b": "1"}), "the other one's label stays");
        assert_eq!(fields(&third, "one"), json!({"f:spec": {"f:replicas": {}}}));
        assert_eq!(fields(&third, "two"), json!({"f:metadata": {"f:labels": {"f:b": {}}}, "f:spec": {}}));
    }

    #[test]
    fn others_fields_are_in_conflict_unless_forced() {
        let live =
            applied(None, &deployment(&json!({"labels": {"a": "1"}}), &json!({"replicas": 1})), "one", false).unwrap();
        let mut scaled = live.clone();
        scaled["spec"]["replicas"] = json!(2);
        let live = updated(Some(&live), scaled, "scaler");

        let config = deployment(&json!({}), &json!({"replicas": 3}));
        let Err(ApplyError::Conflicts { message, causes }) = applied(Some(&live), &config, "two", false) else {
            panic!("applied")
        };
        assert_eq!(message, "Apply failed with 1 conflict: conflict with \"scaler\" using apps/v1: .spec.replicas");
        let cause = ConflictCause {
            field: ".spec.replicas".to_owned(),
            message: "conflict with \"scaler\" using apps/v1".to_owned(),
        };
        assert_eq!(causes, [cause]);

        let config = deployment(&json!({"labels": {"a": "2"}}), &json!({"replicas": 3}));
        let message = applied(Some(&live), &config, "two", false).unwrap_err().to_string();
        let want = "Apply failed with 2 conflicts: conflicts with \"one\":\n- .metadata.labels.a\nconflicts with \"scaler\" using apps/v1:\n- .spec.replicas";
        assert_eq!(message, want);

        let forced = applied(Some(&live), &config, "two", true).unwrap();
        assert_eq!((&forced["spec"]["replicas"], &forced["metadata"]["labels"]["a"]), (&json!(3), &json!("2")));
        assert_eq!(fields(&forced, "scaler"), Value::Null);

        let same = applied(Some(&live), &deployment(&json!({}), &json!({"replicas": 2})), "two", false).unwrap();
        assert_eq!(fields(&same, "two"), json!({"f:spec": {"f:replicas": {}}}), "agreement is no conflict");
    }

    #[test]
    fn what_was_there_before_anyone_managed_it_has_an_owner() {
        let live = deployment(&json!({"uid": "u", "labels": {"a": "1"}}), &json!({"replicas": 1}));
        let message = applied(Some(&live), &deployment(&json!({}), &json!({"replicas": 2})), "one", false).unwrap_err();
        let want = "Apply failed with 1 conflict: conflict with \"before-first-apply\" using apps/v1: .spec.replicas";
        assert_eq!(message.to_string(), want);
    }

    #[test]
    fn kubectl_takes_over_from_client_side_apply() {
        let old = deployment(&json!({}), &json!({"replicas": 1, "paused": true}));
        let mut live = old.clone();
        live["metadata"]["annotations"] = json!({LAST_APPLIED: old.to_string()});
        let mut live = updated(None, live, "kubectl-client-side-apply");
        meta::set_text(&mut live, "uid", "u");
        let config = deployment(&json!({}), &json!({"replicas": 2}));

        let taken = applied(Some(&live), &config, "kubectl", false).unwrap();
        assert_eq!(taken["spec"], json!({"replicas": 2, "paused": true}));
        let annotation = meta::annotation(&taken, LAST_APPLIED).unwrap();
        assert_eq!(serde_json::from_str::<Value>(annotation).unwrap(), config);
        assert!(annotation.ends_with('\n'));
        assert!(applied(Some(&live), &config, "other", false).is_err());

        let mut scaled = live.clone();
        scaled["spec"]["replicas"] = json!(5);
        let scaled = updated(Some(&live), scaled, "scaler");
        assert!(applied(Some(&scaled), &config, "kubectl", false).is_err(), "it is not what kubectl applied any more");
    }

    #[test]
    fn a_bad_configuration_is_refused() {
        let mut entries = deployment(&json!({}), &json!({}));
        entries["metadata"]["managedFields"] = json!([]);
        let mut other = deployment(&json!({}), &json!({}));
        other["apiVersion"] = json!("apps/v2");
        for (config, want) in [
            (entries, ApplyError::BadRequest("metadata.managedFields must be nil".to_owned())),
            (other, ApplyError::BadRequest("invalid object type: apps/v2, Kind=Deployment".to_owned())),
            (
                deployment(&json!({"namespace": "n"}), &json!({"bogus": 1})),
                ApplyError::Unknown(
                    "failed to create typed patch object (n/d; apps/v1, Kind=Deployment): .spec.bogus: field not declared in schema"
                        .to_owned(),
                ),
            ),
        ] {
            assert_eq!(applied(None, &config, "one", false), Err(want));
        }
    }

    #[test]
    fn status_is_not_applied_through_the_object() {
        let mut config = deployment(&json!({}), &json!({"replicas": 1}));
        config["status"] = json!({"replicas": 1});
        assert_eq!(
            fields(&applied(None, &config, "one", false).unwrap(), "one"),
            json!({"f:spec": {"f:replicas": {}}})
        );
    }
}
