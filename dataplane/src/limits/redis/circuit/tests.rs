use super::{Circuit, MISSES, Phase};
use crate::limits::redis::Sick;
use crate::limits::redis::link::Link;
use crate::limits::tests::server::RedisServer;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A closed circuit, its connection and another one.
async fn closed(server: &RedisServer) -> (Circuit, Arc<Link>, Arc<Link>) {
    let link = async || Arc::new(super::super::link::tests::link(server).await.0);
    let (circuit, first, second) = (Circuit::new(), link().await, link().await);
    circuit.close(&first);
    (circuit, first, second)
}

#[tokio::test]
async fn it_opens_at_the_fifth_miss_in_a_row() {
    let server = RedisServer::start().await;
    let (circuit, link, _) = closed(&server).await;
    for _ in 0..3 {
        (1..MISSES).for_each(|_| circuit.miss(&link, Sick::Slow));
        assert!(circuit.is_closed());
        Circuit::hit(&link);
    }
    (0..MISSES).for_each(|_| circuit.miss(&link, Sick::Slow));
    assert!(circuit.is_open() && circuit.link().await.is_none());
}

#[tokio::test]
async fn it_opens_at_once_when_the_connection_breaks() {
    let server = RedisServer::start().await;
    let (circuit, link, _) = closed(&server).await;
    circuit.miss(&link, Sick::Gone);
    assert!(circuit.is_open());
}

#[tokio::test]
async fn what_an_older_connection_does_changes_nothing() {
    let server = RedisServer::start().await;
    let (circuit, old, new) = closed(&server).await;
    circuit.close(&new);
    circuit.miss(&old, Sick::Gone);
    assert!(circuit.is_closed());
    assert!(Arc::ptr_eq(&circuit.link().await.unwrap(), &new));
}

#[tokio::test]
async fn a_closed_one_is_not_opened_by_a_failed_attempt_to_connect() {
    let server = RedisServer::start().await;
    let (circuit, ..) = closed(&server).await;
    circuit.open_by(None, Sick::Gone);
    assert!(circuit.is_closed());
}

#[tokio::test]
async fn decisions_wait_while_nothing_is_known_and_go_on_when_it_is() {
    let server = RedisServer::start().await;
    let (_, link, _) = closed(&server).await;
    let circuit = Circuit::new();
    assert!(timeout(Duration::from_millis(1), circuit.link()).await.is_err());
    let (found, ()) = tokio::join!(circuit.link(), async { circuit.close(&link) });
    assert!(found.is_some());
    let circuit = Circuit::new();
    let (found, ()) = tokio::join!(circuit.link(), async { circuit.open_by(None, Sick::Gone) });
    assert!(found.is_none());
}

#[tokio::test]
async fn the_reason_follows_what_is_found_out_while_it_is_open() {
    let server = RedisServer::start().await;
    let (circuit, link, _) = closed(&server).await;
    circuit.miss(&link, Sick::Gone);
    circuit.open_by(None, Sick::Loading);
    assert!(matches!(&*circuit.watch().borrow(), Phase::Open(Sick::Loading)));
}
