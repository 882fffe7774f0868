//! Strings as Go's JSON decoder reads them.

/// The content of a JSON string between its quotes, which the scanner has checked. What is not UTF-8, and half of a
/// surrogate pair, becomes U+FFFD.
pub fn unescape(raw: &[u8]) -> String {
    if !raw.contains(&b'\\') {
        return String::from_utf8_lossy(raw).into_owned();
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        let (plain, escaped) = rest.split_at(at);
        out.push_str(&String::from_utf8_lossy(plain));
        let taken = match escaped.get(1) {
            Some(b'b') => push(&mut out, '\u{8}'),
            Some(b'f') => push(&mut out, '\u{c}'),
            Some(b'n') => push(&mut out, '\n'),
            Some(b'r') => push(&mut out, '\r'),
            Some(b't') => push(&mut out, '\t'),
            Some(b'u') => unicode(escaped, &mut out),
            Some(byte) => push(&mut out, char::from(*byte)),
            None => 1,
        };
        rest = escaped.get(taken..).unwrap_or_default();
    }
    out.push_str(&String::from_utf8_lossy(rest));
    out
}

fn push(out: &mut String, c: char) -> usize {
    out.push(c);
    2
}

/// Appends a `\uXXXX`, or two that are a surrogate pair, and answers how many bytes they take.
fn unicode(escaped: &[u8], out: &mut String) -> usize {
    let first = code_unit(escaped);
    if let 0xd800..0xdc00 = first {
        let second = escaped.get(6..).map_or(0, code_unit);
        if let 0xdc00..0xe000 = second {
            out.push(char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).unwrap_or('\u{fffd}'));
            return 12;
        }
    }
    out.push(char::from_u32(first).unwrap_or('\u{fffd}'));
    6
}

/// The code of a `\uXXXX` at the beginning, 0 where there is none.
fn code_unit(escaped: &[u8]) -> u32 {
    let digits =
        escaped.strip_prefix(b"\\u").and_then(|rest| rest.get(..4)).and_then(|hex| std::str::from_utf8(hex).ok());
    digits.and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(unescape(br"a\n\u00e9\ud83d\ude00\ud800x\/"), "a\né😀\u{fffd}x/");
        assert_eq!(unescape(b"\xff"), "\u{fffd}");
    }
}
