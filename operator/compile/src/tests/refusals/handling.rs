//! Faults of headers, models, rewrites, certificates, and of how requests and answers are handled.

use super::{Fault, TWICE, many, on_route, on_tenant, reference};
use relay_crds::rules;
use serde_json::{Value, json};

fn header(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}

fn matched_headers() -> Vec<Fault> {
    let at = |headers: Value, field, message| on_route(vec![("matches.0.headers", headers)], field, message);
    let mut faults = vec![at(
        json!([header("x-a", "1"), header("X-A", "2")]),
        "spec.matches[0].headers[1].name",
        rules::HEADERS_DISTINCT.1,
    )];
    for value in [" a", "a ", "a\r\nx: 1", "a\u{0}b", "é", "a\n"] {
        faults.push(at(json!([header("x-a", value)]), "spec.matches[0].headers[0].value", rules::HEADER_VALUE.1));
    }
    for name in ["Host", "te", "Authorization", "x-api-key", "Ocp-Apim-Subscription-Key", "cookie"] {
        let headers = json!([header("x-a", "1"), header(name, "v")]);
        faults.push(at(headers, "spec.matches[0].headers[1].name", rules::MATCH_HEADER.1));
    }
    faults
}

fn changed_headers() -> Vec<Fault> {
    let set = "spec.backends[0].headers.set[0].name";
    let remove = "spec.backends[0].headers.remove[0]";
    let mut faults = vec![
        on_route(
            vec![("backends.0.headers", json!({"set": [header("x", "1"), header("X", "1")]}))],
            "spec.backends[0].headers.set[1].name",
            rules::HEADERS_DISTINCT.1,
        ),
        on_route(
            vec![("backends.0.headers", json!({"set": [header("x", "a\nb")]}))],
            "spec.backends[0].headers.set[0].value",
            rules::HEADER_VALUE.1,
        ),
    ];
    for name in ["host", "Content-Length", "transfer-encoding", "TE", "accept-encoding"] {
        let headers = json!({"set": [header(name, "v")]});
        faults.push(on_route(vec![("backends.0.headers", headers)], set, rules::HEADER_FRAMING.1));
        let headers = json!({"remove": [name]});
        faults.push(on_route(vec![("backends.0.headers", headers)], remove, rules::HEADER_FRAMING.1));
    }
    let mut own = json!({"secretRef": {"name": "s", "key": "k"}, "header": "X-Own"});
    for (provider, name) in [("OpenAI", "Authorization"), ("AzureOpenAI", "api-key"), ("Custom", "x-own")] {
        let credential = if provider == "Custom" { own.take() } else { reference() };
        let with = |headers: Value| {
            vec![
                ("backends.0.provider", json!(provider)),
                ("backends.0.credential", credential.clone()),
                ("backends.0.headers", headers),
            ]
        };
        faults.push(on_route(with(json!({"set": [header(name, "v")]})), set, rules::HEADER_OF_CREDENTIAL.1));
        faults.push(on_route(with(json!({"remove": [name]})), remove, rules::HEADER_OF_CREDENTIAL.1));
    }
    faults
}

fn rewrites() -> Vec<Fault> {
    let model =
        |model: Value| on_route(vec![("backends.0.model", model)], "spec.backends[0].model", rules::MODEL_ONE_OF.1);
    let mut faults = vec![
        model(json!({})),
        model(json!({"name": "a", "map": {"a": "b"}})),
        on_route(
            vec![("rewrite", json!({"prefix": "/api"})), ("matches.1", json!({"path": {"exact": "/v2"}}))],
            "spec.rewrite.prefix",
            rules::REWRITE_MATCHES.1,
        ),
        on_route(
            vec![
                ("backends.0.url", json!("http://llm.example.com")),
                ("backends.0.allowPlaintext", json!(true)),
                ("backends.0.tls", json!({"caRef": {"name": "ca"}})),
            ],
            "spec.backends[0].tls",
            rules::TLS_PLAINTEXT.1,
        ),
    ];
    for prefix in ["api", "//", "/a/../b", "/a?b", "/a%20b", "/é"] {
        faults.push(on_route(
            vec![("rewrite", json!({"prefix": prefix}))],
            "spec.rewrite.prefix",
            rules::REWRITE_FORM.1,
        ));
    }
    faults
}

fn waits() -> Vec<Fault> {
    let gemini = json!({"name": "g", "provider": "Gemini", "credential": {"secretRef": {"name": "s", "key": "k"}}});
    let second = json!({"name": "b", "provider": "Custom", "url": "https://b.example.com"});
    let interval = |text: &str| {
        on_route(vec![("keepAlive.interval", json!(text))], "spec.keepAlive.interval", rules::KEEP_ALIVE_BOUND.1)
    };
    let drain = |value: Value| on_route(vec![("onClientGone", value)], "spec.onClientGone.limit", rules::DRAIN_LIMIT.1);
    vec![
        interval("0s"),
        interval("999ms"),
        interval("1h1ms"),
        on_route(
            vec![("keepAlive.interval", json!("15s")), ("format", json!("GeminiStream"))],
            "spec.keepAlive",
            rules::KEEP_ALIVE_GEMINI.1,
        ),
        on_route(
            vec![("keepAlive.interval", json!("15s")), ("backends.1", gemini)],
            "spec.keepAlive",
            rules::KEEP_ALIVE_GEMINI.1,
        ),
        on_route(vec![("hedge.after", json!("1s"))], "spec.hedge", rules::HEDGE_BACKENDS.1),
        on_route(vec![("hedge.after", json!("0s")), ("backends.1", second)], "spec.hedge.after", rules::HEDGE_AFTER.1),
        drain(json!({"mode": "Cancel", "limit": "30s"})),
        drain(json!({"mode": "Drain", "limit": "0s"})),
        drain(json!({"mode": "Drain", "limit": "61m"})),
        on_route(vec![("timeouts.connect", json!("25h"))], "spec.timeouts.connect", rules::DURATION_BOUND.1),
        on_route(vec![("timeouts.total", json!("24h1ms"))], "spec.timeouts.total", rules::DURATION_BOUND.1),
    ]
}

/// Specs that a CEL rule refuses.
pub(super) fn by_rule() -> Vec<Fault> {
    [matched_headers(), changed_headers(), rewrites(), waits()].into_iter().flatten().collect()
}

const HEADER: &str = "must be letters, digits, - and _ only, 1 to 128 of them, such as x-tier";

fn backend_shapes() -> Vec<Fault> {
    let at = |part, value, field, message| on_route(vec![(part, value)], field, message);
    let model = "must have 1 to 256 characters";
    let too_many = "has 17 entries: at most 16 are allowed, split the object";
    let many_models: serde_json::Map<_, _> = (0..65).map(|n| (format!("m{n}"), json!("x"))).collect();
    let too_many_models = "has 65 entries: at most 64 are allowed, split the object";
    let name = "is not the name of a Secret: at most 253 lower-case letters, digits, - and .";
    let key = "is not a key of a Secret: at most 253 letters, digits, -, _ and .";
    vec![
        at("matches.0.headers", json!([header("x y", "1")]), "spec.matches[0].headers[0].name", HEADER),
        at(
            "matches.0.headers",
            json!([header("x", &"v".repeat(4097))]),
            "spec.matches[0].headers[0].value",
            "must have at most 4096 characters",
        ),
        at("matches.0.headers", many(17, &header("x", "1")), "spec.matches[0].headers", too_many),
        at("backends.0.headers.remove", json!(["a:b"]), "spec.backends[0].headers.remove[0]", HEADER),
        at("backends.0.headers.remove", many(17, &json!("x")), "spec.backends[0].headers.remove", too_many),
        at("backends.0.model.name", json!(""), "spec.backends[0].model.name", model),
        at("backends.0.model.map", json!({"a": "x".repeat(257)}), "spec.backends[0].model.map", model),
        at("backends.0.model.map", json!({}), "spec.backends[0].model.map", "is empty: at least 1 must be set"),
        at("backends.0.model.map", json!(many_models), "spec.backends[0].model.map", too_many_models),
        at("backends.0.model.map", json!({"gpt-*": "b"}), "spec.backends[0].model.map", rules::MODEL_MAP_KEY),
        at("backends.0.model.map", json!({"": "b"}), "spec.backends[0].model.map", rules::MODEL_MAP_KEY),
        at("backends.0.weight", json!(1_000_001), "spec.backends[0].weight", "must be 0 to 1000000"),
        at("backends.0.priority", json!(16), "spec.backends[0].priority", "must be 0 to 15"),
        at("backends.0.tls.caRef.name", json!("../x"), "spec.backends[0].tls.caRef.name", name),
        at("backends.0.tls.caRef", json!({"name": "a", "key": "a/b"}), "spec.backends[0].tls.caRef.key", key),
    ]
}

fn route_shapes() -> Vec<Fault> {
    let at = |part, value, field, message| on_route(vec![(part, value)], field, message);
    let status = "must be the status of an error, 400 to 599";
    let duration = "is not a duration: write it like 90s, 5m or 1h30m";
    let second = json!({"name": "b", "provider": "Custom", "url": "https://b.example.com"});
    let hedge = json!({"after": "1s", "maxPercent": 0});
    vec![
        at(
            "rewrite.prefix",
            json!(format!("/{}", "x".repeat(1024))),
            "spec.rewrite.prefix",
            "must have at most 1024 characters",
        ),
        at("keepAlive.interval", json!("often"), "spec.keepAlive.interval", duration),
        at("retries.attempts", json!(6), "spec.retries.attempts", "must be 0 to 5"),
        at("retries.statuses", json!([429, 399]), "spec.retries.statuses[1]", status),
        at("retries.statuses", json!([600]), "spec.retries.statuses[0]", status),
        at("retries.statuses", json!([429, 503, 429]), "spec.retries.statuses[2]", TWICE),
        at("retries.budgetPercent", json!(101), "spec.retries.budgetPercent", "must be 0 to 100"),
        on_route(
            vec![("backends.1", second), ("hedge", hedge)],
            "spec.hedge.maxPercent",
            "must be 1 to 100; leave hedge out for none",
        ),
        on_tenant(
            vec![("apiKeys.0.name", json!("Ci")), ("apiKeys.0.notAfter", json!("2027-01-31T00:00:00Z"))],
            "spec.apiKeys[0].name",
            super::NAME,
        ),
    ]
}

/// Specs that the schema refuses, and keys of maps, which it can't.
pub(super) fn by_schema() -> Vec<Fault> {
    [backend_shapes(), route_shapes()].into_iter().flatten().collect()
}
