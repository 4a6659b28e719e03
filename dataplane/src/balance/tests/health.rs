use crate::balance::health::{EJECTION, EJECTION_MAX, FAILURES, Health, Sign};
use proptest::prelude::*;
use std::time::Duration;
use tokio::time::Instant;

fn fail(health: &Health, times: u32, now: Instant) -> bool {
    (0..times).fold(false, |changed, _| changed | health.report(Sign::Ill, false, now, 0.0))
}

/// Out of service from `now` on.
fn ejected(now: Instant) -> Health {
    let health = Health::default();
    assert!(fail(&health, FAILURES, now));
    health
}

#[test]
fn failures_in_a_row_eject_and_an_answer_between_them_does_not() {
    let (health, now) = (Health::default(), Instant::now());
    for _ in 0..3 {
        assert!(!fail(&health, FAILURES - 1, now));
        assert!(health.is_well() && health.fits(now));
        assert!(!health.report(Sign::Well, false, now, 0.0));
    }
    assert!(fail(&health, FAILURES, now));
    assert!(!health.is_well() && !health.fits(now));
}

#[test]
fn one_probe_at_a_time_follows_the_ejection() {
    let now = Instant::now();
    let health = ejected(now);
    let due = now + EJECTION;
    assert!(!health.fits(due.checked_sub(Duration::from_millis(1)).unwrap()));
    assert!(!health.enter(due.checked_sub(Duration::from_millis(1)).unwrap()), "not yet");
    assert!(health.fits(due));
    assert!(health.enter(due), "the first is the probe");
    assert!(!health.fits(due) && !health.enter(due), "and the second has to wait");
    assert!(health.report(Sign::Well, true, due, 0.0));
    assert!(health.is_well() && health.fits(due));
    assert!(!fail(&health, FAILURES - 1, due), "what was before is forgotten");
}

#[test]
fn a_probe_without_a_result_makes_way_for_the_next() {
    let now = Instant::now();
    let health = ejected(now);
    assert!(health.enter(now + EJECTION));
    health.release();
    assert!(health.enter(now + EJECTION));
}

#[test]
fn each_probe_that_fails_doubles_the_wait_up_to_the_longest() {
    let mut now = Instant::now();
    let health = ejected(now);
    let mut waits = Vec::new();
    let mut wait = EJECTION;
    for _ in 0..9 {
        assert!(!health.fits(now + wait.checked_sub(Duration::from_millis(1)).unwrap()));
        now += wait;
        assert!(health.enter(now));
        assert!(!health.report(Sign::Ill, true, now, 0.0), "it was out and stays out");
        waits.push(wait.as_secs());
        wait = (wait * 2).min(EJECTION_MAX);
    }
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
}

#[test]
fn requests_from_before_the_ejection_do_not_prolong_it_but_may_end_it() {
    let now = Instant::now();
    let health = ejected(now);
    assert!(!fail(&health, 100, now + EJECTION / 2));
    assert!(health.fits(now + EJECTION));
    assert!(health.report(Sign::Well, false, now + EJECTION / 2, 0.0));
    assert!(health.is_well());
}

#[test]
fn jitter_only_adds_and_no_more_than_a_fifth() {
    let now = Instant::now();
    let health = Health::default();
    for _ in 0..FAILURES {
        health.report(Sign::Ill, false, now, 1.0);
    }
    assert!(!health.fits(now + EJECTION.mul_f64(1.19)));
    assert!(health.fits(now + EJECTION.mul_f64(1.2)));
}

proptest! {
    /// Whatever happens in whatever order: a backend fits again at the latest when the longest wait is over and no probe is under way, and at most one
    /// probe is under way.
    #[test]
    fn no_history_locks_a_backend_out(steps in prop::collection::vec((0_u8..5, 0_u64..400, 0.0..1.0_f64), 0..200)) {
        let health = Health::default();
        let mut now = Instant::now();
        let mut probing = false;
        for (step, seconds, jitter) in steps {
            now += Duration::from_secs(seconds);
            match step {
                0 => {
                    let is_probe = health.enter(now);
                    prop_assert!(!(is_probe && probing));
                    probing |= is_probe;
                }
                1 => { health.report(Sign::Ill, false, now, jitter); }
                2 => { health.report(Sign::Well, false, now, jitter); probing = false; }
                3 if probing => { health.report(Sign::Ill, true, now, jitter); probing = false; }
                4 if probing => { health.release(); probing = false; }
                _ => {}
            }
        }
        if probing {
            health.release();
        }
        prop_assert!(health.fits(now + EJECTION_MAX.mul_f64(1.2)));
    }
}
