//! Controllers of pods: replica sets and controllers, deployments, daemon and stateful sets, and their revisions.

use jiff::Timestamp;
use serde_json::Value;

use super::column::{AGE, CONTAINERS, Column, Doc, IMAGES, NAME, integer, string};
use super::duration::age;
use super::read::{at, flag, int, list, map, text};
use super::{Printer, cells, format};

pub fn core_printer(kind: &str) -> Option<&'static Printer> {
    (kind == "ReplicationController").then_some(&REPLICATION_CONTROLLER)
}

pub fn printer(kind: &str) -> Option<&'static Printer> {
    match kind {
        "ControllerRevision" => Some(&CONTROLLER_REVISION),
        "DaemonSet" => Some(&DAEMON_SET),
        "Deployment" => Some(&DEPLOYMENT),
        "ReplicaSet" => Some(&REPLICA_SET),
        "StatefulSet" => Some(&STATEFUL_SET),
        _ => None,
    }
}

/// What sets of replicas show, described by the fields of their own types.
const fn replica_columns(spec: &'static str, status: &'static str) -> [Column; 8] {
    [
        NAME,
        integer("Desired", Doc::Field(spec, "replicas")),
        integer("Current", Doc::Field(status, "replicas")),
        integer("Ready", Doc::Field(status, "readyReplicas")),
        AGE,
        CONTAINERS.wide(),
        IMAGES.wide(),
        string("Selector", Doc::Field(spec, "selector")).wide(),
    ]
}

static REPLICATION_CONTROLLER: Printer = {
    const SPEC: &str = "io.k8s.api.core.v1.ReplicationControllerSpec";
    const STATUS: &str = "io.k8s.api.core.v1.ReplicationControllerStatus";
    const COLUMNS: [Column; 8] = replica_columns(SPEC, STATUS);
    Printer::new(&COLUMNS, |object, now| replicas(object, now, &format::labels(map(object, "spec.selector"))))
};

static REPLICA_SET: Printer = {
    const SPEC: &str = "io.k8s.api.apps.v1.ReplicaSetSpec";
    const STATUS: &str = "io.k8s.api.apps.v1.ReplicaSetStatus";
    const COLUMNS: [Column; 8] = replica_columns(SPEC, STATUS);
    Printer::new(&COLUMNS, |object, now| replicas(object, now, &format::label_selector(at(object, "spec.selector"))))
};

fn replicas(object: &Value, now: Timestamp, selector: &str) -> Vec<Value> {
    let (names, images) = format::containers(at(object, "spec.template.spec"));
    cells![
        text(object, "metadata.name"),
        int(object, "spec.replicas"),
        int(object, "status.replicas"),
        int(object, "status.readyReplicas"),
        age(object, now),
        names,
        images,
        selector,
    ]
}

const READY: Doc = Doc::Text("Number of the pod with ready state");

/// Ready replicas of the wanted ones.
fn ready(object: &Value) -> String {
    format!("{}/{}", int(object, "status.readyReplicas"), int(object, "spec.replicas"))
}

static DEPLOYMENT: Printer = {
    const SPEC: &str = "io.k8s.api.apps.v1.DeploymentSpec";
    const STATUS: &str = "io.k8s.api.apps.v1.DeploymentStatus";
    Printer::new(
        &[
            NAME,
            string("Ready", READY),
            string("Up-to-date", Doc::Field(STATUS, "updatedReplicas")),
            string("Available", Doc::Field(STATUS, "availableReplicas")),
            AGE,
            CONTAINERS.wide(),
            IMAGES.wide(),
            string("Selector", Doc::Field(SPEC, "selector")).wide(),
        ],
        |object, now| {
            let (names, images) = format::containers(at(object, "spec.template.spec"));
            cells![
                text(object, "metadata.name"),
                ready(object),
                int(object, "status.updatedReplicas"),
                int(object, "status.availableReplicas"),
                age(object, now),
                names,
                images,
                at(object, "spec.selector").map(format::selector_text).unwrap_or_default(),
            ]
        },
    )
};

static STATEFUL_SET: Printer =
    Printer::new(&[NAME, string("Ready", READY), AGE, CONTAINERS.wide(), IMAGES.wide()], |object, now| {
        let (names, images) = format::containers(at(object, "spec.template.spec"));
        cells![text(object, "metadata.name"), ready(object), age(object, now), names, images]
    });

static DAEMON_SET: Printer = {
    const SPEC: &str = "io.k8s.api.apps.v1.DaemonSetSpec";
    const STATUS: &str = "io.k8s.api.apps.v1.DaemonSetStatus";
    Printer::new(
        &[
            NAME,
            integer("Desired", Doc::Field(STATUS, "desiredNumberScheduled")),
            integer("Current", Doc::Field(STATUS, "currentNumberScheduled")),
            integer("Ready", Doc::Field(STATUS, "numberReady")),
            integer("Up-to-date", Doc::Field(STATUS, "updatedNumberScheduled")),
            integer("Available", Doc::Field(STATUS, "numberAvailable")),
            string("Node Selector", Doc::Field("io.k8s.api.core.v1.PodSpec", "nodeSelector")),
            AGE,
            CONTAINERS.wide(),
            IMAGES.wide(),
            string("Selector", Doc::Field(SPEC, "selector")).wide(),
        ],
        |object, now| {
            let (names, images) = format::containers(at(object, "spec.template.spec"));
            cells![
                text(object, "metadata.name"),
                int(object, "status.desiredNumberScheduled"),
                int(object, "status.currentNumberScheduled"),
                int(object, "status.numberReady"),
                int(object, "status.updatedNumberScheduled"),
                int(object, "status.numberAvailable"),
                format::labels(map(object, "spec.template.spec.nodeSelector")),
                age(object, now),
                names,
                images,
                format::label_selector(at(object, "spec.selector")),
            ]
        },
    )
};

static CONTROLLER_REVISION: Printer = Printer::new(
    &[
        NAME,
        string("Controller", Doc::Text("Controller of the object")),
        string("Revision", Doc::Field("io.k8s.api.apps.v1.ControllerRevision", "revision")),
        AGE,
    ],
    |object, now| cells![text(object, "metadata.name"), controller(object), int(object, "revision"), age(object, now)],
);

/// The owner that controls an object, as `kind.group/name`.
fn controller(object: &Value) -> String {
    let owners = list(object, "metadata.ownerReferences");
    let Some(owner) = owners.iter().find(|owner| flag(owner, "controller") == Some(true)) else {
        return "<none>".to_owned();
    };
    let (kind, name) = (text(owner, "kind"), text(owner, "name"));
    match text(owner, "apiVersion").split_once('/') {
        Some((group, _)) => format!("{}.{}/{name}", kind.to_lowercase(), group.to_lowercase()),
        None if kind.is_empty() => name.to_owned(),
        None => format!("{}/{name}", kind.to_lowercase()),
    }
}
