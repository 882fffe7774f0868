//! etcd's other tokens: signed claims (`--auth-token jwt,...`), which any member with the key can verify without
//! remembering them.

use std::fmt;
use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Map, Value, json};

use super::author::Credentials;
use super::sec1;
use crate::error::{Result, StoreError};

/// Why tokens cannot be made or verified with what was given. The text says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// The method is unknown, or one that is not supported.
    #[error(
        "sign-method {0:?} is not supported: one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, HS256, HS384, HS512 is needed"
    )]
    Method(String),
    /// No key was given.
    #[error("a key is needed: priv-key to issue tokens, or pub-key to verify them")]
    MissingKey,
    /// A key cannot be used with the method.
    #[error("{0} cannot be used with the sign-method: {1}")]
    Key(&'static str, String),
    /// What one key signs the other does not verify.
    #[error("pub-key and priv-key do not belong together")]
    KeyMismatch,
}

/// Makes and verifies tokens.
pub struct Jwt {
    algorithm: Algorithm,
    /// `None` where tokens are only verified.
    signing: Option<EncodingKey>,
    verifying: DecodingKey,
    ttl: Duration,
}

/// Keys are secret.
impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt").field("algorithm", &self.algorithm).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

impl Jwt {
    /// Signs by `method` with keys in PEM; with HMAC the private key is the secret itself, whatever its bytes.
    pub fn new(
        method: &str,
        private: Option<&[u8]>,
        public: Option<&[u8]>,
        ttl: Duration,
    ) -> std::result::Result<Self, JwtError> {
        let algorithm: Algorithm = method.parse().map_err(|_| JwtError::Method(method.to_owned()))?;
        let key_error = |name| move |error: jsonwebtoken::errors::Error| JwtError::Key(name, error.to_string());
        let private = private.filter(|key| !key.is_empty());
        let public = public.filter(|key| !key.is_empty());
        let family = family(algorithm);
        if family == AlgorithmFamily::Hmac {
            let secret = private.ok_or(JwtError::MissingKey)?;
            let (signing, verifying) = (EncodingKey::from_secret(secret), DecodingKey::from_secret(secret));
            return Ok(Self { algorithm, signing: Some(signing), verifying, ttl });
        }
        let signing = private.map(|pem| match family {
            AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(pem),
            AlgorithmFamily::Ec => EncodingKey::from_ec_pem(&sec1::to_pkcs8(pem)),
            _ => EncodingKey::from_ed_pem(pem),
        });
        let signing = signing.transpose().map_err(key_error("priv-key"))?;
        let public = public.map(|pem| match family {
            AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem),
            AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem),
            _ => DecodingKey::from_ed_pem(pem),
        });
        let public = public.transpose().map_err(key_error("pub-key"))?;
        let verifying = match (public, &signing) {
            (Some(public), _) => public,
            (None, Some(signing)) => Jwk::from_encoding_key(signing, algorithm)
                .and_then(|key| DecodingKey::from_jwk(&key))
                .map_err(key_error("priv-key"))?,
            (None, None) => return Err(JwtError::MissingKey),
        };
        let jwt = Self { algorithm, signing, verifying, ttl };
        if let Some(signing) = &jwt.signing {
            let probe = jsonwebtoken::encode(&Header::new(algorithm), &json!({}), signing);
            let probe = probe.map_err(key_error("priv-key"))?;
            jwt.claims(&probe).ok_or(JwtError::KeyMismatch)?;
        }
        Ok(jwt)
    }

    /// A token for a user, as of an auth revision and a time since the Unix epoch.
    ///
    /// # Errors
    /// [`StoreError::VerifyOnly`] without a private key.
    pub fn issue(&self, user: &str, revision: u64, now: Duration) -> Result<String> {
        let signing = self.signing.as_ref().ok_or(StoreError::VerifyOnly)?;
        let end = now.saturating_add(self.ttl).as_secs();
        let claims = json!({"username": user, "revision": revision, "exp": end});
        jsonwebtoken::encode(&Header::new(self.algorithm), &claims, signing).map_err(|_| StoreError::AuthFailed)
    }

    /// Whom a token names, if it is genuine and it is its time.
    pub fn verify(&self, token: &str, now: Duration) -> Option<Credentials> {
        let claims = self.claims(token)?;
        let now = now.as_secs_f64();
        let time = |claim: &str| claims.get(claim).map(Value::as_f64);
        // A claim that is no number is worse than none.
        if matches!(time("exp"), Some(end) if end.is_none_or(|end| now >= end))
            || matches!(time("nbf"), Some(begin) if begin.is_none_or(|begin| now < begin))
        {
            return None;
        }
        let user = claims.get("username")?.as_str()?.to_owned();
        Some(Credentials { user, revision: claims.get("revision")?.as_u64()? })
    }

    /// The claims of a token that was signed by the one method and key.
    fn claims(&self, token: &str) -> Option<Map<String, Value>> {
        let mut validation = Validation::new(self.algorithm);
        // Times are judged by the clock that is given, and these tokens name no audience.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        jsonwebtoken::decode(token, &self.verifying, &validation).ok().map(|token| token.claims)
    }
}

fn family(algorithm: Algorithm) -> AlgorithmFamily {
    use AlgorithmFamily::{Ec, Ed, Hmac, Rsa};
    [Hmac, Rsa, Ec, Ed].into_iter().find(|family| family.algorithms().contains(&algorithm)).unwrap_or(Hmac)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    const RSA: &[u8] = include_bytes!("../../testdata/jwt/rsa.pem");
    const RSA_PUBLIC: &[u8] = include_bytes!("../../testdata/jwt/rsa.pub.pem");
    const P256: &[u8] = include_bytes!("../../testdata/jwt/p256.pem");
    const P256_PUBLIC: &[u8] = include_bytes!("../../testdata/jwt/p256.pub.pem");
    const P384: &[u8] = include_bytes!("../../testdata/jwt/p384.pem");
    const ED25519: &[u8] = include_bytes!("../../testdata/jwt/ed25519.pem");
    const ED25519_PUBLIC: &[u8] = include_bytes!("../../testdata/jwt/ed25519.pub.pem");

    const TTL: Duration = Duration::from_secs(300);
    const NOW: Duration = Duration::from_secs(1_800_000_000);

    fn jwt(method: &str, private: Option<&[u8]>, public: Option<&[u8]>) -> Jwt {
        Jwt::new(method, private, public, TTL).unwrap()
    }

    #[test]
    fn what_is_issued_is_verified_by_every_method() {
        type Keys<'a> = (&'a [&'a str], &'a [u8], Option<&'a [u8]>);
        let keys: [Keys<'_>; 5] = [
            (&["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"], RSA, Some(RSA_PUBLIC)),
            (&["ES256"], P256, Some(P256_PUBLIC)),
            (&["ES384"], P384, None),
            (&["EdDSA"], ED25519, Some(ED25519_PUBLIC)),
            (&["HS256", "HS384", "HS512"], b"not even PEM", None),
        ];
        for (methods, private, public) in keys {
            for method in methods {
                let token = jwt(method, Some(private), None).issue("ann", 7, NOW).unwrap();
                let ann = Credentials { user: "ann".to_owned(), revision: 7 };
                assert_eq!(jwt(method, Some(private), public).verify(&token, NOW), Some(ann.clone()), "{method}");
                if let Some(public) = public {
                    let verifier = jwt(method, None, Some(public));
                    assert_eq!(verifier.verify(&token, NOW), Some(ann), "{method}");
                    assert!(matches!(verifier.issue("ann", 7, NOW), Err(StoreError::VerifyOnly)), "{method}");
                }
            }
        }
    }

    #[test]
    fn a_token_counts_for_its_time() {
        let jwt = jwt("ES256", Some(P256), None);
        let token = jwt.issue("ann", 7, NOW).unwrap();
        assert!(jwt.verify(&token, NOW + Duration::from_secs(299)).is_some());
        assert!(jwt.verify(&token, NOW + TTL).is_none());
    }

    /// A token of these claims that is signed as `jwt` signs.
    fn signed(jwt: &Jwt, claims: &Value) -> String {
        jsonwebtoken::encode(&Header::new(jwt.algorithm), claims, jwt.signing.as_ref().unwrap()).unwrap()
    }

    #[test]
    fn claims_must_be_whole() {
        let jwt = jwt("HS256", Some(b"secret"), None);
        let counts = |claims: &Value| jwt.verify(&signed(&jwt, claims), NOW).is_some();
        assert!(counts(&json!({"username": "ann", "revision": 7})));
        assert!(counts(&json!({"username": "ann", "revision": 7, "nbf": NOW.as_secs()})));
        assert!(!counts(&json!({"username": "ann", "revision": 7, "nbf": NOW.as_secs() + 1})));
        assert!(!counts(&json!({"username": "ann", "revision": 7, "exp": "never"})));
        assert!(!counts(&json!({"username": "ann", "revision": "7"})));
        assert!(!counts(&json!({"username": ["ann"], "revision": 7})));
        assert!(!counts(&json!({"revision": 7})));
    }

    #[test]
    fn a_forged_token_does_not_count() {
        let jwt = jwt("RS256", Some(RSA), None);
        let token = jwt.issue("ann", 7, NOW).unwrap();
        let (head, rest) = token.split_once('.').unwrap();
        let (claims, signature) = rest.split_once('.').unwrap();
        let other = URL_SAFE_NO_PAD.encode(json!({"username": "root", "revision": 7}).to_string());
        let unsigned = URL_SAFE_NO_PAD.encode(json!({"alg": "none", "typ": "JWT"}).to_string());
        // The well-known trick: the public key, taken for the secret of another method.
        let confused = signed(&self::jwt("HS256", Some(RSA_PUBLIC), None), &json!({"username": "root", "revision": 7}));
        let forged = [
            format!("{head}.{other}.{signature}"),
            format!("{unsigned}.{claims}."),
            format!("{unsigned}.{claims}.{signature}"),
            format!("{head}.{claims}."),
            format!("{head}.{claims}"),
            confused,
            String::new(),
            "...".to_owned(),
        ];
        for token in forged {
            assert_eq!(jwt.verify(&token, NOW), None, "{token}");
        }
    }

    #[test]
    fn keys_that_make_no_tokens_are_refused() {
        let error = |method, private, public| Jwt::new(method, private, public, TTL).unwrap_err();
        assert_eq!(error("none", Some(RSA), None), JwtError::Method("none".to_owned()));
        assert_eq!(error("RS256", None, None), JwtError::MissingKey);
        assert_eq!(error("HS256", None, Some(RSA_PUBLIC)), JwtError::MissingKey);
        assert!(matches!(error("RS256", Some(b"x"), None), JwtError::Key("priv-key", _)));
        assert!(matches!(error("RS256", Some(P256), None), JwtError::Key("priv-key", _)));
        assert_eq!(error("ES384", Some(P384), Some(P256_PUBLIC)), JwtError::KeyMismatch);
    }

    #[test]
    fn keys_are_not_shown() {
        assert!(!format!("{:?}", jwt("HS256", Some(b"secret"), None)).contains("secret"));
    }
}
