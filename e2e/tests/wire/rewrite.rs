//! What goes up otherwise than it came: models, headers.

use relay_snapshot::{Backend, HeaderRule, ModelRewrite, Provider};

use crate::config::{self, CREDENTIAL, KEY, backend, route};
use crate::house::{CHAT, House, MESSAGES, chat, headers, provider};
use crate::raw::Client;
use crate::stub::{Stub, Then};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

fn map(pairs: &[(&str, &str)]) -> ModelRewrite {
    ModelRewrite::Map(pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect())
}

/// What a backend with this rewrite gets of a body.
async fn sent_up(model: ModelRewrite, content_type: &str, body: &str) -> String {
    let stub = Stub::answering(OK, Then::Stay).await;
    let house = House::new(&config::snapshot(vec![route(
        "r",
        "/",
        vec![Backend { model, ..backend(Provider::OpenAI, stub.addr) }],
    )]))
    .await;
    let headers = format!("authorization: Bearer {KEY}\r\ncontent-type: {content_type}\r\n");
    let answer = Client::request(house.addr, "POST", CHAT, &headers, body.as_bytes()).await.answer().await;
    assert_eq!(answer.status, 200);
    let seen = stub.seen();
    let (head, sent) = seen[0].split_once("\r\n\r\n").expect("a head");
    assert!(body.is_empty() || head.contains(&format!("content-length: {}", sent.len())), "{head}");
    sent.to_owned()
}

#[tokio::test]
async fn the_model_of_a_body_is_replaced_and_no_other_byte() {
    let to = |name: &str| ModelRewrite::To(name.to_owned());
    let mapped = map(&[("a", "A \"quoted\""), ("b", "")]);
    for (rewrite, body, expected) in [
        (to("new"), r#"{"model":"old","x":1}"#, r#"{"model":"new","x":1}"#),
        (
            to("new"),
            " {\n \"x\" : {\"model\":\"no\"}, \"model\"\t:\t\"o\\u006cd\" }\n ",
            " {\n \"x\" : {\"model\":\"no\"}, \"model\"\t:\t\"new\" }\n ",
        ),
        (to("new"), r#"{"messages":["model"]}"#, r#"{"messages":["model"]}"#),
        (to("new"), r#"{"model":1}"#, r#"{"model":1}"#),
        (to("new"), "{\"model\":\"old\"", "{\"model\":\"old\""),
        (to("new"), "", ""),
        (mapped.clone(), r#"{"model":"a"}"#, r#"{"model":"A \"quoted\""}"#),
        (mapped.clone(), r#"{"model":"b"}"#, r#"{"model":""}"#),
        (mapped.clone(), r#"{"model":"c"}"#, r#"{"model":"c"}"#),
        (ModelRewrite::None, r#"{"model":"a"}"#, r#"{"model":"a"}"#),
    ] {
        assert_eq!(sent_up(rewrite, "application/json; charset=utf-8", body).await, expected, "{body}");
    }
    // Longer than a name may be that decides on a route.
    let long = format!(r#"{{"model":"{}"}}"#, "x".repeat(300));
    assert_eq!(sent_up(to("new"), "application/json", &long).await, r#"{"model":"new"}"#);
    let form = "--x\r\n{\"model\":\"old\"}\r\n--x--";
    assert_eq!(sent_up(to("new"), "multipart/form-data; boundary=x", form).await, form);
}

#[tokio::test]
async fn a_long_body_in_pieces_is_rewritten_with_its_end_streamed() {
    let provider = provider().await;
    let mut target = route("r", "/", vec![backend(Provider::OpenAI, provider.addr())]);
    target.backends[0].model = ModelRewrite::To("fake-tokens-2".into());
    let house = House::new(&config::snapshot(vec![target])).await;
    let body = chat("some-model").replace("one", &"word ".repeat(400_000));
    let spaces = " ".repeat(100_000);
    let mut client = Client::connect(house.addr).await;
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n{}", headers(KEY));
    client.write(format!("{head}transfer-encoding: chunked\r\n\r\n")).await;
    for piece in [body.as_str(), spaces.as_str()].iter().flat_map(|text| text.as_bytes().chunks(65_536)) {
        client.write([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()).await;
    }
    client.write("0\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    let expected = body.replace("some-model", "fake-tokens-2") + &spaces;
    let requests = provider.requests();
    assert_eq!(requests[0].request.body_bytes, expected.len());
    assert_eq!(requests[0].request.body_sha256, relay_e2e::provider::script::sha256(expected.as_bytes()));
}

#[tokio::test]
async fn two_models_are_refused_where_one_would_be_replaced() {
    let stub = Stub::answering(OK, Then::Stay).await;
    let rewriting = Backend { model: ModelRewrite::To("new".into()), ..backend(Provider::OpenAI, stub.addr) };
    let house = House::new(&config::snapshot(vec![route("r", "/", vec![rewriting])])).await;
    let answer = house.post(CHAT, r#"{"model":"a","model":"b"}"#).await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (400, Some("bad_request")));
    assert!(stub.seen().is_empty());
}

#[tokio::test]
async fn each_backend_gets_its_own_model() {
    let busy = Stub::answering("HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n", Then::Stay).await;
    let alive = Stub::answering(OK, Then::Stay).await;
    let mut both = route(
        "r",
        "/",
        vec![
            Backend { model: map(&[("m", "first")]), ..backend(Provider::OpenAI, busy.addr) },
            Backend { model: map(&[("m", "the second")]), priority: 1, ..backend(Provider::OpenAI, alive.addr) },
        ],
    );
    both.policy.retries = config::retrying(1);
    let house = House::new(&config::snapshot(vec![both])).await;
    assert_eq!(house.post(CHAT, &chat("m")).await.status, 200);
    for (stub, model) in [(&busy, "first"), (&alive, "the second")] {
        assert!(stub.seen()[0].ends_with(&chat(model)), "{:?}", stub.seen());
    }
}

#[tokio::test]
async fn models_in_paths_are_replaced_there() {
    for (provider, path, expected) in [
        (
            Provider::Gemini,
            "/v1beta/models/gemini-x:streamGenerateContent?alt=sse",
            "/v1beta/models/new%2F1:streamGenerateContent?alt=sse",
        ),
        (
            Provider::AzureOpenAI,
            "/openai/deployments/gemini-x/chat/completions?api-version=1",
            "/openai/deployments/new%2F1/chat/completions?api-version=1",
        ),
        (Provider::Gemini, "/v1beta/models/other:countTokens", "/v1beta/models/other:countTokens"),
        (Provider::Gemini, "/v1beta/models", "/v1beta/models"),
    ] {
        let stub = Stub::answering(OK, Then::Stay).await;
        let rewriting = Backend { model: map(&[("gemini-x", "new/1")]), ..backend(provider, stub.addr) };
        let house = House::new(&config::snapshot(vec![route("r", "/", vec![rewriting])])).await;
        let body = r#"{"model":"gemini-x"}"#;
        assert_eq!(house.post(path, body).await.status, 200);
        let request = &stub.seen()[0];
        assert!(request.starts_with(&format!("POST {expected} HTTP/1.1\r\n")), "{request}");
        let replaced = if path.contains("gemini-x") || path.contains("other") { body } else { r#"{"model":"new/1"}"# };
        assert!(request.ends_with(replaced), "where the path has the model, the body's is left alone: {request}");
    }
}

#[tokio::test]
async fn headers_are_set_and_removed_but_none_that_the_relay_needs() {
    let stub = Stub::answering(OK, Then::Stay).await;
    let rule = |name: &str, value: &str| HeaderRule { name: name.into(), value: value.into() };
    let ruled = Backend {
        set_headers: vec![
            rule("x-tier", "gold"),
            rule("anthropic-version", "2099-01-01"),
            rule("authorization", "Bearer of-the-route"),
            rule("connection", "x-tier"),
            rule("transfer-encoding", "gzip"),
            rule("content-length", "1"),
            rule("host", "elsewhere.example"),
        ],
        remove_headers: vec!["x-secret".into(), "content-type".into()],
        ..backend(Provider::OpenAI, stub.addr)
    };
    let house = House::new(&config::snapshot(vec![route("r", "/", vec![ruled])])).await;
    let headers = format!("{}x-secret: of the client\r\nx-tier: bronze\r\nx-other: stays\r\n", headers(KEY));
    let answer = Client::request(house.addr, "POST", CHAT, &headers, b"{}").await.answer().await;
    assert_eq!(answer.status, 200);
    let request = stub.seen()[0].to_ascii_lowercase();
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    let has = |line: &str| head.lines().filter(|given| *given == line).count();
    for line in ["x-tier: gold", "anthropic-version: 2099-01-01", "x-other: stays", "content-length: 2"] {
        assert_eq!(has(line), 1, "{line} in {head}");
    }
    assert_eq!(has(&format!("authorization: bearer {CREDENTIAL}")), 1, "{head}");
    assert_eq!(has(&format!("host: {}", stub.addr)), 1, "{head}");
    for absent in ["x-secret", "content-type", "transfer-encoding", "bronze", "of-the-route", "connection"] {
        assert!(!head.contains(absent), "{absent} in {head}");
    }
    assert_eq!(body, "{}");
}

#[tokio::test]
async fn the_matched_prefix_is_replaced_behind_the_path_of_the_url() {
    for (matched, with, path, expected) in [
        ("/team", "/api", "/team/v1/files?a=1&a=%2F&key=secret", "/base/api/v1/files?a=1&a=%2F"),
        ("/team", "/", "/team/v1/a%20b", "/base/v1/a%20b"),
        ("/team", "/", "/team", "/base/"),
        ("/team", "/x/y", "/team", "/base/x/y"),
        ("/", "/v2", "/team/team", "/base/v2/team/team"),
    ] {
        let stub = Stub::answering(OK, Then::Stay).await;
        let mut target = route("r", matched, vec![backend(Provider::OpenAI, stub.addr)]);
        target.backends[0].url += "/base";
        target.policy.rewrite_prefix = Some(with.to_owned());
        let house = House::new(&config::snapshot(vec![target])).await;
        assert_eq!(house.post(path, "{}").await.status, 200);
        let request = &stub.seen()[0];
        assert!(request.starts_with(&format!("POST {expected} HTTP/1.1\r\n")), "{request}");
    }
}

#[tokio::test]
async fn the_format_is_that_of_the_path_upstream() {
    let provider = provider().await;
    let mut target = route("r", "/chat", vec![backend(Provider::OpenAI, provider.addr())]);
    target.policy.rewrite_prefix = Some(CHAT.to_owned());
    let house = House::new(&config::snapshot(vec![target])).await;
    let answer = house.post("/chat", &chat("fake-truncated-at-2")).await;
    assert_eq!((answer.status, &answer.last_event().1["error"]["code"]), (200, &"upstream_protocol".into()));
}

#[tokio::test]
async fn errors_of_the_relay_have_the_shape_of_the_api_upstream() {
    let dead = Stub::answering("", Then::Close).await;
    let mut target = route("r", "/claude", vec![backend(Provider::Custom, dead.addr)]);
    target.policy.rewrite_prefix = Some(MESSAGES.to_owned());
    let house = House::new(&config::snapshot(vec![target])).await;
    let answer = house.post("/claude", "{}").await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (502, Some("upstream_reset")));
    assert!(answer.text().contains("\"type\":\"error\""), "{}", answer.text());
}
