//! A Redis that answers, but not what is needed: each row of the table in `redis/sick.rs` with a real one.

use super::server::RedisServer;
use super::{
    Estimate, Limiter, LimitsMode, Mode, RedisOptions, StoreResult, Verdict, eventually, per_hour, plan, requests,
    tenant,
};
use relay_snapshot::Unavailable;
use std::time::Duration;

fn options() -> RedisOptions {
    RedisOptions { budget: Duration::from_secs(1), ..RedisOptions::new(String::new()) }
}

/// One request. It always passes, whoever decides.
async fn request(limiter: &Limiter) -> (Mode, Option<StoreResult>) {
    let plan = plan(&tenant("a"), requests(per_hour(1_000_000, 1_000_000)), Unavailable::Local);
    let decision = limiter.admit(&plan, None, Estimate::default()).await;
    assert!(matches!(decision.verdict, Verdict::Admitted(None)), "{decision:?}");
    (decision.mode, decision.store.map(|call| call.result))
}

async fn until_shared(limiter: &Limiter) {
    eventually("Redis decides", async || request(limiter).await.0 == Mode::Shared).await;
}

/// Requests go on, here, and the reason is told.
async fn until_reason(limiter: &Limiter, reason: &str) {
    let mut seen = LimitsMode::None;
    eventually(reason, async || {
        request(limiter).await;
        seen = *limiter.mode().borrow();
        seen.label() == "local" && seen.reason().contains(reason)
    })
    .await;
    assert_eq!(request(limiter).await, (Mode::Local, None), "Redis is left alone");
}

/// What makes it sick, the reason that is told, and what heals it.
async fn falls_ill_and_heals(sick: &[&str], reason: &str, heal: &[&str]) {
    let server = RedisServer::start().await;
    let limiter = server.limiter(options());
    until_shared(&limiter).await;
    for command in sick {
        let _: redis::Value = server.run(command).await;
    }
    until_reason(&limiter, reason).await;
    for command in heal {
        let _: redis::Value = server.run(command).await;
    }
    until_shared(&limiter).await;
}

#[tokio::test]
async fn a_replica_that_takes_no_writes() {
    falls_ill_and_heals(&["REPLICAOF 127.0.0.1 1"], "read-only replica", &["REPLICAOF NO ONE"]).await;
}

#[tokio::test]
async fn a_replica_without_its_master() {
    let sick = ["CONFIG SET replica-serve-stale-data no", "REPLICAOF 127.0.0.1 1"];
    falls_ill_and_heals(&sick, "master or cluster is down", &["REPLICAOF NO ONE"]).await;
}

#[tokio::test]
async fn a_redis_without_memory() {
    falls_ill_and_heals(&["CONFIG SET maxmemory 1"], "out of memory", &["CONFIG SET maxmemory 0"]).await;
}

#[tokio::test]
async fn a_redis_with_too_few_replicas() {
    let sick = ["CONFIG SET min-replicas-to-write 1"];
    falls_ill_and_heals(&sick, "too few replicas", &["CONFIG SET min-replicas-to-write 0"]).await;
}

async fn is_late_while_paused(pause: &str) {
    let server = RedisServer::start().await;
    let limiter = server.limiter(RedisOptions { budget: Duration::from_millis(50), ..options() });
    until_shared(&limiter).await;
    let () = server.run(pause).await;
    until_reason(&limiter, "in time").await;
    until_shared(&limiter).await;
}

#[tokio::test]
async fn a_redis_that_is_paused() {
    is_late_while_paused("CLIENT PAUSE 1500 ALL").await;
}

#[tokio::test]
async fn a_redis_that_pauses_writes_alone() {
    is_late_while_paused("CLIENT PAUSE 1500 WRITE").await;
}

#[tokio::test]
async fn a_redis_whose_script_never_ends() {
    let server = RedisServer::start().await;
    let limiter = server.limiter(RedisOptions { budget: Duration::from_millis(50), ..options() });
    until_shared(&limiter).await;
    let () = server.run("CONFIG SET busy-reply-threshold 1").await;
    let mut busy = server.connect().await;
    let script =
        tokio::spawn(
            async move { redis::cmd("EVAL").arg("while true do end").arg(0).query_async::<()>(&mut busy).await },
        );
    until_reason(&limiter, "in time").await;
    // Sent by a connection that was made before.
    let mut kill = redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let () = redis::cmd("SCRIPT").arg("KILL").query_async(&mut kill).await.unwrap();
    assert!(script.await.unwrap().is_err());
    until_shared(&limiter).await;
}

#[tokio::test]
async fn a_password_that_is_asked_for_from_now_on() {
    let server = RedisServer::start_on_tcp("old").await;
    let limiter = server.limiter(options());
    until_shared(&limiter).await;
    let mut admin = server.connect().await;
    let run = async |admin: &mut redis::aio::MultiplexedConnection, words: &[&str]| {
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            command.arg(*word);
        });
        command.query_async::<()>(admin).await.unwrap();
    };
    run(&mut admin, &["CONFIG", "SET", "requirepass", "new"]).await;
    run(&mut admin, &["CLIENT", "KILL", "SKIPME", "yes", "TYPE", "normal"]).await;
    until_reason(&limiter, "refuses the user or password").await;
    run(&mut admin, &["CONFIG", "SET", "requirepass", "old"]).await;
    until_shared(&limiter).await;
}

#[tokio::test]
async fn a_password_that_nobody_told_the_relay() {
    let server = RedisServer::start_on_tcp("s3cret").await;
    let url = server.url().replace(":s3cret@", "");
    let limiter = Limiter::redis(&RedisOptions { url: url.into(), ..options() }).unwrap();
    until_reason(&limiter, "refuses the user or password").await;
}

#[tokio::test]
async fn a_user_that_loses_its_rights() {
    let server = RedisServer::start().await;
    let () = server.run("ACL SETUSER relay on >s3cret ~relay:* resetchannels -@all +evalsha +eval +script|load +time +hmget +hget +hset +hdel +zadd +zrem +zcard +zscore +zrangebyscore +zremrangebyscore +pexpire +del").await;
    let with_user =
        RedisOptions { username: Some("relay".into()), password: Some(String::from("s3cret").into()), ..options() };
    let limiter = server.limiter(with_user);
    until_shared(&limiter).await;
    let () = server.run("ACL SETUSER relay -evalsha").await;
    until_reason(&limiter, "lacks a permission").await;
    let () = server.run("ACL SETUSER relay +evalsha").await;
    until_shared(&limiter).await;
    let () = server.run("ACL SETUSER relay -hset").await;
    until_reason(&limiter, "lacks a permission").await;
    let () = server.run("ACL SETUSER relay +hset").await;
    until_shared(&limiter).await;
}

#[tokio::test]
async fn a_node_of_a_cluster_that_has_no_slots() {
    let server = RedisServer::start_with(&["--cluster-enabled", "yes"]).await;
    let limiter = server.limiter(options());
    until_reason(&limiter, "master or cluster is down").await;
    let () = server.run("CLUSTER ADDSLOTSRANGE 0 16383").await;
    until_shared(&limiter).await;
}

#[tokio::test]
async fn a_redis_that_loads_its_data() {
    let mut server = RedisServer::start_with(&["--loading-process-events-interval-bytes", "1024"]).await;
    let fill = "for key = 1, 2000 do redis.call('SET', key, 'x') end";
    let () = redis::cmd("EVAL").arg(fill).arg(0).query_async(&mut server.connect().await).await.unwrap();
    let () = server.run("SAVE").await;
    server.kill();
    // A millisecond a key.
    server.restart_without_waiting(&["--key-load-delay", "1000"]);
    let limiter = server.limiter(options());
    until_reason(&limiter, "loading its data").await;
    until_shared(&limiter).await;
}

#[tokio::test]
async fn a_user_needs_no_more_than_is_documented() {
    let server = RedisServer::start().await;
    let () =
        server.run("ACL SETUSER relay on >s3cret ~relay:* -@all +@scripting +@hash +@sortedset +@keyspace +time").await;
    let with_user =
        RedisOptions { username: Some("relay".into()), password: Some(String::from("s3cret").into()), ..options() };
    until_shared(&server.limiter(with_user)).await;
}
