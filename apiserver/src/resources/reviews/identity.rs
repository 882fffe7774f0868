//! Who somebody is: the caller (`kubectl auth whoami`), or whoever a token stands for.

use pintle_auth::User;
use serde_json::{Value, json};

use crate::error::Status;
use crate::object::meta;
use crate::resources::tokens;
use crate::verbs::act::{Order, Outcome};

/// `SelfSubjectReview`: who the caller is.
pub fn self_subject(order: Order<'_, '_>) -> Result<Outcome, Status> {
    let request = order.request;
    let mut review = order.object;
    meta::set_text(&mut review, "creationTimestamp", meta::rfc3339(request.now));
    review["status"] = json!({ "userInfo": user_info(request.user) });
    Ok(Outcome::Object(review))
}

/// `TokenReview`: whom a bearer token stands for.
pub async fn token(order: Order<'_, '_>) -> Result<Outcome, Status> {
    let request = order.request;
    let mut review = order.object;
    let token = review["spec"]["token"].as_str().unwrap_or_default();
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let wanted = review["spec"]["audiences"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let wanted: Vec<String> = wanted.map(str::to_owned).collect();
    let audiences = if wanted.is_empty() { request.api.tokens.audiences.clone() } else { wanted };
    review["status"] = match tokens::authenticate(request.api, token, &audiences, request.now).await {
        Ok(known) => json!({
            "authenticated": true,
            "user": user_info(&known.user.authenticated()),
            "audiences": known.audiences,
        }),
        Err(why) => json!({ "error": why.to_string(), "user": {} }),
    };
    Ok(Outcome::Object(review))
}

fn user_info(user: &User) -> Value {
    json!({ "username": user.name, "uid": user.uid, "groups": user.groups, "extra": user.extra })
}
