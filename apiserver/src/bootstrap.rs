//! The objects that every cluster has from its first start on, made through the API like anybody else's.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use pintle_auth::User;
use pintle_auth::user::{ALL_AUTHENTICATED, MASTERS};
use serde_json::{Value, json};

use crate::codec::negotiate::Accepted;
use crate::error::Status;
use crate::http::query::Query;
use crate::http::request_info::RequestInfo;
use crate::verbs::{self, Api, Warnings};

/// Why the objects could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {status}")]
pub struct BootstrapError {
    path: String,
    status: Status,
}

/// Namespaces that are always there.
const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Makes what is not there yet.
pub async fn run(api: &Arc<Api>) -> Result<(), BootstrapError> {
    for name in NAMESPACES {
        create(api, "/api/v1/namespaces", &json!({ "metadata": { "name": name } })).await?;
    }
    Ok(())
}

/// Creates an object unless one of its name exists.
async fn create(api: &Arc<Api>, path: &str, object: &Value) -> Result<(), BootstrapError> {
    let failed = |status| BootstrapError { path: path.to_owned(), status };
    let query = Query::default();
    let info = RequestInfo::new(&Method::POST, path, &query);
    let spec = api.table.resource(&info.group, &info.version, &info.resource);
    let spec = spec.ok_or_else(|| failed(Status::no_such_resource()))?;
    let user = User {
        name: "system:apiserver".to_owned(),
        groups: vec![MASTERS.to_owned(), ALL_AUTHENTICATED.to_owned()],
        ..User::default()
    };
    let request = verbs::Request {
        api,
        info: &info,
        spec,
        subresource: None,
        user: &user,
        query: &query,
        accepted: Accepted::default(),
        content_type: "application/json",
        user_agent: "kube-apiserver",
        body: Bytes::from(object.to_string()),
        now: Timestamp::now(),
        warnings: Warnings::default(),
    };
    match verbs::run(&request).await {
        Ok(_) => Ok(()),
        Err(status) if status.reason == "AlreadyExists" => Ok(()),
        Err(status) => Err(failed(status)),
    }
}

/// The address of the `kubernetes` service: the first of the range.
pub fn service_address(range: &str) -> Option<IpAddr> {
    let base: Ipv4Addr = range.split('/').next()?.parse().ok()?;
    Some(IpAddr::V4(Ipv4Addr::from(u32::from(base).checked_add(1)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_of_the_range_is_the_servers() {
        assert_eq!(service_address("10.0.0.0/24"), Some([10, 0, 0, 1].into()));
        assert_eq!(service_address("nonsense"), None);
    }
}
