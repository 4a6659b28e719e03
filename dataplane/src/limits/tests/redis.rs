//! What only Redis does: sharing, expiry, round trips, and its keys.

use super::server::RedisServer;
use super::{Limiter, LimiterError, Mode, RedisOptions, StoreResult, ask, patient, per_hour, tenant};
use std::sync::Arc;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_calls_over_three_proxies_admit_exactly_five() {
    let server = RedisServer::start().await;
    let mut calls = JoinSet::new();
    for _ in 0..3 {
        let limiter = Arc::new(server.limiter(patient()));
        for _ in 0..20 {
            let limiter = limiter.clone();
            calls.spawn(async move { ask(&limiter, &tenant("a"), &per_hour(5, 5)).await });
        }
    }
    let decisions = calls.join_all().await;
    assert!(decisions.iter().all(|decision| decision.mode == Mode::Shared));
    assert_eq!(decisions.iter().filter(|decision| decision.allowed).count(), 5);
    let mut left: Vec<u64> = decisions.iter().filter(|d| d.allowed).map(|d| d.remaining).collect();
    left.sort_unstable();
    assert_eq!(left, [0, 1, 2, 3, 4]);
    assert!(decisions.iter().all(|decision| decision.allowed != decision.retry_after.is_some()));
}

#[tokio::test]
async fn a_decision_is_one_round_trip() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(patient());
    assert!(ask(&limiter, &tenant("a"), &per_hour(50, 50)).await.allowed);
    let before = (server.calls("evalsha").await, server.calls("script|load").await, server.calls("eval").await);
    for _ in 0..100 {
        let call = ask(&limiter, &tenant("a"), &per_hour(50, 50)).await.store.unwrap();
        assert_eq!(call.result, StoreResult::Ok);
    }
    let after = (server.calls("evalsha").await, server.calls("script|load").await, server.calls("eval").await);
    // A heartbeat may come between.
    assert!((100..=101).contains(&(after.0 - before.0)), "{before:?} {after:?}");
    assert_eq!((after.1, after.2), (before.1, before.2));
}

#[tokio::test]
async fn a_flushed_script_is_loaded_again_and_the_bucket_stays() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(patient());
    assert!(ask(&limiter, &tenant("a"), &per_hour(2, 2)).await.allowed);
    let () = server.run("SCRIPT FLUSH").await;
    let decision = ask(&limiter, &tenant("a"), &per_hour(2, 2)).await;
    assert_eq!((decision.mode, decision.allowed, decision.remaining), (Mode::Shared, true, 0));
    assert!(!ask(&limiter, &tenant("a"), &per_hour(2, 2)).await.allowed);
}

#[tokio::test]
async fn an_emptied_redis_goes_on_shared_with_a_full_bucket() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(patient());
    assert!(ask(&limiter, &tenant("a"), &per_hour(1, 1)).await.allowed);
    let () = server.run("FLUSHALL").await;
    let decision = ask(&limiter, &tenant("a"), &per_hour(1, 1)).await;
    assert_eq!((decision.mode, decision.allowed), (Mode::Shared, true));
    assert!(!ask(&limiter, &tenant("a"), &per_hour(1, 1)).await.allowed);
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_refused_without_being_quoted() {
    let open = |url: &str| Limiter::redis(&RedisOptions::new(url.to_owned()));
    let bad =
        ["", "s3cret", "http://u:s3cret@h", "redis://u:s3cret@", "redis://u:s3cret@h:port", "redis://u:s3cret@h/db"];
    for url in bad {
        let error = open(url).unwrap_err();
        assert_eq!(error, LimiterError::Url, "{url}");
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
    let good = open("redis://u:s3cret@127.0.0.1:1").unwrap();
    assert!(!format!("{good:?}").contains("s3cret"));
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let options = RedisOptions::new("redis://127.0.0.1".to_owned());
    assert_eq!(Limiter::redis(&options).unwrap_err(), LimiterError::Runtime);
}
