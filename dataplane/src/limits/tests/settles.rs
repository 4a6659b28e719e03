//! What is told to Redis beside decisions, and what is seen of it.

use super::recovery::{ESTIMATE, cut_off, limited, options, until_left, until_mode, until_shared, used};
use super::server::RedisServer;
use super::{budget, eventually, held, per_hour, refused, tokens};
use crate::limits::publish::Settled;
use relay_snapshot::Limits;
use std::time::Duration;

#[tokio::test]
async fn a_budget_that_is_spent_by_one_proxy_ends_the_streams_of_the_others() {
    let server = RedisServer::start().await;
    let (one, other) = (server.limiter(options()), server.limiter(options()));
    let plan = limited(Limits { budgets: vec![budget(100, true)], ..Limits::default() });
    let here = held(one.admit(&plan, None, ESTIMATE).await);
    let there = held(other.admit(&plan, None, ESTIMATE).await);
    here.progress(used(10, 80));
    assert!(here.stop().is_some_and(|stop| !stop.is_cancelled()), "it does not know of the other's reservation yet");
    let both = async { tokio::join!(here.stop().unwrap().cancelled(), there.stop().unwrap().cancelled()) };
    tokio::time::timeout(Duration::from_secs(30), both).await.unwrap();
}

#[tokio::test]
async fn what_an_emptied_redis_forgot_is_held_again() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(options());
    let plan = limited(Limits { streams: Some(1), budgets: vec![budget(1000, true)], ..Limits::default() });
    let running = held(limiter.admit(&plan, None, ESTIMATE).await);
    let () = server.run("FLUSHALL").await;
    let other = server.limiter(options());
    eventually("the place is taken again", async || server.run::<u64>("ZCARD relay:{team/a}:open").await == 1).await;
    assert_eq!(&*refused(other.admit(&plan, None, ESTIMATE).await).0.key, "streams");
    running.settle(used(10, 20));
    eventually("it is free", async || server.run::<u64>("ZCARD relay:{team/a}:open").await == 0).await;
}

#[tokio::test]
async fn what_is_held_is_said_to_be_held_again_and_again() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(options());
    let plan = limited(Limits { budgets: vec![budget(1000, true)], ..Limits::default() });
    let _running = held(limiter.admit(&plan, None, ESTIMATE).await);
    let expiry = async || {
        let open: Vec<(String, f64)> = server.run("ZRANGE relay:{team/a}:open 0 -1 WITHSCORES").await;
        open[0].1
    };
    let first = expiry().await;
    eventually("it runs out later", async || expiry().await > first).await;
}

#[tokio::test]
async fn the_end_of_the_process_sends_what_is_left_and_leaves_the_count() {
    let server = RedisServer::start().await;
    let (limiter, other) = (server.limiter(options()), server.limiter(options()));
    until_shared(&limiter).await;
    until_shared(&other).await;
    let plan = limited(tokens(per_hour(1, 100_000)));
    let mut running = Vec::new();
    for _ in 0..300 {
        running.push(held(limiter.admit(&plan, None, ESTIMATE).await));
    }
    for reservation in running {
        reservation.settle(used(10, 0));
    }
    limiter.close().await;
    assert_eq!(limiter.inner.counts.of(Settled::Shared), 300);
    until_left(&other, &plan, 97_000).await;
    assert_eq!(server.run::<u64>("ZCARD relay:{proxies}").await, 1);
}

#[tokio::test]
async fn a_request_whose_client_left_while_redis_was_asked_holds_nothing_for_long() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(options());
    until_shared(&limiter).await;
    let plan = limited(tokens(per_hour(1, 1000)));
    server.signal("STOP");
    let left = tokio::time::timeout(Duration::from_millis(20), limiter.admit(&plan, None, ESTIMATE)).await;
    assert!(left.is_err());
    server.signal("CONT");
    until_left(&server.limiter(options()), &plan, 1000).await;
}

#[tokio::test]
async fn what_an_emptied_redis_forgot_is_charged_at_its_end_all_the_same() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(options());
    let plan = limited(tokens(per_hour(1, 1000)));
    let running = held(limiter.admit(&plan, None, ESTIMATE).await);
    let () = server.run("FLUSHALL").await;
    running.settle(used(10, 20));
    until_left(&server.limiter(options()), &plan, 970).await;
    eventually("it is counted", async || limiter.inner.counts.of(Settled::Late) == 1).await;
}

#[tokio::test]
async fn a_request_costs_one_round_trip_before_and_one_behind() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(options());
    until_shared(&limiter).await;
    let plan =
        limited(Limits { requests: Some(per_hour(1, 1000)), streams: Some(100), ..tokens(per_hour(1, 100_000)) });
    let before = server.calls("evalsha").await;
    for _ in 0..100 {
        held(limiter.admit(&plan, None, ESTIMATE).await).settle(used(10, 20));
    }
    eventually("all are settled", async || limiter.inner.counts.of(Settled::Shared) == 100).await;
    let calls = server.calls("evalsha").await - before;
    // A heartbeat or two may come between.
    assert!((200..=202).contains(&calls), "{calls}");
}

#[tokio::test]
async fn what_is_seen_of_the_limits_is_published() {
    let (mut server, limiter) = cut_off(async |limiter| {
        held(limiter.admit(&limited(tokens(per_hour(1, 1000))), None, ESTIMATE).await).settle(used(10, 20));
        until_left(limiter, &limited(tokens(per_hour(1, 1000))), 970).await;
    })
    .await;
    let metrics = crate::metrics::Metrics::new().unwrap();
    let shows = |line: &str| {
        limiter.publish(&metrics);
        let text = metrics.render().unwrap();
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    };
    shows(r#"relay_limits_mode{mode="local"} 1"#);
    shows(r#"relay_limits_mode{mode="shared"} 0"#);
    shows(r#"relay_limit_remaining{limit="tokens",route="",tenant="team/a"} 970"#);
    shows(r#"relay_limit_settles_total{result="shared"} 1"#);
    shows(r#"relay_limit_settles_total{result="lost"} 0"#);
    server.restart().await;
    until_mode(&limiter, "shared").await;
    shows(r#"relay_limits_mode{mode="shared"} 1"#);
}

#[tokio::test]
async fn what_an_emptied_redis_forgot_is_charged_although_it_refuses_that_at_first() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(options());
    let plan = limited(tokens(per_hour(1, 1000)));
    let running = held(limiter.admit(&plan, None, ESTIMATE).await);
    let () = server.run("FLUSHALL").await;
    // It still answers that it knows nothing of the reservation.
    let () = server.run("ACL SETUSER default -zadd").await;
    running.settle(used(10, 20));
    eventually("it refuses", async || !server.run::<Vec<redis::Value>>("ACL LOG").await.is_empty()).await;
    let () = server.run("ACL SETUSER default +zadd").await;
    until_left(&server.limiter(options()), &plan, 970).await;
}

#[tokio::test]
async fn the_end_of_the_process_waits_for_a_redis_that_comes_back_soon() {
    let (mut server, limiter) = cut_off(async |_| ()).await;
    let plan = limited(tokens(per_hour(1, 1000)));
    held(limiter.admit(&plan, None, ESTIMATE).await).settle(used(10, 20));
    tokio::join!(limiter.close(), server.restart());
    assert_eq!(limiter.inner.counts.of(Settled::Lost), 0);
    until_left(&server.limiter(options()), &plan, 970).await;
}

#[tokio::test]
async fn what_redis_is_not_told_by_the_end_of_the_process_is_counted_as_lost() {
    let (_server, limiter) = cut_off(async |_| ()).await;
    let plan = limited(tokens(per_hour(1, 1000)));
    held(limiter.admit(&plan, None, ESTIMATE).await).settle(used(10, 20));
    limiter.close().await;
    assert_eq!(limiter.inner.counts.of(Settled::Lost), 1);
}
