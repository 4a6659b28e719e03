use super::*;

const GOOD: &str = "\
# a comment
---
apiVersion: v1
kind: Namespace
metadata: {name: team-a, labels: {team: a}}
---
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: team-a}
data: {k: b2xk}
stringData: {k: new, other: text}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ignored}
--- # another comment
apiVersion: stream-relay.dev/v1alpha1
kind: RelayRoute
metadata: {name: r}
spec:
  matches: [{path: {prefix: /v1}}]
  backends: [{name: b, provider: OpenAI, credential: {secretRef: {name: s, key: k}}}]
---
";

fn manifests(text: &str) -> Manifests {
    let mut manifests = Manifests::default();
    manifests.add("f.yaml", text);
    manifests
}

fn fault(text: &str) -> String {
    let faults = manifests(text).faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults[0].to_string()
}

#[test]
fn takes_the_four_kinds_and_leaves_others() {
    let Manifests { inputs, faults } = manifests(GOOD);
    assert_eq!(faults, []);
    assert_eq!(inputs.namespaces["team-a"]["team"], "a");
    let secret = &inputs.secrets[&ObjectId::new("team-a", "s")];
    assert_eq!((&secret["k"][..], &secret["other"][..]), (&b"new"[..], &b"text"[..]));
    assert_eq!(inputs.routes.len(), 1);
    assert_eq!(inputs.routes[0].metadata.namespace.as_deref(), Some("default"));
}

#[test]
fn a_fault_names_file_and_line_of_the_whole_file_and_the_other_documents_are_taken() {
    let bad = GOOD.replace("provider: OpenAI", "provider: Nobody");
    let manifests = manifests(&bad);
    assert_eq!((manifests.inputs.routes.len(), manifests.inputs.secrets.len()), (0, 1));
    let fault = manifests.faults[0].to_string();
    assert!(fault.starts_with("f.yaml:22:") && fault.contains("Nobody"), "{fault}");
}

#[test]
fn an_unknown_field_version_or_kind_of_the_group_is_a_fault() {
    let unknown = GOOD.replace("  matches:", "  surprise: 1\n  matches:");
    assert!(fault(&unknown).contains("surprise"));
    let version = "apiVersion: stream-relay.dev/v9\nkind: RelayRoute\n";
    assert_eq!(
        fault(version),
        "f.yaml:1:1: apiVersion stream-relay.dev/v9 is not known: this operator reads stream-relay.dev/v1alpha1"
    );
    let kind = "\n\napiVersion: stream-relay.dev/v1alpha1\nkind: RelayRout\n";
    assert!(fault(kind).starts_with("f.yaml:3:1: kind RelayRout is not known"));
}

#[test]
fn nothing_of_a_secret_is_quoted() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: canary-value\n";
    let fault = fault(text);
    assert!(fault.starts_with("f.yaml:4:") && !fault.contains("canary"), "{fault}");
}

#[test]
fn json_is_yaml() {
    let text = r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}"#;
    assert!(manifests(text).inputs.namespaces.contains_key("n"));
}

#[test]
fn a_list_gives_its_items_and_names_one_at_fault() {
    let item = |text: &str| {
        let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty() && !line.contains('#')).collect();
        lines.join("\n  ")
    };
    let items: Vec<_> = GOOD.split("---").filter(|text| text.contains("kind:")).map(item).collect();
    let items = format!("- {}\n", items.join("\n- "));
    let list = format!("apiVersion: v1\nkind: List\nitems:\n{items}");
    let Manifests { inputs, faults } = manifests(&list);
    assert_eq!(faults, []);
    assert_eq!((inputs.routes.len(), inputs.secrets.len(), inputs.namespaces.len()), (1, 1, 1));
    let bad = list.replace("{k: b2xk}", "[]").replace("provider: OpenAI", "provider: Nobody");
    let Manifests { inputs, faults } = manifests(&bad);
    assert_eq!((faults.len(), inputs.namespaces.len()), (2, 1));
    assert_eq!(faults[0].to_string(), "f.yaml:1:1: items[1]: the Secret is not readable");
    let fault = faults[1].to_string();
    assert!(fault.starts_with("f.yaml:1:1: items[3]: ") && fault.contains("Nobody"), "{fault}");
    assert_eq!(manifests("apiVersion: v1\nkind: List\n").faults, []);
}

#[test]
fn nothing_of_a_secret_in_a_list_is_quoted() {
    let item = "- {apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: canary-value}\n";
    let fault = fault(&format!("apiVersion: v1\nkind: List\nitems:\n{item}"));
    assert_eq!(fault, "f.yaml:1:1: items[0]: the Secret is not readable");
}

#[test]
fn folders_within_are_read_and_hidden_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    for (path, namespace) in [("a/b/one.yaml", "one"), ("two.json", "two"), (".git/x.yaml", "no"), ("a/.y.yaml", "no")]
    {
        let file = folder.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}")).unwrap();
    }
    let inputs = read(&[folder.path().to_owned()]).unwrap().inputs;
    assert_eq!(inputs.namespaces.keys().collect::<Vec<_>>(), ["one", "two"]);
}

#[test]
fn a_folder_gives_its_manifests_in_order() {
    let folder = tempfile::tempdir().unwrap();
    for (name, namespace) in [("b.yml", "two"), ("a.yaml", "one"), ("c.txt", "no")] {
        let text = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n");
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let inputs = read(&[folder.path().to_owned()]).unwrap().inputs;
    assert_eq!(inputs.namespaces.keys().collect::<Vec<_>>(), ["one", "two"]);
    assert!(read(&[folder.path().join("missing.yaml")]).is_err());
}
