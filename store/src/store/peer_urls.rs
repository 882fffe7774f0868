//! Which URLs a member may have; etcd's `types.NewURLs` (`client/pkg/types/urls.go`).

use crate::error::StoreError;

/// The URLs in order, their schemes in lower case.
///
/// # Errors
/// [`StoreError::MemberBadUrls`].
pub fn checked(given: &[String]) -> Result<Vec<String>, StoreError> {
    let urls: Option<Vec<String>> = given.iter().map(|url| peer_url(url.trim())).collect();
    let mut urls = urls.filter(|urls| !urls.is_empty()).ok_or(StoreError::MemberBadUrls)?;
    urls.sort();
    Ok(urls)
}

/// `http://HOST:PORT`, `https://HOST:PORT`, or anything on `unix:` or `unixs:`. The port may be left out, its colon not.
/// A query and the name of a user are let pass.
fn peer_url(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let good = match scheme.as_str() {
        "http" | "https" => {
            let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, after) = rest.split_at_checked(authority_end)?;
            !after.starts_with('/') && is_host_and_port(authority.rsplit_once('@').map_or(authority, |(_, host)| host))
        }
        "unix" | "unixs" => true,
        _ => false,
    };
    good.then(|| format!("{scheme}://{rest}"))
}

fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_in_brackets = host.starts_with('[') && host.ends_with(']');
    // Of an IPv6 address without brackets the last colon may be its own.
    let is_host = is_in_brackets || !host.contains([':', '[', ']']);
    let is_name =
        |byte: u8| !byte.is_ascii() || byte.is_ascii_alphanumeric() || b"!$&'()*+,;=:[]<>\"-._~".contains(&byte);
    is_host && host.bytes().all(is_name) && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_urls_are_etcds() {
        for good in [
            "http://a:2380",
            "https://10.0.0.1:1",
            "http://[::1]:2380",
            "unix://x:1",
            " http://a:1 ",
            "http://u:p@a:1",
            "http://a:1?q=1",
            "http://a:",
            "http://:1",
            "http://a:99999",
        ] {
            assert!(checked(&[good.to_owned()]).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a:1",
            "http://a",
            "http://a:1/",
            "http://a:1/x",
            "ftp://a:1",
            "http://",
            "http://::1",
            "http://a b:1",
            "http://a:x",
            "http://%zz:1",
            ":::",
        ] {
            assert!(checked(&[bad.to_owned()]).is_err(), "{bad}");
        }
        assert!(checked(&[]).is_err());
        assert_eq!(checked(&["http://b:1".into(), "HTTP://a:1".into()]).unwrap(), ["http://a:1", "http://b:1"]);
    }
}
