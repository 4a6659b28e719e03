//! What a route becomes.

use super::manifests::{compiled_route, id, inputs, route, tenant, time, verdict};
use crate::{Kind, Summary, compile};
use relay_snapshot::{Match, ModelPattern, PathRule, Provider, Route};
use serde_json::{Value, json};

fn with(changes: &[(&str, Value)]) -> Route {
    compiled_route(route("team-a/x", changes))
}

fn path(path: Value) -> PathRule {
    with(&[("matches.0.path", path)]).matches[0].path.clone()
}

fn backend_of(provider: &str, changes: &[(&str, Value)]) -> relay_snapshot::Backend {
    let reference = json!({"secretRef": {"name": "s", "key": "k"}});
    let backend = json!({"name": "main", "provider": provider, "credential": reference});
    let mut all = vec![("backends.0", backend)];
    all.extend_from_slice(changes);
    with(&all).backends[0].clone()
}

fn header_of(provider: &str, changes: &[(&str, Value)]) -> (String, Option<String>) {
    let credential = backend_of(provider, changes).credential.unwrap();
    (credential.header, credential.scheme)
}

#[test]
fn providers_have_their_documented_url_header_and_scheme() {
    let url = [("backends.0.url", json!("https://eastus.tts.speech.microsoft.com"))];
    for (provider, changes, url, header, scheme) in [
        ("OpenAI", &[][..], "https://api.openai.com", "authorization", Some("Bearer")),
        ("SiliconFlow", &[], "https://api.siliconflow.cn", "authorization", Some("Bearer")),
        ("Anthropic", &[], "https://api.anthropic.com", "x-api-key", None),
        ("AzureSpeech", &url, "https://eastus.tts.speech.microsoft.com", "ocp-apim-subscription-key", None),
        ("AzureOpenAI", &url, "https://eastus.tts.speech.microsoft.com", "api-key", None),
        ("Gemini", &[], "https://generativelanguage.googleapis.com", "x-goog-api-key", None),
        ("ElevenLabs", &[], "https://api.elevenlabs.io", "xi-api-key", None),
    ] {
        assert_eq!(backend_of(provider, changes).url, url);
        assert_eq!(header_of(provider, changes), (header.to_owned(), scheme.map(str::to_owned)), "{provider}");
    }
}

#[test]
fn a_custom_header_is_lower_case_and_has_the_scheme_that_it_is_given() {
    let url = ("backends.0.url", json!("https://x.example"));
    let header = ("backends.0.credential.header", json!("X-Key"));
    let scheme = ("backends.0.credential.scheme", json!("Token"));
    assert_eq!(header_of("Custom", &[url.clone(), header.clone()]), ("x-key".to_owned(), None));
    assert_eq!(header_of("Custom", &[url, header, scheme]), ("x-key".to_owned(), Some("Token".to_owned())));
}

#[test]
fn the_default_scheme_goes_with_the_default_header_only() {
    let header = |name: &str| ("backends.0.credential.header", json!(name));
    let scheme = ("backends.0.credential.scheme", json!("Bearer"));
    assert_eq!(header_of("OpenAI", &[header("api-key")]), ("api-key".to_owned(), None));
    assert_eq!(header_of("OpenAI", &[header("Authorization")]).1.as_deref(), Some("Bearer"));
    assert_eq!(header_of("Anthropic", &[header("authorization"), scheme]).1.as_deref(), Some("Bearer"));
}

#[test]
fn a_custom_backend_needs_no_credential() {
    let backend = with(&[]).backends[0].clone();
    assert_eq!((backend.provider, backend.credential), (Provider::Custom, None));
}

#[test]
fn urls_keep_their_path_and_lose_the_slash_at_the_end() {
    for (given, kept) in [
        ("https://h.example/", "https://h.example"),
        ("https://h.example:8443/base/v2/", "https://h.example:8443/base/v2"),
        ("https://[2001:db8::1]:443/x", "https://[2001:db8::1]:443/x"),
        ("https://my_host:65535", "https://my_host:65535"),
        ("https://h/a%20b/~x;y=1,2", "https://h/a%20b/~x;y=1,2"),
    ] {
        assert_eq!(with(&[("backends.0.url", json!(given))]).backends[0].url, kept);
    }
    let plain = [("backends.0.url", json!("http://127.0.0.1:9000")), ("backends.0.allowPlaintext", json!(true))];
    assert_eq!(with(&plain).backends[0].url, "http://127.0.0.1:9000");
}

#[test]
fn an_address_that_is_none_is_refused_though_the_rule_lets_it_pass() {
    let compiled = compile(&inputs([route("a/x", &[("backends.0.url", json!("https://[:::::]/"))])], []));
    let problem = verdict(&compiled, Kind::Route, "a/x").accepted.clone().unwrap_err();
    assert_eq!(
        (problem.field.as_str(), problem.message.as_str()),
        ("spec.backends[0].url", relay_crds::rules::URL_FORM.1)
    );
}

#[test]
fn prefixes_lose_the_slash_at_the_end_and_exact_paths_keep_it() {
    assert_eq!(path(json!({"prefix": "/v1/"})), PathRule::Prefix("/v1".into()));
    assert_eq!(path(json!({"prefix": "/v1"})), PathRule::Prefix("/v1".into()));
    assert_eq!(path(json!({"prefix": "/"})), PathRule::Prefix("/".into()));
    assert_eq!(path(json!({"exact": "/v1/"})), PathRule::Exact("/v1/".into()));
    assert_eq!(path(json!({"exact": "/.well-known/a..b"})), PathRule::Exact("/.well-known/a..b".into()));
}

#[test]
fn methods_and_models_are_sets_in_one_order() {
    let one = json!({"path": {"prefix": "/"}, "methods": ["POST", "GET"], "models": ["gpt-4*", "a", "*"]});
    let other = json!({"path": {"prefix": "/"}, "methods": ["GET", "POST"], "models": ["*", "gpt-4*", "a"]});
    let one = with(&[("matches.0", one)]).matches;
    assert_eq!(one, with(&[("matches.0", other)]).matches);
    let models = vec![
        ModelPattern::Prefix(String::new()),
        ModelPattern::Exact("a".into()),
        ModelPattern::Prefix("gpt-4".into()),
    ];
    let methods = vec!["GET".to_owned(), "POST".to_owned()];
    assert_eq!(one, [Match { path: PathRule::Prefix("/".into()), methods, models, headers: vec![] }]);
}

#[test]
fn waits_and_sizes_have_defaults_and_are_read() {
    let plain = with(&[]);
    assert_eq!((plain.timeouts.first_byte_ms, plain.timeouts.idle_ms, plain.body_max), (120_000, 120_000, 10 << 20));
    let set = with(&[("timeouts", json!({"firstByte": "0s", "idle": "1m30s500ms"})), ("body.max", json!("64Ki"))]);
    assert_eq!((set.timeouts.first_byte_ms, set.timeouts.idle_ms, set.body_max), (0, 90_500, 64 << 10));
    assert_eq!(with(&[("timeouts.idle", json!("24h")), ("body.max", json!(1_048_576))]).body_max, 1 << 20);
    assert_eq!(with(&[("body.max", json!("1Gi"))]).body_max, 1 << 30);
}

#[test]
fn age_is_the_creation_of_the_object() {
    let mut old = route("team-a/x", &[]);
    assert_eq!(compiled_route(old.clone()).created, 0);
    old.metadata.creation_timestamp = Some(time(1_700_000_000));
    assert_eq!(compiled_route(old).created, 1_700_000_000);
}

#[test]
fn backends_and_matches_keep_their_order() {
    let matches = json!([{"path": {"exact": "/z"}}, {"path": {"exact": "/a"}}]);
    let backends = json!([
        {"name": "z", "provider": "Custom", "url": "https://z.example"}, {"name": "a", "provider": "Custom", "url": "https://a.example"}
    ]);
    let route = with(&[("matches", matches), ("backends", backends)]);
    assert_eq!(route.matches[0].path, PathRule::Exact("/z".into()));
    assert_eq!(route.backends.iter().map(|backend| backend.name.as_str()).collect::<Vec<_>>(), ["z", "a"]);
}

#[test]
fn a_summary_names_each_provider_once_also_of_a_bad_route() {
    let credential = json!({"secretRef": {"name": "s", "key": "k"}});
    let backends = json!([
        {"name": "a", "provider": "OpenAI", "credential": credential}, {"name": "b", "provider": "Anthropic", "credential": credential},
        {"name": "c", "provider": "OpenAI", "credential": credential},
    ]);
    let good = route("team-a/good", &[("backends", backends.clone())]);
    let mut bad = route("team-a/bad", &[("backends", backends), ("matches", json!([]))]);
    bad.metadata.generation = Some(7);
    let compiled = compile(&inputs([good, bad], [tenant("team-a/t", &[])]));
    for name in ["team-a/good", "team-a/bad"] {
        let summary = &verdict(&compiled, Kind::Route, name).summary;
        assert_eq!(summary, &Summary::Route { providers: "OpenAI,Anthropic".into() });
    }
    assert_eq!(verdict(&compiled, Kind::Route, "team-a/bad").generation, Some(7));
    assert_eq!(compiled.snapshot.routes[0].tenants, [id("team-a/t")]);
}
