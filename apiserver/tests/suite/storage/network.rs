//! What only a backend over the network can meet: members that are gone, connections that break, TLS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pintle_apiserver::storage::backend::{BackendError, Write};
use pintle_apiserver::storage::{
    Attributes, CollectionSpec, Describe, ListOptions, Storage, WatchEvent, WatchOptions, etcd,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

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

    /// A server that lets nobody in whom this authority has not signed for.
    fn acceptor(&self) -> TlsAcceptor {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
        let (certificate, key) = self.sign("127.0.0.1");
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// Flags of a client.
    fn client(&self, directory: &Path, servers: Vec<String>) -> etcd::EtcdConfig {
        let file = |name: &str, pem: String| {
            let path = directory.join(name);
            std::fs::write(&path, pem).unwrap();
            Some(path)
        };
        let (certificate, key) = self.sign("apiserver");
        etcd::EtcdConfig {
            servers,
            ca_file: file("ca.crt", self.0.pem()),
            cert_file: file("client.crt", certificate.pem()),
            key_file: file("client.key", key.serialize_pem()),
            prefix: "/registry".to_owned(),
        }
    }
}

#[tokio::test]
async fn both_sides_prove_who_they_are() {
    let (store, directory) = store().await;
    let authority = Authority::new();
    let server = Server::start(&store, "127.0.0.1:0".parse().unwrap(), Some(authority.acceptor())).await;
    let servers = vec![format!("https://{}", server.address)];
    let config = authority.client(directory.path(), servers.clone());
    let backend = etcd::backend(&config).unwrap();
    assert_eq!(backend.create(KEY, "1".into(), None).await, Ok(Write::Done(2)));

    let anonymous = etcd::EtcdConfig { cert_file: None, key_file: None, ..config.clone() };
    let refused = etcd::backend(&anonymous).unwrap().current_revision().await;
    assert!(matches!(refused, Err(BackendError::Unavailable(_))), "{refused:?}");

    let stranger = Authority::new();
    let other = tempfile::tempdir().unwrap();
    let mistrusting = etcd::EtcdConfig { ca_file: stranger.client(other.path(), servers).ca_file, ..config };
    let refused = etcd::backend(&mistrusting).unwrap().current_revision().await;
    assert!(matches!(refused, Err(BackendError::Unavailable(_))), "{refused:?}");
}
