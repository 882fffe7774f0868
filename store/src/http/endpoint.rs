//! Where to listen, as etcd's flags say it. The texts of errors are etcd's.

use std::net::IpAddr;
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
    #[error("URL scheme must be http, https, unix, or unixs: {0}")]
    Scheme(String),
    /// No host and port.
    #[error("URL address does not have the form \"host:port\": {0}")]
    Address(String),
    /// More than host and port.
    #[error("URL must not contain a path: {0}")]
    Path(String),
    /// A name, which may stand for several addresses or for one of another machine.
    #[error("expected IP in URL for binding ({0})")]
    NotAnAddress(String),
}

impl Endpoint {
    /// The host of a TCP endpoint as the URL has it: an IP address, `localhost`, or nothing for every address.
    pub fn host(&self) -> Option<&str> {
        match &self.address {
            Address::Tcp(address) => address.rsplit_once(':').map(|(host, _)| host),
            Address::Unix(_) => None,
        }
    }
}

/// What a URL consists of, without judging whether one can listen there.
///
/// # Errors
/// When it has another scheme, no port, or a path.
pub fn split_url(url: &str) -> Result<Endpoint, EndpointError> {
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
        return Ok(Endpoint { address: address?, tls });
    }
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
    let (host, port) = authority.rsplit_once(':').ok_or_else(invalid)?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if port.parse::<u16>().is_err() || host.contains(':') && !bracketed {
        return Err(invalid());
    }
    if path.is_some() {
        return Err(EndpointError::Path(url.to_owned()));
    }
    Ok(Endpoint { address: Address::Tcp(authority.to_owned()), tls })
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(url: &str) -> Result<Self, EndpointError> {
        let mut endpoint = split_url(url)?;
        if let Address::Tcp(address) = &mut endpoint.address {
            let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            if host.is_empty() {
                // Every address, as in Go.
                *address = format!("0.0.0.0:{port}");
            } else if host != "localhost" && bare.parse::<IpAddr>().is_err() {
                return Err(EndpointError::NotAnAddress(url.to_owned()));
            }
        }
        Ok(endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_endpoints() {
        let tcp = |address: &str, tls| Ok(Endpoint { address: Address::Tcp(address.to_owned()), tls });
        assert_eq!("http://127.0.0.1:2379".parse(), tcp("127.0.0.1:2379", false));
        assert_eq!("https://[::1]:2379".parse(), tcp("[::1]:2379", true));
        assert_eq!("http://localhost:2379".parse(), tcp("localhost:2379", false));
        assert_eq!("http://:2379".parse(), tcp("0.0.0.0:2379", false));
        assert_eq!(
            "unix:///run/etcd.sock".parse(),
            Ok(Endpoint { address: Address::Unix("/run/etcd.sock".into()), tls: false })
        );
        assert_eq!("https://[::1]:2379".parse::<Endpoint>().unwrap().host(), Some("[::1]"));
    }

    #[test]
    fn what_is_no_endpoint_is_told_as_etcd_tells_it() {
        let error = |url: &str| url.parse::<Endpoint>().unwrap_err().to_string();
        assert_eq!(error("localhost:2379"), "URL scheme must be http, https, unix, or unixs: localhost:2379");
        assert_eq!(error("http://h"), "URL address does not have the form \"host:port\": http://h");
        assert_eq!(error("http://h:1/"), "URL must not contain a path: http://h:1/");
        assert_eq!(error("http://h:1"), "expected IP in URL for binding (http://h:1)");
        for url in ["http://127.0.0.1", "http://127.0.0.1:99999", "http://::1:5", "unix://"] {
            assert!(matches!(url.parse::<Endpoint>(), Err(EndpointError::Address(_))), "{url}");
        }
        assert!(split_url("http://etcd-0.example:2380").is_ok());
    }
}
