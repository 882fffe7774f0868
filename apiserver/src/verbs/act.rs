//! POST of an object that is not stored but acted upon: reviews are answered, pods are bound and evicted, tokens are made.

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use serde_json::Value;

use super::options::WriteOptions;
use super::{Reply, Request, create, decode, present};
use crate::admission::{Attributes, Operation};
use crate::error::{Status, success};
use crate::object::fields::FieldSet;
use crate::object::managed_fields::{self, Context};
use crate::object::meta;
use crate::resources::pods::{binding, eviction};
use crate::resources::{reviews, tokens};

/// What a POST asks for.
pub struct Order<'a, 'r> {
    /// The request.
    pub request: &'a Request<'r>,
    /// The options of its query.
    pub options: &'a WriteOptions,
    /// The object in its body: decoded, admitted, and not judged yet.
    pub object: Value,
}

/// What came of it.
pub enum Outcome {
    /// It is done; there is nothing to show.
    Done,
    /// The object, answered.
    Object(Value),
}

type Act = for<'a> fn(Order<'a, 'a>) -> BoxFuture<'a, Result<Outcome, Status>>;

/// What is done with objects posted to this endpoint; `None` where they are stored.
fn act(request: &Request<'_>) -> Option<Act> {
    let spec = request.spec;
    Some(match (spec.group.as_str(), spec.plural.as_str(), request.subresource_name()) {
        ("", "pods", "binding") | ("", "bindings", "") => |order| binding::bind(order).boxed(),
        ("", "pods", "eviction") => |order| eviction::evict(order).boxed(),
        ("", "serviceaccounts", "token") => |order| tokens::issue(order).boxed(),
        ("authentication.k8s.io", "selfsubjectreviews", "") => {
            |order| ready(reviews::identity::self_subject(order)).boxed()
        }
        ("authentication.k8s.io", "tokenreviews", "") => |order| reviews::identity::token(order).boxed(),
        ("authorization.k8s.io", "selfsubjectrulesreviews", "") => |order| ready(reviews::access::rules(order)).boxed(),
        ("authorization.k8s.io", _, "") => |order| ready(reviews::access::review(order)).boxed(),
        _ => return None,
    })
}

/// Does what the object in the body asks for; `None` where it is to be stored instead.
pub async fn run(request: &Request<'_>) -> Option<Result<Reply, Status>> {
    Some(carry_out(request, act(request)?).await)
}

async fn carry_out(request: &Request<'_>, act: Act) -> Result<Reply, Status> {
    let gvk = request.subresource.map_or_else(|| request.spec.gvk(), |subresource| subresource.gvk.clone());
    let ty =
        present::type_of(request.api.registry, &gvk).ok_or_else(|| Status::internal(format!("no type for {gvk}")))?;
    let options = WriteOptions::parse(request.query, "CreateOptions")?;
    let mut object = decode::body(request, &gvk, &ty, options.field_validation)?;
    create::require_namespace(request, &mut object)?;
    managed_fields::update(
        None,
        &mut object,
        &Context {
            ty: &ty,
            kind: &gvk,
            manager: &request.manager(&options.field_manager),
            subresource: Some(request.subresource_name()).filter(|s| !s.is_empty()),
            now: &meta::rfc3339(request.now),
            reset: &FieldSet::default(),
        },
    );
    let name = if request.subresource.is_some() { request.info.name.clone() } else { meta::name(&object).to_owned() };
    let attributes = Attributes {
        request,
        operation: Operation::Create,
        name: &name,
        subresource: request.subresource_name(),
        old: None,
        dry_run: options.dry_run,
    };
    request.api.admission.admit(&attributes, &mut object).await?;
    request.api.admission.validate(&attributes, &object).await?;
    match act(Order { request, options: &options, object }).await? {
        Outcome::Done => Reply::object(request, 201, &success(None, Some(201))),
        Outcome::Object(mut object) => {
            crate::schema::complete(&mut object, &ty);
            Reply::object(request, 201, &object)
        }
    }
}
