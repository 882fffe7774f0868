//! The query of a URL, with Go's rules: percent escapes and `+` decoded, the first of repeated keys counts.

/// A parsed query string.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads `a=1&b=2`. Pairs with bad escapes are dropped, as Go's `URL.Query` drops them.
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')).filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(key, true)?, decode(value, true)?))
        });
        Self { pairs: pairs.collect() }
    }

    /// The first value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Every value of `key`, in order.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// A boolean as apimachinery converts it: absent, `0` and `false` are false, anything else is true.
    pub fn flag(&self, key: &str) -> bool {
        self.get(key).is_some_and(|v| !matches!(v.to_ascii_lowercase().as_str(), "0" | "false"))
    }
}

/// Decodes the percent escapes of a path; `None` where they are malformed or do not make UTF-8.
pub fn decode_path(path: &str) -> Option<String> {
    decode(path, false)
}

fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if plus_is_space => b' ',
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_as_go_does() {
        let query = Query::parse("a=1&a=2&b=x%2Cy+z&bad=%zz&empty&c=%C3%A9");
        assert_eq!(query.get("a"), Some("1"));
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(query.get("b"), Some("x,y z"));
        assert_eq!(query.get("bad"), None);
        assert_eq!(query.get("empty"), Some(""));
        assert_eq!(query.get("c"), Some("é"));
    }

    #[test]
    fn booleans_are_true_unless_they_say_false() {
        let query = Query::parse("a=true&b=false&c=0&d=1&e&f=False");
        let got: Vec<bool> = ["a", "b", "c", "d", "e", "f", "g"].into_iter().map(|k| query.flag(k)).collect();
        assert_eq!(got, [true, false, false, true, true, false, false]);
    }
}
