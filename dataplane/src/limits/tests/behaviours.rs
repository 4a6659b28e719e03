//! What holds wherever the buckets are: in this process and in a real Redis.

use super::{Limiter, Mode, ask, eventually, per_hour, tenant};
use relay_snapshot::RateLimit;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

on_both!(
    admits_the_burst_and_counts_down,
    tells_when_to_come_back,
    amount_0_lets_nothing_through_and_has_no_time_to_come_back,
    concurrent_calls_admit_exactly_the_burst,
    tenants_have_buckets_of_their_own,
    namespaces_have_buckets_of_their_own,
    refills_at_the_rate_and_not_faster,
    is_full_again_after_the_reset,
    a_raised_limit_holds_at_once,
    a_lowered_limit_holds_at_once,
);

async fn admits_the_burst_and_counts_down(limiter: Limiter) {
    for left in (0..10).rev() {
        let decision = ask(&limiter, &tenant("a"), &per_hour(100, 10)).await;
        assert!(decision.allowed && decision.mode == Mode::Shared);
        assert_eq!((decision.limit, decision.remaining, decision.retry_after), (10, left, None));
    }
    let decision = ask(&limiter, &tenant("a"), &per_hour(100, 10)).await;
    assert!(!decision.allowed && decision.mode == Mode::Shared);
    assert_eq!((decision.limit, decision.remaining), (10, 0));
}

async fn tells_when_to_come_back(limiter: Limiter) {
    let limit = per_hour(4, 2);
    let began = Instant::now();
    for _ in 0..2 {
        assert!(ask(&limiter, &tenant("a"), &limit).await.allowed);
    }
    let decision = ask(&limiter, &tenant("a"), &limit).await;
    // One token takes 15 minutes, the bucket 30; some of it has passed since the first call.
    let passed = began.elapsed() + Duration::from_millis(1);
    let (token, bucket) = (Duration::from_mins(15), Duration::from_mins(30));
    let retry_after = decision.retry_after.unwrap();
    assert!(retry_after <= token && retry_after + passed >= token, "{retry_after:?}");
    assert!(decision.reset <= bucket && decision.reset + passed >= bucket, "{:?}", decision.reset);
    assert_eq!(retry_after + token, decision.reset);
}

async fn amount_0_lets_nothing_through_and_has_no_time_to_come_back(limiter: Limiter) {
    for _ in 0..3 {
        let decision = ask(&limiter, &tenant("a"), &per_hour(0, 5)).await;
        assert!(!decision.allowed);
        assert_eq!((decision.remaining, decision.retry_after, decision.store), (0, None, None));
    }
    assert!(ask(&limiter, &tenant("a"), &per_hour(1, 1)).await.allowed, "and leaves the bucket alone");
}

async fn concurrent_calls_admit_exactly_the_burst(limiter: Limiter) {
    let limiter = Arc::new(limiter);
    let mut calls = JoinSet::new();
    for _ in 0..60 {
        let limiter = limiter.clone();
        calls.spawn(async move { ask(&limiter, &tenant("a"), &per_hour(5, 5)).await.allowed });
    }
    assert_eq!(calls.join_all().await.into_iter().filter(|allowed| *allowed).count(), 5);
}

async fn tenants_have_buckets_of_their_own(limiter: Limiter) {
    assert!(ask(&limiter, &tenant("a"), &per_hour(1, 1)).await.allowed);
    assert!(!ask(&limiter, &tenant("a"), &per_hour(1, 1)).await.allowed);
    assert!(ask(&limiter, &tenant("b"), &per_hour(1, 1)).await.allowed);
}

async fn namespaces_have_buckets_of_their_own(limiter: Limiter) {
    let elsewhere = relay_snapshot::ObjectId::new("other", "a");
    assert!(ask(&limiter, &tenant("a"), &per_hour(1, 1)).await.allowed);
    assert!(ask(&limiter, &elsewhere, &per_hour(1, 1)).await.allowed);
    assert!(!ask(&limiter, &elsewhere, &per_hour(1, 1)).await.allowed);
}

async fn refills_at_the_rate_and_not_faster(limiter: Limiter) {
    let limit = RateLimit { amount: 50, per_seconds: 1, burst: 2 };
    let began = Instant::now();
    let mut allowed = 0;
    eventually("22 requests passed", async || {
        allowed += u32::from(ask(&limiter, &tenant("a"), &limit).await.allowed);
        allowed == 22
    })
    .await;
    // 2 at once and then one each 20 ms. A millisecond for the two clocks that are read at different instants.
    assert!(began.elapsed() + Duration::from_millis(1) >= Duration::from_millis(400), "{:?}", began.elapsed());
}

async fn is_full_again_after_the_reset(limiter: Limiter) {
    let limit = RateLimit { amount: 20, per_seconds: 1, burst: 3 };
    for _ in 0..3 {
        ask(&limiter, &tenant("a"), &limit).await;
    }
    let decision = ask(&limiter, &tenant("a"), &limit).await;
    let full_at = Instant::now() + decision.reset;
    eventually("the reset has passed", async || Instant::now() >= full_at).await;
    assert_eq!(ask(&limiter, &tenant("a"), &limit).await.remaining, 2);
}

async fn a_raised_limit_holds_at_once(limiter: Limiter) {
    assert!(ask(&limiter, &tenant("a"), &per_hour(1, 1)).await.allowed);
    assert!(!ask(&limiter, &tenant("a"), &per_hour(1, 1)).await.allowed);
    for left in (0..4).rev() {
        let decision = ask(&limiter, &tenant("a"), &per_hour(360, 5)).await;
        assert_eq!((decision.allowed, decision.limit, decision.remaining), (true, 5, left));
    }
    let retry_after = ask(&limiter, &tenant("a"), &per_hour(360, 5)).await.retry_after.unwrap();
    assert!(retry_after <= Duration::from_secs(10), "the new rate, too: {retry_after:?}");
}

async fn a_lowered_limit_holds_at_once(limiter: Limiter) {
    for _ in 0..10 {
        assert!(ask(&limiter, &tenant("a"), &per_hour(1000, 100)).await.allowed);
    }
    let decision = ask(&limiter, &tenant("a"), &per_hour(4, 4)).await;
    assert_eq!((decision.allowed, decision.limit, decision.remaining), (false, 4, 0));
    assert!(decision.reset <= Duration::from_hours(1), "no emptier than empty: {:?}", decision.reset);
}
