//! What only Redis does: keys, their expiry, its clock, and what it loses.

use super::twins::Store;
use super::{BEGIN, SECOND, budget, output, per_hour, requests, streams, streams_of_route, tenant, tokens};
use crate::limits::account::{Admitted, Call, Id, Level, Line, Open, Reply, TTL, script};
use crate::limits::tests::server::RedisServer;
use std::time::{SystemTime, UNIX_EPOCH};

fn lines() -> [Line; 5] {
    [
        requests(per_hour(1, 10)),
        tokens(per_hour(1, 1000), 400),
        streams(5),
        streams_of_route(5),
        budget(10_000, true, 40),
    ]
}

fn admit(store: &Store, now: Option<u64>, id: u128, lines: &[Line]) -> Admitted {
    match store.apply(&tenant(), now, &Call::Admit { id: Id(id), lines }) {
        Reply::Admitted(admitted) => admitted,
        other => panic!("{other:?}"),
    }
}

fn settle(store: &Store, now: Option<u64>, id: u128, lines: &[Line]) -> bool {
    store.apply(&tenant(), now, &Call::Settle { id: Id(id), lines, used: output(9) }) == Reply::Settled(true)
}

fn key(part: &str) -> String {
    format!("relay:{{team/a}}:{part}")
}

/// In seconds, by key.
fn expiries(store: &Store) -> Vec<(String, i64)> {
    let mut keys: Vec<String> = store.run(&["KEYS", "*"]);
    keys.sort();
    keys.into_iter()
        .map(|key| {
            let ttl = store.run(&["TTL", &key]);
            (key, ttl)
        })
        .collect()
}

#[tokio::test]
async fn all_is_in_four_keys_of_one_slot() {
    let server = RedisServer::start().await;
    let store = Store::connect(server.url());
    admit(&store, Some(BEGIN), 1, &lines());
    admit(&store, Some(BEGIN + TTL.as_secs() * SECOND), 2, &lines());
    let expected = ["held", "late", "open", "state"].map(key);
    assert_eq!(expiries(&store).into_iter().map(|(key, _)| key).collect::<Vec<_>>(), expected);
    // What stands in the first braces alone decides on the slot.
    let tags = script::keys(&tenant()).map(|key| key[key.find('{').unwrap()..=key.find('}').unwrap()].to_owned());
    assert_eq!(tags, ["{team/a}"; 4].map(String::from));
}

#[tokio::test]
async fn every_key_expires_whatever_happened() {
    let server = RedisServer::start().await;
    let store = Store::connect(server.url());
    let (all, simple) = (lines(), [requests(per_hour(1, 10))]);
    let mut now = BEGIN;
    for id in 0..40 {
        let call = match id % 5 {
            0 => Call::Admit { id: Id(id), lines: &all },
            1 => Call::Admit { id: Id(id), lines: &simple },
            2 => Call::Charge { id: Id(id), lines: &all, used: output(5) },
            3 => {
                Call::Refresh { open: &[Open { id: Id(id), lines: &all, seen: output(9), adopt: true }], windows: &all }
            }
            _ => Call::Settle { id: Id(id - 1), lines: &all, used: output(7) },
        };
        store.apply(&tenant(), Some(now), &call);
        let without: Vec<_> = expiries(&store).into_iter().filter(|(_, ttl)| *ttl <= 0).collect();
        assert!(without.is_empty(), "after call {id}: {without:?}");
        // Now and then all that is held runs out.
        now += u64::try_from(id).unwrap() % 7 * 9 * SECOND;
    }
}

#[tokio::test]
async fn a_key_that_comes_later_expires_with_the_others() {
    let server = RedisServer::start().await;
    let store = Store::connect(server.url());
    // From here on nothing moves the expiry: ten hours are longer than what follows.
    admit(&store, Some(BEGIN), 1, &[Line { cost: 10, ..requests(per_hour(1, 10)) }]);
    let mut keys = Vec::new();
    for (number, line) in [streams(5), streams_of_route(5)].into_iter().enumerate() {
        let now = BEGIN + u64::try_from(number).unwrap() * TTL.as_secs() * SECOND;
        admit(&store, Some(now), 2 + number as u128, &[line]);
        keys = expiries(&store);
        assert!(keys.iter().all(|(_, ttl)| (35_900..=36_061).contains(ttl)), "{keys:?}");
    }
    assert_eq!(keys.len(), 4);
}

#[tokio::test]
async fn the_keys_live_until_the_last_token_is_back_and_a_minute_more() {
    let server = RedisServer::start().await;
    let store = Store::connect(server.url());
    admit(&store, Some(BEGIN), 1, &[requests(per_hour(10, 10))]);
    let (_, ttl) = expiries(&store)[0].clone();
    assert!((360 + 60..=360 + 63).contains(&ttl), "{ttl}");
    // Shorter needs don't shorten it, and the same need doesn't move it on.
    admit(&store, Some(BEGIN), 2, &[streams(5)]);
    admit(&store, Some(BEGIN), 3, &[Line { field: "other".into(), ..requests(per_hour(3600, 10)) }]);
    let longest = expiries(&store);
    assert_eq!(longest.len(), 3);
    assert!(longest.iter().all(|(_, ttl)| (630 + 60..=630 + 63).contains(ttl)), "{longest:?}");
}

#[tokio::test]
async fn a_call_without_a_time_is_on_the_clock_of_redis() {
    let server = RedisServer::start().await;
    let store = Store::connect(server.url());
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    let before = clock();
    let told = admit(&store, None, 1, &lines()).now;
    assert!((before..=clock()).contains(&u128::from(told)));
}

#[tokio::test]
async fn a_script_that_was_flushed_is_loaded_again_and_the_account_stays() {
    let server = RedisServer::start().await;
    let store = Store::connect(server.url());
    assert!(admit(&store, Some(BEGIN), 1, &lines()).allowed);
    let () = store.run(&["SCRIPT", "FLUSH"]);
    let store = Store::connect(server.url());
    assert_eq!(admit(&store, Some(BEGIN), 2, &lines()).standings[2].level, Level::Streams(2));
    assert!(settle(&store, Some(BEGIN), 1, &lines()));
}

#[tokio::test]
async fn an_emptied_redis_begins_anew_and_what_ran_is_adopted_or_left_alone() {
    let server = RedisServer::start().await;
    let store = Store::connect(server.url());
    admit(&store, Some(BEGIN), 1, &lines());
    admit(&store, Some(BEGIN), 2, &lines());
    let () = store.run(&["FLUSHALL"]);
    let all = lines();
    assert!(!settle(&store, Some(BEGIN), 1, &all));
    let open = [Open { id: Id(2), lines: &all, seen: output(500), adopt: true }];
    store.apply(&tenant(), Some(BEGIN), &Call::Refresh { open: &open, windows: &[] });
    let told = admit(&store, Some(BEGIN), 3, &all);
    let left: Vec<_> = all.iter().zip(&told.standings).map(|(line, told)| line.remaining(told.level)).collect();
    assert_eq!(left, [8, 100, 3, 3, 10_000 - 540]);
}

#[tokio::test]
async fn keys_with_something_else_in_them_are_as_good_as_none() {
    let server = RedisServer::start().await;
    let store = Store::connect(server.url());
    let all = lines();
    for part in ["state", "open", "held", "late"] {
        for spoil in [vec!["SET", "nonsense"], vec!["LPUSH", "nonsense"], vec!["HSET", "requests", "nonsense"]] {
            let () = store.run(&["FLUSHALL"]);
            let name = key(part);
            let words: Vec<_> = [spoil[0], &name].into_iter().chain(spoil[1..].iter().copied()).collect();
            let _: redis::Value = store.run(&words);
            let told = admit(&store, Some(BEGIN), 1, &all);
            let levels: Vec<_> =
                all.iter().zip(&told.standings).map(|(line, told)| line.remaining(told.level)).collect();
            assert_eq!((told.allowed, levels), (true, vec![9, 600, 4, 4, 9960]), "{words:?}");
            assert!(settle(&store, Some(BEGIN), 1, &all), "{words:?}");
        }
    }
}

#[tokio::test]
async fn an_evicted_key_costs_what_it_held_and_no_slot_for_ever() {
    let server = RedisServer::start().await;
    for part in ["state", "open", "held", "late"] {
        let store = Store::connect(server.url());
        let () = store.run(&["FLUSHALL"]);
        let route = [streams_of_route(1)];
        assert!(admit(&store, Some(BEGIN), 1, &route).allowed);
        let () = store.run(&["DEL", &key(part)]);
        settle(&store, Some(BEGIN), 1, &route);
        assert!(admit(&store, Some(BEGIN), 2, &route).allowed, "{part}");
        assert!(!admit(&store, Some(BEGIN), 3, &route).allowed, "{part}");
    }
}

#[tokio::test]
async fn a_redis_without_memory_refuses_a_call_whole() {
    let server = RedisServer::start().await;
    let store = Store::connect(server.url());
    let all = lines();
    admit(&store, Some(BEGIN), 1, &all);
    let later = BEGIN + TTL.as_secs() * SECOND;
    let () = store.run(&["CONFIG", "SET", "maxmemory", "1"]);
    for call in [
        Call::Admit { id: Id(2), lines: &all },
        Call::Admit { id: Id(2), lines: &all[..1] },
        Call::Charge { id: Id(2), lines: &all, used: output(9) },
        Call::Refresh { open: &[Open { id: Id(1), lines: &all, seen: output(900), adopt: true }], windows: &[] },
    ] {
        let error = store.ask(&tenant(), Some(later), &call).unwrap_err();
        // Redis 6.2 has it in the text alone.
        assert!(error.to_string().contains("OOM"), "{call:?}: {error}");
    }
    let () = store.run(&["CONFIG", "SET", "maxmemory", "0"]);
    let told = admit(&store, Some(BEGIN), 3, &all);
    let left: Vec<_> = all.iter().zip(&told.standings).map(|(line, told)| line.remaining(told.level)).collect();
    assert_eq!(left, [8, 200, 3, 3, 9920]);
}

#[tokio::test]
async fn an_acl_user_needs_no_more_than_the_commands_that_are_documented() {
    let server = RedisServer::start().await;
    let documented = include_str!("../../../../../docs/limits.md");
    let commands: Vec<String> = (documented.split("An ACL user needs ").nth(1).unwrap())
        .split('`')
        .skip(1)
        .step_by(2)
        .take_while(|word| *word != "relay:*")
        .map(|command| format!("+{}", command.to_lowercase()))
        .collect();
    let admin = Store::connect(server.url());
    let all: Vec<_> = ["ACL", "SETUSER", "relay", "on", ">s3cret", "~relay:*", "-@all"]
        .into_iter()
        .chain(commands.iter().map(String::as_str))
        .collect();
    let () = admin.run(&all);
    let url = format!("{}?user=relay&pass=s3cret", server.url());
    let (store, lines) = (Store::connect(&url), lines());
    for part in ["state", "open", "held", "late"] {
        let () = admin.run(&["SET", &key(part), "something else"]);
    }
    assert!(admit(&store, Some(BEGIN), 1, &lines).allowed);
    let later = BEGIN + TTL.as_secs() * SECOND;
    let open = [Open { id: Id(1), lines: &lines, seen: output(9), adopt: true }];
    for call in [
        Call::Charge { id: Id(2), lines: &lines, used: output(9) },
        Call::Refresh { open: &open, windows: &lines },
        Call::Settle { id: Id(1), lines: &lines, used: output(9) },
    ] {
        store.apply(&tenant(), Some(later), &call);
    }
    assert!(!settle(&store, Some(later + 700 * SECOND), 2, &lines));
}

#[tokio::test]
async fn a_reply_that_the_script_never_gives_is_an_error() {
    let all = lines();
    let admit = Call::Admit { id: Id(1), lines: &all[..1] };
    for reply in [&[][..], &[1], &[1, 5], &[1, 5, 1, 0], &[2, 5, 1, 0, 0], &[1, 5, 1, 0, -1], &[1, 5, 1, 0, 0, 0]] {
        assert_eq!(script::reply(&admit, reply), Err(script::Malformed), "{reply:?}");
    }
    assert!(script::reply(&admit, &[1, 5, 1, 0, 0]).is_ok());
    let window = Call::Admit { id: Id(1), lines: &all[4..] };
    assert_eq!(script::reply(&window, &[1, 5, 1, 0, 3]), Err(script::Malformed));
}
