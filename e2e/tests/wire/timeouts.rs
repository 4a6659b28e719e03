//! Upstreams that say nothing for too long. The bounds are short and real; the providers' silences are an hour.

use relay_e2e::provider::{Ended, script};

use crate::config;
use crate::house::{CHAT, House, MESSAGES, SPEECH, chat, message, not_streamed, provider, speech, wait_for};
use crate::raw::{Answer, End};

#[tokio::test]
async fn no_first_byte_is_a_504_in_the_shape_of_the_api_and_cancels_the_upstream() {
    for model in ["fake-slow-first-1h", "fake-slow-body-1h"] {
        for (path, body) in [(CHAT, chat(model)), (MESSAGES, message(model)), (CHAT, not_streamed(&chat(model)))] {
            let provider = provider().await;
            let house = House::new(&config::timed(provider.addr(), 100, 0)).await;
            let answer = house.post(path, &body).await;
            assert_eq!((answer.status, answer.end), (504, End::Clean));
            assert_eq!(answer.header("x-relay-error"), Some("first_byte_timeout"));
            let error = &answer.json()["error"];
            let kind = if path == MESSAGES { "timeout_error" } else { "server_error" };
            assert_eq!((&error["code"], &error["type"]), (&"first_byte_timeout".into(), &kind.into()));
            let requests = wait_for(&provider, |requests| requests[0].outcome.ended.is_some()).await;
            assert_eq!(requests[0].outcome.ended, Some(Ended::ClientGone));
            house.ended(504, "FirstByteTimeout", Some("first_byte_timeout")).await;
        }
    }
}

async fn paused(path: &str, body: &str) -> (Answer, House) {
    let provider = provider().await;
    let house = House::new(&config::timed(provider.addr(), 0, 200)).await;
    let answer = house.post(path, body).await;
    let requests = wait_for(&provider, |requests| requests[0].outcome.ended.is_some()).await;
    assert_eq!(requests[0].outcome.ended, Some(Ended::ClientGone));
    (answer, house)
}

#[tokio::test]
async fn a_pause_too_long_ends_a_stream_with_an_error_event() {
    for model in ["fake-stall-at-3", "fake-stall-inside-at-3"] {
        let (answer, house) = paused(CHAT, &chat(model)).await;
        assert_eq!((answer.status, answer.end), (200, End::Clean));
        assert_eq!(answer.chat().0, script::text(3));
        assert_eq!(answer.last_event().1["error"]["code"], "idle_timeout");
        assert_eq!(answer.text().matches("\n\n").count(), 1 + 3 + 1);
        house.ended(200, "IdleTimeout", Some("idle_timeout")).await;

        let (answer, house) = paused(MESSAGES, &message(model)).await;
        assert_eq!((answer.status, answer.end), (200, End::Clean));
        let (name, last) = answer.last_event();
        assert_eq!((name, &last["error"]["code"]), (Some("error"), &"idle_timeout".into()));
        house.ended(200, "IdleTimeout", Some("idle_timeout")).await;
    }
}

#[tokio::test]
async fn a_pause_too_long_breaks_off_audio_and_encoded_streams() {
    for (path, body) in [(SPEECH, speech("fake-stall-at-3")), (CHAT, chat("fake-gzip-stall-at-3"))] {
        let (answer, house) = paused(path, &body).await;
        assert_eq!(answer.status, 200);
        assert_ne!(answer.end, End::Clean);
        assert!(!answer.body.is_empty());
        house.ended(200, "IdleTimeout", Some("idle_timeout")).await;
    }
}

#[tokio::test]
async fn a_pause_behind_the_end_is_complete() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let sse = "data: [DONE]\n\n";
    let stub =
        crate::stub::Stub::answering(format!("{head}{:x}\r\n{sse}\r\n", sse.len()), crate::stub::Then::Stay).await;
    let house = House::new(&config::timed(stub.addr, 0, 50)).await;
    let answer = house.chat("m").await;
    assert_eq!((answer.text(), answer.end), (sse, End::Clean));
    house.ended(200, "Complete", None).await;
}

#[tokio::test]
async fn pauses_shorter_than_the_bound_add_up_freely() {
    // 100 pauses of 25 ms are longer than the bound together.
    let provider = provider().await;
    let house = House::new(&config::timed(provider.addr(), 2000, 2000)).await;
    let answer = house.chat("fake-tokens-100-gap-25ms").await;
    assert_eq!(answer.chat(), (script::text(100), "[DONE]".to_owned()));
    house.ended(200, "Complete", None).await;
}

#[tokio::test]
async fn no_bound_is_no_bound() {
    let provider = provider().await;
    let house = House::new(&config::timed(provider.addr(), 0, 0)).await;
    let answer = house.chat("fake-slow-first-150ms-slow-body-150ms-stall-150ms").await;
    assert_eq!(answer.chat(), (script::text(16), "[DONE]".to_owned()));
    house.ended(200, "Complete", None).await;
}

#[tokio::test]
async fn a_stream_that_goes_on_too_long_ends_with_an_error_event() {
    let provider = provider().await;
    let mut snapshot = config::timed(provider.addr(), 0, 0);
    for route in &mut snapshot.routes {
        route.timeouts.total_ms = 300;
    }
    let house = House::new(&snapshot).await;
    let answer = house.chat("fake-tokens-1000000-gap-10ms").await;
    assert_eq!((answer.status, answer.end), (200, End::Clean));
    assert_eq!(answer.last_event().1["error"]["code"], "total_timeout");
    let answer = house.post(SPEECH, &speech("fake-bytes-64m-gap-10ms")).await;
    assert!(answer.status == 200 && answer.end != End::Clean);
    let requests = wait_for(&provider, |requests| requests.iter().all(|one| one.outcome.ended.is_some())).await;
    assert!(requests.iter().all(|one| one.outcome.ended == Some(Ended::ClientGone)));
    assert_eq!(house.ends(2).await, vec!["200 TotalTimeout"; 2]);
    assert_eq!(house.reasons(), vec!["total_timeout"; 2]);
}
