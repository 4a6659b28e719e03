//! Connections to providers: taking turns, passing over the dead, reuse.

use std::net::{Ipv4Addr, SocketAddr};

use relay_e2e::provider::script;
use relay_snapshot::Provider;
use tokio::net::TcpListener;

use crate::config::{self, KEY, backend, route};
use crate::house::{CHAT, House, MESSAGES, SPEECH, chat, headers, message, named, not_streamed, provider, speech};
use crate::raw::{Client, End};
use crate::stub::{Stub, Tap, Then};

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    listener.local_addr().expect("an address")
}

async fn house_of(addrs: &[SocketAddr]) -> House {
    let backends = addrs.iter().map(|addr| backend(Provider::OpenAI, *addr)).collect();
    let mut route = route("r", "/", backends);
    route.policy.retries = config::retrying(2);
    House::new(&config::snapshot(vec![route])).await
}

#[tokio::test]
async fn backends_take_turns() {
    let (a, b, c) = (named("a").await, named("b").await, named("c").await);
    let house = house_of(&[a.addr(), b.addr(), c.addr()]).await;
    let mut order = String::new();
    for _ in 0..6 {
        order += house.chat("fake-ok").await.header("x-fake-identity").expect("an identity");
    }
    assert_eq!(order, "abcabc");
}

#[tokio::test]
async fn a_dead_backend_is_passed_over() {
    let alive = named("alive").await;
    let house = house_of(&[nobody().await, alive.addr(), nobody().await]).await;
    for n in 1..=6 {
        let answer = house.chat(&format!("fake-tokens-{n}")).await;
        assert_eq!((answer.header("x-fake-identity"), answer.chat().0), (Some("alive"), script::text(n)));
    }
    assert_eq!(alive.requests().len(), 6);
    assert_eq!(house.ends(6).await, vec!["200 Complete"; 6]);
    assert!(house.reasons().is_empty());
}

#[tokio::test]
async fn the_body_is_whole_on_the_backend_that_takes_it() {
    let alive = provider().await;
    let mut snapshot = config::snapshot(vec![route(
        "r",
        "/",
        vec![backend(Provider::OpenAI, nobody().await), backend(Provider::OpenAI, alive.addr())],
    )]);
    // The model is looked for, so that a part of the body was read before any backend is tried.
    snapshot.routes[0].matches[0].models = vec![relay_snapshot::ModelPattern::Prefix("fake-".into())];
    snapshot.routes[0].policy.retries = config::retrying(1);
    let house = House::new(&snapshot).await;
    let body = format!(
        r#"{{"model":"fake-ok","stream":true,"messages":[{{"role":"user","content":"{}"}}]}}"#,
        "word ".repeat(100_000)
    );
    assert_eq!(house.post(CHAT, &body).await.status, 200);
    assert_eq!(alive.requests()[0].request.body_sha256, script::sha256(body.as_bytes()));
}

#[tokio::test]
async fn no_backend_alive_is_a_502() {
    let house = house_of(&[nobody().await, nobody().await]).await;
    let answer = house.chat("fake-ok").await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (502, Some("upstream_connect")));
    assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
    house.ended(502, "UpstreamError", Some("upstream_connect")).await;
}

#[tokio::test]
async fn what_a_provider_may_have_seen_is_not_sent_again() {
    let broken = Stub::answering("", Then::Close).await;
    let alive = provider().await;
    let house = house_of(&[broken.addr, alive.addr()]).await;
    let answer = house.chat("fake-ok").await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (502, Some("upstream_reset")));
    assert!(alive.requests().is_empty());
}

#[tokio::test]
async fn requests_behind_each_other_share_one_connection() {
    let provider = provider().await;
    let tap = Tap::to(provider.addr()).await;
    let house =
        House::new(&config::snapshot(vec![route("openai", "/", vec![backend(Provider::OpenAI, tap.addr)])])).await;
    for n in 0..20 {
        let (path, body) = match n % 4 {
            0 => (CHAT, chat("fake-ok")),
            1 => (CHAT, not_streamed(&chat("fake-ok"))),
            2 => (SPEECH, speech("fake-ok")),
            _ => (CHAT, chat("fake-500")),
        };
        assert_eq!(house.post(path, &body).await.end, End::Clean);
    }
    assert_eq!(tap.accepted(), 1);
    assert_eq!(house.proxy.upstreams.idle(), 1);
    let head = Client::request(house.addr, "HEAD", "/v1/models", &headers(KEY), b"").await.answer().await;
    assert_eq!((head.status, tap.accepted()), (404, 1));
}

#[tokio::test]
async fn a_connection_whose_answer_failed_is_not_used_again() {
    let provider = provider().await;
    let tap = Tap::to(provider.addr()).await;
    let house = House::new(&config::timed(tap.addr, 200, 200)).await;
    for model in ["fake-cut-at-2", "fake-stall-at-2", "fake-slow-first-1h", "fake-reset"] {
        house.chat(model).await;
        assert_eq!(house.proxy.upstreams.idle(), 0, "{model}");
    }
    assert_eq!(house.chat("fake-ok").await.chat().0, script::text(16));
    assert_eq!(tap.accepted(), 5);
}

#[tokio::test]
async fn a_connection_that_the_provider_closed_meanwhile_is_replaced() {
    let provider = provider().await;
    let tap = Tap::to(provider.addr()).await;
    let house = House::new(&config::simple(tap.addr)).await;
    for n in 1..=5 {
        let answer = house.chat(&format!("fake-tokens-{n}")).await;
        assert_eq!((answer.status, answer.chat().0), (200, script::text(n)));
        tap.cut().await;
    }
    assert_eq!(tap.accepted(), 5);
    assert_eq!(house.ends(5).await, vec!["200 Complete"; 5]);
}

#[tokio::test]
async fn many_stale_connections_are_all_passed_over() {
    let provider = provider().await;
    let tap = Tap::to(provider.addr()).await;
    let house = House::new(&config::simple(tap.addr)).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(house.open(MESSAGES, &message("fake-gap-5ms")).await);
    }
    for client in clients {
        assert_eq!(client.answer().await.status, 200);
    }
    let idle = house.proxy.upstreams.idle();
    assert!(idle > 1, "{idle}");
    tap.cut().await;
    assert_eq!(house.message("fake-ok").await.status, 200);
    assert_eq!(house.proxy.upstreams.idle(), 1);
}

#[tokio::test]
async fn a_sweep_closes_what_the_provider_closed() {
    let provider = provider().await;
    let tap = Tap::to(provider.addr()).await;
    let house = House::new(&config::simple(tap.addr)).await;
    house.chat("fake-ok").await;
    house.proxy.upstreams.sweep();
    assert_eq!(house.proxy.upstreams.idle(), 1, "what is open stays");
    tap.cut().await;
    crate::house::eventually("the pool is empty", || {
        house.proxy.upstreams.sweep();
        house.proxy.upstreams.idle() == 0
    })
    .await;
}

#[tokio::test]
async fn bytes_behind_an_answer_are_no_answer_to_the_next_request() {
    let poisoned = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    let stub = Stub::answering(poisoned, Then::Stay).await;
    let house = house_of(&[stub.addr]).await;
    for _ in 0..5 {
        assert_eq!(house.post("/v1/other", "{}").await.text(), "ok");
    }
    assert_eq!(house.proxy.upstreams.idle(), 0);
}

#[tokio::test]
async fn a_switch_of_protocols_that_nobody_asked_for_is_no_answer() {
    let stub =
        Stub::answering("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", Then::Stay)
            .await;
    let house = house_of(&[stub.addr]).await;
    let answer = house.post("/v1/other", "{}").await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (502, Some("upstream_protocol")));
    house.ended(502, "UpstreamError", Some("upstream_protocol")).await;
}

#[tokio::test]
async fn an_answer_with_a_length_beside_chunks_is_not_cut_to_the_length() {
    let both = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n";
    let stub = Stub::answering(both, Then::Close).await;
    let house = house_of(&[stub.addr]).await;
    let answer = house.post("/v1/other", "{}").await;
    assert_eq!((answer.text(), answer.header("content-length")), ("whole", None));
}
