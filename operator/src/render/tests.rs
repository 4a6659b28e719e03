use super::*;

const SECRET: &str = "canary-of-the-provider-key";

fn compiled(url: &str) -> Compiled {
    let text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{k: {SECRET}, t: canary-of-the-tenant-key-123}}\n---\n\
         apiVersion: stream-relay.dev/v1alpha1\nkind: RelayRoute\nmetadata: {{name: r}}\nspec:\n  matches: [{{path: {{prefix: /v1}}}}]\n  \
         backends: [{{name: b, provider: OpenAI, url: '{url}', credential: {{secretRef: {{name: s, key: k}}}}}}]\n---\n\
         apiVersion: stream-relay.dev/v1alpha1\nkind: RelayTenant\nmetadata: {{name: t}}\nspec:\n  \
         apiKeys: [{{name: ci, secretRef: {{name: s, key: t}}}}]\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.yaml");
    std::fs::write(&file, text).unwrap();
    let manifests = read(&[file]).unwrap();
    assert!(manifests.faults.is_empty(), "{:?}", manifests.faults);
    compile(&manifests.inputs)
}

#[test]
fn prints_routes_tenants_and_verdicts_and_no_secret() {
    for format in [OutputFormat::Yaml, OutputFormat::Json] {
        let text = print(&compiled("https://host"), format).unwrap();
        let value: serde_json::Value = match format {
            OutputFormat::Yaml => serde_saphyr::from_str(&text).unwrap(),
            OutputFormat::Json => serde_json::from_str(&text).unwrap(),
        };
        assert_eq!(value["routes"][0]["id"], "default/r");
        assert_eq!(value["routes"][0]["ready"], true);
        assert_eq!(value["tenants"][0]["keys"][0]["name"], "ci");
        assert_eq!(value["verdicts"][0]["object"], "RelayRoute default/r");
        assert_eq!(value["verdicts"][1]["routes"], 1);
        assert!(!text.contains("canary"), "{text}");
    }
}

#[test]
fn a_refused_object_shows_its_problem() {
    let text = print(&compiled("ftp://host"), OutputFormat::Json).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["verdicts"][0]["accepted"], false);
    assert_eq!(value["verdicts"][0]["problems"][0]["field"], "spec.backends[0].url");
    assert_eq!(value["routes"], serde_json::json!([]));
}

fn fine(files: &[(&str, &str)], strict: bool) -> bool {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let files = vec![folder.path().to_owned()];
    rendered(&RenderArguments { files, output: OutputFormat::Json, strict }).unwrap().fine
}

#[test]
fn files_without_a_route_or_tenant_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("n.yaml"), "apiVersion: v1\nkind: Namespace\nmetadata: {name: n}\n").unwrap();
    let files = vec![folder.path().to_owned()];
    let outcome = rendered(&RenderArguments { files, output: OutputFormat::Json, strict: false });
    let error = outcome.map(|rendered| rendered.text).unwrap_err().to_string();
    assert!(error.starts_with("no RelayRoute and no RelayTenant found in /"), "{error}");
}

#[test]
fn a_bad_object_fails_and_an_unresolved_one_only_when_asked_to() {
    let tenant = "apiVersion: stream-relay.dev/v1alpha1\nkind: RelayTenant\nmetadata: {name: t}\nspec:\n  \
                  apiKeys: [{name: ci, secretRef: {name: gone, key: t}}]\n";
    assert!(fine(&[("t.yaml", tenant)], false));
    assert!(!fine(&[("t.yaml", tenant)], true));
    assert!(!fine(&[("t.yaml", tenant), ("u.yaml", "kind: [")], false));
    let empty = tenant.replace("[{name: ci, secretRef: {name: gone, key: t}}]", "[]");
    assert!(!fine(&[("t.yaml", &empty)], false));
}
