//! A second backend is asked while the first is silent.

use relay_e2e::provider::{Ended, script};
use relay_snapshot::{Backend, Hedge, ModelRewrite, Provider, Route};

use crate::config::{self, backend, route};
use crate::house::{CHAT, House, chat, named, wait_for};
use crate::stub::Tap;

/// The first backend is preferred and behaves as `first`, the second as `second`.
fn hedged(
    first: (&relay_e2e::provider::Provider, &str),
    second: (&relay_e2e::provider::Provider, &str),
    max_percent: u32,
) -> Route {
    let backends = [first, second].into_iter().zip(0..).map(|((provider, model), priority)| Backend {
        priority,
        model: ModelRewrite::To(model.to_owned()),
        ..backend(Provider::OpenAI, provider.addr())
    });
    let mut route = route("r", "/", backends.collect());
    route.policy.hedge = Some(Hedge { after_ms: 50, max_percent });
    route
}

async fn house(route: Route) -> House {
    House::new(&config::snapshot(vec![route])).await
}

#[tokio::test]
async fn the_first_answer_wins_and_the_loser_is_cancelled() {
    for silent in ["fake-slow-first-1h", "fake-slow-body-1h"] {
        let (slow, quick) = (named("slow").await, named("quick").await);
        let house = house(hedged((&slow, silent), (&quick, "fake-ok"), 5)).await;
        let answer = house.chat("m").await;
        assert_eq!((answer.header("x-fake-identity"), answer.chat().0), (Some("quick"), script::text(16)));
        let lost = wait_for(&slow, |requests| requests.first().is_some_and(|one| one.outcome.ended.is_some())).await;
        assert_eq!(lost[0].outcome.ended, Some(Ended::ClientGone));
        assert_eq!(house.retries(), ["hedge"]);
        house.ended(200, "Complete", None).await;
    }
}

#[tokio::test]
async fn a_quick_first_answer_needs_no_hedge() {
    let (quick, other) = (named("quick").await, named("other").await);
    let mut route = hedged((&quick, "fake-ok"), (&other, "fake-ok"), 100);
    route.policy.hedge = Some(Hedge { after_ms: 60_000, max_percent: 100 });
    let house = house(route).await;
    assert_eq!(house.chat("m").await.status, 200);
    assert!(other.requests().is_empty() && house.retries().is_empty());
}

#[tokio::test]
async fn the_first_may_still_win() {
    let (slow, slower) = (named("slow").await, named("slower").await);
    let house = house(hedged((&slow, "fake-slow-first-300ms"), (&slower, "fake-slow-first-1h"), 5)).await;
    assert_eq!(house.chat("m").await.header("x-fake-identity"), Some("slow"));
    let lost = wait_for(&slower, |requests| requests.first().is_some_and(|one| one.outcome.ended.is_some())).await;
    assert_eq!(lost[0].outcome.ended, Some(Ended::ClientGone));
}

#[tokio::test]
async fn a_failure_does_not_win() {
    for failure in ["fake-503", "fake-429"] {
        let (slow, broken) = (named("slow").await, named("broken").await);
        let house = house(hedged((&slow, "fake-slow-first-300ms"), (&broken, failure), 5)).await;
        let answer = house.chat("m").await;
        assert_eq!((answer.status, answer.header("x-fake-identity")), (200, Some("slow")), "{failure}");
        assert_eq!(broken.requests().len(), 1);
    }
}

#[tokio::test]
async fn where_both_fail_the_last_answer_passes() {
    let (slow, broken) = (named("slow").await, named("broken").await);
    let house = house(hedged((&slow, "fake-slow-first-300ms-503"), (&broken, "fake-429"), 5)).await;
    assert_eq!(house.chat("m").await.status, 503);
}

#[tokio::test]
async fn an_answer_tells_more_than_that_the_other_backend_broke() {
    let (slow, limited) = (named("slow").await, named("limited").await);
    let wire = Tap::to(slow.addr()).await;
    let mut route = hedged((&slow, "fake-slow-first-1h"), (&limited, "fake-429-after-30s"), 5);
    route.backends[0].url = format!("http://{}", wire.addr);
    let house = house(route).await;
    let client = house.open(CHAT, &chat("m")).await;
    wait_for(&limited, |requests| requests.first().is_some_and(|one| one.outcome.ended.is_some())).await;
    wire.cut().await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("30")));
    assert_eq!(answer.header("x-fake-identity"), Some("limited"));
}

#[tokio::test]
async fn hedges_keep_to_their_share() {
    let (slow, quick) = (named("slow").await, named("quick").await);
    let mut route = hedged((&slow, "fake-slow-first-1h"), (&quick, "fake-ok"), 1);
    route.timeouts.first_byte_ms = 400;
    let house = house(route).await;
    assert_eq!(house.chat("m").await.status, 200);
    let answer = house.chat("m").await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (504, Some("first_byte_timeout")));
    assert_eq!(quick.requests().len(), 1);
}

#[tokio::test]
async fn a_body_too_long_to_keep_is_not_hedged() {
    let (slow, quick) = (named("slow").await, named("quick").await);
    let mut route = hedged((&slow, "fake-slow-first-1h"), (&quick, "fake-ok"), 100);
    route.timeouts.first_byte_ms = 400;
    let house = house(route).await;
    let body = chat("m").replace("one", &"x".repeat(2 << 20));
    assert_eq!(house.post(CHAT, &body).await.status, 504);
    assert!(quick.requests().is_empty());
}

#[tokio::test]
async fn a_client_that_goes_cancels_both() {
    let (slow, other) = (named("slow").await, named("other").await);
    let house = house(hedged((&slow, "fake-slow-first-1h"), (&other, "fake-slow-first-1h"), 5)).await;
    let client = house.open(CHAT, &chat("m")).await;
    wait_for(&other, |requests| !requests.is_empty()).await;
    drop(client);
    for provider in [&slow, &other] {
        let requests = wait_for(provider, |requests| requests[0].outcome.ended.is_some()).await;
        assert_eq!(requests[0].outcome.ended, Some(Ended::ClientGone));
    }
}
