//! The one error type of the apiserver: an API `Status`, as `k8s.io/apimachinery/pkg/api/errors` words it.
//!
//! Layers below the verbs have typed errors of their own and convert into this one; `http/status.rs` alone makes bytes of it.

use serde_json::{Map, Value, json};

/// A failure in the terms of the API. Displayed as its message.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// The machine-readable reason; empty where the API knows none (it is then left out).
    pub reason: &'static str,
    /// The text for people.
    pub message: String,
    /// What the failure is about. `None` is left out of the body, an empty one is written as `{}`.
    pub details: Option<Box<Details>>,
    /// How to go on with a list whose page has expired, for `metadata.continue`.
    pub continue_token: Option<Box<str>>,
}

/// What a failure is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// The object's name.
    pub name: String,
    /// The API group.
    pub group: String,
    /// The resource or kind.
    pub kind: String,
    /// The object's uid.
    pub uid: String,
    /// Single faults, such as one per invalid field.
    pub causes: Vec<Cause>,
    /// When to try again, in seconds; 0 is left out.
    pub retry_after_seconds: u32,
}

/// One fault among several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cause {
    /// Machine-readable; may be empty.
    pub reason: String,
    /// For people.
    pub message: String,
    /// The path of the field at fault; may be empty.
    pub field: String,
}

/// A resource or kind with its group, which error texts print as `deployments.apps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Qualified<'a> {
    /// The API group; empty for core.
    pub group: &'a str,
    /// The plural resource name, or the kind.
    pub name: &'a str,
}

impl std::fmt::Display for Qualified<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.group {
            "" => f.write_str(self.name),
            group => write!(f, "{}.{group}", self.name),
        }
    }
}

impl Status {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, continue_token: None }
    }

    fn about(mut self, what: Qualified<'_>, name: &str) -> Self {
        let details = Details {
            name: name.to_owned(),
            group: what.group.to_owned(),
            kind: what.name.to_owned(),
            ..Details::default()
        };
        self.details = Some(Box::new(details));
        self
    }

    fn with_details(mut self, details: Details) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401: no authenticator accepts the credentials.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403 for an operation on a resource; `name` may be empty.
    pub fn forbidden(resource: Qualified<'_>, name: &str, why: &str) -> Self {
        let message = match (resource.name, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{resource} is forbidden: {why}"),
            _ => format!("{resource} \"{name}\" is forbidden: {why}"),
        };
        Self::new(403, "Forbidden", message).about(resource, name)
    }

    /// 404: the named object does not exist.
    pub fn not_found(resource: Qualified<'_>, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{resource} \"{name}\" not found")).about(resource, name)
    }

    /// 404: nothing is served at this path.
    pub fn no_such_resource() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource").with_details(Details::default())
    }

    /// 405: the path exists, the method does not.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message).with_details(Details::default())
    }

    /// 405: the resource does not support the operation.
    pub fn not_supported(resource: Qualified<'_>, operation: &str) -> Self {
        let message = format!("{operation} is not supported on resources of kind \"{resource}\"");
        Self::new(405, "MethodNotAllowed", message).about(resource, "")
    }

    /// 406: none of the representations that the client accepts is offered; `offered` lists what is.
    pub fn not_acceptable(offered: &str) -> Self {
        Self::new(406, "NotAcceptable", format!("only the following media types are accepted: {offered}"))
    }

    /// 409: an object of this name exists.
    pub fn already_exists(resource: Qualified<'_>, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{resource} \"{name}\" already exists")).about(resource, name)
    }

    /// 409: the operation was made for another state of the object.
    pub fn conflict(resource: Qualified<'_>, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// 410: the revision that was asked for is gone.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// The same, with a token by which a list can go on.
    #[must_use]
    pub fn continued_by(mut self, token: Option<String>) -> Self {
        self.continue_token = token.map(String::into_boxed_str);
        self
    }

    /// 413: the body is over `limit_bytes`.
    pub fn too_large(limit_bytes: usize) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit_bytes}"))
    }

    /// 415: the body's media type cannot be decoded; `accepted` lists what can.
    pub fn unsupported_media_type(accepted: &str) -> Self {
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 422: the object breaks rules; each cause names a field.
    pub fn invalid(kind: Qualified<'_>, name: &str, causes: Vec<Cause>) -> Self {
        let texts: Vec<String> = causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        let faults = match texts.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        let mut status = Self::new(422, "Invalid", format!("{kind} \"{name}\" is invalid: {faults}")).about(kind, name);
        if let Some(details) = &mut status.details {
            details.causes = causes;
        }
        status
    }

    /// 422 without a field: the request is well-formed and cannot be carried out.
    pub fn unprocessable() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::new(422, "Invalid", message).with_details(Details::default())
    }

    /// 429: try again after `retry_after_seconds`.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        let details = Details { retry_after_seconds, ..Details::default() };
        Self::new(429, "TooManyRequests", message).with_details(details)
    }

    /// 500: a fault of the server. The text is shown to the client, so it must hold no secret.
    pub fn internal(why: impl std::fmt::Display) -> Self {
        let cause = Cause { message: why.to_string(), ..Cause::default() };
        Self::new(500, "InternalError", format!("Internal error occurred: {why}"))
            .with_details(Details { causes: vec![cause], ..Details::default() })
    }

    /// 500 with nothing but a text, as plain Go errors become one.
    pub fn plain(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// 503: not able to serve at the moment.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// 504: the operation could not be completed in time.
    pub fn timeout(message: &str, retry_after_seconds: u32) -> Self {
        Self::new(504, "Timeout", format!("Timeout: {message}"))
            .with_details(Details { retry_after_seconds, ..Details::default() })
    }

    /// An error known to HTTP only, worded as apimachinery words what it meets on the wire.
    pub fn http(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, reason, message).with_details(Details::default())
    }

    /// Adds a cause, making details where there are none.
    #[must_use]
    pub fn cause(mut self, reason: &str, message: &str, field: &str) -> Self {
        let cause = Cause { reason: reason.to_owned(), message: message.to_owned(), field: field.to_owned() };
        self.details.get_or_insert_default().causes.push(cause);
        self
    }

    /// When the client may try again, in seconds, where the failure says so.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.details.as_ref().map(|d| d.retry_after_seconds).filter(|&s| s > 0)
    }

    /// The `v1` `Status` object.
    pub fn to_value(&self) -> Value {
        let mut object = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if let Some(token) = &self.continue_token {
            object["metadata"]["continue"] = (**token).into();
        }
        if !self.reason.is_empty() {
            object["reason"] = self.reason.into();
        }
        if let Some(details) = &self.details {
            object["details"] = details.to_value();
        }
        object
    }
}

impl Details {
    /// The `details` of a `Status`.
    pub fn to_value(&self) -> Value {
        let mut object = Map::new();
        let mut text = |key: &str, value: &str| {
            if !value.is_empty() {
                object.insert(key.to_owned(), value.into());
            }
        };
        text("name", &self.name);
        text("group", &self.group);
        text("kind", &self.kind);
        text("uid", &self.uid);
        if !self.causes.is_empty() {
            object.insert("causes".to_owned(), self.causes.iter().map(Cause::to_value).collect());
        }
        if self.retry_after_seconds > 0 {
            object.insert("retryAfterSeconds".to_owned(), self.retry_after_seconds.into());
        }
        Value::Object(object)
    }
}

impl Cause {
    fn to_value(&self) -> Value {
        let fields = [("reason", &self.reason), ("message", &self.message), ("field", &self.field)];
        fields
            .into_iter()
            .filter(|(_, v)| !v.is_empty())
            .map(|(k, v)| (k.to_owned(), Value::from(v.as_str())))
            .collect()
    }
}

/// A `v1` `Status` that reports success, as deletions answer.
pub fn success(details: Option<&Details>, code: Option<u16>) -> Value {
    let mut object = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" });
    if let Some(details) = details {
        object["details"] = details.to_value();
    }
    if let Some(code) = code {
        object["code"] = code.into();
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPLOYMENTS: Qualified<'_> = Qualified { group: "apps", name: "deployments" };

    #[test]
    fn words_failures_as_kubernetes_does() {
        let texts = [
            (Status::not_found(DEPLOYMENTS, "d"), "deployments.apps \"d\" not found"),
            (Status::already_exists(Qualified { group: "", name: "pods" }, "p"), "pods \"p\" already exists"),
            (Status::forbidden(DEPLOYMENTS, "", "why"), "deployments.apps is forbidden: why"),
            (Status::forbidden(Qualified { group: "", name: "" }, "", "why"), "forbidden: why"),
            (Status::conflict(DEPLOYMENTS, "d", "why"), "Operation cannot be fulfilled on deployments.apps \"d\": why"),
        ];
        for (status, text) in texts {
            assert_eq!(status.message, text);
        }
    }

    #[test]
    fn lists_the_faults_of_an_invalid_object() {
        let cause = |field: &str| Cause { reason: "r".into(), message: "m".into(), field: field.into() };
        let kind = Qualified { group: "apps", name: "Deployment" };
        assert_eq!(Status::invalid(kind, "d", vec![cause("a")]).message, "Deployment.apps \"d\" is invalid: a: m");
        let two = Status::invalid(kind, "d", vec![cause("a"), cause("b")]);
        assert_eq!(two.message, "Deployment.apps \"d\" is invalid: [a: m, b: m]");
        assert_eq!(two.to_value()["details"]["causes"][1], json!({"reason": "r", "message": "m", "field": "b"}));
    }
}
