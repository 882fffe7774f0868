//! The objects that every cluster has from its first start on, made through the API like anybody else's.

use std::net::IpAddr;
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
use crate::resources::services::Pools;
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
///
/// `port` is the one that the server listens on.
pub async fn run(api: &Arc<Api>, port: u16) -> Result<(), BootstrapError> {
    for name in NAMESPACES {
        create(api, "/api/v1/namespaces", &json!({ "metadata": { "name": name } })).await?;
    }
    ensure_kubernetes_service(api, port).await
}

/// The service by which pods reach this server, at the first address of the range.
async fn ensure_kubernetes_service(api: &Arc<Api>, port: u16) -> Result<(), BootstrapError> {
    const PATH: &str = "/api/v1/namespaces/default/services";
    let failed = |why: &dyn std::fmt::Display| BootstrapError { path: PATH.to_owned(), status: Status::internal(why) };
    let Some(services) = api.resource("", "v1", "services") else { return Ok(()) };
    // It is there from the second start on; its address would be refused as taken before its name is.
    let found = services.collection.get("default", "kubernetes", "").await;
    if found.map_err(|error| failed(&error))?.is_some() {
        return Ok(());
    }
    let address = api.services.ranges.first().map(|range| range.first_address().to_string());
    let service = json!({
        "metadata": { "name": "kubernetes", "labels": { "component": "apiserver", "provider": "kubernetes" } },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address.unwrap_or_default(),
            "ipFamilyPolicy": "SingleStack",
            "sessionAffinity": "None",
            "ports": [{ "name": "https", "protocol": "TCP", "port": 443, "targetPort": port }],
        },
    });
    create(api, PATH, &service).await
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
    Some(Pools::parse(range)?.ranges.first()?.first_address())
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
