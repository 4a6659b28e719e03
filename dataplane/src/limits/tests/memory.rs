use super::{Limiter, Mode, ask, per_hour, tenant};
use std::time::Duration;
use tokio::time::advance;

#[tokio::test(start_paused = true)]
async fn a_request_passes_at_retry_after_and_not_sooner() {
    let limiter = Limiter::memory();
    assert!(ask(&limiter, &tenant("a"), &per_hour(7, 1)).await.allowed);
    let retry_after = ask(&limiter, &tenant("a"), &per_hour(7, 1)).await.retry_after.unwrap();
    advance(retry_after.checked_sub(Duration::from_millis(1)).unwrap()).await;
    assert!(!ask(&limiter, &tenant("a"), &per_hour(7, 1)).await.allowed);
    advance(Duration::from_millis(1)).await;
    assert!(ask(&limiter, &tenant("a"), &per_hour(7, 1)).await.allowed);
}

#[tokio::test(start_paused = true)]
async fn proxies_without_redis_hold_a_share_each() {
    let proxies = [Limiter::memory_share(3), Limiter::memory_share(3), Limiter::memory_share(3)];
    let mut admitted = 0;
    for proxy in &proxies {
        for _ in 0..20 {
            let decision = ask(proxy, &tenant("a"), &per_hour(9, 9)).await;
            assert_eq!((decision.limit, decision.mode), (3, Mode::Local));
            admitted += u32::from(decision.allowed);
        }
    }
    assert_eq!(admitted, 9);
}
