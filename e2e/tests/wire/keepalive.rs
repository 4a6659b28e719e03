//! Comments while the provider is silent, where the route asks for them.

use relay_e2e::provider::{Provider, script};

use crate::config;
use crate::house::{CHAT, House, MESSAGES, SPEECH, chat, message, provider, speech};
use crate::raw::End;

const COMMENT: &str = ": keep-alive\n\n";

/// Comments after 50 ms of silence; the stream ends after 400 ms of it.
async fn kept() -> (House, Provider) {
    let provider = provider().await;
    let mut snapshot = config::timed(provider.addr(), 0, 400);
    for route in &mut snapshot.routes {
        route.policy.keep_alive_ms = 50;
    }
    (House::new(&snapshot).await, provider)
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive_and_its_events_are_unchanged() {
    for (path, body) in [(CHAT, chat("fake-stall-300ms-at-2-flush")), (MESSAGES, message("fake-stall-300ms-at-2-crlf"))]
    {
        let (plain, _provider) = House::simple().await;
        let without = plain.post(path, &body.replace("fake-stall-300ms-at-2", "fake-ok")).await;
        let (house, _provider) = kept().await;
        let answer = house.post(path, &body).await;
        assert_eq!((answer.status, answer.end), (200, End::Clean));
        let comments = answer.text().matches(COMMENT).count();
        assert!((1..=6).contains(&comments), "{comments}: {}", answer.text());
        let events = answer.text().replace(COMMENT, "");
        assert_eq!(events.len(), answer.body.len() - comments * COMMENT.len());
        assert_eq!(events.matches("data:").count(), without.text().matches("data:").count());
        // Wherever a comment stands, an event has just ended.
        for (at, _) in answer.text().match_indices(COMMENT) {
            let before = &answer.text()[..at];
            assert!(before.ends_with("\n\n") || before.ends_with("\r\n\r\n"), "{before:?}");
        }
        house.ended(200, "Complete", None).await;
    }
}

#[tokio::test]
async fn nothing_is_put_into_an_event_an_encoded_stream_or_audio() {
    for (path, body) in [
        (CHAT, chat("fake-stall-inside-at-3")),
        (MESSAGES, message("fake-stall-inside-at-3")),
        (CHAT, chat("fake-gzip-stall-at-3")),
        (SPEECH, speech("fake-stall-at-3")),
    ] {
        let (house, _provider) = kept().await;
        let answer = house.post(path, &body).await;
        assert_eq!(answer.status, 200);
        assert!(!String::from_utf8_lossy(&answer.body).contains("keep-alive"), "{body}");
        // It was silent for eight times as long as a comment needs.
        house.ended(200, "IdleTimeout", Some("idle_timeout")).await;
    }
}

#[tokio::test]
async fn comments_do_not_keep_a_silent_upstream_from_its_timeout() {
    let (house, _provider) = kept().await;
    let answer = house.chat("fake-stall-at-3").await;
    assert!(answer.text().contains(COMMENT));
    assert_eq!((answer.chat().0, answer.end), (script::text(3), End::Clean));
    assert_eq!(answer.last_event().1["error"]["code"], "idle_timeout");
    house.ended(200, "IdleTimeout", Some("idle_timeout")).await;
}
