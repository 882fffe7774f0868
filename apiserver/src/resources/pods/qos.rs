//! A pod's quality of service, from what its containers request (`k8s.io/kubernetes/pkg/apis/core/helper/qos`).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::object::quantity::Quantity;

/// Resources that count.
const COUNTED: [&str; 2] = ["cpu", "memory"];

type Totals = BTreeMap<&'static str, Quantity>;

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub fn class(pod: &Value) -> &'static str {
    let spec = &pod["spec"];
    let (mut requests, mut limits) = (Totals::new(), Totals::new());
    let mut guaranteed = true;
    if spec["resources"].is_object() {
        let resources = &spec["resources"];
        add(&mut requests, &resources["requests"]);
        let limited = add(&mut limits, &resources["limits"]);
        let says_limits = resources["limits"].as_object().is_some_and(|limits| !limits.is_empty());
        guaranteed = !says_limits || limited == COUNTED.len();
    } else {
        let lists = ["containers", "initContainers"].map(|list| spec[list].as_array());
        for container in lists.into_iter().flatten().flatten() {
            add(&mut requests, &container["resources"]["requests"]);
            guaranteed &= add(&mut limits, &container["resources"]["limits"]) == COUNTED.len();
        }
    }
    if requests.is_empty() && limits.is_empty() {
        "BestEffort"
    } else if guaranteed && requests == limits {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// Adds what counts and is more than nothing; returns how many there were.
fn add(totals: &mut Totals, list: &Value) -> usize {
    let mut counted = 0;
    for name in COUNTED {
        let quantity = list[name].as_str().and_then(|text| Quantity::parse(text).ok());
        let Some(quantity) = quantity.filter(|q| q.signum() > 0) else { continue };
        counted += 1;
        let sum = totals.get(name).and_then(|total| total.checked_add(&quantity)).unwrap_or(quantity);
        totals.insert(name, sum);
    }
    counted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(containers: &Value) -> &'static str {
        class(&json!({ "spec": { "containers": containers } }))
    }

    #[test]
    fn the_class_follows_from_requests_and_limits() {
        let full = json!({"cpu": "1", "memory": "1Gi"});
        let guaranteed = json!({"resources": {"requests": full, "limits": {"cpu": "1000m", "memory": "1024Mi"}}});
        assert_eq!(of(&json!([guaranteed])), "Guaranteed");
        assert_eq!(of(&json!([guaranteed, {"resources": {}}])), "Burstable");
        assert_eq!(of(&json!([{"resources": {"requests": {"cpu": "1"}}}])), "Burstable");
        assert_eq!(of(&json!([{"resources": {"requests": {"cpu": "0", "example.com/gpu": "1"}}}])), "BestEffort");
        assert_eq!(class(&json!({"spec": {"resources": {"requests": full, "limits": full}}})), "Guaranteed");
    }
}
