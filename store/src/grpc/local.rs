//! Calls of the services from within the process, with messages as bytes.

use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, Stream, StreamExt};
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Status};

use super::{Body, Services};

/// Why a call failed, as a gRPC client sees it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The gRPC status code.
    pub code: i32,
    /// The text for people.
    pub message: String,
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self { code: status.code().into(), message: status.message().to_owned() }
    }
}

/// The encoded responses of a call, up to its end or failure.
pub type Responses = BoxStream<'static, Result<Bytes, Failure>>;

impl Services {
    /// Calls a method with one encoded request, for one encoded response.
    pub async fn unary(
        &self,
        method: PathAndQuery,
        metadata: http::HeaderMap,
        request: Bytes,
    ) -> Result<Bytes, Failure> {
        let mut client = self.client().await?;
        Ok(client.unary(with(metadata, request), method, Plain).await?.into_inner())
    }

    /// Calls a method with any number of encoded requests, for any number of encoded responses.
    pub async fn streaming(
        &self,
        method: PathAndQuery,
        metadata: http::HeaderMap,
        requests: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Responses, Failure> {
        let mut client = self.client().await?;
        let responses = client.streaming(with(metadata, requests), method, Plain).await?.into_inner();
        Ok(responses.map(|response| response.map_err(Failure::from)).boxed())
    }

    async fn client(&self) -> Result<Grpc<Local>, Failure> {
        let mut client = Grpc::new(Local(self.clone())).max_decoding_message_size(usize::MAX);
        match client.ready().await {
            Ok(()) => Ok(client),
            Err(never) => match never {},
        }
    }
}

fn with<T>(metadata: http::HeaderMap, message: T) -> Request<T> {
    Request::from_parts(MetadataMap::from_headers(metadata), Extensions::default(), message)
}

/// The services as tonic's client wants to see a connection.
pub(super) struct Local(pub(super) Services);

impl tower::Service<http::Request<Body>> for Local {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let services = self.0.clone();
        Box::pin(async move { Ok(services.call(request).await) })
    }
}

/// Messages as they are.
#[derive(Clone, Copy)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
