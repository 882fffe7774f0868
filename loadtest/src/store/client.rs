//! Connections to an etcd.

use std::error::Error;

use pintle_proto::etcdserverpb::kv_client::KvClient;
use pintle_proto::etcdserverpb::watch_client::WatchClient;
use tonic::transport::{Channel, Endpoint};

use crate::error::{BenchError, During};

/// Connections that the clients share.
const CONNECTIONS: usize = 16;
const CONNECT: &str = "cannot connect to the store";

/// Several connections to one server.
#[derive(Debug, Clone)]
pub struct Clients {
    endpoint: String,
    channels: Vec<Channel>,
}

impl Clients {
    /// Connects to `endpoint`, a host and port.
    pub async fn connect(endpoint: &str) -> Result<Self, BenchError> {
        let target = Endpoint::from_shared(format!("http://{endpoint}")).during(CONNECT)?.tcp_nodelay(true);
        let mut channels = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            let channel = target.connect().await;
            // tonic's own text is only "transport error".
            channels.push(channel.map_err(|error| match error.source() {
                Some(source) => BenchError::request(CONNECT, source),
                None => BenchError::request(CONNECT, error),
            })?);
        }
        Ok(Self { endpoint: endpoint.to_owned(), channels })
    }

    /// Where they lead: host and port.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.channels.len()
    }

    /// A client of keys; workers are spread over the connections.
    pub fn kv(&self, worker: usize) -> KvClient<Channel> {
        KvClient::new(self.channel(worker))
    }

    /// A client of watches.
    pub fn watch(&self, worker: usize) -> WatchClient<Channel> {
        WatchClient::new(self.channel(worker))
    }

    fn channel(&self, worker: usize) -> Channel {
        self.channels[worker % self.channels.len()].clone()
    }
}
