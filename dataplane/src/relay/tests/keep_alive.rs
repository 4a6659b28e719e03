use super::played::{CHAT, Play, next, now};
use crate::format::{Format, Framing};
use std::time::Duration;
use tokio::time::{Instant, advance};

const EVENT: &str = "data: {\"choices\":[]}\n\n";
const COMMENT: &str = ": keep-alive\n\n";
const SECOND: Duration = Duration::from_secs(1);
const KEPT: Play = Play { keep_alive: Some(Duration::from_secs(10)), ..CHAT };

#[tokio::test(start_paused = true)]
async fn a_silent_stream_gets_a_comment_every_interval_and_each_byte_begins_a_new_one() {
    let (stage, mut body) = KEPT.begin();
    stage.say(EVENT);
    assert_eq!(next(&mut body).await.expect("a piece").expect("whole"), EVENT);
    let begun = Instant::now();
    for at in [10, 20, 30] {
        assert_eq!(next(&mut body).await.expect("a piece").expect("whole"), COMMENT);
        assert_eq!(begun.elapsed().as_secs(), at);
    }
    advance(9 * SECOND).await;
    stage.say(EVENT);
    assert_eq!(now(&mut body).expect("a piece"), EVENT);
    assert_eq!(next(&mut body).await.expect("a piece").expect("whole"), COMMENT);
    assert_eq!(begun.elapsed().as_secs(), 49);
}

#[tokio::test(start_paused = true)]
async fn bytes_never_wait_for_a_comment_or_stand_behind_it() {
    let (stage, mut body) = KEPT.begin();
    stage.say(EVENT);
    assert_eq!(now(&mut body).expect("a piece"), EVENT);
    advance(60 * SECOND).await;
    stage.say(EVENT);
    assert_eq!(now(&mut body).expect("a piece"), EVENT, "what is there goes first");
    assert!(now(&mut body).is_none());
}

/// Whether a comment goes out behind these pieces, which are all that comes for a minute.
async fn comes_behind(play: Play, pieces: &[&'static str]) -> bool {
    let (stage, mut body) = play.begin();
    let mut out = Vec::new();
    for piece in pieces {
        stage.say(*piece);
        out.extend(now(&mut body));
    }
    assert!(!out.iter().any(|piece| piece == COMMENT));
    advance(60 * SECOND).await;
    now(&mut body).is_some_and(|piece| piece == COMMENT)
}

#[tokio::test(start_paused = true)]
async fn comments_stand_only_between_events() {
    assert!(comes_behind(KEPT, &[EVENT]).await);
    assert!(comes_behind(KEPT, &["\u{FEFF}data: 1\n\n"]).await);
    assert!(comes_behind(KEPT, &["data: 1\r\n\r", "\n"]).await);
    assert!(!comes_behind(KEPT, &[]).await, "before the first byte, which may be a byte order mark");
    assert!(!comes_behind(KEPT, &["\u{FEFF}"]).await);
    assert!(!comes_behind(KEPT, &[EVENT, "data"]).await, "inside an event");
    assert!(!comes_behind(KEPT, &[EVENT, "data: 1\n"]).await, "before its blank line");
    assert!(!comes_behind(KEPT, &["data: 1\r\n\r"]).await, "between CR and LF");
    let long = "x".repeat(70 << 10).leak();
    assert!(!comes_behind(KEPT, &["data: ", long]).await, "inside an event too long to hold");
}

#[tokio::test(start_paused = true)]
async fn only_event_streams_that_take_comments_get_any() {
    assert!(!comes_behind(Play { framing: Framing::Bytes, ..KEPT }, &[EVENT]).await);
    assert!(!comes_behind(Play { framing: Framing::Lines, ..KEPT }, &["{}\n"]).await);
    assert!(!comes_behind(Play { keep_alive: None, ..KEPT }, &[EVENT]).await);
    for format in [Format::OpenAIChat, Format::AnthropicMessages, Format::GeminiStream, Format::Opaque] {
        assert_eq!(comes_behind(Play { format, ..KEPT }, &[EVENT]).await, format.takes_comments(), "{format:?}");
    }
    assert!(!Format::GeminiStream.takes_comments());
}

#[tokio::test(start_paused = true)]
async fn a_comment_is_no_progress_of_the_upstream_and_not_counted() {
    let (stage, mut body) = Play { idle: Some(25 * SECOND), ..KEPT }.begin();
    stage.say(EVENT);
    assert_eq!(now(&mut body).expect("a piece"), EVENT);
    let begun = Instant::now();
    for _ in 0..2 {
        assert_eq!(next(&mut body).await.expect("a piece").expect("whole"), COMMENT);
    }
    let last = next(&mut body).await.expect("a piece").expect("whole");
    assert!(String::from_utf8_lossy(&last).contains("idle_timeout"));
    assert_eq!(begun.elapsed().as_secs(), 25);
    stage.has_ended("IdleTimeout", Some("idle_timeout"));
}

#[tokio::test(start_paused = true)]
async fn chunks_and_bytes_are_those_of_the_upstream() {
    let (stage, mut stream) = KEPT.stream();
    stage.say(EVENT);
    let mut given = 0;
    while given < 3 {
        std::future::poll_fn(|cx| stream.poll(cx)).await.expect("a piece").expect("whole");
        given += 1;
    }
    assert_eq!(stream.exchange.counted(), (1, EVENT.len() as u64));
}
