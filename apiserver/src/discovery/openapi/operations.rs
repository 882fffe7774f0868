//! The operations of every path, derived from the resource table; both versions of `OpenAPI` are written from them.

use crate::resources::Verbs;
use crate::resources::spec::{GroupSpec, ResourceSpec, ResourceTable, SubresourceSpec};
use crate::schema::{GroupVersionKind, Registry, ValueType};

/// The package of the types that every group shares.
pub const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// A path and what can be done there.
#[derive(Debug, Clone)]
pub struct PathItem {
    /// The path, with its variables in braces.
    pub path: String,
    /// Parameters of all operations, by name.
    pub parameters: Vec<Parameter>,
    /// The operations, with the parameters that not all share.
    pub operations: Vec<Operation>,
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Operation {
    /// HTTP method in lower case.
    pub method: &'static str,
    /// Identifier, unique in all documents.
    pub id: String,
    /// Group and version, as operations are grouped by.
    pub tag: String,
    /// Action (`x-kubernetes-action`) and the kind that it is done to.
    pub action: Option<(&'static str, GroupVersionKind)>,
    /// Parameters by name.
    pub parameters: Vec<Parameter>,
    /// What the request carries.
    pub body: Body,
    /// Media types of answers.
    pub produces: &'static [&'static str],
    /// Status codes of success.
    pub codes: &'static [u16],
    /// What answers carry.
    pub answer: Answer,
}

/// A parameter of the path or the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Parameter {
    /// Name.
    pub name: &'static str,
    /// `path` or `query`.
    pub place: &'static str,
    /// `OpenAPI` type.
    pub type_: &'static str,
}

/// What a request carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    None,
    /// A value of the type.
    Object(String),
    /// A patch.
    Patch,
    /// Options of a deletion, which may be left out.
    DeleteOptions,
}

/// What an answer carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A value of the type.
    Object(String),
    /// Text.
    Text,
}

/// Media types of patches.
pub const PATCHES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

const OBJECT: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
const LIST: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
];
const LOG: &[&str] = &["text/plain", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
const ANY: &[&str] = &["*/*"];

const fn query(name: &'static str, type_: &'static str) -> Parameter {
    Parameter { name, place: "query", type_ }
}

const fn in_path(name: &'static str) -> Parameter {
    Parameter { name, place: "path", type_: "string" }
}

const PRETTY: Parameter = query("pretty", "string");
const DRY_RUN: Parameter = query("dryRun", "string");
const SELECT: [Parameter; 9] = [
    query("continue", "string"),
    query("fieldSelector", "string"),
    query("labelSelector", "string"),
    query("limit", "integer"),
    query("resourceVersion", "string"),
    query("resourceVersionMatch", "string"),
    query("sendInitialEvents", "boolean"),
    query("shardSelector", "string"),
    query("timeoutSeconds", "integer"),
];
const WATCH: [Parameter; 2] = [query("allowWatchBookmarks", "boolean"), query("watch", "boolean")];
const WRITE: [Parameter; 3] = [DRY_RUN, query("fieldManager", "string"), query("fieldValidation", "string")];
const DELETE: [Parameter; 5] = [
    DRY_RUN,
    query("gracePeriodSeconds", "integer"),
    query("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"),
    query("orphanDependents", "boolean"),
    query("propagationPolicy", "string"),
];

/// The paths of one group and version, in alphabetical order.
pub fn of_version(table: &ResourceTable, registry: &Registry, group: &str, version: &str) -> Vec<PathItem> {
    let names = Names::new(group, Some(version));
    let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    let mut paths = vec![discovery(&names, &root, &format!("get{}APIResources", names.camel), "APIResourceList")];
    for spec in table.of_version(group, version) {
        Resource { names: &names, root: &root, spec, registry }.paths(&mut paths);
    }
    paths.sort_by(|a, b| a.path.cmp(&b.path));
    paths
}

/// The path of a group's own document.
pub fn of_group(group: &GroupSpec) -> Vec<PathItem> {
    let names = Names::new(&group.name, None);
    if group.name.is_empty() {
        return vec![discovery(&names, "/api", "getCoreAPIVersions", "APIVersions")];
    }
    vec![discovery(&names, &format!("/apis/{}", group.name), &format!("get{}APIGroup", names.camel), "APIGroup")]
}

/// The path of the list of groups.
pub fn of_groups() -> Vec<PathItem> {
    let names = Names { tag: "apis".to_owned(), camel: String::new() };
    vec![discovery(&names, "/apis", "getAPIVersions", "APIGroupList")]
}

/// The path of the server's version.
pub fn of_code_version() -> Vec<PathItem> {
    let answer = Answer::Object("io.k8s.apimachinery.pkg.version.Info".to_owned());
    vec![document("/version/", "getCodeVersion", "version", &["application/json"], answer)]
}

/// Paths that issue service account keys: their names below the root, and the operation.
pub fn of_service_account_issuer() -> [(&'static str, Vec<PathItem>); 2] {
    [
        (
            ".well-known/openid-configuration",
            vec![document(
                "/.well-known/openid-configuration/",
                "getServiceAccountIssuerOpenIDConfiguration",
                "WellKnown",
                &["application/json"],
                Answer::Text,
            )],
        ),
        (
            "openid/v1/jwks",
            vec![document(
                "/openid/v1/jwks/",
                "getServiceAccountIssuerOpenIDKeyset",
                "openid",
                &["application/jwk-set+json"],
                Answer::Text,
            )],
        ),
    ]
}

fn discovery(names: &Names, path: &str, id: &str, kind: &str) -> PathItem {
    document(&format!("{path}/"), id, &names.tag, OBJECT, Answer::Object(format!("{META}.{kind}")))
}

fn document(path: &str, id: &str, tag: &str, produces: &'static [&'static str], answer: Answer) -> PathItem {
    let operation = Operation {
        method: "get",
        id: id.to_owned(),
        tag: tag.to_owned(),
        action: None,
        parameters: Vec::new(),
        body: Body::None,
        produces,
        codes: &[200],
        answer,
    };
    PathItem { path: path.to_owned(), parameters: Vec::new(), operations: vec![operation] }
}

/// How a group and version are spelled in tags and identifiers.
struct Names {
    /// `rbacAuthorization_v1`.
    tag: String,
    /// `RbacAuthorizationV1`.
    camel: String,
}

impl Names {
    fn new(group: &str, version: Option<&str>) -> Self {
        let group = if group.is_empty() { "core" } else { group.strip_suffix(".k8s.io").unwrap_or(group) };
        let mut parts = group.split('.');
        let first = parts.next().unwrap_or_default().to_owned();
        let tag = parts.fold(first, |tag, part| tag + &title(part));
        let camel = title(&tag) + &version.map(title).unwrap_or_default();
        Self { tag: version.map_or(tag.clone(), |version| format!("{tag}_{version}")), camel }
    }
}

/// The word with its first letter in upper case.
fn title(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Writes the paths of one resource.
struct Resource<'a> {
    names: &'a Names,
    root: &'a str,
    spec: &'a ResourceSpec,
    registry: &'a Registry,
}

/// Where an operation stands, which its identifier says.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The subresource, or empty.
    subresource: &'a str,
    /// What follows: `ForAllNamespaces`, `WithPath`.
    suffix: &'a str,
    /// The object's variables in the path.
    variables: &'a [Parameter],
}

impl Resource<'_> {
    fn paths(&self, paths: &mut Vec<PathItem>) {
        let spec = self.spec;
        let namespace: &[Parameter] = if spec.namespaced { &[in_path("namespace")] } else { &[] };
        let object: Vec<Parameter> = namespace.iter().copied().chain([in_path("name")]).collect();
        let scope = if spec.namespaced { "/namespaces/{namespace}" } else { "" };
        let (root, plural) = (self.root, &spec.plural);
        let place = |variables| Place { subresource: "", suffix: "", variables };

        paths.extend(item(format!("{root}{scope}/{plural}"), self.collection(place(namespace))));
        paths.extend(item(format!("{root}{scope}/{plural}/{{name}}"), self.object(place(&object))));
        if spec.namespaced && spec.verbs.contains(Verbs::LIST) {
            let place = Place { suffix: "ForAllNamespaces", ..place(&[]) };
            paths.extend(item(format!("{root}/{plural}"), vec![self.list(place)]));
        }
        if spec.verbs.contains(Verbs::WATCH) {
            let base = format!("{root}/watch{scope}/{plural}");
            paths.extend(item(base.clone(), vec![self.watch(place(namespace), "watchlist")]));
            paths.extend(item(base + "/{name}", vec![self.watch(place(&object), "watch")]));
            if spec.namespaced {
                let place = Place { suffix: "ForAllNamespaces", ..place(&[]) };
                paths.extend(item(format!("{root}/watch/{plural}"), vec![self.watch(place, "watchlist")]));
            }
        }
        for sub in &spec.subresources {
            let base = format!("{root}{scope}/{plural}/{{name}}/{}", sub.name);
            let place = Place { subresource: &sub.name, ..place(&object) };
            if is_connection(sub) {
                paths.extend(item(base.clone(), self.connections(sub, place)));
            } else {
                paths.extend(item(base.clone(), self.subresource(sub, place)));
            }
            if sub.name == "proxy" {
                let variables: Vec<Parameter> = object.iter().copied().chain([in_path("path")]).collect();
                let place = Place { suffix: "WithPath", variables: &variables, ..place };
                paths.extend(item(base + "/{path}", self.connections(sub, place)));
            }
        }
    }

    fn collection(&self, place: Place<'_>) -> Vec<Operation> {
        let verbs = self.spec.verbs;
        let mut operations = Vec::new();
        if verbs.contains(Verbs::LIST) {
            operations.push(self.list(place));
        }
        if verbs.contains(Verbs::CREATE) {
            operations.push(self.create(place, &self.spec.gvk()));
        }
        if verbs.contains(Verbs::DELETE_COLLECTION) {
            let (parameters, status) = (&[&SELECT[..], &DELETE[..]].concat(), Answer::Object(format!("{META}.Status")));
            let id = self.id("delete", "Collection", place, "");
            let base = self.operation("delete", id, "deletecollection", place, parameters, status);
            operations.push(Operation { body: Body::DeleteOptions, ..base });
        }
        operations
    }

    fn object(&self, place: Place<'_>) -> Vec<Operation> {
        let mut operations = self.read_and_write(self.spec.verbs, &self.spec.gvk(), place);
        if self.spec.verbs.contains(Verbs::DELETE) {
            // A namespace outlives its deletion until it is finalized; a status is what it is documented to answer.
            let finalized = self.spec.subresource("finalize").is_some();
            let deleted = self.spec.strategy.returns_deleted_object && !finalized;
            let answer = if deleted { self.type_of(&self.spec.gvk()) } else { format!("{META}.Status") };
            let id = self.id("delete", "", place, "");
            let base = self.operation("delete", id, "delete", place, &DELETE, Answer::Object(answer));
            operations.push(Operation { body: Body::DeleteOptions, codes: &[200, 202], ..base });
        }
        operations
    }

    fn subresource(&self, sub: &SubresourceSpec, place: Place<'_>) -> Vec<Operation> {
        if sub.name == "log" {
            let parameters = self.options(&GroupVersionKind::new("", "v1", "PodLogOptions"));
            let id = self.id("read", "", place, "");
            let base = self.operation("get", id, "get", place, &parameters, Answer::Text);
            return vec![Operation { produces: LOG, ..base }];
        }
        let mut operations = self.read_and_write(sub.verbs, &sub.gvk, place);
        if sub.verbs.contains(Verbs::CREATE) {
            operations.push(self.create(place, &sub.gvk));
        }
        operations
    }

    fn read_and_write(&self, verbs: Verbs, gvk: &GroupVersionKind, place: Place<'_>) -> Vec<Operation> {
        let ty = self.type_of(gvk);
        let of = |method, id, action, parameters: &[Parameter]| {
            let base = self.operation(method, id, action, place, parameters, Answer::Object(ty.clone()));
            Operation { action: Some((action, gvk.clone())), ..base }
        };
        let mut operations = Vec::new();
        if verbs.contains(Verbs::GET) {
            operations.push(of("get", self.id("read", "", place, ""), "get", &[]));
        }
        if verbs.contains(Verbs::UPDATE) {
            let base = of("put", self.id("replace", "", place, ""), "put", &WRITE);
            operations.push(Operation { body: Body::Object(ty.clone()), codes: &[200, 201], ..base });
        }
        if verbs.contains(Verbs::PATCH) {
            let parameters = [&WRITE[..], &[query("force", "boolean")]].concat();
            let base = of("patch", self.id("patch", "", place, ""), "patch", &parameters);
            operations.push(Operation { body: Body::Patch, codes: &[200, 201], ..base });
        }
        operations
    }

    fn create(&self, place: Place<'_>, gvk: &GroupVersionKind) -> Operation {
        let ty = self.type_of(gvk);
        let id = self.id("create", "", place, "");
        let base = self.operation("post", id, "post", place, &WRITE, Answer::Object(ty.clone()));
        Operation { body: Body::Object(ty), codes: &[200, 201, 202], action: Some(("post", gvk.clone())), ..base }
    }

    fn list(&self, place: Place<'_>) -> Operation {
        let answer = Answer::Object(self.type_of(&self.spec.list_gvk()));
        let id = self.id("list", "", place, "");
        let base = self.operation("get", id, "list", place, &[&SELECT[..], &WATCH[..]].concat(), answer);
        Operation { produces: LIST, ..base }
    }

    fn watch(&self, place: Place<'_>, action: &'static str) -> Operation {
        let answer = Answer::Object(format!("{META}.WatchEvent"));
        let id = self.id("watch", "", place, if action == "watchlist" { "List" } else { "" });
        let base = self.operation("get", id, action, place, &[&SELECT[..], &WATCH[..]].concat(), answer);
        Operation { produces: LIST, ..base }
    }

    fn connections(&self, sub: &SubresourceSpec, place: Place<'_>) -> Vec<Operation> {
        const ALL: &[&str] = &["get", "put", "post", "delete", "options", "head", "patch"];
        let methods: &[&'static str] = if sub.verbs.contains(Verbs::DELETE) { ALL } else { &["get", "post"] };
        let options = self.options(&sub.gvk);
        let connection = |method: &&'static str| {
            let id = self.id("connect", &title(method), place, "");
            let mut parameters = [place.variables, &options[..]].concat();
            parameters.sort_unstable();
            let base = self.operation(method, id, "connect", place, &[], Answer::Text);
            Operation { action: Some(("connect", sub.gvk.clone())), produces: ANY, parameters, ..base }
        };
        methods.iter().map(connection).collect()
    }

    /// The fields of options, as parameters of the query.
    fn options(&self, gvk: &GroupVersionKind) -> Vec<Parameter> {
        let Some(ty) = self.registry.kind(gvk) else { return Vec::new() };
        // Built-in types live as long as the process; those of options are built in.
        let crate::schema::TypeRef::Builtin(cell) = ty else { return Vec::new() };
        let fields = cell.get().map_or(&[][..], |ty| &ty.fields);
        let named = fields.iter().filter(|field| !matches!(field.name.as_str(), "kind" | "apiVersion"));
        named.filter_map(|field| Some(query(field.name.as_str(), query_type(&field.value)?))).collect()
    }

    fn operation(
        &self,
        method: &'static str,
        id: String,
        action: &'static str,
        place: Place<'_>,
        parameters: &[Parameter],
        answer: Answer,
    ) -> Operation {
        let mut parameters = [place.variables, &[PRETTY], parameters].concat();
        parameters.sort_unstable();
        parameters.dedup();
        Operation {
            method,
            id,
            tag: self.names.tag.clone(),
            action: Some((action, self.spec.gvk())),
            parameters,
            body: Body::None,
            produces: OBJECT,
            codes: &[200],
            answer,
        }
    }

    /// `VERB GROUP VERSION WHAT Namespaced KIND SUBRESOURCE LIST SUFFIX`.
    fn id(&self, verb: &str, what: &str, place: Place<'_>, list: &str) -> String {
        let namespaced = self.spec.namespaced && place.suffix != "ForAllNamespaces";
        let namespaced = if namespaced { "Namespaced" } else { "" };
        let (camel, kind, subresource) = (&self.names.camel, &self.spec.kind, title(place.subresource));
        format!("{verb}{camel}{what}{namespaced}{kind}{subresource}{list}{}", place.suffix)
    }

    /// The published name of a kind's type.
    fn type_of(&self, gvk: &GroupVersionKind) -> String {
        self.registry.kind(gvk).map(|ty| ty.name.clone()).unwrap_or_default()
    }
}

/// Whether the subresource connects to something instead of speaking objects.
fn is_connection(sub: &SubresourceSpec) -> bool {
    matches!(sub.name.as_str(), "attach" | "exec" | "portforward" | "proxy")
}

/// The type of a query parameter; a list repeats the parameter. Structures have none.
fn query_type(value: &ValueType) -> Option<&'static str> {
    Some(match value {
        ValueType::String => "string",
        ValueType::Bool => "boolean",
        ValueType::Int32 | ValueType::Int64 => "integer",
        ValueType::List(items) => query_type(items)?,
        _ => return None,
    })
}

/// A path with its operations, if there are any. What all of them take is said once.
fn item(path: String, mut operations: Vec<Operation>) -> Option<PathItem> {
    let first = operations.first()?.parameters.clone();
    let shared = |parameter: &Parameter| operations.iter().all(|operation| operation.parameters.contains(parameter));
    let parameters: Vec<Parameter> = first.into_iter().filter(shared).collect();
    for operation in &mut operations {
        operation.parameters.retain(|parameter| !parameters.contains(parameter));
    }
    Some(PathItem { path, parameters, operations })
}
