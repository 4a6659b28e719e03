//! The rules about headers, models, rewrites, and how requests and answers are handled.

use super::{Case, case};
use crate::rules;
use serde_json::{Value, json};

const FRAMING: [&str; 12] = [
    "host",
    "Connection",
    "content-length",
    "Transfer-Encoding",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "proxy-connection",
    "expect",
    "content-type",
    "Accept-Encoding",
];

fn named(name: &str) -> Value {
    json!({"name": name, "value": "v"})
}

pub(super) fn headers() -> Vec<Case> {
    let value = |value: &str| json!({"value": value});
    let framing = FRAMING.into_iter().flat_map(|name| [json!({"set": [named(name)]}), json!({"remove": ["x", name]})]);
    let keys = ["Host", "te", "authorization", "X-Api-Key", "api-key", "x-goog-api-key", "xi-api-key", "cookie"];
    vec![
        case(
            rules::HEADER_VALUE,
            ["a", "a b", "!~", "multipart; x=\"1\""].into_iter().map(value).collect(),
            ["", " a", "a ", "a\nb", "a\r\nx: 1", "a\u{0}", "a\tb", "é", "a\n"].into_iter().map(value).collect(),
        ),
        case(
            rules::HEADERS_DISTINCT,
            vec![json!([]), json!([named("a"), named("b")])],
            vec![json!([named("a"), named("A")]), json!([named("x-B"), named("c"), named("X-b")])],
        ),
        case(
            rules::MATCH_HEADER,
            vec![json!([]), json!([named("x-tier"), named("content-type"), named("hosts")])],
            keys.into_iter().map(|name| json!([named("x-tier"), named(name)])).collect(),
        ),
        case(
            rules::HEADER_FRAMING,
            vec![json!({}), json!({"set": [named("openai-organization")], "remove": ["x-trace"]})],
            framing.collect(),
        ),
        own_header(),
    ]
}

fn own_header() -> Case {
    let set = |provider: &str, name: &str| json!({"provider": provider, "headers": {"set": [named("x"), named(name)]}});
    let remove = |provider: &str, name: &str| json!({"provider": provider, "headers": {"remove": [name]}});
    let own = |header: &str, name: &str| json!({"provider": "OpenAI", "credential": {"header": header}, "headers": {"set": [named(name)]}});
    let defaults = [
        ("OpenAI", "Authorization"),
        ("SiliconFlow", "authorization"),
        ("Anthropic", "X-Api-Key"),
        ("AzureOpenAI", "api-key"),
        ("AzureSpeech", "Ocp-Apim-Subscription-Key"),
        ("Gemini", "x-goog-api-key"),
        ("ElevenLabs", "xi-api-key"),
    ];
    let refused = defaults.into_iter().flat_map(|(provider, name)| [set(provider, name), remove(provider, name)]);
    case(
        rules::HEADER_OF_CREDENTIAL,
        vec![
            json!({"provider": "OpenAI"}),
            json!({"provider": "OpenAI", "headers": {}}),
            set("Custom", "authorization"),
            set("Anthropic", "authorization"),
            own("X-Own", "authorization"),
            remove("OpenAI", "x-api-key"),
        ],
        refused.chain([own("X-Own", "x-own")]).collect(),
    )
}

pub(super) fn backends() -> Vec<Case> {
    let tls = |url: &str| json!({"tls": {}, "url": url});
    vec![
        case(
            rules::MODEL_ONE_OF,
            vec![json!({"name": "a"}), json!({"map": {"a": "b"}})],
            vec![json!({}), json!({"name": "a", "map": {"a": "b"}})],
        ),
        case(
            rules::TLS_PLAINTEXT,
            vec![json!({}), json!({"tls": {}}), tls("https://h.example"), json!({"url": "http://h.example"})],
            vec![tls("http://h.example")],
        ),
    ]
}

pub(super) fn routes() -> Vec<Case> {
    let matches = |paths: Value| json!({"rewrite": {"prefix": "/"}, "matches": paths});
    let keep_alive = |format: Value, provider: &str| {
        let mut spec =
            json!({"keepAlive": {"interval": "15s"}, "backends": [{"provider": "OpenAI"}, {"provider": provider}]});
        if !format.is_null() {
            spec["format"] = format;
        }
        spec
    };
    let hedge = |backends: usize| json!({"hedge": {"after": "1s"}, "backends": vec![json!({}); backends]});
    vec![
        case(
            rules::REWRITE_FORM,
            ["/", "/v1", "/v1/", "/openai/deployments/x"].into_iter().map(|path| json!({"prefix": path})).collect(),
            ["", "v1", "//", "/..", "/a/../b", "/a?b", "/a#b", "/a%20b", "/a b", "/é"]
                .into_iter()
                .map(|path| json!({"prefix": path}))
                .collect(),
        ),
        case(
            rules::REWRITE_MATCHES,
            vec![
                json!({"matches": [{"path": {"exact": "/a"}}]}),
                matches(json!([{"path": {"prefix": "/a"}}, {"path": {"prefix": "/b"}}])),
            ],
            vec![matches(json!([{"path": {"prefix": "/a"}}, {"path": {"exact": "/b"}}]))],
        ),
        case(
            rules::KEEP_ALIVE_GEMINI,
            vec![
                json!({"backends": [{"provider": "Gemini"}], "format": "GeminiStream"}),
                keep_alive(Value::Null, "Custom"),
                keep_alive(json!("OpenAIChat"), "Custom"),
            ],
            vec![
                keep_alive(Value::Null, "Gemini"),
                keep_alive(json!("GeminiStream"), "Custom"),
                keep_alive(json!("OpenAIChat"), "Gemini"),
            ],
        ),
        case(rules::HEDGE_BACKENDS, vec![json!({"backends": [{}]}), hedge(2), hedge(16)], vec![hedge(1)]),
    ]
}

pub(super) fn waits() -> Vec<Case> {
    let interval = |text: &str| json!({"interval": text});
    let after = |text: &str| json!({"after": text});
    let drain = |mode: &str, limit: &str| json!({"mode": mode, "limit": limit});
    vec![
        case(
            rules::KEEP_ALIVE_BOUND,
            ["1s", "15s", "1h", "60m"].into_iter().map(interval).collect(),
            ["0s", "999ms", "1h1ms", "24h"].into_iter().map(interval).collect(),
        ),
        case(
            rules::HEDGE_AFTER,
            ["1ms", "800ms", "24h"].into_iter().map(after).collect(),
            ["0s", "0h0ms"].into_iter().map(after).collect(),
        ),
        case(
            rules::DRAIN_LIMIT,
            vec![json!({"mode": "Cancel"}), json!({"mode": "Drain"}), drain("Drain", "1s"), drain("Drain", "1h")],
            vec![drain("Cancel", "30s"), drain("Drain", "0s"), drain("Drain", "999ms"), drain("Drain", "2h")],
        ),
    ]
}
