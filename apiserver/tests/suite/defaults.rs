//! What decoding, defaulting and conversion make of every kind's objects, against what kube-apiserver serves of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pintle_apiserver::codec::json::{self, FieldValidation};
use pintle_apiserver::schema::{GroupVersionKind, builtin};
use pintle_apiserver::validation;
use serde::Deserialize;

use super::testdata::gunzip;

/// One object of a kind: as a client sends it, and as the server serves it.
#[derive(Deserialize)]
struct Recorded {
    json: String,
    served: Option<String>,
}

/// When the objects were recorded, which is when an undated taint was added.
const RECORDED_AT: &str = "2026-11-20T21:41:37Z";

#[test]
fn every_object_becomes_what_is_served() {
    let now: Timestamp = RECORDED_AT.parse().unwrap();
    let mut failures = Vec::new();
    let mut judged = 0;
    for (kind, variants) in gunzip::<BTreeMap<String, BTreeMap<String, Recorded>>>("objects.json.gz") {
        let (api_version, kind_name) = kind.rsplit_once('/').unwrap();
        let gvk = GroupVersionKind::from_api_version(api_version, kind_name);
        for (variant, recorded) in variants {
            let Some(served) = recorded.served else { continue };
            let ty = builtin::registry().kind(&gvk).unwrap();
            let decoded = json::decode(recorded.json.as_bytes(), &ty, FieldValidation::Strict);
            let mut object = decoded.unwrap_or_else(|error| panic!("{kind} {variant}: {error:?}")).object;
            validation::default(&gvk, &mut object, now);
            let got = String::from_utf8(json::encode(&object, &ty)).unwrap();
            if got != served {
                failures.push(format!("{kind} {variant}\nwant {served}\n got {got}"));
            }
            judged += 1;
        }
    }
    assert!(judged >= 3 * 85, "only {judged} objects");
    assert!(failures.is_empty(), "{} of {judged}:\n{}", failures.len(), failures.join("\n"));
}
