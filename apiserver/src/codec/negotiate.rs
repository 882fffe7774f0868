//! Content negotiation: which encoding a client wants, and which form of the object.
//!
//! The rules are those of `k8s.io/apiserver/pkg/endpoints/handlers/negotiation`, behind the cruder check that the router of
//! kube-apiserver makes first.

use crate::error::Status;

/// How an object is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// `application/json`, the default.
    #[default]
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

impl Encoding {
    /// Every encoding, in the order in which the server offers them.
    pub const ALL: [Self; 3] = [Self::Json, Self::Yaml, Self::Protobuf];

    /// The media type without parameters.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    /// The encoding of a request's body by its `Content-Type`; empty means JSON.
    pub fn of_body(content_type: &str) -> Result<Self, Status> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if essence.is_empty() {
            return Ok(Self::Json);
        }
        let known = Self::ALL.into_iter().find(|e| essence.eq_ignore_ascii_case(e.media_type()));
        known.ok_or_else(|| Status::unsupported_media_type(&offered()))
    }
}

/// The form in which a client wants an object, other than the object itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transform {
    /// Rows and columns, as `kubectl get` prints.
    Table,
    /// The object's metadata alone.
    PartialObjectMetadata,
    /// The metadata of each of a list's objects.
    PartialObjectMetadataList,
}

/// What a client accepts, settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accepted {
    /// The encoding of the answer.
    pub encoding: Encoding,
    /// Another form of the object, and whether in the old version `v1beta1`.
    pub transform: Option<(Transform, MetaVersion)>,
    /// Whether discovery is wanted aggregated, in one document.
    pub aggregated: bool,
    /// Whether JSON is indented for people.
    pub pretty: bool,
}

/// The version of `meta.k8s.io` that a transformed answer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaVersion {
    /// `meta.k8s.io/v1`.
    V1,
    /// `meta.k8s.io/v1beta1`.
    V1beta1,
}

impl MetaVersion {
    /// The `apiVersion` of an answer in this version.
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// What an endpoint can answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// An API object or its subresource: every encoding, tables, bare metadata.
    Object,
    /// A list, which can be watched, so streams are offered too.
    List,
    /// A document that has no other form.
    Document,
    /// `/api` and `/apis`, which have an aggregated form too.
    Discovery,
}

/// Settles what to answer with from the `Accept` header.
pub fn accept(header: &str, endpoint: Endpoint) -> Result<Accepted, Status> {
    route_accepts(header, endpoint)?;
    if header.trim().is_empty() {
        return Ok(Accepted::default());
    }
    let mut clauses: Vec<Clause<'_>> = header.split(',').filter_map(Clause::parse).collect();
    // The best quality first; a stable sort keeps the client's order among equals.
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    let settled = clauses.iter().find_map(|clause| Encoding::ALL.into_iter().find_map(|e| clause.accept(e, endpoint)));
    settled.ok_or_else(|| Status::not_acceptable(&offered()))
}

/// The router's own check, which knows neither parameters nor partial wildcards.
fn route_accepts(header: &str, endpoint: Endpoint) -> Result<(), Status> {
    let acceptable = header.trim().is_empty()
        || header.split(',').any(|range| {
            let essence = range.split(';').next().unwrap_or_default().trim();
            essence == "*/*" || Encoding::ALL.iter().any(|e| e.media_type() == essence)
        });
    if acceptable {
        return Ok(());
    }
    let streams = match endpoint {
        Endpoint::List => ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch",
        Endpoint::Object | Endpoint::Document | Endpoint::Discovery => "",
    };
    let message = format!("406: Not Acceptable\n\nAvailable representations: {}{streams}", offered());
    Err(Status::http(406, "NotAcceptable", message))
}

fn offered() -> String {
    Encoding::ALL.map(Encoding::media_type).join(", ")
}

/// One media range of an `Accept` header.
struct Clause<'a> {
    main: &'a str,
    sub: &'a str,
    quality: f32,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut pieces = text.split(';').map(str::trim);
        let (main, sub) = match pieces.next()? {
            "" => return None,
            "*" => ("*", "*"),
            range => range.split_once('/')?,
        };
        let mut clause = Self { main, sub, quality: 1.0, parameters: Vec::new() };
        for piece in pieces {
            let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
            let (key, value) = (key.trim(), value.trim().trim_matches('"'));
            if key == "q" {
                clause.quality = value.parse().unwrap_or(1.0);
            } else {
                clause.parameters.push((key, value));
            }
        }
        Some(clause)
    }

    fn accept(&self, encoding: Encoding, endpoint: Endpoint) -> Option<Accepted> {
        let (main, sub) = encoding.media_type().split_once('/')?;
        let covers = |range: &str, word: &str| range == "*" || range == word;
        if !covers(self.main, main) || !covers(self.sub, sub) {
            return None;
        }
        let mut accepted = Accepted { encoding, ..Accepted::default() };
        let (mut kind, mut group, mut version) = (None, "", "");
        for &(key, value) in &self.parameters {
            match key {
                "as" => kind = Some(value),
                "g" => group = value,
                "v" => version = value,
                // YAML is not framed, so it cannot stream.
                "stream" if !value.is_empty() && (encoding == Encoding::Yaml || value != "watch") => return None,
                "pretty" => accepted.pretty = value == "1",
                _ => {}
            }
        }
        if endpoint == Endpoint::Discovery && kind == Some("APIGroupDiscoveryList") {
            let known = (group, version) == ("apidiscovery.k8s.io", "v2");
            accepted.aggregated = known && encoding == Encoding::Json;
            return accepted.aggregated.then_some(accepted);
        }
        if kind.is_some() || !group.is_empty() || !version.is_empty() {
            let transform = transform(kind.unwrap_or_default(), group, version, encoding)?;
            if matches!(endpoint, Endpoint::Document | Endpoint::Discovery) {
                return None;
            }
            accepted.transform = Some(transform);
        }
        Some(accepted)
    }
}

fn transform(kind: &str, group: &str, version: &str, encoding: Encoding) -> Option<(Transform, MetaVersion)> {
    let version = match (group, version) {
        ("meta.k8s.io", "v1") => MetaVersion::V1,
        ("meta.k8s.io", "v1beta1") => MetaVersion::V1beta1,
        _ => return None,
    };
    let transform = match kind {
        "Table" if encoding != Encoding::Protobuf => Transform::Table,
        "PartialObjectMetadata" => Transform::PartialObjectMetadata,
        "PartialObjectMetadataList" => Transform::PartialObjectMetadataList,
        _ => return None,
    };
    Some((transform, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(header: &str) -> Accepted {
        accept(header, Endpoint::List).unwrap()
    }

    #[test]
    fn settles_encodings() {
        assert_eq!(settled("").encoding, Encoding::Json);
        assert_eq!(settled("*/*").encoding, Encoding::Json);
        assert_eq!(settled("application/vnd.kubernetes.protobuf,application/json").encoding, Encoding::Protobuf);
        assert_eq!(settled("application/yaml;q=0.5, application/json;q=0.9").encoding, Encoding::Json);
    }

    #[test]
    fn falls_back_when_a_form_is_not_offered() {
        let table = settled("application/json;as=Table;v=v1;g=meta.k8s.io,application/json");
        assert_eq!(table.transform, Some((Transform::Table, MetaVersion::V1)));
        let plain = settled("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json");
        assert_eq!((plain.encoding, plain.transform), (Encoding::Json, None));
    }

    #[test]
    fn aggregated_discovery_is_offered_in_its_second_version() {
        let wanted = |header: &str| accept(header, Endpoint::Discovery).unwrap().aggregated;
        let (g, kind) = ("g=apidiscovery.k8s.io", "as=APIGroupDiscoveryList");
        assert!(wanted(&format!("application/json;{g};v=v2;{kind},application/json")));
        assert!(!wanted(&format!("application/json;{g};v=v2beta1;{kind},application/json")));
        assert!(!wanted("application/json"));
    }

    #[test]
    fn refuses_what_nobody_offers() {
        let routed = accept("text/html", Endpoint::List).unwrap_err();
        assert!(routed.message.starts_with("406: Not Acceptable\n\nAvailable representations: application/json, "));
        assert!(routed.message.ends_with(";stream=watch"));
        let unknown = accept("application/json;as=Nope;v=v1;g=meta.k8s.io", Endpoint::List).unwrap_err();
        assert!(unknown.message.starts_with("only the following media types are accepted: application/json, "));
    }
}
