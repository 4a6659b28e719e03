use super::*;
use std::fs;
use tempfile::TempDir;

mod golden;
mod reload;
mod secrecy;

const ROUTE: &str = "\
apiVersion: stream-relay.dev/v1alpha1
kind: RelayRoute
metadata: {name: openai, namespace: team-a}
spec:
  matches: [{path: {prefix: /v1}}]
  backends:
  - name: openai
    provider: OpenAI
    credential: {secretRef: {name: openai, key: api-key}}
";
const TENANT: &str = "\
apiVersion: stream-relay.dev/v1alpha1
kind: RelayTenant
metadata: {name: team-a, namespace: team-a}
spec:
  apiKeys: [{name: ci, secretRef: {name: team-a-key, key: key}}]
";
const SECRETS: &str = "\
apiVersion: v1
kind: Secret
metadata: {name: openai, namespace: team-a}
stringData: {api-key: sk-canary-provider}
---
apiVersion: v1
kind: Secret
metadata: {name: team-a-key, namespace: team-a}
stringData: {key: sk-canary-tenant-0123456789}
";

fn nothing(_: &str) -> Option<String> {
    None
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// What is printed, with the folder's path as DIR.
fn printed(dir: &TempDir) -> String {
    let loaded = load(dir.path(), &nothing);
    let text: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    text.join("\n\n").replace(&dir.path().display().to_string(), "DIR")
}

fn printed_of(files: &[(&str, &str)]) -> String {
    printed(&folder(files))
}

#[test]
fn the_smallest_thing_that_works_works() {
    let dir = folder(&[("all.yaml", &format!("{ROUTE}---\n{TENANT}---\n{SECRETS}"))]);
    let loaded = load(dir.path(), &nothing);
    assert!(loaded.diagnostics.is_empty(), "{}", render(&loaded.diagnostics));
    let counts = Counts { files: 1, routes: 1, tenants: 1, secrets: 2, ..Counts::default() };
    assert_eq!((loaded.counts, loaded.failed()), (counts, false));
    let route = &loaded.snapshot.routes[0];
    assert!(route.ready);
    let credential = route.backends[0].credential.as_ref().unwrap();
    assert_eq!(credential.secret.as_ref().unwrap().expose(), "sk-canary-provider");
    assert_eq!(route.tenants, [loaded.snapshot.tenants[0].id.clone()]);
    assert_eq!(loaded.snapshot.tenants[0].keys[0].sha256, shards::sha256_hex(b"sk-canary-tenant-0123456789"));
    assert_eq!(loaded.revision, shards::split(&loaded.snapshot).unwrap().revision);
}

#[test]
fn files_lists_and_json_give_the_same_set() {
    let apart = folder(&[("a.yaml", ROUTE), ("b.yml", TENANT), ("c.yaml", SECRETS)]);
    let items: Vec<serde_json::Value> = format!("{ROUTE}---\n{TENANT}---\n{SECRETS}")
        .split("---\n")
        .map(|text| serde_saphyr::from_str(text).unwrap())
        .collect();
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items});
    let listed = folder(&[("list.json", &list.to_string())]);
    let (apart, listed) = (load(apart.path(), &nothing), load(listed.path(), &nothing));
    assert!(listed.diagnostics.is_empty(), "{}", render(&listed.diagnostics));
    assert_eq!((apart.revision, apart.snapshot), (listed.revision, listed.snapshot));
}

#[test]
fn an_object_without_a_namespace_is_in_default() {
    let route = ROUTE.replace(", namespace: team-a", "");
    let dir = folder(&[("a.yaml", &route), ("b.yaml", &SECRETS.replace(", namespace: team-a", ", namespace: ~"))]);
    let loaded = load(dir.path(), &nothing);
    assert_eq!(loaded.snapshot.routes[0].id.to_string(), "default/openai");
    assert!(loaded.snapshot.routes[0].ready);
}

#[test]
fn labels_of_namespaces_decide_consent() {
    let route =
        format!("{ROUTE}  tenants: {{namespaces: {{from: Selector, selector: {{matchLabels: {{tier: gold}}}}}}}}\n");
    let tenant = TENANT.replace("namespace: team-a", "namespace: team-b");
    let tenant = format!(
        "{tenant}  allowedRoutes: {{namespaces: {{from: Selector, selector: {{matchLabels: {{kubernetes.io/metadata.name: team-a}}}}}}}}\n"
    );
    let secrets = SECRETS.replace("{name: team-a-key, namespace: team-a}", "{name: team-a-key, namespace: team-b}");
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: team-b, labels: {tier: gold}}\n";
    let files = [("r.yaml", route.as_str()), ("t.yaml", &tenant), ("s.yaml", &secrets)];
    assert!(load(folder(&files).path(), &nothing).snapshot.routes[0].tenants.is_empty());
    let with =
        [files[0], files[1], files[2], ("n.yaml", namespace), ("o.yaml", &namespace.replace("team-b", "team-a"))];
    let loaded = load(folder(&with).path(), &nothing);
    assert_eq!(loaded.snapshot.routes[0].tenants.len(), 1, "{}", render(&loaded.diagnostics));
    assert_eq!(loaded.counts.namespaces, 2);
}

#[test]
fn secrets_come_from_the_environment() {
    let secrets = SECRETS.replace("sk-canary-provider", "'${OPENAI_KEY}'");
    let dir = folder(&[("a.yaml", ROUTE), ("b.yaml", TENANT), ("c.yaml", &secrets)]);
    let loaded = load(dir.path(), &|name| (name == "OPENAI_KEY").then(|| "sk-from-env".into()));
    let credential = loaded.snapshot.routes[0].backends[0].credential.as_ref().unwrap();
    assert_eq!(credential.secret.as_ref().unwrap().expose(), "sk-from-env");
}

#[test]
fn what_is_not_resolved_is_a_warning_and_holds_its_place() {
    let dir = folder(&[("a.yaml", ROUTE)]);
    let loaded = load(dir.path(), &nothing);
    assert_eq!(loaded.diagnostics.iter().map(|d| d.severity).collect::<Vec<_>>(), [Severity::Warning]);
    assert!(!loaded.failed());
    assert!(!loaded.snapshot.routes[0].ready);
}

#[test]
fn objects_of_other_kinds_are_left_to_others() {
    let other = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: provider}\nspec: {x: 1}\n---\napiVersion: external.io/v1\nkind: Secret\nmetadata: {name: openai, namespace: team-a}\nspec: {}\n";
    let dir = folder(&[("a.yaml", ROUTE), ("b.yaml", SECRETS), ("c.yaml", other)]);
    let loaded = load(dir.path(), &nothing);
    assert!(loaded.diagnostics.is_empty(), "{}", render(&loaded.diagnostics));
    assert_eq!(loaded.counts.ignored, 2);
}

#[test]
fn the_report_says_what_was_found_and_whether_it_is_fine() {
    let dir = folder(&[("a.yaml", ROUTE), ("b.yaml", SECRETS)]);
    let (text, fine) = report(dir.path());
    let expected = format!(
        "0 errors, 0 warnings\n{}: files: 2, routes: 1, tenants: 0, secrets: 2, namespaces: 0, ignored: 0\n",
        dir.path().display()
    );
    assert_eq!((text, fine), (expected, true));
    fs::write(dir.path().join("c.yaml"), "a: [").unwrap();
    let (text, fine) = report(dir.path());
    assert!(text.contains("1 error, 0 warnings") && !fine, "{text}");
}
