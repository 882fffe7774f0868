//! What a request asks for, read off its method and URL once and used by everything behind.
//!
//! The rules are those of `k8s.io/apiserver/pkg/endpoints/request.RequestInfoFactory`.

use http::Method;

use super::query::Query;

/// What a request asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// Whether the path names an API resource; otherwise only `verb` and `path` are set.
    pub is_resource: bool,
    /// The decoded path of the URL.
    pub path: String,
    /// The API verb, or the method in lower case where the path names no resource.
    pub verb: &'static str,
    /// The API group; empty for core.
    pub group: String,
    /// The API version.
    pub version: String,
    /// The namespace; empty where the path has none. For namespaces themselves it is their name.
    pub namespace: String,
    /// The plural resource.
    pub resource: String,
    /// The subresource; may be empty.
    pub subresource: String,
    /// The object's name; may be empty.
    pub name: String,
    /// The segments after the resource: `[resource, name, subresource, rest...]`.
    pub parts: Vec<String>,
}

/// Subresources that a namespace has itself; any other word after a namespace's name is a resource in it.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

impl RequestInfo {
    /// Reads a request. `path` is the URL's path with its percent escapes decoded.
    pub fn new(method: &Method, path: &str, query: &Query) -> Self {
        let mut info = Self { path: path.to_owned(), verb: http_verb(method), ..Self::default() };
        let mut parts: Vec<&str> = split(path);
        let grouped = match parts.first() {
            Some(&"api") => false,
            Some(&"apis") => true,
            _ => return info,
        };
        // A path that ends before a resource is discovery.
        if parts.len() < if grouped { 4 } else { 3 } {
            return info;
        }
        parts.remove(0);
        if grouped {
            parts.remove(0).clone_into(&mut info.group);
        }
        parts.remove(0).clone_into(&mut info.version);
        info.is_resource = true;
        info.verb = api_verb(method);

        let mut deprecated_watch = false;
        if parts.first() == Some(&"watch") {
            if parts.len() < 2 {
                return info;
            }
            parts.remove(0);
            info.verb = "watch";
            deprecated_watch = true;
        }
        if parts.first() == Some(&"namespaces")
            && let Some(namespace) = parts.get(1)
        {
            (*namespace).clone_into(&mut info.namespace);
            // Beyond a name and what a namespace has itself, the rest is a resource inside it.
            if parts.get(2).is_some_and(|word| !NAMESPACE_SUBRESOURCES.contains(word)) {
                parts.drain(..2);
            }
        }
        info.parts = parts.iter().map(|&p| p.to_owned()).collect();
        let part = |i: usize| info.parts.get(i).cloned().unwrap_or_default();
        (info.resource, info.name, info.subresource) = (part(0), part(1), part(2));

        if info.name.is_empty() && !deprecated_watch {
            info.verb = match info.verb {
                "get" if query.flag("watch") => "watch",
                "get" => "list",
                "delete" => "deletecollection",
                verb => verb,
            };
        }
        if matches!(info.verb, "list" | "watch" | "deletecollection") && info.name.is_empty() {
            info.name = query.get("fieldSelector").and_then(name_selected).unwrap_or_default();
        }
        info
    }

    /// Whether the request reads and changes nothing.
    pub fn is_read(&self) -> bool {
        matches!(self.verb, "get" | "list" | "watch" | "head" | "options")
    }
}

/// The segments of a path, without the slashes at its ends.
fn split(path: &str) -> Vec<&str> {
    match path.trim_matches('/') {
        "" => Vec::new(),
        path => path.split('/').collect(),
    }
}

fn api_verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::GET | Method::HEAD => "get",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    }
}

fn http_verb(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        Method::CONNECT => "connect",
        Method::TRACE => "trace",
        _ => "",
    }
}

/// The name that a field selector such as `metadata.name=web` pins, so that authorization can judge a list of one object.
fn name_selected(selector: &str) -> Option<String> {
    selector.split(',').find_map(|term| {
        let value = term.strip_prefix("metadata.name=")?;
        let value = value.strip_prefix('=').unwrap_or(value);
        let is_segment = !value.is_empty() && value != "." && value != ".." && !value.contains(['/', '%']);
        is_segment.then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, url: &str) -> RequestInfo {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        RequestInfo::new(&method.parse().unwrap(), path, &Query::parse(query))
    }

    #[track_caller]
    fn expect(method: &str, url: &str, want: [&str; 7]) {
        let i = read(method, url);
        assert!(i.is_resource, "{url}");
        assert_eq!([i.verb, &i.group, &i.version, &i.namespace, &i.resource, &i.subresource, &i.name], want, "{url}");
    }

    #[test]
    fn reads_resources() {
        expect("GET", "/api/v1/namespaces/n/pods", ["list", "", "v1", "n", "pods", "", ""]);
        expect("GET", "/api/v1/namespaces/n/pods/p/log", ["get", "", "v1", "n", "pods", "log", "p"]);
        expect("GET", "/api/v1/namespaces/n", ["get", "", "v1", "n", "namespaces", "", "n"]);
        expect("PUT", "/api/v1/namespaces/n/finalize", ["update", "", "v1", "n", "namespaces", "finalize", "n"]);
        expect("GET", "/apis/apps/v1/deployments?watch=true", ["watch", "apps", "v1", "", "deployments", "", ""]);
        expect("GET", "/apis/apps/v1/deployments?watch=0", ["list", "apps", "v1", "", "deployments", "", ""]);
        expect("GET", "/api/v1/watch/namespaces/n/pods/p", ["watch", "", "v1", "n", "pods", "", "p"]);
        expect("DELETE", "/api/v1/namespaces/n/pods", ["deletecollection", "", "v1", "n", "pods", "", ""]);
        expect("POST", "/api/v1/nodes", ["create", "", "v1", "", "nodes", "", ""]);
        expect("GET", "/api/v1/pods?fieldSelector=metadata.name%3Dx", ["list", "", "v1", "", "pods", "", "x"]);
    }

    #[test]
    fn everything_else_is_a_path() {
        for url in ["/", "/healthz", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/version/"] {
            let info = read("GET", url);
            assert!(!info.is_resource, "{url}");
            assert_eq!((info.verb, info.path.as_str()), ("get", url));
        }
    }
}
