//! Whom the relay connects to, and whom it believes.

use relay_dataplane::upstream::ConnectorOptions;
use relay_snapshot::{Backend, Provider};
use rustls::HandshakeKind;

use crate::config::{self, backend, route};
use crate::house::{CHAT, House, chat, provider};
use crate::raw::End;
use crate::secure::{Manner, Order, Secure, finish};
use crate::stub::{Stub, Tap, Then};
use crate::upstream_h2::with_tls;

#[tokio::test]
async fn without_http_2_a_request_is_as_http_1_has_it() {
    let mut upstream = Secure::start(Manner { alpn: "http/1.1", ..Manner::default() }).await;
    let backends = vec![with_tls(upstream.addr, &upstream.ca)];
    let house = House::new(&config::snapshot(vec![route("r", "/", backends)])).await;
    for _ in 0..3 {
        assert_eq!(house.post("/v1/other", "{}").await.text(), "ok");
        let head = upstream.next_head().await;
        assert!(head.starts_with("POST /v1/other HTTP/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nhost: {}\r\n", upstream.addr)), "{head}");
    }
    assert_eq!((upstream.accepted(), house.proxy.upstreams.idle()), (1, 1));
}

#[tokio::test]
async fn a_certificate_that_the_route_does_not_trust_is_refused_though_another_route_is_connected() {
    let mut upstream = Secure::start(Manner::default()).await;
    let stranger = Secure::start(Manner::default()).await;
    let system = Backend { ca: None, ..with_tls(upstream.addr, "") };
    let house = House::new(&config::snapshot(vec![
        route("right", "/v1", vec![with_tls(upstream.addr, &upstream.ca)]),
        route("other", "/v2", vec![with_tls(upstream.addr, &stranger.ca)]),
        route("system", "/v3", vec![system]),
        route("broken", "/v4", vec![with_tls(upstream.addr, "no certificate")]),
    ]))
    .await;
    let client = house.open(CHAT, &chat("m")).await;
    let mut arrived = upstream.next().await;
    let stream = arrived.stream("one");
    for path in ["/v2/chat/completions", "/v3/chat/completions", "/v4/chat/completions"] {
        let answer = house.post(path, &chat("m")).await;
        assert_eq!((answer.status, answer.header("x-relay-error")), (502, Some("upstream_connect")), "{path}");
        assert!(!answer.text().contains("127.0.0.1") && !answer.text().contains("ertificate"), "{}", answer.text());
    }
    finish(stream);
    assert_eq!(client.answer().await.end, End::Clean);
}

#[tokio::test]
async fn a_name_that_the_certificate_does_not_have_is_refused() {
    let upstream = Secure::start(Manner::default()).await;
    let port = upstream.addr.port();
    let other = Backend { url: format!("https://provider.example:{port}"), ..with_tls(upstream.addr, &upstream.ca) };
    let options = ConnectorOptions {
        overrides: vec!["provider.example=127.0.0.1".parse().expect("an override")],
        ..ConnectorOptions::default()
    };
    let house = House::connecting(&config::snapshot(vec![route("r", "/", vec![other])]), options).await;
    let answer = house.chat("m").await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (502, Some("upstream_connect")));
}

#[tokio::test]
async fn sessions_are_resumed() {
    let mut upstream = Secure::start(Manner::default()).await;
    let backends = vec![with_tls(upstream.addr, &upstream.ca)];
    let house = House::new(&config::snapshot(vec![route("r", "/", backends)])).await;
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let mut client = house.open(CHAT, &chat("m")).await;
        let mut arrived = upstream.next().await;
        let _stream = arrived.stream("one");
        client.read_text("one").await;
        assert_eq!(upstream.handshakes.recv().await, Some(kind));
        arrived.order(Order::Cut).await;
        client.answer().await;
    }
}

#[tokio::test]
async fn a_destination_that_is_not_allowed_is_not_connected_to_and_not_told() {
    let provider = provider().await;
    let tap = Tap::to(provider.addr()).await;
    let snapshot = config::simple(tap.addr);
    let denied = ConnectorOptions { deny: vec!["127.0.0.0/8".parse().expect("a range")], ..Default::default() };
    for options in [ConnectorOptions::default(), denied] {
        let house = House::connecting(&snapshot, options).await;
        let answer = house.chat("fake-ok").await;
        assert_eq!((answer.status, answer.header("x-relay-error")), (502, Some("upstream_connect")));
        for word in ["127.0.0.1", "loopback", "allow-cidr", &tap.addr.port().to_string()] {
            assert!(!answer.text().contains(word), "{}", answer.text());
        }
        house.ended(502, "UpstreamError", Some("upstream_connect")).await;
    }
    assert_eq!(tap.accepted(), 0);
}

#[tokio::test]
async fn a_refused_destination_lets_another_backend_serve() {
    let provider = provider().await;
    let mut route = route(
        "r",
        "/",
        vec![
            Backend::new("metadata", Provider::OpenAI, "http://169.254.169.254"),
            backend(Provider::OpenAI, provider.addr()),
        ],
    );
    route.policy.retries = config::retrying(1);
    let snapshot = config::snapshot(vec![route]);
    let house = House::new(&snapshot).await;
    for _ in 0..2 {
        assert_eq!(house.chat("fake-ok").await.status, 200);
    }
    assert_eq!(provider.requests().len(), 2);
}

#[tokio::test]
async fn redirects_are_answers_and_are_not_followed() {
    for status in
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        let elsewhere = provider().await;
        let location = format!("http://{}{CHAT}", elsewhere.addr());
        let redirect = format!("HTTP/1.1 {status}\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let stub = Stub::answering(redirect, Then::Stay).await;
        let house =
            House::new(&config::snapshot(vec![route("r", "/", vec![backend(Provider::OpenAI, stub.addr)])])).await;
        let answer = house.chat("fake-ok").await;
        assert_eq!(
            (answer.status.to_string().as_str(), answer.header("location")),
            (&status[..3], Some(location.as_str()))
        );
        assert_eq!((stub.seen().len(), elsewhere.requests().len()), (1, 0));
    }
}
