//! Horizontal pod autoscalers, and the conversion between autoscaling/v1 and v2.
//!
//! v2 is what is stored. v1 knows one metric, the CPU's utilisation; it carries everything else in annotations.
//!
//! Upstream: `pkg/apis/autoscaling/v1/conversion.go`, `v2/defaults.go`, `validation/validation.go`.

use serde_json::{Map, Value, json};

use super::edit::{Fields, each, is_absent, is_empty, object, set, set_absent, set_empty, text, within};
use super::field::{Error, Errors};
use super::node::Node;
use super::quantity::Quantity;
use super::{formats, meta, resources};
use crate::go_syntax::go_json;

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const TOLERANCES: [&str; 2] =
    ["autoscaling.alpha.kubernetes.io/scale-down-tolerance", "autoscaling.alpha.kubernetes.io/scale-up-tolerance"];

/// Defaults of an autoscaling/v2 autoscaler.
pub fn default_v2(scaler: &mut Value) {
    object(scaler, |scaler| {
        within(scaler, "spec", |spec| {
            set_absent(spec, "minReplicas", 1);
            set_empty(spec, "metrics", json!([cpu_metric(80)]));
            within(spec, "behavior", |behavior| {
                let policy = |kind: &str, value: i64| json!({"type": kind, "value": value, "periodSeconds": 15});
                let up = json!([policy("Pods", 4), policy("Percent", 100)]);
                default_scaling_rules(behavior, "scaleUp", up, Some(0));
                default_scaling_rules(behavior, "scaleDown", json!([policy("Percent", 100)]), None);
            });
        });
    });
}

fn default_scaling_rules(behavior: &mut Fields, name: &str, policies: Value, window_seconds: Option<i64>) {
    super::edit::within_new(behavior, name, |rules| {
        if let Some(seconds) = window_seconds {
            set_absent(rules, "stabilizationWindowSeconds", seconds);
        }
        set_absent(rules, "selectPolicy", "Max");
        set_absent(rules, "policies", policies);
    });
}

/// Defaults of an autoscaling/v1 autoscaler: what v2 makes of it, read back as v1.
pub fn default_v1(scaler: &mut Value) {
    object(scaler, |scaler| {
        within(scaler, "spec", |spec| set_absent(spec, "minReplicas", 1));
        v1_to_v2(scaler);
        v2_to_v1(scaler);
    });
}

fn cpu_metric(utilization: i64) -> Value {
    json!({
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": utilization}},
    })
}

/// Rewrites the fields of an autoscaling/v1 autoscaler as those of v2.
pub fn v1_to_v2(scaler: &mut Fields) {
    let mut carried = Carried::default();
    within(scaler, "metadata", |meta| carried = Carried::take(meta));
    within(scaler, "spec", |spec| {
        let mut metrics: Vec<Value> = carried.metrics.into_iter().map(metric_to_v2).collect();
        if let Some(utilization) = spec.remove("targetCPUUtilizationPercentage").and_then(|value| value.as_i64()) {
            metrics.push(cpu_metric(utilization));
        }
        if metrics.is_empty() {
            metrics.push(cpu_metric(80));
        }
        set(spec, "metrics", metrics);
        if let Some(behavior) = carried.behavior {
            set(spec, "behavior", behavior);
        }
    });
    within(scaler, "status", |status| {
        let utilization = status.remove("currentCPUUtilizationPercentage");
        if let Some(metrics) = carried.current_metrics {
            set(status, "currentMetrics", metrics.into_iter().map(metric_status_to_v2).collect::<Vec<_>>());
        } else if let Some(utilization) = utilization {
            let current = json!({"averageUtilization": utilization});
            set(
                status,
                "currentMetrics",
                json!([{"type": "Resource", "resource": {"name": "cpu", "current": current}}]),
            );
        } else {
            set(status, "currentMetrics", Value::Null);
        }
        if let Some(conditions) = carried.conditions {
            set(status, "conditions", conditions);
        }
    });
}

/// Rewrites the fields of an autoscaling/v2 autoscaler as those of v1.
pub fn v2_to_v1(scaler: &mut Fields) {
    let mut annotations = Vec::new();
    let mut add = |name: &'static str, value: Value| annotations.push((name, ordered_json(&value)));
    within(scaler, "spec", |spec| {
        let metrics = spec.remove("metrics").and_then(into_list).unwrap_or_default();
        let utilization = metrics.iter().find_map(cpu_utilization).cloned();
        if let Some(utilization) = utilization {
            set(spec, "targetCPUUtilizationPercentage", utilization);
        }
        let others: Vec<Value> =
            metrics.into_iter().filter(|metric| cpu_utilization(metric).is_none()).map(metric_to_v1).collect();
        if !others.is_empty() {
            add(METRICS, others.into());
        }
        if let Some(behavior) = spec.remove("behavior").filter(Value::is_object) {
            add(BEHAVIOR, behavior_to_annotation(&behavior));
        }
    });
    within(scaler, "status", |status| {
        let metrics = status.remove("currentMetrics").and_then(into_list).unwrap_or_default();
        for metric in &metrics {
            let resource = metric.get("resource").filter(|_| metric.get("type").is_some_and(|kind| kind == "Resource"));
            let cpu = resource.filter(|resource| resource.get("name").is_some_and(|name| name == "cpu"));
            if let Some(current) = cpu.and_then(|cpu| cpu.get("current")?.get("averageUtilization")) {
                set(status, "currentCPUUtilizationPercentage", current.clone());
            }
        }
        if !metrics.is_empty() {
            add(CURRENT_METRICS, metrics.into_iter().map(metric_status_to_v1).collect());
        }
        if let Some(conditions) = status.remove("conditions").and_then(into_list).filter(|list| !list.is_empty()) {
            add(CONDITIONS, conditions.into());
        }
    });
    within(scaler, "metadata", |meta| {
        drop(Carried::take(meta));
        if !annotations.is_empty() {
            super::edit::within_new(meta, "annotations", |map| {
                for (name, text) in annotations {
                    set(map, name, text);
                }
            });
        }
    });
}

/// What v1 carries in annotations, in v1's own types.
#[derive(Default)]
struct Carried {
    metrics: Vec<Value>,
    current_metrics: Option<Vec<Value>>,
    conditions: Option<Vec<Value>>,
    behavior: Option<Value>,
}

impl Carried {
    /// Takes the annotations out of an object's metadata. Texts that are no such JSON are dropped.
    fn take(meta: &mut Fields) -> Self {
        let mut carried = Self::default();
        within(meta, "annotations", |annotations| {
            let mut take = |name: &str| {
                let text = annotations.remove(name)?;
                serde_json::from_str::<Value>(text.as_str()?).ok()
            };
            carried.metrics = take(METRICS).and_then(into_list).unwrap_or_default();
            carried.current_metrics = take(CURRENT_METRICS).and_then(into_list);
            carried.conditions = take(CONDITIONS).and_then(into_list);
            carried.behavior = take(BEHAVIOR).and_then(|behavior| behavior_from_annotation(&behavior));
            for name in TOLERANCES {
                annotations.remove(name);
            }
        });
        if is_empty(meta, "annotations") {
            meta.remove("annotations");
        }
        carried
    }
}

fn into_list(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

/// The target of a v2 metric that v1 has a field for.
fn cpu_utilization(metric: &Value) -> Option<&Value> {
    let resource = metric.get("resource").filter(|_| metric.get("type").is_some_and(|kind| kind == "Resource"))?;
    resource.get("name").filter(|name| *name == "cpu")?;
    resource.get("target")?.get("averageUtilization").filter(|value| !value.is_null())
}

/// Moves a field to another name; absent stays absent.
fn rename(fields: &mut Fields, from: &str, to: &str) {
    if let Some(value) = fields.remove(from).filter(|value| !value.is_null()) {
        set(fields, to, value);
    }
}

/// A field of a struct of a v2 metric, taken out of it.
fn take_within(fields: &mut Fields, outer: &str, inner: &str) -> Option<Value> {
    let mut taken = None;
    within(fields, outer, |fields| taken = fields.remove(inner).filter(|value| !value.is_null()));
    taken
}

fn set_some(fields: &mut Fields, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        set(fields, name, value);
    }
}

fn quantity_or_zero(value: Option<Value>) -> Value {
    value.unwrap_or_else(|| json!("0"))
}

/// A v2 metric, source or status, in v1's fields. `side` is `target` or `current`, `prefix` what v1's names begin with.
fn to_v1(mut metric: Value, side: &str, prefix: &str) -> Value {
    let named = |name: &str| format!("{prefix}{name}");
    object(&mut metric, |metric| {
        within(metric, "object", |source| {
            set(source, &named("Value"), Value::Null);
            let value = quantity_or_zero(take_within(source, side, "value"));
            let average = take_within(source, side, "averageValue");
            source.remove(side);
            set(source, &named("Value"), value);
            set_some(source, "averageValue", average);
            rename(source, "describedObject", "target");
            metric_identifier_to_v1(source, "selector");
        });
        within(metric, "pods", |source| {
            let average = quantity_or_zero(take_within(source, side, "averageValue"));
            source.remove(side);
            set(source, &named("AverageValue"), average);
            metric_identifier_to_v1(source, "selector");
        });
        for name in ["resource", "containerResource"] {
            within(metric, name, |source| {
                let utilization = take_within(source, side, "averageUtilization");
                let average = take_within(source, side, "averageValue");
                source.remove(side);
                set_some(source, &named("AverageUtilization"), utilization);
                let average = if side == "current" { Some(quantity_or_zero(average)) } else { average };
                set_some(source, &named("AverageValue"), average);
            });
        }
        within(metric, "external", |source| {
            let value = take_within(source, side, "value");
            let average = take_within(source, side, "averageValue");
            source.remove(side);
            let value = if side == "current" { Some(quantity_or_zero(value)) } else { value };
            set_some(source, &named("Value"), value);
            set_some(source, &named("AverageValue"), average);
            metric_identifier_to_v1(source, "metricSelector");
        });
    });
    metric
}

fn metric_identifier_to_v1(source: &mut Fields, selector: &str) {
    let name = take_within(source, "metric", "name").unwrap_or_else(|| json!(""));
    let selected = take_within(source, "metric", "selector");
    source.remove("metric");
    set(source, "metricName", name);
    set_some(source, selector, selected);
}

fn metric_to_v1(metric: Value) -> Value {
    to_v1(metric, "target", "target")
}

fn metric_status_to_v1(metric: Value) -> Value {
    to_v1(metric, "current", "current")
}

/// A metric in v1's fields as one of v2. Sources say which kind of target they have; statuses do not.
fn to_v2(mut metric: Value, side: &str, prefix: &str) -> Value {
    let named = |name: &str| format!("{prefix}{name}");
    let target = |kind: &str, fields: Vec<(&str, Option<Value>)>| {
        let mut target = Map::new();
        if side == "target" {
            set(&mut target, "type", kind);
        }
        for (name, value) in fields {
            set_some(&mut target, name, value);
        }
        target
    };
    let kind = |average: &Option<Value>| if average.is_some() { "AverageValue" } else { "Value" };
    object(&mut metric, |metric| {
        within(metric, "object", |source| {
            let value = source.remove(&named("Value"));
            let average = source.remove("averageValue");
            rename(source, "target", "describedObject");
            metric_identifier_to_v2(source, "selector");
            set(source, side, target(kind(&average), vec![("value", value), ("averageValue", average)]));
        });
        within(metric, "pods", |source| {
            let average = source.remove(&named("AverageValue"));
            metric_identifier_to_v2(source, "selector");
            set(source, side, target("AverageValue", vec![("averageValue", average)]));
        });
        for name in ["resource", "containerResource"] {
            within(metric, name, |source| {
                let utilization = source.remove(&named("AverageUtilization"));
                let average = source.remove(&named("AverageValue"));
                let kind = if utilization.is_some() { "Utilization" } else { "AverageValue" };
                set(source, side, target(kind, vec![("averageUtilization", utilization), ("averageValue", average)]));
            });
        }
        within(metric, "external", |source| {
            let value = source.remove(&named("Value"));
            let average = source.remove(&named("AverageValue"));
            metric_identifier_to_v2(source, "metricSelector");
            let kind = if value.is_some() { "Value" } else { "AverageValue" };
            set(source, side, target(kind, vec![("value", value), ("averageValue", average)]));
        });
    });
    metric
}

fn metric_identifier_to_v2(source: &mut Fields, selector: &str) {
    let name = text(source, "metricName").to_owned();
    source.remove("metricName");
    let mut metric = Map::new();
    set(&mut metric, "name", name);
    set_some(&mut metric, "selector", source.remove(selector).filter(|value| !value.is_null()));
    set(source, "metric", metric);
}

fn metric_to_v2(metric: Value) -> Value {
    to_v2(metric, "target", "target")
}

fn metric_status_to_v2(metric: Value) -> Value {
    to_v2(metric, "current", "current")
}

/// The names of the behavior's fields in v2 and in the annotation, which holds Go's own names.
const BEHAVIOR_NAMES: [(&str, &str); 9] = [
    ("scaleUp", "ScaleUp"),
    ("scaleDown", "ScaleDown"),
    ("stabilizationWindowSeconds", "StabilizationWindowSeconds"),
    ("selectPolicy", "SelectPolicy"),
    ("policies", "Policies"),
    ("tolerance", "Tolerance"),
    ("type", "Type"),
    ("value", "Value"),
    ("periodSeconds", "PeriodSeconds"),
];

fn behavior_to_annotation(behavior: &Value) -> Value {
    let mut renamed = rename_behavior(behavior, |name| {
        BEHAVIOR_NAMES.iter().find(|(v2, _)| *v2 == name).map(|(_, annotation)| *annotation)
    });
    object(&mut renamed, |behavior| {
        for name in ["ScaleUp", "ScaleDown"] {
            set_absent(behavior, name, Value::Null);
            within(behavior, name, |rules| {
                for name in ["StabilizationWindowSeconds", "SelectPolicy", "Policies", "Tolerance"] {
                    if is_absent(rules, name) {
                        set(rules, name, Value::Null);
                    }
                }
            });
        }
    });
    renamed
}

fn behavior_from_annotation(behavior: &Value) -> Option<Value> {
    let mut renamed = rename_behavior(behavior, |name| {
        BEHAVIOR_NAMES.iter().find(|(_, annotation)| *annotation == name).map(|(v2, _)| *v2)
    });
    let fields = renamed.as_object_mut()?;
    fields.retain(|_, value| !value.is_null());
    for name in ["scaleUp", "scaleDown"] {
        within(fields, name, |rules| {
            rules.retain(|name, value| !value.is_null() || name == "policies");
            each(rules, "policies", |policy| policy.retain(|_, value| !value.is_null()));
        });
    }
    (!fields.is_empty()).then_some(renamed)
}

fn rename_behavior(value: &Value, rename: impl Fn(&str) -> Option<&'static str> + Copy) -> Value {
    match value {
        Value::Object(fields) => {
            let renamed = fields
                .iter()
                .filter_map(|(name, value)| rename(name).map(|name| (name.to_owned(), rename_behavior(value, rename))));
            Value::Object(renamed.collect())
        }
        Value::Array(items) => items.iter().map(|item| rename_behavior(item, rename)).collect(),
        other => other.clone(),
    }
}

/// The order of fields in the annotations' JSON, over all of their structs.
const FIELD_ORDER: [&str; 45] = [
    "type",
    "status",
    "lastTransitionTime",
    "reason",
    "message",
    "object",
    "pods",
    "resource",
    "containerResource",
    "external",
    "kind",
    "name",
    "apiVersion",
    "target",
    "metricName",
    "metricSelector",
    "targetValue",
    "currentValue",
    "targetAverageUtilization",
    "targetAverageValue",
    "currentAverageUtilization",
    "currentAverageValue",
    "selector",
    "averageValue",
    "container",
    "matchLabels",
    "matchExpressions",
    "key",
    "operator",
    "values",
    "ScaleUp",
    "ScaleDown",
    "StabilizationWindowSeconds",
    "SelectPolicy",
    "Policies",
    "Tolerance",
    "Type",
    "Value",
    "PeriodSeconds",
    "scaleUp",
    "scaleDown",
    "policies",
    "tolerance",
    "value",
    "periodSeconds",
];

/// JSON with the annotations' order of fields; maps stay in key order.
fn ordered_json(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let rank = |name: &str| FIELD_ORDER.iter().position(|known| *known == name).unwrap_or(FIELD_ORDER.len());
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort_by_key(|name| rank(name));
            let parts: Vec<String> = names
                .into_iter()
                .filter_map(|name| {
                    let value = fields.get(name)?;
                    let text = if name == "matchLabels" { go_json(value) } else { ordered_json(value) };
                    Some(format!("{}:{text}", go_json(&Value::from(name.as_str()))))
                })
                .collect();
            format!("{{{}}}", parts.join(","))
        }
        Value::Array(items) => {
            let parts: Vec<String> = items.iter().map(ordered_json).collect();
            format!("[{}]", parts.join(","))
        }
        other => go_json(other),
    }
}

const METRIC_TYPES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];
const POPULATE: &str = "must populate information for the given metric source";

/// Judges a new autoscaling/v2 autoscaler.
pub fn create(scaler: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&scaler.at("metadata"), true, formats::subdomain_name, errors);
    validate_spec(&scaler.at("spec"), None, errors);
}

/// Judges a changed autoscaling/v2 autoscaler.
pub fn update(scaler: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&scaler.at("metadata"), &old.at("metadata"), errors);
    validate_spec(&scaler.at("spec"), Some(&old.at("spec")), errors);
}

/// Judges an autoscaler's changed status.
pub fn status(scaler: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&scaler.at("metadata"), &old.at("metadata"), errors);
    scaler.at("status").at("currentReplicas").nonnegative(errors);
    scaler.at("status").at("desiredReplicas").nonnegative(errors);
}

fn as_v2(scaler: &Node<'_>) -> Value {
    let mut scaler = scaler.value.clone();
    object(&mut scaler, v1_to_v2);
    scaler
}

/// Judges a new autoscaling/v1 autoscaler by what v2 makes of it.
pub fn create_v1(scaler: &Node<'_>, errors: &mut Errors) {
    create(&Node::root(&as_v2(scaler)), errors);
}

/// Judges a changed autoscaling/v1 autoscaler by what v2 makes of it.
pub fn update_v1(scaler: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    update(&Node::root(&as_v2(scaler)), &Node::root(&as_v2(old)), errors);
}

fn validate_spec(spec: &Node<'_>, old: Option<&Node<'_>>, errors: &mut Errors) {
    let (min, max) = (spec.at("minReplicas"), spec.at("maxReplicas"));
    if min.present() && min.int() < 1 {
        errors.push(min.invalid_int("must be greater than or equal to 1"));
    }
    if max.int() == 0 {
        errors.push(max.required("must be set and greater than 0"));
    } else if max.int() < 0 {
        errors.push(max.invalid_int("must be greater than or equal to 1"));
    }
    if min.present() && max.int() < min.int() {
        errors.push(max.invalid_int("must be greater than or equal to `minReplicas`"));
    }
    let target = spec.at("scaleTargetRef");
    object_reference(&target, errors);
    let unchanged = old
        .map(|old| old.at("scaleTargetRef"))
        .is_some_and(|old| ["apiVersion", "kind"].into_iter().all(|name| old.text(name) == target.text(name)));
    if unchanged {
        errors.retain(|error| error.field != "spec.scaleTargetRef.apiVersion");
    } else if target.text("kind") != "ReplicationController" && !target.text("apiVersion").contains('/') {
        errors.push(target.at("apiVersion").invalid_text("apiVersion must specify API group"));
    }
    let metrics = spec.at("metrics");
    for metric in metrics.items() {
        validate_metric(&metric, errors);
    }
    if min.present()
        && min.int() == 0
        && !metrics.items().any(|metric| matches!(metric.text("type"), "Object" | "External"))
    {
        let message = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(metrics.forbidden(message));
    }
    let behavior = spec.at("behavior");
    for name in ["scaleUp", "scaleDown"] {
        if let Some(rules) = behavior.at(name).some() {
            validate_rules(&rules, errors);
        }
    }
}

fn path_segment(node: &Node<'_>, required: &str, errors: &mut Errors) {
    if node.is_empty() {
        errors.push(node.required(required));
    } else {
        node.format(formats::path_segment(node.str(), false), errors);
    }
}

fn object_reference(reference: &Node<'_>, errors: &mut Errors) {
    path_segment(&reference.at("kind"), "", errors);
    path_segment(&reference.at("name"), "", errors);
    let version = reference.at("apiVersion");
    match version.str().matches('/').count() {
        0 | 1 => {}
        _ => errors.push(version.invalid_text(format!("unexpected GroupVersion string: {}", version.str()))),
    }
}

fn validate_rules(rules: &Node<'_>, errors: &mut Errors) {
    let window = rules.at("stabilizationWindowSeconds");
    if window.int() < 0 {
        errors.push(window.invalid_int("must be greater than or equal to zero"));
    }
    if window.int() > 3600 {
        errors.push(window.invalid_int("must be less than or equal to 3600"));
    }
    let select = rules.at("selectPolicy");
    if select.present() {
        select.one_of(&["Disabled", "Max", "Min"], errors);
    }
    let policies = rules.at("policies");
    if policies.is_empty() {
        errors.push(policies.required("must specify at least one Policy"));
    }
    for policy in policies.items() {
        policy.at("type").one_of(&["Percent", "Pods"], errors);
        let (value, period) = (policy.at("value"), policy.at("periodSeconds"));
        for number in [&value, &period] {
            if number.int() <= 0 {
                errors.push(number.invalid_int("must be greater than zero"));
            }
        }
        if period.int() > 1800 {
            errors.push(period.invalid_int("must be less than or equal to 1800"));
        }
    }
    let tolerance = rules.at("tolerance");
    if Quantity::of(tolerance.value).is_negative() {
        errors.push(tolerance.invalid_text("must be greater than or equal to 0"));
    }
}

fn validate_metric(metric: &Node<'_>, errors: &mut Errors) {
    let kind = metric.at("type");
    if kind.is_empty() {
        errors.push(kind.required("must specify a metric source type"));
    }
    let known = kind.one_of(&METRIC_TYPES, errors);
    let mut present: Vec<&'static str> = Vec::new();
    for name in ["object", "external", "pods", "resource", "containerResource"] {
        if let Some(source) = metric.at(name).some() {
            present.push(name);
            if present.len() == 1 {
                validate_source(name, &source, errors);
            }
        }
    }
    let expected = match kind.str() {
        "Object" => "object",
        "Pods" => "pods",
        "Resource" => "resource",
        "External" => "external",
        "ContainerResource" => "containerResource",
        _ => "",
    };
    if !known {
        errors.push(kind.not_supported(&METRIC_TYPES));
    } else if !present.contains(&expected) {
        errors.push(Error::required(&metric.path.child(expected), POPULATE));
    }
    if present.len() != 1 {
        for name in present.into_iter().filter(|name| *name != expected) {
            errors.push(Error::forbidden(&metric.path.child(name), "must populate the given metric source only"));
        }
    }
}

fn validate_source(name: &str, source: &Node<'_>, errors: &mut Errors) {
    let target = source.at("target");
    let (value, average, utilization) =
        (target.at("value"), target.at("averageValue"), target.at("averageUtilization"));
    if matches!(name, "resource" | "containerResource") {
        let resource = source.at("name");
        if resource.is_empty() {
            errors.push(resource.required("must specify a resource name"));
        } else if name == "containerResource" {
            resources::container_name(resource.str(), &resource, errors);
        }
        if name == "containerResource" {
            let container = source.at("container");
            if container.is_empty() {
                errors.push(container.required("must specify a container"));
            } else {
                container.format(formats::dns_label(container.str()), errors);
            }
        }
        validate_target(&target, errors);
        if !utilization.present() && !average.present() {
            errors.push(utilization.required("must set either a target raw value or a target utilization"));
        }
        if utilization.present() && average.present() {
            errors.push(average.forbidden("may not set both a target raw value and a target utilization"));
        }
        return;
    }
    if name == "object" {
        object_reference(&source.at("describedObject"), errors);
    }
    path_segment(&source.at("metric").at("name"), "must specify a metric name", errors);
    validate_target(&target, errors);
    match name {
        "pods" => {
            if !average.present() {
                errors.push(average.required("must specify a positive target averageValue"));
            }
        }
        "object" => {
            if !value.present() && !average.present() {
                errors.push(average.required("must set either a target value or averageValue"));
            }
        }
        _ => {
            if !value.present() && !average.present() {
                errors.push(average.required("must set either a target value for metric or a per-pod target"));
            }
            if value.present() && average.present() {
                errors.push(value.forbidden("may not set both a target value for metric and a per-pod target"));
            }
        }
    }
}

fn validate_target(target: &Node<'_>, errors: &mut Errors) {
    let kind = target.at("type");
    if kind.is_empty() {
        errors.push(kind.required("must specify a metric target type"));
    }
    if !matches!(kind.str(), "Utilization" | "Value" | "AverageValue") {
        errors.push(kind.invalid_text("must be either Utilization, Value, or AverageValue"));
    }
    for name in ["value", "averageValue"] {
        let quantity = target.at(name);
        let amount = Quantity::of(quantity.value);
        if quantity.present() && (amount.is_zero() || amount.is_negative()) {
            errors.push(quantity.invalid_text("must be positive"));
        }
    }
    let utilization = target.at("averageUtilization");
    if utilization.present() && utilization.int() < 1 {
        errors.push(utilization.invalid_int("must be greater than 0"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(value: &Value, convert: impl Fn(&mut Fields)) -> Value {
        let mut value = value.clone();
        convert(value.as_object_mut().expect("an object"));
        value
    }

    #[test]
    fn v1_carries_what_it_has_no_field_for() {
        let v2 = json!({
            "metadata": {"name": "h"},
            "spec": {
                "maxReplicas": 3,
                "metrics": [
                    {"type": "Pods", "pods": {
                        "metric": {"name": "rps", "selector": {"matchLabels": {"a": "b"}}},
                        "target": {"type": "AverageValue", "averageValue": "5"}}},
                    {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}},
                ],
                "behavior": {"scaleDown": {"selectPolicy": "Min", "policies": [{"type": "Pods", "value": 1, "periodSeconds": 9}]}},
            },
            "status": {"currentMetrics": null},
        });
        let v1 = converted(&v2, v2_to_v1);
        assert_eq!(v1["spec"]["targetCPUUtilizationPercentage"], 70);
        assert_eq!(
            v1["metadata"]["annotations"][METRICS],
            r#"[{"type":"Pods","pods":{"metricName":"rps","targetAverageValue":"5","selector":{"matchLabels":{"a":"b"}}}}]"#
        );
        assert_eq!(
            v1["metadata"]["annotations"][BEHAVIOR],
            r#"{"ScaleUp":null,"ScaleDown":{"StabilizationWindowSeconds":null,"SelectPolicy":"Min","Policies":[{"Type":"Pods","Value":1,"PeriodSeconds":9}],"Tolerance":null}}"#
        );
        assert_eq!(converted(&v1, v1_to_v2), v2);
    }
}
