//! Horizontal pod autoscalers and scales.

use std::fmt::Write as _;

use serde_json::Value;

use super::column::{AGE, Column, Doc, NAME, integer, string};
use super::duration::age;
use super::read::{at, int, list, text};
use super::{Printer, cells};

pub fn printer(kind: &str) -> Option<&'static Printer> {
    match kind {
        "HorizontalPodAutoscaler" => Some(&AUTOSCALER),
        "Scale" => Some(&SCALE),
        _ => None,
    }
}

static SCALE: Printer = Printer::new(
    &[
        Column { format: "", ..NAME },
        integer("Desired", Doc::Field("io.k8s.api.autoscaling.v1.ScaleSpec", "replicas")),
        integer("Available", Doc::Field("io.k8s.api.autoscaling.v1.ScaleStatus", "replicas")),
        AGE,
    ],
    |scale, now| {
        cells![
            text(scale, "metadata.name"),
            int(scale, "spec.replicas"),
            int(scale, "status.replicas"),
            age(scale, now),
        ]
    },
);

static AUTOSCALER: Printer = {
    const SPEC: &str = "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec";
    const STATUS: &str = "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerStatus";
    Printer::new(
        &[
            NAME,
            string("Reference", Doc::Field(SPEC, "scaleTargetRef")),
            string("Targets", Doc::Field(SPEC, "metrics")),
            string("MinPods", Doc::Field(SPEC, "minReplicas")),
            string("MaxPods", Doc::Field(SPEC, "maxReplicas")),
            string("Replicas", Doc::Field(STATUS, "currentReplicas")),
            AGE,
        ],
        |autoscaler, now| {
            let minimum = at(autoscaler, "spec.minReplicas").map_or_else(|| "<unset>".to_owned(), Value::to_string);
            let target = at(autoscaler, "spec.scaleTargetRef").unwrap_or(&Value::Null);
            cells![
                text(autoscaler, "metadata.name"),
                format!("{}/{}", text(target, "kind"), text(target, "name")),
                targets(autoscaler),
                minimum,
                int(autoscaler, "spec.maxReplicas"),
                int(autoscaler, "status.currentReplicas"),
                age(autoscaler, now),
            ]
        },
    )
};

/// The first two metrics, each as what is measured against what is wanted.
fn targets(autoscaler: &Value) -> String {
    const MAX: usize = 2;
    // The first version has one metric, in fields of its own.
    if let Some(wanted) = at(autoscaler, "spec.targetCPUUtilizationPercentage") {
        let current = percentage(at(autoscaler, "status.currentCPUUtilizationPercentage"), "<unknown>");
        return format!("cpu: {current}/{}", percentage(Some(wanted), ""));
    }
    let statuses = list(autoscaler, "status.currentMetrics");
    let metrics = list(autoscaler, "spec.metrics").iter().enumerate();
    let metrics: Vec<String> = metrics.map(|(position, spec)| metric(spec, statuses.get(position))).collect();
    if metrics.is_empty() {
        return "<none>".to_owned();
    }
    let mut text = metrics.iter().take(MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    if metrics.len() > MAX {
        // Writing to a string cannot fail.
        let _ = write!(text, " + {} more...", metrics.len() - MAX);
    }
    text
}

fn metric(spec: &Value, status: Option<&Value>) -> String {
    let source = match text(spec, "type") {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return "<unknown type>".to_owned(),
    };
    let spec = at(spec, source).unwrap_or(&Value::Null);
    let status = status.and_then(|status| at(status, source));
    let average = at(spec, "target.averageValue").and_then(Value::as_str);
    let current = |field: &str| status.and_then(|status| at(status, "current")?.get(field));
    match source {
        "pods" => {
            let now = status.map_or("<unknown>", |_| quantity(current("averageValue")));
            format!("{now}/{}", average.unwrap_or("0"))
        }
        "external" | "object" => {
            if let Some(wanted) = average {
                let now = current("averageValue").and_then(Value::as_str).unwrap_or("<unknown>");
                format!("{now}/{wanted} (avg)")
            } else {
                let now = status.map_or("<unknown>", |_| quantity(current("value")));
                format!("{now}/{}", quantity(at(spec, "target.value")))
            }
        }
        _ => {
            let name = text(spec, "name");
            if let Some(wanted) = average {
                let now = status.map_or("<unknown>", |_| quantity(current("averageValue")));
                format!("{name}: {now}/{wanted}")
            } else {
                let now = percentage(current("averageUtilization"), "<unknown>");
                format!("{name}: {now}/{}", percentage(at(spec, "target.averageUtilization"), "<auto>"))
            }
        }
    }
}

/// A quantity's text. A missing one is printed as Go prints a missing pointer's quantity.
fn quantity(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or("<nil>")
}

fn percentage(value: Option<&Value>, absent: &str) -> String {
    value.map_or_else(|| absent.to_owned(), |value| format!("{value}%"))
}
