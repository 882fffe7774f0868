//! What only a backend over the network can meet: members that are gone, connections that break, TLS.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pintle_apiserver::storage::backend::{BackendError, Write};
use pintle_apiserver::storage::{
    Attributes, CollectionSpec, Describe, ListOptions, Storage, WatchEvent, WatchOptions, etcd,
};
use pintle_store::http::serve_unix;
use pintle_store::tls::{ServerTls, TlsSettings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::backends::{Server, connect, store};

const KEY: &[u8] = b"/registry/configmaps/default/a";

/// Nothing to select by.
struct Opaque;

impl Describe for Opaque {
    fn describe(&self, _: &[u8]) -> Result<Attributes, String> {
        Ok(Attributes::default())
    }
}

fn configmaps() -> CollectionSpec {
    CollectionSpec {
        prefix: "/registry/configmaps".to_owned(),
        namespaced: true,
        routing_field: None,
        describe: Arc::new(Opaque),
    }
}

#[tokio::test]
async fn a_member_that_is_gone_is_passed_over() {
    let (store, _directory) = store().await;
    let server = Server::start(&store, "127.0.0.1:0".parse().unwrap(), None).await;
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let backend = connect(vec![format!("http://{gone}"), format!("http://{}", server.address)]);
    assert_eq!(
        backend.create(KEY, "1".into(), None).await,
        Ok(Write::Done(2)),
        "a write that was never sent is safe to repeat"
    );
    assert_eq!(backend.current_revision().await, Ok(2));

    let nobody = connect(vec![format!("http://{gone}"), format!("http://{gone}")]);
    assert!(matches!(nobody.current_revision().await, Err(BackendError::Unavailable(_))));
}

#[tokio::test]
async fn a_broken_connection_loses_no_event() {
    let (store, _directory) = store().await;
    let server = Server::start(&store, "127.0.0.1:0".parse().unwrap(), None).await;
    let address = server.address;
    let storage = Storage::new(connect(vec![format!("http://{address}")]), "/registry");
    let collection = storage.collection(&configmaps());
    let mut watcher = collection.watch(WatchOptions::default()).await.unwrap();
    let first = collection.create("default", "a", "1".into(), None).await.unwrap();

    drop(server);
    let put = pintle_proto::etcdserverpb::PutRequest {
        key: Bytes::from_static(KEY),
        value: "2".into(),
        ..Default::default()
    };
    let second = store.put(put).await.unwrap().header.unwrap().revision;
    let _server = Server::start(&store, address, None).await;

    for expected in [first.revision, second] {
        match timeout(Duration::from_secs(20), watcher.next()).await.expect("the watch is silent") {
            Some(WatchEvent::Object { entry, .. }) => assert_eq!(entry.revision, expected),
            other => panic!("{other:?}"),
        }
    }
    let list = collection.list(&ListOptions::default()).await.unwrap();
    assert_eq!(list.items.iter().map(|entry| entry.stored.clone()).collect::<Vec<_>>(), ["2"]);
}

/// An authority, and the files of whoever it has signed for.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// The files of whoever answers to `name`: certificate and key.
    fn identity(&self, directory: &Path, name: &str) -> [PathBuf; 2] {
        let (certificate, key) = self.sign(name);
        [
            write(directory, &format!("{name}.crt"), &certificate.pem()),
            write(directory, &format!("{name}.key"), &key.serialize_pem()),
        ]
    }
}

fn write(directory: &Path, name: &str, pem: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, pem).unwrap();
    path
}

#[tokio::test]
async fn both_sides_prove_who_they_are() {
    let (store, directory) = store().await;
    let directory = directory.path();
    let authority = Authority::new();
    let ca_file = write(directory, "ca.crt", &authority.0.pem());
    let [cert_file, key_file] = authority.identity(directory, "127.0.0.1");
    let settings = TlsSettings {
        cert_file: Some(cert_file),
        key_file: Some(key_file),
        trusted_ca_file: Some(ca_file.clone()),
        ..TlsSettings::default()
    };
    let server = Server::start(&store, "127.0.0.1:0".parse().unwrap(), Some(ServerTls::load(&settings).unwrap())).await;

    let [cert_file, key_file] = authority.identity(directory, "apiserver");
    let servers = vec![format!("https://{}", server.address)];
    let prefix = "/registry".to_owned();
    let (ca_file, cert_file, key_file) = (Some(ca_file), Some(cert_file), Some(key_file));
    let config = etcd::EtcdConfig { servers, ca_file, cert_file, key_file, prefix };
    let backend = etcd::backend(&config).unwrap();
    assert_eq!(backend.create(KEY, "1".into(), None).await, Ok(Write::Done(2)));

    let anonymous = etcd::EtcdConfig { cert_file: None, key_file: None, ..config.clone() };
    let refused = etcd::backend(&anonymous).unwrap().current_revision().await;
    assert!(matches!(refused, Err(BackendError::Unavailable(_))), "{refused:?}");

    let mistrusting =
        etcd::EtcdConfig { ca_file: Some(write(directory, "other.crt", &Authority::new().0.pem())), ..config };
    let refused = etcd::backend(&mistrusting).unwrap().current_revision().await;
    assert!(matches!(refused, Err(BackendError::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn a_unix_socket_will_do() {
    let (store, directory) = store().await;
    let path = directory.path().join("etcd.sock");
    let _server = serve_unix(&store, &path).await.unwrap();
    let backend = connect(vec![format!("unix://{}", path.display())]);
    assert_eq!(backend.create(KEY, "1".into(), None).await, Ok(Write::Done(2)));
}
