//! The only place where an error becomes a gRPC status.

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
