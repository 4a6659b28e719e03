use super::*;
use crate::limits::plan::LineUnit;
use relay_snapshot::RateLimit;

const SECOND: Duration = Duration::from_secs(1);

fn bucket(amount: u32, burst: u32) -> Line {
    let rule = Rule::new(&RateLimit { amount, per_seconds: 1, burst }).unwrap();
    Line::new("requests".into(), LineUnit::Requests, Limit::Bucket(rule), 1)
}

fn streams() -> Line {
    Line::new("budget/day/requests".into(), LineUnit::Requests, Limit::Streams { max: 1, of_route: false }, 1)
}

fn amounts(mut owed: Owed, full_at: Instant, proxies: u32, now: Instant) -> Vec<u64> {
    owed.take(full_at, proxies, now).into_iter().map(|(_, amount)| amount).collect()
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_paid_back_at_the_rate_of_the_share() {
    let now = Instant::now();
    let line = bucket(30, 30);
    let mut owed = Owed::new(line.clone(), now);
    // Four seconds at the whole rate of one of three proxies, ten a second.
    for second in 0..4 {
        owed.add(&line, 10, now, 3, now + second * SECOND);
    }
    assert_eq!(amounts(owed, now, 3, now + 4 * SECOND), Vec::<u64>::new());
}

#[tokio::test(start_paused = true)]
async fn what_is_beyond_the_rate_is_owed() {
    let now = Instant::now();
    let line = bucket(30, 30);
    let mut owed = Owed::new(line.clone(), now);
    owed.add(&line, 25, now, 3, now);
    assert_eq!(amounts(owed, now, 3, now + SECOND), [15]);
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_token_is_owed_whole() {
    let now = Instant::now();
    let line = bucket(1, 1);
    let mut owed = Owed::new(line.clone(), now);
    owed.add(&line, 1, now, 1, now);
    assert_eq!(amounts(owed, now, 1, now + SECOND / 2), [1]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_paid_while_the_rate_pays_for_what_was_out_before() {
    let now = Instant::now();
    let line = bucket(30, 300);
    let mut owed = Owed::new(line.clone(), now);
    let full_at = now + 5 * SECOND;
    owed.add(&line, 40, full_at, 3, now);
    owed.add(&line, 1, full_at, 3, now + 5 * SECOND);
    assert_eq!(amounts(owed, full_at, 3, now + 6 * SECOND), [31]);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_bucket_is_owed_in_full() {
    let now = Instant::now();
    let line = streams();
    let mut owed = Owed::new(line.clone(), now);
    owed.add(&line, 7, now, 3, now);
    assert_eq!(amounts(owed, now, 3, now + 1000 * SECOND), [7]);
}

#[tokio::test(start_paused = true)]
async fn tokens_stay_tokens_under_another_rule() {
    let now = Instant::now();
    let mut owed = Owed::new(bucket(10, 10), now);
    owed.add(&bucket(10, 10), 8, now, 1, now);
    owed.add(&bucket(1000, 1000), 2, now, 1, now);
    assert_eq!(amounts(owed, now, 1, now), [10]);
}

#[tokio::test(start_paused = true)]
async fn large_amounts_are_charged_in_parts() {
    let now = Instant::now();
    let line = streams();
    let mut owed = Owed::new(line.clone(), now);
    owed.add(&line, COST_MAX + 5, now, 1, now);
    assert_eq!(amounts(owed, now, 1, now), [COST_MAX, 5]);
}

#[tokio::test(start_paused = true)]
async fn what_redis_charged_late_is_not_owed() {
    let now = Instant::now();
    let line = streams();
    let mut owed = Owed::new(line.clone(), now);
    owed.add(&line, 7, now, 3, now);
    owed.credit(&line, 5, now, 3, now);
    assert!(owed.is_due());
    assert_eq!(amounts(owed, now, 3, now), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_late_charge_that_the_refill_has_paid_back_excuses_nothing() {
    let now = Instant::now();
    let line = bucket(30, 30);
    let mut owed = Owed::new(line.clone(), now);
    // At the rate of the share, behind ten at once: ten are out at any time.
    owed.add(&line, 10, now, 3, now);
    owed.credit(&line, 5, now, 3, now);
    for second in 1..=4 {
        owed.add(&line, 10, now, 3, now + second * SECOND);
    }
    assert_eq!(amounts(owed, now, 3, now + 4 * SECOND), [10]);
}

#[tokio::test(start_paused = true)]
async fn a_credit_that_comes_behind_the_charge_is_kept_for_the_next_one() {
    let now = Instant::now();
    let line = streams();
    let mut owed = Owed::new(line.clone(), now);
    owed.add(&line, 4, now, 1, now);
    assert_eq!(owed.take(now, 1, now).len(), 1);
    owed.credit(&line, 3, now, 1, now);
    assert!(!owed.is_due() && !owed.is_over());
    owed.add(&line, 5, now, 1, now);
    assert_eq!(amounts(owed, now, 1, now), [2]);
}
