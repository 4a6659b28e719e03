use super::super::gcra::Rule;
use super::super::memory::Memory;
use super::{Limiter, Mode, per_hour, tenant};
use relay_snapshot::RateLimit;
use std::time::Duration;
use tokio::time::advance;

#[tokio::test(start_paused = true)]
async fn a_request_passes_at_retry_after_and_not_sooner() {
    let limiter = Limiter::memory();
    assert!(limiter.admit(&tenant("a"), &per_hour(7, 1)).await.allowed);
    let retry_after = limiter.admit(&tenant("a"), &per_hour(7, 1)).await.retry_after.unwrap();
    advance(retry_after.checked_sub(Duration::from_millis(1)).unwrap()).await;
    assert!(!limiter.admit(&tenant("a"), &per_hour(7, 1)).await.allowed);
    advance(Duration::from_millis(1)).await;
    assert!(limiter.admit(&tenant("a"), &per_hour(7, 1)).await.allowed);
}

#[tokio::test(start_paused = true)]
async fn full_buckets_are_swept() {
    let memory = Memory::new();
    let rule = Rule::new(&RateLimit { amount: 1, per_seconds: 1, burst: 10 }).unwrap();
    for tenant_of_the_past in 0..50_000 {
        memory.admit(&tenant(&tenant_of_the_past.to_string()), rule);
        advance(Duration::from_millis(1)).await;
    }
    // A bucket is full again after a second: some 1000 are not, and a shard of the 32 may hold 64.
    assert!(memory.entries() <= 32 * 64 + 2000, "{} entries", memory.entries());
}

#[tokio::test(start_paused = true)]
async fn a_bucket_in_use_is_never_swept() {
    let memory = Memory::new();
    let slow = Rule::new(&per_hour(1, 1)).unwrap();
    let quick = Rule::new(&RateLimit { amount: 1000, per_seconds: 1, burst: 1 }).unwrap();
    assert!(memory.admit(&tenant("slow"), slow).allowed);
    for other in 0..20_000 {
        memory.admit(&tenant(&other.to_string()), quick);
        advance(Duration::from_millis(1)).await;
    }
    assert!(!memory.admit(&tenant("slow"), slow).allowed);
}

#[tokio::test(start_paused = true)]
async fn proxies_without_redis_hold_a_share_each() {
    let proxies = [Limiter::memory_share(3), Limiter::memory_share(3), Limiter::memory_share(3)];
    let mut admitted = 0;
    for proxy in &proxies {
        for _ in 0..20 {
            let decision = proxy.admit(&tenant("a"), &per_hour(9, 9)).await;
            assert_eq!((decision.limit, decision.mode), (3, Mode::Local));
            admitted += u32::from(decision.allowed);
        }
    }
    assert_eq!(admitted, 9);
}
