//! The real kubectl against the server: a session as a person would have it, and the same again after a crash.
//!
//! No controllers run, so the test plays them through the API.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::server::Server;

const TEN_KINDS: &str = include_str!("../../testdata/ten-kinds.yaml");

#[tokio::test(flavor = "multi_thread")]
async fn a_session_with_kubectl_and_the_same_again_after_a_crash() {
    let binary = tempfile::tempdir().unwrap();
    let kubectl = find_kubectl(binary.path());
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]);
    session(&kubectl, &server, dir.path(), "first").await;
    let marker = Kubectl::new(&kubectl, &server, dir.path());
    marker.run(&["create", "configmap", "survivor", "--from-literal=a=1"]);

    server.kill();
    let mut server = Server::start(dir.path(), &[]);
    let again = Kubectl::new(&kubectl, &server, dir.path());
    assert_eq!(again.run(&["get", "configmap", "survivor", "-o", "jsonpath={.data.a}"]), "1");
    session(&kubectl, &server, dir.path(), "second").await;
    assert!(server.terminate(), "the server did not end cleanly");
}

async fn session(binary: &Path, server: &Server, dir: &Path, namespace: &str) {
    let kubectl = Kubectl::new(binary, server, dir);
    assert!(kubectl.run(&["create", "namespace", namespace]).contains("created"));
    let kubectl = kubectl.inside(namespace);

    // A deployment, made by hand and looked at in every format.
    kubectl.run(&["create", "deployment", "web", "--image=nginx", "--replicas=2"]);
    let table = kubectl.run(&["get", "deployment", "web"]);
    assert!(table.contains("UP-TO-DATE") && table.contains("0/2"), "{table}");
    assert!(kubectl.run(&["get", "deployment", "web", "-o", "wide"]).contains("IMAGES"));
    let object: Value = serde_json::from_str(&kubectl.run(&["get", "deployment", "web", "-o", "json"])).unwrap();
    assert_eq!(object["spec"]["replicas"], 2);
    assert!(kubectl.run(&["get", "deployment", "web", "-o", "yaml"]).contains("replicas: 2"));
    assert_eq!(kubectl.run(&["get", "deployment", "web", "-o", "name"]).trim(), "deployment.apps/web");
    assert_eq!(kubectl.run(&["get", "deployment", "web", "-o", "jsonpath={.spec.replicas}"]), "2");
    assert_eq!(kubectl.run(&["get", "deployment", "web", "-o", "go-template={{.spec.replicas}}"]), "2");
    let columns = kubectl.run(&["get", "deployment", "web", "-o", "custom-columns=N:.metadata.name"]);
    assert!(columns.starts_with('N') && columns.contains("web"), "{columns}");
    assert!(kubectl.run(&["describe", "deployment", "web"]).contains("StrategyType:"));

    // Changed in every way.
    kubectl.run(&["label", "deployment", "web", "tier=front"]);
    assert!(kubectl.run(&["get", "deployment", "-l", "tier=front", "-o", "name"]).contains("web"));
    kubectl.run(&["annotate", "deployment", "web", "note=yes"]);
    kubectl.run(&["scale", "deployment", "web", "--replicas=5"]);
    assert_eq!(kubectl.run(&["get", "deployment", "web", "-o", "jsonpath={.spec.replicas}"]), "5");
    kubectl.run(&["set", "image", "deployment/web", "nginx=nginx:2"]);
    let image = "jsonpath={.spec.template.spec.containers[0].image}";
    assert_eq!(kubectl.run(&["get", "deployment", "web", "-o", image]), "nginx:2");
    kubectl.edit(dir, &["edit", "deployment", "web"], "s/nginx:2/nginx:3/");
    assert_eq!(kubectl.run(&["get", "deployment", "web", "-o", image]), "nginx:3");
    for (kind, patch) in [
        ("strategic", r#"{"spec":{"template":{"spec":{"containers":[{"name":"nginx","image":"nginx:4"}]}}}}"#),
        ("merge", r#"{"metadata":{"labels":{"tier":null}}}"#),
        ("json", r#"[{"op":"replace","path":"/spec/replicas","value":1}]"#),
    ] {
        kubectl.run(&["patch", "deployment", "web", "--type", kind, "-p", patch]);
    }
    assert_eq!(kubectl.run(&["get", "deployment", "web", "-o", image]), "nginx:4");
    assert!(kubectl.run(&["get", "deployment", "-l", "tier=front", "-o", "name"]).is_empty());

    // Documentation and discovery.
    assert!(kubectl.run(&["explain", "deployment.spec.replicas"]).contains("<integer>"));
    assert!(kubectl.run(&["explain", "pod", "--recursive"]).contains("containers"));
    let resources = kubectl.run(&["api-resources", "-o", "name"]);
    assert!(resources.contains("deployments.apps") && resources.lines().count() > 50, "{resources}");
    assert!(kubectl.run(&["api-versions"]).contains("resource.k8s.io/v1"));

    // Ten kinds: applied, unchanged, compared, changed, pruned.
    let file = dir.join("ten.yaml");
    fs::write(&file, TEN_KINDS).unwrap();
    let path = file.to_str().unwrap();
    assert_eq!(kubectl.run(&["apply", "-f", path]).matches("created").count(), 10);
    let unchanged = kubectl.run(&["apply", "-f", path]);
    assert_eq!(unchanged.matches("unchanged").count(), 10, "{unchanged}");
    assert!(kubectl.try_run(&["diff", "-f", path]).is_ok());
    fs::write(&file, TEN_KINDS.replace("red", "blue")).unwrap();
    let difference = kubectl.try_run(&["diff", "-f", path]).unwrap_err();
    assert!(difference.contains("+  color: blue"), "{difference}");
    kubectl.run(&["apply", "--server-side", "--force-conflicts", "-f", path]);
    assert_eq!(kubectl.run(&["get", "configmap", "config", "-o", "jsonpath={.data.color}"]), "blue");
    let first = TEN_KINDS.split("---").next().unwrap();
    fs::write(&file, first).unwrap();
    let pruned = kubectl.run(&["apply", "--prune", "-l", "app=ten", "-f", path]);
    assert!(pruned.contains("deployment.apps/deployment pruned"), "{pruned}");

    // A watch sees what happens; wait is told by the status that a controller would write.
    let mut watch =
        kubectl.command(&["get", "deployments", "-w", "-o", "name"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut seen = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert_eq!(seen.next().unwrap().unwrap(), "deployment.apps/web");
    let waiting = kubectl
        .command(&["wait", "--for=condition=Available", "deployment/web", "--timeout=30s"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let status = json!({"status": {"conditions": [{"type": "Available", "status": "True"}]}});
    let url = format!("/apis/apps/v1/namespaces/{namespace}/deployments/web/status");
    kubectl.run(&["patch", "deployment", "web", "--subresource=status", "--type=merge", "-p", &status.to_string()]);
    let (code, deployment) = server.client().json("GET", &url, None).await;
    assert_eq!((code, &deployment["status"]["conditions"][0]["type"]), (200, &json!("Available")));
    assert!(waiting.wait_with_output().unwrap().status.success(), "kubectl wait");
    assert_eq!(seen.next().unwrap().unwrap(), "deployment.apps/web");
    watch.kill().unwrap();
    watch.wait().unwrap();

    // Deletion, of the namespace as well: it stays until its finalizer is taken.
    kubectl.run(&["delete", "deployment", "web"]);
    assert!(kubectl.try_run(&["get", "deployment", "web"]).unwrap_err().contains("NotFound"));
    kubectl.run(&["delete", "namespace", namespace, "--wait=false"]);
    assert!(kubectl.run(&["get", "namespace", namespace]).contains("Terminating"));
    let refused = kubectl.try_run(&["create", "configmap", "late"]).unwrap_err();
    assert!(refused.contains("because it is being terminated"), "{refused}");
    let finalized = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}, "spec": {"finalizers": []},
    });
    let url = format!("/api/v1/namespaces/{namespace}/finalize");
    assert_eq!(server.client().json("PUT", &url, Some(finalized)).await.0, 200);
    assert!(kubectl.try_run(&["get", "namespace", namespace]).unwrap_err().contains("NotFound"));
}

/// kubectl with a server and a namespace to talk to.
struct Kubectl {
    binary: PathBuf,
    kubeconfig: PathBuf,
    home: PathBuf,
    namespace: Option<String>,
}

impl Kubectl {
    fn new(binary: &Path, server: &Server, home: &Path) -> Self {
        Self { binary: binary.to_owned(), kubeconfig: server.kubeconfig(), home: home.to_owned(), namespace: None }
    }

    fn inside(self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", &self.home).args(arguments);
        if let Some(namespace) = &self.namespace {
            command.args(["--namespace", namespace]);
        }
        command
    }

    /// What it prints; where it fails, what it prints on both channels.
    fn try_run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(text(&output.stdout) + &text(&output.stderr))
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        self.try_run(arguments).unwrap_or_else(|error| panic!("kubectl {}: {error}", arguments.join(" ")))
    }

    /// Runs with an editor that changes the file by a sed expression.
    #[track_caller]
    fn edit(&self, dir: &Path, arguments: &[&str], expression: &str) {
        let editor = dir.join("editor");
        fs::write(&editor, format!("#!/bin/sh\nexec sed -i '{expression}' \"$1\"\n")).unwrap();
        fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
        let output = self.command(arguments).env("KUBE_EDITOR", &editor).output().unwrap();
        assert!(output.status.success(), "kubectl edit: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The machine's kubectl if it is 1.30 or newer, else one built from its Go module.
fn find_kubectl(dir: &Path) -> PathBuf {
    let version = Command::new("kubectl").args(["version", "--client", "-o", "json"]).env("HOME", dir).output();
    let minor = version.ok().and_then(|output| {
        let version: Value = serde_json::from_slice(&output.stdout).ok()?;
        version["clientVersion"]["minor"].as_str()?.trim_end_matches('+').parse::<u32>().ok()
    });
    if minor.is_some_and(|minor| minor >= 30) {
        return "kubectl".into();
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubectl");
    for file in ["go.mod", "main.go"] {
        fs::copy(source.join(file), dir.join(file)).unwrap();
    }
    for arguments in [["mod", "tidy"], ["build", "."]] {
        let status = Command::new("go").args(arguments).current_dir(dir).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "this test needs kubectl 1.30 or newer, or Go to build one; install either"
        );
    }
    dir.join("kubectl")
}
