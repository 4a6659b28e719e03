use super::{IN_FLIGHT, Link};
use crate::limits::RedisOptions;
use crate::limits::redis::address::Target;
use crate::limits::redis::connect::connect;
use crate::limits::redis::scripts::{PRESENT, Scripts};
use crate::limits::tests::server::RedisServer;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::timeout;

pub(in crate::limits::redis) async fn link(server: &RedisServer) -> (Link, Scripts) {
    let scripts = Scripts::new("return 1");
    let target = Target::new(&RedisOptions::new(server.url().to_owned())).unwrap();
    (Link::new(connect(&target, &scripts).await.unwrap()), scripts)
}

#[tokio::test]
async fn a_hung_connection_holds_no_more_than_its_bound() {
    let server = RedisServer::start().await;
    let (link, scripts) = link(&server).await;
    server.signal("STOP");
    for _ in 0..2 * IN_FLIGHT {
        assert!(timeout(Duration::ZERO, link.beat(&scripts, PRESENT)).await.is_err());
    }
    assert_eq!((link.abandoned.load(Relaxed), link.places.available_permits()), (IN_FLIGHT, 0));
}

#[tokio::test]
async fn an_answer_gives_the_places_of_abandoned_commands_back() {
    let server = RedisServer::start().await;
    let (link, scripts) = link(&server).await;
    server.signal("STOP");
    for _ in 0..100 {
        assert!(timeout(Duration::ZERO, link.beat(&scripts, PRESENT)).await.is_err());
    }
    assert_eq!(link.places.available_permits(), IN_FLIGHT - 100);
    server.signal("CONT");
    assert_eq!(link.beat(&scripts, PRESENT).await.unwrap(), 1);
    assert_eq!((link.abandoned.load(Relaxed), link.places.available_permits()), (0, IN_FLIGHT));
}

#[tokio::test]
async fn a_proxy_counts_from_its_word_on_until_it_takes_it_back() {
    let server = RedisServer::start().await;
    let (first, its_scripts) = link(&server).await;
    let (second, other_scripts) = link(&server).await;
    assert_eq!(first.beat(&its_scripts, PRESENT).await.unwrap(), 2);
    assert_eq!(second.beat(&other_scripts, Duration::ZERO).await.unwrap(), 1);
    assert_eq!(first.beat(&its_scripts, PRESENT).await.unwrap(), 1);
    let expires: i64 = server.run("PTTL relay:{proxies}").await;
    assert!(expires > 0 && expires <= 30_000, "{expires}");
}
