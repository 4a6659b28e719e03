//! Clients that stop reading.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use relay_dataplane::relay::WRITE_STALL;
use relay_e2e::provider::Ended;
use tokio::time::{Instant, timeout};

use crate::config;
use crate::h2::connect;
use crate::house::{CHAT, House, SPEECH, chat, provider, speech};
use crate::raw::LIMIT;

/// Runs with a clock that jumps from timer to timer whenever nothing else happens, and tells how far it came.
async fn at_once<T>(what: impl Future<Output = T>) -> (T, u64) {
    tokio::time::pause();
    let begun = Instant::now();
    let done = what.await;
    let passed = begun.elapsed().as_secs();
    tokio::time::resume();
    (done, passed)
}

#[tokio::test]
async fn an_http_2_stream_that_nobody_reads_is_reset_and_cancelled_and_its_neighbour_goes_on() {
    let (house, provider) = House::simple().await;
    let mut h2 = connect(house.addr).await;
    let unread = h2.open(SPEECH, &speech("fake-bytes-64m-chunk-64k")).await;
    let gone = provider.wait_for(|requests| requests[0].outcome.ended.is_some());
    let (requests, passed) = at_once(gone).await;
    assert_eq!(requests[0].outcome.ended, Some(Ended::ClientGone));
    assert!(requests[0].outcome.bytes_sent < 64 << 20, "the relay holds no whole answer");
    // A little longer, by what it was given before.
    let bound = WRITE_STALL.as_secs();
    assert!((bound..bound + 60).contains(&passed), "{passed} s");
    let rest = timeout(LIMIT, unread.into_body().collect()).await.expect("in time");
    assert!(rest.is_err(), "the stream is reset");
    assert!(h2.post(CHAT, &chat("fake-ok")).await.whole);
    drop(h2);
    assert_eq!(house.ends(2).await, ["200 ClientGone", "200 Complete"]);
    assert_eq!(house.reasons(), ["client_stalled"]);
}

#[tokio::test]
async fn an_http_2_stream_that_is_read_slowly_goes_on() {
    let (house, _provider) = House::simple().await;
    let mut h2 = connect(house.addr).await;
    let slow = h2.open(SPEECH, &speech("fake-bytes-8m-chunk-64k")).await;
    let read = async {
        let (mut body, mut read) = (slow.into_body(), 0);
        while let Some(frame) = body.frame().await {
            let bytes: Bytes = frame.expect("not reset").into_data().expect("no trailers");
            read += bytes.len();
            // For every mebibyte nearly the whole time that it may stand still.
            if read >> 20 != (read - bytes.len()) >> 20 {
                tokio::time::sleep(WRITE_STALL.mul_f32(0.9)).await;
            }
        }
        read
    };
    let (read, passed) = at_once(read).await;
    assert_eq!(read, 8 << 20);
    assert!(passed > 4 * WRITE_STALL.as_secs(), "{passed} s");
    drop(h2);
    assert_eq!(house.ends(1).await, ["200 Complete"]);
}

/// What must end a stream ends it also where its client does not read: not a minute later, and within the time that the process has when it drains.
#[tokio::test]
async fn a_client_that_does_not_read_holds_up_neither_drain_nor_suspension_nor_total_time() {
    for (ends_by, end, reason) in [
        ("drain", "200 Drained", "draining"),
        ("tenant", "200 Suspended", "tenant_suspended"),
        ("total", "200 TotalTimeout", "total_timeout"),
    ] {
        for is_http2 in [false, true] {
            let provider = provider().await;
            let mut snapshot = config::simple(provider.addr());
            for route in &mut snapshot.routes {
                route.timeouts.total_ms = if ends_by == "total" { 10_000 } else { 0 };
            }
            let house = House::new(&snapshot).await;
            let body = speech("fake-bytes-64m-chunk-64k");
            let (mut over_http1, mut over_http2) = (None, None);
            if is_http2 {
                let mut h2 = connect(house.addr).await;
                let unread = h2.open(SPEECH, &body).await;
                over_http2 = Some((h2, unread));
            } else {
                over_http1 = Some(house.open(SPEECH, &body).await);
            }
            let ended = async {
                // In small steps, each of which lets all move that can, until nothing does.
                for _ in 0..1000 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                match ends_by {
                    "drain" => house.proxy.drain.cut.cancel(),
                    "tenant" => {
                        snapshot.tenants[0].suspended = true;
                        snapshot.tenants[0].cut = true;
                        house.swap(&snapshot, "bbbbbbbbbbbb");
                    }
                    _ => {}
                }
                provider.wait_for(|requests| requests[0].outcome.ended.is_some()).await
            };
            let (requests, passed) = at_once(ended).await;
            assert_eq!(requests[0].outcome.ended, Some(Ended::ClientGone));
            assert!((10..15).contains(&passed), "{ends_by} {is_http2}: {passed} s");
            drop((over_http1.take(), over_http2.take()));
            assert_eq!((house.ends(1).await, house.reasons()), (vec![end.to_owned()], vec![reason.to_owned()]));
        }
    }
}
