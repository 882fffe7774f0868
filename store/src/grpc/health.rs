//! The standard health service: the server serves, or it would not answer.

use futures::stream::{self, BoxStream, StreamExt};
use pintle_proto::health as pb;
use pintle_proto::health::health_check_response::ServingStatus;
use pintle_proto::health::health_server::Health;
use tonic::{Request, Response, Status};

use super::status::unknown_service;

/// Serves [`Health`].
#[derive(Clone, Copy, Debug, Default)]
pub struct HealthService;

#[tonic::async_trait]
impl Health for HealthService {
    type WatchStream = BoxStream<'static, Result<pb::HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<pb::HealthCheckRequest>,
    ) -> Result<Response<pb::HealthCheckResponse>, Status> {
        // Only the server as a whole is known, as in etcd.
        if !request.get_ref().service.is_empty() {
            return Err(unknown_service());
        }
        Ok(Response::new(response(ServingStatus::Serving)))
    }

    async fn watch(&self, request: Request<pb::HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let whole = request.get_ref().service.is_empty();
        let now = response(if whole { ServingStatus::Serving } else { ServingStatus::ServiceUnknown });
        let stream = stream::iter([Ok(now)]).chain(stream::pending());
        Ok(Response::new(stream.boxed()))
    }
}

fn response(status: ServingStatus) -> pb::HealthCheckResponse {
    pb::HealthCheckResponse { status: status.into() }
}
