//! etcd's JSON gateway: methods of the gRPC services as `POST /v3/...`, requests and responses as proto3 JSON.
//!
//! A request is read by the descriptor of its message and handed to the gRPC service within the process, so every method
//! has one implementation. What a client sees is what grpc-gateway, which etcd uses, makes of it.

mod decode;
mod encode;
mod metadata;
mod routes;
mod scan;
mod token;

use std::convert::Infallible;

use bytes::Bytes;
use futures::future::Either;
use futures::stream::{self, Stream, StreamExt};
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor};

use self::routes::Route;
use self::scan::Values;
use crate::grpc::{Body, Failure, Responses, Services};
use crate::limits::JSON_BYTES_PER_MESSAGE_BYTE;

pub use self::routes::is_gateway;

/// gRPC's codes for what goes wrong before a method is called.
const INVALID_ARGUMENT: i32 = 3;
const DEADLINE_EXCEEDED: i32 = 4;
const NOT_FOUND: i32 = 5;
const RESOURCE_EXHAUSTED: i32 = 8;
const UNIMPLEMENTED: i32 = 12;
const INTERNAL: i32 = 13;
const UNAUTHENTICATED: i32 = 16;

/// Why a body cannot be read.
type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// Answers a request whose path [`is_gateway`].
pub async fn answer<B>(services: &Services, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    let answered = match routes::find(request.uri().path()) {
        None => Err(failure(NOT_FOUND, "Not Found")),
        Some(_) if request.method() != Method::POST => Err(failure(UNIMPLEMENTED, "Method Not Allowed")),
        Some(route) => forward(services, route, request).await,
    };
    answered.unwrap_or_else(|failure| refusal(&failure))
}

fn failure(code: i32, message: impl Into<String>) -> Failure {
    Failure { code, message: message.into() }
}

async fn forward<B>(services: &Services, route: &Route, request: Request<B>) -> Result<Response<Body>, Failure>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    let metadata = metadata::of(request.headers());
    let patience = metadata::timeout(request.headers()).map_err(|text| failure(INVALID_ARGUMENT, text))?;
    let max_bytes = services.max_message_bytes().saturating_mul(JSON_BYTES_PER_MESSAGE_BYTE);
    let answer = async {
        if route.descriptor.is_server_streaming() {
            stream(services, route, metadata, request.into_body(), max_bytes).await
        } else {
            unary(services, route, metadata, request.into_body(), max_bytes).await
        }
    };
    match patience {
        None => answer.await,
        Some(patience) => match tokio::time::timeout(patience, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(failure(DEADLINE_EXCEEDED, "context deadline exceeded")),
        },
    }
}

async fn unary<B>(
    services: &Services,
    route: &Route,
    metadata: HeaderMap,
    body: B,
    max_bytes: usize,
) -> Result<Response<Body>, Failure>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    let request = one_request(route, body, max_bytes).await?;
    let response = services.unary(route.method.clone(), metadata, request).await?;
    let json = transcode(&route.descriptor.output(), &response)?;
    Ok(respond(StatusCode::OK, Some(json.into())))
}

async fn stream<B>(
    services: &Services,
    route: &Route,
    metadata: HeaderMap,
    body: B,
    max_bytes: usize,
) -> Result<Response<Body>, Failure>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    let requests = if route.descriptor.is_client_streaming() {
        Either::Left(many_requests(route.descriptor.input(), body, max_bytes))
    } else {
        Either::Right(stream::iter([one_request(route, body, max_bytes).await?]))
    };
    let responses = match services.streaming(route.method.clone(), metadata, requests).await {
        Ok(responses) => responses,
        Err(failure) => stream::iter([Err(failure)]).boxed(),
    };
    Ok(respond_streaming(route.descriptor.output(), responses).await)
}

/// The first JSON value of a body, as an encoded message; what follows it is ignored, and nothing is an empty message.
async fn one_request<B>(route: &Route, body: B, max_bytes: usize) -> Result<Bytes, Failure>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    let invalid = |text| failure(INVALID_ARGUMENT, text);
    let body = Limited::new(body, max_bytes).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            failure(RESOURCE_EXHAUSTED, "http: request body too large")
        } else {
            invalid(error.to_string())
        }
    })?;
    let mut values = Values::new();
    values.push(body.aggregate());
    match values.last().map_err(invalid)? {
        Some(json) => Ok(decode::message(&route.descriptor.input(), &json).map_err(invalid)?.encode_to_vec().into()),
        None => Ok(Bytes::new()),
    }
}

/// The JSON values of a body as they come, each as an encoded message. One that is malformed ends the requests, and no
/// more than them, as in etcd.
fn many_requests<B>(descriptor: MessageDescriptor, body: B, max_bytes: usize) -> impl Stream<Item = Bytes> + Send
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    let begin = (Values::new(), Some(body), descriptor);
    stream::unfold(begin, move |(mut values, mut body, descriptor)| async move {
        let json = next_value(&mut values, &mut body, max_bytes).await;
        let message = json.and_then(|json| json.map(|json| decode::message(&descriptor, &json)).transpose());
        match message {
            Ok(message) => message.map(|message| (message.encode_to_vec().into(), (values, body, descriptor))),
            Err(error) => {
                tracing::debug!(%error, "a request of a stream is malformed");
                None
            }
        }
    })
}

/// The next JSON value of a body; `None` when there is none. `body` is gone when all of it has been read.
async fn next_value<B>(values: &mut Values, body: &mut Option<B>, max_bytes: usize) -> Result<Option<Bytes>, String>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    loop {
        if let Some(value) = values.next()? {
            return Ok(Some(value));
        }
        if values.pending_bytes() > max_bytes {
            return Err("http: request body too large".to_owned());
        }
        let Some(rest) = body else { return values.last() };
        match rest.frame().await {
            Some(Ok(frame)) => values.push(frame.into_data().unwrap_or_default()),
            Some(Err(error)) => return Err(error.into().to_string()),
            None => *body = None,
        }
    }
}

/// Rewrites an encoded message as JSON.
fn transcode(descriptor: &MessageDescriptor, message: &[u8]) -> Result<String, Failure> {
    let message = DynamicMessage::decode(descriptor.clone(), message);
    Ok(encode::json(&message.map_err(|error| failure(INTERNAL, error.to_string()))?))
}

/// Answers with one line a response. The answer begins with the first of them, so that its status can tell of a failure
/// that came before.
async fn respond_streaming(descriptor: MessageDescriptor, mut responses: Responses) -> Response<Body> {
    let first = responses.next().await;
    let status = match &first {
        Some(Err(failure)) => http_status(failure.code),
        _ => StatusCode::OK,
    };
    let Some(first) = first else { return respond(status, None) };
    let lines = stream::iter([first]).chain(responses).map(move |response| {
        let line = match response.and_then(|message| transcode(&descriptor, &message)) {
            Ok(json) => encode::line("result", &json),
            Err(failure) => encode::line("error", &encode::error(&failure)),
        };
        Ok::<_, Infallible>(Frame::data(Bytes::from(line)))
    });
    let mut response = respond(status, Some(Bytes::new()));
    *response.body_mut() = Body::new(StreamBody::new(lines));
    response
}

fn refusal(failure: &Failure) -> Response<Body> {
    let mut response = respond(http_status(failure.code), Some(encode::error(failure).into()));
    if failure.code == UNAUTHENTICATED
        && let Ok(message) = HeaderValue::from_str(&failure.message)
    {
        response.headers_mut().insert(WWW_AUTHENTICATE, message);
    }
    response
}

/// An answer, of JSON unless there is none.
fn respond(status: StatusCode, json: Option<Bytes>) -> Response<Body> {
    let is_json = json.is_some();
    let mut response = Response::new(Body::new(Full::new(json.unwrap_or_default())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if is_json {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if status == StatusCode::OK {
            // A gateway hands on the headers of the response behind it.
            let name = HeaderName::from_static("grpc-metadata-content-type");
            headers.insert(name, HeaderValue::from_static("application/grpc"));
        }
    }
    response
}

/// HTTP's counterpart of a gRPC code, as `google/rpc/code.proto` has it.
fn http_status(code: i32) -> StatusCode {
    let status = match code {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    };
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
