//! Services: cluster addresses and node ports are allocated before a service is judged, and held until it is stored.

mod allocate;
pub mod claims;
pub mod fields;
pub mod range;

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard};

use self::claims::Claims;
use self::range::AddressRange;
use super::hooks::Hooks;
use crate::error::Status;
use crate::verbs::Request;

/// The hooks of services.
pub const HOOKS: Hooks = Hooks { begin: Some(begin), prepare_update, ..Hooks::NONE };

/// The pools of this cluster.
#[derive(Debug, Default)]
pub struct Pools {
    /// Ranges of addresses, one for each IP family, the default one first.
    pub ranges: Vec<AddressRange>,
    claims: Arc<Mutex<Claims>>,
}

impl Pools {
    /// Reads `--service-cluster-ip-range`: one range, or one of each family. `None` where it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let ranges: Vec<AddressRange> = text.split(',').map(AddressRange::parse).collect::<Option<_>>()?;
        let well = match ranges.as_slice() {
            [_] => true,
            [first, second] => first.family() != second.family(),
            _ => false,
        };
        well.then(|| Self { ranges, claims: Arc::default() })
    }
}

/// Keeps what has been allocated from being given to somebody else, until the service that holds it is stored.
pub type Hold = Option<OwnedMutexGuard<Claims>>;

fn begin<'a>(
    request: &'a Request<'_>,
    service: &'a mut Value,
    live: Option<&'a Value>,
) -> BoxFuture<'a, Result<Hold, Status>> {
    allocate::run(request, service, live).boxed()
}

fn prepare_update(service: &mut Value, live: &Value, request: &Request<'_>) {
    if request.subresource_name() == "status" {
        return;
    }
    let Some(old) = live["spec"].as_object() else { return };
    if let Some(spec) = service["spec"].as_object_mut() {
        fields::drop_type_dependent(spec, old);
    }
    if service["spec"]["type"] != "LoadBalancer" {
        service["status"]["loadBalancer"] = Value::Object(serde_json::Map::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_range_for_each_family() {
        assert!(Pools::parse("10.0.0.0/24").is_some());
        assert!(Pools::parse("fd00::/108,10.0.0.0/24").is_some());
        for bad in ["", "10.0.0.0/24,10.1.0.0/24", "10.0.0.0/24,fd00::/108,10.1.0.0/24", "10.0.0.0"] {
            assert!(Pools::parse(bad).is_none(), "{bad}");
        }
    }
}
