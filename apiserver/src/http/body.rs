//! Bodies of requests and responses.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http_body::{Frame, SizeHint};
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

/// A body that holds `guard` until it is written or given up.
pub struct Guarded {
    body: Body,
    _guard: Arc<()>,
}

impl Guarded {
    /// Adds a guard to a body.
    pub fn new(body: Body, guard: Arc<()>) -> Self {
        Self { body, _guard: guard }
    }
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Reads a request's body, refusing one that is over the limit before it is held in memory.
pub async fn read(body: Incoming) -> Result<Bytes, Status> {
    match Limited::new(body, limits::REQUEST_BODY_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(e) if e.downcast_ref::<LengthLimitError>().is_some() => Err(Status::too_large(limits::REQUEST_BODY_BYTES)),
        Err(e) => Err(Status::bad_request(format!("the body of the request could not be read: {e}"))),
    }
}
