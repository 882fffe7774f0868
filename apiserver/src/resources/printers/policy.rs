//! Disruption budgets, priorities, leases, runtimes, and devices.

use serde_json::Value;

use super::column::{AGE, Doc, NAME, boolean, integer, string};
use super::duration::age;
use super::read::{at, flag, int, is_deleting, list, text};
use super::{Printer, cells};

pub fn printer(kind: &str) -> Option<&'static Printer> {
    match kind {
        "DeviceClass" | "ResourceClaimTemplate" => Some(&NAME_AND_AGE),
        "Lease" => Some(&LEASE),
        "PodDisruptionBudget" => Some(&POD_DISRUPTION_BUDGET),
        "PriorityClass" => Some(&PRIORITY_CLASS),
        "ResourceClaim" => Some(&RESOURCE_CLAIM),
        "ResourceSlice" => Some(&RESOURCE_SLICE),
        "RuntimeClass" => Some(&RUNTIME_CLASS),
        _ => None,
    }
}

static NAME_AND_AGE: Printer =
    Printer::new(&[NAME, AGE], |object, now| cells![text(object, "metadata.name"), age(object, now)]);

static POD_DISRUPTION_BUDGET: Printer = Printer::new(
    &[
        NAME,
        string("Min Available", Doc::Text("The minimum number of pods that must be available.")),
        string("Max Unavailable", Doc::Text("The maximum number of pods that may be unavailable.")),
        integer("Allowed Disruptions", Doc::Text("Calculated number of pods that may be disrupted at this time.")),
        AGE,
    ],
    |budget, now| {
        cells![
            text(budget, "metadata.name"),
            number_or_percentage(at(budget, "spec.minAvailable")),
            number_or_percentage(at(budget, "spec.maxUnavailable")),
            int(budget, "status.disruptionsAllowed"),
            age(budget, now),
        ]
    },
);

fn number_or_percentage(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(number) => number.to_string(),
        None => "N/A".to_owned(),
    }
}

static PRIORITY_CLASS: Printer = {
    const CLASS: &str = "io.k8s.api.scheduling.v1.PriorityClass";
    Printer::new(
        &[
            NAME,
            integer("Value", Doc::Field(CLASS, "value")),
            boolean("Global-Default", Doc::Field(CLASS, "globalDefault")),
            AGE,
            string("PreemptionPolicy", Doc::Field(CLASS, "preemptionPolicy")),
        ],
        |class, now| {
            cells![
                text(class, "metadata.name"),
                int(class, "value"),
                flag(class, "globalDefault").unwrap_or_default(),
                age(class, now),
                text(class, "preemptionPolicy"),
            ]
        },
    )
};

static LEASE: Printer = Printer::new(
    &[NAME, string("Holder", Doc::Field("io.k8s.api.coordination.v1.LeaseSpec", "holderIdentity")), AGE],
    |lease, now| cells![text(lease, "metadata.name"), text(lease, "spec.holderIdentity"), age(lease, now)],
);

// The handler's description is looked up in the wrong type upstream, and so is empty.
static RUNTIME_CLASS: Printer = Printer::new(&[NAME, string("Handler", Doc::Text("")), AGE], |class, now| {
    cells![text(class, "metadata.name"), text(class, "handler"), age(class, now)]
});

static RESOURCE_CLAIM: Printer = {
    const STATE: &str = "A summary of the current state (allocated, pending, reserved, etc.).";
    Printer::new(&[NAME, string("State", Doc::Text(STATE)), AGE], |claim, now| {
        cells![text(claim, "metadata.name"), claim_state(claim), age(claim, now)]
    })
};

fn claim_state(claim: &Value) -> String {
    let mut states = Vec::new();
    if is_deleting(claim) {
        states.push("deleted");
    }
    if at(claim, "status.allocation").is_none() {
        if !is_deleting(claim) {
            states.push("pending");
        }
    } else {
        states.push("allocated");
        if !list(claim, "status.reservedFor").is_empty() {
            states.push("reserved");
        }
    }
    states.join(",")
}

static RESOURCE_SLICE: Printer = {
    const SPEC: &str = "io.k8s.api.resource.v1.ResourceSliceSpec";
    Printer::new(
        &[
            NAME,
            string("Node", Doc::Field(SPEC, "nodeName")),
            string("Driver", Doc::Field(SPEC, "driver")),
            string("Pool", Doc::Field("io.k8s.api.resource.v1.ResourcePool", "name")),
            AGE,
        ],
        |slice, now| {
            cells![
                text(slice, "metadata.name"),
                text(slice, "spec.nodeName"),
                text(slice, "spec.driver"),
                text(slice, "spec.pool.name"),
                age(slice, now),
            ]
        },
    )
};
