//! Who a caller is and what they may do. Pure evaluation: no I/O, no HTTP.

pub mod authorize;
pub mod service_account;
pub mod tls;
pub mod token_file;
pub mod user;
pub mod x509;

pub use user::User;
