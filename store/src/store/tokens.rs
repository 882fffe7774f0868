//! The tokens of this member, with the clocks they run by.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use crate::auth::{Credentials, Jwt, Rules, SimpleTokens};
use crate::error::StoreError;
use crate::limits;

/// What tokens clients are given (`--auth-token`).
#[derive(Clone, Debug)]
pub enum TokenKind {
    /// Random texts that count for a time after they were used.
    Simple {
        /// How long (`--auth-token-ttl`).
        ttl: Duration,
    },
    /// Signed claims.
    Jwt(Arc<Jwt>),
}

impl Default for TokenKind {
    fn default() -> Self {
        Self::Simple { ttl: limits::SIMPLE_TOKEN_TTL }
    }
}

/// Verifies tokens, and remembers those that have to be remembered.
pub enum Tokens {
    Simple { tokens: Mutex<SimpleTokens>, origin: Instant },
    Jwt(Arc<Jwt>),
}

impl Tokens {
    pub fn new(kind: &TokenKind) -> Self {
        match kind {
            TokenKind::Simple { ttl } => {
                Self::Simple { tokens: Mutex::new(SimpleTokens::new(*ttl)), origin: Instant::now() }
            }
            TokenKind::Jwt(jwt) => Self::Jwt(jwt.clone()),
        }
    }

    /// Whom a token names, if it counts.
    pub fn verify(&self, token: &str, rules: &Rules) -> Option<Credentials> {
        match self {
            Self::Simple { tokens, origin } => {
                let user = tokens.lock().user(token, origin.elapsed())?;
                Some(Credentials { user, revision: rules.revision() })
            }
            Self::Jwt(jwt) => jwt.verify(token, since_epoch()),
        }
    }

    /// Whether a token that does not count here may have been issued by another member a moment ago.
    pub fn may_be_issued_elsewhere(&self, token: &str) -> bool {
        matches!(self, Self::Simple { .. }) && SimpleTokens::is_well_formed(token)
    }

    /// A token that needs not be remembered; `None` if tokens are of the other kind.
    pub fn sign(&self, user: &str, rules: &Rules) -> Option<Result<String, StoreError>> {
        match self {
            Self::Simple { .. } => None,
            Self::Jwt(jwt) => Some(jwt.issue(user, rules.revision(), since_epoch())),
        }
    }

    /// Remembers a token.
    pub fn issue(&self, user: &str, token: &str) {
        self.change(|tokens, now| tokens.issue(user, token, now));
    }

    /// Forgets the tokens of a user.
    pub fn forget_user(&self, user: &str) {
        self.change(|tokens, _| tokens.forget_user(user));
    }

    /// Forgets every token.
    pub fn clear(&self) {
        self.change(|tokens, _| tokens.clear());
    }

    fn change(&self, change: impl FnOnce(&mut SimpleTokens, Duration)) {
        if let Self::Simple { tokens, origin } = self {
            change(&mut tokens.lock(), origin.elapsed());
        }
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
