//! A whole server from its configuration: store, PKI, API and listener, in the order in which they depend on each other.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pintle_auth::authorize::{Authorizer, MastersOnly};
use pintle_auth::service_account::Issuer;
use pintle_auth::token_file::{TokenFile, TokenFileError};
use pintle_auth::x509::ClientCertificates;
use pintle_store::http::serve_unix;
use pintle_store::{OpenError, Store, StoreConfig};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admission::Chain;
use crate::admission::default_toleration_seconds::DefaultTolerationSeconds;
use crate::admission::namespace_lifecycle::NamespaceLifecycle;
use crate::admission::storage_object_in_use_protection::StorageObjectInUseProtection;
use crate::admission::taint_nodes_by_condition::TaintNodesByCondition;
use crate::bootstrap;
use crate::config::Config;
use crate::http::authenticate::Authenticators;
use crate::http::pipeline::Pipeline;
use crate::http::router::Router;
use crate::http::tls::{self, TlsError};
use crate::http::{health, server};
use crate::pki::{Names, Pki, PkiError};
use crate::resources;
use crate::resources::services::Pools;
use crate::resources::tokens::{Bearer, Tokens};
use crate::schema::builtin;
use crate::storage::etcd::{self, ConnectError, EtcdConfig};
use crate::storage::{self, Backend, Storage, embedded};
use crate::verbs::Api;

/// The name of the server as an issuer of tokens, and as whom they are meant for.
const ISSUER: &str = "https://kubernetes.default.svc";

/// Why a server did not start. Each text is one line that says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The PKI cannot be made or read.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The store inside did not open.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store outside is not described well.
    #[error(transparent)]
    Etcd(#[from] ConnectError),
    /// The store does not answer.
    #[error("cannot read from the store: {0}; check that it runs, and --etcd-servers if it is another's")]
    Unreachable(#[from] storage::Error),
    /// The token file cannot be read.
    #[error("cannot read --token-auth-file {}: {reason}", path.display())]
    Tokens {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The key for service account tokens cannot be used.
    #[error("cannot sign service account tokens with {}: {reason}; restore it from a backup, or remove it to have it made anew", path.display())]
    ServiceAccountKey {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The range of the services' addresses is none.
    #[error(
        "--service-cluster-ip-range={0} is neither one range of addresses, such as 10.0.0.0/24, nor one of each IP family"
    )]
    ServiceRange(String),
    /// The port cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; stop what uses it, or choose another --secure-port or --bind-address"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The socket for etcdctl cannot be served.
    #[error("cannot serve the store at {}: {reason}; remove the file if no other server uses it", path.display())]
    Socket {
        /// Which socket.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The objects that every cluster has could not be made.
    #[error("cannot make the objects that every cluster has: {0}")]
    Bootstrap(#[from] bootstrap::BootstrapError),
}

/// The store inside, and what serves it to etcdctl.
struct Embedded {
    store: Store,
    etcd: pintle_store::http::Server,
}

impl Embedded {
    /// Flushes and closes the store. A process must not end before: the store's threads would outlive what they stand on.
    async fn end(self) {
        self.etcd.shutdown().await;
        if let Err(error) = self.store.shutdown().await {
            tracing::error!(%error, "the store did not end cleanly; it recovers from its log at the next start");
        }
    }
}

/// A server that has begun to listen.
pub struct Server {
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    pipeline: Arc<Pipeline>,
    storage: Arc<Storage>,
    embedded: Option<Embedded>,
    url: String,
    kubeconfig: PathBuf,
    stopping: CancellationToken,
}

impl Server {
    /// Opens everything that the server needs. When this returns, requests are answered as soon as [`Server::serve`] is called.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let address = SocketAddr::new(config.listen_address(), config.secure_port);
        let listener = TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
        // The store before the files beside it: its lock tells that no other server uses this directory.
        let (backend, embedded) = open_backend(config).await?;
        let storage = Storage::new(backend, config.etcd_prefix.clone());
        match Self::assemble(config, listener, Arc::clone(&storage)).await {
            Ok(server) => Ok(Self { embedded, ..server }),
            Err(error) => {
                storage.stop();
                if let Some(embedded) = embedded {
                    embedded.end().await;
                }
                Err(error)
            }
        }
    }

    /// Everything above the store.
    async fn assemble(config: &Config, listener: TcpListener, storage: Arc<Storage>) -> Result<Self, StartError> {
        let port = listener.local_addr().map_or(config.secure_port, |a| a.port());
        let public = SocketAddr::new(config.public_address(), port);
        let url = format!("https://{public}");

        let pki = Pki::ensure(&config.data_dir, &names(config), &url)?;
        let certificate = config.tls_cert_file.as_deref().unwrap_or(&pki.serving_certificate);
        let key = config.tls_private_key_file.as_deref().unwrap_or(&pki.serving_key);
        let tls = tls::server_config(certificate, key)?;
        let mut authenticators = Authenticators {
            certificates: Some(ClientCertificates::new(tls::roots(
                config.client_ca_file.as_deref().unwrap_or(&pki.ca),
            )?)),
            tokens: None,
            anonymous: config.anonymous_auth,
        };

        storage.begin().await?;
        if !config.etcd_compaction_interval.is_zero() {
            storage.compact_every(config.etcd_compaction_interval);
        }
        let admission = Chain::new(vec![
            Box::new(NamespaceLifecycle),
            Box::new(TaintNodesByCondition),
            Box::new(DefaultTolerationSeconds),
            Box::new(StorageObjectInUseProtection),
        ]);
        let public_paths = health::public_paths().chain(["/version".to_owned(), "/version/".to_owned()]);
        let authorizer: Arc<dyn Authorizer> = Arc::new(MastersOnly::new(public_paths));
        let tokens = Tokens {
            fixed: config.token_auth_file.as_deref().map(tokens).transpose()?,
            issuer: issuer(&pki.service_account_key)?,
            audiences: vec![ISSUER.to_owned()],
        };
        let range = &config.service_cluster_ip_range;
        let pools = Pools::parse(range).ok_or_else(|| StartError::ServiceRange(range.clone()))?;
        let api = Api::new(
            resources::table(),
            builtin::registry(),
            Arc::clone(&storage),
            admission,
            config.event_ttl,
            pools,
            Arc::clone(&authorizer),
            tokens,
        );
        let api = Arc::new(api);
        api.warm();
        bootstrap::run(&api, port).await?;

        authenticators.tokens = Some(Bearer::new(Arc::clone(&api)));
        let stopping = CancellationToken::new();
        let router = Router::new(api, public.to_string(), stopping.clone());
        let pipeline = Pipeline { authenticators, authorizer, router };
        let kubeconfig = std::path::absolute(&pki.kubeconfig).unwrap_or(pki.kubeconfig);
        Ok(Self { listener, tls, pipeline: Arc::new(pipeline), storage, embedded: None, url, kubeconfig, stopping })
    }

    /// Where clients reach the server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Serves until `stop` completes, then ends cleanly: watches end, other requests in flight are answered and the store is
    /// flushed. The error is why the store inside halted before.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), String> {
        let store = self.embedded.as_ref().map(|embedded| embedded.store.clone());
        let end = async {
            let halted = tokio::select! {
                () = stop => Ok(()),
                reason = stopped(store.as_ref()) => Err(reason),
            };
            self.stopping.cancel();
            halted
        };
        let serving = server::serve(self.listener, self.tls, self.pipeline, self.stopping.clone());
        let (halted, ()) = tokio::join!(end, serving);
        self.storage.stop();
        if let Some(embedded) = self.embedded {
            embedded.end().await;
        }
        halted
    }
}

/// Returns when the store inside has halted by itself, with the reason; never where there is none.
async fn stopped(store: Option<&Store>) -> String {
    match store {
        Some(store) => store.stopped().await.unwrap_or_else(|| "the store has stopped".to_owned()),
        None => std::future::pending().await,
    }
}

/// The store: the one inside, or the one that the flags name.
async fn open_backend(config: &Config) -> Result<(Arc<dyn Backend>, Option<Embedded>), StartError> {
    if !config.etcd_servers.is_empty() {
        let backend = etcd::backend(&EtcdConfig {
            servers: config.etcd_servers.clone(),
            ca_file: config.etcd_cafile.clone(),
            cert_file: config.etcd_certfile.clone(),
            key_file: config.etcd_keyfile.clone(),
            prefix: config.etcd_prefix.clone(),
        })?;
        return Ok((backend, None));
    }
    let dir = config.data_dir.join("store");
    let store = Store::open(StoreConfig::embedded(&dir)).await?;
    let socket = dir.join("etcd.sock");
    match serve_unix(&store, &socket).await {
        Ok(etcd) => Ok((embedded::backend(store.clone()), Some(Embedded { store, etcd }))),
        Err(error) => {
            let reason = error.to_string();
            if let Err(error) = store.shutdown().await {
                tracing::error!(%error, "the store did not end cleanly; it recovers from its log at the next start");
            }
            Err(StartError::Socket { path: socket, reason })
        }
    }
}

fn tokens(path: &Path) -> Result<TokenFile, StartError> {
    let failed = |reason: String| StartError::Tokens { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
    TokenFile::parse(&text).map_err(|e: TokenFileError| failed(e.to_string()))
}

/// Who makes service account tokens with the key in this file.
fn issuer(path: &Path) -> Result<Issuer, StartError> {
    let failed = |reason: String| StartError::ServiceAccountKey { path: path.to_owned(), reason };
    let pem = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
    Issuer::new(ISSUER, &pem).map_err(|e| failed(e.to_string()))
}

/// Everything that clients may call the server.
fn names(config: &Config) -> Names {
    let dns = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let mut addresses = vec![config.public_address(), [127, 0, 0, 1].into()];
    addresses.extend(bootstrap::service_address(&config.service_cluster_ip_range));
    addresses.sort_unstable();
    addresses.dedup();
    Names { dns: dns.map(str::to_owned).to_vec(), addresses }
}
