//! Pods and pod templates.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::column::{AGE, CONTAINERS, Column, Doc, IMAGES, NAME, string};
use super::duration::{age, since};
use super::read::{at, condition, flag, int, is_deleting, list, map, text, text_or};
use super::{Printer, cells, format};

pub fn printer(kind: &str) -> Option<&'static Printer> {
    match kind {
        "Pod" => Some(&POD),
        "PodTemplate" => Some(&POD_TEMPLATE),
        _ => None,
    }
}

const SPEC: &str = "io.k8s.api.core.v1.PodSpec";
const STATUS: &str = "io.k8s.api.core.v1.PodStatus";

static POD: Printer = Printer {
    columns: &[
        NAME,
        string("Ready", Doc::Text("The aggregate readiness state of this pod for accepting traffic.")),
        string("Status", Doc::Text("The aggregate status of the containers in this pod.")),
        string("Restarts", RESTARTS),
        AGE,
        string("IP", Doc::Field(STATUS, "podIP")).wide(),
        string("Node", Doc::Field(SPEC, "nodeName")).wide(),
        string("Nominated Node", Doc::Field(STATUS, "nominatedNodeName")).wide(),
        string("Readiness Gates", Doc::Field(SPEC, "readinessGates")).wide(),
    ],
    cells: pod,
    conditions: completed,
    rank: None,
};

const RESTARTS: Doc = Doc::Text(
    "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
);

static POD_TEMPLATE: Printer = Printer::new(&[NAME, CONTAINERS, IMAGES, POD_LABELS], |object, _| {
    let (names, images) = format::containers(at(object, "template.spec"));
    cells![text(object, "metadata.name"), names, images, format::labels(map(object, "template.metadata.labels"))]
});

const POD_LABELS: Column = string("Pod Labels", Doc::Text("The labels for the pod template."));

/// A finished pod's row is marked, so that clients can leave it out.
fn completed(pod: &Value) -> Option<Value> {
    let (reason, message) = match text(pod, "status.phase") {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]))
}

fn pod(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = Summary::of(pod);
    let mut restarts = summary.restarts.count.to_string();
    if summary.restarts.count != 0 && !summary.restarts.last.is_empty() {
        restarts = format!("{restarts} ({} ago)", since(summary.restarts.last, now));
    }
    let ip = list(pod, "status.podIPs").first().map_or("", |ip| text(ip, "ip"));
    cells![
        text(pod, "metadata.name"),
        format!("{}/{}", summary.ready, summary.total),
        summary.reason,
        restarts,
        age(pod, now),
        if ip.is_empty() { "<none>" } else { ip },
        text_or(pod, "spec.nodeName", "<none>"),
        text_or(pod, "status.nominatedNodeName", "<none>"),
        readiness_gates(pod),
    ]
}

/// How many readiness gates are open, of how many.
fn readiness_gates(pod: &Value) -> String {
    let gates = list(pod, "spec.readinessGates");
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let open = gates.iter().filter(|gate| is_true(condition(pod, text(gate, "conditionType"))));
    format!("{}/{}", open.count(), gates.len())
}

fn is_true(condition: Option<&Value>) -> bool {
    condition.is_some_and(|condition| text(condition, "status") == "True")
}

/// Restarts, and when the last was.
#[derive(Default, Clone, Copy)]
struct Restarts<'a> {
    count: i64,
    /// RFC 3339 in UTC, which orders as text.
    last: &'a str,
}

impl<'a> Restarts<'a> {
    fn add(&mut self, container: &'a Value) {
        self.count += int(container, "restartCount");
        self.last = self.last.max(text(container, "lastState.terminated.finishedAt"));
    }
}

/// What a pod's containers come to.
struct Summary<'a> {
    ready: usize,
    total: usize,
    reason: String,
    restarts: Restarts<'a>,
}

impl<'a> Summary<'a> {
    fn of(pod: &'a Value) -> Self {
        let mut summary = Self {
            ready: 0,
            total: list(pod, "spec.containers").len()
                + list(pod, "spec.initContainers").iter().filter(|container| restarts_always(container)).count(),
            reason: text_or(pod, "status.reason", text(pod, "status.phase")).to_owned(),
            restarts: Restarts::default(),
        };
        let gated = |condition: &Value| {
            text(condition, "type") == "PodScheduled" && text(condition, "reason") == "SchedulingGated"
        };
        if list(pod, "status.conditions").iter().any(gated) {
            "SchedulingGated".clone_into(&mut summary.reason);
        }
        if let Some(restarts) = summary.init_containers(pod) {
            summary.containers(pod, restarts);
        }
        if is_deleting(pod) {
            if text(pod, "status.reason") == "NodeLost" {
                "Unknown".clone_into(&mut summary.reason);
            } else if !matches!(text(pod, "status.phase"), "Succeeded" | "Failed") {
                "Terminating".clone_into(&mut summary.reason);
            }
        }
        summary
    }

    /// Counts the init containers in order up to the first that is not done. Gives the restarts of sidecars if the
    /// ordinary containers count, because initialization is over.
    fn init_containers(&mut self, pod: &'a Value) -> Option<Restarts<'a>> {
        let specs = list(pod, "spec.initContainers");
        let mut sidecars = Restarts::default();
        let mut initializing = false;
        for (position, container) in list(pod, "status.initContainerStatuses").iter().enumerate() {
            self.restarts.add(container);
            // Of specs with one name the last counts.
            let spec = specs.iter().rfind(|spec| text(spec, "name") == text(container, "name"));
            let sidecar = spec.is_some_and(restarts_always);
            if sidecar {
                sidecars.add(container);
            }
            let terminated = at(container, "state.terminated");
            if terminated.is_some_and(|state| int(state, "exitCode") == 0) {
                continue;
            }
            if sidecar && flag(container, "started") == Some(true) {
                self.ready += usize::from(flag(container, "ready") == Some(true));
                continue;
            }
            let waiting = text(container, "state.waiting.reason");
            self.reason = if let Some(state) = terminated {
                format!("Init:{}", termination(state))
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{position}/{}", specs.len())
            };
            initializing = true;
            break;
        }
        (!initializing || is_true(condition(pod, "Initialized"))).then_some(sidecars)
    }

    /// Counts the ordinary containers; the first one's reason prevails.
    fn containers(&mut self, pod: &'a Value, sidecar_restarts: Restarts<'a>) {
        self.restarts = sidecar_restarts;
        let mut running = false;
        let mut error = None;
        for container in list(pod, "status.containerStatuses").iter().rev() {
            self.restarts.add(container);
            let waiting = text(container, "state.waiting.reason");
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.reason);
            } else if let Some(state) = at(container, "state.terminated") {
                self.reason = termination(state);
                if int(state, "exitCode") != 0 {
                    error = Some(self.reason.clone());
                }
            } else if flag(container, "ready") == Some(true) && at(container, "state.running").is_some() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason != "Completed" {
            return;
        }
        // One completed container does not make a completed pod.
        let ready = list(pod, "status.conditions")
            .iter()
            .any(|condition| text(condition, "type") == "Ready" && is_true(Some(condition)));
        if running && ready {
            "Running".clone_into(&mut self.reason);
        } else if let Some(error) = error {
            self.reason = error;
        } else if running {
            "NotReady".clone_into(&mut self.reason);
        }
    }
}

/// Whether an init container is a sidecar, which keeps running.
fn restarts_always(container: &Value) -> bool {
    text(container, "restartPolicy") == "Always"
}

/// Why a container ended.
fn termination(state: &Value) -> String {
    let (reason, signal) = (text(state, "reason"), int(state, "signal"));
    if !reason.is_empty() {
        reason.to_owned()
    } else if signal != 0 {
        format!("Signal:{signal}")
    } else {
        format!("ExitCode:{}", int(state, "exitCode"))
    }
}
