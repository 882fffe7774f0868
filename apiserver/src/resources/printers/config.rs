//! Namespaces and what configures the objects in them.

use serde_json::Value;

use super::column::{AGE, Doc, NAME, string};
use super::duration::age;
use super::read::{count, list, map, text};
use super::{Printer, cells};

pub fn printer(kind: &str) -> Option<&'static Printer> {
    match kind {
        "ComponentStatus" => Some(&COMPONENT_STATUS),
        "ConfigMap" => Some(&CONFIG_MAP),
        "Namespace" => Some(&NAMESPACE),
        "ResourceQuota" => Some(&RESOURCE_QUOTA),
        "Secret" => Some(&SECRET),
        "ServiceAccount" => Some(&SERVICE_ACCOUNT),
        _ => None,
    }
}

static CONFIG_MAP: Printer =
    Printer::new(&[NAME, string("Data", Doc::Field("io.k8s.api.core.v1.ConfigMap", "data")), AGE], |object, now| {
        cells![text(object, "metadata.name"), count(object, "data") + count(object, "binaryData"), age(object, now)]
    });

static SECRET: Printer = {
    const SECRET: &str = "io.k8s.api.core.v1.Secret";
    Printer::new(
        &[NAME, string("Type", Doc::Field(SECRET, "type")), string("Data", Doc::Field(SECRET, "data")), AGE],
        |object, now| {
            cells![text(object, "metadata.name"), text(object, "type"), count(object, "data"), age(object, now)]
        },
    )
};

static SERVICE_ACCOUNT: Printer =
    Printer::new(&[NAME, AGE], |object, now| cells![text(object, "metadata.name"), age(object, now)]);

static NAMESPACE: Printer =
    Printer::new(&[NAME, string("Status", Doc::Text("The status of the namespace")), AGE], |object, now| {
        cells![text(object, "metadata.name"), text(object, "status.phase"), age(object, now)]
    });

static COMPONENT_STATUS: Printer = Printer::new(
    &[
        NAME,
        string("Status", Doc::Text("Status of the component conditions")),
        string("Message", Doc::Text("Message of the component conditions")),
        string("Error", Doc::Text("Error of the component conditions")),
    ],
    |object, _| {
        let healthy = list(object, "conditions").iter().find(|condition| text(condition, "type") == "Healthy");
        let status = match healthy.map(|condition| text(condition, "status")) {
            Some("True") => "Healthy",
            Some(_) => "Unhealthy",
            None => "Unknown",
        };
        let say = |field| healthy.map_or("", |condition| text(condition, field));
        cells![text(object, "metadata.name"), status, say("message"), say("error")]
    },
);

static RESOURCE_QUOTA: Printer = {
    const REQUEST: Doc = Doc::Text("Request represents a minimum amount of cpu/memory that a container may consume.");
    const LIMIT: Doc = Doc::Text(
        "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.",
    );
    Printer::new(&[NAME, string("Request", REQUEST), string("Limit", LIMIT), AGE], |object, now| {
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        for (resource, hard) in map(object, "status.hard").into_iter().flatten() {
            let used = map(object, "status.used").and_then(|used| used.get(resource));
            let side = if resource.starts_with("limits.") { &mut limits } else { &mut requests };
            side.push(format!("{resource}: {}/{}", quantity(used), quantity(Some(hard))));
        }
        cells![text(object, "metadata.name"), requests.join(", "), limits.join(", "), age(object, now)]
    })
};

/// A quantity's text; none is zero.
fn quantity(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or("0")
}
