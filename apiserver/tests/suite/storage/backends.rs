//! The backends under test, and the contract run on each.

use std::net::SocketAddr;
use std::sync::Arc;

use pintle_apiserver::storage::backend::Backend;
use pintle_apiserver::storage::{embedded, etcd};
use pintle_store::http::{Listener, ServerSettings, serve};
use pintle_store::tls::ServerTls;
use pintle_store::{Store, StoreConfig};
use tokio::net::TcpListener;

use super::contract::Subject;

/// A backend with what it stands on.
pub struct Running {
    pub backend: Arc<dyn Backend>,
    _server: Option<Server>,
    _directory: tempfile::TempDir,
}

impl Running {
    fn subject(&self, name: &str) -> Subject {
        Subject { backend: Arc::clone(&self.backend), prefix: format!("/registry/{name}/") }
    }
}

/// A store of its own in a directory of its own.
pub async fn store() -> (Store, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Store::open(StoreConfig::embedded(directory.path())).await.unwrap(), directory)
}

/// A store in this process.
pub async fn embedded() -> Running {
    let (store, directory) = store().await;
    Running { backend: embedded::backend(store), _server: None, _directory: directory }
}

/// A store that is reached over the network, as any etcd is.
pub async fn etcd() -> Running {
    let (store, directory) = store().await;
    let server = Server::start(&store, "127.0.0.1:0".parse().unwrap(), None).await;
    let backend = connect(vec![format!("http://{}", server.address)]);
    Running { backend, _server: Some(server), _directory: directory }
}

/// A backend on these servers.
pub fn connect(servers: Vec<String>) -> Arc<dyn Backend> {
    let prefix = "/registry".to_owned();
    etcd::backend(&etcd::EtcdConfig { servers, prefix, ..etcd::EtcdConfig::default() }).unwrap()
}

/// Serves etcd's API. Dropping it breaks all connections.
pub struct Server {
    pub address: SocketAddr,
    _server: pintle_store::http::Server,
}

impl Server {
    pub async fn start(store: &Store, address: SocketAddr, tls: Option<ServerTls>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, _server: serve(store, Listener::Tcp(listener), tls, ServerSettings::of(store)) }
    }
}

macro_rules! contract {
    ($($test:ident)*) => {
        mod in_process {
            $(#[tokio::test]
            async fn $test() {
                let running = super::embedded().await;
                super::super::contract::$test(running.subject(stringify!($test))).await;
            })*
        }

        mod over_the_network {
            $(#[tokio::test]
            async fn $test() {
                let running = super::etcd().await;
                super::super::contract::$test(running.subject(stringify!($test))).await;
            })*
        }
    };
}

contract! {
    a_write_is_read_back
    writes_are_conditional
    one_of_many_creates_wins
    ranges_come_in_pages_of_one_revision
    a_watch_tells_the_past_and_the_present
    a_watch_ends_at_its_prefix
    a_quiet_prefix_advances
    a_watch_may_begin_in_the_future
    what_has_a_time_to_live_is_gone_after_it
    compacted_history_is_gone
    many_changes_arrive_whole
}
