use super::{IN_FLIGHT, Link, connect};
use crate::limits::gcra::Rule;
use crate::limits::tests::server::RedisServer;
use redis::{Client, Script};
use relay_snapshot::RateLimit;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::timeout;

const SCRIPT: &str = include_str!("../../gcra.lua");

async fn link(server: &RedisServer) -> (Link, Script, Rule) {
    let script = Script::new(SCRIPT);
    let connection = connect(&Client::open(server.url()).unwrap(), &script).await.unwrap();
    let rule = Rule::new(&RateLimit { amount: 1, per_seconds: 1, burst: 5000 }).unwrap();
    (Link::new(connection), script, rule)
}

#[tokio::test]
async fn a_hung_connection_holds_no_more_than_its_bound() {
    let server = RedisServer::start().await;
    let (link, script, rule) = link(&server).await;
    server.signal("STOP");
    for _ in 0..2 * IN_FLIGHT {
        assert!(timeout(Duration::ZERO, link.call(&script, "k", rule)).await.is_err());
    }
    assert_eq!((link.abandoned.load(Relaxed), link.places.available_permits()), (IN_FLIGHT, 0));
}

#[tokio::test]
async fn an_answer_gives_the_places_of_abandoned_commands_back() {
    let server = RedisServer::start().await;
    let (link, script, rule) = link(&server).await;
    server.signal("STOP");
    for _ in 0..100 {
        assert!(timeout(Duration::ZERO, link.call(&script, "k", rule)).await.is_err());
    }
    assert_eq!(link.places.available_permits(), IN_FLIGHT - 100);
    server.signal("CONT");
    assert!(link.call(&script, "k", rule).await.unwrap().0);
    assert_eq!((link.abandoned.load(Relaxed), link.places.available_permits()), (0, IN_FLIGHT));
}

#[tokio::test]
async fn five_failures_in_a_row_break_it_and_four_do_not() {
    let server = RedisServer::start().await;
    let (link, ..) = link(&server).await;
    for _ in 0..3 {
        (0..4).for_each(|_| link.missed());
        assert!(timeout(Duration::ZERO, link.broken.notified()).await.is_err());
        link.answered();
    }
    (0..5).for_each(|_| link.missed());
    assert!(timeout(Duration::ZERO, link.broken.notified()).await.is_ok());
}
