//! From the account that all share to one proxy's part.

use super::{BEGIN, budget, per_hour, streams, tenant, tokens};
use crate::limits::account::{Account, Backlog, Call, Id, Level, Line, Reply, WindowLevel};
use proptest::prelude::*;

/// How many requests of cost 1 pass a proxy's part at once.
fn drain(account: &Account, line: &Line) -> u64 {
    let line = Line { cost: 1, ..line.clone() };
    let passes = |id: &u64| match account.apply(
        &tenant(),
        BEGIN,
        &Call::Admit { id: Id(u128::from(*id)), lines: std::slice::from_ref(&line) },
    ) {
        Reply::Admitted(admitted) => admitted.allowed,
        other => panic!("{other:?}"),
    };
    (0..10_000).take_while(passes).count() as u64
}

fn carried(line: &Line, level: Level, proxies: u32) -> u64 {
    let account = Account::new();
    account.carry(&tenant(), BEGIN, std::slice::from_ref(line), &[level], proxies);
    drain(&account, &line.share(proxies))
}

/// A bucket's level with so many tokens out.
fn out(tokens: u64) -> Level {
    Level::Bucket(Backlog(u128::from(tokens) * 3_600_000_000))
}

#[test]
fn what_is_left_is_divided() {
    let bucket = tokens(per_hour(300, 100), 1);
    assert_eq!(carried(&bucket, out(10), 3), 30);
    assert_eq!(carried(&bucket, out(0), 3), 33);
    assert_eq!(carried(&bucket, out(99), 3), 0);
    assert_eq!(carried(&bucket, out(100), 3), 0);
    let window = budget(1000, false, 1);
    let used = |used| Level::Window(WindowLevel { used, span: 1 });
    assert_eq!(carried(&window, used(400), 3), 200);
    assert_eq!(carried(&window, used(999), 3), 0);
    assert_eq!(carried(&window, used(5000), 3), 0);
}

#[test]
fn a_debt_is_divided() {
    let account = Account::new();
    let bucket = tokens(per_hour(300, 100), 1);
    account.carry(&tenant(), BEGIN, std::slice::from_ref(&bucket), &[out(130)], 3);
    let part = bucket.share(3);
    let asked = account.apply(&tenant(), BEGIN, &Call::Admit { id: Id(1), lines: std::slice::from_ref(&part) });
    let Reply::Admitted(admitted) = asked else { panic!("{asked:?}") };
    // A third of 30 that are owed, and the one that is asked for, at 100 an hour.
    assert_eq!(part.wait(admitted.standings[0].level, BEGIN).unwrap().as_secs(), 11 * 36);
}

#[test]
fn streams_are_not_carried() {
    assert_eq!(carried(&streams(30), Level::Streams(30), 3), 10);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_parts_together_let_no_more_pass_than_what_was_left(
        burst in 1..2000u32,
        gone in 0..3000u64,
        proxies in 1..9u32,
    ) {
        let bucket = tokens(per_hour(60, burst), 1);
        let left = u64::from(burst).saturating_sub(gone);
        prop_assert!(carried(&bucket, out(gone), proxies) * u64::from(proxies) <= left);
        let window = budget(burst.into(), false, 1);
        let level = Level::Window(WindowLevel { used: gone, span: 1 });
        prop_assert!(carried(&window, level, proxies) * u64::from(proxies) <= left);
    }
}
