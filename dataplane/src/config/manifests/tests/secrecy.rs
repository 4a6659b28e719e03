use super::*;

/// Whatever is wrong, no part of a Secret is printed: neither its values nor the lines around them.
#[test]
fn no_fault_shows_a_secret() {
    let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n";
    for text in [
        &format!("{head}stringData: {{a: 'sk-canary}}\n"),
        &format!("{head}stringData:\n  a: b: sk-canary\n"),
        &format!("{head}stringData:\n\ta: sk-canary\n"),
        &format!("{head}data: {{a: sk-canary}}\n"),
        &format!("{head}data: sk-canary\n"),
        &format!("{head}stringData: {{a: [sk-canary]}}\n"),
        &format!("{head}stringData: {{a: '${{X}} sk-canary'}}\n"),
        &format!("{head}stringdata: {{a: sk-canary}}\n"),
        &format!("{head}stringData: {{a: sk-canary}}\nstringData: {{a: sk-canary}}\n"),
        &format!("{head}stringData: {{a: sk-canary}}\n---\n{head}stringData: {{a: sk-canary}}\n"),
        &format!("{head}stringData: {{a: !!float sk-canary}}\n"),
        &format!("{head}stringData: {{a: *sk-canary}}\n").replace('*', "\"\\q*"),
        &"apiVersion: v1\nkind: Secret\nmetadata: {nam: sk-canary}\nstringData: {a: sk-canary}\n".to_owned(),
        &"stringData: {a: sk-canary}\n".to_owned(),
        &"- sk-canary\n".to_owned(),
        &"sk-canary\n".to_owned(),
        // Keys where a reference or a digest belongs.
        &TENANT.replace("{name: team-a-key, key: key}", "sk-canary"),
        &TENANT.replace("secretRef: {name: team-a-key, key: key}", "sha256: sk-canary"),
        &TENANT.replace("secretRef: {name: team-a-key, key: key}", "key: sk-canary"),
        &TENANT.replace("[{name: ci, secretRef: {name: team-a-key, key: key}}]", "[sk-canary]"),
        &TENANT.replace("[{name: ci, secretRef: {name: team-a-key, key: key}}]", "sk-canary"),
        &ROUTE.replace("{secretRef: {name: openai, key: api-key}}", "sk-canary"),
        &ROUTE.replace("{secretRef: {name: openai, key: api-key}}", "{value: sk-canary}"),
    ] {
        let output = printed_of(&[("a.yaml", text)]);
        assert!(!output.is_empty(), "nothing is wrong with\n{text}");
        assert!(!output.contains("canary"), "{output}");
    }
}

#[test]
fn a_line_that_an_object_shares_with_a_secret_is_not_shown() {
    let secret = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"a":"sk-canary"}}"#;
    let route =
        r#"{"apiVersion":"stream-relay.dev/v1alpha1","kind":"RelayRoute","metadata":{"name":"r"},"spec":{"x":1}}"#;
    for items in [format!("{secret},{route}"), format!("{route},{secret}")] {
        let output = printed_of(&[("a.json", &format!(r#"{{"apiVersion":"v1","kind":"List","items":[{items}]}}"#))]);
        assert!(output.contains("spec.x: unknown field") && !output.contains("canary"), "{output}");
    }
}

#[test]
fn what_is_handed_over_does_not_show_its_secrets_either() {
    let dir = folder(&[("a.yaml", ROUTE), ("b.yaml", TENANT), ("c.yaml", SECRETS)]);
    let loaded = load(dir.path(), &nothing);
    assert!(loaded.snapshot.routes[0].ready && !loaded.snapshot.tenants[0].keys.is_empty());
    assert!(!format!("{:?}", loaded.update(1)).contains("canary"));
}
