use super::{Bounds, Expired, UPLOAD_IDLE};
use crate::upstream::tests::received::received;
use crate::upstream::{RequestBody, Room, Upload, Waits};
use bytes::Bytes;
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, advance};

const FIRST_BYTE: Duration = Duration::from_secs(2);

fn bounds(total: Option<Instant>) -> Bounds {
    Bounds { first_byte: Some(FIRST_BYTE), total }
}

async fn arriving() -> (Upload, RequestBody, DuplexStream) {
    let (body, client) = received("content-length: 6").await;
    let upload = Upload::new(Bytes::new(), Some(body), 100, Room::default(), false, true);
    let body = upload.body(None);
    (upload, body, client)
}

fn whole() -> Upload {
    Upload::new(Bytes::from_static(b"{}"), None, 100, Room::default(), false, true)
}

/// Waits for the bound, and tells how long it took.
async fn reached(bounds: Bounds, upload: &Upload) -> (Expired, Duration) {
    let begun = Instant::now();
    (bounds.reached(upload).await, begun.elapsed())
}

/// Reads the body on until it waits for the client.
async fn drain(body: &mut RequestBody) {
    loop {
        tokio::select! {
            biased;
            frame = body.frame() => assert!(frame.is_some_and(|frame| frame.is_ok())),
            () = tokio::task::yield_now() => return,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_is_waited_for_from_the_end_of_the_body() {
    let upload = whole();
    assert_eq!(reached(bounds(None), &upload).await, (Expired::FirstByte(FIRST_BYTE), FIRST_BYTE));
    // However many attempts there are, it is one bound.
    let (expired, took) = reached(bounds(None), &upload).await;
    assert_eq!((expired, took), (Expired::FirstByte(FIRST_BYTE), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_slow_upload_takes_nothing_from_the_time_for_the_first_byte() {
    let (upload, mut body, mut client) = arriving().await;
    for piece in [b"ab", b"cd", b"ef"] {
        drain(&mut body).await;
        assert!(matches!(upload.waits(), Waits::Client(_)));
        let waited = tokio::time::timeout(FIRST_BYTE * 10, bounds(None).reached(&upload)).await;
        assert!(waited.is_err(), "{waited:?}");
        client.write_all(piece).await.unwrap();
        assert!(body.frame().await.unwrap().is_ok());
    }
    assert!(upload.is_over());
    assert_eq!(reached(bounds(None), &upload).await, (Expired::FirstByte(FIRST_BYTE), FIRST_BYTE));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_upload_is_noticed_while_it_is_waited_for() {
    let (upload, mut body, mut client) = arriving().await;
    drain(&mut body).await;
    let begun = Instant::now();
    let bounds = bounds(None);
    let upload_ends = async {
        tokio::time::sleep_until(begun + FIRST_BYTE * 3 / 2).await;
        client.write_all(b"abcdef").await.unwrap();
        body.frame().await.unwrap().unwrap();
        std::future::pending::<()>().await;
    };
    let expired = tokio::select! {
        expired = bounds.reached(&upload) => expired,
        () = upload_ends => unreachable!(),
    };
    assert_eq!((expired, begun.elapsed()), (Expired::FirstByte(FIRST_BYTE), FIRST_BYTE * 5 / 2));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_pauses_too_long_is_the_slow_one() {
    let (upload, mut body, mut client) = arriving().await;
    drain(&mut body).await;
    advance(UPLOAD_IDLE / 2).await;
    client.write_all(b"ab").await.unwrap();
    assert!(body.frame().await.unwrap().is_ok());
    drain(&mut body).await;
    assert_eq!(reached(bounds(None), &upload).await, (Expired::Upload, UPLOAD_IDLE));
    let unbound = Bounds::default();
    assert_eq!(unbound.reached(&upload).await, Expired::Upload, "whatever the route says");
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_takes_nothing_of_the_body_is_the_slow_one() {
    let (upload, _body, _client) = arriving().await;
    assert_eq!(reached(bounds(None), &upload).await, (Expired::FirstByte(FIRST_BYTE), FIRST_BYTE));
}

#[tokio::test(start_paused = true)]
async fn the_total_time_counts_whoever_is_waited_for() {
    let total = Instant::now() + FIRST_BYTE / 2;
    let (upload, mut body, _client) = arriving().await;
    drain(&mut body).await;
    assert_eq!(reached(bounds(Some(total)), &upload).await, (Expired::Total, FIRST_BYTE / 2));
    assert_eq!(bounds(Some(total)).deadline(whole().waits()), Some(total));
}

#[tokio::test(start_paused = true)]
async fn without_bounds_it_is_waited_for_ever() {
    let waited = tokio::time::timeout(Duration::from_secs(1_000_000), Bounds::default().reached(&whole())).await;
    assert!(waited.is_err());
    assert_eq!(Bounds::default().deadline(whole().waits()), None);
}
