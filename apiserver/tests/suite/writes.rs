//! What writes answer beyond what has been recorded: preconditions, contention, and a method that nobody serves.

use futures::future::join_all;
use serde_json::json;

use super::server::Server;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn a_uid_is_judged_before_absence() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let client = server.client();
    let path = format!("{CONFIG_MAPS}/absent");
    let mut object = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "absent"}});
    let (code, status) = client.json("PUT", &path, Some(object.clone())).await;
    assert_eq!((code, &status["reason"]), (404, &json!("NotFound")));
    object["metadata"]["uid"] = json!("11111111-2222-3333-4444-555555555555");
    let (code, status) = client.json("PUT", &path, Some(object)).await;
    assert_eq!((code, &status["reason"]), (409, &json!("Conflict")));
    let message = status["message"].as_str().unwrap();
    assert!(message.ends_with("UID in precondition: 11111111-2222-3333-4444-555555555555, UID in object meta: "));
}

#[tokio::test]
async fn writers_without_a_version_never_conflict() {
    const WRITERS: usize = 40;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let client = server.client();
    let object = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "busy"}});
    assert_eq!(client.json("POST", CONFIG_MAPS, Some(object)).await.0, 201);
    let path = format!("{CONFIG_MAPS}/busy");
    let headers = [("authorization", "Bearer admin-token"), ("content-type", "application/merge-patch+json")];
    let headers = headers.map(|(k, v)| (k.to_owned(), v.to_owned()));
    let patches = (0..WRITERS).map(|writer| {
        let body = json!({"data": {format!("writer-{writer}"): "was here"}}).to_string();
        client.send("PATCH", &path, &headers, body.into())
    });
    let codes: Vec<u16> = join_all(patches).await.into_iter().map(|response| response.code).collect();
    assert_eq!(codes, [200; WRITERS]);
    let (_, object) = client.json("GET", &path, None).await;
    assert_eq!(object["data"].as_object().unwrap().len(), WRITERS);
}

#[tokio::test]
async fn objects_have_no_head() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.client().json("HEAD", CONFIG_MAPS, None).await.0, 405);
}
