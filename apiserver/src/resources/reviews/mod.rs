//! Reviews: questions to the server about identities and what they may do. None of them is stored.

pub mod access;
pub mod identity;
