//! Counts calls and their messages as they pass.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;

use crate::metrics::METRICS;
use crate::metrics::instrument::Counter;
use crate::metrics::rpc::{CANCELED, Method, UNKNOWN};

/// A call that has begun. It has ended when it is told with which code; otherwise its client has gone.
pub struct Call {
    method: &'static Method,
    began: Instant,
    ended: bool,
}

impl Call {
    /// A call of the method at `path`, with these headers.
    pub fn begin(path: &str, headers: &HeaderMap) -> Self {
        let method = METRICS.rpcs.of(path);
        method.started.inc();
        let version = headers.get(CLIENT_VERSION).and_then(|version| version.to_str().ok());
        let kind = if method.is_unary() { "unary" } else { "stream" };
        METRICS.client_requests.inc([kind, version.unwrap_or("unknown")]);
        Self { method, began: Instant::now(), ended: false }
    }

    /// Counts the messages of a request.
    pub fn request<B>(&self, body: B) -> Messages<B> {
        Messages::new(body, &self.method.received, &METRICS.client_received_bytes, None)
    }

    /// Counts the messages of an answer, and how the call ends.
    pub fn answer(mut self, answer: http::Response<Body>) -> http::Response<Body> {
        if answer.headers().contains_key(STATUS) {
            self.end(answer.headers());
            return answer;
        }
        let sent = &self.method.sent;
        answer.map(|body| Body::new(Messages::new(body, sent, &METRICS.client_sent_bytes, Some(self))))
    }

    fn end(&mut self, headers: &HeaderMap) {
        let code = headers.get(STATUS).and_then(|code| code.to_str().ok()?.parse().ok());
        self.end_with(code.unwrap_or(UNKNOWN));
    }

    fn end_with(&mut self, code: usize) {
        if !self.ended {
            self.ended = true;
            self.method.handled(code, self.began.elapsed());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end_with(CANCELED);
    }
}

const STATUS: &str = "grpc-status";

/// Where etcd's clients say which version they have.
const CLIENT_VERSION: &str = "client-api-version";

/// A body whose messages are counted.
pub struct Messages<B> {
    inner: B,
    prefixes: Prefixes,
    passed: &'static Counter,
    bytes: &'static Counter,
    /// The call that ends with this body.
    call: Option<Call>,
}

impl<B> Messages<B> {
    fn new(inner: B, passed: &'static Counter, bytes: &'static Counter, call: Option<Call>) -> Self {
        Self { inner, prefixes: Prefixes::default(), passed, bytes, call }
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Messages<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            if let Some(data) = frame.data_ref() {
                let seen = this.prefixes.pass(data);
                if seen.messages > 0 {
                    this.passed.add(seen.messages);
                    this.bytes.add(seen.bytes);
                }
            } else if let (Some(call), Some(trailers)) = (&mut this.call, frame.trailers_ref()) {
                call.end(trailers);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Finds the prefixes of messages in a stream of bytes: a flag, and the length in four bytes.
#[derive(Debug, Default)]
struct Prefixes {
    /// What has come of a prefix.
    prefix: [u8; PREFIX_BYTES],
    known: usize,
    /// Bytes of a message that are still to come.
    left: usize,
}

const PREFIX_BYTES: usize = 5;

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    messages: u64,
    /// Bytes of those messages, which may not have come yet.
    bytes: u64,
}

impl Prefixes {
    fn pass(&mut self, mut data: &[u8]) -> Seen {
        let mut seen = Seen::default();
        while !data.is_empty() {
            if self.left > 0 {
                let now = self.left.min(data.len());
                self.left -= now;
                data = data.get(now..).unwrap_or_default();
                continue;
            }
            let (first, rest) = data.split_at(data.len().min(PREFIX_BYTES - self.known));
            for (place, byte) in self.prefix.iter_mut().skip(self.known).zip(first) {
                *place = *byte;
            }
            self.known += first.len();
            data = rest;
            if self.known == PREFIX_BYTES {
                let [_, length @ ..] = self.prefix;
                let length = u32::from_be_bytes(length);
                self.known = 0;
                self.left = length as usize;
                seen.messages += 1;
                seen.bytes += u64::from(length);
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let stream = [&[0, 0, 0, 0, 3, 1, 2, 3][..], &[0, 0, 0, 0, 0], &[0, 0, 0, 1, 0], &[9; 256]].concat();
        for piece in [1, 2, 5, 7, stream.len()] {
            let mut prefixes = Prefixes::default();
            let mut total = Seen::default();
            for data in stream.chunks(piece) {
                let seen = prefixes.pass(data);
                total.messages += seen.messages;
                total.bytes += seen.bytes;
            }
            assert_eq!(total, Seen { messages: 3, bytes: 259 }, "in pieces of {piece}");
        }
    }
}
