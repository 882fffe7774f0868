//! TLS as etcd's flags describe it, for clients and between members: which certificate is shown, which are accepted.
//! Files are read again when they change, so that certificates are renewed without a restart.

mod acceptance;
mod cipher_suites;
mod files;
mod reload;
mod revocation;
mod self_signed;
mod settings;

pub use acceptance::{Residence, residence};
pub use cipher_suites::{UnknownCipherSuite, parse as parse_cipher_suites};
pub use files::TlsError;
pub use reload::{ClientTls, ServerTls};
pub use self_signed::self_signed;
pub use settings::{Protocols, TlsSettings, TlsVersion};
