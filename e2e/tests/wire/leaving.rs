//! Clients that go away: the provider learns it at once, and the request ends once.

use relay_e2e::provider::{Ended, Provider, Recorded, script};

use crate::config::KEY;
use crate::house::{CHAT, House, MESSAGES, SPEECH, chat, headers, message, not_streamed, speech, wait_for};
use crate::raw::Client;
use crate::stub::{Stub, Tap, Then};

/// The provider noticed that its client, the relay, is gone.
async fn is_cancelled(provider: &Provider) {
    let gone = |requests: &[Recorded]| requests.iter().all(|one| one.outcome.ended.is_some()) && !requests.is_empty();
    let requests = wait_for(provider, gone).await;
    assert!(requests.iter().all(|one| one.outcome.ended == Some(Ended::ClientGone)), "{requests:?}");
    assert_eq!(provider.live(), 0);
}

async fn has_request(provider: &Provider) {
    wait_for(provider, |requests| !requests.is_empty()).await;
}

#[tokio::test]
async fn before_the_head() {
    for body in [chat("fake-slow-first-1h"), not_streamed(&chat("fake-slow-first-1h"))] {
        let (house, provider) = House::simple().await;
        let client = house.open(CHAT, &body).await;
        has_request(&provider).await;
        drop(client);
        is_cancelled(&provider).await;
        house.ended(499, "ClientGone", None).await;
    }
}

#[tokio::test]
async fn between_the_head_and_the_first_byte() {
    let (house, provider) = House::simple().await;
    let client = house.open(MESSAGES, &message("fake-slow-body-1h")).await;
    wait_for(&provider, |requests| requests.iter().any(|one| one.outcome.head_ms.is_some())).await;
    drop(client);
    is_cancelled(&provider).await;
    house.ended(499, "ClientGone", None).await;
}

#[tokio::test]
async fn between_two_events() {
    for (path, body) in [(CHAT, chat("fake-stall-at-3")), (MESSAGES, message("fake-stall-at-3"))] {
        let (house, provider) = House::simple().await;
        let mut client = house.open(path, &body).await;
        client.read_text(script::word(2)).await;
        drop(client);
        is_cancelled(&provider).await;
        house.ended(200, "ClientGone", None).await;
    }
}

#[tokio::test]
async fn inside_an_event_and_inside_audio() {
    let (house, provider) = House::simple().await;
    let mut client = house.open(CHAT, &chat("fake-stall-inside-at-3")).await;
    client.read_text(script::word(2)).await;
    drop(client);
    is_cancelled(&provider).await;
    house.ended(200, "ClientGone", None).await;

    let (house, provider) = House::simple().await;
    let mut client = house.open(SPEECH, &speech("fake-stall-at-3")).await;
    client.read_until(|bytes| bytes.len() > 3 * 4096).await;
    drop(client);
    is_cancelled(&provider).await;
    house.ended(200, "ClientGone", None).await;
}

#[tokio::test]
async fn while_events_flow() {
    let (house, provider) = House::simple().await;
    let mut client = house.open(CHAT, &chat("fake-tokens-1000000")).await;
    client.read_until(|bytes| bytes.len() > 200_000).await;
    drop(client);
    is_cancelled(&provider).await;
    house.ended(200, "ClientGone", None).await;
}

#[tokio::test]
async fn while_it_does_not_read() {
    let (house, provider) = House::simple().await;
    let client = house.open(SPEECH, &speech("fake-bytes-64m-chunk-64k")).await;
    assert!(full(&provider).await < 64 << 20, "the relay holds no whole answer");
    drop(client);
    is_cancelled(&provider).await;
    house.ended(200, "ClientGone", None).await;
}

/// Waits until nobody reads and all buffers between are full; how much the provider has sent by then.
async fn full(provider: &Provider) -> u64 {
    let mut before = 0;
    loop {
        let now = provider.requests().first().map_or(0, |one| one.outcome.bytes_sent);
        if now > 0 && now == before {
            return now;
        }
        before = now;
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_client_that_reads_late_has_not_left_and_its_upstream_is_not_silent() {
    let provider = crate::house::provider().await;
    let house = House::new(&crate::config::timed(provider.addr(), 0, 200)).await;
    let late = house.open(SPEECH, &speech("fake-bytes-40m-chunk-64k")).await;
    assert!(full(&provider).await < 40 << 20);
    // Longer than an upstream may be silent, as another stream shows.
    assert!(house.chat("fake-stall-at-1").await.text().contains("idle_timeout"));
    let answer = late.answer().await;
    assert_eq!((answer.end, answer.sha256()), (crate::raw::End::Clean, script::audio_sha256(40 << 20)));
    assert_eq!(house.ends(2).await, ["200 Complete", "200 IdleTimeout"]);
}

#[tokio::test]
async fn in_the_middle_of_its_own_request() {
    let (house, provider) = House::simple().await;
    let mut client = Client::connect(house.addr).await;
    let tap = provider.addr();
    let headers = headers(KEY);
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: {tap}\r\n{headers}content-length: 1000\r\n\r\n{{\"model\":");
    client.write(head).await;
    crate::house::eventually("the connection is accepted", || house.proxy.metrics.active_connections.get() == 1).await;
    drop(client);
    assert_eq!(house.ends(1).await, ["499 ClientGone"]);
    // The provider may have seen the beginning, and must not take it for a request.
    assert!(provider.requests().iter().all(|one| one.outcome.status != Some(200)));
}

#[tokio::test]
async fn right_behind_the_end_it_is_complete() {
    // The upstream keeps the connection open behind the format's end, and the client does not wait for it.
    let done = "data: {\"choices\":[]}\n\ndata: [DONE]\n\n";
    let stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    for (path, provider, sse) in
        [(CHAT, relay_snapshot::Provider::OpenAI, done), (MESSAGES, relay_snapshot::Provider::Anthropic, stop)]
    {
        let (stub, house) = unfinished(provider, sse).await;
        let mut client = house.open(path, &chat("m")).await;
        client.read_text(sse).await;
        drop(client);
        house.ended(200, "Complete", None).await;
        assert_eq!(stub.seen().len(), 1);
    }
}

#[tokio::test]
async fn right_behind_an_error_event_it_is_the_providers_error() {
    let sse = "data: {\"choices\":[]}\n\ndata: {\"error\":{\"message\":\"Overloaded\",\"type\":\"server_error\"}}\n\n";
    let (_stub, house) = unfinished(relay_snapshot::Provider::OpenAI, sse).await;
    let mut client = house.open(CHAT, &chat("m")).await;
    client.read_text(sse).await;
    drop(client);
    house.ended(200, "UpstreamError", Some("upstream_error")).await;
}

/// An upstream that says this in a stream and does not end it.
async fn unfinished(provider: relay_snapshot::Provider, sse: &str) -> (Stub, House) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let stub = Stub::answering(format!("{head}{:x}\r\n{sse}\r\n", sse.len()), Then::Stay).await;
    let route = crate::config::route("r", "/", vec![crate::config::backend(provider, stub.addr)]);
    let house = House::new(&crate::config::snapshot(vec![route])).await;
    (stub, house)
}

#[tokio::test]
async fn leaves_no_connection_behind() {
    let provider = crate::house::provider().await;
    let tap = Tap::to(provider.addr()).await;
    let house = House::new(&crate::config::simple(tap.addr)).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(house.open(CHAT, &chat("fake-stall-at-1")).await);
    }
    for client in &mut clients {
        client.read_text(script::word(0)).await;
    }
    assert_eq!((provider.live(), tap.open().await), (20, 20));
    drop(clients);
    is_cancelled(&provider).await;
    assert_eq!(house.ends(20).await, vec!["200 ClientGone"; 20]);
    assert_eq!(house.proxy.upstreams.idle(), 0);
}
