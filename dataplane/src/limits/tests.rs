use super::{Decision, Limiter, LimiterError, Mode, RedisOptions, StoreResult};
use relay_snapshot::{ObjectId, RateLimit};
use std::time::Duration;

mod behaviours;
mod memory;
mod outage;
mod redis;
pub(in crate::limits) mod server;

/// For tests that count exactly: a busy machine must not push a decision over its budget.
const PATIENT: RedisOptions = RedisOptions { replicas: 1, budget: Duration::from_secs(20) };

fn tenant(name: &str) -> ObjectId {
    ObjectId::new("team", name)
}

fn per_hour(amount: u32, burst: u32) -> RateLimit {
    RateLimit { amount, per_seconds: 3600, burst }
}

/// Tries until it is so; a condition that never comes true fails the test.
async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let tries = async {
        let mut interval = tokio::time::interval(Duration::from_millis(5));
        loop {
            interval.tick().await;
            if condition().await {
                break;
            }
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(30), tries).await.is_ok(),
        "in 30 s it never came true that {what}"
    );
}
