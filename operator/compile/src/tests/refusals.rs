//! What is refused, in which field, with which words.

mod handling;
mod limits;

use super::manifests::{digest, inputs, route, tenant};
use crate::{Kind, Problem, compile};
use relay_crds::{reason, rules};
use serde_json::{Value, json};

/// A spec with one fault.
pub(super) struct Fault {
    pub kind: Kind,
    pub changes: Vec<(&'static str, Value)>,
    pub field: &'static str,
    pub message: &'static str,
}

fn on_route(changes: Vec<(&'static str, Value)>, field: &'static str, message: &'static str) -> Fault {
    Fault { kind: Kind::Route, changes, field, message }
}

fn on_tenant(changes: Vec<(&'static str, Value)>, field: &'static str, message: &'static str) -> Fault {
    Fault { kind: Kind::Tenant, changes, field, message }
}

fn paths() -> Vec<Fault> {
    let at = "matches.0.path";
    let mut faults = vec![
        on_route(vec![(at, json!({}))], "spec.matches[0].path", rules::PATH_ONE_OF.1),
        on_route(vec![(at, json!({"prefix": "/a", "exact": "/b"}))], "spec.matches[0].path", rules::PATH_ONE_OF.1),
    ];
    for path in [
        "v1", "/v1//x", "/v1/./x", "/v1/../x", "/..", "/v1/.", "/a?b", "/a#b", "/a%20b", "/a b", "/a\u{9}", "/é",
        "/a\n",
    ] {
        faults.push(on_route(vec![(at, json!({"prefix": path}))], "spec.matches[0].path.prefix", rules::PATH_FORM.1));
        faults.push(on_route(vec![(at, json!({"exact": path}))], "spec.matches[0].path.exact", rules::PATH_FORM.1));
    }
    faults
}

fn urls() -> Vec<Fault> {
    let field = "spec.backends[0].url";
    let without_url = |provider: &str| {
        let provider = ("backends.0.provider", json!(provider));
        let changes = vec![("backends.0.url", Value::Null), provider, ("backends.0.credential", reference())];
        on_route(changes, field, rules::URL_REQUIRED.1)
    };
    let url = |url: &str, message| on_route(vec![("backends.0.url", json!(url))], field, message);
    let mut faults = vec![
        on_route(vec![("backends.0.url", Value::Null)], field, rules::URL_REQUIRED.1),
        without_url("AzureSpeech"),
        without_url("AzureOpenAI"),
        url("http://llm.example.com", rules::PLAINTEXT.1),
        on_route(
            vec![("backends.0.url", json!("http://llm.example.com")), ("backends.0.allowPlaintext", json!(false))],
            field,
            rules::PLAINTEXT.1,
        ),
    ];
    for text in [
        "https://user@host",
        "https://user:pw@host",
        "https://host/a@b",
        "https://host?x=1",
        "https://host/p?x=1",
        "https://host/p#f",
        "https:///path",
        "https://host:0",
        "https://host:65536",
        "https://host:99999",
        "https://host:080",
        "https://host:",
        "https://ho st",
        "https://host/a b",
        "https://host/é",
        "https://[::1",
        "https://::1/x",
        "https://host/{x}",
        "https://a:1:2",
        "https://[fe80::1%eth0]",
    ] {
        faults.push(url(text, rules::URL_FORM.1));
    }
    faults
}

fn reference() -> Value {
    json!({"secretRef": {"name": "s", "key": "k"}})
}

fn credentials() -> Vec<Fault> {
    let mut faults = vec![
        on_route(
            vec![("backends.0.provider", json!("OpenAI"))],
            "spec.backends[0].credential",
            rules::CREDENTIAL_REQUIRED.1,
        ),
        on_route(
            vec![("backends.0.credential", reference())],
            "spec.backends[0].credential.header",
            rules::CREDENTIAL_HEADER.1,
        ),
    ];
    for header in [
        "Host",
        "transfer-encoding",
        "Content-Length",
        "te",
        "Connection",
        "trailer",
        "upgrade",
        "keep-alive",
        "proxy-connection",
        "expect",
        "content-type",
        "Accept-Encoding",
    ] {
        let credential = json!({"secretRef": {"name": "s", "key": "k"}, "header": header});
        faults.push(on_route(
            vec![("backends.0.credential", credential)],
            "spec.backends[0].credential.header",
            rules::CREDENTIAL_HEADER_NAME.1,
        ));
    }
    faults
}

fn route_parts() -> Vec<Fault> {
    let models = |models: Value, field| on_route(vec![("matches.0.models", models)], field, rules::MODEL_FORM.1);
    let timeout =
        |text: &str| on_route(vec![("timeouts.idle", json!(text))], "spec.timeouts.idle", rules::DURATION_BOUND.1);
    let size = |size: Value| on_route(vec![("body.max", size)], "spec.body.max", rules::BODY_BOUND.1);
    let consent = |consent: Value| {
        on_route(vec![("tenants.namespaces", consent)], "spec.tenants.namespaces.selector", rules::CONSENT_SELECTOR.1)
    };
    vec![
        models(json!(["gpt-4o", "gpt*4"]), "spec.matches[0].models[1]"),
        models(json!(["*x"]), "spec.matches[0].models[0]"),
        models(json!(["gpt**"]), "spec.matches[0].models[0]"),
        models(json!([""]), "spec.matches[0].models[0]"),
        on_route(vec![("timeouts.firstByte", json!("24h1s"))], "spec.timeouts.firstByte", rules::DURATION_BOUND.1),
        timeout("25h"),
        timeout("24h1ms"),
        timeout("99999h99999h99999h99999h"),
        size(json!("2Gi")),
        size(json!("1073741825")),
        size(json!(1_073_741_825)),
        size(json!("999999999999G")),
        size(json!("0")),
        size(json!(0)),
        consent(json!({"from": "Selector"})),
        consent(json!({"from": "All", "selector": {}})),
        consent(json!({"selector": {"matchLabels": {"a": "b"}}})),
    ]
}

fn tenant_parts() -> Vec<Fault> {
    let secret = json!({"name": "s", "key": "k"});
    vec![
        on_tenant(vec![("apiKeys.0.sha256", Value::Null)], "spec.apiKeys[0]", rules::KEY_ONE_OF.1),
        on_tenant(vec![("apiKeys.0.secretRef", secret)], "spec.apiKeys[0]", rules::KEY_ONE_OF.1),
        on_tenant(
            vec![("allowedRoutes.namespaces", json!({"from": "Selector"}))],
            "spec.allowedRoutes.namespaces.selector",
            rules::CONSENT_SELECTOR.1,
        ),
    ]
}

/// Specs that a CEL rule refuses.
pub(super) fn by_rule() -> Vec<Fault> {
    let parts = [paths(), urls(), credentials(), route_parts(), tenant_parts(), handling::by_rule(), limits::by_rule()];
    parts.into_iter().flatten().collect()
}

const NAME: &str = "must be 1 to 63 lower-case letters, digits and -, and begin and end with a letter or digit";
const TWICE: &str = "is listed twice: remove it or change one of the two";

const EMPTY: &str = "is empty: at least 1 must be set";
const DIGEST: &str = "must be 64 hex digits, the SHA-256 of the key's text; not the key itself";
const HEADER: &str = "must be letters, digits and - only, 1 to 128 of them, such as x-api-key";
const SCHEME: &str = "must be letters, digits and - only, 1 to 32 of them, such as Bearer";
const SECRET_NAME: &str = "is not the name of a Secret: at most 253 lower-case letters, digits, - and .";
const SECRET_KEY: &str = "is not a key of a Secret: at most 253 letters, digits, -, _ and .";

fn many(count: usize, value: &Value) -> Value {
    json!(vec![value.clone(); count])
}

fn match_shapes() -> Vec<Fault> {
    let at = |part, value, field, message| on_route(vec![(part, value)], field, message);
    let path = json!({"path": {"prefix": "/"}});
    let too_many = "has 17 entries: at most 16 are allowed, split the object";
    let too_many_models = "has 33 entries: at most 32 are allowed, split the object";
    let characters = |count: usize| format!("/{}", "x".repeat(count));
    vec![
        at("matches", json!([]), "spec.matches", EMPTY),
        at("matches", many(17, &path), "spec.matches", too_many),
        at("matches.0.methods", json!(["GET", "POST", "GET"]), "spec.matches[0].methods[2]", TWICE),
        at("matches.0.models", json!(["a", "a"]), "spec.matches[0].models[1]", TWICE),
        at(
            "matches.0.models",
            json!([characters(256)]),
            "spec.matches[0].models[0]",
            "must have at most 256 characters",
        ),
        at("matches.0.models", many(33, &json!("a")), "spec.matches[0].models", too_many_models),
        at(
            "matches.0.path.prefix",
            json!(characters(1024)),
            "spec.matches[0].path.prefix",
            "must have at most 1024 characters",
        ),
    ]
}

fn backend_shapes() -> Vec<Fault> {
    let at = |part, value, field, message| on_route(vec![(part, value)], field, message);
    let backend = json!({"name": "main", "provider": "Custom", "url": "https://llm.example.com"});
    let too_many = "has 17 entries: at most 16 are allowed, split the object";
    let url = json!(format!("https://h/{}", "x".repeat(2048)));
    let url_length = "must have 8 to 2048 characters, such as https://api.example.com";
    let duration = "is not a duration: write it like 90s, 5m or 1h30m; 0s switches the timeout off";
    let size = "is not a size in bytes: write it like 10Mi, 500k or 1048576";
    vec![
        at("backends", json!([]), "spec.backends", EMPTY),
        at("backends", many(17, &backend), "spec.backends", too_many),
        at("backends.1", backend, "spec.backends[1].name", TWICE),
        at("backends.0.name", json!("Main"), "spec.backends[0].name", NAME),
        at("backends.0.name", json!(""), "spec.backends[0].name", NAME),
        at("backends.0.name", json!("x".repeat(64)), "spec.backends[0].name", NAME),
        at("backends.0.url", url, "spec.backends[0].url", url_length),
        at("timeouts.idle", json!("5 minutes"), "spec.timeouts.idle", duration),
        at("timeouts.idle", json!("1h1h1h1h1h"), "spec.timeouts.idle", duration),
        at("body.max", json!("10MB"), "spec.body.max", size),
        at("body.max", json!("1.5Mi"), "spec.body.max", size),
    ]
}

fn credential_shapes() -> Vec<Fault> {
    let at = |part, value: &str, field, message| {
        let mut credential = json!({"secretRef": {"name": "s", "key": "k"}, "header": "x-key"});
        super::manifests::set(&mut credential, part, json!(value));
        on_route(vec![("backends.0.credential", credential)], field, message)
    };
    vec![
        at("secretRef.name", "../x", "spec.backends[0].credential.secretRef.name", SECRET_NAME),
        at("secretRef.key", "a/b", "spec.backends[0].credential.secretRef.key", SECRET_KEY),
        at("header", "x key", "spec.backends[0].credential.header", HEADER),
        at("header", "", "spec.backends[0].credential.header", HEADER),
        at("scheme", "Bearer:", "spec.backends[0].credential.scheme", SCHEME),
    ]
}

fn tenant_shapes() -> Vec<Fault> {
    let at = |part, value, field, message| on_tenant(vec![(part, value)], field, message);
    let too_many = "has 33 entries: at most 32 are allowed, split the object";
    let key = |name: &str| json!({"name": "ci", "secretRef": {"name": name, "key": "k"}});
    vec![
        at("apiKeys", json!([]), "spec.apiKeys", EMPTY),
        at("apiKeys", many(33, &json!({"name": "a", "sha256": digest('a')})), "spec.apiKeys", too_many),
        at("apiKeys.1", json!({"name": "ci", "sha256": digest('b')}), "spec.apiKeys[1].name", TWICE),
        at("apiKeys.0.name", json!("-ci"), "spec.apiKeys[0].name", NAME),
        at("apiKeys.0.sha256", json!("abc"), "spec.apiKeys[0].sha256", DIGEST),
        at("apiKeys.0.sha256", json!("g".repeat(64)), "spec.apiKeys[0].sha256", DIGEST),
        at("apiKeys.0", key("A"), "spec.apiKeys[0].secretRef.name", SECRET_NAME),
    ]
}

/// Specs that the schema refuses: lengths, patterns, unique keys.
fn by_schema() -> Vec<Fault> {
    let shapes = [
        match_shapes(),
        backend_shapes(),
        credential_shapes(),
        tenant_shapes(),
        handling::by_schema(),
        limits::by_schema(),
    ];
    shapes.into_iter().flatten().collect()
}

/// The verdict on a fault's object, which must be the only one and not served.
pub(super) fn refusal(fault: &Fault) -> Problem {
    let compiled = match fault.kind {
        Kind::Route => compile(&inputs([route("team-a/x", &fault.changes)], [])),
        Kind::Tenant => compile(&inputs([], [tenant("team-a/x", &fault.changes)])),
    };
    assert_eq!(compiled.snapshot, relay_snapshot::Snapshot::default(), "{:?}", fault.changes);
    let verdict = compiled.verdicts.into_values().next().unwrap();
    match verdict.accepted {
        Err(problem) => problem,
        Ok(()) => panic!("accepted: {:?}", fault.changes),
    }
}

#[test]
fn every_fault_names_its_field_and_its_cure() {
    for fault in by_rule().iter().chain(&by_schema()) {
        let expected = Problem { reason: reason::INVALID, field: fault.field.into(), message: fault.message.into() };
        assert_eq!(refusal(fault), expected, "{:?}", fault.changes);
    }
}

#[test]
fn a_problem_reads_as_field_and_message() {
    let problem = Problem::invalid("spec.backends[0].url", "is wrong");
    assert_eq!(problem.to_string(), "spec.backends[0].url: is wrong");
}

#[test]
fn a_bad_object_leaves_the_good_ones_alone() {
    let good = || route("team-a/good", &[]);
    let bad = route("team-a/bad", &[("backends", json!([]))]);
    let alone = compile(&inputs([good()], [tenant("team-a/t", &[])]));
    let together =
        compile(&inputs([bad, good()], [tenant("team-a/t", &[]), tenant("team-a/u", &[("apiKeys", json!([]))])]));
    assert_eq!(alone.snapshot, together.snapshot);
    for (key, verdict) in alone.verdicts {
        assert_eq!(together.verdicts.get(&key), Some(&verdict));
    }
}
