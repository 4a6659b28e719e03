//! `gcra.lua` on the Lua of a real Redis, in virtual time.

use super::{limits, pauses};
use crate::limits::gcra::{Bucket, Outcome, Rule, admit};
use crate::limits::tests::server::RedisServer;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use redis::Script;
use redis::aio::MultiplexedConnection;
use relay_snapshot::RateLimit;
use std::cell::Cell;

/// The script with its clock and its expiry, both in real time, taken out.
fn in_virtual_time() -> Script {
    let code = include_str!("../../gcra.lua");
    let (clock, expiry) = ("redis.call('TIME')", ", 'PX', math.max(ttl, 1))");
    assert!(code.matches(clock).count() == 1 && code.matches(expiry).count() == 1, "the script has changed");
    Script::new(&code.replace(clock, "{ARGV[4], ARGV[5]}").replace(expiry, ")"))
}

async fn run(redis: &mut MultiplexedConnection, script: &Script, key: &str, rule: Rule, now: u64) -> Outcome {
    let mut call = script.key(key);
    call.arg(rule.amount()).arg(rule.period()).arg(rule.burst()).arg(now / 1_000_000).arg(now % 1_000_000);
    let (allowed, seconds, parts) = call.invoke_async(redis).await.unwrap();
    rule.outcome_of_script(allowed, seconds, parts)
}

/// Some requests under one limit, then some under another.
fn histories() -> impl Strategy<Value = Vec<(RateLimit, Vec<u64>)>> {
    prop::collection::vec((limits(), prop::collection::vec(pauses(), 1..12)), 1..5)
}

#[test]
fn the_script_and_the_rust_say_the_same_through_changes_of_the_limit() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(RedisServer::start());
    let redis = runtime.block_on(server.connect());
    let script = in_virtual_time();
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    // Seconds as they are today: small numbers would hide a loss of digits.
    let start = 1_900_000_000_000_007;
    let cases = Cell::new(0);
    let result = runner.run(&(histories(), 0..1_000_000u64), |(history, offset)| {
        cases.set(cases.get() + 1);
        let (mut redis, key) = (redis.clone(), format!("case-{}", cases.get()));
        let mut bucket: Option<Bucket> = None;
        let mut now = start + offset;
        for (limit, pauses) in history {
            let rule = Rule::new(&limit).unwrap();
            for pause in pauses {
                now += pause;
                let (expected, after) = admit(rule, bucket, now);
                bucket = Some(after);
                let outcome = runtime.block_on(run(&mut redis, &script, &key, rule, now));
                prop_assert_eq!(outcome, expected, "{:?} at {}", rule, now);
            }
        }
        Ok(())
    });
    result.unwrap();
}

#[test]
fn the_script_survives_a_clock_that_is_set_back() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = RedisServer::start().await;
        let (mut redis, script) = (server.connect().await, in_virtual_time());
        let rule = Rule::new(&RateLimit { amount: 60, per_seconds: 60, burst: 3 }).unwrap();
        let now = 1_900_000_000_000_000;
        assert!(run(&mut redis, &script, "k", rule, now).await.allowed);
        // A year back: the bucket is empty, not locked for a year.
        let now = now - 31_536_000_000_000;
        assert!(!run(&mut redis, &script, "k", rule, now).await.allowed);
        assert!(run(&mut redis, &script, "k", rule, now + 1_000_000).await.allowed);
    });
}
