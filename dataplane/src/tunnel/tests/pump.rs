//! Two connections in memory, on a clock that stands still while something can move.

use super::{CREATED, FIN, TEXT, masked, raw, text};
use crate::drain::Cut;
use crate::relay::WRITE_STALL;
use crate::tunnel::ending::Over;
use crate::tunnel::pump::{Bounds, CLOSING, HELD, LAST_WORDS, Pump};
use crate::tunnel::session::Place;
use std::future::pending;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

/// Room of each connection: less than that of the relay.
const ROOM: usize = 1 << 10;
const UNBOUND: Bounds = Bounds { idle: None, deadline: None, write_stall: WRITE_STALL };

fn pump(bounds: Bounds) -> (DuplexStream, DuplexStream, Pump<DuplexStream, DuplexStream>) {
    let (client, near) = duplex(ROOM);
    let (upstream, far) = duplex(ROOM);
    (client, upstream, Pump::new(near, far, bounds))
}

/// Reads so many bytes.
async fn take(from: &mut DuplexStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    from.read_exact(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test(start_paused = true)]
async fn bytes_pass_both_ways() {
    let (mut client, mut upstream, mut pump) = pump(UNBOUND);
    let running = tokio::spawn(async move { (pump.run(pending(), |_| ()).await, pump) });
    let long = text(&"x".repeat(300_000));
    let sent = long.clone();
    let sending = tokio::spawn(async move {
        upstream.write_all(&sent).await.unwrap();
        upstream
    });
    assert_eq!(take(&mut client, long.len()).await, long);
    let mut upstream = sending.await.unwrap();
    let said = masked(FIN | TEXT, b"hello");
    client.write_all(&said).await.unwrap();
    assert_eq!(take(&mut upstream, said.len()).await, said);
    drop(client);
    let (over, pump) = running.await.unwrap();
    assert_eq!((over, pump.session.messages_in, pump.session.messages_out), (Over::ClientGone, 1, 1));
    assert_eq!((pump.bytes_in, pump.bytes_out), (said.len() as u64, long.len() as u64));
}

#[tokio::test(start_paused = true)]
async fn half_a_message_is_dropped_when_the_upstream_leaves_and_there_is_a_place() {
    let (client, mut upstream, mut pump) = pump(UNBOUND);
    upstream.write_all(&[&text("one")[..], &text("two")[..4]].concat()).await.unwrap();
    drop(upstream);
    assert_eq!(pump.run(pending(), |_| ()).await, Over::UpstreamEnd);
    assert_eq!((pump.place(), pump.bytes_out), (Place::Messages, 5));
    let leaving = pump.take_leave(b"bye").await;
    let (mut read, _write) = tokio::io::split(client);
    let mut got = Vec::new();
    read.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, [&text("one")[..], b"bye"].concat());
    drop(leaving);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_long_to_hold_goes_and_leaves_no_place() {
    let (mut client, mut upstream, mut pump) = pump(UNBOUND);
    let long = raw(FIN | TEXT, &vec![b'x'; 2 * HELD]);
    let sent = long[..HELD + 10_000].to_vec();
    tokio::spawn(async move { upstream.write_all(&sent).await });
    let reading = tokio::spawn(async move {
        let mut got = Vec::new();
        let _ = client.read_to_end(&mut got).await;
        got
    });
    assert_eq!(pump.run(pending(), |_| ()).await, Over::UpstreamEnd);
    assert_eq!(pump.place(), Place::Inside);
    drop(pump);
    let got = reading.await.unwrap();
    assert!(got.len() >= HELD && long.starts_with(&got), "{}", got.len());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_stops_its_upstream_and_then_its_session() {
    for write_stall in [WRITE_STALL, WRITE_STALL / 4, WRITE_STALL * 4] {
        stalls(write_stall).await;
    }
}

async fn stalls(write_stall: Duration) {
    let (_client, mut upstream, mut pump) = pump(Bounds { write_stall, ..UNBOUND });
    let sending = tokio::spawn(async move {
        let message = text("x");
        let mut sent = 0;
        while upstream.write_all(&message).await.is_ok() {
            sent += message.len();
        }
        sent
    });
    let begun = Instant::now();
    assert_eq!(pump.run(pending(), |_| ()).await, Over::ClientStalled);
    assert_eq!(begun.elapsed().as_secs(), write_stall.as_secs());
    drop(pump);
    let sent = sending.await.unwrap();
    assert!((HELD..=HELD + 16 * ROOM).contains(&sent), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn silence_is_that_of_both_sides() {
    let bounds = Bounds { idle: Some(Duration::from_secs(10)), ..UNBOUND };
    let (mut client, mut upstream, mut pump) = pump(bounds);
    let begun = Instant::now();
    tokio::spawn(async move {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(9)).await;
            client.write_all(&masked(FIN | TEXT, b"a")).await.unwrap();
            tokio::time::sleep(Duration::from_secs(9)).await;
            upstream.write_all(&text("a")).await.unwrap();
        }
        pending::<()>().await;
        drop((client, upstream));
    });
    assert_eq!(pump.run(pending(), |_| ()).await, Over::Idle);
    assert_eq!(begun.elapsed().as_secs(), 6 * 9 + 10);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_comes_however_much_moves() {
    let deadline = Some(Instant::now() + Duration::from_secs(100));
    let (mut client, _upstream, mut pump) = pump(Bounds { idle: Some(Duration::from_secs(10)), deadline, ..UNBOUND });
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(7)).await;
            if client.write_all(&masked(FIN | TEXT, b"a")).await.is_err() {
                return;
            }
        }
    });
    assert_eq!(pump.run(pending(), |_| ()).await, Over::Total);
    assert_eq!(Some(Instant::now()), deadline);
}

#[tokio::test(start_paused = true)]
async fn behind_a_close_frame_nobody_is_waited_for_long() {
    let (mut client, _upstream, mut pump) = pump(UNBOUND);
    client.write_all(&masked(FIN | 0x8, b"\x03\xe8")).await.unwrap();
    let begun = Instant::now();
    assert_eq!(pump.run(pending(), |_| ()).await, Over::Lingering);
    assert_eq!(begun.elapsed(), CLOSING);
}

#[tokio::test(start_paused = true)]
async fn a_close_frame_reaches_the_upstream_of_a_client_that_leaves_behind_it() {
    let (mut client, mut upstream, mut pump) = pump(UNBOUND);
    upstream.write_all(&text(CREATED)).await.unwrap();
    let said = [masked(FIN | TEXT, &[b'x'; 3 * ROOM]), masked(FIN | 0x8, b"")].concat();
    let sent = said.clone();
    tokio::spawn(async move {
        client.write_all(&sent).await.unwrap();
    });
    let reading = tokio::spawn(async move {
        let mut got = Vec::new();
        upstream.read_to_end(&mut got).await.unwrap();
        got
    });
    assert_eq!(pump.run(pending(), |_| ()).await, Over::ClientGone);
    drop(pump);
    assert_eq!(reading.await.unwrap(), said);
}

#[tokio::test(start_paused = true)]
async fn the_last_words_wait_for_nobody_for_long() {
    let (client, _upstream, pump) = pump(UNBOUND);
    let begun = Instant::now();
    let leaving = pump.take_leave(&[0; 2 * ROOM]).await;
    assert_eq!(begun.elapsed(), LAST_WORDS);
    leaving.linger().await;
    assert_eq!(begun.elapsed(), 2 * LAST_WORDS);
    drop(client);
}

/// Many times: what may come next is drawn.
#[tokio::test(start_paused = true)]
async fn nothing_passes_behind_the_message_that_ends_the_session() {
    const PIECE: usize = 8 << 10;
    let head = r#"{"type":"response.output_text.delta","delta":""#;
    let delta = text(&format!("{head}{}\"}}", "x".repeat(PIECE - 4 - head.len() - 2)));
    assert_eq!(delta.len(), PIECE);
    for _ in 0..20 {
        let (_client, near) = duplex(10 * PIECE);
        let (mut upstream, far) = duplex(10 * PIECE);
        upstream.write_all(&delta.repeat(4)).await.unwrap();
        let mut pump = Pump::new(near, far, UNBOUND);
        let cut = Cut::default();
        let stop = async {
            cut.cancelled().await;
            Over::Limit
        };
        assert_eq!(pump.run(stop, |_| cut.cancel()).await, Over::Limit);
        assert_eq!(pump.session.messages_out, 1);
    }
}
