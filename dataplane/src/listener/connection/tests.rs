use super::{Protocols, http2};
use crate::listener::requests::UnderWay;
use crate::listener::tests::proxy;
use crate::listener::{FIRST_HEAD, KEEP_ALIVE, Options, Shared, WRITE_STALL};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::duplex;
use tokio::time::{Instant, timeout};

/// Behind TLS the protocol is known before the client's first byte.
#[tokio::test(start_paused = true)]
async fn a_client_that_never_begins_to_speak_http_2_does_not_hold_up_the_drain() {
    let protocols = Protocols::new(KEEP_ALIVE, WRITE_STALL);
    let shared = Shared { proxy: proxy(), options: Options::default(), protocols, under_way: UnderWay::default() };
    let closing = shared.proxy.drain.closing.clone();
    let (_client, server) = duplex(1024);
    let begun = Instant::now();
    let connection = tokio::spawn(http2(Arc::new(shared), server, begun + FIRST_HEAD));
    tokio::time::sleep_until(begun + Duration::from_secs(1)).await;
    closing.cancel();
    timeout(Duration::from_hours(1), connection).await.expect("it ends").unwrap();
    assert_eq!(begun.elapsed().as_secs(), FIRST_HEAD.as_secs());
}
