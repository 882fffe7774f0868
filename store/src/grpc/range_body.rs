//! The answer to a large range, encoded as its client takes it: it is never in memory a second time.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use http_body::{Body as HttpBody, Frame};
use pintle_proto::etcdserverpb::RangeResponse;
use pintle_proto::mvccpb::KeyValue;
use prost::Message;
use prost::encoding::message;
use tonic::Response;
use tonic::body::Body;

use crate::limits::RANGE_CHUNK_BYTES;

/// The number of [`RangeResponse`]'s field for the keys.
const KVS: u32 = 2;

/// A response that travels beside its message, which is empty meanwhile.
#[derive(Clone, Debug)]
struct Aside {
    response: RangeResponse,
    byte_len: u32,
}

/// Takes a large response aside, for [`put_back`]; not one that is too large for any message, of which tonic says so.
pub fn set_aside(response: RangeResponse) -> Response<RangeResponse> {
    let byte_len = response.encoded_len();
    match u32::try_from(byte_len) {
        Ok(fits) if byte_len > RANGE_CHUNK_BYTES => {
            let mut empty = Response::new(RangeResponse::default());
            empty.extensions_mut().insert(Aside { response, byte_len: fits });
            empty
        }
        Ok(_) | Err(_) => Response::new(response),
    }
}

/// Makes what was taken aside the answer's body.
pub fn put_back(mut answer: http::Response<Body>) -> http::Response<Body> {
    match answer.extensions_mut().remove::<Aside>() {
        Some(aside) => answer.map(|_| Body::new(RangeBody::new(aside))),
        None => answer,
    }
}

/// One message in chunks, and the trailers of a call that succeeded.
struct RangeBody {
    /// The prefix and the fields before the keys; empty once they are sent.
    head: BytesMut,
    kvs: std::vec::IntoIter<KeyValue>,
    /// The fields behind the keys.
    tail: Option<RangeResponse>,
    done: bool,
}

impl RangeBody {
    fn new(Aside { mut response, byte_len }: Aside) -> Self {
        let kvs = std::mem::take(&mut response.kvs).into_iter();
        let first = RangeResponse { header: response.header.take(), ..RangeResponse::default() };
        let mut head = BytesMut::with_capacity(RANGE_CHUNK_BYTES);
        // Not compressed.
        head.put_u8(0);
        head.put_u32(byte_len);
        put(&first, &mut head);
        Self { head, kvs, tail: Some(response), done: false }
    }

    /// The next piece of the message.
    fn chunk(&mut self) -> Option<Bytes> {
        let mut chunk = std::mem::take(&mut self.head);
        if chunk.is_empty() && self.tail.is_some() {
            chunk.reserve(RANGE_CHUNK_BYTES);
        }
        while chunk.len() < RANGE_CHUNK_BYTES
            && let Some(kv) = self.kvs.next()
        {
            message::encode(KVS, &kv, &mut chunk);
        }
        if self.kvs.len() == 0
            && let Some(tail) = self.tail.take()
        {
            put(&tail, &mut chunk);
        }
        (!chunk.is_empty()).then(|| chunk.freeze())
    }
}

/// Adds a message's fields.
fn put(part: &RangeResponse, chunk: &mut BytesMut) {
    chunk.extend_from_slice(&part.encode_to_vec());
}

impl HttpBody for RangeBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if let Some(chunk) = this.chunk() {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        if std::mem::replace(&mut this.done, true) {
            return Poll::Ready(None);
        }
        let succeeded = HeaderMap::from_iter([(tonic::Status::GRPC_STATUS, HeaderValue::from_static("0"))]);
        Poll::Ready(Some(Ok(Frame::trailers(succeeded))))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use pintle_proto::etcdserverpb::ResponseHeader;

    use super::*;

    fn response(keys: usize, value_bytes: usize) -> RangeResponse {
        let kv = |number: usize| KeyValue {
            key: number.to_string().into(),
            value: vec![7; value_bytes].into(),
            mod_revision: 9,
            ..KeyValue::default()
        };
        RangeResponse {
            header: Some(ResponseHeader { revision: 12, ..ResponseHeader::default() }),
            kvs: (0..keys).map(kv).collect(),
            more: true,
            count: 1 << 40,
        }
    }

    /// The body that becomes of a large response on its way through tonic.
    fn travelled(response: RangeResponse) -> Body {
        let (_, message, extensions) = set_aside(response).into_parts();
        assert_eq!(message, RangeResponse::default());
        let mut answer = http::Response::new(Body::empty());
        *answer.extensions_mut() = extensions;
        put_back(answer).into_body()
    }

    #[tokio::test]
    async fn chunks_are_the_message() {
        for (keys, value_bytes) in [(2000, 100), (1, 200_000), (3, RANGE_CHUNK_BYTES), (200_000, 0)] {
            let response = response(keys, value_bytes);
            let collected = travelled(response.clone()).collect().await.unwrap();
            assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
            let body = collected.to_bytes();
            let message = response.encode_to_vec();
            let prefix = [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes()].concat();
            assert!(body == [prefix, message].concat(), "{keys} keys of {value_bytes} B");
        }
    }

    #[tokio::test]
    async fn no_chunk_is_much_larger_than_the_others() {
        let mut body = travelled(response(5000, 512));
        while let Some(frame) = body.frame().await {
            let bytes = frame.unwrap().into_data().map_or(0, |data| data.len());
            assert!(bytes < RANGE_CHUNK_BYTES + 1024, "{bytes}");
        }
    }

    #[test]
    fn small_ones_stay_where_they_are() {
        let response = response(10, 100);
        assert_eq!(*set_aside(response.clone()).get_ref(), response);
    }
}
