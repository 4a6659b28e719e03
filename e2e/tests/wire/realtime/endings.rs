//! How sessions end: what the client is told, what is counted, and when the upstream is left.

use std::time::Duration;

use relay_dataplane::listener::Options;
use relay_e2e::provider::{Ended, Provider, script};
use relay_snapshot::{Provider as Kind, Timeouts};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::talk::{HANDSHAKE, PATH, Talk};
use crate::config::{self, KEY, backend, route, snapshot};
use crate::house::{House, wait_for};
use crate::raw::{Client, LIMIT};
use crate::stub::{Stub, Tap, Then};

async fn timed(timeouts: Timeouts) -> (House, Provider) {
    let provider = crate::house::provider().await;
    let mut route = route("r", "/", vec![backend(Kind::OpenAI, provider.addr())]);
    route.timeouts = timeouts;
    (House::new(&snapshot(vec![route])).await, provider)
}

#[tokio::test]
async fn an_upstream_that_vanishes_is_told_in_an_error_event_and_close_1011() {
    for (model, reason) in [
        ("fake-truncated-at-3", "upstream_protocol"),
        ("fake-half-event-at-3", "upstream_protocol"),
        ("fake-reset-at-3", "upstream_reset"),
        ("fake-cut-after-done", "upstream_protocol"),
    ] {
        let (house, _provider) = House::simple().await;
        let mut talk = Talk::to(&house, model).await;
        talk.say(json!({"type": "response.create"})).await;
        let (error, code) = talk.failure().await;
        assert_eq!((&error["error"]["code"], code), (&reason.into(), Some(1011)), "{model}");
        assert_eq!((&error["error"]["type"], &error["error"]["event_id"]), (&"server_error".into(), &Value::Null));
        assert!(error["error"]["message"].is_string() && error["event_id"].is_string(), "{error}");
        drop(talk);
        house.ended(101, "UpstreamError", Some(reason)).await;
    }
}

#[tokio::test]
async fn a_connection_that_breaks_under_an_idle_session_is_told_too() {
    let provider = crate::house::provider().await;
    let tap = Tap::to(provider.addr()).await;
    let house = House::new(&config::simple(tap.addr)).await;
    let mut talk = Talk::to(&house, "fake-ok").await;
    talk.until("session.created").await;
    tap.cut().await;
    let (error, code) = talk.failure().await;
    assert!(error["error"]["code"].as_str().is_some_and(|code| code.starts_with("upstream_")));
    assert_eq!(code, Some(1011));
    drop(talk);
    assert_eq!(house.ends(1).await, ["101 UpstreamError"]);
}

#[tokio::test]
async fn errors_and_closes_of_the_provider_pass_and_are_counted() {
    for (model, kind, code, end, reason) in [
        ("fake-error-midway", "error", 1011, "UpstreamError", Some("upstream_error")),
        ("fake-ok-close-1000", "response.done", 1000, "Complete", None),
        ("fake-ok-close-1001", "response.done", 1001, "Complete", None),
        ("fake-error-then-done-close-1000", "response.done", 1000, "Complete", Some("upstream_error")),
        ("fake-ok-close-1008", "response.done", 1008, "UpstreamError", Some("upstream_error")),
        ("fake-ok-close-4000", "response.done", 4000, "UpstreamError", Some("upstream_error")),
        ("fake-at-3-close-1000", "response.created", 1000, "UpstreamError", Some("upstream_protocol")),
    ] {
        let (house, _provider) = House::simple().await;
        let mut talk = Talk::to(&house, model).await;
        talk.say(json!({"type": "response.create"})).await;
        talk.until(kind).await;
        if kind == "response.created" {
            for _ in 0..3 {
                assert_eq!(talk.event().await["type"], "response.output_text.delta");
            }
        }
        assert_eq!(talk.close().await, Some(code), "{model}");
        drop(talk);
        house.ended(101, end, reason).await;
    }
}

#[tokio::test]
async fn a_mistake_of_the_client_is_no_error_of_the_provider() {
    let (house, _provider) = House::simple().await;
    let mut talk = Talk::to(&house, "fake-ok").await;
    talk.say(json!({"type": "nonsense"})).await;
    talk.until("error").await;
    assert_eq!(talk.response().await.0, script::text(16));
    talk.leave().await;
    house.ended(101, "Complete", None).await;
}

#[tokio::test]
async fn a_client_that_goes_is_gone_and_so_is_its_upstream() {
    let provider = crate::house::provider().await;
    let tap = Tap::to(provider.addr()).await;
    let house = House::new(&config::simple(tap.addr)).await;
    for (model, count) in [("fake-ok", 1), ("fake-stall-at-3", 2), ("fake-tokens-1000000", 3)] {
        let mut talk = Talk::to(&house, model).await;
        talk.say(json!({"type": "response.create"})).await;
        talk.until("response.output_text.delta").await;
        drop(talk);
        assert_eq!(house.ends(count).await, vec!["101 ClientGone"; count]);
        wait_for(&provider, |requests| requests.iter().all(|one| one.outcome.ended == Some(Ended::ClientGone))).await;
        let mut open = tap.open().await;
        while open > 0 {
            tokio::task::yield_now().await;
            open = tap.open().await;
        }
    }
    assert_eq!(house.reasons(), Vec::<String>::new());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_gone_after_the_time_that_is_set() {
    let provider = crate::house::provider().await;
    let options = Options { write_stall: Duration::from_millis(300), ..Options::default() };
    let house = House::with(&config::simple(provider.addr()), options).await;
    let mut talk = Talk::to(&house, "fake-tokens-1000000").await;
    talk.say(json!({"type": "response.create"})).await;
    let seen = wait_for(&provider, |requests| requests.iter().any(|one| one.outcome.ended.is_some())).await;
    assert_eq!(seen[0].outcome.ended, Some(Ended::ClientGone));
    house.ended(101, "ClientGone", Some("client_stalled")).await;
    drop(talk);
}

#[tokio::test]
async fn a_client_that_closes_in_the_middle_of_a_response_has_left() {
    let (house, _provider) = House::simple().await;
    let mut talk = Talk::to(&house, "fake-stall-at-3").await;
    talk.say(json!({"type": "response.create"})).await;
    talk.until("response.output_text.delta").await;
    talk.leave().await;
    house.ended(101, "ClientGone", None).await;
}

#[tokio::test]
async fn silence_of_both_sides_ends_a_session_and_so_does_its_total_time() {
    for (timeouts, code, end) in [
        (Timeouts { first_byte_ms: 0, idle_ms: 300, ..Timeouts::default() }, "idle_timeout", "IdleTimeout"),
        (
            Timeouts { first_byte_ms: 0, idle_ms: 0, total_ms: 300, ..Timeouts::default() },
            "total_timeout",
            "TotalTimeout",
        ),
    ] {
        let (house, provider) = timed(timeouts).await;
        let mut talk = Talk::to(&house, "fake-ok").await;
        talk.until("session.created").await;
        let (error, closed) = talk.failure().await;
        assert_eq!((&error["error"]["code"], closed), (&code.into(), Some(1011)));
        drop(talk);
        house.ended(101, end, Some(code)).await;
        wait_for(&provider, |requests| requests[0].outcome.ended == Some(Ended::ClientGone)).await;
    }
}

#[tokio::test]
async fn the_drain_waits_for_sessions_and_then_cuts_them() {
    let (house, _provider) = House::simple().await;
    let mut talk = Talk::to(&house, "fake-tokens-5").await;
    talk.until("session.created").await;
    house.proxy.drain.unready.cancel();
    // A lame duck still takes them.
    let mut late = Talk::to(&house, "fake-tokens-5").await;
    late.until("session.created").await;
    house.proxy.drain.closing.cancel();
    assert_eq!(talk.response().await.0, script::text(5));
    late.leave().await;
    assert!(!house.accepting.is_finished());
    house.proxy.drain.cut.cancel();
    let (error, code) = talk.failure().await;
    assert_eq!((&error["error"]["code"], code), (&"draining".into(), Some(1012)));
    drop(talk);
    assert_eq!(house.ends(2).await, ["101 Complete", "101 Drained"]);
    timeout(LIMIT, house.accepting).await.expect("the listener ends").expect("without a panic");
}

#[tokio::test]
async fn a_suspension_that_cuts_ends_sessions() {
    let (house, provider) = House::simple().await;
    let mut talk = Talk::to(&house, "fake-ok").await;
    talk.until("session.created").await;
    let mut suspended = config::simple(provider.addr());
    suspended.tenants[0].suspended = true;
    suspended.tenants[0].cut = true;
    house.swap(&suspended, "bbbbbbbbbbbb");
    let (error, code) = talk.failure().await;
    assert_eq!((&error["error"]["code"], code), (&"tenant_suspended".into(), Some(1008)));
    drop(talk);
    house.ended(101, "Suspended", Some("tenant_suspended")).await;
    wait_for(&provider, |requests| requests[0].outcome.ended == Some(Ended::ClientGone)).await;
}

#[tokio::test]
async fn frames_that_break_the_rules_pass_all_the_same() {
    let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-protocol: other\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let frames = b"\x81\x02{}\xf3\x05wrong\x81\x02{}";
    let stub = Stub::answering([head.as_bytes(), frames].concat(), Then::Close).await;
    let house = House::new(&config::simple(stub.addr)).await;
    let mut client = Client::connect(house.addr).await;
    let headers = format!("{HANDSHAKE}authorization: Bearer {KEY}\r\n");
    client.send("GET", &format!("{PATH}m"), &headers, b"").await;
    let bytes = client.read_text("\u{2}{}").await;
    assert!(bytes.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{bytes}");
    assert!(!bytes.contains("sec-websocket-protocol"), "{bytes}");
    let bytes = client.read_until(|bytes| bytes.ends_with(frames)).await;
    assert!(bytes.ends_with(frames));
    // Nobody knows where a word of the relay could stand.
    client.read_to_end().await;
    assert!(client.read_until(|bytes| bytes.ends_with(frames)).await.ends_with(frames));
    drop(client);
    house.ended(101, "UpstreamError", Some("upstream_protocol")).await;
}
