//! Webhook configurations, admission policies, and API services.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::Value;

use super::column::{AGE, Doc, NAME, integer, string};
use super::duration::age;
use super::read::{at, condition, list, map, text};
use super::{Printer, cells};

pub fn printer(kind: &str) -> Option<&'static Printer> {
    match kind {
        "APIService" => Some(&API_SERVICE),
        "MutatingAdmissionPolicy" => Some(&MUTATING_POLICY),
        "MutatingAdmissionPolicyBinding" | "ValidatingAdmissionPolicyBinding" => Some(&POLICY_BINDING),
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => Some(&WEBHOOKS),
        "ValidatingAdmissionPolicy" => Some(&VALIDATING_POLICY),
        _ => None,
    }
}

static API_SERVICE: Printer = Printer::new(
    &[
        NAME,
        string("Service", Doc::Text("The reference to the service that hosts this API endpoint.")),
        string("Available", Doc::Text("Whether this service is available.")),
        AGE,
    ],
    |object, now| {
        let service = at(object, "spec.service");
        let service = service.map(|service| format!("{}/{}", text(service, "namespace"), text(service, "name")));
        let available = condition(object, "Available").map_or_else(
            || "Unknown".to_owned(),
            |condition| match (text(condition, "status"), text(condition, "reason")) {
                (status, reason) if status == "True" || reason.is_empty() => status.to_owned(),
                (status, reason) => format!("{status} ({reason})"),
            },
        );
        cells![text(object, "metadata.name"), service.as_deref().unwrap_or("Local"), available, age(object, now)]
    },
);

static WEBHOOKS: Printer = {
    const WEBHOOKS: &str = "Webhooks indicates the number of webhooks registered in this configuration";
    Printer::new(&[NAME, integer("Webhooks", Doc::Text(WEBHOOKS)), AGE], |object, now| {
        cells![text(object, "metadata.name"), list(object, "webhooks").len(), age(object, now)]
    })
};

const PARAM_KIND: Doc = Doc::Text("ParamKind specifies the kind of resources used to parameterize this policy");

static VALIDATING_POLICY: Printer = {
    const VALIDATIONS: &str = "Validations indicates the number of validation rules defined in this configuration";
    Printer::new(
        &[NAME, integer("Validations", Doc::Text(VALIDATIONS)), string("ParamKind", PARAM_KIND), AGE],
        |object, now| policy(object, "spec.validations", now),
    )
};

static MUTATING_POLICY: Printer = {
    const MUTATIONS: &str = "Mutation indicates the number of mutations rules defined in this configuration";
    Printer::new(
        &[NAME, integer("Mutations", Doc::Text(MUTATIONS)), string("ParamKind", PARAM_KIND), AGE],
        |object, now| policy(object, "spec.mutations", now),
    )
};

fn policy(object: &Value, rules: &str, now: Timestamp) -> Vec<Value> {
    let kind = at(object, "spec.paramKind");
    let kind = kind.map(|kind| format!("{}/{}", text(kind, "apiVersion"), text(kind, "kind")));
    cells![
        text(object, "metadata.name"),
        list(object, rules).len(),
        kind.as_deref().unwrap_or("<unset>"),
        age(object, now),
    ]
}

static POLICY_BINDING: Printer = {
    const POLICY: &str = "PolicyName indicates the policy definition which the policy binding binded to";
    const PARAM: &str = "ParamRef indicates the param resource which sets the configuration param";
    Printer::new(
        &[NAME, string("PolicyName", Doc::Text(POLICY)), string("ParamRef", Doc::Text(PARAM)), AGE],
        |object, now| {
            cells![
                text(object, "metadata.name"),
                text(object, "spec.policyName"),
                parameter(object).unwrap_or_else(|| "<unset>".to_owned()),
                age(object, now),
            ]
        },
    )
};

/// The object that parameterizes a binding, or the selector of several.
fn parameter(binding: &Value) -> Option<String> {
    let reference = at(binding, "spec.paramRef")?;
    let (namespace, name) = (text(reference, "namespace"), text(reference, "name"));
    if !name.is_empty() {
        // The kind may be cluster-scoped; nothing here says so.
        return Some(format!("{}/{name}", if namespace.is_empty() { "*" } else { namespace }));
    }
    at(reference, "selector").map(go_selector)
}

/// A label selector in the notation of Go's generated `String` method.
fn go_selector(selector: &Value) -> String {
    let mut out = String::from("&LabelSelector{MatchLabels:map[string]string{");
    // Writing to a string cannot fail.
    for (key, value) in map(selector, "matchLabels").into_iter().flatten() {
        let _ = write!(out, "{key}: {},", value.as_str().unwrap_or_default());
    }
    out.push_str("},MatchExpressions:[]LabelSelectorRequirement{");
    for expression in list(selector, "matchExpressions") {
        let values: Vec<&str> = list(expression, "values").iter().filter_map(Value::as_str).collect();
        let (key, operator) = (text(expression, "key"), text(expression, "operator"));
        let _ =
            write!(out, "LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{}],}},", values.join(" "));
    }
    out + "},}"
}
