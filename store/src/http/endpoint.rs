//! Where to listen, as etcd's flags say it.

use std::path::PathBuf;
use std::str::FromStr;

/// A URL of `--listen-client-urls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub address: Address,
    /// Whether connections are encrypted.
    pub tls: bool,
}

/// Where a listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Host and port.
    Tcp(String),
    /// A path in the file system.
    Unix(PathBuf),
}

/// Why a URL is not an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No or another scheme.
    #[error("the listen URL {0:?} must begin with http://, https://, unix:// or unixs://")]
    Scheme(String),
    /// No host and port, or more than that.
    #[error("the listen URL {0:?} must be a scheme, an IP address or host, and a port, such as http://127.0.0.1:2379")]
    Address(String),
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(url: &str) -> Result<Self, EndpointError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| EndpointError::Scheme(url.to_owned()))?;
        let (unix, tls) = match scheme {
            "http" => (false, false),
            "https" => (false, true),
            "unix" => (true, false),
            "unixs" => (true, true),
            _ => return Err(EndpointError::Scheme(url.to_owned())),
        };
        let invalid = || EndpointError::Address(url.to_owned());
        if unix {
            let address = if rest.is_empty() { Err(invalid()) } else { Ok(Address::Unix(rest.into())) };
            return Ok(Self { address: address?, tls });
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = authority.rsplit_once(':').ok_or_else(invalid)?;
        if host.contains('/') || port.parse::<u16>().is_err() {
            return Err(invalid());
        }
        // No host means every address, as in Go.
        let host = if host.is_empty() { "0.0.0.0" } else { host };
        Ok(Self { address: Address::Tcp(format!("{host}:{port}")), tls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_endpoints() {
        let tcp = |address: &str, tls| Ok(Endpoint { address: Address::Tcp(address.to_owned()), tls });
        assert_eq!("http://127.0.0.1:2379".parse(), tcp("127.0.0.1:2379", false));
        assert_eq!("https://[::1]:2379/".parse(), tcp("[::1]:2379", true));
        assert_eq!("http://:2379".parse(), tcp("0.0.0.0:2379", false));
        assert_eq!(
            "unix:///run/etcd.sock".parse(),
            Ok(Endpoint { address: Address::Unix("/run/etcd.sock".into()), tls: false })
        );
        assert_eq!("localhost:2379".parse::<Endpoint>(), Err(EndpointError::Scheme("localhost:2379".to_owned())));
        for url in ["http://127.0.0.1", "http://h:1/path", "http://h:99999", "unix://"] {
            assert_eq!(url.parse::<Endpoint>(), Err(EndpointError::Address(url.to_owned())));
        }
    }
}
