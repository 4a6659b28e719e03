//! The generated sequences reach what they are to try.

use super::tenant;
use super::world::{play, worlds};
use crate::limits::account::{Account, Call, Level, Limit, Reply, WindowLevel};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::BTreeMap;

/// What happened in a reply, in words.
fn events(call: &Call<'_>, reply: &Reply) -> Vec<&'static str> {
    match (call, reply) {
        (Call::Admit { lines, .. }, Reply::Admitted(admitted)) => {
            let mut events = vec![if admitted.allowed { "allowed" } else { "refused" }];
            for (line, standing) in lines.iter().zip(&admitted.standings) {
                events.push(match (line.limit, standing.level, standing.ok) {
                    (Limit::Never, ..) => "never",
                    (Limit::Bucket(rule), Level::Bucket(backlog), _) if backlog.0 > rule.capacity() => "debt",
                    (Limit::Bucket(_), _, true) => "bucket lets",
                    (Limit::Bucket(_), _, false) => "bucket refuses",
                    (Limit::Streams { of_route, .. }, _, false) => {
                        ["streams refuse", "route's streams refuse"][usize::from(of_route)]
                    }
                    (Limit::Streams { .. }, ..) => "streams let",
                    (Limit::Window { stops, .. }, _, false) => {
                        ["budget refuses", "stopping budget refuses"][usize::from(stops)]
                    }
                    (Limit::Window { .. }, Level::Window(WindowLevel { span: 1, .. }), true) => "budget lets",
                    (Limit::Window { .. }, ..) => "another window than the caller's",
                });
            }
            events
        }
        (_, Reply::Settled(true)) => vec!["settled"],
        (_, Reply::Settled(false)) => vec!["settle of nothing"],
        (_, Reply::Charged(true)) => vec!["charged"],
        (_, Reply::Charged(false)) => vec!["charge of what is known"],
        (Call::Refresh { open, .. }, Reply::Refreshed(refreshed)) => {
            let event = |(adopt, known)| match (adopt, known) {
                (_, true) => "refreshed",
                (true, false) => "adopted",
                (false, false) => "refresh of nothing",
            };
            open.iter().map(|open| open.adopt).zip(refreshed.known.iter().copied()).map(event).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_generated_sequences_reach_every_outcome_often() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut counts = BTreeMap::new();
    for _ in 0..400 {
        let world = worlds(80, true).new_tree(&mut runner).unwrap().current();
        let account = Account::new();
        play(&world, |now, call| {
            for event in events(call, &account.apply(&tenant(), now, call)) {
                *counts.entry(event).or_insert(0) += 1;
            }
            Ok(())
        })
        .unwrap();
    }
    assert_eq!(counts.len(), 20, "{counts:#?}");
    assert!(counts.values().all(|count| *count >= 50), "{counts:#?}");
}
