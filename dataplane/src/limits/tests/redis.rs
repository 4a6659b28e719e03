//! What only Redis does: sharing, expiry, round trips, and its keys.

use super::server::RedisServer;
use super::{Limiter, LimiterError, Mode, PATIENT, StoreResult, per_hour, tenant};
use relay_snapshot::RateLimit;
use std::sync::Arc;
use tokio::task::JoinSet;

const KEY: &str = "relay:{team/a}:requests";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_calls_over_three_proxies_admit_exactly_five() {
    let server = RedisServer::start().await;
    let mut calls = JoinSet::new();
    for _ in 0..3 {
        let limiter = Arc::new(server.limiter(PATIENT));
        for _ in 0..20 {
            let limiter = limiter.clone();
            calls.spawn(async move { limiter.admit(&tenant("a"), &per_hour(5, 5)).await });
        }
    }
    let decisions = calls.join_all().await;
    assert!(decisions.iter().all(|decision| decision.mode == Mode::Shared));
    assert_eq!(decisions.iter().filter(|decision| decision.allowed).count(), 5);
    let mut left: Vec<u32> = decisions.iter().filter(|d| d.allowed).map(|d| d.remaining).collect();
    left.sort_unstable();
    assert_eq!(left, [0, 1, 2, 3, 4]);
    assert!(decisions.iter().all(|decision| decision.allowed != decision.retry_after.is_some()));
}

#[tokio::test]
async fn a_decision_is_one_round_trip_also_the_first() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(PATIENT);
    for _ in 0..100 {
        let call = limiter.admit(&tenant("a"), &per_hour(50, 50)).await.store.unwrap();
        assert_eq!(call.result, StoreResult::Ok);
    }
    assert_eq!(
        (server.calls("evalsha").await, server.calls("script|load").await, server.calls("eval").await),
        (100, 1, 0)
    );
}

#[tokio::test]
async fn a_key_expires_when_its_bucket_is_full() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(PATIENT);
    let reset = limiter.admit(&tenant("a"), &per_hour(7, 7)).await.reset;
    assert_eq!(server.run::<Vec<String>>("KEYS *").await, [KEY]);
    let expiry: u128 = server.run(&format!("PTTL {KEY}")).await;
    // Up to a millisecond more than the rest of the reset, never less; the time between the two calls has passed.
    assert!(expiry <= reset.as_millis() + 1 && expiry + 10_000 >= reset.as_millis(), "{expiry} ms, {reset:?}");
}

#[tokio::test]
async fn an_expiry_beyond_the_range_of_redis_is_cut() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(PATIENT);
    // One a day, and four billion days in the bucket, nearly all of them spent.
    let limit = RateLimit { amount: 1, per_seconds: 86_400, burst: u32::MAX };
    let full_at = 370_000_000_000_000_u64;
    let state = format!("{full_at} 0 1 86400");
    let () = redis::cmd("SET").arg(KEY).arg(state).query_async(&mut server.connect().await).await.unwrap();
    let decision = limiter.admit(&tenant("a"), &limit).await;
    assert_eq!((decision.mode, decision.allowed), (Mode::Shared, true));
    let left = u64::from(u32::MAX) - full_at / 86_400;
    assert!(u64::from(decision.remaining) > left, "what has passed since 1970 has refilled: {decision:?}");
    assert_eq!(server.run::<u64>(&format!("TTL {KEY}")).await / 1_000_000, 1_000);
}

#[tokio::test]
async fn a_flushed_script_is_loaded_again_and_the_bucket_stays() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(PATIENT);
    assert!(limiter.admit(&tenant("a"), &per_hour(2, 2)).await.allowed);
    let () = server.run("SCRIPT FLUSH").await;
    let decision = limiter.admit(&tenant("a"), &per_hour(2, 2)).await;
    assert_eq!((decision.mode, decision.allowed, decision.remaining), (Mode::Shared, true, 0));
    assert!(!limiter.admit(&tenant("a"), &per_hour(2, 2)).await.allowed);
    assert_eq!(server.calls("script|load").await, 2);
}

#[tokio::test]
async fn an_emptied_redis_goes_on_shared_with_a_full_bucket() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(PATIENT);
    assert!(limiter.admit(&tenant("a"), &per_hour(1, 1)).await.allowed);
    let () = server.run("FLUSHALL").await;
    let decision = limiter.admit(&tenant("a"), &per_hour(1, 1)).await;
    assert_eq!((decision.mode, decision.allowed), (Mode::Shared, true));
    assert!(!limiter.admit(&tenant("a"), &per_hour(1, 1)).await.allowed);
}

#[tokio::test]
async fn a_key_with_something_else_in_it_is_overwritten() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(PATIENT);
    for spoil in [format!("SET {KEY} nonsense"), format!("LPUSH {KEY} nonsense")] {
        let _: redis::Value = server.run(&spoil).await;
        let decision = limiter.admit(&tenant("a"), &per_hour(3, 3)).await;
        assert_eq!((decision.mode, decision.allowed, decision.remaining), (Mode::Shared, true, 2));
        let () = server.run("FLUSHALL").await;
    }
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_refused_without_being_quoted() {
    let bad =
        ["", "s3cret", "http://u:s3cret@h", "redis://u:s3cret@", "redis://u:s3cret@h:port", "redis://u:s3cret@h/db"];
    for url in bad {
        let error = Limiter::redis(url, PATIENT).unwrap_err();
        assert_eq!(error, LimiterError::Url, "{url}");
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
    assert_eq!(Limiter::redis("rediss://u:s3cret@h", PATIENT).unwrap_err(), LimiterError::Tls);
    let good = Limiter::redis("redis://u:s3cret@127.0.0.1:1", PATIENT).unwrap();
    assert!(!format!("{good:?}").contains("s3cret"));
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    assert_eq!(Limiter::redis("redis://127.0.0.1", PATIENT).unwrap_err(), LimiterError::Runtime);
}
