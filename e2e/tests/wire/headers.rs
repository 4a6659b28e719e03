//! Which headers go up, which come back, and which the relay adds.

use relay_snapshot::Provider;

use crate::config::{self, CREDENTIAL, KEY, backend, route};
use crate::house::{CHAT, House, MESSAGES, chat, headers, message};
use crate::raw::{Answer, Client};
use crate::stub::{Stub, Then};

/// A proxy in front of an upstream that answers with these header lines.
async fn with_upstream(header_lines: &str) -> (House, Stub) {
    let stub =
        Stub::answering(format!("HTTP/1.1 200 OK\r\n{header_lines}content-length: 2\r\n\r\nok"), Then::Stay).await;
    let routes = vec![route("r", "/", vec![backend(Provider::OpenAI, stub.addr)])];
    (House::new(&config::snapshot(routes)).await, stub)
}

async fn with_headers(house: &House, path: &str, lines: &str) -> Answer {
    let lines = format!("{}{lines}", headers(KEY));
    Client::request(house.addr, "POST", path, &lines, chat("m").as_bytes()).await.answer().await
}

/// The header lines that the upstream saw, names in lower case, in order of the alphabet.
fn seen(stub: &Stub) -> Vec<String> {
    let request = stub.seen().pop().expect("a request");
    let head = request.split("\r\n\r\n").next().expect("a head");
    let mut lines: Vec<String> = head.split("\r\n").skip(1).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn what_goes_up_is_the_clients_request_with_the_relays_credential_and_no_more() {
    let (house, stub) = with_upstream("").await;
    let lines = "accept: application/json\r\nuser-agent: OpenAI/Python 3\r\nx-stainless-lang: python\r\nanthropic-beta: a\r\nanthropic-beta: b\r\nx-request-id: my-id.1\r\n";
    with_headers(&house, "/v1/other?a=1&b=%20", lines).await;
    let body = chat("m");
    let expected = [
        "accept: application/json".to_owned(),
        "anthropic-beta: a".to_owned(),
        "anthropic-beta: b".to_owned(),
        "anthropic-version: 2023-06-01".to_owned(),
        format!("authorization: Bearer {CREDENTIAL}"),
        format!("content-length: {}", body.len()),
        "content-type: application/json".to_owned(),
        format!("host: {}", stub.addr),
        "user-agent: OpenAI/Python 3".to_owned(),
        "x-request-id: my-id.1".to_owned(),
        "x-stainless-lang: python".to_owned(),
    ];
    assert_eq!(seen(&stub), expected);
    let request = stub.seen().pop().expect("a request");
    assert!(request.starts_with("POST /v1/other?a=1&b=%20 HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with(&body));
}

#[tokio::test]
async fn what_speaks_of_the_client_or_its_connection_does_not_go_up() {
    let (house, stub) = with_upstream("").await;
    let lines = "connection: x-named, Keep-Alive\r\nx-named: 1\r\nkeep-alive: timeout=5\r\nproxy-connection: keep-alive\r\n\
                 te: trailers\r\ntrailer: x\r\nproxy-authorization: Basic x\r\nproxy-authenticate: x\r\ncookie: a=b\r\nforwarded: for=1.2.3.4\r\n\
                 x-forwarded-for: 1.2.3.4\r\nx-forwarded-host: h\r\nx-forwarded-proto: https\r\nx-forwarded-port: 1\r\nx-forwarded-server: s\r\n\
                 x-forwarded-client-cert: c\r\nx-real-ip: 1.2.3.4\r\nupgrade: h2c\r\nx-kept: 1\r\n";
    with_headers(&house, "/v1/other", lines).await;
    let seen = seen(&stub);
    let names: Vec<&str> = seen.iter().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(
        names,
        ["anthropic-version", "authorization", "content-length", "content-type", "host", "x-kept", "x-request-id"]
    );
}

#[tokio::test]
async fn no_credential_of_a_client_goes_up() {
    let (house, stub) = with_upstream("").await;
    let lines = format!(
        "x-api-key: {KEY}\r\napi-key: {KEY}\r\nx-goog-api-key: {KEY}\r\nxi-api-key: {KEY}\r\nocp-apim-subscription-key: {KEY}\r\n"
    );
    let query = format!(
        "?alt=sse&key={KEY}&api_key={KEY}&API-KEY={KEY}&subscription-key={KEY}&access_token={KEY}&monkey=1&key"
    );
    with_headers(&house, &format!("/v1/other{query}"), &lines).await;
    with_headers(&house, &format!("/v1/other?key={KEY}"), &lines).await;
    for request in stub.seen() {
        assert!(!request.contains(KEY), "{request}");
        assert_eq!(request.matches(CREDENTIAL).count(), 1, "{request}");
    }
    assert!(stub.seen()[0].starts_with("POST /v1/other?alt=sse&monkey=1 HTTP/1.1\r\n"), "{}", stub.seen()[0]);
    assert!(stub.seen()[1].starts_with("POST /v1/other HTTP/1.1\r\n"), "{}", stub.seen()[1]);
}

#[tokio::test]
async fn a_client_can_not_choose_the_credentials_header() {
    let stub = Stub::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Then::Stay).await;
    let mut backend = backend(Provider::Custom, stub.addr);
    backend.credential.as_mut().expect("a credential").header = "x-custom".to_owned();
    backend.credential.as_mut().expect("a credential").scheme = None;
    backend.url += "/base/";
    let house = House::new(&config::snapshot(vec![route("r", "/", vec![backend])])).await;
    with_headers(&house, "/v1/other", "x-custom: mine\r\nX-Custom: again\r\nconnection: x-custom\r\n").await;
    let lines = seen(&stub);
    let custom: Vec<&String> = lines.iter().filter(|line| line.starts_with("x-custom")).collect();
    assert_eq!(custom, [&format!("x-custom: {CREDENTIAL}")]);
    assert!(stub.seen()[0].starts_with("POST /base/v1/other HTTP/1.1\r\n"));
}

#[tokio::test]
async fn known_formats_are_asked_not_to_compress_and_others_as_the_client_asks() {
    let (house, provider) = House::simple().await;
    with_headers(&house, CHAT, "accept-encoding: gzip, br\r\n").await;
    assert_eq!(provider.requests()[0].request.header("accept-encoding"), Some("identity"));
    with_headers(&house, "/v1/other", "accept-encoding: gzip, br\r\n").await;
    assert_eq!(provider.requests()[1].request.header("accept-encoding"), Some("gzip, br"));
    Client::request(house.addr, "POST", MESSAGES, &headers(KEY), message("m").as_bytes()).await.answer().await;
    assert_eq!(provider.requests()[2].request.header("accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn what_speaks_of_the_account_or_the_upstreams_connection_does_not_come_back() {
    let upstream = "x-ratelimit-limit-requests: 1\r\nx-ratelimit-remaining-tokens: 1\r\nX-RateLimit-Reset-Tokens: 1\r\n\
                    anthropic-ratelimit-requests-limit: 1\r\nopenai-organization: o\r\nopenai-project: p\r\nanthropic-organization-id: o\r\n\
                    anthropic-workspace-id: w\r\nset-cookie: a=b\r\nSet-Cookie: c=d\r\nx-relay-error: no_route\r\nx-relay-revision: x\r\n\
                    connection: x-named, keep-alive\r\nx-named: 1\r\nkeep-alive: timeout=5\r\nproxy-authenticate: x\r\nupgrade: h2c\r\n\
                    openai-processing-ms: 7\r\nopenai-version: 2020-10-01\r\nx-kept: 1\r\nx-kept: 2\r\nrequest-id: req_1\r\n";
    let (house, _stub) = with_upstream(upstream).await;
    let answer = with_headers(&house, "/v1/other", "x-request-id: mine\r\n").await;
    let mut lines: Vec<String> = answer.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    lines.retain(|line| !line.starts_with("date: "));
    lines.sort();
    let expected = [
        "connection: close",
        "content-length: 2",
        "openai-processing-ms: 7",
        "openai-version: 2020-10-01",
        "request-id: req_1",
        "x-kept: 1",
        "x-kept: 2",
        "x-relay-revision: aaaaaaaaaaaa",
        "x-request-id: mine",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn the_real_ones_account_does_not_come_back_either() {
    let (house, _provider) = House::simple().await;
    for answer in [house.chat("fake-ok").await, house.message("fake-ok").await, house.chat("fake-429").await] {
        let names: Vec<&str> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
        let account = [
            "x-ratelimit",
            "anthropic-ratelimit",
            "openai-organization",
            "openai-project",
            "set-cookie",
            "anthropic-organization",
        ];
        assert!(!names.iter().any(|name| account.iter().any(|prefix| name.starts_with(prefix))), "{names:?}");
    }
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_another_is_made_anew() {
    let (house, stub) = with_upstream("").await;
    let long = "x".repeat(128);
    for id in ["a", "0b5f-9_Z.1", long.as_str()] {
        let answer = with_headers(&house, "/v1/other", &format!("x-request-id: {id}\r\n")).await;
        assert_eq!(answer.header("x-request-id"), Some(id));
        assert!(seen(&stub).contains(&format!("x-request-id: {id}")));
    }
    let longer = "x".repeat(129);
    for id in ["", "a b", "a\"b", "ä", "a/b", longer.as_str()] {
        let answer = with_headers(&house, "/v1/other", &format!("x-request-id: {id}\r\n")).await;
        let made = answer.header("x-request-id").expect("an id").to_owned();
        assert!(made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{made}");
        assert!(seen(&stub).contains(&format!("x-request-id: {made}")));
    }
    let refused = Client::request(house.addr, "POST", CHAT, "x-request-id: of-refusal\r\n", b"").await.answer().await;
    assert_eq!((refused.status, refused.header("x-request-id")), (401, Some("of-refusal")));
}

#[tokio::test]
async fn the_providers_own_request_id_stays() {
    let (house, provider) = House::simple().await;
    let answer = with_headers(&house, CHAT, "x-request-id: mine\r\n").await;
    assert_eq!(answer.header("x-request-id"), Some("req_fake00000000000000000001"));
    assert_eq!(provider.requests()[0].request.header("x-request-id"), Some("mine"));
}

#[tokio::test]
async fn every_answer_names_the_configuration() {
    let (house, _provider) = House::simple().await;
    let refused = Client::request(house.addr, "GET", "/", "", b"").await.answer().await;
    assert_eq!(refused.header("x-relay-revision"), Some("aaaaaaaaaaaa"));
    assert_eq!(house.chat("fake-ok").await.header("x-relay-revision"), Some("aaaaaaaaaaaa"));
}

#[tokio::test]
async fn interim_answers_and_trailers_of_an_upstream_stay_behind() {
    let answer = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n";
    let stub = Stub::answering(answer, Then::Stay).await;
    let house = House::new(&config::snapshot(vec![route("r", "/", vec![backend(Provider::OpenAI, stub.addr)])])).await;
    let answer = with_headers(&house, "/v1/other", "te: trailers\r\n").await;
    assert_eq!((answer.status, answer.text()), (200, "ok"));
    assert_eq!((answer.header("link"), answer.header("trailer")), (None, None));
}
