//! Where objects are stored: `/registry/pods/default/web`, byte for byte kube-apiserver's keys.
//!
//! Every range read ends its prefix with `/`, so that no collection sees a sibling's keys (`pods` and `podtemplates`), and no name or
//! namespace can reach outside its own segment of the key.

use bytes::Bytes;

use super::{
    backend::prefix_end,
    error::Error,
    options::{Scope, Select},
};

/// The keys of one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    prefix: String,
    namespaced: bool,
}

/// Keys from `start` up to and without `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key.
    pub start: Bytes,
    /// The key to stop before.
    pub end: Bytes,
}

impl Keys {
    /// The keys of the collection stored under `resource_prefix` (`pods`, `services/specs`, `example.com/widgets`) below the server's
    /// `--etcd-prefix`. A leading `/registry/`, the default of that flag, may stand for it.
    pub fn new(server_prefix: &str, resource_prefix: &str, namespaced: bool) -> Self {
        let resource_prefix = resource_prefix.strip_prefix("/registry/").unwrap_or(resource_prefix);
        let mut prefix = String::new();
        for part in server_prefix.split('/').chain(resource_prefix.split('/')).filter(|part| !part.is_empty()) {
            prefix.push('/');
            prefix.push_str(part);
        }
        prefix.push('/');
        Self { prefix, namespaced }
    }

    /// What all keys start with; ends with `/`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether a key has a namespace segment.
    pub fn is_namespaced(&self) -> bool {
        self.namespaced
    }

    /// The key of one object. `namespace` is ignored for cluster-scoped collections.
    pub fn object(&self, namespace: &str, name: &str) -> Result<Bytes, Error> {
        let mut key = self.prefix.clone();
        if self.namespaced {
            key.push_str(segment("namespace", namespace)?);
            key.push('/');
        }
        key.push_str(segment("name", name)?);
        Ok(Bytes::from(key))
    }

    /// The keys that a list or watch of `scope` reads: those of one object, of a namespace, or all. A name narrows the range only
    /// where it makes up a whole key.
    pub fn range(&self, scope: &Scope) -> Result<KeyRange, Error> {
        let namespace = scope.namespace.as_deref().filter(|namespace| self.namespaced && !namespace.is_empty());
        let name = scope.name.as_deref().filter(|name| !name.is_empty());
        match (namespace, name) {
            (_, Some(name)) if namespace.is_some() || !self.namespaced => {
                let start = self.object(namespace.unwrap_or_default(), name)?;
                let end = Bytes::from([start.as_ref(), b"\0"].concat());
                Ok(KeyRange { start, end })
            }
            (Some(namespace), _) => Ok(prefix_range(format!("{}{}/", self.prefix, segment("namespace", namespace)?))),
            _ => Ok(prefix_range(self.prefix.clone())),
        }
    }

    /// A scope narrowed by what the selector demands of `metadata.namespace` and `metadata.name`, as far as keys can express it.
    pub fn narrow(&self, scope: &Scope, selector: &dyn Select) -> Scope {
        let demanded =
            |field| selector.exact_field(field).filter(|value| segment(field, value).is_ok()).map(str::to_owned);
        let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        Scope {
            namespace: given(&scope.namespace).or_else(|| demanded("metadata.namespace")),
            name: given(&scope.name).or_else(|| demanded("metadata.name")),
        }
    }

    /// The namespace and name that a key of this collection stands for; `None` for a key that is none of its.
    pub fn parse<'a>(&self, key: &'a [u8]) -> Option<(&'a str, &'a str)> {
        let rest = std::str::from_utf8(key.strip_prefix(self.prefix.as_bytes())?).ok()?;
        let (namespace, name) = if self.namespaced { rest.split_once('/')? } else { ("", rest) };
        (!name.is_empty() && !name.contains('/')).then_some((namespace, name))
    }
}

fn prefix_range(prefix: String) -> KeyRange {
    let end = prefix_end(prefix.as_bytes());
    KeyRange { start: Bytes::from(prefix), end }
}

/// One path segment. Rules as in apimachinery's `content.IsPathSegmentName`: neither `.` nor `..`, no `/`, no `%`.
fn segment<'a>(what: &str, value: &'a str) -> Result<&'a str, Error> {
    let reason = match value {
        "" => "may not be empty",
        "." => "may not be '.'",
        ".." => "may not be '..'",
        _ if value.contains('/') => "may not contain '/'",
        _ if value.contains('%') => "may not contain '%'",
        _ if value.contains('\0') => "may not contain '\\0'",
        _ => return Ok(value),
    };
    Err(Error::InvalidKey(format!("invalid {what} {value:?}: {reason}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(namespace: Option<&str>, name: Option<&str>) -> Scope {
        Scope { namespace: namespace.map(str::to_owned), name: name.map(str::to_owned) }
    }

    #[test]
    fn keys_are_those_of_kube_apiserver() {
        let pods = Keys::new("/registry", "pods", true);
        assert_eq!(pods.object("default", "web").unwrap(), "/registry/pods/default/web");
        let nodes = Keys::new("registry/", "/minions/", false);
        assert_eq!(nodes.object("ignored", "n1").unwrap(), "/registry/minions/n1");
        let services = Keys::new("/other", "/registry/services/specs", true);
        assert_eq!(services.object("ns", "dns").unwrap(), "/other/services/specs/ns/dns");
        let widgets = Keys::new("/registry", "example.com/widgets", true);
        assert_eq!(widgets.object("ns", "w").unwrap(), "/registry/example.com/widgets/ns/w");
    }

    #[test]
    fn no_name_leaves_its_segment() {
        let pods = Keys::new("/registry", "pods", true);
        for name in ["", ".", "..", "a/b", "../secrets/kube-system/x", "a%2fb", "a\0b"] {
            assert!(matches!(pods.object("default", name), Err(Error::InvalidKey(_))), "{name:?}");
            assert!(matches!(pods.object(name, "web"), Err(Error::InvalidKey(_))), "{name:?}");
        }
        assert!(pods.range(&scope(Some(".."), None)).is_err());
        assert!(pods.object("default", "a..b").is_ok());
    }

    #[test]
    fn ranges_end_with_a_slash() {
        let pods = Keys::new("/registry", "pods", true);
        let range = |namespace, name| {
            let KeyRange { start, end } = pods.range(&scope(namespace, name)).unwrap();
            (String::from_utf8(start.to_vec()).unwrap(), String::from_utf8(end.to_vec()).unwrap())
        };
        assert_eq!(range(None, None), ("/registry/pods/".into(), "/registry/pods0".into()));
        assert_eq!(range(Some("a"), None), ("/registry/pods/a/".into(), "/registry/pods/a0".into()));
        assert_eq!(range(Some("a"), Some("x")), ("/registry/pods/a/x".into(), "/registry/pods/a/x\0".into()));
        assert_eq!(range(None, Some("x")), ("/registry/pods/".into(), "/registry/pods0".into()), "any namespace");
    }

    #[test]
    fn a_key_tells_its_namespace_and_name() {
        let pods = Keys::new("/registry", "pods", true);
        assert_eq!(pods.parse(b"/registry/pods/default/web"), Some(("default", "web")));
        assert_eq!(pods.parse(b"/registry/pods/default/"), None);
        assert_eq!(pods.parse(b"/registry/pods/web"), None);
        assert_eq!(pods.parse(b"/registry/podtemplates/default/web"), None);
        assert_eq!(Keys::new("/registry", "minions", false).parse(b"/registry/minions/n1"), Some(("", "n1")));
    }
}
