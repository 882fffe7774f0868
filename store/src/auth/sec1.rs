//! Keys of elliptic curves in the older form that `openssl ecparam -genkey` writes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivateSec1KeyDer;
use rustls_pki_types::pem::PemObject;

/// What says in PKCS #8 that a key is of the curve P-256 (RFC 5480).
const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
    0x01, 0x07,
];
/// What says that it is of P-384.
const P384: &[u8] =
    &[0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
/// The version that PKCS #8 begins with: 0.
const VERSION: &[u8] = &[0x02, 0x01, 0x00];

const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;

/// The key in PKCS #8, which is what it is verified and signed with; anything else is returned as it is.
pub fn to_pkcs8(pem: &[u8]) -> Vec<u8> {
    let Ok(key) = PrivateSec1KeyDer::from_pem_slice(pem) else { return pem.to_vec() };
    let key = key.secret_sec1_der();
    // The object identifier of the curve stands within the key.
    let algorithm = if key.windows(7).any(|bytes| P384.ends_with(bytes)) { P384 } else { P256 };
    let body = [VERSION, algorithm, &element(OCTET_STRING, key)].concat();
    let text = STANDARD.encode(element(SEQUENCE, &body));
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n").into_bytes()
}

/// An element of DER: its tag, its length, its contents.
fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let significant = length.iter().position(|byte| *byte != 0).map_or(&[][..], |first| &length[first..]);
    let mut out = vec![tag];
    match significant {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            out.push(0x80 | u8::try_from(long.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(contents);
    out
}
