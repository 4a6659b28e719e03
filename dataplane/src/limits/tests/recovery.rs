//! What becomes of requests when Redis goes away, and of what it missed when it is back.

use super::server::RedisServer;
use super::{
    Estimate, Limiter, LimitsMode, Mode, RedisOptions, TenantPlan, Used, Verdict, budget, eventually, held, per_hour,
    plan, refused, requests, tenant, tokens,
};
use crate::limits::publish::Settled;
use relay_snapshot::{Limits, Unavailable};
use std::time::Duration;

pub(super) const ESTIMATE: Estimate = Estimate { input: 10, output: 90, characters: 0 };

/// A second for a decision: a busy machine must not take a sound Redis for a sick one.
pub(super) fn options() -> RedisOptions {
    RedisOptions { budget: Duration::from_secs(1), ..RedisOptions::new(String::new()) }
}

pub(super) fn used(input: u64, output: u64) -> Used {
    Used { input, output, characters: 0 }
}

pub(super) fn limited(limits: Limits) -> TenantPlan {
    plan(&tenant("a"), limits, Unavailable::Local)
}

pub(super) async fn until_mode(limiter: &Limiter, mode: &str) {
    eventually(mode, async || limiter.mode().borrow().label() == mode).await;
}

/// Until Redis decides.
pub(super) async fn until_shared(limiter: &Limiter) {
    let plan = plan(&tenant("nobody"), requests(per_hour(1, 1)), Unavailable::Local);
    eventually("Redis decides", async || limiter.admit(&plan, None, Estimate::default()).await.mode == Mode::Shared)
        .await;
}

pub(super) async fn until_left(limiter: &Limiter, plan: &TenantPlan, expected: u64) {
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
pub(super) async fn cut_off(before: impl AsyncFnOnce(&Limiter)) -> (RedisServer, Limiter) {
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
async fn a_decision_that_comes_late_is_made_with_what_redis_told_last() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(RedisOptions { budget: Duration::from_millis(200), ..options() });
    until_shared(&limiter).await;
    let plan = limited(requests(per_hour(1, 10)));
    let ask = async || limiter.admit(&plan, None, Estimate::default()).await;
    let late = async || {
        server.signal("STOP");
        let decision = ask().await;
        server.signal("CONT");
        assert_eq!(decision.mode, Mode::Local);
        decision
    };
    assert_eq!(ask().await.standings[0].remaining, 9);
    assert_eq!(late().await.standings[0].remaining, 8);
    eventually("nothing is left", async || matches!(ask().await.verdict, Verdict::Refused { .. })).await;
    assert!(matches!(late().await.verdict, Verdict::Refused { .. }), "the share does not go on from before");
}
