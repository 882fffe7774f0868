//! What entity tags of documents are made of.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha512};

/// The SHA-512 of a document in upper-case hexadecimal.
pub(in crate::discovery) fn digest(body: &[u8]) -> String {
    let hash = Sha512::digest(body);
    let mut text = String::with_capacity(2 * hash.len());
    for byte in hash {
        // A String takes every write.
        let _ = write!(text, "{byte:02X}");
    }
    text
}
