//! `/openapi/v3` and `/openapi/v2`: made on first use and kept, since the built-in resources do not change.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bytes::Bytes;
use http::Response;
use http::header::{HeaderMap, IF_NONE_MATCH};
use sha2::{Digest, Sha512};

use super::body::Body;
use super::respond;
use crate::discovery::openapi::{v2, v3};
use crate::error::Status;
use crate::resources::ResourceTable;
use crate::schema::Registry;

/// The documents.
pub struct OpenApi {
    table: &'static ResourceTable,
    registry: &'static Registry,
    v2: OnceLock<Tagged>,
    v3: OnceLock<BTreeMap<String, Tagged>>,
}

/// A text and the tag of its content.
struct Tagged {
    etag: String,
    text: Bytes,
}

impl Tagged {
    fn new(text: Vec<u8>) -> Self {
        let hash: String = Sha512::digest(&text).iter().map(|byte| format!("{byte:02X}")).collect();
        Self { etag: format!("\"{hash}\""), text: text.into() }
    }
}

impl OpenApi {
    /// The documents of these resources.
    pub fn new(table: &'static ResourceTable, registry: &'static Registry) -> Self {
        Self { table, registry, v2: OnceLock::new(), v3: OnceLock::new() }
    }

    /// The document at `path`; `None` if there is none.
    pub fn answer(&self, path: &str, headers: &HeaderMap) -> Result<Option<Response<Body>>, Status> {
        let document = match path {
            "/openapi/v2" => Some(self.v2()?),
            "/openapi/v3" => self.v3()?.get(""),
            path => match path.strip_prefix("/openapi/v3/") {
                Some(below) => self.v3()?.get(below),
                None => None,
            },
        };
        let known = headers.get(IF_NONE_MATCH).and_then(|v| v.to_str().ok());
        Ok(document.map(|d| respond::tagged("application/json", &d.etag, known, d.text.clone())))
    }

    fn v2(&self) -> Result<&Tagged, Status> {
        if let Some(made) = self.v2.get() {
            return Ok(made);
        }
        let text = serde_json::to_vec(&v2::document(self.table, self.registry)).map_err(Status::internal)?;
        Ok(self.v2.get_or_init(|| Tagged::new(text)))
    }

    /// By the path below `/openapi/v3/`; the index is at the empty one.
    fn v3(&self) -> Result<&BTreeMap<String, Tagged>, Status> {
        if let Some(made) = self.v3.get() {
            return Ok(made);
        }
        let documents = v3::documents(self.table, self.registry);
        let index = serde_json::to_vec(&v3::index(&documents)).map_err(Status::internal)?;
        let mut tagged: BTreeMap<String, Tagged> =
            documents.into_iter().map(|(path, document)| (path, Tagged::new(document.body.to_vec()))).collect();
        tagged.insert(String::new(), Tagged::new(index));
        Ok(self.v3.get_or_init(|| tagged))
    }
}
