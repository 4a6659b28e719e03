//! HTTP/2 streams whose client does not read: the task of the stream polls its body as hyper does.

use super::played::{CHAT, Play, next};
use crate::relay::leash::LAST_CHANCE;
use crate::relay::stall::{MAX_PIECE, StreamTasks, WRITE_STALL};
use bytes::Bytes;
use hyper::rt::Executor;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, advance};

/// Just short of the bound.
const NEARLY: Duration = Duration::from_secs(59);

/// Streams `play` in a task of HTTP/2, to a client that takes a piece for every permit of `room`. Gives the upstream's end, the number of bytes that
/// the client took, and what is told when the task is gone.
async fn stream(play: Play, room: Arc<Semaphore>) -> (super::played::Stage, Arc<AtomicUsize>, oneshot::Receiver<()>) {
    let (told, began) = oneshot::channel();
    let (gone, is_gone) = oneshot::channel::<()>();
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    StreamTasks::default().execute(async move {
        let _gone = gone;
        let (stage, mut body) = play.begin();
        assert!(told.send(stage).is_ok());
        while let Some(Ok(piece)) = next(&mut body).await {
            room.acquire().await.expect("it stays open").forget();
            count.fetch_add(piece.len(), Ordering::SeqCst);
        }
    });
    (began.await.expect("it begins"), taken, is_gone)
}

#[tokio::test(start_paused = true)]
async fn a_client_without_room_for_a_minute_is_gone_and_the_upstream_cancelled() {
    let (stage, _, gone) = stream(CHAT, Arc::new(Semaphore::new(1))).await;
    stage.say("data: 1\n\n");
    stage.say("data: 2\n\n");
    let begun = Instant::now();
    gone.await.expect_err("dropped");
    assert_eq!(begun.elapsed(), WRITE_STALL);
    assert!(stage.is_cancelled());
    stage.has_ended("ClientGone", Some("client_stalled"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_is_not_stalled_even_in_one_long_piece() {
    let room = Arc::new(Semaphore::new(0));
    let (mut stage, taken, gone) = stream(super::played::AUDIO, Arc::clone(&room)).await;
    let pieces = 20;
    stage.say(Bytes::from(vec![7; pieces * MAX_PIECE]));
    stage.end();
    for n in 1..=pieces {
        tokio::time::sleep(NEARLY).await;
        room.add_permits(1);
        while taken.load(Ordering::SeqCst) < n * MAX_PIECE {
            tokio::task::yield_now().await;
        }
    }
    gone.await.expect_err("dropped at its end");
    stage.has_ended("Complete", None);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_for_a_silent_upstream_is_not_stalled() {
    let (mut stage, _, gone) = stream(CHAT, Arc::new(Semaphore::new(10))).await;
    stage.say("data: 1\n\n");
    tokio::time::sleep(10 * WRITE_STALL).await;
    stage.say("data: [DONE]\n\n");
    stage.end();
    gone.await.expect_err("dropped at its end");
    stage.has_ended("Complete", None);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waited_long_once_has_a_whole_minute_again() {
    let room = Arc::new(Semaphore::new(0));
    let (stage, taken, gone) = stream(CHAT, Arc::clone(&room)).await;
    for n in 1..=3 {
        stage.say("data: 1\n\n");
        tokio::time::sleep(NEARLY).await;
        room.add_permits(1);
        while taken.load(Ordering::SeqCst) < n * 9 {
            tokio::task::yield_now().await;
        }
        advance(Duration::from_secs(30)).await;
    }
    stage.say("data: 1\n\n");
    let begun = Instant::now();
    gone.await.expect_err("dropped");
    assert_eq!(begun.elapsed(), WRITE_STALL);
}

#[tokio::test(start_paused = true)]
async fn what_a_client_was_given_buys_it_time_to_read_within_bounds() {
    for (pieces, bought) in [(64, 128), (640, 240)] {
        let (stage, taken, gone) = stream(super::played::AUDIO, Arc::new(Semaphore::new(pieces - 1))).await;
        stage.say(Bytes::from(vec![7; (pieces + 1) * MAX_PIECE]));
        while taken.load(Ordering::SeqCst) < (pieces - 1) * MAX_PIECE {
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        gone.await.expect_err("dropped");
        assert_eq!(begun.elapsed(), WRITE_STALL + Duration::from_secs(bought));
        stage.has_ended("ClientGone", Some("client_stalled"));
    }
}

/// A client that reads nothing more must not hold up what ends its stream: it has a moment, and then the stream is dropped.
#[tokio::test(start_paused = true)]
async fn what_ends_a_stream_ends_it_also_where_its_client_does_not_read() {
    for (ends_by, end, reason) in [
        ("drain", "Drained", "draining"),
        ("tenant", "Suspended", "tenant_suspended"),
        ("total", "TotalTimeout", "total_timeout"),
    ] {
        let total = (ends_by == "total").then(|| Duration::from_secs(10));
        let (stage, _, gone) = stream(Play { total, ..CHAT }, Arc::new(Semaphore::new(1))).await;
        stage.say("data: 1\n\n");
        stage.say("data: 2\n\n");
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(stage.ended(), None);
        match ends_by {
            "drain" => stage.drain.cancel(),
            "tenant" => stage.tenant.cancel(),
            _ => {}
        }
        gone.await.expect_err("dropped");
        assert_eq!(begun.elapsed().as_secs(), 10 + LAST_CHANCE.as_secs());
        assert!(stage.is_cancelled());
        stage.has_ended(end, Some(reason));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_in_its_last_moment_is_told_the_end() {
    let room = Arc::new(Semaphore::new(0));
    let (stage, taken, gone) = stream(CHAT, Arc::clone(&room)).await;
    stage.say("data: 1\n\n");
    tokio::task::yield_now().await;
    stage.drain.cancel();
    tokio::time::sleep(LAST_CHANCE.mul_f32(0.9)).await;
    room.add_permits(2);
    gone.await.expect_err("dropped at its end");
    assert!(taken.load(Ordering::SeqCst) > 9, "the error event too");
    stage.has_ended("Drained", Some("draining"));
}
