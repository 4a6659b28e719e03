use crate::balance::budget::{FREE, HedgeBudget, RetryBudget, WINDOW_SECONDS};
use proptest::prelude::*;
use std::time::Duration;
use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(WINDOW_SECONDS as u64);

fn taken(budget: &RetryBudget, percent: u32, now: Instant) -> u64 {
    (0..100_000).take_while(|_| budget.take(percent, now)).count() as u64
}

#[test]
fn a_share_of_the_requests_and_a_few_more_may_be_retried() {
    let now = Instant::now();
    let budget = RetryBudget::new(now);
    assert_eq!(taken(&budget, 20, now), FREE);
    for _ in 0..500 {
        budget.request(now);
    }
    assert!(budget.allows(20, now));
    assert_eq!(taken(&budget, 20, now), 100);
    assert!(!budget.allows(20, now));
}

#[test]
fn no_percent_is_no_retry() {
    let now = Instant::now();
    let budget = RetryBudget::new(now);
    budget.request(now);
    assert!(!budget.allows(0, now) && !budget.take(0, now));
}

#[test]
fn what_is_older_than_the_window_is_forgotten() {
    let now = Instant::now();
    let budget = RetryBudget::new(now);
    for _ in 0..100 {
        budget.request(now);
    }
    assert_eq!(taken(&budget, 50, now), FREE + 50);
    let within = now + WINDOW.checked_sub(Duration::from_secs(1)).unwrap();
    assert_eq!(taken(&budget, 50, within), 0);
    assert_eq!(taken(&budget, 50, now + WINDOW), FREE, "neither the retries nor the requests count any more");
}

proptest! {
    /// In every ten seconds that are looked at.
    #[test]
    fn retries_never_pass_the_budget(
        steps in prop::collection::vec((any::<bool>(), 0_u64..1500), 1..400),
        percent in 0_u32..=100,
    ) {
        let start = Instant::now();
        let budget = RetryBudget::new(start);
        let (mut now, mut requests, mut retries) = (start, Vec::new(), Vec::new());
        for (is_request, millis) in steps {
            now += Duration::from_millis(millis);
            let second = (now - start).as_secs();
            if is_request {
                budget.request(now);
                requests.push(second);
                continue;
            }
            let recent = |seconds: &[u64]| seconds.iter().filter(|s| **s + 10 > second).count() as u64;
            let allowed = budget.allows(percent, now);
            prop_assert_eq!(budget.take(percent, now), allowed);
            let would_be = (recent(&retries) + 1) * 100;
            let most = recent(&requests) * u64::from(percent) + FREE * 100;
            prop_assert_eq!(allowed, percent > 0 && would_be <= most);
            if allowed {
                retries.push(second);
            }
        }
    }

    #[test]
    fn hedges_never_pass_their_share_but_for_one(requests in 0_u32..3000, percent in 0_u32..=100, greedy in any::<bool>()) {
        let budget = HedgeBudget::default();
        let mut hedges = 0;
        for _ in 0..requests {
            budget.request(percent);
            if greedy {
                hedges += u32::from(budget.take());
                prop_assert!((hedges - hedges.min(1)) * 100 <= requests * percent);
            }
        }
        while budget.take() {
            hedges += 1;
        }
        prop_assert!(hedges * 100 <= 100 + requests * percent);
        prop_assert!(greedy || hedges <= 10, "a pause does not save up a burst");
    }
}
