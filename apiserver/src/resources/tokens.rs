//! Bearer tokens: static ones, and those of service accounts, which are made here and are good as long as their account lives.
//!
//! Upstream: `pkg/registry/core/serviceaccount/storage/token.go`, `pkg/serviceaccount/{claims,jwt}.go`.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use pintle_auth::User;
use pintle_auth::service_account::{self, Bound, Claims, Issuer};
use pintle_auth::token_file::TokenFile;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::{Qualified, Status};
use crate::object::meta;
use crate::validation::field::{Error, Errors, Path};
use crate::verbs::act::{Order, Outcome};
use crate::verbs::options::causes;
use crate::verbs::{Api, Request};

/// A token lives at least this long, in seconds.
const EXPIRATION_SECONDS_MIN: i64 = 600;
/// A token lives less than this long, in seconds.
const EXPIRATION_SECONDS_MAX: i64 = 1 << 32;
/// Pods get tokens of this life from their kubelet's projection, in seconds; they may be used for longer, as old clients do.
const PROJECTED_SECONDS: i64 = 3607;
/// For how long, in seconds.
const EXTENDED_SECONDS: i64 = 365 * 24 * 60 * 60;

/// What tokens are judged by.
pub struct Tokens {
    /// Static tokens (`--token-auth-file`).
    pub fixed: Option<TokenFile>,
    /// Who makes the tokens of service accounts.
    pub issuer: Issuer,
    /// Whom tokens must be meant for to be accepted by this server.
    pub audiences: Vec<String>,
}

/// Whom a token stands for.
pub struct Known {
    /// The identity, without the groups of everybody who is authenticated.
    pub user: User,
    /// For which of the wanted audiences it is.
    pub audiences: Vec<String>,
}

/// Why a token is refused. The text goes to whoever may create token reviews, never to the token's bearer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

/// Judges a bearer token, which must be meant for one of `audiences`.
pub async fn authenticate(api: &Api, token: &str, audiences: &[String], now: Timestamp) -> Result<Known, Refusal> {
    let both = |theirs: &[String]| audiences.iter().filter(|a| theirs.contains(*a)).cloned().collect::<Vec<_>>();
    if let Some(user) = api.tokens.fixed.as_ref().and_then(|tokens| tokens.user(token)) {
        // A static token is for this server alone.
        let audiences = both(&api.tokens.audiences);
        return if audiences.is_empty() { Err(unknown()) } else { Ok(Known { user, audiences }) };
    }
    let claims = api.tokens.issuer.verify(token, now.as_second()).ok_or_else(unknown)?;
    let claims = claims.map_err(|why| Refusal(why.to_string()))?;
    let shared = both(&claims.audiences);
    if shared.is_empty() {
        let why = format!("token audiences {:?} is invalid for the target audiences {audiences:?}", claims.audiences);
        return Err(Refusal(why));
    }
    require_alive(api, &claims, now).await?;
    Ok(Known { user: user(&claims), audiences: shared })
}

fn unknown() -> Refusal {
    Refusal("invalid bearer token".to_owned())
}

/// The account, and what the token is bound to, are there and the same as when the token was made.
async fn require_alive(api: &Api, claims: &Claims, now: Timestamp) -> Result<(), Refusal> {
    let account = Bound { name: claims.name.clone(), uid: claims.uid.clone() };
    let namespace = claims.namespace.as_str();
    let bound_node = claims.node.as_ref().filter(|_| claims.pod.is_none());
    let objects = [
        ("serviceaccounts", "service account", namespace, Some(&account)),
        ("pods", "pod", namespace, claims.pod.as_ref()),
        ("secrets", "secret", namespace, claims.secret.as_ref()),
        ("nodes", "node", "", bound_node),
    ];
    for (plural, what, namespace, object) in objects {
        let Some(object) = object else { continue };
        let found = find(api, plural, namespace, &object.name).await;
        let found = found.map_err(|why| Refusal(why.message))?;
        let place = if namespace.is_empty() { object.name.clone() } else { format!("{namespace}/{}", object.name) };
        if is_long_gone(&found, now) {
            return Err(Refusal(format!("{what} {place} has been deleted")));
        }
        if meta::uid(&found) != object.uid {
            let claim = if plural == "serviceaccounts" { "claim" } else { "claimed UID" };
            return Err(Refusal(format!("{what} UID ({}) does not match {claim} ({})", meta::uid(&found), object.uid)));
        }
    }
    Ok(())
}

/// Whether the object is on its way out for longer than clocks may differ.
fn is_long_gone(object: &Value, now: Timestamp) -> bool {
    let deleted = meta::deletion_timestamp(object).and_then(|time| time.parse::<Timestamp>().ok());
    deleted.is_some_and(|deleted| deleted < now - SignedDuration::from_secs(60))
}

/// A core object: from the cache where it is known there, so that not every request of a pod asks the store.
async fn find(api: &Api, plural: &str, namespace: &str, name: &str) -> Result<Value, Status> {
    let not_found = || Status::not_found(Qualified { group: "", name: plural }, name);
    let resource = api.resource("", "v1", plural).ok_or_else(not_found)?;
    let entry = if let Some(entry) = resource.collection.cached(namespace, name) {
        entry
    } else {
        let found = resource.collection.get(namespace, name, "").await;
        found.map_err(Status::internal)?.ok_or_else(not_found)?
    };
    resource.object(&entry)
}

/// The identity of a service account.
fn user(claims: &Claims) -> User {
    let mut user = User {
        name: claims.user_name(),
        uid: claims.uid.clone(),
        groups: vec![service_account::ALL.to_owned(), format!("{}:{}", service_account::ALL, claims.namespace)],
        ..User::default()
    };
    let mut tell = |key: &str, value: String| {
        if !value.is_empty() {
            user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
        }
    };
    for (kind, bound) in [("pod", &claims.pod), ("node", &claims.node)] {
        if let Some(bound) = bound {
            tell(&format!("{kind}-name"), bound.name.clone());
            tell(&format!("{kind}-uid"), bound.uid.clone());
        }
    }
    if !claims.id.is_empty() {
        tell("credential-id", format!("JTI={}", claims.id));
    }
    user
}

/// `TokenRequest`: makes a token for a service account.
pub async fn issue(order: Order<'_, '_>) -> Result<Outcome, Status> {
    let request = order.request;
    let mut token_request = order.object;
    let name = request.info.name.as_str();
    require_name(&token_request, name)?;
    let account = find(request.api, "serviceaccounts", request.namespace(), name).await?;
    let uid = meta::uid(&token_request);
    if !uid.is_empty() && uid != meta::uid(&account) {
        let why = format!(
            "the UID in the token request ({uid}) does not match the UID of the service account ({})",
            meta::uid(&account)
        );
        let kind = Qualified { group: "authentication.k8s.io", name: "TokenRequest" };
        return Err(Status::conflict(kind, name, &why));
    }
    complete(&mut token_request, &account, request);
    let errors = judge(&token_request["spec"]);
    if !errors.is_empty() {
        return Err(invalid("", &errors));
    }
    let spec = &token_request["spec"];
    let audiences = spec["audiences"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut claims = Claims {
        namespace: meta::namespace(&account).to_owned(),
        name: name.to_owned(),
        uid: meta::uid(&account).to_owned(),
        audiences: audiences.map(str::to_owned).collect(),
        id: Uuid::new_v4().to_string(),
        ..Claims::default()
    };
    bind(request, &spec["boundObjectRef"], &mut claims).await?;
    let seconds = spec["expirationSeconds"].as_i64().unwrap_or_default();
    let issued = request.now.as_second();
    let ours = claims.audiences.iter().all(|a| request.api.tokens.audiences.contains(a));
    let extends = claims.pod.is_some() && seconds == PROJECTED_SECONDS && ours;
    let (lives, warn_after) =
        if extends { (EXTENDED_SECONDS, Some(issued.saturating_add(seconds))) } else { (seconds, None) };
    let token = request.api.tokens.issuer.sign(&claims, issued, issued.saturating_add(lives), warn_after);
    let token = token.ok_or_else(|| Status::internal("failed to generate token"))?;
    let expires = meta::rfc3339(request.now + SignedDuration::from_secs(seconds));
    token_request["status"] = json!({ "token": token, "expirationTimestamp": expires });
    Ok(Outcome::Object(token_request))
}

fn invalid(name: &str, errors: &Errors) -> Status {
    Status::invalid(Qualified { group: "authentication.k8s.io", name: "TokenRequest" }, name, causes(errors))
}

fn require_name(token_request: &Value, name: &str) -> Result<(), Status> {
    let said = meta::name(token_request);
    if said.is_empty() || said == name {
        return Ok(());
    }
    let path = Path::new("metadata").child("name");
    let why = "must match the service account name if specified";
    Err(invalid(name, &vec![Error::invalid(&path, said, why)]))
}

/// Fills in what the client left open.
fn complete(token_request: &mut Value, account: &Value, request: &Request<'_>) {
    if token_request["spec"]["audiences"].as_array().is_none_or(Vec::is_empty) {
        token_request["spec"]["audiences"] = request.api.tokens.audiences.clone().into();
    }
    for field in ["name", "namespace", "uid"] {
        meta::set_text(token_request, field, meta::text(account, field));
    }
    meta::set_text(token_request, "creationTimestamp", meta::rfc3339(request.now));
}

fn judge(spec: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("spec").child("expirationSeconds");
    let seconds = spec["expirationSeconds"].as_i64().unwrap_or_default();
    if seconds < EXPIRATION_SECONDS_MIN {
        errors.push(Error::invalid(&path, seconds, "may not specify a duration less than 10 minutes"));
    }
    if seconds > EXPIRATION_SECONDS_MAX {
        errors.push(Error::invalid(&path, seconds, "may not specify a duration larger than 2^32 seconds"));
    }
    errors
}

/// Ties the token to the life of another object.
async fn bind(request: &Request<'_>, reference: &Value, claims: &mut Claims) -> Result<(), Status> {
    if reference.is_null() {
        return Ok(());
    }
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let (name, namespace) = (text("name"), request.namespace());
    let bound = |object: &Value| Bound { name: name.to_owned(), uid: meta::uid(object).to_owned() };
    let found = match (text("apiVersion"), text("kind")) {
        ("v1", "Pod") => {
            let pod = find(request.api, "pods", namespace, name).await?;
            if pod["spec"]["serviceAccountName"].as_str().unwrap_or_default() != claims.name {
                return Err(Status::bad_request(format!(
                    "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                    claims.name
                )));
            }
            claims.pod = Some(bound(&pod));
            if let Some(node) = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) {
                let uid = find(request.api, "nodes", "", node).await.map(|node| meta::uid(&node).to_owned());
                claims.node = Some(Bound { name: node.to_owned(), uid: uid.unwrap_or_default() });
            }
            pod
        }
        ("v1", "Secret") => {
            let secret = find(request.api, "secrets", namespace, name).await?;
            claims.secret = Some(bound(&secret));
            secret
        }
        ("v1", "Node") => {
            let node = find(request.api, "nodes", "", name).await?;
            claims.node = Some(bound(&node));
            node
        }
        (api_version, kind) => {
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            let why = format!("cannot bind token to object of type {group}/{version}, Kind={kind}");
            return Err(Status::bad_request(why));
        }
    };
    let uid = text("uid");
    if !uid.is_empty() && uid != meta::uid(&found) {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. \
             The object might have been deleted and then recreated"
        );
        return Err(Status::conflict(Qualified { group: "", name: text("kind") }, name, &why));
    }
    Ok(())
}

/// Judges tokens for the layers above the API.
#[derive(Clone)]
pub struct Bearer(Arc<Api>);

impl Bearer {
    /// Judges by what `api` knows.
    pub fn new(api: Arc<Api>) -> Self {
        Self(api)
    }

    /// Whose token this is. Why it is refused is logged and not told.
    pub async fn user(&self, token: &str, now: Timestamp) -> Option<User> {
        match authenticate(&self.0, token, &self.0.tokens.audiences, now).await {
            Ok(known) => Some(known.user),
            Err(error) => {
                tracing::info!(%error, "bearer token refused");
                None
            }
        }
    }
}
