//! How the documents are asked for and answered: media types, tags, and addresses that name a hash.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

use serde_json::Value;

use super::v3::Document;
use super::{gnostic, v2, v3};
use crate::discovery::digest::digest;
use crate::resources::{self, ResourceTable};
use crate::schema::{Registry, builtin};

const JSON: &str = "application/json";
const PROTOBUF_V2: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// The older spelling, which clients still send.
const PROTOBUF_V2_OLD: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// What a client asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// Path of the URL.
    pub path: &'a str,
    /// The query parameter `hash`, if there is one.
    pub hash: Option<&'a str>,
    /// `Accept`; empty if there is none.
    pub accept: &'a str,
    /// `If-None-Match`; empty if there is none.
    pub if_none_match: &'a str,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub code: u16,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Arc<[u8]>,
}

/// The documents of one set of resources, each made when it is first asked for.
pub struct Documents<'a> {
    table: &'a ResourceTable,
    registry: &'a Registry,
    v3: OnceLock<V3>,
    v2: OnceLock<Document>,
    v2_protobuf: OnceLock<Document>,
}

struct V3 {
    index: Document,
    documents: BTreeMap<String, Document>,
}

impl<'a> Documents<'a> {
    /// The documents of these resources and types.
    pub const fn new(table: &'a ResourceTable, registry: &'a Registry) -> Self {
        Self { table, registry, v3: OnceLock::new(), v2: OnceLock::new(), v2_protobuf: OnceLock::new() }
    }

    /// Those of the built-in resources.
    pub fn builtin() -> &'static Documents<'static> {
        static BUILTIN: LazyLock<Documents<'static>> =
            LazyLock::new(|| Documents::new(resources::table(), builtin::registry()));
        &BUILTIN
    }

    /// Answers a request for a path below `/openapi`; `None` if nothing is there.
    pub fn answer(&self, request: Request<'_>) -> Option<Reply> {
        match request.path.trim_end_matches('/').strip_prefix("/openapi/")? {
            "v2" => Some(self.answer_v2(request)),
            "v3" => Some(document(&self.v3().index, JSON, request)),
            path => self.answer_v3(path.strip_prefix("v3/")?, request),
        }
    }

    fn answer_v2(&self, request: Request<'_>) -> Reply {
        let offered = [JSON, PROTOBUF_V2_OLD, PROTOBUF_V2];
        match accepted(request.accept, &offered) {
            None => Reply { code: 406, headers: vec![("vary", "Accept".to_owned())], ..Reply::default() },
            Some(JSON) => varying(document(self.v2(), JSON, request)),
            Some(_) => {
                let protobuf = self.v2_protobuf.get_or_init(|| {
                    let json = serde_json::from_slice(&self.v2().body).unwrap_or(Value::Null);
                    Document::new(gnostic::encode(&json))
                });
                varying(document(protobuf, PROTOBUF_V2, request))
            }
        }
    }

    fn answer_v3(&self, path: &str, request: Request<'_>) -> Option<Reply> {
        let found = self.v3().documents.get(path)?;
        if accepted(request.accept, &[JSON]).is_none() {
            return Some(Reply { code: 406, headers: vec![("vary", "Accept".to_owned())], ..Reply::default() });
        }
        match request.hash {
            // An address with another hash names a document that is no more.
            Some(hash) if !hash.is_empty() && hash != found.hash => {
                let location = v3::address(path, &found.hash);
                let headers = vec![("vary", "Accept".to_owned()), ("location", location)];
                Some(Reply { code: 301, headers, ..Reply::default() })
            }
            Some(hash) if !hash.is_empty() => {
                let mut reply = varying(document(found, JSON, request));
                reply.headers.push(("cache-control", "public, immutable".to_owned()));
                Some(reply)
            }
            _ => Some(varying(document(found, JSON, request))),
        }
    }

    fn v3(&self) -> &V3 {
        self.v3.get_or_init(|| {
            let documents = v3::documents(self.table, self.registry);
            V3 { index: Document::new(v3::index(&documents).to_string().into_bytes()), documents }
        })
    }

    fn v2(&self) -> &Document {
        self.v2.get_or_init(|| Document::new(v2::document(self.table, self.registry).to_string().into_bytes()))
    }
}

impl Document {
    /// A document of that text.
    pub fn new(body: Vec<u8>) -> Self {
        let hash = digest(&body);
        Self { body: body.into(), hash }
    }
}

/// The document, or only the word that it has not changed.
fn document(document: &Document, media_type: &str, request: Request<'_>) -> Reply {
    let tag = format!("\"{}\"", document.hash);
    let known = request.if_none_match.split(',').map(|each| each.trim().trim_start_matches("W/"));
    let unchanged = known.into_iter().any(|each| each == tag || each == "*");
    let headers = vec![("etag", tag)];
    if unchanged {
        return Reply { code: 304, headers, ..Reply::default() };
    }
    let headers = headers.into_iter().chain([("content-type", media_type.to_owned())]).collect();
    Reply { code: 200, headers, body: document.body.clone() }
}

/// Says that the answer depends on what the client accepts.
fn varying(mut reply: Reply) -> Reply {
    reply.headers.push(("vary", "Accept".to_owned()));
    reply
}

/// The first media type offered of those that the client likes best.
fn accepted<'o>(accept: &str, offered: &[&'o str]) -> Option<&'o str> {
    let accept = if accept.trim().is_empty() { "*/*" } else { accept };
    let mut ranges: Vec<(&str, f32)> = accept.split(',').map(range).collect();
    ranges.sort_by(|a, b| b.1.total_cmp(&a.1));
    let fits = |range: &str, media_type: &&str| match (range.split_once('/'), media_type.split_once('/')) {
        (Some((main, sub)), Some((own_main, own_sub))) => {
            (main == "*" || main == own_main) && (sub == "*" || sub == own_sub)
        }
        _ => false,
    };
    ranges.iter().find_map(|(range, _)| offered.iter().find(|media_type| fits(range, media_type)).copied())
}

/// A media range and its quality.
fn range(text: &str) -> (&str, f32) {
    let mut pieces = text.split(';').map(str::trim);
    let range = pieces.next().unwrap_or_default();
    let quality = pieces.find_map(|piece| piece.strip_prefix("q=")).and_then(|quality| quality.parse().ok());
    (range, quality.unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get<'a>(path: &'a str, accept: &'a str) -> Request<'a> {
        Request { path, accept, ..Request::default() }
    }

    fn header(reply: &Reply, name: &str) -> String {
        let found = reply.headers.iter().find(|(header, _)| *header == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    #[test]
    fn a_hash_pins_a_document() {
        let documents = Documents::builtin();
        let index = documents.answer(get("/openapi/v3", "")).unwrap();
        let index: Value = serde_json::from_slice(&index.body).unwrap();
        let address = index["paths"]["apis/policy/v1"]["serverRelativeURL"].as_str().unwrap();
        let (path, hash) = address.split_once("?hash=").unwrap();
        let pinned = documents.answer(Request { hash: Some(hash), ..get(path, JSON) }).unwrap();
        assert_eq!((pinned.code, header(&pinned, "cache-control").as_str()), (200, "public, immutable"));
        let moved = documents.answer(Request { hash: Some("0"), ..get(path, JSON) }).unwrap();
        assert_eq!((moved.code, header(&moved, "location").as_str()), (301, address));
        assert_eq!(documents.answer(get("/openapi/v3/apis/nope", JSON)), None);
    }

    #[test]
    fn an_unchanged_document_is_not_sent_again() {
        let documents = Documents::builtin();
        let first = documents.answer(get("/openapi/v2", JSON)).unwrap();
        let tag = header(&first, "etag");
        let again = documents.answer(Request { if_none_match: &tag, ..get("/openapi/v2", JSON) }).unwrap();
        assert_eq!((again.code, again.body.len()), (304, 0));
    }

    #[test]
    fn media_types_are_negotiated() {
        let documents = Documents::builtin();
        let protobuf = documents.answer(get("/openapi/v2", PROTOBUF_V2_OLD)).unwrap();
        assert_eq!(header(&protobuf, "content-type"), PROTOBUF_V2);
        assert_eq!(documents.answer(get("/openapi/v2", "text/html")).unwrap().code, 406);
        assert_eq!(accepted("text/html, */*;q=0.1", &[JSON]), Some(JSON));
    }
}
