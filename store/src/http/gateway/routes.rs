//! Which path of the gateway is which method: the `google.api.http` annotations of etcd's API.

use std::collections::HashMap;
use std::sync::LazyLock;

use http::uri::PathAndQuery;
use prost_reflect::{DescriptorPool, MethodDescriptor};

/// Paths below `/v3/`, with the service and method each stands for.
const ROUTES: &[(&str, &str, &str)] = &[
    ("kv/range", "etcdserverpb.KV", "Range"),
    ("kv/put", "etcdserverpb.KV", "Put"),
    ("kv/deleterange", "etcdserverpb.KV", "DeleteRange"),
    ("kv/txn", "etcdserverpb.KV", "Txn"),
    ("kv/compaction", "etcdserverpb.KV", "Compact"),
    ("watch", "etcdserverpb.Watch", "Watch"),
    ("lease/grant", "etcdserverpb.Lease", "LeaseGrant"),
    ("lease/revoke", "etcdserverpb.Lease", "LeaseRevoke"),
    ("kv/lease/revoke", "etcdserverpb.Lease", "LeaseRevoke"),
    ("lease/keepalive", "etcdserverpb.Lease", "LeaseKeepAlive"),
    ("lease/timetolive", "etcdserverpb.Lease", "LeaseTimeToLive"),
    ("kv/lease/timetolive", "etcdserverpb.Lease", "LeaseTimeToLive"),
    ("lease/leases", "etcdserverpb.Lease", "LeaseLeases"),
    ("kv/lease/leases", "etcdserverpb.Lease", "LeaseLeases"),
    ("cluster/member/add", "etcdserverpb.Cluster", "MemberAdd"),
    ("cluster/member/remove", "etcdserverpb.Cluster", "MemberRemove"),
    ("cluster/member/update", "etcdserverpb.Cluster", "MemberUpdate"),
    ("cluster/member/list", "etcdserverpb.Cluster", "MemberList"),
    ("cluster/member/promote", "etcdserverpb.Cluster", "MemberPromote"),
    ("maintenance/alarm", "etcdserverpb.Maintenance", "Alarm"),
    ("maintenance/status", "etcdserverpb.Maintenance", "Status"),
    ("maintenance/defragment", "etcdserverpb.Maintenance", "Defragment"),
    ("maintenance/hash", "etcdserverpb.Maintenance", "Hash"),
    ("maintenance/hashkv", "etcdserverpb.Maintenance", "HashKV"),
    ("maintenance/snapshot", "etcdserverpb.Maintenance", "Snapshot"),
    ("maintenance/transfer-leadership", "etcdserverpb.Maintenance", "MoveLeader"),
    ("maintenance/downgrade", "etcdserverpb.Maintenance", "Downgrade"),
    ("auth/enable", "etcdserverpb.Auth", "AuthEnable"),
    ("auth/disable", "etcdserverpb.Auth", "AuthDisable"),
    ("auth/status", "etcdserverpb.Auth", "AuthStatus"),
    ("auth/authenticate", "etcdserverpb.Auth", "Authenticate"),
    ("auth/user/add", "etcdserverpb.Auth", "UserAdd"),
    ("auth/user/get", "etcdserverpb.Auth", "UserGet"),
    ("auth/user/list", "etcdserverpb.Auth", "UserList"),
    ("auth/user/delete", "etcdserverpb.Auth", "UserDelete"),
    ("auth/user/changepw", "etcdserverpb.Auth", "UserChangePassword"),
    ("auth/user/grant", "etcdserverpb.Auth", "UserGrantRole"),
    ("auth/user/revoke", "etcdserverpb.Auth", "UserRevokeRole"),
    ("auth/role/add", "etcdserverpb.Auth", "RoleAdd"),
    ("auth/role/get", "etcdserverpb.Auth", "RoleGet"),
    ("auth/role/list", "etcdserverpb.Auth", "RoleList"),
    ("auth/role/delete", "etcdserverpb.Auth", "RoleDelete"),
    ("auth/role/grant", "etcdserverpb.Auth", "RoleGrantPermission"),
    ("auth/role/revoke", "etcdserverpb.Auth", "RoleRevokePermission"),
    ("lock/lock", "v3lockpb.Lock", "Lock"),
    ("lock/unlock", "v3lockpb.Lock", "Unlock"),
    ("election/campaign", "v3electionpb.Election", "Campaign"),
    ("election/proclaim", "v3electionpb.Election", "Proclaim"),
    ("election/leader", "v3electionpb.Election", "Leader"),
    ("election/observe", "v3electionpb.Election", "Observe"),
    ("election/resign", "v3electionpb.Election", "Resign"),
];

/// A method of a service.
#[derive(Debug)]
pub struct Route {
    /// Its path in gRPC.
    pub method: PathAndQuery,
    /// What it takes and returns.
    pub descriptor: MethodDescriptor,
}

/// All message types of the API.
pub fn pool() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> =
        LazyLock::new(|| DescriptorPool::decode(pintle_proto::DESCRIPTORS).unwrap_or_default());
    &POOL
}

/// The method behind a path of HTTP, and whether the path is the gateway's at all.
pub fn find(path: &str) -> Option<&'static Route> {
    static BY_PATH: LazyLock<HashMap<&'static str, Route>> = LazyLock::new(|| {
        ROUTES.iter().filter_map(|(path, service, name)| Some((*path, route(service, name)?))).collect()
    });
    BY_PATH.get(below(path)?)
}

/// Whether a path is the gateway's.
pub fn is_gateway(path: &str) -> bool {
    below(path).is_some()
}

/// The part of a path below the API's version; `v3beta` is what it was called at first.
fn below(path: &str) -> Option<&str> {
    path.strip_prefix("/v3/").or_else(|| path.strip_prefix("/v3beta/"))
}

fn route(service: &str, name: &str) -> Option<Route> {
    let descriptor = pool().get_service_by_name(service)?.methods().find(|method| method.name() == name)?;
    Some(Route { method: PathAndQuery::try_from(format!("/{service}/{name}")).ok()?, descriptor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_a_method_and_every_method_of_etcd_but_one_has_a_route() {
        for (path, ..) in ROUTES {
            assert!(find(&format!("/v3/{path}")).is_some(), "{path}");
            assert!(find(&format!("/v3beta/{path}")).is_some(), "{path}");
        }
        let packages = ["etcdserverpb", "v3lockpb", "v3electionpb"];
        let services = pool().services().filter(|service| packages.contains(&service.package_name()));
        let methods = services.flat_map(|service| service.methods().collect::<Vec<_>>());
        let routed = |method: &MethodDescriptor| {
            ROUTES.iter().any(|(_, service, name)| method.full_name() == format!("{service}.{name}"))
        };
        let unrouted: Vec<_> =
            methods.filter(|method| !routed(method)).map(|method| method.name().to_owned()).collect();
        assert_eq!(unrouted, ["RangeStream"]);
        assert!(find("/v3/kv/rangestream").is_none() && find("/v3/kv").is_none() && find("/kv/range").is_none());
    }
}
