//! Providers that are read to their end though the client went away, where the route asks for it.

use relay_dataplane::listener::READING_ON;
use relay_e2e::provider::{Ended, Provider, script};
use tokio::time::{Instant, timeout};

use crate::config;
use crate::house::{CHAT, House, SPEECH, chat, provider, speech, wait_for};
use crate::raw::LIMIT;

async fn draining(ms: u64) -> (House, Provider) {
    let provider = provider().await;
    let mut snapshot = config::simple(provider.addr());
    for route in &mut snapshot.routes {
        route.policy.drain_ms = ms;
    }
    (House::new(&snapshot).await, provider)
}

async fn how_it_ended(provider: &Provider) -> Option<Ended> {
    wait_for(provider, |requests| requests[0].outcome.ended.is_some()).await[0].outcome.ended
}

#[tokio::test]
async fn an_answer_is_read_to_its_end_after_its_client_left() {
    for (path, body) in [(CHAT, chat("fake-tokens-60-gap-2ms")), (SPEECH, speech("fake-bytes-200k-gap-2ms"))] {
        let (house, provider) = draining(30_000).await;
        let mut client = house.open(path, &body).await;
        client.read_until(|bytes| bytes.len() > 500).await;
        drop(client);
        assert_eq!(how_it_ended(&provider).await, Some(Ended::Complete));
        house.ended(200, "ClientGone", None).await;
        // It may serve the next request.
        assert_eq!(house.proxy.upstreams.idle(), 1);
    }
}

#[tokio::test]
async fn reading_on_ends_with_its_bound() {
    let (house, provider) = draining(100).await;
    let mut client = house.open(CHAT, &chat("fake-stall-at-2")).await;
    client.read_text(script::word(1)).await;
    drop(client);
    assert_eq!(how_it_ended(&provider).await, Some(Ended::ClientGone));
    house.ended(200, "ClientGone", None).await;
}

#[tokio::test]
async fn reading_on_ends_with_the_drain() {
    let (house, provider) = draining(3_600_000).await;
    let mut client = house.open(CHAT, &chat("fake-stall-at-2")).await;
    client.read_text(script::word(1)).await;
    drop(client);
    crate::house::eventually("it left", || house.proxy.metrics.active_connections.get() == 0).await;
    assert_eq!((provider.live(), house.samples("relay_requests_total").len()), (1, 0), "it is read on");
    house.proxy.drain.cut.cancel();
    assert_eq!(how_it_ended(&provider).await, Some(Ended::ClientGone));
    house.ended(200, "ClientGone", None).await;
}

/// The client of this answer is gone, and the relay reads it on.
async fn left_behind(house: &House, model: &str) {
    let mut client = house.open(CHAT, &chat(model)).await;
    client.read_text(script::word(1)).await;
    drop(client);
    crate::house::eventually("it left", || house.proxy.metrics.active_connections.get() == 0).await;
    assert_eq!(house.samples("relay_requests_total").len(), 0, "it is read on");
}

#[tokio::test]
async fn the_shutdown_waits_for_what_is_read_on() {
    let (mut house, provider) = draining(30_000).await;
    left_behind(&house, "fake-tokens-60-gap-10ms").await;
    house.proxy.drain.closing.cancel();
    timeout(LIMIT, &mut house.accepting).await.expect("the listener ends").expect("without a panic");
    assert_eq!(house.samples("relay_requests_total").len(), 1, "its end was told before");
    assert_eq!(how_it_ended(&provider).await, Some(Ended::Complete));
}

#[tokio::test]
async fn the_shutdown_waits_for_what_is_read_on_no_longer_than_it_may() {
    let (mut house, provider) = draining(3_600_000).await;
    left_behind(&house, "fake-stall-at-2").await;
    tokio::time::pause();
    let begun = Instant::now();
    house.proxy.drain.closing.cancel();
    (&mut house.accepting).await.expect("without a panic");
    assert_eq!(begun.elapsed().as_secs(), READING_ON.as_secs());
    assert_eq!(house.samples("relay_requests_total").len(), 1, "its end was told before");
    tokio::time::resume();
    assert_eq!(how_it_ended(&provider).await, Some(Ended::ClientGone));
}
