use super::{backend, entry, table, unready};
use crate::balance::health::{EJECTION, FAILURES};
use crate::balance::{RouteBalance, Sign, publish};
use crate::metrics::Metrics;
use crate::serving::Serving;
use crate::table::RouteEntry;
use proptest::prelude::*;
use relay_snapshot::Backend;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, advance};

/// The names of the backends that so many requests go to.
fn order(route: &RouteEntry, count: usize) -> String {
    let picks = (0..count).map(|_| route.balance().pick(&[], Instant::now()).unwrap());
    picks.map(|pick| route.backends[pick.index].name.clone()).collect()
}

/// The names in the order that one request tries them.
fn tries(route: &RouteEntry, count: usize) -> String {
    let mut tried = Vec::new();
    for _ in 0..count {
        let pick = route.balance().pick(&tried, Instant::now()).unwrap();
        assert_eq!(pick.again, tried.contains(&pick.index));
        tried.push(pick.index);
    }
    tried.into_iter().map(|index| route.backends[index].name.as_str()).collect()
}

/// Fails so often that the backend is ejected.
fn eject(balance: &RouteBalance, index: usize) {
    let others: Vec<usize> = (0..16).filter(|other| *other != index).collect();
    for _ in 0..FAILURES {
        let pick = balance.pick_other(&others, Instant::now()).unwrap();
        assert_eq!(pick.index, index);
        pick.ticket.report(Sign::Ill);
    }
    assert!(!balance.is_well(index));
}

#[test]
fn backends_take_turns() {
    let three = entry(vec![backend("a", 1, 0), backend("b", 1, 0), backend("c", 1, 0)]);
    assert_eq!(order(&three, 7), "abcabca");
}

#[test]
fn weights_are_shares_and_spread_out() {
    let uneven = entry(vec![backend("a", 5, 0), backend("b", 1, 0), backend("c", 1, 0), backend("d", 0, 0)]);
    assert_eq!(order(&uneven, 14), "aabacaaaabacaa");
}

#[test]
fn the_weight_0_takes_nothing_even_where_nothing_else_is_left() {
    let none = entry(vec![backend("a", 0, 0), backend("b", 0, 1)]);
    assert!(none.balance().pick(&[], Instant::now()).is_none());
    let one = entry(vec![backend("a", 0, 0), backend("b", 1, 1)]);
    assert_eq!(tries(&one, 3), "bbb");
}

#[test]
fn a_request_tries_each_backend_before_one_again_and_a_higher_group_only_behind_the_lower() {
    let route = entry(vec![backend("x", 1, 2), backend("a", 1, 0), backend("m", 1, 1), backend("b", 1, 0)]);
    assert_eq!(tries(&route, 6), "abmxba");
    assert_eq!(order(&route, 4), "baba", "other requests have their own order");
}

#[tokio::test(start_paused = true)]
async fn an_ejected_backend_is_passed_over_until_a_probe_finds_it_well() {
    let route = entry(vec![backend("a", 1, 0), backend("b", 1, 0), backend("s", 1, 1)]);
    let balance = route.balance();
    eject(balance, 0);
    assert_eq!(order(&route, 4), "bbbb");
    eject(balance, 1);
    assert_eq!(order(&route, 3), "sss", "the next group");

    advance(EJECTION * 2).await;
    let probe = balance.pick(&[], Instant::now()).unwrap();
    let other = balance.pick(&[], Instant::now()).unwrap();
    assert_eq!((probe.index.min(other.index), probe.index.max(other.index)), (0, 1), "a probe for each");
    assert_eq!(order(&route, 3), "sss", "and no more than one");
    probe.ticket.report(Sign::Well);
    drop(other);
    assert_ne!(order(&route, 2), "ss", "one is back");
}

#[tokio::test(start_paused = true)]
async fn where_all_are_ejected_all_are_used() {
    let route = entry(vec![backend("a", 1, 0), backend("b", 1, 0), backend("s", 1, 1)]);
    for index in 0..3 {
        eject(route.balance(), index);
    }
    let both = order(&route, 4);
    assert!(both == "abab" || both == "baba", "{both}");
    let all = tries(&route, 3);
    assert!(all == "abs" || all == "bas", "{all}");
    // A request that gets through ends the ejection.
    let pick = route.balance().pick(&[], Instant::now()).unwrap();
    let name = route.backends[pick.index].name.clone();
    assert!(pick.ticket.report(Sign::Well));
    assert_eq!(order(&route, 2), name.repeat(2));
}

#[tokio::test(start_paused = true)]
async fn a_reload_forgets_neither_health_nor_turn_of_a_backend_that_stays() {
    let serving = Serving::default();
    let all = || vec![backend("a", 1, 0), backend("b", 1, 0), backend("c", 1, 0)];
    serving.swap(table(all()), 1);
    let route = |serving: &Serving| std::sync::Arc::clone(&serving.table().routes()[0]);
    assert_eq!(order(&route(&serving), 2), "ab");
    serving.swap(table(all()), 2);
    assert_eq!(order(&route(&serving), 2), "ca", "the turn goes on");
    eject(route(&serving).balance(), 1);
    for percent in [20, 20] {
        assert!(route(&serving).balance().retries.take(percent, Instant::now()));
    }

    // In another order, and with one that moved elsewhere.
    let moved = Backend { url: "http://elsewhere".into(), ..backend("c", 1, 0) };
    serving.swap(table(vec![moved, backend("b", 1, 0), backend("a", 1, 0)]), 3);
    let entry = route(&serving);
    assert!(entry.balance().is_well(0) && !entry.balance().is_well(1) && entry.balance().is_well(2));
    let left = (0..100).take_while(|_| entry.balance().retries.take(20, Instant::now())).count();
    assert_eq!(left, 8, "what was spent is spent");

    // Moved as well: another origin is another backend.
    serving.swap(table(vec![Backend { url: "http://new".into(), ..backend("b", 1, 0) }]), 4);
    assert!(route(&serving).balance().is_well(0));
    serving.swap(table(all()), 5);
    assert!(route(&serving).balance().is_well(1), "what no table named was forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_route_that_is_not_ready_for_a_while_forgets_nothing() {
    let serving = Serving::default();
    let all = || vec![backend("a", 1, 0), backend("b", 1, 0), backend("c", 1, 0)];
    let route = |serving: &Serving| std::sync::Arc::clone(&serving.table().routes()[0]);
    serving.swap(table(all()), 1);
    assert_eq!(order(&route(&serving), 2), "ab");
    eject(route(&serving).balance(), 1);
    assert!(route(&serving).balance().retries.take(20, Instant::now()));
    for sequence in [2, 3] {
        serving.swap(unready(all()), sequence);
        assert!(route(&serving).backends.is_empty());
    }
    serving.swap(table(all()), 4);
    let entry = route(&serving);
    assert!(entry.balance().is_well(0) && !entry.balance().is_well(1) && entry.balance().is_well(2));
    assert_eq!(order(&entry, 1), "c", "the turn goes on");
    let left = (0..100).take_while(|_| entry.balance().retries.take(20, Instant::now())).count();
    assert_eq!(left, 9, "what was spent is spent");
}

#[tokio::test(start_paused = true)]
async fn the_gauge_shows_each_backend_of_the_table_and_no_other() {
    let metrics = Metrics::new().unwrap();
    let shown = |metrics: &Metrics| -> Vec<String> {
        let text = metrics.render().unwrap();
        text.lines().filter(|line| line.starts_with("relay_upstream_healthy{")).map(str::to_owned).collect()
    };
    let first = table(vec![backend("a", 1, 0), backend("b", 1, 0)]);
    eject(first.routes()[0].balance(), 1);
    publish(first.routes(), &metrics);
    assert_eq!(
        shown(&metrics),
        [
            r#"relay_upstream_healthy{backend="a",route="team/r"} 1"#,
            r#"relay_upstream_healthy{backend="b",route="team/r"} 0"#
        ]
    );
    publish(table(vec![backend("c", 1, 0)]).routes(), &metrics);
    assert_eq!(shown(&metrics), [r#"relay_upstream_healthy{backend="c",route="team/r"} 1"#]);
}

proptest! {
    #[test]
    fn over_a_whole_round_each_backend_gets_its_weight(weights in prop::collection::vec(0_u32..20, 1..16)) {
        prop_assume!(weights.iter().any(|weight| *weight > 0));
        let backends = weights.iter().enumerate().map(|(n, weight)| backend(&format!("b{n}"), *weight, 0)).collect();
        let route = entry(backends);
        let round: u32 = weights.iter().sum();
        for _ in 0..2 {
            let mut counts = vec![0; weights.len()];
            for _ in 0..round {
                counts[route.balance().pick(&[], Instant::now()).unwrap().index] += 1;
            }
            prop_assert_eq!(&counts, &weights);
        }
    }

    /// Whatever is ejected: a request gets a backend with a weight, a well one of the lowest priority that has one, and all before one again.
    #[test]
    fn a_request_always_gets_the_best_that_there_is(
        members in prop::collection::vec((0_u32..3, 0_u32..3, any::<bool>()), 1..8),
    ) {
        let backends = members.iter().enumerate().map(|(n, (weight, priority, _))| backend(&format!("b{n}"), *weight, *priority));
        let route = entry(backends.collect());
        for (index, (weight, _, is_out)) in members.iter().enumerate() {
            if *is_out && *weight > 0 {
                eject(route.balance(), index);
            }
        }
        // Before any probe is due.
        let now = Instant::now().min(Instant::now() + Duration::from_secs(1));
        let mut tried = Vec::new();
        let rank = |index: usize| (members[index].2, members[index].1);
        let usable: BTreeMap<usize, _> = (0..members.len()).filter(|n| members[*n].0 > 0).map(|n| (n, rank(n))).collect();
        let well = usable.values().filter(|rank| !rank.0).count();
        for n in 0..usable.len() {
            let pick = route.balance().pick(&tried, now).expect("a backend");
            let best = usable.iter().filter(|(index, _)| !tried.contains(*index)).map(|(_, rank)| *rank).min();
            // Once all that are well were tried, they come again before those that are not.
            if n < well || well == 0 {
                prop_assert_eq!(Some(rank(pick.index)), best);
            } else {
                prop_assert!(!rank(pick.index).0);
            }
            tried.push(pick.index);
        }
        prop_assert_eq!(usable.is_empty(), route.balance().pick(&[], now).is_none());
    }
}
