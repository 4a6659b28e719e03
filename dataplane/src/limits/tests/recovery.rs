//! What becomes of requests when Redis goes away, and of what it missed when it is back.

use super::server::RedisServer;
use super::{
    Estimate, Limiter, LimitsMode, Mode, RedisOptions, TenantPlan, Used, Verdict, budget, eventually, held, per_hour,
    plan, refused, requests, tenant, tokens,
};
use crate::limits::publish::Settled;
use relay_snapshot::{Limits, Unavailable};
use std::time::Duration;

const ESTIMATE: Estimate = Estimate { input: 10, output: 90, characters: 0 };

/// A second for a decision: a busy machine must not take a sound Redis for a sick one.
fn options() -> RedisOptions {
    RedisOptions { budget: Duration::from_secs(1), ..RedisOptions::new(String::new()) }
}

fn used(input: u64, output: u64) -> Used {
    Used { input, output, characters: 0 }
}

fn limited(limits: Limits) -> TenantPlan {
    plan(&tenant("a"), limits, Unavailable::Local)
}

async fn until_mode(limiter: &Limiter, mode: &str) {
    eventually(mode, async || limiter.mode().borrow().label() == mode).await;
}

/// Until Redis decides.
async fn until_shared(limiter: &Limiter) {
    let plan = plan(&tenant("nobody"), requests(per_hour(1, 1)), Unavailable::Local);
    eventually("Redis decides", async || limiter.admit(&plan, None, Estimate::default()).await.mode == Mode::Shared)
        .await;
}

async fn until_left(limiter: &Limiter, plan: &TenantPlan, expected: u64) {
    let mut seen = 0;
    let what = format!("{expected} are left");
    eventually(&what, async || {
        let decision = limiter.admit(plan, None, Estimate::default()).await;
        seen = decision.standings[0].remaining;
        decision.mode == Mode::Shared && seen == expected
    })
    .await;
}

/// How many pass at once.
async fn pass(limiter: &Limiter, plan: &TenantPlan, mode: Mode) -> usize {
    let mut passed = 0;
    loop {
        let decision = limiter.admit(plan, None, Estimate::default()).await;
        assert_eq!(decision.mode, mode);
        match decision.verdict {
            Verdict::Admitted(None) => passed += 1,
            Verdict::Refused { .. } => return passed,
            other => panic!("{other:?}"),
        }
    }
}

/// A limiter that is connected, and its server, which is then killed.
async fn cut_off(before: impl AsyncFnOnce(&Limiter)) -> (RedisServer, Limiter) {
    let mut server = RedisServer::start().await;
    let limiter = server.limiter(options());
    until_shared(&limiter).await;
    before(&limiter).await;
    server.kill();
    // A probe finds out, as long as nobody asks.
    let nobody = plan(&tenant("nobody"), requests(per_hour(1, 1)), Unavailable::Local);
    limiter.admit(&nobody, None, Estimate::default()).await;
    until_mode(&limiter, "local").await;
    (server, limiter)
}

#[tokio::test]
async fn requests_that_passed_meanwhile_are_charged_when_redis_is_back() {
    let (mut server, limiter) = cut_off(async |_| ()).await;
    let plan = limited(requests(per_hour(1, 50)));
    for _ in 0..20 {
        let decision = limiter.admit(&plan, None, Estimate::default()).await;
        assert!(matches!((decision.mode, decision.verdict), (Mode::Local, Verdict::Admitted(None))));
    }
    server.restart().await;
    let other = server.limiter(options());
    until_mode(&limiter, "shared").await;
    assert_eq!(pass(&other, &plan, Mode::Shared).await, 30);
}

#[tokio::test]
async fn streams_that_began_and_ended_meanwhile_are_charged_with_what_they_used() {
    let (mut server, limiter) = cut_off(async |_| ()).await;
    let plan = limited(tokens(per_hour(1, 1000)));
    for output in 0..5 {
        held(limiter.admit(&plan, None, ESTIMATE).await).settle(used(10, output));
    }
    assert_eq!(limiter.inner.counts.of(Settled::Local), 5);
    server.restart().await;
    let other = server.limiter(options());
    until_mode(&limiter, "shared").await;
    until_left(&other, &plan, 1000 - 50 - 10).await;
}

#[tokio::test]
async fn streams_that_began_meanwhile_are_held_by_redis_when_it_is_back_and_settled_there() {
    let (mut server, limiter) = cut_off(async |_| ()).await;
    let plan = limited(Limits { streams: Some(3), ..tokens(per_hour(1, 1000)) });
    let running = held(limiter.admit(&plan, None, ESTIMATE).await);
    running.progress(used(10, 5));
    server.restart().await;
    let other = server.limiter(options());
    until_mode(&limiter, "shared").await;
    let decision = other.admit(&plan, None, Estimate::default()).await;
    let left: Vec<u64> = decision.standings.iter().map(|standing| standing.remaining).collect();
    assert_eq!(left, [900, 1], "the reservation and its place, and the place of this request");
    drop(decision);
    running.settle(used(10, 20));
    until_left(&other, &plan, 970).await;
    eventually("it is counted", async || limiter.inner.counts.of(Settled::Shared) == 1).await;
}

#[tokio::test]
async fn a_settle_waits_for_redis() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(options());
    until_shared(&limiter).await;
    let plan = limited(tokens(per_hour(1, 1000)));
    let running = held(limiter.admit(&plan, None, ESTIMATE).await);
    server.signal("STOP");
    running.settle(used(10, 30));
    until_mode_by_requests(&limiter, "local").await;
    server.signal("CONT");
    until_mode(&limiter, "shared").await;
    until_left(&server.limiter(options()), &plan, 960).await;
    eventually("it is counted", async || limiter.inner.counts.of(Settled::Shared) == 1).await;
}

/// Requests find out that Redis hangs.
async fn until_mode_by_requests(limiter: &Limiter, mode: &str) {
    let plan = plan(&tenant("nobody"), requests(per_hour(1, 1)), Unavailable::Local);
    eventually(mode, async || {
        limiter.admit(&plan, None, Estimate::default()).await;
        limiter.mode().borrow().label() == mode
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_came_too_late_holds_nothing() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(RedisOptions { budget: Duration::from_millis(100), ..options() });
    until_shared(&limiter).await;
    let plan = limited(Limits { streams: Some(1), ..tokens(per_hour(1, 1000)) });
    server.signal("STOP");
    // Redis will do this when it goes on; the relay has decided by itself meanwhile.
    let decision = limiter.admit(&plan, None, ESTIMATE).await;
    assert_eq!(decision.mode, Mode::Local);
    held(decision).settle(used(10, 0));
    server.signal("CONT");
    let other = server.limiter(options());
    until_left(&other, &plan, 990).await;
    eventually("the place is free", async || {
        let decision = other.admit(&plan, None, Estimate::default()).await;
        matches!(decision.verdict, Verdict::Admitted(Some(_)))
    })
    .await;
}

#[tokio::test]
async fn the_share_begins_with_what_was_left() {
    let mut server = RedisServer::start().await;
    let proxies: Vec<Limiter> = (0..3).map(|_| server.limiter(options())).collect();
    for proxy in &proxies {
        until_shared(proxy).await;
    }
    let limiter = &proxies[0];
    eventually("all three are counted", async || limiter.inner.proxies() == 3).await;
    let plan = limited(requests(per_hour(1, 100)));
    for _ in 0..40 {
        assert!(matches!(limiter.admit(&plan, None, Estimate::default()).await.verdict, Verdict::Admitted(None)));
    }
    server.kill();
    limiter.admit(&plan, None, Estimate::default()).await;
    until_mode(limiter, "local").await;
    // 60 were left, 20 for each; one of them has passed.
    assert_eq!(pass(limiter, &plan, Mode::Local).await, 19);
}

#[tokio::test]
async fn the_share_of_a_budget_begins_with_what_was_left() {
    let plan = limited(Limits { budgets: vec![budget(1000, false)], ..Limits::default() });
    let spend = async |limiter: &Limiter| held(limiter.admit(&plan, None, ESTIMATE).await).settle(used(300, 350));
    let (_server, limiter) = cut_off(async |limiter| {
        spend(limiter).await;
        until_left(limiter, &plan, 350).await;
    })
    .await;
    let mut running = Vec::new();
    for _ in 0..3 {
        running.push(held(limiter.admit(&plan, None, ESTIMATE).await));
    }
    let (limit, _) = refused(limiter.admit(&plan, None, ESTIMATE).await);
    assert_eq!((&*limit.key, limit.limit, limit.remaining), ("budget/day", 350, 50));
}

#[tokio::test]
async fn streams_that_run_count_in_the_share_wherever_they_were_admitted() {
    let plan = limited(Limits { streams: Some(2), ..Limits::default() });
    let mut running = Vec::new();
    let (_server, limiter) =
        cut_off(async |limiter| running.push(held(limiter.admit(&plan, None, ESTIMATE).await))).await;
    running.push(held(limiter.admit(&plan, None, ESTIMATE).await));
    assert_eq!(&*refused(limiter.admit(&plan, None, ESTIMATE).await).0.key, "streams");
    running.swap_remove(0).settle(Used::default());
    held(limiter.admit(&plan, None, ESTIMATE).await);
}

#[tokio::test]
async fn a_tenant_that_prefers_it_goes_on_without_limits_and_is_charged_later() {
    let (mut server, limiter) = cut_off(async |_| ()).await;
    let plan = plan(&tenant("a"), requests(per_hour(1, 5)), Unavailable::Allow);
    for _ in 0..8 {
        let decision = limiter.admit(&plan, None, Estimate::default()).await;
        assert!(matches!((decision.mode, decision.verdict), (Mode::Allow, Verdict::Admitted(None))));
    }
    server.restart().await;
    until_mode(&limiter, "shared").await;
    let (_, wait) = refused(limiter.admit(&plan, None, Estimate::default()).await);
    // Three of debt, and the one that this request needs.
    assert!(wait.unwrap() > Duration::from_hours(3), "{wait:?}");
}

#[tokio::test]
async fn a_tenant_that_prefers_it_is_refused() {
    let (mut server, limiter) = cut_off(async |_| ()).await;
    let plan = plan(&tenant("a"), requests(per_hour(1, 5)), Unavailable::Deny);
    let decision = limiter.admit(&plan, None, Estimate::default()).await;
    assert!(matches!(decision.verdict, Verdict::Unavailable), "{decision:?}");
    server.restart().await;
    until_mode(&limiter, "shared").await;
    assert_eq!(pass(&limiter, &plan, Mode::Shared).await, 5);
}

#[tokio::test]
async fn a_budget_that_is_spent_by_one_proxy_ends_the_streams_of_the_others() {
    let server = RedisServer::start().await;
    let (one, other) = (server.limiter(options()), server.limiter(options()));
    let plan = limited(Limits { budgets: vec![budget(100, true)], ..Limits::default() });
    let here = held(one.admit(&plan, None, ESTIMATE).await);
    let there = held(other.admit(&plan, None, ESTIMATE).await);
    here.progress(used(10, 80));
    assert!(here.stop().is_some_and(|stop| !stop.is_cancelled()), "it does not know of the other's reservation yet");
    let both = async { tokio::join!(here.stop().unwrap().cancelled(), there.stop().unwrap().cancelled()) };
    tokio::time::timeout(Duration::from_secs(30), both).await.unwrap();
}

#[tokio::test]
async fn what_an_emptied_redis_forgot_is_held_again() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(options());
    let plan = limited(Limits { streams: Some(1), budgets: vec![budget(1000, true)], ..Limits::default() });
    let running = held(limiter.admit(&plan, None, ESTIMATE).await);
    let () = server.run("FLUSHALL").await;
    let other = server.limiter(options());
    eventually("the place is taken again", async || server.run::<u64>("ZCARD relay:{team/a}:open").await == 1).await;
    assert_eq!(&*refused(other.admit(&plan, None, ESTIMATE).await).0.key, "streams");
    running.settle(used(10, 20));
    eventually("it is free", async || server.run::<u64>("ZCARD relay:{team/a}:open").await == 0).await;
}

#[tokio::test]
async fn what_is_held_is_said_to_be_held_again_and_again() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(options());
    let plan = limited(Limits { budgets: vec![budget(1000, true)], ..Limits::default() });
    let _running = held(limiter.admit(&plan, None, ESTIMATE).await);
    let expiry = async || {
        let open: Vec<(String, f64)> = server.run("ZRANGE relay:{team/a}:open 0 -1 WITHSCORES").await;
        open[0].1
    };
    let first = expiry().await;
    eventually("it runs out later", async || expiry().await > first).await;
}

#[tokio::test]
async fn the_end_of_the_process_sends_what_is_left_and_leaves_the_count() {
    let server = RedisServer::start().await;
    let (limiter, other) = (server.limiter(options()), server.limiter(options()));
    until_shared(&limiter).await;
    until_shared(&other).await;
    let plan = limited(tokens(per_hour(1, 100_000)));
    let mut running = Vec::new();
    for _ in 0..300 {
        running.push(held(limiter.admit(&plan, None, ESTIMATE).await));
    }
    for reservation in running {
        reservation.settle(used(10, 0));
    }
    limiter.close().await;
    assert_eq!(limiter.inner.counts.of(Settled::Shared), 300);
    until_left(&other, &plan, 97_000).await;
    assert_eq!(server.run::<u64>("ZCARD relay:{proxies}").await, 1);
}

#[tokio::test]
async fn a_request_whose_client_left_while_redis_was_asked_holds_nothing_for_long() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(options());
    until_shared(&limiter).await;
    let plan = limited(tokens(per_hour(1, 1000)));
    server.signal("STOP");
    let left = tokio::time::timeout(Duration::from_millis(20), limiter.admit(&plan, None, ESTIMATE)).await;
    assert!(left.is_err());
    server.signal("CONT");
    until_left(&server.limiter(options()), &plan, 1000).await;
}

#[tokio::test]
async fn a_redis_that_is_away_from_the_start_is_told_as_the_reason() {
    let mut server = RedisServer::start().await;
    server.kill();
    let limiter = server.limiter(options());
    until_mode(&limiter, "local").await;
    let mode = *limiter.mode().borrow();
    assert_eq!(mode, LimitsMode::Local { reason: "there is no connection to Redis" });
    server.restart().await;
    until_mode(&limiter, "shared").await;
}

#[tokio::test]
async fn what_an_emptied_redis_forgot_is_charged_at_its_end_all_the_same() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(options());
    let plan = limited(tokens(per_hour(1, 1000)));
    let running = held(limiter.admit(&plan, None, ESTIMATE).await);
    let () = server.run("FLUSHALL").await;
    running.settle(used(10, 20));
    until_left(&server.limiter(options()), &plan, 970).await;
    eventually("it is counted", async || limiter.inner.counts.of(Settled::Late) == 1).await;
}

#[tokio::test]
async fn a_request_costs_one_round_trip_before_and_one_behind() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(options());
    until_shared(&limiter).await;
    let plan =
        limited(Limits { requests: Some(per_hour(1, 1000)), streams: Some(100), ..tokens(per_hour(1, 100_000)) });
    let before = server.calls("evalsha").await;
    for _ in 0..100 {
        held(limiter.admit(&plan, None, ESTIMATE).await).settle(used(10, 20));
    }
    eventually("all are settled", async || limiter.inner.counts.of(Settled::Shared) == 100).await;
    let calls = server.calls("evalsha").await - before;
    // A heartbeat or two may come between.
    assert!((200..=202).contains(&calls), "{calls}");
}

#[tokio::test]
async fn what_is_seen_of_the_limits_is_published() {
    let (mut server, limiter) = cut_off(async |limiter| {
        held(limiter.admit(&limited(tokens(per_hour(1, 1000))), None, ESTIMATE).await).settle(used(10, 20));
        until_left(limiter, &limited(tokens(per_hour(1, 1000))), 970).await;
    })
    .await;
    let metrics = crate::metrics::Metrics::new().unwrap();
    let shows = |line: &str| {
        limiter.publish(&metrics);
        let text = metrics.render().unwrap();
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    };
    shows(r#"relay_limits_mode{mode="local"} 1"#);
    shows(r#"relay_limits_mode{mode="shared"} 0"#);
    shows(r#"relay_limit_remaining{limit="tokens",route="",tenant="team/a"} 970"#);
    shows(r#"relay_limit_settles_total{result="shared"} 1"#);
    shows(r#"relay_limit_settles_total{result="lost"} 0"#);
    server.restart().await;
    until_mode(&limiter, "shared").await;
    shows(r#"relay_limits_mode{mode="shared"} 1"#);
}
