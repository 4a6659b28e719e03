//! What the listener takes on at most, and how long slow clients may hold what they hold.

use std::time::Duration;

use relay_dataplane::listener::{Capacity, Options};
use relay_e2e::provider::{Ended, script};
use tokio::time::{Instant, timeout};

use crate::config::{self, KEY};
use crate::frames::{END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, RST_STREAM, SETTINGS, block, frame};
use crate::house::{CHAT, House, MESSAGES, SPEECH, chat, eventually, headers, provider, speech, wait_for};
use crate::raw::{Client, LIMIT};

/// Long enough for what is honest, short enough for a test that waits for it.
const SHORT: Duration = Duration::from_millis(400);

async fn house_with(options: Options) -> (House, relay_e2e::provider::Provider) {
    let provider = provider().await;
    (House::with(&config::simple(provider.addr()), options).await, provider)
}

fn capacity(connections: usize, requests: usize) -> Options {
    Options { capacity: Capacity { connections, requests }, ..Options::default() }
}

fn open(house: &House) -> i64 {
    house.proxy.metrics.active_connections.get()
}

#[tokio::test]
async fn one_request_too_many_is_turned_away_and_those_that_run_go_on() {
    let (house, provider) = house_with(capacity(100, 2)).await;
    let mut first = house.open(CHAT, &chat("fake-stall-at-2")).await;
    first.read_text(script::word(1)).await;
    let second = house.open(CHAT, &chat("fake-tokens-40-gap-20ms")).await;
    wait_for(&provider, |requests| requests.len() == 2).await;
    let turned = house.chat("fake-ok").await;
    assert_eq!((turned.status, turned.header("x-relay-error")), (503, Some("overloaded")));
    assert_eq!(
        (turned.header("retry-after"), turned.json()["error"]["code"].as_str()),
        (Some("1"), Some("overloaded"))
    );
    let turned = house.message("fake-ok").await;
    assert_eq!((turned.status, turned.json()["type"].as_str()), (503, Some("error")));
    assert_eq!(provider.requests().len(), 2, "no provider saw them");
    assert_eq!(second.answer().await.chat(), (script::text(40), "[DONE]".to_owned()));
    assert_eq!(house.chat("fake-ok").await.status, 200, "as soon as one has ended");
    drop(first);
    assert_eq!(house.ends(5).await, ["200 ClientGone", "200 Complete", "200 Complete", "503 Refused", "503 Refused"]);
    assert_eq!(house.reasons(), ["overloaded", "overloaded"]);
}

#[tokio::test]
async fn a_client_that_asks_whether_to_go_on_hears_only_that_it_is_turned_away() {
    let (house, _provider) = house_with(capacity(100, 0)).await;
    let mut client = Client::connect(house.addr).await;
    let headers = headers(KEY);
    let head =
        format!("POST {CHAT} HTTP/1.1\r\nhost: relay\r\nexpect: 100-continue\r\n{headers}content-length: 1000\r\n\r\n");
    client.write(head).await;
    let all = client.whole().await;
    assert!(all.starts_with("HTTP/1.1 503 ") && !all.contains("100 Continue"), "{all}");
}

#[tokio::test]
async fn one_stream_of_http_2_too_many_is_turned_away_too() {
    let (house, provider) = house_with(capacity(100, 1)).await;
    let mut first = house.open(CHAT, &chat("fake-stall-at-2")).await;
    first.read_text(script::word(1)).await;
    let mut frames = Frames::connect(house.addr).await;
    let authorization = format!("Bearer {KEY}");
    let head = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/v1/models"),
        (":authority", "relay"),
        ("authorization", &authorization),
    ];
    for stream in [1, 3] {
        frames.write(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&head))).await;
        let answer = frames.next().await.expect("an answer");
        assert_eq!((answer.kind, answer.stream, answer.status()), (HEADERS, stream, 0), "neither 200 nor 400");
        assert!(frames.next().await.is_some_and(|data| data.stream == stream), "and says why");
    }
    assert_eq!(provider.requests().len(), 1);
    drop(first);
    wait_for(&provider, |requests| requests[0].outcome.ended == Some(Ended::ClientGone)).await;
    eventually("its place is free", || open(&house) == 1).await;
    frames.write(&frame(HEADERS, END_HEADERS | END_STREAM, 5, &block(&head))).await;
    assert_eq!(frames.next().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn an_answer_of_the_relays_own_that_nobody_takes_holds_no_place() {
    let (house, _provider) = house_with(capacity(100, 1)).await;
    let mut frames = Frames::connect(house.addr).await;
    // SETTINGS_INITIAL_WINDOW_SIZE 0: heads come, bodies wait.
    frames.write(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
    let head = [(":method", "GET"), (":scheme", "http"), (":path", "/v1/models"), (":authority", "relay")];
    for stream in [1, 3, 5] {
        frames.write(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&head))).await;
        let answer = frames.next().await.expect("an answer");
        assert_eq!((answer.kind, answer.stream), (HEADERS, stream));
    }
    assert_eq!(house.reasons(), vec!["key_missing"; 3], "none was turned away");
    assert_eq!(house.chat("fake-ok").await.status, 200);
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_the_others_stay() {
    let (house, _provider) = house_with(capacity(2, 100)).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(house.addr).await;
        client.send("POST", CHAT, &headers(KEY), chat("fake-ok").as_bytes()).await;
        client.next_answer().await;
        held.push(client);
    }
    for _ in 0..3 {
        assert!(Client::connect(house.addr).await.closes().await);
    }
    assert_eq!(house.reasons(), ["overloaded"; 3]);
    for client in &mut held {
        client.send("POST", CHAT, &headers(KEY), chat("fake-ok").as_bytes()).await;
        assert_eq!(client.next_answer().await.status, 200);
    }
    held.pop();
    eventually("a place is free", || open(&house) == 1).await;
    assert_eq!(house.chat("fake-ok").await.status, 200);
}

#[tokio::test]
async fn heads_that_drip_hold_nothing_and_end_in_time() {
    let (house, provider) = house_with(Options { first_head: SHORT, head: SHORT, ..Options::default() }).await;
    let begun = Instant::now();
    let mut dripping = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let mut client = Client::connect(house.addr).await;
        dripping.spawn(async move {
            // One byte whenever other tasks had a turn, until the relay has had enough.
            for byte in format!("POST {CHAT} HTTP/1.1\r\nhost: relay\r\nx: {}", "y".repeat(20_000)).into_bytes() {
                if client.try_write(&[byte]).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            client.read_to_end().await;
        });
    }
    for _ in 0..20 {
        assert_eq!(house.chat("fake-ok").await.status, 200, "honest requests go on");
    }
    timeout(LIMIT, async { while dripping.join_next().await.is_some() {} }).await.expect("all are closed");
    assert!(begun.elapsed() >= SHORT, "and not before their time");
    eventually("nothing is left", || open(&house) == 0).await;
    assert!(provider.requests().iter().all(|one| one.outcome.status == Some(200)));
    assert!(house.reasons().iter().all(|reason| reason == "request_too_slow"), "{:?}", house.reasons());
}

#[tokio::test]
async fn a_head_too_slow_is_told_so() {
    let (house, _provider) = house_with(Options { head: SHORT, ..Options::default() }).await;
    let mut client = Client::connect(house.addr).await;
    client.send("POST", CHAT, &headers(KEY), chat("fake-ok").as_bytes()).await;
    client.next_answer().await;
    client.write(format!("POST {MESSAGES} HTTP/1.1\r\nhost: re")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (408, Some("request_too_slow")));
    assert_eq!(answer.json()["type"], "error", "in the shape of the path's API: {}", answer.text());
}

#[tokio::test]
async fn bodies_that_drip_keep_nobody_else_from_being_served() {
    let (house, _provider) = House::simple().await;
    let mut dripping = Vec::new();
    for _ in 0..100 {
        let mut client = Client::connect(house.addr).await;
        client
            .write(format!("POST {CHAT} HTTP/1.1\r\nhost: relay\r\n{}content-length: 1000\r\n\r\n{{", headers(KEY)))
            .await;
        dripping.push(client);
    }
    eventually("they are under way", || open(&house) == 100).await;
    for _ in 0..20 {
        assert_eq!(house.chat("fake-ok").await.status, 200);
    }
    drop(dripping);
    assert_eq!(house.ends(120).await.iter().filter(|end| *end == "200 Complete").count(), 20);
}

#[tokio::test]
async fn a_client_that_stops_reading_is_closed_and_its_upstream_cancelled() {
    let (house, provider) = house_with(Options { write_stall: SHORT, ..Options::default() }).await;
    let stalled = house.open(SPEECH, &speech("fake-bytes-64m-chunk-64k")).await;
    let requests = wait_for(&provider, |requests| requests.iter().any(|one| one.outcome.ended.is_some())).await;
    assert_eq!(requests[0].outcome.ended, Some(Ended::ClientGone));
    house.ended(200, "ClientGone", Some("client_stalled")).await;
    drop(stalled);
}

#[tokio::test]
async fn an_idle_connection_of_http_2_is_told_to_go_and_a_running_stream_is_not_idle() {
    let (house, _provider) = house_with(Options { keep_alive: SHORT, ..Options::default() }).await;
    let mut frames = Frames::connect(house.addr).await;
    let body = chat("fake-tokens-60-gap-20ms");
    let authorization = format!("Bearer {KEY}");
    let head = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", CHAT),
        (":authority", "relay"),
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
    ];
    frames.write(&frame(HEADERS, END_HEADERS, 1, &block(&head))).await;
    frames.write(&frame(crate::frames::DATA, END_STREAM, 1, body.as_bytes())).await;
    let mut ended = false;
    loop {
        let came = frames.next().await.expect("a GOAWAY before the end");
        if came.kind == GOAWAY {
            break;
        }
        ended |= came.stream == 1 && came.payload.is_empty();
    }
    assert!(ended, "the stream ran for three times as long and was not disturbed");
    drop(frames);
    assert_eq!(house.ends(1).await, ["200 Complete"]);
}

#[tokio::test]
async fn a_flood_of_streams_that_are_reset_at_once_ends_its_connection() {
    let (house, provider) = House::simple().await;
    let mut frames = Frames::connect(house.addr).await;
    let head = [(":method", "GET"), (":scheme", "http"), (":path", "/v1/models"), (":authority", "relay")];
    let mut flood = Vec::new();
    for stream in (1..2001).step_by(2) {
        flood.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&head)));
        flood.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    frames.write(&flood).await;
    let mut goaway = None;
    while let Some(came) = frames.next().await {
        if came.kind == GOAWAY {
            goaway = Some(came.payload[4..8].to_vec());
        }
    }
    // ENHANCE_YOUR_CALM (RFC 9113, section 7).
    assert_eq!(goaway, Some(vec![0, 0, 0, 0xb]));
    assert_eq!(house.chat("fake-ok").await.status, 200);
    assert_eq!(provider.requests().len(), 1);
}
