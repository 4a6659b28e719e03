//! What a proxy decides by itself, and that what it decided is counted once.

use super::recovery::{ESTIMATE, cut_off, limited, options, until_mode, until_shared, used};
use super::server::RedisServer;
use super::{Decision, Estimate, Limiter, Mode, RedisOptions, TenantPlan, Verdict};
use super::{budget, eventually, held, per_hour, requests, tokens};
use relay_snapshot::Limits;
use std::time::Duration;

/// Short enough that a test may wait for it.
fn hasty() -> RedisOptions {
    RedisOptions { budget: Duration::from_millis(100), ..options() }
}

/// A decision that Redis gives when nobody waits for it any more.
async fn late(server: &RedisServer, limiter: &Limiter, plan: &TenantPlan, estimate: Estimate) -> Decision {
    server.signal("STOP");
    let decision = limiter.admit(plan, None, estimate).await;
    server.signal("CONT");
    assert_eq!(decision.mode, Mode::Local);
    decision
}

#[tokio::test]
async fn a_share_is_charged_what_a_request_used_and_not_what_it_reserved() {
    let (_server, limiter) = cut_off(async |_| ()).await;
    let plan = limited(tokens(per_hour(1, 1000)));
    held(limiter.admit(&plan, None, ESTIMATE).await).settle(used(10, 20));
    let decision = limiter.admit(&plan, None, Estimate::default()).await;
    assert_eq!((decision.mode, decision.standings[0].remaining), (Mode::Local, 970));
}

#[tokio::test]
async fn a_decision_that_comes_late_ends_no_stream_of_a_budget_that_is_not_spent() {
    let server = RedisServer::start().await;
    let proxies: Vec<Limiter> = (0..3).map(|_| server.limiter(hasty())).collect();
    for proxy in &proxies {
        until_shared(proxy).await;
    }
    let limiter = &proxies[0];
    eventually("all three are counted", async || limiter.inner.proxies() == 3).await;
    let plan = limited(Limits { budgets: vec![budget(1000, true)], ..Limits::default() });
    let running = held(limiter.admit(&plan, None, ESTIMATE).await);
    running.progress(used(10, 590));
    eventually("Redis knows what it drew", async || {
        limiter.admit(&plan, None, Estimate::default()).await.standings[0].remaining == 400
    })
    .await;
    let _second = late(&server, limiter, &plan, ESTIMATE).await;
    // More than a third of what was left, and less than all of it.
    running.progress(used(10, 900));
    assert!(!running.stop().unwrap().is_cancelled());
    running.progress(used(10, 990));
    assert!(running.stop().unwrap().is_cancelled());
}

#[tokio::test]
async fn a_request_that_redis_counted_too_late_is_counted_once() {
    let server = RedisServer::start().await;
    let (limiter, other) = (server.limiter(hasty()), server.limiter(options()));
    until_shared(&limiter).await;
    let limits = Limits { requests: Some(per_hour(1, 10)), ..Limits::default() };
    for (limits, name) in
        [(limits.clone(), "requests"), (Limits { streams: Some(5), ..limits }, "requests and streams")]
    {
        let plan = limited(limits);
        let decision = late(&server, &limiter, &plan, Estimate::default()).await;
        assert!(matches!(decision.verdict, Verdict::Admitted(_)), "{name}");
    }
    until_shared(&limiter).await;
    limiter.close().await;
    let plan = limited(requests(per_hour(1, 10)));
    assert_eq!(other.admit(&plan, None, Estimate::default()).await.standings[0].remaining, 7);
}

#[tokio::test]
async fn a_request_that_redis_was_asked_for_and_never_counted_is_charged_when_it_is_back() {
    let mut server = RedisServer::start().await;
    let limiter = server.limiter(hasty());
    until_shared(&limiter).await;
    let plan = limited(requests(per_hour(1, 10)));
    server.signal("STOP");
    let decision = limiter.admit(&plan, None, Estimate::default()).await;
    assert!(matches!((decision.mode, decision.verdict), (Mode::Local, Verdict::Admitted(None))));
    server.kill();
    server.restart().await;
    until_mode(&limiter, "shared").await;
    eventually("it is charged", async || server.run::<bool>("HEXISTS relay:{team/a}:state requests").await).await;
    assert_eq!(limiter.admit(&plan, None, Estimate::default()).await.standings[0].remaining, 8);
}
