//! What somebody may do: the caller (`kubectl auth can-i`), or anybody.
//!
//! Upstream: `pkg/apis/authorization/validation`, `pkg/registry/authorization`.

use std::collections::BTreeMap;

use pintle_auth::User;
use pintle_auth::authorize::{Attributes, Decision};
use serde_json::{Value, json};

use crate::error::{Qualified, Status};
use crate::validation::field::{Error, Errors, Path};
use crate::verbs::act::{Order, Outcome};
use crate::verbs::options::causes;

const GROUP: &str = "authorization.k8s.io";

/// `SubjectAccessReview` and its `Local` and `Self` variants: whether a subject may do one thing.
pub fn review(order: Order<'_, '_>) -> Result<Outcome, Status> {
    let request = order.request;
    let mut review = order.object;
    let errors = judge(&request.spec.kind, &review);
    if !errors.is_empty() {
        return Err(Status::invalid(Qualified { group: GROUP, name: &request.spec.kind }, "", causes(&errors)));
    }
    let asks_for_itself = request.spec.kind == "SelfSubjectAccessReview";
    let user = if asks_for_itself { request.user.clone() } else { subject(&review["spec"]) };
    review["status"] = match request.api.authorizer.authorize(&user, &attributes(&review["spec"])) {
        Decision::Allow => json!({ "allowed": true }),
        Decision::Deny(reason) => json!({ "allowed": false, "reason": reason }),
    };
    Ok(Outcome::Object(review))
}

/// `SelfSubjectRulesReview`: everything that the caller may do in a namespace, as far as the authorizer can list it.
pub fn rules(order: Order<'_, '_>) -> Result<Outcome, Status> {
    let request = order.request;
    let mut review = order.object;
    let namespace = review["spec"]["namespace"].as_str().unwrap_or_default().to_owned();
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let everything =
        |attributes: &Attributes<'_>| request.api.authorizer.authorize(request.user, attributes) == Decision::Allow;
    let any = Attributes::Resource {
        verb: "*",
        group: "*",
        version: "*",
        resource: "*",
        subresource: "",
        name: "",
        namespace: &namespace,
    };
    let resources =
        everything(&any).then(|| json!({ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] })).into_iter();
    let path = Attributes::Path { verb: "*", path: "*" };
    let paths = everything(&path).then(|| json!({ "verbs": ["*"], "nonResourceURLs": ["*"] })).into_iter();
    let (resources, paths) = (resources.collect::<Vec<_>>(), paths.collect::<Vec<_>>());
    // Whoever may not do everything may still do something that no rule here tells.
    let incomplete = resources.is_empty() || paths.is_empty();
    review["status"] = json!({ "resourceRules": resources, "nonResourceRules": paths, "incomplete": incomplete });
    Ok(Outcome::Object(review))
}

/// Faults of a review in the order in which kube-apiserver lists them.
fn judge(kind: &str, review: &Value) -> Errors {
    let mut errors = Errors::new();
    let (spec, path) = (&review["spec"], Path::new("spec"));
    let (resource, other) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    if !resource.is_null() && !other.is_null() {
        let why = "cannot be specified in combination with resourceAttributes";
        errors.push(Error::invalid(&path.child("nonResourceAttributes"), other, why));
    }
    if resource.is_null() && other.is_null() {
        let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        errors.push(Error::invalid(&path.child("resourceAttributes"), Value::Null, why));
    }
    let nobody = spec["user"].as_str().is_none_or(str::is_empty) && spec["groups"].as_array().is_none_or(Vec::is_empty);
    if nobody && kind != "SelfSubjectAccessReview" {
        let why = "at least one of user or group must be specified";
        errors.push(Error::invalid(&path.child("user"), "", why));
    }
    if kind == "LocalSubjectAccessReview" {
        let namespace = resource["namespace"].as_str().unwrap_or_default();
        if !resource.is_null() && namespace != review["metadata"]["namespace"].as_str().unwrap_or_default() {
            let path = path.child("resourceAttributes").child("namespace");
            errors.push(Error::invalid(&path, namespace, "must match metadata.namespace"));
        }
        if !other.is_null() {
            let why = "disallowed on this kind of request";
            errors.push(Error::invalid(&path.child("nonResourceAttributes"), other, why));
        }
    }
    errors
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn subject(spec: &Value) -> User {
    let extra = spec["extra"].as_object().into_iter().flatten();
    User {
        name: text(spec, "user").to_owned(),
        uid: text(spec, "uid").to_owned(),
        groups: texts(&spec["groups"]),
        extra: extra.map(|(key, values)| (key.to_lowercase(), texts(values))).collect::<BTreeMap<_, _>>(),
    }
}

fn attributes(spec: &Value) -> Attributes<'_> {
    let resource = &spec["resourceAttributes"];
    if resource.is_null() {
        let path = &spec["nonResourceAttributes"];
        return Attributes::Path { verb: text(path, "verb"), path: text(path, "path") };
    }
    Attributes::Resource {
        verb: text(resource, "verb"),
        group: text(resource, "group"),
        version: text(resource, "version"),
        resource: text(resource, "resource"),
        subresource: text(resource, "subresource"),
        name: text(resource, "name"),
        namespace: text(resource, "namespace"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(kind: &str, review: &Value) -> Vec<String> {
        judge(kind, review).into_iter().map(|e| e.field).collect()
    }

    #[test]
    fn a_review_asks_one_thing_of_somebody() {
        let one = json!({"spec": {"user": "ann", "resourceAttributes": {"verb": "get"}}});
        assert!(faults("SubjectAccessReview", &one).is_empty());
        assert_eq!(faults("SubjectAccessReview", &json!({"spec": {}})), ["spec.resourceAttributes", "spec.user"]);
        assert_eq!(faults("SelfSubjectAccessReview", &json!({"spec": {}})), ["spec.resourceAttributes"]);
        let local = json!({"metadata": {"namespace": "a"},
            "spec": {"user": "ann", "resourceAttributes": {"namespace": "b"}}});
        assert_eq!(faults("LocalSubjectAccessReview", &local), ["spec.resourceAttributes.namespace"]);
    }
}
