//! Base64 as Go's `encoding/base64` reads it: line breaks are left out, trailing bits ignored, errors name the byte.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::PAD;

/// Go does not ask that the bits which no byte uses be zero.
const ENGINE: GeneralPurpose = GeneralPurpose::new(&STANDARD, PAD.with_decode_allow_trailing_bits(true));

/// The text is not base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("illegal base64 data at input byte {0}")]
pub struct Corrupt(usize);

/// Decodes a text.
pub fn decode(text: &str) -> Result<Vec<u8>, Corrupt> {
    check(text.as_bytes())?;
    let broken = text.contains(['\r', '\n']);
    let joined = if broken { text.replace(['\r', '\n'], "") } else { String::new() };
    ENGINE.decode(if broken { &joined } else { text }).map_err(|_| Corrupt(text.len()))
}

/// Encodes bytes.
pub fn encode(bytes: &[u8]) -> String {
    ENGINE.encode(bytes)
}

/// Finds the byte that Go complains about: it reads four characters at a time, and names the first of them if the text
/// ends among them.
fn check(text: &[u8]) -> Result<(), Corrupt> {
    let is_break = |at: usize| matches!(text.get(at), Some(b'\r' | b'\n'));
    let past_breaks = |from: usize| (from..text.len()).find(|at| !is_break(*at)).unwrap_or(text.len());
    let (mut at, mut read) = (0, 0);
    loop {
        let Some(byte) = text.get(at) else {
            return if read == 0 { Ok(()) } else { Err(Corrupt(at - read)) };
        };
        match byte {
            b'\r' | b'\n' => {}
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => read = (read + 1) % 4,
            b'=' if read >= 2 => {
                let mut next = past_breaks(at + 1);
                if read == 2 {
                    match text.get(next) {
                        None => return Err(Corrupt(text.len())),
                        Some(b'=') => next = past_breaks(next + 1),
                        Some(_) => return Err(Corrupt(next - 1)),
                    }
                }
                return if next < text.len() { Err(Corrupt(next)) } else { Ok(()) };
            }
            _ => return Err(Corrupt(at)),
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_byte_that_go_names() {
        let table = [
            ("", None),
            ("YWJj", None),
            ("YW\nI=", None),
            ("YWI=", None),
            ("YWJ=", None),
            ("YQ==", None),
            ("abc", Some(0)),
            ("YWJjYQ", Some(4)),
            ("!", Some(0)),
            ("not base64", Some(3)),
            ("YQ=", Some(3)),
            ("YQ=x", Some(2)),
            ("Y===", Some(1)),
            ("YWI=x", Some(4)),
        ];
        for (text, expected) in table {
            assert_eq!(decode(text).err(), expected.map(Corrupt), "{text}");
        }
        assert_eq!(encode(&decode("YWJ=").unwrap()), "YWI=");
    }
}
