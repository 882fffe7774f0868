//! The value of `--auth-token`: `simple`, or `jwt` with its keys.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pintle_store::auth::{Jwt, JwtError};
use pintle_store::{TokenKind, limits};

use super::values::GoDuration;

/// A value that cannot be used; the text says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthTokenError {
    /// Neither kind of token.
    #[error("--auth-token: {0:?} is no kind of token: simple or jwt,OPTION=VALUE,... is needed")]
    Kind(String),
    /// An option that cannot be read.
    #[error("--auth-token: option {0:?} is needed once, as OPTION=VALUE")]
    Option(String),
    /// A file that cannot be read.
    #[error("--auth-token: cannot read {0}: {1}; check the file")]
    File(String, String),
    /// A duration that is none.
    #[error("--auth-token: ttl: {0}")]
    Ttl(String),
    /// Keys that do not make tokens.
    #[error("--auth-token: {0}")]
    Jwt(#[from] JwtError),
}

/// Reads the value, and the files that it names. Simple tokens count for `simple_ttl` after their use.
pub fn parse(text: &str, simple_ttl: Duration) -> Result<TokenKind, AuthTokenError> {
    let (kind, options) = text.split_once(',').unwrap_or((text, ""));
    let mut values = BTreeMap::new();
    for option in options.split(',').filter(|_| !options.is_empty()) {
        let again = || AuthTokenError::Option(option.to_owned());
        let (name, value) = option.split_once('=').filter(|(_, value)| !value.contains('=')).ok_or_else(again)?;
        if values.insert(name, value).is_some() {
            return Err(again());
        }
    }
    match kind {
        "simple" => Ok(TokenKind::Simple { ttl: simple_ttl }),
        "jwt" => {
            let value = |name| values.get(name).copied().filter(|value| !value.is_empty());
            let ttl = match value("ttl") {
                Some(ttl) => ttl.parse::<GoDuration>().map_err(AuthTokenError::Ttl)?.0,
                None => limits::JWT_TTL,
            };
            let read = |name| {
                let read = |path| {
                    std::fs::read(path).map_err(|error| AuthTokenError::File(String::from(path), error.to_string()))
                };
                value(name).map(read).transpose()
            };
            let (private, public) = (read("priv-key")?, read("pub-key")?);
            let method = value("sign-method").unwrap_or_default();
            Ok(TokenKind::Jwt(Arc::new(Jwt::new(method, private.as_deref(), public.as_deref(), ttl)?)))
        }
        _ => Err(AuthTokenError::Kind(kind.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(7);

    #[test]
    fn simple_tokens_have_the_time_of_their_own_flag() {
        assert!(matches!(parse("simple", TTL), Ok(TokenKind::Simple { ttl: TTL })));
    }

    #[test]
    fn what_makes_no_tokens_is_refused_by_name() {
        let error = |text| parse(text, TTL).unwrap_err();
        assert_eq!(error("magic"), AuthTokenError::Kind("magic".to_owned()));
        assert_eq!(error("jwt,sign-method"), AuthTokenError::Option("sign-method".to_owned()));
        assert_eq!(error("jwt,ttl=5m,ttl=5m"), AuthTokenError::Option("ttl=5m".to_owned()));
        assert!(matches!(error("jwt,ttl=5"), AuthTokenError::Ttl(_)));
        assert_eq!(error("jwt"), AuthTokenError::Jwt(JwtError::Method(String::new())));
        assert_eq!(error("jwt,sign-method=RS256"), AuthTokenError::Jwt(JwtError::MissingKey));
        assert!(matches!(error("jwt,sign-method=RS256,pub-key=/nowhere"), AuthTokenError::File(..)));
    }

    #[test]
    fn a_secret_is_read_from_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "a secret of some length").unwrap();
        let kind = parse(&format!("jwt,sign-method=HS256,priv-key={},ttl=1m", path.display()), TTL);
        assert!(matches!(kind, Ok(TokenKind::Jwt(_))));
        assert!(!format!("{kind:?}").contains("secret"));
    }
}
