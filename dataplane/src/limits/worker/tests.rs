//! What the worker does by the clock, and what it does sooner.

use super::HEARTBEAT_TICKS;
use crate::limits::redis::{Redis, State};
use crate::limits::tenants::REMEMBERED;
use crate::limits::tests::server::RedisServer;
use crate::limits::tests::{budget, eventually, held, patient, per_hour, plan, refused, requests, tenant, tokens};
use crate::limits::{ACQUAINTED, Estimate, Inner, Limiter, LimitsMode, RedisOptions, Store, TenantPlan, Used};
use relay_snapshot::{Limits, Unavailable};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::sleep;

const ESTIMATE: Estimate = Estimate { input: 10, output: 90, characters: 0 };

fn limited(limits: Limits) -> TenantPlan {
    plan(&tenant("a"), limits, Unavailable::Local)
}

#[tokio::test(start_paused = true)]
async fn a_stream_keeps_its_place_for_as_long_as_it_runs() {
    let limiter = Limiter::memory();
    let plan = limited(Limits { streams: Some(1), ..Limits::default() });
    let running = held(limiter.admit(&plan, None, ESTIMATE).await);
    sleep(Duration::from_hours(2)).await;
    assert_eq!(&*refused(limiter.admit(&plan, None, ESTIMATE).await).0.key, "streams");
    drop(running);
    held(limiter.admit(&plan, None, ESTIMATE).await);
}

#[tokio::test(start_paused = true)]
async fn a_reservation_is_settled_whole_after_hours() {
    let limiter = Limiter::memory();
    let plan = limited(tokens(per_hour(1, 1000)));
    let running = held(limiter.admit(&plan, None, ESTIMATE).await);
    sleep(Duration::from_mins(90)).await;
    running.settle(Used { input: 10, output: 990, characters: 0 });
    let (limit, _) = refused(limiter.admit(&plan, None, ESTIMATE).await);
    assert_eq!(limit.remaining, 1, "100 were reserved and 900 more are charged; one token an hour comes back");
}

#[tokio::test(start_paused = true)]
async fn new_requests_see_what_running_streams_drew_within_two_seconds() {
    let limiter = Limiter::memory();
    let plan = limited(Limits { budgets: vec![budget(1000, true)], ..Limits::default() });
    let running = held(limiter.admit(&plan, None, ESTIMATE).await);
    running.progress(Used { input: 10, output: 500, characters: 0 });
    sleep(Duration::from_secs(2)).await;
    let standings = limiter.admit(&plan, None, Estimate::default()).await.standings;
    assert_eq!(standings[0].remaining, 490);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_sends_nothing_for_long_is_forgotten_and_one_that_holds_something_is_not() {
    let limiter = Limiter::memory();
    let (quiet, busy) = (tenant("quiet"), tenant("busy"));
    limiter.admit(&plan(&quiet, requests(per_hour(1, 1)), Unavailable::Local), None, ESTIMATE).await;
    let holds = plan(&busy, tokens(per_hour(1, 1000)), Unavailable::Local);
    let _running = held(limiter.admit(&holds, None, ESTIMATE).await);
    let known = || {
        let mut ids: Vec<String> = limiter.inner.tenants.all().iter().map(|state| state.id.name.clone()).collect();
        ids.sort();
        ids
    };
    sleep(REMEMBERED.checked_sub(Duration::from_mins(11)).unwrap()).await;
    assert_eq!(known(), ["busy", "quiet"]);
    sleep(Duration::from_mins(22)).await;
    assert_eq!(known(), ["busy"]);
}

#[test]
fn a_proxy_is_counted_without_a_gap() {
    // Two words may be lost.
    assert!(super::PRESENT >= 3 * super::TICK * u32::try_from(HEARTBEAT_TICKS).unwrap());
}

/// A limiter whose worker has its first tick, at once, and no other.
fn without_ticks(server: &RedisServer) -> Limiter {
    let options = RedisOptions { url: server.url().to_owned().into(), ..patient() };
    let redis = Redis::open(&options, &Handle::current()).unwrap();
    let inner = Arc::new(Inner::new(Store::Redis(redis), 1, LimitsMode::Shared));
    let worker = tokio::spawn(super::run_every(Arc::clone(&inner), Duration::from_hours(1)));
    Limiter { inner, worker: OnceLock::from(worker.abort_handle()) }
}

#[tokio::test]
async fn a_budget_that_is_about_to_be_spent_is_told_of_before_the_next_tick() {
    let server = RedisServer::start().await;
    let (limiter, other) = (without_ticks(&server), server.limiter(patient()));
    let plan = limited(Limits { budgets: vec![budget(1000, true)], ..Limits::default() });
    let (here, there) =
        (held(limiter.admit(&plan, None, ESTIMATE).await), held(other.admit(&plan, None, ESTIMATE).await));
    for output in [200, 400, 600, 800] {
        here.progress(Used { input: 10, output, characters: 0 });
        eventually("it is told", async || {
            let decision = other.admit(&plan, None, Estimate::default()).await;
            decision.standings[0].remaining == 1000 - 20 - output
        })
        .await;
    }
    // The other's tick, or what it drew itself, tells it; then this one's next word tells the rest here.
    there.progress(Used { input: 10, output: 180, characters: 0 });
    there.stop().unwrap().cancelled().await;
    here.progress(Used { input: 10, output: 830, characters: 0 });
    here.stop().unwrap().cancelled().await;
}

#[tokio::test]
async fn of_a_redis_that_hangs_no_more_is_asked_than_is_on_its_way() {
    let server = RedisServer::start().await;
    let limiter = without_ticks(&server);
    let mut running = Vec::new();
    for name in 0..100 {
        let plan = plan(&tenant(&name.to_string()), tokens(per_hour(1, 1000)), Unavailable::Local);
        running.push(held(limiter.admit(&plan, None, ESTIMATE).await));
    }
    let before = server.calls("evalsha").await;
    server.signal("STOP");
    let inner = &limiter.inner;
    let Store::Redis(redis) = &inner.store else { panic!("it is by Redis") };
    let State::Up(link) = redis.links.borrow().clone() else { panic!("it is connected") };
    let worker = super::Worker::new(inner);
    assert!(!worker.refresh_all(redis, &link, inner.tenants.all()).await);
    server.signal("CONT");
    // It answers in order.
    limiter.admit(&limited(requests(per_hour(1, 1))), None, ESTIMATE).await;
    let asked = server.calls("evalsha").await - before - 1;
    assert_eq!(asked, u64::try_from(super::refreshing::AT_ONCE).unwrap());
}

#[tokio::test(start_paused = true)]
async fn fewer_proxies_than_are_said_to_be_there_are_believed_once_all_had_time_to_be_counted() {
    let limiter = Limiter::memory_share(3);
    limiter.inner.counted(1);
    assert_eq!(limiter.inner.proxies(), 3);
    limiter.inner.counted(4);
    assert_eq!(limiter.inner.proxies(), 4);
    sleep(ACQUAINTED).await;
    limiter.inner.counted(2);
    assert_eq!(limiter.inner.proxies(), 2);
    limiter.inner.counted(0);
    assert_eq!(limiter.inner.proxies(), 1, "this one is there");
}
