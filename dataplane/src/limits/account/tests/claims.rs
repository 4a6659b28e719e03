//! The invariants of the account, each by itself; docs/limits.md names them.

use super::world::{play, worlds};
use super::{BEGIN, Desk, SECOND, budget, output, requests, streams, streams_of_route, tenant};
use crate::limits::account::{Account, Call, Id, Level, Limit, Line, Reply, Rule, TTL};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use relay_snapshot::RateLimit;
use std::time::Duration;

/// What becomes of a request.
#[derive(Clone, Debug)]
struct Life {
    reserved: u64,
    /// What it has used by the refreshes that follow each other.
    seen: Vec<u64>,
    /// `None`: its proxy is killed.
    settled: Option<u64>,
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let life = (0..1000u64, vec(0..2000u64, 0..4), option::of(0..2000u64));
    let life = life.prop_map(|(reserved, mut seen, settled)| {
        seen.sort_unstable();
        Life { reserved, seen, settled }
    });
    vec(life, 1..30)
}

impl Life {
    /// What is charged after so many refreshes.
    fn charged(&self, refreshes: usize) -> u64 {
        self.seen[..refreshes.min(self.seen.len())].iter().copied().fold(self.reserved, u64::max)
    }
}

fn limits() -> impl Strategy<Value = Limit> {
    let amounts = prop_oneof![1..20u32, 1..2_000_000u32, 1..=1_000_000_000u32, Just(u32::MAX)];
    let bursts = prop_oneof![1..20u32, 1..=1_000_000_000u32, Just(u32::MAX)];
    let periods = prop::sample::select(vec![1, 60, 3600, 86_400]);
    (amounts, periods, bursts).prop_map(|(amount, per_seconds, burst)| {
        Limit::Bucket(Rule::new(&RateLimit { amount, per_seconds, burst }).unwrap())
    })
}

/// Microseconds between two requests.
fn pauses() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(0), 2 => 0..50u64, 2 => 0..2 * SECOND, 1 => 0..200_000 * SECOND]
}

/// A cost that is not held, so that it never runs out.
fn taken(limit: Limit, cost: u64) -> Line {
    Line { cost, ..requests(limit) }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// A budget has used what was settled and what is reserved; slots are the requests that run. Whatever was lost with its proxy
    /// is given back but for what it was seen to use.
    #[test]
    fn charged_is_what_was_settled_and_what_is_reserved(lives in lives()) {
        let (mut desk, line) = (Desk::new(), budget(1 << 50, false, 0));
        let lines = |life: &Life| [Line { cost: life.reserved, ..line.clone() }, streams(100), streams_of_route(100)];
        let slots = [streams(100), streams_of_route(100)];
        let ids: Vec<Id> = lives.iter().map(|life| desk.admit(&lines(life)).0).collect();
        for round in 0..4 {
            let all: u64 = lives.iter().map(|life| life.charged(round)).sum();
            prop_assert_eq!(desk.used(&line), all);
            prop_assert_eq!(desk.levels(&slots), [Level::Streams(lives.len() as u64); 2]);
            for (life, id) in lives.iter().zip(&ids) {
                let seen = life.seen.get(round).or(life.seen.last()).copied().unwrap_or_default();
                desk.refresh(*id, &lines(life), output(seen), false);
            }
            desk.now += (TTL.as_secs() - 1) * SECOND;
        }
        let mut all: u64 = lives.iter().map(|life| life.charged(4)).sum();
        let mut open = lives.len() as u64;
        for (life, id) in lives.iter().zip(&ids) {
            if let Some(truth) = life.settled {
                prop_assert!(desk.settle(*id, &lines(life), output(truth)));
                (all, open) = (all - life.charged(4) + truth, open - 1);
            }
            prop_assert_eq!(desk.used(&line), all);
            prop_assert_eq!(desk.levels(&slots), [Level::Streams(open); 2]);
        }
        desk.now += TTL.as_secs() * SECOND;
        desk.settle(Id(u128::MAX), &[], output(0));
        let lost = lives.iter().map(|life| life.settled.unwrap_or(life.seen.last().copied().unwrap_or_default()));
        prop_assert_eq!(desk.used(&line), lost.sum::<u64>());
        prop_assert_eq!(desk.levels(&slots), [Level::Streams(0); 2]);
    }

    /// Two accounts, of which one hears every settle and every charge twice.
    #[test]
    fn a_settle_and_a_charge_twice_are_one(world in worlds(80, true)) {
        let (once, twice) = (Account::new(), Account::new());
        play(&world, |now, call| {
            prop_assert_eq!(once.apply(&tenant(), now, call), twice.apply(&tenant(), now, call));
            match call {
                Call::Settle { .. } => prop_assert_eq!(twice.apply(&tenant(), now, call), Reply::Settled(false)),
                Call::Charge { .. } => prop_assert_eq!(twice.apply(&tenant(), now, call), Reply::Charged(false)),
                Call::Admit { .. } | Call::Refresh { .. } => {}
            }
            Ok(())
        })?;
    }

    /// Two accounts, of which one is asked again whenever it refuses.
    #[test]
    fn all_lines_let_a_request_pass_or_nothing_is_charged(world in worlds(80, true)) {
        let (once, twice) = (Account::new(), Account::new());
        let mut ids = 0;
        play(&world, |now, call| {
            let reply = once.apply(&tenant(), now, call);
            prop_assert_eq!(&reply, &twice.apply(&tenant(), now, call));
            if let (Call::Admit { lines, .. }, Reply::Admitted(admitted)) = (call, &reply) {
                prop_assert_eq!(admitted.allowed, admitted.standings.iter().all(|standing| standing.ok));
                if !admitted.allowed {
                    ids += 1;
                    prop_assert_eq!(&reply, &twice.apply(&tenant(), now, &Call::Admit { id: Id(ids), lines }));
                }
            }
            Ok(())
        })?;
    }

    /// A refresh with nothing new changes nothing but when the reservation runs out.
    #[test]
    fn a_refresh_twice_is_one(world in worlds(80, true)) {
        let (once, twice) = (Account::new(), Account::new());
        play(&world, |now, call| {
            let reply = once.apply(&tenant(), now, call);
            prop_assert_eq!(&reply, &twice.apply(&tenant(), now, call));
            if let (Call::Refresh { open, .. }, Reply::Refreshed(first)) = (call, reply) {
                let Reply::Refreshed(again) = twice.apply(&tenant(), now, call) else { unreachable!() };
                prop_assert_eq!(first.windows, again.windows);
                let adopted = open.iter().zip(again.known).all(|(open, known)| known || !open.adopt);
                prop_assert!(adopted);
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_span_of_time_lets_more_through_than_burst_and_refill(
        limit in limits(),
        asked in vec((pauses(), 0..1000u64), 1..60),
    ) {
        let Limit::Bucket(rule) = limit else { unreachable!() };
        let mut desk = Desk::new();
        let mut passed: Vec<(u64, u128)> = Vec::new();
        for (pause, cost) in asked {
            desk.now += pause;
            // Beyond the burst there is a debt; here nobody asks for more.
            let cost = cost.min(rule.burst().into());
            if desk.allowed(&[taken(limit, cost)]) {
                passed.push((desk.now, cost.into()));
            }
            let mut sum = 0;
            for (from, cost) in passed.iter().rev() {
                sum += cost;
                let refilled = u128::from(desk.now - from) * u128::from(rule.amount());
                prop_assert!(sum * rule.token() <= rule.capacity() + refilled);
            }
        }
    }

    #[test]
    fn a_request_passes_when_its_wait_is_over_and_not_a_microsecond_sooner(
        limit in limits(),
        before in vec(0..3_000u64, 0..8),
        cost in 1..3_000u64,
    ) {
        let (mut desk, line) = (Desk::new(), taken(limit, cost));
        for cost in before {
            desk.allowed(&[taken(limit, cost)]);
        }
        let (_, told) = desk.admit(std::slice::from_ref(&line));
        prop_assert_eq!(told.now, desk.now);
        if !told.allowed {
            let wait = line.wait(told.standings[0].level, told.now).unwrap();
            prop_assert!(wait >= Duration::from_micros(1));
            desk.now += micros(wait) - 1;
            prop_assert!(!desk.allowed(std::slice::from_ref(&line)));
            desk.now += 1;
            prop_assert!(desk.allowed(std::slice::from_ref(&line)));
        }
    }

    #[test]
    fn a_bucket_is_full_at_its_reset_and_not_a_microsecond_sooner(limit in limits(), costs in vec(1..3_000u64, 1..8)) {
        let Limit::Bucket(rule) = limit else { unreachable!() };
        let (mut desk, line) = (Desk::new(), taken(limit, 0));
        for cost in costs {
            desk.allowed(&[taken(limit, cost)]);
        }
        let reset = line.reset(desk.levels(std::slice::from_ref(&line))[0], desk.now);
        desk.now += micros(reset) - 1;
        prop_assert!(desk.left(&line) < u64::from(rule.burst()));
        desk.now += 1;
        prop_assert_eq!(desk.left(&line), u64::from(rule.burst()));
    }
}

#[test]
fn seven_a_day_is_seven_a_day_for_a_year() {
    let rate = RateLimit { amount: 7, per_seconds: 86_400, burst: 7 };
    let (mut desk, line) = (Desk::new(), [requests(Limit::Bucket(Rule::new(&rate).unwrap()))]);
    while desk.allowed(&line) {}
    let mut passed = 0;
    while desk.now < BEGIN + 365 * 86_400 * SECOND {
        let (_, told) = desk.admit(&line);
        if told.allowed {
            passed += 1;
        } else {
            desk.now += micros(line[0].wait(told.standings[0].level, told.now).unwrap());
        }
    }
    assert_eq!(passed, 7 * 365 - 1, "the last one comes as the year ends");
}
