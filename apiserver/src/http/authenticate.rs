//! Who sent a request: the authenticators in order, over what the connection and the headers show.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use pintle_auth::User;
use pintle_auth::x509::ClientCertificates;

use super::server::Peer;
use crate::error::Status;
use crate::resources::tokens::Bearer;

/// The configured authenticators.
#[derive(Default)]
pub struct Authenticators {
    /// Judges client certificates (`--client-ca-file`).
    pub certificates: Option<ClientCertificates>,
    /// Judges bearer tokens.
    pub tokens: Option<Bearer>,
    /// Whether a request without credentials is let in as `system:anonymous` (`--anonymous-auth`).
    pub anonymous: bool,
}

impl Authenticators {
    /// The caller's identity. Credentials that no authenticator accepts are an error, even where anonymous requests are let in;
    /// the cause is logged and not told.
    pub async fn authenticate(&self, peer: &Peer, headers: &HeaderMap) -> Result<User, Status> {
        let mut refused = false;
        if let (Some(judge), false) = (&self.certificates, peer.certificates.is_empty()) {
            match judge.user(&peer.certificates, now()) {
                Ok(user) => return Ok(user.authenticated()),
                Err(error) => {
                    tracing::info!(address = %peer.address, %error, "client certificate refused");
                    refused = true;
                }
            }
        }
        if let Some(token) = bearer_token(headers) {
            let user = match &self.tokens {
                Some(tokens) => tokens.user(token, Timestamp::now()).await,
                None => None,
            };
            match user {
                Some(user) => return Ok(user.authenticated()),
                None => refused = true,
            }
        }
        if refused || !self.anonymous {
            return Err(Status::unauthorized());
        }
        Ok(User::anonymous())
    }
}

/// The bearer token of a request, if it carries one.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
