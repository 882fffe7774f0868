//! Persistent volumes: when the phase last changed is noted.

use serde_json::Value;

use super::hooks::Hooks;
use crate::object::meta;
use crate::verbs::Request;

/// The hooks of persistent volumes.
pub const HOOKS: Hooks = Hooks { prepare_create, prepare_update, ..Hooks::NONE };

fn prepare_create(volume: &mut Value, request: &Request<'_>) {
    volume["status"]["lastPhaseTransitionTime"] = meta::rfc3339(request.now).into();
}

fn prepare_update(volume: &mut Value, live: &Value, request: &Request<'_>) {
    if request.subresource_name() == "status" {
        note_transition(volume, live, &meta::rfc3339(request.now));
    }
}

/// A client that sets another time is believed.
fn note_transition(volume: &mut Value, live: &Value, now: &str) {
    let same_phase = volume["status"]["phase"] == live["status"]["phase"];
    let (time, before) = (&volume["status"]["lastPhaseTransitionTime"], &live["status"]["lastPhaseTransitionTime"]);
    let noted = if same_phase {
        if !time.is_null() || before.is_null() {
            return;
        }
        before.clone()
    } else {
        if !time.is_null() && time != before {
            return;
        }
        now.into()
    };
    volume["status"]["lastPhaseTransitionTime"] = noted;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_transition_is_noted_unless_the_client_did() {
        let live = json!({"status": {"phase": "Pending", "lastPhaseTransitionTime": "t0"}});
        let note = |status: Value| {
            let mut volume = json!({ "status": status });
            note_transition(&mut volume, &live, "now");
            volume["status"]["lastPhaseTransitionTime"].clone()
        };
        assert_eq!(note(json!({"phase": "Pending"})), "t0");
        assert_eq!(note(json!({"phase": "Bound"})), "now");
        assert_eq!(note(json!({"phase": "Bound", "lastPhaseTransitionTime": "t0"})), "now");
        assert_eq!(note(json!({"phase": "Bound", "lastPhaseTransitionTime": "t1"})), "t1");
    }
}
