//! Service account tokens: JSON web tokens (RFC 7519) that this server signs and accepts back.
//!
//! Upstream: `pkg/serviceaccount`. Whether the account still exists is not judged here, since that takes a look into the store.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// What the names of all service accounts begin with.
pub const USER_PREFIX: &str = "system:serviceaccount:";
/// All service accounts are members.
pub const ALL: &str = "system:serviceaccounts";
/// By how much clocks may differ, in seconds.
const LEEWAY_SECONDS: i64 = 60;
/// What comes before the point of a P-256 public key in its DER form (RFC 5480).
const PUBLIC_KEY_HEAD: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// How a P-256 point is written uncompressed: this byte, then both coordinates.
const UNCOMPRESSED: u8 = 4;
const COORDINATE_BYTES: usize = 32;

/// Why a key cannot sign tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no PKCS#8 key in PEM.
    #[error("it holds no private key in PEM (PKCS#8)")]
    Pem,
    /// It is a key of another kind.
    #[error("it is no ECDSA key on the curve P-256")]
    Kind,
}

/// Why a token of this server's is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not signed by this server's key.
    #[error("invalid signature, no keys found")]
    Signature,
    /// Its time is over.
    #[error("service account token has expired")]
    Expired,
    /// Its time has not begun.
    #[error("service account token is not valid yet")]
    NotYetValid,
    /// It is from the future.
    #[error("service account token is issued in the future")]
    FromTheFuture,
    /// It names no service account.
    #[error("sub claim is invalid")]
    Subject,
}

/// Signs service account tokens and knows them again.
pub struct Issuer {
    url: String,
    key: EcdsaKeyPair,
    key_id: String,
    random: SystemRandom,
}

/// What a token says, once its signature and its times have been judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// The account's namespace.
    pub namespace: String,
    /// The account's name.
    pub name: String,
    /// The account's uid.
    pub uid: String,
    /// For whom the token is meant.
    pub audiences: Vec<String>,
    /// The token's own id; may be empty.
    pub id: String,
    /// The pod that it lives with.
    pub pod: Option<Bound>,
    /// The secret that it lives with.
    pub secret: Option<Bound>,
    /// The node that it lives with, or that the pod runs on.
    pub node: Option<Bound>,
}

/// An object that a token lives with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bound {
    /// Its name.
    pub name: String,
    /// Its uid; empty for a node that did not exist when the token was made.
    pub uid: String,
}

impl Issuer {
    /// An issuer called `url` with the key in `pem`.
    pub fn new(url: impl Into<String>, pem: &str) -> Result<Self, KeyError> {
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
        let der = STANDARD.decode(body).ok().filter(|der| !der.is_empty()).ok_or(KeyError::Pem)?;
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &random);
        let key = key.map_err(|_| KeyError::Kind)?;
        let public = [PUBLIC_KEY_HEAD, key.public_key().as_ref()].concat();
        let key_id = URL_SAFE_NO_PAD.encode(Sha256::digest(public));
        Ok(Self { url: url.into(), key, key_id, random })
    }

    /// The issuer's name, which clients may look for its keys at.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A token with these claims. Times are in seconds since 1970. `None` where the system has no randomness to give.
    pub fn sign(&self, claims: &Claims, issued: i64, expires: i64, warn_after: Option<i64>) -> Option<String> {
        let header = json!({ "alg": "ES256", "kid": self.key_id });
        let payload = claims.to_value(&self.url, issued, expires, warn_after);
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&payload));
        let signature = self.key.sign(&self.random, signed.as_bytes()).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// What a token says at the time `now`, in seconds since 1970. `None` for whatever is no token of this issuer.
    pub fn verify(&self, token: &str, now: i64) -> Option<Result<Claims, TokenError>> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let read = |part: &str| -> Option<Map<String, Value>> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        let payload = read(payload).filter(|claims| claims.get("iss") == Some(&Value::from(self.url.as_str())))?;
        let well_signed = || {
            // The key decides what algorithm there is, never the token.
            let algorithm = read(header)?.get("alg")? == "ES256";
            let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
            (algorithm && key.verify(signed.as_bytes(), &signature).is_ok()).then_some(())
        };
        if well_signed().is_none() {
            return Some(Err(TokenError::Signature));
        }
        Some(judge_times(&payload, now).and_then(|()| Claims::from_payload(&payload)))
    }

    /// The public key as a set of JSON web keys (RFC 7517).
    pub fn key_set(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let coordinates = point.strip_prefix(&[UNCOMPRESSED]).unwrap_or_default();
        let (x, y) = coordinates.split_at(COORDINATE_BYTES.min(coordinates.len()));
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "keys": [{
            "use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256", "x": encode(x), "y": encode(y),
        }] })
    }

    /// Where and what the keys are, for `/.well-known/openid-configuration`; `keys_url` is where the key set is served.
    pub fn configuration(&self, keys_url: &str) -> Value {
        json!({
            "issuer": self.url,
            "jwks_uri": keys_url,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }
}

fn judge_times(payload: &Map<String, Value>, now: i64) -> Result<(), TokenError> {
    let time = |claim: &str| payload.get(claim).and_then(Value::as_i64);
    if time("nbf").is_some_and(|begins| now.saturating_add(LEEWAY_SECONDS) < begins) {
        return Err(TokenError::NotYetValid);
    }
    if time("exp").is_none_or(|ends| now.saturating_sub(LEEWAY_SECONDS) > ends) {
        return Err(TokenError::Expired);
    }
    if time("iat").is_some_and(|issued| now.saturating_add(LEEWAY_SECONDS) < issued) {
        return Err(TokenError::FromTheFuture);
    }
    Ok(())
}

impl Claims {
    /// The user name of the account.
    pub fn user_name(&self) -> String {
        format!("{USER_PREFIX}{}:{}", self.namespace, self.name)
    }

    fn to_value(&self, issuer: &str, now: i64, expires: i64, warn_after: Option<i64>) -> Value {
        let bound = |bound: &Bound| match bound.uid.as_str() {
            "" => json!({ "name": bound.name }),
            uid => json!({ "name": bound.name, "uid": uid }),
        };
        let mut private = json!({
            "namespace": self.namespace,
            "serviceaccount": { "name": self.name, "uid": self.uid },
        });
        for (field, object) in [("pod", &self.pod), ("secret", &self.secret), ("node", &self.node)] {
            if let Some(object) = object {
                private[field] = bound(object);
            }
        }
        if let Some(time) = warn_after {
            private["warnafter"] = time.into();
        }
        json!({
            "aud": self.audiences, "exp": expires, "iat": now, "iss": issuer, "jti": self.id, "nbf": now,
            "sub": self.user_name(), "kubernetes.io": private,
        })
    }

    fn from_payload(payload: &Map<String, Value>) -> Result<Self, TokenError> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let private = payload.get("kubernetes.io").unwrap_or(&Value::Null);
        let bound = |field: &str| {
            let object = private.get(field)?;
            Some(Bound { name: text(&object["name"]), uid: text(&object["uid"]) })
        };
        let claim = |name: &str| payload.get(name).unwrap_or(&Value::Null);
        let audiences = match claim("aud") {
            Value::String(one) => vec![one.clone()],
            several => several.as_array().into_iter().flatten().map(text).collect(),
        };
        let account = &private["serviceaccount"];
        let claims = Self {
            namespace: text(&private["namespace"]),
            name: text(&account["name"]),
            uid: text(&account["uid"]),
            audiences,
            id: text(claim("jti")),
            pod: bound("pod"),
            secret: bound("secret"),
            node: bound("node"),
        };
        if claim("sub") == claims.user_name().as_str() { Ok(claims) } else { Err(TokenError::Subject) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer() -> Issuer {
        Issuer::new("https://issuer", &rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap()
    }

    fn claims() -> Claims {
        Claims {
            namespace: "n".to_owned(),
            name: "a".to_owned(),
            uid: "u".to_owned(),
            audiences: vec!["https://audience".to_owned()],
            id: "i".to_owned(),
            pod: Some(Bound { name: "p".to_owned(), uid: "pu".to_owned() }),
            ..Claims::default()
        }
    }

    #[test]
    fn a_token_comes_back_as_it_was_made() {
        let issuer = issuer();
        let token = issuer.sign(&claims(), 1000, 2000, None).unwrap();
        assert_eq!(issuer.verify(&token, 1500), Some(Ok(claims())));
        assert_eq!(issuer.verify(&token, 2061), Some(Err(TokenError::Expired)));
        assert_eq!(issuer.verify(&token, 939), Some(Err(TokenError::NotYetValid)));
        assert_eq!(claims().user_name(), "system:serviceaccount:n:a");
    }

    #[test]
    fn what_another_key_signed_is_refused() {
        let issuer = issuer();
        let forged = self::issuer().sign(&claims(), 1000, 2000, None).unwrap();
        assert_eq!(issuer.verify(&forged, 1500), Some(Err(TokenError::Signature)));
        let token = issuer.sign(&claims(), 1000, 2000, None).unwrap();
        let (signed, _) = token.rsplit_once('.').unwrap();
        assert_eq!(issuer.verify(&format!("{signed}."), 1500), Some(Err(TokenError::Signature)));
        let (_, rest) = token.split_once('.').unwrap();
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        assert_eq!(issuer.verify(&format!("{none}.{rest}"), 1500), Some(Err(TokenError::Signature)));
    }

    #[test]
    fn other_tokens_are_left_to_other_authenticators() {
        let issuer = issuer();
        for token in ["", "junk", "a.b.c", "..", "e30.e30.e30"] {
            assert_eq!(issuer.verify(token, 0), None, "{token}");
        }
    }

    #[test]
    fn the_key_set_holds_the_public_key() {
        let set = issuer().key_set();
        assert_eq!(URL_SAFE_NO_PAD.decode(set["keys"][0]["x"].as_str().unwrap()).unwrap().len(), COORDINATE_BYTES);
        assert_eq!(URL_SAFE_NO_PAD.decode(set["keys"][0]["y"].as_str().unwrap()).unwrap().len(), COORDINATE_BYTES);
        assert!(Issuer::new("", "").is_err());
    }
}
