//! What requests hold while they run, in this process and in a real Redis.

use super::{Estimate, Limiter, TenantPlan, Used, budget, eventually, held, per_hour, plan, refused, tenant, tokens};
use relay_snapshot::{Limits, Unavailable};
use std::time::Duration;

on_both!(
    what_was_not_used_is_there_again_when_the_request_is_over,
    what_was_used_beyond_the_estimate_is_a_debt,
    a_reservation_that_is_dropped_is_settled_with_what_it_was_seen_to_use,
    a_place_of_a_stream_is_free_when_it_is_over,
    a_budget_that_refuses_new_requests_reserves_the_whole_estimate,
    a_budget_that_stops_streams_ends_all_of_them_at_the_event_that_crosses_it,
    a_refusal_charges_nothing,
    the_longest_wait_names_the_refusal,
);

const ESTIMATE: Estimate = Estimate { input: 10, output: 90, characters: 0 };

fn used(input: u64, output: u64) -> Used {
    Used { input, output, characters: 0 }
}

fn limited(limits: Limits) -> TenantPlan {
    plan(&tenant("a"), limits, Unavailable::Local)
}

/// How much is left of the only limit, without taking any.
async fn left(limiter: &Limiter, plan: &TenantPlan) -> u64 {
    limiter.admit(plan, None, Estimate::default()).await.standings[0].remaining
}

async fn until_left(limiter: &Limiter, plan: &TenantPlan, expected: u64) {
    let mut seen = 0;
    eventually(&format!("{expected} are left, not {seen}"), async || {
        seen = left(limiter, plan).await;
        seen == expected
    })
    .await;
}

async fn what_was_not_used_is_there_again_when_the_request_is_over(limiter: Limiter) {
    let plan = limited(tokens(per_hour(1, 1000)));
    let reservation = held(limiter.admit(&plan, None, ESTIMATE).await);
    assert_eq!(left(&limiter, &plan).await, 900);
    reservation.settle(used(10, 20));
    until_left(&limiter, &plan, 970).await;
}

async fn what_was_used_beyond_the_estimate_is_a_debt(limiter: Limiter) {
    let plan = limited(tokens(per_hour(60, 100)));
    held(limiter.admit(&plan, None, ESTIMATE).await).settle(used(10, 150));
    until_left(&limiter, &plan, 0).await;
    let (limit, wait) = refused(limiter.admit(&plan, None, Estimate { input: 1, ..Estimate::default() }).await);
    assert_eq!((&*limit.key, limit.limit, limit.cost), ("tokens", 100, 1));
    // 61 tokens must come back, one a minute.
    let wait = wait.unwrap();
    assert!(wait > Duration::from_hours(1) && wait <= Duration::from_mins(61), "{wait:?}");
}

async fn a_reservation_that_is_dropped_is_settled_with_what_it_was_seen_to_use(limiter: Limiter) {
    let plan = limited(tokens(per_hour(1, 1000)));
    let reservation = held(limiter.admit(&plan, None, ESTIMATE).await);
    reservation.progress(used(10, 5));
    reservation.progress(used(10, 7));
    drop(reservation);
    until_left(&limiter, &plan, 983).await;
}

async fn a_place_of_a_stream_is_free_when_it_is_over(limiter: Limiter) {
    let plan = limited(Limits { streams: Some(2), ..Limits::default() });
    let first = held(limiter.admit(&plan, None, ESTIMATE).await);
    let _second = held(limiter.admit(&plan, None, ESTIMATE).await);
    let (limit, wait) = refused(limiter.admit(&plan, None, ESTIMATE).await);
    assert_eq!((&*limit.key, limit.limit, limit.remaining), ("streams", 2, 0));
    assert_eq!(wait, Some(Duration::from_secs(1)));
    first.settle(Used::default());
    let mut third = None;
    eventually("the place is free", async || {
        if let super::Verdict::Admitted(reservation) = limiter.admit(&plan, None, ESTIMATE).await.verdict {
            third = reservation;
        }
        third.is_some()
    })
    .await;
    refused(limiter.admit(&plan, None, ESTIMATE).await);
}

async fn a_budget_that_refuses_new_requests_reserves_the_whole_estimate(limiter: Limiter) {
    let plan = limited(Limits { budgets: vec![budget(150, false)], ..Limits::default() });
    let first = held(limiter.admit(&plan, None, ESTIMATE).await);
    assert!(first.stop().is_none());
    let (limit, wait) = refused(limiter.admit(&plan, None, ESTIMATE).await);
    assert_eq!((&*limit.key, limit.budget, limit.limit, limit.remaining), ("budget/day", true, 150, 50));
    assert!(wait.is_some_and(|wait| wait <= Duration::from_hours(24)), "{wait:?}");
    first.settle(used(10, 20));
    until_left(&limiter, &plan, 120).await;
    held(limiter.admit(&plan, None, ESTIMATE).await);
}

async fn a_budget_that_stops_streams_ends_all_of_them_at_the_event_that_crosses_it(limiter: Limiter) {
    let plan = limited(Limits { budgets: vec![budget(100, true)], ..Limits::default() });
    let first = held(limiter.admit(&plan, None, ESTIMATE).await);
    let second = held(limiter.admit(&plan, None, ESTIMATE).await);
    // The input of both is reserved.
    first.progress(used(10, 40));
    second.progress(used(10, 39));
    assert!(!first.stop().unwrap().is_cancelled() && !second.stop().unwrap().is_cancelled());
    second.progress(used(10, 40));
    assert!(first.stop().unwrap().is_cancelled() && second.stop().unwrap().is_cancelled());
    first.settle(used(10, 40));
    second.settle(used(10, 40));
    until_left(&limiter, &plan, 0).await;
    let (limit, _) = refused(limiter.admit(&plan, None, ESTIMATE).await);
    assert_eq!((&*limit.key, limit.remaining), ("budget/day", 0));
}

async fn a_refusal_charges_nothing(limiter: Limiter) {
    let limits = Limits { requests: Some(per_hour(1, 5)), streams: Some(1), ..tokens(per_hour(1, 1000)) };
    let plan = limited(limits);
    let _held = held(limiter.admit(&plan, None, ESTIMATE).await);
    for _ in 0..5 {
        let decision = limiter.admit(&plan, None, ESTIMATE).await;
        let left: Vec<u64> = decision.standings.iter().map(|standing| standing.remaining).collect();
        assert_eq!(left, [4, 900, 0]);
        assert_eq!(&*refused(decision).0.key, "streams");
    }
}

async fn the_longest_wait_names_the_refusal(limiter: Limiter) {
    let limits = Limits { requests: Some(per_hour(3600, 1)), streams: Some(1), ..tokens(per_hour(1, 100)) };
    let plan = limited(limits);
    let _held = held(limiter.admit(&plan, None, ESTIMATE).await);
    let (limit, wait) = refused(limiter.admit(&plan, None, ESTIMATE).await);
    assert_eq!(&*limit.key, "tokens");
    assert!(wait.unwrap() > Duration::from_hours(99), "{wait:?}");
}
