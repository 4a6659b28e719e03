//! Single cases, by number.

use super::{BEGIN, Desk, SECOND, budget, output, per_hour, requests, streams, streams_of_route, tenant, tokens};
use crate::limits::account::{Account, Call, Id, LATE, Level, Limit, Line, TTL, WindowLevel};
use crate::limits::calendar::Spans;
use relay_snapshot::ObjectId;
use std::time::Duration;

#[test]
fn a_bucket_admits_its_burst_and_then_what_time_gives_back() {
    let (mut desk, line) = (Desk::new(), requests(per_hour(3600, 5)));
    let passed = (0..9).filter(|_| desk.allowed(std::slice::from_ref(&line))).count();
    assert_eq!(passed, 5);
    let (_, refused) = desk.admit(std::slice::from_ref(&line));
    assert_eq!(line.wait(refused.standings[0].level, refused.now), Some(Duration::from_secs(1)));
    desk.now += SECOND - 1;
    assert!(!desk.allowed(std::slice::from_ref(&line)));
    desk.now += 1;
    assert!(desk.allowed(std::slice::from_ref(&line)));
    assert!(!desk.allowed(std::slice::from_ref(&line)));
}

#[test]
fn a_cost_beyond_the_burst_passes_when_the_bucket_is_full_and_leaves_a_debt() {
    let mut desk = Desk::new();
    let (big, small) = ([tokens(per_hour(3600, 10), 25)], [tokens(per_hour(3600, 10), 1)]);
    assert!(desk.allowed(&big));
    let (_, refused) = desk.admit(&small);
    assert!(!refused.allowed);
    assert_eq!(small[0].wait(refused.standings[0].level, desk.now), Some(Duration::from_secs(16)));
    assert_eq!(small[0].reset(refused.standings[0].level, desk.now), Duration::from_secs(25));
    assert_eq!(small[0].remaining(refused.standings[0].level), 0);
    desk.now += 16 * SECOND - 1;
    assert!(!desk.allowed(&small));
    desk.now += 1;
    assert!(desk.allowed(&small));
}

#[test]
fn nothing_costs_nothing_even_in_debt() {
    let mut desk = Desk::new();
    assert!(desk.allowed(&[tokens(per_hour(1, 1), 1000)]));
    assert!(desk.allowed(&[tokens(per_hour(1, 1), 0)]));
    assert!(!desk.allowed(&[tokens(per_hour(1, 1), 1)]));
    assert!(!desk.allowed(&[tokens(Limit::Never, 0)]));
}

#[test]
fn what_was_reserved_too_much_comes_back_and_too_little_becomes_a_debt() {
    let (mut desk, lines) = (Desk::new(), [tokens(per_hour(1, 1000), 400)]);
    let (first, _) = desk.admit(&lines);
    let (second, _) = desk.admit(&lines);
    assert_eq!(desk.left(&lines[0]), 200);
    assert!(desk.settle(first, &lines, output(50)));
    assert_eq!(desk.left(&lines[0]), 550);
    assert!(desk.settle(second, &lines, output(1500)));
    let level = desk.levels(&lines)[0];
    assert_eq!(lines[0].wait(level, desk.now), Some(Duration::from_hours(550 + 400)));
}

#[test]
fn a_refund_never_fills_a_bucket_beyond_full() {
    let (mut desk, lines) = (Desk::new(), [tokens(per_hour(3600, 10), 10)]);
    let (id, _) = desk.admit(&lines);
    desk.now += 6 * SECOND;
    assert!(desk.settle(id, &lines, output(0)));
    assert_eq!(desk.left(&lines[0]), 10);
}

#[test]
fn the_longest_debt_is_ten_billion_tokens() {
    let (mut desk, lines) = (Desk::new(), [tokens(per_hour(3600, 10), 0)]);
    for id in 0..12 {
        desk.charge(Id(1000 + id), &lines, output(u64::MAX));
    }
    let level = desk.levels(&lines)[0];
    assert_eq!(lines[0].reset(level, desk.now), Duration::from_secs(10_000_000_010));
}

#[test]
fn a_budget_that_refuses_keeps_its_amount_and_one_that_stops_is_crossed_once() {
    let mut desk = Desk::new();
    assert!(desk.allowed(&[budget(100, false, 60)]));
    assert!(!desk.allowed(&[budget(100, false, 41)]));
    assert!(desk.allowed(&[budget(100, false, 40)]));
    let mut desk = Desk::new();
    assert!(desk.allowed(&[budget(100, true, 99)]));
    assert!(desk.allowed(&[budget(100, true, 500)]));
    let (_, refused) = desk.admit(&[budget(100, true, 1)]);
    assert!(!refused.allowed);
    let line = budget(100, true, 1);
    assert_eq!(refused.standings[0].level, Level::Window(WindowLevel { used: 599, span: 1 }));
    assert_eq!(line.wait(refused.standings[0].level, refused.now), Some(Duration::from_secs(2800)));
}

#[test]
fn a_cost_beyond_the_whole_budget_never_passes() {
    let mut desk = Desk::new();
    let line = budget(100, false, 101);
    let (_, refused) = desk.admit(std::slice::from_ref(&line));
    assert_eq!((refused.allowed, line.wait(refused.standings[0].level, desk.now)), (false, None));
}

#[test]
fn a_new_window_begins_at_its_edge_and_not_a_microsecond_sooner() {
    let (mut desk, lines) = (Desk::new(), [budget(100, false, 100)]);
    let (id, _) = desk.admit(&lines);
    assert!(desk.settle(id, &lines, output(100)));
    desk.now = 1_700_002_800 * SECOND - 1;
    assert!(!desk.allowed(&lines));
    desk.now += 1;
    assert!(desk.allowed(&lines));
}

#[test]
fn a_stream_counts_in_the_window_in_which_it_began() {
    let (mut desk, lines) = (Desk::new(), [budget(1000, false, 100)]);
    let (old, _) = desk.admit(&lines);
    desk.now = 1_700_002_800 * SECOND;
    let (new, _) = desk.admit(&lines);
    assert!(desk.settle(old, &lines, output(900)));
    assert_eq!(desk.used(&lines[0]), 100);
    assert!(desk.settle(new, &lines, output(30)));
    assert_eq!(desk.used(&lines[0]), 30);
}

#[test]
fn the_clock_of_the_account_says_which_window_it_is_and_not_the_callers() {
    let mut desk = Desk::new();
    desk.now = 1_700_002_799 * SECOND;
    let at = |start: i64| {
        let spans = Spans::new([start - 3600, start, start + 3600, start + 7200]);
        [Line { limit: Limit::Window { amount: 100, stops: false, spans }, ..budget(100, false, 100) }]
    };
    // One caller is some seconds ahead and already in the next hour.
    let (behind, ahead) = (at(1_699_999_200), at(1_700_002_800));
    assert!(desk.allowed(&ahead));
    assert!(!desk.allowed(&behind));
    desk.now += SECOND;
    assert!(desk.allowed(&behind));
    assert!(!desk.allowed(&ahead));
}

#[test]
fn a_window_that_has_begun_goes_on_when_the_clock_is_set_back() {
    let (mut desk, lines) = (Desk::new(), [budget(100, false, 100)]);
    desk.now = 1_700_002_800 * SECOND;
    assert!(desk.allowed(&lines));
    desk.now -= 10 * SECOND;
    let (_, refused) = desk.admit(&lines);
    assert_eq!(
        (refused.allowed, refused.standings[0].level),
        (false, Level::Window(WindowLevel { used: 100, span: 2 }))
    );
}

#[test]
fn nobody_waits_longer_because_the_clock_was_set_back() {
    for back in [1, SECOND, 3600 * SECOND, 86_400 * SECOND] {
        let (mut desk, lines) = (Desk::new(), [requests(per_hour(3600, 2))]);
        while desk.allowed(&lines) {}
        desk.now -= back;
        let (_, refused) = desk.admit(&lines);
        let wait = lines[0].wait(refused.standings[0].level, desk.now).unwrap();
        assert!(!refused.allowed && wait <= Duration::from_secs(2), "{back}: {wait:?}");
        desk.now += u64::try_from(wait.as_micros()).unwrap();
        assert!(desk.allowed(&lines), "{back}");
    }
}

#[test]
fn a_reservation_of_before_runs_out_in_time_though_the_clock_was_set_back() {
    let (mut desk, lines) = (Desk::new(), [streams(1)]);
    assert!(desk.allowed(&lines));
    desk.now -= 86_400 * SECOND;
    assert!(!desk.allowed(&lines));
    desk.now += TTL.as_secs() * SECOND;
    assert!(desk.allowed(&lines));
}

#[test]
fn streams_of_the_tenant_and_of_a_route_are_counted_apart() {
    let mut desk = Desk::new();
    let both = [streams(3), streams_of_route(2)];
    let (first, _) = desk.admit(&both);
    assert!(desk.allowed(&both));
    let (_, refused) = desk.admit(&both);
    assert_eq!(refused.standings.iter().map(|standing| standing.ok).collect::<Vec<_>>(), [true, false]);
    assert!(desk.allowed(&[streams(3)]));
    assert!(!desk.allowed(&[streams(3)]));
    assert!(desk.settle(first, &both, output(0)));
    assert!(desk.allowed(&both));
}

#[test]
fn what_nobody_refreshed_runs_out_after_its_time_and_keeps_what_was_seen() {
    let (mut desk, lines) = (Desk::new(), [tokens(per_hour(1, 1000), 400), streams(1)]);
    let (id, _) = desk.admit(&lines);
    desk.now += 20 * SECOND;
    assert_eq!(desk.refresh(id, &lines, output(70), false).known, [true]);
    desk.now += TTL.as_secs() * SECOND - 1;
    assert!(!desk.allowed(&lines));
    desk.now += 1;
    let (_, admitted) = desk.admit(&lines);
    assert!(admitted.allowed);
    assert_eq!(lines[0].remaining(admitted.standings[0].level), 1000 - 70 - 400);
}

#[test]
fn a_settle_that_comes_late_is_still_right_and_after_ten_minutes_unknown() {
    for (wait, known, left) in [(0, true, 700), (LATE.as_secs(), false, 1000 - 70)] {
        let (mut desk, lines) = (Desk::new(), [tokens(per_hour(1, 1000), 400), streams(1)]);
        let (id, _) = desk.admit(&lines);
        desk.refresh(id, &lines, output(70), false);
        desk.now += TTL.as_secs() * SECOND;
        assert!(!desk.settle(Id(999), &lines, output(9)));
        desk.now += wait * SECOND;
        assert_eq!(desk.settle(id, &lines, output(300)), known);
        assert_eq!(desk.left(&lines[0]), left);
    }
}

#[test]
fn a_refresh_that_comes_late_takes_the_slot_again() {
    let (mut desk, lines) = (Desk::new(), [streams(1), streams_of_route(1)]);
    let (first, _) = desk.admit(&lines);
    desk.now += TTL.as_secs() * SECOND;
    let (second, admitted) = desk.admit(&lines);
    assert!(admitted.allowed);
    assert_eq!(desk.refresh(first, &lines, output(0), false).known, [true]);
    assert_eq!(desk.levels(&lines), [Level::Streams(2), Level::Streams(2)]);
    assert!(desk.settle(first, &lines, output(0)) && desk.settle(second, &lines, output(0)));
    assert_eq!(desk.levels(&lines), [Level::Streams(0), Level::Streams(0)]);
}

#[test]
fn what_goes_beyond_a_reservation_is_charged_while_it_runs() {
    let (mut desk, lines) = (Desk::new(), [budget(1000, true, 10)]);
    let (id, _) = desk.admit(&lines);
    let refreshed = desk.refresh(id, &lines, output(9), false);
    assert_eq!(refreshed.windows, [Some(WindowLevel { used: 10, span: 1 })]);
    let refreshed = desk.refresh(id, &lines, output(1200), false);
    assert_eq!(refreshed.windows, [Some(WindowLevel { used: 1200, span: 1 })]);
    assert!(!desk.allowed(&lines));
}

#[test]
fn an_unknown_request_is_adopted_only_if_the_call_says_so() {
    let (mut desk, lines) = (Desk::new(), [requests(per_hour(1, 10)), tokens(per_hour(1, 1000), 400), streams(1)]);
    assert_eq!(desk.refresh(Id(7), &lines, output(500), false).known, [false]);
    assert_eq!((desk.left(&lines[1]), desk.open()), (1000, 0));
    assert_eq!(desk.refresh(Id(7), &lines, output(500), true).known, [false]);
    assert_eq!((desk.left(&lines[0]), desk.left(&lines[1]), desk.open()), (9, 500, 1));
    assert_eq!(desk.refresh(Id(7), &lines, output(500), true).known, [true]);
    assert_eq!((desk.left(&lines[0]), desk.left(&lines[1]), desk.open()), (9, 500, 1));
    assert!(desk.settle(Id(7), &lines, output(510)));
    assert_eq!((desk.left(&lines[1]), desk.open()), (490, 0));
}

#[test]
fn what_is_over_already_is_charged_once_whatever_the_limits_say() {
    let (mut desk, lines) = (Desk::new(), [requests(per_hour(1, 10)), tokens(per_hour(1, 100), 90)]);
    assert!(desk.charge(Id(7), &lines, output(300)));
    assert!(!desk.charge(Id(7), &lines, output(300)));
    let level = desk.levels(&lines)[1];
    assert_eq!(desk.left(&lines[0]), 9);
    assert_eq!(lines[1].reset(level, desk.now), Duration::from_hours(300));
}

#[test]
fn a_charge_for_a_request_that_is_held_settles_it() {
    let (mut desk, lines) = (Desk::new(), [requests(per_hour(1, 10)), tokens(per_hour(1, 100), 90), streams(1)]);
    let (id, _) = desk.admit(&lines);
    assert!(!desk.charge(id, &lines, output(30)));
    assert!(!desk.charge(id, &lines, output(30)));
    assert_eq!((desk.left(&lines[0]), desk.left(&lines[1]), desk.open()), (9, 70, 0));
}

#[test]
fn a_larger_burst_gives_the_difference_at_once_and_a_smaller_one_is_no_emptier_than_empty() {
    let mut desk = Desk::new();
    let mut drain = |burst| (0..200).filter(|_| desk.allowed(&[requests(per_hour(1, burst))])).count();
    assert_eq!((drain(10), drain(25)), (10, 15));
    let (_, refused) = desk.admit(&[requests(per_hour(3600, 5))]);
    let wait = requests(per_hour(3600, 5)).wait(refused.standings[0].level, desk.now);
    assert_eq!((refused.allowed, wait), (false, Some(Duration::from_secs(1))));
}

#[test]
fn a_change_of_the_rule_ends_a_debt_beyond_the_new_burst() {
    let mut desk = Desk::new();
    assert!(desk.allowed(&[tokens(per_hour(3600, 10), 500)]));
    let line = tokens(per_hour(7200, 10), 1);
    let (_, refused) = desk.admit(std::slice::from_ref(&line));
    assert_eq!(line.wait(refused.standings[0].level, desk.now), Some(Duration::from_millis(500)));
}

#[test]
fn tenants_that_are_idle_are_swept_and_the_others_kept() {
    let (account, lines) = (Account::new(), [requests(per_hour(3600, 2))]);
    let ask = |tenant: u64, now: u64| {
        let id = Id(u128::from(tenant));
        account.apply(&ObjectId::new("team", tenant.to_string()), now, &Call::Admit { id, lines: &lines })
    };
    for tenant in 0..100_000 {
        ask(tenant, BEGIN + tenant * SECOND);
    }
    assert!(account.tenants() <= 32 * 64, "{}", account.tenants());
    assert_ne!(tenant(), ObjectId::new("team", "0"));
}
