//! Flags of users: their tokens and their passwords.

use std::time::Duration;

use clap::Args;
use pintle_store::{AuthConfig, StoreConfig, limits};

use super::FlagError;
use super::auth_token;

/// How users are recognised once authentication is on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Users")]
pub struct AuthFlags {
    /// The tokens that users are given: simple, or jwt,pub-key=FILE,priv-key=FILE,sign-method=METHOD,ttl=5m.
    #[arg(long, value_name = "KIND", default_value = "simple")]
    auth_token: String,

    /// Seconds that a simple token counts after its use.
    #[arg(long, value_name = "SECONDS", default_value_t = limits::SIMPLE_TOKEN_TTL.as_secs())]
    auth_token_ttl: u64,

    /// Strength of hashed passwords, from 4 to 31.
    #[arg(long, value_name = "COST", default_value_t = limits::BCRYPT_COST)]
    bcrypt_cost: u32,
}

impl AuthFlags {
    /// What they say of how to open the store.
    pub fn configure(&self, config: &mut StoreConfig) -> Result<(), FlagError> {
        // As in etcd, no time is the default.
        let simple_ttl = match self.auth_token_ttl {
            0 => limits::SIMPLE_TOKEN_TTL,
            seconds => Duration::from_secs(seconds),
        };
        config.auth = AuthConfig {
            tokens: auth_token::parse(&self.auth_token, simple_ttl)?,
            // As in etcd, a strength that cannot be is the default.
            bcrypt_cost: if (4..=31).contains(&self.bcrypt_cost) { self.bcrypt_cost } else { limits::BCRYPT_COST },
        };
        Ok(())
    }
}
