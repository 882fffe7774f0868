//! Bodies of requests and responses.

use std::convert::Infallible;

use bytes::Bytes;
use futures::Stream;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::Incoming;

use crate::error::Status;
use crate::limits;

/// The body of a response: bytes at hand, or a stream of them.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A body of bytes at hand.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// A body that is written as its chunks arrive.
pub fn stream(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    use futures::StreamExt;
    StreamBody::new(chunks.map(|chunk| Ok(Frame::data(chunk)))).boxed_unsync()
}

/// Reads a request's body, refusing one that is over the limit before it is held in memory.
pub async fn read(body: Incoming) -> Result<Bytes, Status> {
    match Limited::new(body, limits::REQUEST_BODY_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(e) if e.downcast_ref::<LengthLimitError>().is_some() => Err(Status::too_large(limits::REQUEST_BODY_BYTES)),
        Err(e) => Err(Status::bad_request(format!("the body of the request could not be read: {e}"))),
    }
}
