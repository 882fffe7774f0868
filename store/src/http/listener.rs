//! Listening on TCP and on Unix sockets, and telling people what is in the way.

use std::fs::Permissions;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixStream, lookup_host};

use super::endpoint::Address;

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket, whose file is removed when the listener is dropped.
    Unix(UnixListener, SocketFile),
}

/// Why a listener could not be bound. Each text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("cannot listen on {0}: the address is in use; stop the process that uses it, or choose another address")]
    InUse(String),
    /// Not allowed there.
    #[error("cannot listen on {0}: permission denied; choose a port above 1023 or a directory that you may write to")]
    Denied(String),
    /// Something else.
    #[error("cannot listen on {address}: {cause}; choose another address")]
    Failed {
        /// Where.
        address: String,
        /// What the system says.
        cause: io::Error,
    },
}

impl BindError {
    fn new(address: impl Into<String>, cause: io::Error) -> Self {
        let address = address.into();
        match cause.kind() {
            ErrorKind::AddrInUse => Self::InUse(address),
            ErrorKind::PermissionDenied => Self::Denied(address),
            _ => Self::Failed { address, cause },
        }
    }
}

/// A connection, whatever carries it.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Connection for T {}

impl Listener {
    /// Listens at `address`; with `reuse_port`, beside others who do the same.
    pub async fn bind(address: &Address, reuse_port: bool) -> Result<Self, BindError> {
        match address {
            Address::Tcp(address) => {
                let bound = if reuse_port { bind_beside(address).await } else { TcpListener::bind(address).await };
                bound.map(Self::Tcp).map_err(|cause| BindError::new(address, cause))
            }
            Address::Unix(path) => Self::bind_unix(path).await,
        }
    }

    /// Listens at a path that only this user may connect to (mode 0600). A socket file that nobody listens on any more
    /// is replaced.
    pub async fn bind_unix(path: &Path) -> Result<Self, BindError> {
        let name = path.display().to_string();
        if UnixStream::connect(path).await.is_ok() {
            return Err(BindError::InUse(name));
        }
        // Bound aside and moved into place, so that there is no moment at which others could connect.
        let mut aside = path.as_os_str().to_owned();
        aside.push(".new");
        let aside = PathBuf::from(aside);
        let bind = || {
            match std::fs::remove_file(&aside) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let listener = UnixListener::bind(&aside)?;
            std::fs::set_permissions(&aside, Permissions::from_mode(0o600))?;
            std::fs::rename(&aside, path)?;
            Ok(listener)
        };
        let listener = bind().map_err(|cause| BindError::new(name, cause))?;
        Ok(Self::Unix(listener, SocketFile(path.to_owned())))
    }

    /// The TCP address, with the port that was chosen if it was 0.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    /// The next connection, and the address it comes from unless that is this machine's file system.
    pub(super) async fn accept(&self) -> io::Result<(Box<dyn Connection>, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Some(address.ip())))
            }
            Self::Unix(listener, _) => Ok((Box::new(listener.accept().await?.0), None)),
        }
    }
}

/// Listens on a port that others may have bound too.
async fn bind_beside(address: &str) -> io::Result<TcpListener> {
    /// Connections that may wait to be accepted, as tokio has it otherwise.
    const BACKLOG: u32 = 1024;
    let address = lookup_host(address).await?.next().ok_or(ErrorKind::AddrNotAvailable)?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Removes the file when dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Nothing is lost if it stays: the next start replaces it.
        let _ = std::fs::remove_file(&self.0);
    }
}
