//! How others learn to know this server's service account tokens: its name as an issuer, and its public key.
//!
//! Upstream: `pkg/routes/openidmetadata.go`.

use http::Response;
use http::header::{CACHE_CONTROL, HeaderValue};
use pintle_auth::service_account::Issuer;

use super::body::Body;
use super::respond;
use crate::error::Status;

const CONFIGURATION: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/openid/v1/jwks";
const KEYS_TYPE: &str = "application/jwk-set+json";

/// The document at `path`, `None` if there is none; `address` is where clients reach the server, `accept` what the client takes.
pub fn answer(issuer: &Issuer, path: &str, address: &str, accept: &str) -> Result<Option<Response<Body>>, Status> {
    let (media_type, document) = match path {
        CONFIGURATION => ("application/json", issuer.configuration(&format!("https://{address}{KEYS}"))),
        KEYS => (KEYS_TYPE, issuer.key_set()),
        _ => return Ok(None),
    };
    if !accepts(accept, media_type) {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {media_type}");
        return Err(Status::http(406, "NotAcceptable", &message));
    }
    let mut response = respond::bytes(media_type, document.to_string());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    Ok(Some(response))
}

fn accepts(accept: &str, media_type: &str) -> bool {
    let mut ranges = accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
    accept.trim().is_empty() || ranges.any(|range| matches!(range, "*/*" | "application/*") || range == media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_takes_a_type_or_a_range_of_types() {
        for accept in ["", "*/*", "text/html, application/*;q=0.5", KEYS_TYPE] {
            assert!(accepts(accept, KEYS_TYPE), "{accept}");
        }
        assert!(!accepts("application/json", KEYS_TYPE));
    }
}
