use super::{
    Decision, Estimate, Limiter, LimiterError, LimitsMode, Mode, RedisOptions, Refused, Reservation, Standing,
    StoreCall, StoreResult, TenantPlan, Used, Verdict,
};
use relay_snapshot::{Budget, Calendar, Count, Limits, ObjectId, RateLimit, Tenant, TokenLimit, Unavailable, Unit};
use std::time::Duration;

/// Each of these behaviours as a test on memory (with a paused clock) and as one on Redis.
macro_rules! on_both {
    ($($behaviour:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test(start_paused = true)]
            async fn $behaviour() {
                super::$behaviour($crate::limits::Limiter::memory()).await;
            })*
        }
        mod in_redis {
            $(#[tokio::test]
            async fn $behaviour() {
                let server = $crate::limits::tests::server::RedisServer::start().await;
                super::$behaviour(server.limiter($crate::limits::tests::patient())).await;
            })*
        }
    };
}

mod behaviours;
mod kinds;
mod memory;
mod outage;
mod recovery;
mod redis;
mod reservations;
pub(in crate::limits) mod server;
mod settles;
mod shares;
mod sick;

/// For tests that count exactly: a busy machine must not push a decision over its budget.
const PATIENT: Duration = Duration::from_secs(20);

pub(in crate::limits) fn patient() -> RedisOptions {
    RedisOptions { budget: PATIENT, ..RedisOptions::new(String::new()) }
}

pub(in crate::limits) fn tenant(name: &str) -> ObjectId {
    ObjectId::new("team", name)
}

pub(in crate::limits) fn per_hour(amount: u32, burst: u32) -> RateLimit {
    RateLimit { amount, per_seconds: 3600, burst }
}

pub(in crate::limits) fn plan(id: &ObjectId, limits: Limits, on_unavailable: Unavailable) -> TenantPlan {
    TenantPlan::new(&Tenant { limits, on_unavailable, ..Tenant::new(id.clone()) })
}

pub(in crate::limits) fn requests(limit: RateLimit) -> Limits {
    Limits { requests: Some(limit), ..Limits::default() }
}

pub(in crate::limits) fn tokens(limit: RateLimit) -> Limits {
    Limits { tokens: Some(TokenLimit { rate: limit, count: Count::Total }), ..Limits::default() }
}

pub(in crate::limits) fn budget(amount: u64, stops_streams: bool) -> Budget {
    Budget {
        name: "day".into(),
        unit: Unit::Tokens,
        amount,
        per: Calendar::Day,
        time_zone: "UTC".into(),
        stops_streams,
    }
}

/// A decision on a single limit.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    allowed: bool,
    limit: u64,
    remaining: u64,
    reset: Duration,
    retry_after: Option<Duration>,
    mode: Mode,
    store: Option<StoreCall>,
}

/// One request of a tenant that has this limit of requests alone.
async fn ask(limiter: &Limiter, id: &ObjectId, limit: &RateLimit) -> Seen {
    let decision = limiter.admit(&plan(id, requests(*limit), Unavailable::Local), None, Estimate::default()).await;
    let [standing] = &decision.standings[..] else { panic!("one limit, one standing: {decision:?}") };
    let (allowed, retry_after) = match decision.verdict {
        Verdict::Admitted(None) => (true, None),
        Verdict::Refused { retry_after, .. } => (false, retry_after),
        other => panic!("a count of requests is settled at once: {other:?}"),
    };
    let Standing { limit, remaining, reset, .. } = *standing;
    Seen { allowed, limit, remaining, reset, retry_after, mode: decision.mode, store: decision.store }
}

/// What it holds.
pub(in crate::limits) fn held(decision: Decision) -> Reservation {
    match decision.verdict {
        Verdict::Admitted(Some(reservation)) => reservation,
        other => panic!("not admitted, or nothing is held: {other:?}"),
    }
}

pub(in crate::limits) fn refused(decision: Decision) -> (Refused, Option<Duration>) {
    match decision.verdict {
        Verdict::Refused { limit, retry_after } => (limit, retry_after),
        other => panic!("not refused: {other:?}"),
    }
}

/// Tries until it is so; a condition that never comes true fails the test.
pub(in crate::limits) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
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
