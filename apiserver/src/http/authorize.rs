//! Whether the caller may do what the request asks for, and the text of a refusal.

use pintle_auth::User;
use pintle_auth::authorize::{Attributes, Authorizer, Decision};

use super::request_info::RequestInfo;
use crate::error::{Qualified, Status};

/// Lets the request pass or says in Kubernetes' words why not.
pub fn authorize(authorizer: &dyn Authorizer, user: &User, info: &RequestInfo) -> Result<(), Status> {
    let attributes = attributes(info);
    match authorizer.authorize(user, &attributes) {
        Decision::Allow => Ok(()),
        Decision::Deny(reason) => Err(refusal(user, info, &attributes, &reason)),
    }
}

/// The refusal of the request as if it had been for another verb.
pub fn refused_as(user: &User, info: &RequestInfo, verb: &str) -> Status {
    let mut attributes = attributes(info);
    match &mut attributes {
        Attributes::Resource { verb: asked, .. } | Attributes::Path { verb: asked, .. } => *asked = verb,
    }
    refusal(user, info, &attributes, "")
}

fn attributes(info: &RequestInfo) -> Attributes<'_> {
    if !info.is_resource {
        return Attributes::Path { verb: info.verb, path: &info.path };
    }
    Attributes::Resource {
        verb: info.verb,
        group: &info.group,
        version: &info.version,
        resource: &info.resource,
        subresource: &info.subresource,
        name: &info.name,
        namespace: &info.namespace,
    }
}

/// `k8s.io/apiserver/pkg/endpoints/handlers/responsewriters.ForbiddenStatusError`.
fn refusal(user: &User, info: &RequestInfo, attributes: &Attributes<'_>, reason: &str) -> Status {
    let mut message = match *attributes {
        Attributes::Path { verb, path } => format!("User {:?} cannot {verb} path {path:?}", user.name),
        Attributes::Resource { verb, group, resource, subresource, namespace, .. } => {
            let slash = if subresource.is_empty() { "" } else { "/" };
            let place = match namespace {
                "" => "at the cluster scope".to_owned(),
                namespace => format!("in the namespace {namespace:?}"),
            };
            let what = format!("{resource}{slash}{subresource}");
            format!("User {:?} cannot {verb} resource {what:?} in API group {group:?} {place}", user.name)
        }
    };
    // The text may end up in a page: what looks like markup is made harmless, as kube-apiserver does.
    message = message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    if !reason.is_empty() {
        message = format!("{message}: {reason}");
    }
    Status::forbidden(Qualified { group: &info.group, name: &info.resource }, &info.name, &message)
}
