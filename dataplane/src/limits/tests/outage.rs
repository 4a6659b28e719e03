//! A Redis that is slow, hung, gone, read-only or locked.

use super::server::RedisServer;
use super::{Limiter, Mode, RedisOptions, Seen, StoreResult, ask as ask_of, eventually, patient, per_hour, tenant};
use relay_snapshot::RateLimit;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

fn options() -> RedisOptions {
    RedisOptions { replicas: 3, ..RedisOptions::new(String::new()) }
}

fn plenty() -> RateLimit {
    RateLimit { amount: 1_000_000, per_seconds: 1, burst: 1_000_000 }
}

async fn ask(limiter: &Limiter) -> Seen {
    ask_of(limiter, &tenant("a"), &plenty()).await
}

async fn until(limiter: &Limiter, mode: Mode) {
    eventually(mode.label(), async || ask(limiter).await.mode == mode).await;
}

/// Until the circuit is open or the connection given up: no decision waits any more.
async fn until_unasked(limiter: &Limiter) {
    eventually("Redis is left alone", async || {
        let decision = ask(limiter).await;
        decision.mode == Mode::Local && decision.store.is_none()
    })
    .await;
}

#[tokio::test]
async fn a_hung_redis_costs_the_budget_then_nothing_and_is_used_again_when_it_is_back() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(options());
    let limit = per_hour(2, 2);
    until(&limiter, Mode::Shared).await;
    eventually("the bucket in Redis is empty", async || {
        let decision = ask_of(&limiter, &tenant("kept"), &limit).await;
        decision.mode == Mode::Shared && !decision.allowed
    })
    .await;
    server.signal("STOP");
    let decision = ask(&limiter).await;
    assert_eq!((decision.mode, decision.store.unwrap().result), (Mode::Local, StoreResult::Timeout));
    assert!(decision.allowed);
    until_unasked(&limiter).await;
    server.signal("CONT");
    until(&limiter, Mode::Shared).await;
    eventually("the bucket is found as it was left", async || {
        let decision = ask_of(&limiter, &tenant("kept"), &limit).await;
        decision.mode == Mode::Shared && !decision.allowed
    })
    .await;
}

#[tokio::test]
async fn the_budget_bounds_a_decision_while_the_circuit_is_still_closed() {
    let server = RedisServer::start().await;
    // A budget that a busy machine keeps, and still far from the time that the test as a whole has.
    let options = RedisOptions { budget: Duration::from_millis(300), ..options() };
    let limiter = server.limiter(options.clone());
    until(&limiter, Mode::Shared).await;
    server.signal("STOP");
    for _ in 0..5 {
        let decision = timeout(Duration::from_secs(30), ask(&limiter)).await.unwrap();
        let call = decision.store.unwrap();
        assert_eq!((decision.mode, call.result), (Mode::Local, StoreResult::Timeout));
        assert!(call.elapsed >= options.budget);
    }
    until_unasked(&limiter).await;
}

#[tokio::test]
async fn a_killed_redis_is_used_again_when_it_is_back() {
    let mut server = RedisServer::start_on_tcp("s3cret").await;
    let limiter = server.limiter(options());
    for _ in 0..3 {
        until(&limiter, Mode::Shared).await;
        server.kill();
        until_unasked(&limiter).await;
        assert!(ask(&limiter).await.allowed);
        server.restart().await;
    }
    until(&limiter, Mode::Shared).await;
}

#[tokio::test]
async fn a_new_connection_is_tried_at_once_although_the_circuit_is_open() {
    let mut server = RedisServer::start().await;
    // With this budget the circuit alone would not ask again within the time that the test has.
    let limiter = Arc::new(server.limiter(RedisOptions { budget: Duration::from_mins(10), ..options() }));
    assert_eq!(ask(&limiter).await.mode, Mode::Shared);
    server.signal("STOP");
    let mut calls = JoinSet::new();
    for _ in 0..5 {
        let limiter = limiter.clone();
        calls.spawn(async move { ask(&limiter).await });
    }
    // All five have sent their commands after this, on the one thread that there is.
    tokio::task::yield_now().await;
    server.kill();
    for decision in calls.join_all().await {
        assert_eq!((decision.mode, decision.store.unwrap().result), (Mode::Local, StoreResult::Error));
    }
    server.restart().await;
    until(&limiter, Mode::Shared).await;
}

#[tokio::test]
async fn a_redis_that_comes_later_than_the_proxy_is_found() {
    let mut server = RedisServer::start().await;
    server.kill();
    let limiter = server.limiter(options());
    assert_eq!(ask(&limiter).await.mode, Mode::Local);
    until_unasked(&limiter).await;
    server.restart().await;
    until(&limiter, Mode::Shared).await;
}

#[tokio::test]
async fn without_redis_a_proxy_admits_its_share() {
    let mut server = RedisServer::start().await;
    server.kill();
    let limiter = server.limiter(options());
    for (limit, share) in [(per_hour(20, 20), 6), (per_hour(9, 3), 1), (per_hour(1, 1), 1)] {
        let name = tenant(&format!("{}-{share}", limit.amount));
        for left in (0..share).rev() {
            let decision = ask_of(&limiter, &name, &limit).await;
            assert_eq!((decision.mode, decision.allowed), (Mode::Local, true));
            assert_eq!((decision.limit, decision.remaining), (share, left));
        }
        assert!(!ask_of(&limiter, &name, &limit).await.allowed);
    }
    let never = ask_of(&limiter, &tenant("never"), &per_hour(0, 0)).await;
    assert_eq!((never.allowed, never.retry_after), (false, None));
}

#[tokio::test]
async fn the_rate_of_a_share_is_divided_too() {
    let mut server = RedisServer::start().await;
    server.kill();
    let limiter = server.limiter(options());
    assert!(ask_of(&limiter, &tenant("a"), &per_hour(12, 3)).await.allowed);
    let retry_after = ask_of(&limiter, &tenant("a"), &per_hour(12, 3)).await.retry_after.unwrap();
    // 12 an hour over 3 proxies: one each 15 minutes.
    assert!(retry_after > Duration::from_mins(14) && retry_after <= Duration::from_mins(15), "{retry_after:?}");
}

#[tokio::test]
async fn a_read_only_redis_counts_as_an_error_and_is_used_again_when_it_is_master() {
    let server = RedisServer::start().await;
    // Not longer, for a probe follows the one before it no sooner than the budget.
    let limiter = server.limiter(RedisOptions { budget: Duration::from_secs(1), ..options() });
    until(&limiter, Mode::Shared).await;
    let () = server.run("REPLICAOF 127.0.0.1 1").await;
    let decision = ask(&limiter).await;
    assert_eq!((decision.mode, decision.store.unwrap().result), (Mode::Local, StoreResult::Error));
    until_unasked(&limiter).await;
    let () = server.run("REPLICAOF NO ONE").await;
    until(&limiter, Mode::Shared).await;
}

#[tokio::test]
async fn clients_that_go_away_during_a_hang_leave_nothing_behind() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(options());
    until(&limiter, Mode::Shared).await;
    server.signal("STOP");
    for _ in 0..3000 {
        // Polled once, then dropped.
        let _ = timeout(Duration::ZERO, ask(&limiter)).await;
    }
    assert_eq!(ask(&limiter).await.mode, Mode::Local);
    server.signal("CONT");
    until(&limiter, Mode::Shared).await;
}

#[tokio::test]
async fn a_dropped_limiter_closes_its_connection() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(patient());
    assert_eq!(ask(&limiter).await.mode, Mode::Shared);
    // One of them is the one that asks; Redis takes a moment to notice that earlier ones have gone.
    let connections = async |count| server.run::<String>("CLIENT LIST").await.lines().count() == count;
    eventually("the limiter has one connection", async || connections(2).await).await;
    drop(limiter);
    eventually("the limiter has none", async || connections(1).await).await;
}

#[tokio::test]
async fn an_outage_under_load_fails_no_decision_and_hangs_none() {
    let server = RedisServer::start().await;
    let limiter = Arc::new(server.limiter(options()));
    until(&limiter, Mode::Shared).await;
    server.signal("STOP");
    let mut calls = JoinSet::new();
    for _ in 0..2000 {
        let limiter = limiter.clone();
        calls.spawn(async move { ask(&limiter).await });
    }
    let decisions = timeout(Duration::from_secs(30), calls.join_all()).await.unwrap();
    assert!(decisions.iter().all(|decision| decision.allowed && decision.mode == Mode::Local));
    server.signal("CONT");
    until(&limiter, Mode::Shared).await;
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_refused_password_is_a_local_decision_and_never_in_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    // While there is a single subscriber in the process, tracing asks the thread that comes by a log line first, which may be
    // another test's without any, and then leaves the line out for all.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = RedisServer::start_on_tcp("right").await;
    let limiter =
        Limiter::redis(&RedisOptions { url: server.url().replace("right", "s3cret").into(), ..options() }).unwrap();
    until_unasked(&limiter).await;
    let right = server.limiter(options());
    until(&right, Mode::Shared).await;
    let () = server.run("CLIENT KILL TYPE normal").await;
    until(&right, Mode::Shared).await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("no connection to Redis") && text.contains("connected to Redis"), "{text}");
    assert!(!text.contains("s3cret") && !text.contains("right"), "{text}");
}
