//! The only place where an error becomes a gRPC status.

use tonic::body::Body;
use tonic::{Code, Status};

use crate::error::{self, StoreError};

/// What a client is told of an error: etcd's code and text.
#[allow(clippy::needless_pass_by_value, reason = "what `map_err` takes")]
pub fn status(error: StoreError) -> Status {
    if !error.is_deterministic() {
        tracing::error!(%error, "request failed");
    }
    Status::new(code(error.code()), error.to_string())
}

/// An option of a request that this server, like etcd, does not offer.
pub fn unsupported(text: &'static str) -> Status {
    Status::unimplemented(text)
}

/// The health service was asked for a service that it does not know.
pub fn unknown_service() -> Status {
    Status::not_found("unknown service")
}

/// An error of a service that is a client of the others: clients report errors by their text alone.
pub fn unknown(text: impl Into<String>) -> Status {
    Status::unknown(text)
}

/// What a client makes of the error that a service answered.
#[allow(clippy::needless_pass_by_value, reason = "what `map_err` takes")]
pub fn seen_by_client(status: Status) -> Status {
    unknown(status.message())
}

/// The services that there are.
pub(super) const SERVICES: [&str; 9] = [
    "etcdserverpb.Auth",
    "etcdserverpb.Cluster",
    "etcdserverpb.KV",
    "etcdserverpb.Lease",
    "etcdserverpb.Maintenance",
    "etcdserverpb.Watch",
    "grpc.health.v1.Health",
    "v3electionpb.Election",
    "v3lockpb.Lock",
];

/// What was refused before a service saw it, in the words of etcd's gRPC library instead of ours.
pub fn reworded(response: http::Response<Body>, path: &str) -> http::Response<Body> {
    if !response.headers().contains_key("grpc-status") {
        return response;
    }
    let refusal = Status::from_header_map(response.headers());
    refusal.and_then(|refusal| in_etcds_words(&refusal, path)).map_or(response, Status::into_http)
}

fn in_etcds_words(refusal: &Status, path: &str) -> Option<Status> {
    let message = refusal.message();
    match refusal.code() {
        Code::OutOfRange => {
            let sizes = message.strip_prefix("Error, decoded message length too large: found ")?;
            let (found, limit) = sizes.strip_suffix(" bytes")?.split_once(" bytes, the limit is: ")?;
            let text = format!("grpc: received message larger than max ({found} vs. {limit})");
            Some(Status::resource_exhausted(text))
        }
        Code::Internal if message.starts_with("failed to decode Protobuf message") => {
            let text = "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data";
            Some(Status::internal(text))
        }
        Code::Unimplemented if message.is_empty() => {
            let (service, method) = path.strip_prefix('/').unwrap_or(path).split_once('/').unwrap_or((path, ""));
            Some(Status::unimplemented(if SERVICES.contains(&service) {
                format!("unknown method {method} for service {service}")
            } else {
                format!("unknown service {service}")
            }))
        }
        _ => None,
    }
}

fn code(code: error::Code) -> Code {
    match code {
        error::Code::InvalidArgument => Code::InvalidArgument,
        error::Code::NotFound => Code::NotFound,
        error::Code::ResourceExhausted => Code::ResourceExhausted,
        error::Code::FailedPrecondition => Code::FailedPrecondition,
        error::Code::OutOfRange => Code::OutOfRange,
        error::Code::Internal => Code::Internal,
        error::Code::Unavailable => Code::Unavailable,
        error::Code::DataLoss => Code::DataLoss,
        error::Code::PermissionDenied => Code::PermissionDenied,
        error::Code::Unauthenticated => Code::Unauthenticated,
        error::Code::Unknown => Code::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_see_etcds_code_and_text() {
        let seen = |error| {
            let status = status(error);
            (status.code(), status.message().to_owned())
        };
        assert_eq!(
            seen(StoreError::Compacted),
            (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted".to_owned())
        );
        assert_eq!(
            seen(StoreError::LeaseNotFound),
            (Code::NotFound, "etcdserver: requested lease not found".to_owned())
        );
        assert_eq!(seen(StoreError::NoLeader), (Code::Unavailable, "etcdserver: no leader".to_owned()));
    }
}
