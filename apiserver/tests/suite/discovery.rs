//! The discovery documents, against recorded answers of kube-apiserver.

use pintle_apiserver::discovery::documents;
use pintle_apiserver::resources::table;
use serde_json::{Map, Value};

use crate::testdata;

#[test]
fn documents_equal_the_recorded_ones() {
    let recorded: Map<String, Value> = testdata::gunzip("discovery.json.gz");
    assert!(recorded.len() > 10);
    for (path, want) in &recorded {
        let mut got = documents::at(table(), path, "127.0.0.1:16443").unwrap().body;
        // The recording leaves the hashes out.
        for resource in got.get_mut("resources").and_then(Value::as_array_mut).into_iter().flatten() {
            resource.as_object_mut().unwrap().remove("storageVersionHash");
        }
        assert_eq!(got, *want, "{path}");
    }
}

#[test]
fn hashes_name_the_stored_version() {
    let pods = documents::at(table(), "/api/v1/", "").unwrap().body;
    let pod = pods["resources"].as_array().unwrap().iter().find(|row| row["name"] == "pods").unwrap();
    assert_eq!(pod["storageVersionHash"], "xPOwRZ+Yhw8=");
    let events = documents::at(table(), "/apis/events.k8s.io/v1", "").unwrap().body;
    assert_eq!(events["resources"][0]["storageVersionHash"], "r2yiGXH7wu8=");
}

#[test]
fn unknown_groups_and_versions_have_no_document() {
    for path in ["/api/v2", "/apis/nope", "/apis/apps/v2", "/apis/apps/v1/deployments"] {
        assert_eq!(documents::at(table(), path, ""), None, "{path}");
    }
}
