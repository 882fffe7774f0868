//! Answers as HTTP responses.

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, WARNING};
use http::{Response, StatusCode};
use tokio_util::sync::CancellationToken;

use super::body::{self, Body};
use crate::codec::negotiate::{Accepted, Encoding};
use crate::limits;
use crate::verbs::{Reply, ReplyBody};

/// The response for a verb's reply. A watch ends when the server is `stopping`, so that its client turns to another one.
pub fn reply(reply: Reply, accepted: Accepted, stopping: &CancellationToken) -> Response<Body> {
    let (body, content_type) = match reply.body {
        ReplyBody::Bytes(bytes) => (body::full(bytes), accepted.encoding.media_type()),
        ReplyBody::Chunks(chunks) => (body::stream(stream::iter(chunks)), accepted.encoding.media_type()),
        ReplyBody::Watch(frames) => {
            let frames = frames.take_until(stopping.clone().cancelled_owned());
            (body::stream(frames), watch_media_type(accepted.encoding))
        }
    };
    with_type(StatusCode::from_u16(reply.code).unwrap_or(StatusCode::OK), content_type, body)
}

/// Adds warnings to a response: whole if they are short together, otherwise each cut, until there are enough.
pub fn warn(response: &mut Response<Body>, texts: &[String]) {
    let letters = |text: &str| text.chars().count();
    let cut = texts.iter().map(|text| letters(text)).sum::<usize>() > limits::WARNING_LETTERS;
    let longest = if cut { limits::WARNING_LETTERS_EACH } else { limits::WARNING_LETTERS };
    let mut written = 0;
    for text in texts {
        if written >= limits::WARNING_LETTERS {
            break;
        }
        let text: String = text.chars().take(longest).collect();
        written += letters(&text);
        if let Ok(value) = HeaderValue::from_bytes(warning_value(&text).as_bytes()) {
            response.headers_mut().append(WARNING, value);
        }
    }
}

/// A response of bytes at hand.
pub fn bytes(content_type: &'static str, bytes: impl Into<Bytes>) -> Response<Body> {
    with_type(StatusCode::OK, content_type, body::full(bytes))
}

/// A response with a tag of its content, or only the tag where the client has that content already.
pub fn tagged(content_type: &'static str, etag: &str, if_none_match: Option<&str>, content: Bytes) -> Response<Body> {
    let known = if_none_match.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == etag));
    let mut response = if known {
        with_type(StatusCode::NOT_MODIFIED, content_type, body::full(""))
    } else {
        bytes(content_type, content)
    };
    if let Ok(value) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(http::header::ETAG, value);
    }
    response.headers_mut().insert(http::header::VARY, HeaderValue::from_static("Accept"));
    response
}

fn with_type(code: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn watch_media_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        Encoding::Json | Encoding::Yaml => "application/json",
    }
}

/// A warning as RFC 7234 writes it: code 299, no agent, quoted text.
fn warning_value(text: &str) -> String {
    let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("299 - \"{}\"", printable.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Sets a header whose value is known to be fit.
pub fn set(response: &mut Response<Body>, name: HeaderName, value: &'static str) {
    response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_quoted() {
        assert_eq!(warning_value("unknown field \"a\""), "299 - \"unknown field \\\"a\\\"\"");
        assert_eq!(warning_value("two\nlines"), "299 - \"two lines\"");
    }

    #[test]
    fn warnings_are_bounded_and_of_any_letters() {
        let warned = |texts: &[String]| {
            let mut response = bytes("application/json", "");
            warn(&mut response, texts);
            response.headers().get_all(WARNING).iter().map(|value| value.as_bytes().to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(warned(&["é".to_owned()]), ["299 - \"é\"".as_bytes()]);
        assert_eq!(warned(&["x".repeat(300)])[0].len(), 300 + "299 - \"\"".len());
        let many = warned(&vec!["é".repeat(300); 100]);
        assert_eq!(many.len(), limits::WARNING_LETTERS / limits::WARNING_LETTERS_EACH);
        assert_eq!(many[0].len(), 2 * limits::WARNING_LETTERS_EACH + "299 - \"\"".len());
    }
}
