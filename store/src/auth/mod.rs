//! Users, roles and what they may do, as etcd's `server/auth` has it.
//!
//! Everything here is a function of what it is given: the replicated state lies in
//! [`Column::Auth`](crate::engine::Column::Auth) and is changed by [`apply`](crate::apply); time comes as an argument.

mod author;
mod coverage;
mod interval_tree;
pub mod judge;
pub mod jwt;
mod manage;
mod records;
mod rules;
mod sec1;
mod simple_token;

pub use author::{Author, Credentials};
pub use coverage::Coverage;
pub use judge::Judge;
pub use jwt::{Jwt, JwtError};
pub use rules::{Access, ROOT, Rules};
pub use simple_token::SimpleTokens;
