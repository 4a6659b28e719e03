//! Clients that go away before the end.

use super::played::{AUDIO, CHAT, Play, Stage, now};
use crate::reason::StreamEnd;
use crate::relay::read_on::{self, MAX_READ_ON};
use crate::relay::stall::{MAX_PIECE, Turn};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

const EVENT: &str = "data: {\"choices\":[]}\n\n";
const DRAINED: Play = Play { read_on: Some(Duration::from_secs(30)), ..CHAT };

/// Waits until the end is decided.
async fn end_of(stage: &Stage) {
    while stage.ended().is_none() {
        // The clock is paused: nothing sleeps, and all timers get their turn in order.
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_word_on_it_the_upstream_is_cancelled_at_once() {
    let (stage, mut body) = CHAT.begin();
    stage.say(EVENT);
    assert_eq!(now(&mut body).expect("a piece"), EVENT);
    drop(body);
    assert!(stage.is_cancelled());
    stage.has_ended("ClientGone", None);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_is_read_on_to_its_end_and_the_end_is_told_then() {
    let (mut stage, mut body) = DRAINED.begin();
    stage.say(EVENT);
    assert_eq!(now(&mut body).expect("a piece"), EVENT);
    drop(body);
    tokio::task::yield_now().await;
    assert_eq!((stage.is_cancelled(), stage.ended()), (false, None));
    stage.say(EVENT);
    stage.say("data: [DONE]\n\n");
    tokio::task::yield_now().await;
    assert_eq!(stage.ended(), None);
    stage.end();
    end_of(&stage).await;
    stage.has_ended("ClientGone", None);
}

#[tokio::test(start_paused = true)]
async fn reading_on_is_bounded_in_time() {
    let (stage, body) = DRAINED.begin();
    drop(body);
    let begun = Instant::now();
    end_of(&stage).await;
    assert_eq!(begun.elapsed().as_secs(), 30);
    assert!(stage.is_cancelled());
    stage.has_ended("ClientGone", None);
}

#[tokio::test(start_paused = true)]
async fn reading_on_is_bounded_in_bytes() {
    let (stage, body) = Play { read_on: Some(Duration::MAX), ..AUDIO }.begin();
    let mebibyte = Bytes::from(vec![0; 1 << 20]);
    (0..(MAX_READ_ON >> 20) - 1).for_each(|_| stage.say(mebibyte.clone()));
    drop(body);
    sleep(Duration::from_secs(1)).await;
    assert_eq!((stage.is_cancelled(), stage.ended()), (false, None));
    stage.say(mebibyte);
    end_of(&stage).await;
    assert!(stage.is_cancelled());
    stage.has_ended("ClientGone", None);
}

#[tokio::test(start_paused = true)]
async fn the_drain_the_suspension_and_the_idle_timeout_end_it_too() {
    for what in ["drain", "tenant", "idle"] {
        let (stage, body) = Play { idle: Some(Duration::from_secs(5)), ..DRAINED }.begin();
        drop(body);
        let begun = Instant::now();
        tokio::task::yield_now().await;
        match what {
            "drain" => stage.drain.cancel(),
            "tenant" => stage.tenant.cancel(),
            _ => {}
        }
        end_of(&stage).await;
        assert_eq!(begun.elapsed().as_secs(), if what == "idle" { 5 } else { 0 });
        stage.has_ended("ClientGone", None);
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_places_are_taken_the_upstream_is_cancelled() {
    static PLACES: Semaphore = Semaphore::const_new(1);
    let limit = Duration::from_secs(30);
    let (mut first, stream) = DRAINED.stream();
    read_on::begin_in(&PLACES, stream, limit);
    let (second, stream) = DRAINED.stream();
    read_on::begin_in(&PLACES, stream, limit);
    assert!(second.is_cancelled() && !first.is_cancelled());
    second.has_ended("ClientGone", None);
    first.end();
    end_of(&first).await;
    let (third, stream) = DRAINED.stream();
    read_on::begin_in(&PLACES, stream, limit);
    assert!(!third.is_cancelled(), "the place is free again");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_behind_the_end_or_the_error_is_not_gone() {
    let failed = "data: {\"error\":{\"message\":\"m\"}}\n\n";
    for (last, end, reason) in
        [("data: [DONE]\n\n", "Complete", None), (failed, "UpstreamError", Some("upstream_error"))]
    {
        let (stage, mut body) = DRAINED.begin();
        stage.say(last);
        assert_eq!(now(&mut body).expect("a piece"), last);
        drop(body);
        assert!(stage.is_cancelled());
        stage.has_ended(end, reason);
    }
}

#[tokio::test]
async fn a_client_whose_connection_stood_still_too_long_has_stalled() {
    for (stalls, reason) in [(true, Some("client_stalled")), (false, None)] {
        let turn = Arc::<Turn>::default();
        let (stage, mut body) = Arc::clone(&turn).over_http1(async { CHAT.begin() }).await;
        stage.say(EVENT);
        assert_eq!(now(&mut body).expect("a piece"), EVENT);
        if stalls {
            turn.stall();
        }
        drop(body);
        stage.has_ended("ClientGone", reason);
    }
}

#[tokio::test]
async fn long_pieces_go_to_http_1_1_whole() {
    let (stage, mut body) = Arc::<Turn>::default().over_http1(async { AUDIO.begin() }).await;
    stage.say(Bytes::from(vec![7; 10 * MAX_PIECE]));
    assert_eq!(now(&mut body).expect("a piece").len(), 10 * MAX_PIECE);
}

#[tokio::test(start_paused = true)]
async fn what_the_answer_cost_is_learned_after_the_client_left() {
    let (mut stage, mut stream) = DRAINED.stream();
    stage.say("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5}}\n\n");
    stage.say("data: [DONE]");
    stage.end();
    assert!(stream.leave(), "the end is open");
    read_on::read(&mut stream).await;
    stream.take_tail();
    stream.finish(StreamEnd::ClientGone, None);
    assert_eq!((stream.exchange.cost.seen.usage.input, stream.exchange.cost.seen.usage.output), (Some(7), Some(5)));
    stage.has_ended("ClientGone", None);
}
