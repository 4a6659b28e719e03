use super::{Bucket, Outcome, Rule, admit};
use proptest::prelude::*;
use relay_snapshot::RateLimit;
use std::time::Duration;

mod script;

const DAY: u64 = 86_400_000_000;

fn rule(amount: u32, per_seconds: u64, burst: u32) -> Rule {
    Rule::new(&RateLimit { amount, per_seconds, burst }).unwrap()
}

/// Virtual time, one bucket.
#[derive(Default)]
struct Clock {
    now: u64,
    bucket: Option<Bucket>,
}

impl Clock {
    fn admit(&mut self, rule: Rule) -> Outcome {
        let (outcome, bucket) = admit(rule, self.bucket, self.now);
        self.bucket = Some(bucket);
        outcome
    }
    /// How many pass at this instant; stops at the first that does not.
    fn drain(&mut self, rule: Rule) -> u32 {
        let mut passed = 0;
        while self.admit(rule).allowed {
            passed += 1;
        }
        passed
    }
    fn sleep(&mut self, time: Duration) {
        self.now += u64::try_from(time.as_micros()).unwrap();
    }
}

/// The obvious token bucket: a level that time fills and requests empty. One token is `period` million units, so that a microsecond
/// fills `amount` units and nothing is rounded.
struct Model {
    level: u128,
    token: u128,
    size: u128,
    amount: u128,
    time: u64,
}

impl Model {
    fn new(limit: RateLimit) -> Self {
        let token = u128::from(limit.per_seconds) * 1_000_000;
        let size = u128::from(limit.burst) * token;
        Self { level: size, token, size, amount: limit.amount.into(), time: 0 }
    }
    fn fill(&mut self, now: u64) {
        self.level = self.size.min(self.level + self.amount * u128::from(now - self.time));
        self.time = now;
    }
    /// Microseconds until the level is `wanted`.
    fn wait(&self, wanted: u128) -> Duration {
        let micros = wanted.saturating_sub(self.level).div_ceil(self.amount);
        Duration::from_secs(u64::try_from(micros / 1_000_000).unwrap())
            + Duration::from_micros(u64::try_from(micros % 1_000_000).unwrap())
    }
    fn admit(&mut self, now: u64) -> Outcome {
        self.fill(now);
        let allowed = self.level >= self.token;
        if allowed {
            self.level -= self.token;
        }
        Outcome {
            allowed,
            remaining: u32::try_from(self.level / self.token).unwrap(),
            reset: self.wait(self.size),
            retry_after: (!allowed).then(|| self.wait(self.token)),
        }
    }
}

fn limits() -> impl Strategy<Value = RateLimit> {
    let amounts = prop_oneof![1..20u32, 1..2_000_000u32, 1..=1_000_000_000u32, Just(u32::MAX)];
    let bursts = prop_oneof![1..20u32, 1..=1_000_000_000u32, Just(u32::MAX)];
    let periods = prop::sample::select(vec![1, 60, 3600, 86_400]);
    (amounts, periods, bursts).prop_map(|(amount, per_seconds, burst)| RateLimit { amount, per_seconds, burst })
}

/// Microseconds between two requests.
fn pauses() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(0), 2 => 0..50u64, 2 => 0..2_000_000u64, 1 => 0..2 * DAY]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn says_what_the_obvious_token_bucket_says(limit in limits(), pauses in prop::collection::vec(pauses(), 1..60)) {
        let rule = Rule::new(&limit).unwrap();
        let (mut clock, mut model) = (Clock::default(), Model::new(limit));
        for pause in pauses {
            clock.now += pause;
            prop_assert_eq!(clock.admit(rule), model.admit(clock.now));
        }
    }

    #[test]
    fn a_request_passes_at_retry_after_and_not_a_microsecond_sooner(limit in limits(), pause in pauses()) {
        let rule = Rule { burst: limit.burst.min(50), ..Rule::new(&limit).unwrap() };
        let mut clock = Clock { now: pause, bucket: None };
        prop_assert_eq!(clock.drain(rule), rule.burst);
        let retry_after = clock.admit(rule).retry_after.unwrap();
        prop_assert!(retry_after >= Duration::from_micros(1));
        let (bucket, denied_at) = (clock.bucket, clock.now);
        clock.sleep(retry_after.checked_sub(Duration::from_micros(1)).unwrap());
        prop_assert!(!clock.admit(rule).allowed);
        clock = Clock { now: denied_at, bucket };
        clock.sleep(retry_after);
        prop_assert!(clock.admit(rule).allowed);
    }

    #[test]
    fn the_bucket_is_full_at_reset_and_not_a_microsecond_sooner(limit in limits(), takes in 1..40u32) {
        let rule = Rule::new(&limit).unwrap();
        let mut clock = Clock::default();
        let reset = (0..takes).map(|_| clock.admit(rule).reset).last().unwrap();
        let bucket = clock.bucket.unwrap();
        clock.sleep(reset);
        prop_assert!(bucket.is_full(clock.now));
        prop_assert!(!bucket.is_full(clock.now - 1));
    }

    #[test]
    fn no_window_of_any_length_lets_more_through_than_burst_and_rate(
        limit in limits(),
        pauses in prop::collection::vec(pauses(), 1..60),
    ) {
        let rule = Rule::new(&limit).unwrap();
        let mut clock = Clock::default();
        let mut passed = Vec::new();
        for pause in pauses {
            clock.now += pause;
            if clock.admit(rule).allowed {
                passed.push(clock.now);
            }
            for (count, from) in (1u128..).zip(passed.iter().rev()) {
                let refilled = u128::from(clock.now - from) * u128::from(limit.amount) / rule.token();
                prop_assert!(count <= u128::from(limit.burst) + refilled);
            }
        }
    }

    #[test]
    fn a_change_of_the_limit_keeps_the_spent_tokens_spent(
        before in limits(),
        after in limits(),
        takes in 0..30u32,
        pause in pauses(),
    ) {
        let (before, after) = (Rule::new(&before).unwrap(), Rule { burst: 25, ..Rule::new(&after).unwrap() });
        let mut clock = Clock::default();
        for _ in 0..takes {
            clock.admit(before);
        }
        clock.now += pause;
        let spent = clock.bucket.map_or(0, |bucket| bucket.backlog(clock.now).div_ceil(before.token()));
        prop_assert_eq!(u128::from(clock.drain(after)), 25_u128.saturating_sub(spent));
    }
}

#[test]
fn seven_a_day_is_seven_a_day_for_a_year() {
    let rule = rule(7, 86_400, 7);
    let mut clock = Clock::default();
    assert_eq!(clock.drain(rule), 7);
    for _ in 0..365 {
        let until = clock.now + DAY;
        let mut passed = 0;
        while clock.now < until {
            let retry_after = clock.admit(rule).retry_after.unwrap();
            clock.sleep(retry_after.min(Duration::from_micros(until - clock.now)));
            passed += clock.drain(rule);
        }
        assert_eq!(passed, 7);
    }
}

#[test]
fn the_seventh_part_of_a_day_is_rounded_up_once_and_not_seven_times() {
    let rule = rule(7, 86_400, 1);
    let mut clock = Clock::default();
    assert!(clock.admit(rule).allowed);
    // 86400 s / 7 = 12342.857142857… s
    assert_eq!(clock.admit(rule).retry_after, Some(Duration::from_micros(12_342_857_143)));
    clock.now = DAY / 7;
    assert!(!clock.admit(rule).allowed);
    clock.now += 1;
    assert!(clock.admit(rule).allowed);
}

#[test]
fn amount_0_is_no_rule_and_burst_0_is_one() {
    assert_eq!(Rule::new(&RateLimit { amount: 0, per_seconds: 60, burst: 5 }), None);
    assert_eq!(rule(5, 60, 0), rule(5, 60, 1));
}

#[test]
fn a_share_is_rounded_down_but_at_least_one() {
    assert_eq!(rule(100, 60, 20).share(3), rule(33, 60, 6));
    assert_eq!(rule(2, 3600, 2).share(3), rule(1, 3600, 1));
    assert_eq!(rule(100, 60, 20).share(0), rule(100, 60, 20));
}

#[test]
fn a_larger_burst_gives_the_difference_at_once() {
    let mut clock = Clock::default();
    assert_eq!(clock.drain(rule(60, 60, 10)), 10);
    assert_eq!(clock.drain(rule(60, 60, 25)), 15);
}

#[test]
fn a_smaller_burst_leaves_the_bucket_no_emptier_than_empty() {
    let mut clock = Clock::default();
    assert_eq!(clock.drain(rule(60, 60, 100)), 100);
    let denied = clock.admit(rule(60, 60, 5));
    assert_eq!((denied.retry_after, denied.reset), (Some(Duration::from_secs(1)), Duration::from_secs(5)));
    clock.sleep(Duration::from_secs(1));
    assert_eq!(clock.drain(rule(60, 60, 5)), 1);
}

#[test]
fn a_denied_request_under_a_new_limit_starts_the_new_rate() {
    let mut clock = Clock::default();
    assert_eq!(clock.drain(rule(6000, 60, 10)), 10);
    assert_eq!(clock.admit(rule(1, 3600, 10)).retry_after, Some(Duration::from_hours(1)));
    clock.sleep(Duration::from_secs(3599));
    assert!(!clock.admit(rule(1, 3600, 10)).allowed);
    clock.sleep(Duration::from_secs(1));
    assert!(clock.admit(rule(1, 3600, 10)).allowed);
}
