//! Deployments, replica sets, daemon sets, stateful sets, their revisions, and replication controllers.
//!
//! Upstream: `pkg/apis/apps/v1/defaults.go` and `conversion.go`, `pkg/apis/core/v1/defaults.go`,
//! `pkg/apis/apps/validation/validation.go`.

use serde_json::{Value, json};

use super::edit::{Fields, each, is_empty, object, set, set_absent, set_empty, text, within, within_new};
use super::field::{Error, Errors};
use super::node::Node;
use super::{formats, go_struct, meta, pod, volume};

/// Where apps/v1 keeps a daemon set's `templateGeneration`, which has no field any more.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Defaults of a deployment.
pub fn default_deployment(deployment: &mut Value) {
    default_workload(deployment, |spec| {
        set_absent(spec, "replicas", 1);
        within_new(spec, "strategy", |strategy| {
            set_empty(strategy, "type", "RollingUpdate");
            if text(strategy, "type") == "RollingUpdate" {
                within_new(strategy, "rollingUpdate", |rolling| {
                    set_absent(rolling, "maxUnavailable", "25%");
                    set_absent(rolling, "maxSurge", "25%");
                });
            }
        });
        set_absent(spec, "revisionHistoryLimit", 10);
        set_absent(spec, "progressDeadlineSeconds", 600);
    });
}

/// Defaults of a replica set.
pub fn default_replica_set(set: &mut Value) {
    default_workload(set, |spec| set_absent(spec, "replicas", 1));
}

/// Defaults of a daemon set.
pub fn default_daemon_set(daemon_set: &mut Value) {
    default_workload(daemon_set, |spec| {
        within_new(spec, "updateStrategy", |strategy| {
            set_empty(strategy, "type", "RollingUpdate");
            if text(strategy, "type") == "RollingUpdate" {
                within_new(strategy, "rollingUpdate", |rolling| {
                    set_absent(rolling, "maxUnavailable", 1);
                    set_absent(rolling, "maxSurge", 0);
                });
            }
        });
        set_absent(spec, "revisionHistoryLimit", 10);
    });
    object(daemon_set, |daemon_set| {
        within(daemon_set, "metadata", |meta| {
            within_new(meta, "annotations", |annotations| {
                let generation: i64 = text(annotations, TEMPLATE_GENERATION).parse().unwrap_or_default();
                set(annotations, TEMPLATE_GENERATION, generation.to_string());
            });
        });
    });
}

/// Defaults of a stateful set.
pub fn default_stateful_set(stateful_set: &mut Value) {
    default_workload(stateful_set, |spec| {
        set_empty(spec, "podManagementPolicy", "OrderedReady");
        within_new(spec, "updateStrategy", |strategy| {
            if is_empty(strategy, "type") {
                set(strategy, "type", "RollingUpdate");
                within_new(strategy, "rollingUpdate", |_| ());
            }
            if text(strategy, "type") == "RollingUpdate" {
                within(strategy, "rollingUpdate", |rolling| set_absent(rolling, "partition", 0));
            }
        });
        within_new(spec, "persistentVolumeClaimRetentionPolicy", |policy| {
            set_empty(policy, "whenDeleted", "Retain");
            set_empty(policy, "whenScaled", "Retain");
        });
        set_absent(spec, "replicas", 1);
        set_absent(spec, "revisionHistoryLimit", 10);
        each(spec, "volumeClaimTemplates", |claim| {
            set(claim, "apiVersion", "v1");
            set(claim, "kind", "PersistentVolumeClaim");
            volume::default_claim(claim);
        });
    });
}

/// Defaults of a replication controller: its selector and labels are its template's.
pub fn default_replication_controller(controller: &mut Value) {
    let labels = controller.pointer("/spec/template/metadata/labels").filter(|labels| labels.is_object()).cloned();
    default_workload(controller, |spec| {
        set_absent(spec, "replicas", 1);
        if let Some(labels) = &labels {
            set_empty(spec, "selector", labels.clone());
        }
    });
    if let Some(labels) = labels {
        object(controller, |controller| within(controller, "metadata", |meta| set_empty(meta, "labels", labels)));
    }
}

fn default_workload(workload: &mut Value, edit: impl FnOnce(&mut Fields)) {
    object(workload, |workload| {
        within(workload, "spec", |spec| {
            edit(spec);
            within(spec, "template", pod::default_template);
        });
    });
}

/// Requires an integer that is not negative, or a percentage.
pub fn int_or_percent(node: &Node<'_>, errors: &mut Errors) {
    if node.value.is_string() {
        node.format(formats::percent(node.str()), errors);
    } else {
        node.nonnegative(errors);
    }
}

fn percent_value(node: &Node<'_>) -> Option<i64> {
    node.str().strip_suffix('%')?.parse().ok()
}

fn int_or_percent_value(node: &Node<'_>) -> i64 {
    percent_value(node)
        .unwrap_or_else(|| if node.value.is_string() { node.str().parse().unwrap_or(0) } else { node.int() })
}

/// Requires a percentage to be one of a whole.
pub fn at_most_100_percent(node: &Node<'_>, errors: &mut Errors) {
    if percent_value(node).is_some_and(|percent| percent > 100) {
        errors.push(node.invalid("must not be greater than 100%"));
    }
}

/// Requires a selector, and that it selects something. `kind` is named as upstream does.
fn selector(selector: &Node<'_>, kind: &str, errors: &mut Errors) {
    if !selector.present() {
        errors.push(selector.required(""));
        return;
    }
    meta::label_selector(selector, errors);
    if meta::selects_everything(selector) {
        errors.push(Error::invalid(
            &selector.path,
            meta::selector_text(selector.value),
            format!("empty selector is invalid for {kind}"),
        ));
    }
}

/// Whether a selector can be evaluated at all; upstream stops there where it cannot.
fn is_evaluable(selector: &Node<'_>) -> bool {
    let mut errors = Errors::new();
    meta::label_selector(selector, &mut errors);
    errors.is_empty()
}

/// An absent selector selects nothing.
fn template_matches(spec: &Node<'_>, template: &Node<'_>, errors: &mut Errors) {
    let labels = template.at("metadata").at("labels");
    if !spec.has("selector") || !meta::selects(&spec.at("selector"), labels.value) {
        errors.push(labels.invalid("`selector` does not match template `labels`"));
    }
}

fn always_restarts(template: &Node<'_>, kind: &str, errors: &mut Errors) {
    let policy = template.at("spec").at("restartPolicy");
    if policy.str() != "Always" {
        errors.push(policy.not_supported(&["Always"]));
    }
    let deadline = template.at("spec").at("activeDeadlineSeconds");
    if deadline.present() {
        errors.push(deadline.forbidden(format!("activeDeadlineSeconds in {kind} is not Supported")));
    }
}

/// The template of a replica set, also where a deployment makes it.
fn replica_template(spec: &Node<'_>, errors: &mut Errors) {
    let (selector, template) = (spec.at("selector"), spec.at("template"));
    if selector.present() && !is_evaluable(&selector) {
        let shown = meta::selector_text(selector.value);
        errors.push(Error::invalid(&selector.path, shown, "invalid label selector"));
        return;
    }
    if !selector.present() || !meta::selects_everything(&selector) {
        template_matches(spec, &template, errors);
    }
    pod::validate_template(&template, errors);
    always_restarts(&template, "ReplicaSet", errors);
}

fn name(object: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&object.at("metadata"), true, formats::subdomain_name, errors);
}

fn update_name(object: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&object.at("metadata"), &old.at("metadata"), errors);
}

fn selector_immutable(object: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    let selector = object.at("spec").at("selector");
    if selector.value != old.at("spec").get("selector") {
        errors.push(Error::invalid(&selector.path, meta::selector_text(selector.value), "field is immutable"));
    }
}

/// Judges a new deployment.
pub fn create_deployment(object: &Node<'_>, errors: &mut Errors) {
    name(object, errors);
    deployment_spec(&object.at("spec"), errors);
}

/// Judges a changed deployment.
pub fn update_deployment(object: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    update_name(object, old, errors);
    deployment_spec(&object.at("spec"), errors);
    selector_immutable(object, old, errors);
}

fn deployment_spec(spec: &Node<'_>, errors: &mut Errors) {
    spec.at("replicas").nonnegative(errors);
    selector(&spec.at("selector"), "deployment", errors);
    replica_template(spec, errors);
    let strategy = spec.at("strategy");
    let rolling = strategy.at("rollingUpdate");
    match strategy.text("type") {
        "Recreate" => {
            if rolling.present() {
                errors.push(rolling.forbidden("may not be specified when strategy `type` is 'Recreate'"));
            }
        }
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
            int_or_percent(&unavailable, errors);
            int_or_percent(&surge, errors);
            if int_or_percent_value(&unavailable) == 0 && int_or_percent_value(&surge) == 0 {
                errors.push(unavailable.invalid("may not be 0 when `maxSurge` is 0"));
            }
            at_most_100_percent(&unavailable, errors);
        }
        _ => errors.push(Error::not_supported(
            &strategy.path,
            go_struct::value("io.k8s.api.apps.v1.DeploymentStrategy", strategy.value),
            &["Recreate", "RollingUpdate"],
        )),
    }
    spec.at("minReadySeconds").nonnegative(errors);
    spec.at("revisionHistoryLimit").nonnegative(errors);
    let deadline = spec.at("progressDeadlineSeconds");
    if deadline.present() {
        deadline.nonnegative(errors);
        if deadline.int() <= spec.number("minReadySeconds").unwrap_or_default() {
            errors.push(deadline.invalid_int("must be greater than minReadySeconds"));
        }
    }
}

/// Judges a new replica set.
pub fn create_replica_set(object: &Node<'_>, errors: &mut Errors) {
    name(object, errors);
    replica_set_spec(&object.at("spec"), errors);
}

/// Judges a changed replica set.
pub fn update_replica_set(object: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    update_name(object, old, errors);
    replica_set_spec(&object.at("spec"), errors);
    selector_immutable(object, old, errors);
}

fn replica_set_spec(spec: &Node<'_>, errors: &mut Errors) {
    spec.at("replicas").nonnegative(errors);
    spec.at("minReadySeconds").nonnegative(errors);
    selector(&spec.at("selector"), "deployment", errors);
    replica_template(spec, errors);
}

/// Judges a new daemon set.
pub fn create_daemon_set(object: &Node<'_>, errors: &mut Errors) {
    name(object, errors);
    daemon_set_spec(object, errors);
}

/// Judges a changed daemon set.
pub fn update_daemon_set(object: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    update_name(object, old, errors);
    let generation = |object: &Node<'_>| {
        let annotations = object.at("metadata").at("annotations");
        annotations.text(TEMPLATE_GENERATION).parse::<i64>().unwrap_or_default()
    };
    let (new, before) = (generation(object), generation(old));
    let changed = object.at("spec").get("template") != old.at("spec").get("template");
    let path = object.path.child("spec").child("templateGeneration");
    let mut invalid = |message: &str| errors.push(Error::invalid(&path, new, message));
    if new < before {
        invalid("must not be decremented");
    }
    if new == before && changed {
        invalid("must be incremented upon template update");
    } else if new > before && !changed {
        invalid("must not be incremented without template update");
    }
    selector_immutable(object, old, errors);
    daemon_set_spec(object, errors);
}

fn daemon_set_spec(object: &Node<'_>, errors: &mut Errors) {
    let spec = object.at("spec");
    let (selector, template) = (spec.at("selector"), spec.at("template"));
    meta::label_selector(&selector, errors);
    let nothing_selected = !selector.present();
    if nothing_selected || (is_evaluable(&selector) && !meta::selects(&selector, template.at("metadata").get("labels")))
    {
        let labels = template.at("metadata").at("labels");
        errors.push(labels.invalid("`selector` does not match template `labels`"));
    }
    if selector.present() && meta::selects_everything(&selector) {
        let shown = meta::selector_text(selector.value);
        errors.push(Error::invalid(&selector.path, shown, "empty selector is invalid for daemonset"));
    }
    pod::validate_template(&template, errors);
    always_restarts(&template, "DaemonSet", errors);
    spec.at("minReadySeconds").nonnegative(errors);
    let strategy = spec.at("updateStrategy");
    match strategy.text("type") {
        "OnDelete" => {}
        "RollingUpdate" => daemon_set_rolling(&strategy.at("rollingUpdate"), errors),
        _ => errors.push(Error::not_supported(
            &strategy.path,
            go_struct::value("io.k8s.api.apps.v1.DaemonSetUpdateStrategy", strategy.value),
            &["RollingUpdate", "OnDelete"],
        )),
    }
    spec.at("revisionHistoryLimit").nonnegative(errors);
}

fn daemon_set_rolling(rolling: &Node<'_>, errors: &mut Errors) {
    if !rolling.present() {
        errors.push(rolling.required(""));
        return;
    }
    let (unavailable, surge) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
    int_or_percent(&unavailable, errors);
    int_or_percent(&surge, errors);
    at_most_100_percent(&unavailable, errors);
    at_most_100_percent(&surge, errors);
    match (int_or_percent_value(&unavailable) != 0, int_or_percent_value(&surge) != 0) {
        (true, true) => errors.push(surge.invalid("may not be set when maxUnavailable is non-zero")),
        (false, false) => errors.push(unavailable.required("cannot be 0 when maxSurge is 0")),
        _ => {}
    }
}

/// Judges a new stateful set.
pub fn create_stateful_set(object: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&object.at("metadata"), true, formats::label_name, errors);
    stateful_set_spec(&object.at("spec"), true, errors);
}

/// The fields of a stateful set that may change.
const STATEFUL_SET_MUTABLE: [&str; 7] = [
    "replicas",
    "template",
    "updateStrategy",
    "minReadySeconds",
    "ordinals",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
];

/// Judges a changed stateful set.
pub fn update_stateful_set(object: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    update_name(object, old, errors);
    let (spec, old) = (object.at("spec"), old.at("spec"));
    stateful_set_spec(&spec, false, errors);
    let fixed = |spec: &Value| {
        let mut spec = spec.clone();
        super::edit::object(&mut spec, |fields| {
            for name in STATEFUL_SET_MUTABLE {
                fields.remove(name);
            }
        });
        spec
    };
    if fixed(spec.value) != fixed(old.value) {
        errors.push(spec.forbidden("updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"));
    }
}

/// `is_new` judges what can never change only once.
fn stateful_set_spec(spec: &Node<'_>, is_new: bool, errors: &mut Errors) {
    let management = spec.at("podManagementPolicy");
    match management.str() {
        "OrderedReady" | "Parallel" => {}
        "" => errors.push(management.required("")),
        _ => errors.push(management.invalid_text("must be 'OrderedReady' or 'Parallel'")),
    }
    stateful_set_strategy(&spec.at("updateStrategy"), errors);
    if let Some(policy) = spec.at("persistentVolumeClaimRetentionPolicy").some() {
        policy.at("whenDeleted").one_of(&["Retain", "Delete"], errors);
        policy.at("whenScaled").one_of(&["Retain", "Delete"], errors);
    }
    let claims = spec.at("volumeClaimTemplates");
    if is_new {
        for claim in claims.items() {
            volume::validate_claim_spec(&claim.at("spec"), errors);
        }
    }
    spec.at("replicas").nonnegative(errors);
    spec.at("minReadySeconds").nonnegative(errors);
    let start = spec.at("ordinals").at("start");
    if start.int() < 0 {
        start.nonnegative(errors);
    }
    let service = spec.at("serviceName");
    if is_new && !service.is_empty() {
        service.format(formats::dns_label(service.str()), errors);
    }
    let labels = spec.at("selector");
    selector(&labels, "statefulset", errors);
    let template = spec.at("template");
    if labels.present() && !is_evaluable(&labels) {
        errors.push(Error::invalid(&labels.path, meta::selector_text(labels.value), ""));
    } else {
        if !labels.present() || !meta::selects_everything(&labels) {
            template_matches(spec, &template, errors);
        }
        stateful_set_template(&template, &claims, errors);
    }
    always_restarts(&template, "StatefulSet", errors);
}

fn stateful_set_strategy(strategy: &Node<'_>, errors: &mut Errors) {
    let rolling = strategy.at("rollingUpdate");
    match strategy.text("type") {
        "" => errors.push(strategy.required("")),
        "OnDelete" => {
            if rolling.present() {
                let shown = go_struct::value("io.k8s.api.apps.v1.RollingUpdateStatefulSetStrategy", rolling.value);
                let message = "only allowed for updateStrategy 'RollingUpdate'";
                errors.push(Error::invalid(&rolling.path, shown, message));
            }
        }
        "RollingUpdate" => {
            if rolling.present() {
                rolling.at("partition").nonnegative(errors);
                let unavailable = rolling.at("maxUnavailable");
                if unavailable.present() {
                    int_or_percent(&unavailable, errors);
                    if int_or_percent_value(&unavailable) == 0 {
                        errors.push(unavailable.invalid("cannot be 0"));
                    }
                    at_most_100_percent(&unavailable, errors);
                }
            }
        }
        _ => errors.push(Error::invalid(
            &strategy.path,
            go_struct::value("io.k8s.api.apps.v1.StatefulSetUpdateStrategy", strategy.value),
            "must be 'RollingUpdate' or 'OnDelete'",
        )),
    }
}

/// The template is judged as its pods will be: with the claims' volumes, and with names of their own.
fn stateful_set_template(template: &Node<'_>, claims: &Node<'_>, errors: &mut Errors) {
    let mut judged = template.value.clone();
    let names: Vec<&str> = claims.items().map(|claim| claim.at("metadata").text("name")).collect();
    object(&mut judged, |template| {
        within(template, "spec", |spec| {
            spec.remove("subdomain");
            spec.remove("hostname");
            if claims.is_empty() {
                return;
            }
            let mut volumes: Vec<Value> =
                names.iter().map(|name| json!({"name": name, "persistentVolumeClaim": {"claimName": name}})).collect();
            let own = spec.get("volumes").and_then(Value::as_array).cloned().unwrap_or_default();
            volumes.extend(own.into_iter().filter(|volume| {
                !volume.get("name").and_then(Value::as_str).is_some_and(|name| names.contains(&name))
            }));
            set(spec, "volumes", volumes);
        });
    });
    let judged = Node { value: &judged, path: template.path.clone() };
    pod::validate_template(&judged, errors);
    // Upstream judges a template's metadata here a second time.
    pod::validate_template_metadata(&judged, errors);
}

/// Judges a new controller revision.
pub fn create_controller_revision(object: &Node<'_>, errors: &mut Errors) {
    name(object, errors);
    object.at("revision").nonnegative(errors);
    let data = object.at("data");
    if !data.present() {
        errors.push(data.required("data is mandatory"));
    } else if !data.value.is_object() {
        errors.push(data.required("data must be a valid JSON object"));
    }
}

/// Judges a changed controller revision.
pub fn update_controller_revision(object: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    update_name(object, old, errors);
    name(object, errors);
    object.at("revision").nonnegative(errors);
    object.at("data").immutable(old.get("data"), errors);
}

/// Judges a new replication controller.
pub fn create_replication_controller(object: &Node<'_>, errors: &mut Errors) {
    let metadata = object.at("metadata");
    meta::validate_generated(
        &metadata,
        true,
        |name, errors| name.format(formats::dns_subdomain(name.str()), errors),
        errors,
    );
    meta::kube_finalizers(&metadata, errors);
    replication_controller_spec(&object.at("spec"), errors);
}

/// Judges a changed replication controller.
pub fn update_replication_controller(object: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    update_name(object, old, errors);
    replication_controller_spec(&object.at("spec"), errors);
}

fn replication_controller_spec(spec: &Node<'_>, errors: &mut Errors) {
    spec.at("minReadySeconds").nonnegative(errors);
    let selector = spec.at("selector");
    if selector.is_empty() {
        errors.push(selector.required(""));
    }
    spec.at("replicas").nonnegative(errors);
    let template = spec.at("template");
    if !template.present() {
        errors.push(template.required(""));
        return;
    }
    let labels = template.at("metadata").at("labels");
    if selector.texts().any(|(key, value)| !labels.has(key) || labels.text(key) != value) {
        errors.push(labels.invalid("`selector` does not match template `labels`"));
    }
    pod::validate_template(&template, errors);
    always_restarts(&template, "ReplicationController", errors);
}

/// Judges the counts in a status: none is negative, and none of `parts` more than all.
fn status_counts(status: &Node<'_>, counts: &[&'static str], parts: &[&'static str], ready: &str, errors: &mut Errors) {
    for name in counts {
        status.at(name).nonnegative(errors);
    }
    let all = status.number("replicas").unwrap_or_default();
    for name in parts {
        let part = status.at(name);
        if part.int() > all {
            errors.push(part.invalid_int("cannot be greater than status.replicas"));
        }
    }
    let available = status.at("availableReplicas");
    if available.int() > status.number("readyReplicas").unwrap_or_default() {
        errors.push(available.invalid_int(format!("cannot be greater than {ready}")));
    }
}

fn collisions_decremented(object: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    let (new, old) = (object.at("status").at("collisionCount"), old.at("status").number("collisionCount"));
    if old.is_some_and(|old| !new.present() || new.int() < old) {
        errors.push(new.invalid_int("cannot be decremented"));
    }
}

/// Judges a deployment's changed status.
pub fn status_deployment(object: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    update_name(object, old, errors);
    status_counts(
        &object.at("status"),
        &[
            "observedGeneration",
            "replicas",
            "updatedReplicas",
            "readyReplicas",
            "availableReplicas",
            "unavailableReplicas",
            "terminatingReplicas",
            "collisionCount",
        ],
        &["updatedReplicas", "readyReplicas", "availableReplicas"],
        "readyReplicas",
        errors,
    );
    collisions_decremented(object, old, errors);
}

/// Judges a replica set's or replication controller's changed status.
pub fn status_replica_set(object: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    update_name(object, old, errors);
    status_counts(
        &object.at("status"),
        &[
            "replicas",
            "fullyLabeledReplicas",
            "readyReplicas",
            "availableReplicas",
            "observedGeneration",
            "terminatingReplicas",
        ],
        &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"],
        "readyReplicas",
        errors,
    );
}

/// Judges a stateful set's changed status.
pub fn status_stateful_set(object: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    status_counts(
        &object.at("status"),
        &[
            "replicas",
            "readyReplicas",
            "currentReplicas",
            "updatedReplicas",
            "availableReplicas",
            "observedGeneration",
            "collisionCount",
        ],
        &["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"],
        "status.readyReplicas",
        errors,
    );
    update_name(object, old, errors);
    collisions_decremented(object, old, errors);
}

/// Judges a daemon set's changed status.
pub fn status_daemon_set(object: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    update_name(object, old, errors);
    let status = object.at("status");
    for name in [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ] {
        status.at(name).nonnegative(errors);
    }
    collisions_decremented(object, old, errors);
}
