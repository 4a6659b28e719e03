//! Every CEL rule, evaluated without a server on values that it accepts and values that it refuses.

mod handling;

use super::schema::each_node;
use crate::definitions;
use crate::rules::{self, CelRule};
use kube::core::cel::{ErrorKind, Validator};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A rule with values of `self`.
struct Case {
    rule: CelRule,
    accepts: Vec<Value>,
    refuses: Vec<Value>,
}

fn case(rule: CelRule, accepts: Vec<Value>, refuses: Vec<Value>) -> Case {
    Case { rule, accepts, refuses }
}

fn paths() -> Vec<Case> {
    let form = |path: &str| [json!({"prefix": path}), json!({"exact": path})];
    let good =
        ["/", "/v1", "/v1/", "/v1/chat/completions", "/.well-known/x", "/a..b/...", "/openai/d:x@y/~$&'()*+,;=!|"];
    let bad = [
        "", "v1", "//", "/v1//x", "/.", "/..", "/./x", "/v1/../x", "/v1/..", "/a?b", "/a#b", "/a%2fb", "/a b", "/a\t",
        "/a\n", "/é",
    ];
    vec![
        case(
            rules::PATH_ONE_OF,
            vec![json!({"prefix": "/"}), json!({"exact": "/"})],
            vec![json!({}), json!({"prefix": "/", "exact": "/"})],
        ),
        case(rules::PATH_FORM, good.into_iter().flat_map(form).collect(), bad.into_iter().flat_map(form).collect()),
        case(
            rules::MODEL_FORM,
            vec![json!([]), json!(["*"]), json!(["gpt-4o", "gpt-4*", "Qwen/Qwen3-8B", "é*"])],
            vec![json!([""]), json!(["gpt*4"]), json!(["**"]), json!(["a", "*b"])],
        ),
    ]
}

fn urls() -> Vec<Case> {
    let url = |url: &str| json!({"url": url});
    let plain = |allow: bool| json!({"url": "http://h.example", "allowPlaintext": allow});
    let good = [
        "https://h.example",
        "https://h.example/",
        "https://h:1",
        "https://h:65535/x",
        "https://h:9999",
        "https://10.0.0.1:59999/a/b_c~d",
        "https://[::1]",
        "https://[2001:db8::1]:443/x",
        "https://my_host",
        "https://h/a%20b",
    ];
    let bad = [
        "https://",
        "https:///x",
        "https://u@h",
        "https://u:p@h",
        "https://h?q",
        "https://h/?q",
        "https://h/#f",
        "https://h/a@b",
        "https://h:0",
        "https://h:65536",
        "https://h:70000",
        "https://h:100000",
        "https://h:",
        "https://h:01",
        "https://h h",
        "https://h/a b",
        "https://h\\x",
        "https://::1",
        "https://[::1",
        "https://[fe80::1%25eth0]",
        "https://h/é",
        "https://h/\n",
        "ftp://h",
    ];
    vec![
        case(
            rules::URL_REQUIRED,
            vec![
                json!({"provider": "OpenAI"}),
                json!({"provider": "Custom", "url": "x"}),
                json!({"provider": "AzureSpeech", "url": "x"}),
                json!({"provider": "Gemini"}),
                json!({"provider": "ElevenLabs"}),
            ],
            ["Custom", "AzureOpenAI", "AzureSpeech"].into_iter().map(|name| json!({"provider": name})).collect(),
        ),
        case(
            rules::PLAINTEXT,
            vec![json!({}), url("https://h.example"), plain(true)],
            vec![
                url("http://h.example"),
                plain(false),
                url("HTTPS://h.example"),
                url("h.example"),
                url("ftp://h.example"),
            ],
        ),
        case(rules::URL_FORM, good.into_iter().map(url).collect(), bad.into_iter().map(url).collect()),
    ]
}

fn credentials() -> Vec<Case> {
    let header = |name: &str| json!({"header": name});
    let framing = [
        "host",
        "Host",
        "connection",
        "content-length",
        "Transfer-Encoding",
        "te",
        "TE",
        "trailer",
        "upgrade",
        "keep-alive",
        "proxy-connection",
        "expect",
        "content-type",
        "accept-encoding",
    ];
    vec![
        case(
            rules::CREDENTIAL_REQUIRED,
            vec![json!({"provider": "Custom"}), json!({"provider": "OpenAI", "credential": {}})],
            vec![json!({"provider": "OpenAI"}), json!({"provider": "AzureSpeech"})],
        ),
        case(
            rules::CREDENTIAL_HEADER,
            vec![
                json!({"provider": "Custom"}),
                json!({"provider": "OpenAI", "credential": {}}),
                json!({"provider": "Custom", "credential": {"header": "x-key"}}),
            ],
            vec![json!({"provider": "Custom", "credential": {}})],
        ),
        case(
            rules::CREDENTIAL_HEADER_NAME,
            vec![json!({}), header("authorization"), header("X-Api-Key"), header("hosts")],
            framing.into_iter().map(header).collect(),
        ),
    ]
}

fn tenants() -> Vec<Case> {
    vec![
        case(
            rules::CONSENT_SELECTOR,
            vec![
                json!({}),
                json!({"from": "Same"}),
                json!({"from": "All"}),
                json!({"from": "Selector", "selector": {}}),
            ],
            vec![json!({"from": "Selector"}), json!({"from": "All", "selector": {}}), json!({"selector": {}})],
        ),
        case(
            rules::KEY_ONE_OF,
            vec![json!({"secretRef": {}}), json!({"sha256": "x"})],
            vec![json!({}), json!({"secretRef": {}, "sha256": "x"})],
        ),
        case(
            rules::LIMIT_ONE_OF,
            vec![json!({"amount": 0}), json!({"unlimited": true}), json!({"amount": 5, "unlimited": false})],
            vec![json!({}), json!({"unlimited": false}), json!({"amount": 5, "unlimited": true})],
        ),
        case(
            rules::LIMIT_PER,
            vec![
                json!({"unlimited": true}),
                json!({"amount": 5, "per": "Day"}),
                json!({"amount": 5, "per": "Day", "burst": 1}),
            ],
            vec![json!({"amount": 5}), json!({"per": "Day"}), json!({"unlimited": true, "burst": 1})],
        ),
        case(
            rules::TOKENS_COUNT,
            vec![json!({"unlimited": true}), json!({"amount": 0}), json!({"amount": 5, "count": "Output"})],
            vec![json!({"count": "Total"}), json!({"unlimited": true, "count": "Input"})],
        ),
        case(
            rules::BUDGET_STOP,
            vec![
                json!({"unit": "Requests"}),
                json!({"unit": "Requests", "atLimit": "RefuseNew"}),
                json!({"unit": "Tokens", "atLimit": "StopStreams"}),
                json!({"unit": "Characters", "atLimit": "StopStreams"}),
            ],
            vec![json!({"unit": "Requests", "atLimit": "StopStreams"})],
        ),
    ]
}

fn scalars() -> Vec<Case> {
    vec![
        case(
            rules::DURATION_BOUND,
            vec![json!("0s"), json!("90s"), json!("1h30m"), json!("24h"), json!("86400s"), json!("99999ms")],
            vec![json!("25h"), json!("24h1ms"), json!("99999h99999h99999h99999h")],
        ),
        case(
            rules::BODY_BOUND,
            vec![json!("1"), json!(1), json!("10Mi"), json!("500k"), json!("1Gi"), json!("1G"), json!(1_073_741_824)],
            vec![
                json!("0"),
                json!(0),
                json!(-1),
                json!("0Gi"),
                json!("2Gi"),
                json!("1073741825"),
                json!(1_073_741_825),
                json!("999999999999G"),
            ],
        ),
    ]
}

fn cases() -> Vec<Case> {
    let handling = [handling::headers(), handling::backends(), handling::routes(), handling::waits()];
    [paths(), urls(), credentials(), tenants(), scalars()].into_iter().chain(handling).flatten().collect()
}

#[test]
fn every_rule_accepts_what_it_should_and_refuses_the_rest() {
    for Case { rule, accepts, refuses } in cases() {
        let schema = json!({"x-kubernetes-validations": [{"rule": rule.0, "message": rule.1}]});
        let evaluate = |value: &Value| Validator::new().validate(&schema, value, None);
        for value in accepts {
            assert_eq!(evaluate(&value), Ok(()), "{value}");
        }
        for value in refuses {
            let errors = evaluate(&value).expect_err(&format!("{value} is accepted by {}", rule.0));
            // An error of evaluation would refuse, too, with words that no user understands.
            assert!(errors.iter().all(|error| error.kind == ErrorKind::ValidationFailure), "{errors:?}");
            assert_eq!(errors[0].message, rule.1);
        }
    }
}

#[test]
fn every_rule_of_the_schema_is_tried_and_every_tried_rule_is_in_the_schema() {
    let mut written = BTreeSet::new();
    for (_, definition) in definitions() {
        each_node(&definition, &mut |_, node| {
            for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
                written
                    .insert((rule["rule"].as_str().unwrap().to_owned(), rule["message"].as_str().unwrap().to_owned()));
            }
        });
    }
    let tried: BTreeSet<_> = cases().iter().map(|case| (case.rule.0.to_owned(), case.rule.1.to_owned())).collect();
    assert_eq!(written, tried);
}

#[test]
fn messages_are_one_line_and_short_enough_for_the_api_server() {
    for case in cases() {
        assert!(!case.rule.1.contains('\n') && case.rule.1.len() <= 2048, "{}", case.rule.1);
    }
}
