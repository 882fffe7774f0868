//! Requests for certificates: who asks is the server's to say, and approving and answering are separate acts.

use serde_json::{Value, json};

use super::hooks::Hooks;
use crate::object::meta;
use crate::verbs::Request;

/// The hooks of requests for certificates.
pub const HOOKS: Hooks = Hooks { prepare_create, prepare_update, kept_by, ..Hooks::NONE };

/// The conditions by which a request is decided; only `/approval` adds them.
const DECISIONS: [&str; 2] = ["Approved", "Denied"];

fn kept_by(subresource: &str) -> Option<&'static [&'static str]> {
    (subresource == "approval").then_some(&["spec", "status.certificate"])
}

fn prepare_create(csr: &mut Value, request: &Request<'_>) {
    let user = request.user;
    let Some(spec) = csr["spec"].as_object_mut() else { return };
    let extra = json!(user.extra);
    let fields = [
        ("username", Value::from(user.name.as_str())),
        ("uid", Value::from(user.uid.as_str())),
        ("groups", user.groups.clone().into()),
        ("extra", extra),
    ];
    for (field, value) in fields {
        spec.insert(field.to_owned(), value);
    }
}

fn prepare_update(csr: &mut Value, live: &Value, request: &Request<'_>) {
    let subresource = request.subresource_name();
    if subresource == "status" {
        for decision in DECISIONS {
            keep_decision(csr, live, decision);
        }
    }
    if !subresource.is_empty() {
        fill_times(csr, live, &meta::rfc3339(request.now));
    }
}

fn conditions(csr: &Value) -> &[Value] {
    csr["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Keeps the conditions of that type as they were, unless some have been added or removed, which validation refuses.
fn keep_decision(csr: &mut Value, live: &Value, decision: &str) {
    let of = |csr: &Value| conditions(csr).iter().filter(|c| c["type"] == decision).cloned().collect::<Vec<_>>();
    let kept = of(live);
    if kept.len() != of(csr).len() {
        return;
    }
    let Some(wanted) = csr["status"]["conditions"].as_array_mut() else { return };
    for (condition, kept) in wanted.iter_mut().filter(|c| c["type"] == decision).zip(kept) {
        *condition = kept;
    }
}

/// Fills in the times that conditions lack: a condition that has not changed keeps the time of its last transition.
fn fill_times(csr: &mut Value, live: &Value, now: &str) {
    let Some(wanted) = csr["status"]["conditions"].as_array_mut() else { return };
    for condition in wanted {
        if condition["lastUpdateTime"].is_null() {
            condition["lastUpdateTime"] = now.into();
        }
        if condition["lastTransitionTime"].is_null() {
            let same = |c: &&Value| c["type"] == condition["type"] && c["status"] == condition["status"];
            let before = conditions(live).iter().filter(same).map(|c| &c["lastTransitionTime"]).find(|t| !t.is_null());
            condition["lastTransitionTime"] = before.cloned().unwrap_or_else(|| now.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_get_the_times_they_lack() {
        let live =
            json!({"status": {"conditions": [{"type": "Approved", "status": "True", "lastTransitionTime": "t0"}]}});
        let mut csr = json!({"status": {"conditions": [
            {"type": "Approved", "status": "True", "lastUpdateTime": "t1"}, {"type": "Failed", "status": "True"}]}});
        fill_times(&mut csr, &live, "now");
        assert_eq!(
            csr["status"]["conditions"],
            json!([
                {"type": "Approved", "status": "True", "lastUpdateTime": "t1", "lastTransitionTime": "t0"},
                {"type": "Failed", "status": "True", "lastUpdateTime": "now", "lastTransitionTime": "now"}])
        );
    }

    #[test]
    fn a_status_update_cannot_reword_a_decision() {
        let live = json!({"status": {"conditions": [{"type": "Approved", "reason": "a"}]}});
        let mut csr = json!({"status": {"conditions": [{"type": "Approved", "reason": "b"}, {"type": "Failed"}]}});
        keep_decision(&mut csr, &live, "Approved");
        assert_eq!(csr["status"]["conditions"], json!([{"type": "Approved", "reason": "a"}, {"type": "Failed"}]));
    }
}
