//! What ends a stream that has begun, by the paused clock.

use super::played::{AUDIO, CHAT, Play, next, now, rest};
use crate::relay::Deadline;
use crate::upstream::UpstreamError;
use std::time::Duration;
use tokio::time::{Instant, advance, pause};

const EVENT: &str = "data: {\"choices\":[]}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_pause_ends_a_stream_at_its_bound_and_each_piece_begins_a_new_one() {
    let (stage, mut body) = Play { idle: Some(10 * SECOND), ..CHAT }.begin();
    let begun = Instant::now();
    for _ in 0..3 {
        stage.say(EVENT);
        assert_eq!(next(&mut body).await.expect("a piece").expect("whole"), EVENT);
        assert!(now(&mut body).is_none());
        advance(9 * SECOND).await;
        assert!(now(&mut body).is_none());
    }
    let (text, clean) = rest(&mut body).await;
    assert!(clean && text.contains("\"code\":\"idle_timeout\""), "{text}");
    assert_eq!(begun.elapsed().as_secs(), 28);
    stage.has_ended("IdleTimeout", Some("idle_timeout"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_late_makes_no_pause_of_the_upstreams() {
    let (stage, mut body) = Play { idle: Some(10 * SECOND), ..CHAT }.begin();
    stage.say(EVENT);
    assert_eq!(now(&mut body).expect("a piece"), EVENT);
    advance(60 * SECOND).await;
    let begun = Instant::now();
    let (text, _) = rest(&mut body).await;
    assert!(text.contains("idle_timeout"), "{text}");
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn half_an_event_is_progress_too() {
    let (stage, mut body) = Play { idle: Some(10 * SECOND), ..CHAT }.begin();
    let begun = Instant::now();
    advance(9 * SECOND).await;
    stage.say("data: {");
    let (text, clean) = rest(&mut body).await;
    assert!(clean && text.starts_with("data: {\"error\""), "{text}");
    assert_eq!(begun.elapsed().as_secs(), 19);
}

#[tokio::test(start_paused = true)]
async fn the_total_timeout_ends_a_stream_that_goes_on() {
    let (stage, mut body) = Play { total: Some(10 * SECOND), idle: Some(4 * SECOND), ..CHAT }.begin();
    let begun = Instant::now();
    for _ in 0..3 {
        advance(3 * SECOND).await;
        stage.say(EVENT);
        assert_eq!(now(&mut body).expect("a piece"), EVENT);
    }
    let (text, clean) = rest(&mut body).await;
    assert!(clean && text.contains("\"code\":\"total_timeout\""), "{text}");
    assert_eq!(begun.elapsed().as_secs(), 10);
    stage.has_ended("TotalTimeout", Some("total_timeout"));
}

#[tokio::test(start_paused = true)]
async fn the_total_timeout_breaks_off_audio() {
    let (stage, mut body) = Play { total: Some(10 * SECOND), ..AUDIO }.begin();
    stage.say("audio");
    assert_eq!(rest(&mut body).await, ("audio".to_owned(), false));
    stage.has_ended("TotalTimeout", Some("total_timeout"));
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_always_has_something_does_not_outrun_the_total_timeout() {
    let (stage, mut body) = Play { total: Some(10 * SECOND), ..CHAT }.begin();
    (0..100).for_each(|_| stage.say(EVENT));
    let mut pieces = 0;
    while let Some(piece) = now(&mut body) {
        if piece != EVENT {
            assert!(String::from_utf8_lossy(&piece).contains("total_timeout"));
            break;
        }
        pieces += 1;
        advance(SECOND).await;
    }
    assert_eq!(pieces, 11, "those of 10 s, and that which came with the bound");
    stage.has_ended("TotalTimeout", Some("total_timeout"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_over_in_time_is_complete() {
    let (mut stage, mut body) = Play { total: Some(10 * SECOND), idle: Some(SECOND), ..CHAT }.begin();
    stage.say(EVENT);
    stage.say(DONE);
    stage.end();
    assert_eq!(rest(&mut body).await, (format!("{EVENT}{DONE}"), true));
    drop(body);
    stage.has_ended("Complete", None);
}

#[tokio::test(start_paused = true)]
async fn bounds_that_the_clock_can_not_tell_are_none() {
    let (mut stage, mut body) = Play { total: Some(Duration::MAX), idle: Some(Duration::MAX), ..AUDIO }.begin();
    stage.say("audio");
    assert_eq!(now(&mut body).expect("a piece"), "audio");
    advance(Duration::from_secs(1 << 30)).await;
    assert!(now(&mut body).is_none());
    stage.end();
    assert_eq!(rest(&mut body).await, (String::new(), true));
}

#[tokio::test(start_paused = true)]
async fn the_drain_and_the_suspension_end_streams_that_wait() {
    for (is_drain, end, reason) in [(true, "Drained", "draining"), (false, "Suspended", "tenant_suspended")] {
        let (stage, mut body) = CHAT.begin();
        stage.say(EVENT);
        stage.say("data: ha");
        assert_eq!(now(&mut body).expect("a piece"), EVENT);
        let cut = if is_drain { stage.drain.clone() } else { stage.tenant.clone() };
        let told = tokio::spawn(async move { rest(&mut body).await });
        tokio::task::yield_now().await;
        assert!(!told.is_finished());
        cut.cancel();
        let (text, clean) = told.await.expect("no panic");
        assert!(clean && text.starts_with("data: {\"error\"") && text.contains(reason), "{text}");
        stage.has_ended(end, Some(reason));
    }
}

#[tokio::test]
async fn an_upstream_that_always_has_something_does_not_outrun_the_drain_or_the_suspension() {
    for (is_drain, end, reason) in [(true, "Drained", "draining"), (false, "Suspended", "tenant_suspended")] {
        let (stage, mut body) = CHAT.begin();
        (0..100).for_each(|_| stage.say(EVENT));
        assert_eq!(now(&mut body).expect("a piece"), EVENT);
        if is_drain { &stage.drain } else { &stage.tenant }.cancel();
        let (text, clean) = rest(&mut body).await;
        assert!(clean && text.starts_with("data: {\"error\"") && text.contains(reason), "{text}");
        stage.has_ended(end, Some(reason));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_moves_to_another_task_is_still_ended() {
    let (stage, mut body) = AUDIO.begin();
    assert!(now(&mut body).is_none());
    let told = tokio::spawn(async move { rest(&mut body).await });
    tokio::task::yield_now().await;
    stage.tenant.cancel();
    assert_eq!(told.await.expect("no panic"), (String::new(), false));
}

#[tokio::test]
async fn an_upstream_that_breaks_off_is_told_from_one_that_breaks_http() {
    for (error, reason) in [(UpstreamError::Reset, "upstream_reset"), (UpstreamError::Protocol, "upstream_protocol")] {
        let (mut stage, mut body) = CHAT.begin();
        stage.say(EVENT);
        stage.fail(error);
        let (text, clean) = rest(&mut body).await;
        assert!(clean && text.contains(reason), "{text}");
        drop(body);
        stage.has_ended("UpstreamError", Some(reason));
    }
}

#[tokio::test]
async fn an_abort_comes_a_turn_behind_what_was_given() {
    let (mut stage, mut body) = AUDIO.begin();
    stage.say("audio");
    stage.fail(UpstreamError::Reset);
    assert_eq!(now(&mut body).expect("a piece"), "audio");
    assert!(now(&mut body).is_none(), "hyper writes what it has when there is nothing for now");
    assert!(!body.is_end_stream());
    assert!(next(&mut body).await.expect("an abort").is_err());
    assert!(next(&mut body).await.is_none());
}

#[tokio::test]
async fn a_deadline_bounds_what_comes_before_the_first_byte() {
    pause();
    let start = Instant::now();
    let deadline = Deadline::after(start, Some(5 * SECOND));
    advance(2 * SECOND).await;
    assert_eq!(deadline.within(async { 1 }).await, Some(1));
    assert_eq!(deadline.within(std::future::pending::<()>()).await, None);
    assert_eq!(start.elapsed().as_secs(), 5);
    assert!(deadline.is_over(Instant::now()) && !deadline.is_over(start));
    assert_eq!(Deadline::after(start, None), Deadline::default());
    assert_eq!(Deadline::default().within(async { 2 }).await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_ends_a_stream_behind_the_event_that_spent_it() {
    let (stage, mut body) = CHAT.begin();
    stage.say(EVENT);
    assert_eq!(next(&mut body).await.expect("a piece").expect("whole"), EVENT);
    assert!(now(&mut body).is_none());
    stage.say(EVENT);
    stage.limit.cancel();
    // What came meanwhile was not read any more.
    let (text, clean) = rest(&mut body).await;
    assert!(clean && text.starts_with("data: {\"error\"") && text.contains("\"code\":\"budget_spent\""), "{text}");
    stage.has_ended("LimitReached", Some("budget_spent"));
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_wakes_a_stream_that_waits_and_breaks_off_audio() {
    let (stage, mut body) = AUDIO.begin();
    stage.say("sound");
    assert_eq!(now(&mut body).expect("a piece"), "sound");
    let limit = stage.limit.clone();
    let waiting = tokio::spawn(async move { rest(&mut body).await });
    tokio::task::yield_now().await;
    limit.cancel();
    assert_eq!(waiting.await.expect("no panic"), (String::new(), false));
    stage.has_ended("LimitReached", Some("budget_spent"));
}
