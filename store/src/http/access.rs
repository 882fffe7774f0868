//! Which browsers may use the HTTP side of the client port: etcd's `--host-whitelist` and `--cors`.

use std::collections::HashSet;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, HOST, ORIGIN,
};
use http::{HeaderMap, HeaderValue, Request};

/// A list in which `*` stands for everything, and so does nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed(Option<HashSet<String>>);

impl FromIterator<String> for Allowed {
    fn from_iter<I: IntoIterator<Item = String>>(items: I) -> Self {
        let items: HashSet<String> = items.into_iter().collect();
        Self((!items.is_empty() && !items.contains("*")).then_some(items))
    }
}

impl Allowed {
    fn everything(&self) -> bool {
        self.0.is_none()
    }

    fn contains(&self, item: &str) -> bool {
        self.0.as_ref().is_none_or(|items| items.contains(item))
    }
}

/// What is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Host names under which the server may be asked without TLS, against DNS rebinding.
    pub hosts: Allowed,
    /// Origins whose pages may ask.
    pub origins: Allowed,
}

impl Access {
    /// The host name of a request that must be refused.
    pub(super) fn refused_host<B>(&self, request: &Request<B>) -> Option<String> {
        if self.hosts.everything() {
            return None;
        }
        let header = || request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let host = request.uri().authority().map(http::uri::Authority::as_str).or_else(header).unwrap_or_default();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        (!self.hosts.contains(name)).then(|| name.to_owned())
    }

    /// The origin whose pages may read the answer to a request with these headers, if any may.
    pub(super) fn origin_allowed(&self, request: &HeaderMap) -> Option<HeaderValue> {
        if self.origins.everything() {
            return Some(HeaderValue::from_static("*"));
        }
        let origin = request.get(ORIGIN)?;
        origin.to_str().is_ok_and(|origin| self.origins.contains(origin)).then(|| origin.clone())
    }

    /// Says in an answer's headers who may read it.
    pub(super) fn tell_origin(origin: Option<HeaderValue>, answer: &mut HeaderMap) {
        let Some(origin) = origin else { return };
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET, OPTIONS, PUT, DELETE"));
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("accept, content-type, authorization"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[&str]) -> Allowed {
        items.iter().map(|item| (*item).to_owned()).collect()
    }

    #[test]
    fn a_host_must_be_on_the_list_unless_all_are() {
        let refused = |hosts: &[&str], host: &str| {
            let access = Access { hosts: list(hosts), ..Access::default() };
            access.refused_host(&Request::get("/").header(HOST, host).body(()).unwrap())
        };
        assert_eq!(refused(&[], "evil"), None);
        assert_eq!(refused(&["a", "*"], "evil"), None);
        assert_eq!(refused(&["a", "::1"], "a:2379"), None);
        assert_eq!(refused(&["a", "::1"], "[::1]:2379"), None);
        assert_eq!(refused(&["a"], "evil:2379"), Some("evil".to_owned()));
    }

    #[test]
    fn origins_are_told_that_they_may() {
        let told = |origins: &[&str], origin: &'static str| {
            let access = Access { origins: list(origins), ..Access::default() };
            let allowed = access.origin_allowed(&HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(origin))]));
            allowed.map(|origin| origin.to_str().unwrap().to_owned())
        };
        assert_eq!(told(&[], "http://a"), Some("*".to_owned()));
        assert_eq!(told(&["http://a"], "http://a"), Some("http://a".to_owned()));
        assert_eq!(told(&["http://a"], "http://b"), None);
    }
}
