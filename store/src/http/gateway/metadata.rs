//! Which headers of a request reach the method as metadata.

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

/// What headers that are meant as metadata begin with.
const PREFIX: &str = "grpc-metadata-";

/// The metadata that a request's headers carry. The token of a user is in `authorization` here and in `token` there.
pub fn of(headers: &HeaderMap) -> HeaderMap {
    let mut metadata = HeaderMap::new();
    for (name, value) in headers {
        let name = name.as_str().strip_prefix(PREFIX).and_then(|name| name.parse::<HeaderName>().ok());
        if let Some(name) = name.filter(|name| !is_reserved(name)) {
            metadata.append(name, value.clone());
        }
    }
    let token = HeaderName::from_static("token");
    if let Some(value) = headers.get(AUTHORIZATION)
        && !metadata.contains_key(&token)
    {
        metadata.insert(token, value.clone());
    }
    metadata
}

/// gRPC's own headers, and binary ones, which the API does not use.
fn is_reserved(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("grpc-") || name.ends_with("-bin") || matches!(name, "te" | "content-type" | "user-agent")
}

/// How long the client is willing to wait: gRPC's `grpc-timeout`.
pub fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, String> {
    let Some(value) = headers.get("grpc-timeout").and_then(|value| value.to_str().ok()) else { return Ok(None) };
    let parsed = || {
        let amount: u64 = value.get(..value.len().checked_sub(1)?)?.parse().ok()?;
        Some(match value.bytes().last()? {
            b'H' => Duration::from_secs(amount.checked_mul(3600)?),
            b'M' => Duration::from_secs(amount.checked_mul(60)?),
            b'S' => Duration::from_secs(amount),
            b'm' => Duration::from_millis(amount),
            b'u' => Duration::from_micros(amount),
            b'n' => Duration::from_nanos(amount),
            _ => return None,
        })
    };
    parsed().map(Some).ok_or_else(|| format!("invalid grpc-timeout: {value}"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn headers_become_metadata() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("authorization", "t"), ("grpc-metadata-hasleader", "true"), ("grpc-metadata-te", "x"), ("host", "h")]
        {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let metadata = of(&headers);
        assert_eq!(metadata.len(), 2);
        assert_eq!(metadata["token"], "t");
        assert_eq!(metadata["hasleader"], "true");
    }

    #[test]
    fn timeouts_have_a_unit() {
        let read = |text| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", HeaderValue::from_static(text));
            timeout(&headers)
        };
        assert_eq!(timeout(&HeaderMap::new()), Ok(None));
        assert_eq!(read("250m"), Ok(Some(Duration::from_millis(250))));
        assert_eq!(read("5x"), Err("invalid grpc-timeout: 5x".to_owned()));
        assert_eq!(read("S"), Err("invalid grpc-timeout: S".to_owned()));
    }
}
