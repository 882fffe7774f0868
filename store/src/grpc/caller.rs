//! Who sent a request.

use std::sync::Arc;

use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Request, Status};

use super::status::status;
use crate::store::{Caller, Client, Presented, Store};

/// Where clients put their token, the first first (etcd's `TokenFieldNameGRPC` and `TokenFieldNameSwagger`).
const TOKEN: [&str; 2] = ["token", "authorization"];

/// What etcd's JSON gateway marks the requests with that it passes on under its own certificate.
const PASSED_ON: &str = "grpcgateway-accept";

/// The common name of the certificate that a connection was opened with, for [`Request::extensions`]. Set only where
/// clients are recognised by it.
#[derive(Clone, Debug)]
pub struct CommonName(pub Arc<str>);

/// The store as the sender of `request` may use it.
pub fn client<T>(store: &Store, request: &Request<T>) -> Client {
    let metadata = request.metadata();
    let common_name = request.extensions().get::<CommonName>().map(|CommonName(name)| name.clone());
    let common_name = common_name.filter(|_| !metadata.contains_key(PASSED_ON));
    let presented = Presented { common_name, ..token(metadata).map_or_else(Presented::default, Presented::token) };
    store.as_caller(Caller::Client(presented))
}

/// The store, if the sender of `request` may administer it.
pub async fn administered<'a, T>(store: &'a Store, request: &Request<T>) -> Result<&'a Store, Status> {
    client(store, request).require_admin().await.map_err(status)?;
    Ok(store)
}

/// The store, if the sender of `request` has shown who it is or need not.
pub async fn used<'a, T>(store: &'a Store, request: &Request<T>) -> Result<&'a Store, Status> {
    client(store, request).require_user().await.map_err(status)?;
    Ok(store)
}

/// The token as it was sent; one that is not even text is nobody's.
fn token(metadata: &MetadataMap) -> Option<&str> {
    let sent = TOKEN.into_iter().find_map(|name| metadata.get(name));
    sent.map(|value: &AsciiMetadataValue| value.to_str().unwrap_or_default())
}
