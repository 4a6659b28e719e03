//! Which route serves a request, seen by which provider answers.

use std::collections::BTreeMap;

use relay_e2e::provider::{Provider as Fake, script};
use relay_snapshot::{HeaderRule, PathRule, Provider, Route, Timeouts};

use crate::config::{self, KEY, backend, matching, route};
use crate::house::{CHAT, House, chat, headers, named};
use crate::raw::{Answer, Client};

/// A route to a provider that says the route's name.
async fn to_own(name: &str, path: PathRule, models: &[&str]) -> (Route, Fake) {
    let provider = named(name).await;
    let mut route = route(name, "/", vec![backend(Provider::OpenAI, provider.addr())]);
    route.matches = vec![matching(path, models)];
    (route, provider)
}

fn prefix(path: &str) -> PathRule {
    PathRule::Prefix(path.to_owned())
}

async fn house_of(routes: Vec<(Route, Fake)>) -> (House, BTreeMap<String, Fake>) {
    let (routes, fakes): (Vec<Route>, Vec<Fake>) = routes.into_iter().unzip();
    let fakes = routes.iter().map(|route| route.id.name.clone()).zip(fakes).collect();
    (House::new(&config::snapshot(routes)).await, fakes)
}

async fn post(house: &House, path: &str, body: &[u8]) -> Answer {
    Client::request(house.addr, "POST", path, &headers(KEY), body).await.answer().await
}

fn by(answer: &Answer) -> Option<&str> {
    answer.header("x-fake-identity")
}

#[tokio::test]
async fn exact_over_prefix_and_longer_prefix_over_shorter() {
    let (house, _fakes) = house_of(vec![
        to_own("root", prefix("/"), &[]).await,
        to_own("v1", prefix("/v1/"), &[]).await,
        to_own("chat", prefix("/v1/chat"), &[]).await,
        to_own("exact", PathRule::Exact("/v1/chat/completions".into()), &[]).await,
    ])
    .await;
    for (path, name) in [
        ("/v1/chat/completions", "exact"),
        ("/v1/chat/completions?x=1", "exact"),
        ("/v1/chat/completions/", "chat"),
        ("/v1/chat/completions/x", "chat"),
        ("/v1/chat", "chat"),
        ("/v1/chatter", "v1"),
        ("/v1/models", "v1"),
        ("/v1", "v1"),
        ("/v10", "root"),
        ("/", "root"),
    ] {
        assert_eq!(by(&post(&house, path, b"{}").await), Some(name), "{path}");
    }
}

#[tokio::test]
async fn a_model_match_over_none_and_the_longest_pattern() {
    let (house, _fakes) = house_of(vec![
        to_own("any", prefix("/v1"), &[]).await,
        to_own("fake", prefix("/v1"), &["fake-*"]).await,
        to_own("fake-tokens", prefix("/v1"), &["fake-tokens*", "other"]).await,
        to_own("exact", prefix("/v1"), &["fake-tokens-3"]).await,
    ])
    .await;
    for (model, name) in [
        ("fake-tokens-3", "exact"),
        ("fake-tokens-30", "fake-tokens"),
        ("other", "fake-tokens"),
        ("others", "any"),
        ("fake-ok", "fake"),
        ("gpt-9", "any"),
    ] {
        assert_eq!(by(&house.chat(model).await), Some(name), "{model}");
    }
    for (what, body) in [("no JSON", "model=fake-ok"), ("no model", "{}"), ("nested", r#"{"a":{"model":"fake-ok"}}"#)] {
        assert_eq!(by(&post(&house, CHAT, body.as_bytes()).await), Some("any"), "{what}");
    }
    let text =
        Client::request(house.addr, "POST", CHAT, &format!("x-api-key: {KEY}\r\n"), chat("fake-ok").as_bytes()).await;
    assert_eq!(by(&text.answer().await), Some("any"), "no JSON by its content-type");
}

#[tokio::test]
async fn no_route_takes_a_model_that_none_names() {
    let (house, fakes) = house_of(vec![to_own("fake", prefix("/v1"), &["fake-*"]).await]).await;
    let answer = house.chat("gpt-9").await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (404, Some("no_route")));
    assert!(fakes["fake"].requests().is_empty());
}

/// A chat of a megabyte whose model comes last.
fn long_chat(model: &str) -> Vec<u8> {
    let words = "word ".repeat((1 << 20) / 5);
    format!(r#"{{"messages":[{{"role":"user","content":"{words}"}}],"stream":true,"model":"{model}"}}"#).into_bytes()
}

#[tokio::test]
async fn the_model_may_come_last_and_the_body_goes_up_whole() {
    let (house, fakes) =
        house_of(vec![to_own("any", prefix("/v1"), &[]).await, to_own("fake", prefix("/v1"), &["fake-*"]).await]).await;
    let body = long_chat("fake-tokens-5");
    let answer = post(&house, CHAT, &body).await;
    assert_eq!((by(&answer), answer.chat()), (Some("fake"), (script::text(5), "[DONE]".to_owned())));
    // The same in chunks of odd sizes.
    let mut client = Client::connect(house.addr).await;
    let headers = headers(KEY);
    client
        .write(format!(
            "POST {CHAT} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n{headers}transfer-encoding: chunked\r\n\r\n"
        ))
        .await;
    for piece in body.chunks(70_001) {
        client.write([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()).await;
    }
    client.write("0\r\n\r\n").await;
    assert_eq!(client.answer().await.chat(), (script::text(5), "[DONE]".to_owned()));
    let requests = fakes["fake"].requests();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert_eq!((request.request.body_bytes, &request.request.body_sha256), (body.len(), &script::sha256(&body)));
    }
    assert_eq!(requests[0].request.header("content-length"), Some(body.len().to_string().as_str()));
    assert_eq!(requests[1].request.header("transfer-encoding"), Some("chunked"));
}

#[tokio::test]
async fn a_body_is_looked_into_no_further_than_any_route_allows() {
    let (mut fake, provider) = to_own("fake", prefix("/v1"), &["fake-*"]).await;
    fake.body_max = 100_000;
    let (house, fakes) = house_of(vec![(fake, provider)]).await;
    let answer = post(&house, CHAT, &long_chat("fake-ok")).await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (413, Some("body_too_large")));
    let mut client = Client::connect(house.addr).await;
    let headers = headers(KEY);
    client.write(format!("POST {CHAT} HTTP/1.1\r\nhost: relay\r\n{headers}transfer-encoding: chunked\r\n\r\n")).await;
    client.write([b"20000\r\n".as_slice(), &long_chat("fake-ok")[..0x20000], b"\r\n"].concat()).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (413, Some("body_too_large")));
    assert!(fakes["fake"].requests().is_empty());
}

#[tokio::test]
async fn a_method_that_a_match_does_not_name_does_not_match() {
    let (mut get, provider) = to_own("get", prefix("/v1"), &[]).await;
    get.matches[0].methods = vec!["GET".into(), "HEAD".into()];
    let (house, _fakes) = house_of(vec![(get, provider), to_own("any", prefix("/"), &[]).await]).await;
    let get = Client::request(house.addr, "GET", "/v1/models", &headers(KEY), b"").await.answer().await;
    assert_eq!(by(&get), Some("get"));
    assert_eq!(by(&post(&house, "/v1/models", b"{}").await), Some("any"));
}

#[tokio::test]
async fn a_route_that_is_not_ready_keeps_its_place() {
    let (mut exact, own) = to_own("exact", PathRule::Exact(CHAT.into()), &[]).await;
    exact.ready = false;
    let (house, fakes) = house_of(vec![to_own("root", prefix("/"), &[]).await, (exact, own)]).await;
    let answer = house.chat("fake-ok").await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (503, Some("route_not_ready")));
    assert_eq!(answer.json()["error"]["code"], "route_not_ready");
    assert!(fakes.values().all(|fake| fake.requests().is_empty()));
    house.ended(503, "Refused", Some("route_not_ready")).await;
    assert_eq!(by(&house.message("fake-ok").await), Some("root"));
}

#[tokio::test]
async fn requests_are_labelled_by_their_route() {
    let (house, _provider) = House::simple().await;
    house.message("fake-ok").await;
    let (labels, _) = house.samples("relay_requests_total").remove(0);
    assert_eq!((labels["route"].as_str(), labels["tenant"].as_str()), ("team/anthropic", "team/a"));
    assert_eq!(labels["provider"], "Anthropic");
}

#[tokio::test]
async fn a_path_that_an_upstream_may_read_as_another_is_refused() {
    let (house, fakes) = house_of(vec![to_own("root", prefix("/"), &[]).await]).await;
    for path in ["/v1/../admin", "/v1/%2e%2e/admin", "/v1/..%2fadmin", "/v1/./x"] {
        let answer = post(&house, path, b"{}").await;
        assert_eq!((answer.status, answer.header("x-relay-error")), (400, Some("bad_request")), "{path}");
    }
    assert!(fakes["root"].requests().is_empty());
}

#[tokio::test]
async fn a_tunnel_is_refused() {
    let (house, fakes) = house_of(vec![to_own("root", prefix("/"), &[]).await]).await;
    let mut client = Client::connect(house.addr).await;
    let headers = headers(KEY);
    client
        .write(format!(
            "CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\nconnection: close\r\n{headers}\r\n"
        ))
        .await;
    let answer = client.answer().await;
    assert!((400..500).contains(&answer.status), "{answer:?}");
    assert!(fakes["root"].requests().is_empty());
}

#[tokio::test]
async fn a_route_of_its_own_times() {
    let (mut quick, provider) = to_own("quick", PathRule::Exact(CHAT.into()), &[]).await;
    quick.timeouts = Timeouts { first_byte_ms: 50, idle_ms: 0, ..Default::default() };
    let (house, _fakes) = house_of(vec![(quick, provider), to_own("root", prefix("/"), &[]).await]).await;
    assert_eq!(house.chat("fake-slow-first-1h").await.status, 504);
    assert_eq!(house.message("fake-slow-first-100ms").await.status, 200);
}

#[tokio::test]
async fn a_body_that_names_its_model_twice_is_refused_where_the_model_decides() {
    let (house, fakes) =
        house_of(vec![to_own("cheap", prefix("/v1"), &["fake-ok"]).await, to_own("blind", prefix("/v2"), &[]).await])
            .await;
    let body = br#"{"model":"fake-ok","messages":[{"role":"user","content":"x"}],"mod\u0065l":"fake-tokens-9"}"#;
    let answer = post(&house, CHAT, body).await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (400, Some("bad_request")));
    assert!(fakes["cheap"].requests().is_empty(), "the provider could have taken the other model");
    assert_eq!(by(&post(&house, "/v2/chat/completions", body).await), Some("blind"), "no route looks at it here");
}

#[tokio::test]
async fn methods_that_no_route_can_name_are_refused() {
    let (house, fakes) = house_of(vec![to_own("any", prefix("/"), &[]).await]).await;
    for method in ["TRACE", "PROPFIND", "BREW"] {
        let answer = Client::request(house.addr, method, "/v1/models", &headers(KEY), b"").await.answer().await;
        assert_eq!((answer.status, answer.header("x-relay-error")), (400, Some("bad_request")), "{method}");
    }
    assert!(fakes["any"].requests().is_empty(), "TRACE would have shown the provider's key");
}

#[tokio::test]
async fn headers_choose_among_routes_of_one_path() {
    let (mut gold, fake) = to_own("gold", prefix("/v1"), &[]).await;
    gold.created = 5;
    gold.matches[0].headers = vec![HeaderRule { name: "x-tier".into(), value: "gold".into() }];
    let (house, _fakes) = house_of(vec![(gold, fake), to_own("any", prefix("/v1"), &[]).await]).await;
    for (line, name) in [("X-Tier: gold\r\n", "gold"), ("x-tier: Gold\r\n", "any"), ("", "any")] {
        let headers = format!("{}{line}", headers(KEY));
        let client = Client::request(house.addr, "POST", "/v1/models", &headers, b"{}").await;
        assert_eq!(by(&client.answer().await), Some(name), "{line}");
    }
}

#[tokio::test]
async fn the_matched_prefix_is_rewritten_and_the_rest_of_the_path_stays() {
    let provider = named("own").await;
    let of = |name: &str, from: &str, to: &str| {
        let mut route = route(name, from, vec![backend(Provider::OpenAI, provider.addr())]);
        route.policy.rewrite_prefix = Some(to.to_owned());
        route
    };
    let routes = vec![of("deep", "/team/deep", "/v1/models"), of("drop", "/team", "/"), of("root", "/", "/base")];
    let house = House::new(&config::snapshot(routes)).await;
    for (path, sent) in [
        ("/team/v1/models", "/v1/models"),
        ("/team", "/"),
        ("/team/", "/"),
        ("/team/deep", "/v1/models"),
        ("/team/deep/a/", "/v1/models/a/"),
        ("/teams", "/base/teams"),
        ("/", "/base/"),
    ] {
        post(&house, path, b"{}").await;
        let seen = provider.requests().pop().expect("a request").request;
        assert_eq!(seen.path, sent, "{path}");
    }
}
