use super::*;

#[tokio::test]
async fn an_api_server_that_is_away_at_the_start_is_said_and_found_later() {
    let api = FakeApi::start().await;
    let snapshot = set(&[("a", "aa")]);
    publish(&api, &snapshot, 1);
    api.stop().await;
    let mut proxy = Proxy::start(&api);
    let unreachable = proxy.synced.wait_for(|synced| matches!(synced, Synced::Unreachable { .. }));
    tokio::time::timeout(BOUND, unreachable).await.expect("said in time").unwrap();
    api.resume().await;
    proxy.listed().await;
    assert_eq!(proxy.serves(1).await, snapshot);
    proxy.stop().await;
}

#[tokio::test]
async fn a_change_during_an_outage_is_served_after_it() {
    let api = FakeApi::start().await;
    publish(&api, &set(&[("a", "aa")]), 1);
    let mut proxy = Proxy::start(&api);
    proxy.listed().await;
    api.stop().await;
    let snapshot = set(&[("a", "ab")]);
    publish(&api, &snapshot, 2);
    assert_eq!(proxy.served.borrow().as_ref().unwrap().sequence, 1);
    api.resume().await;
    assert_eq!(proxy.serves(2).await, snapshot);
    assert_eq!(*proxy.synced.borrow(), Synced::Listed);
    proxy.stop().await;
}

#[tokio::test]
async fn an_outage_between_index_and_shards_needs_no_further_event() {
    let api = FakeApi::start().await;
    publish(&api, &set(&[("a", "aa")]), 1);
    let mut proxy = Proxy::start(&api);
    proxy.serves(1).await;
    api.fail_gets(Some(500));
    let snapshot = set(&[("a", "ab")]);
    publish(&api, &snapshot, 2);
    proxy.counted(Outcome::Unavailable, 1).await;
    assert_eq!(proxy.served.borrow().as_ref().unwrap().sequence, 1);
    api.fail_gets(None);
    assert_eq!(proxy.serves(2).await, snapshot);
    proxy.stop().await;
}

#[tokio::test]
async fn a_set_that_can_not_be_read_whole_is_counted_and_is_no_sync() {
    let api = FakeApi::start().await;
    publish(&api, &set(&[("a", "aa")]), 1);
    api.fail_gets(Some(403));
    let proxy = Proxy::start(&api);
    proxy.counted(Outcome::Unavailable, 1).await;
    assert!(proxy.served.borrow().is_none());
    // A proxy that called itself synced now would be ready with an older copy.
    assert_ne!(*proxy.synced.borrow(), Synced::Listed);
    proxy.stop().await;
}

#[tokio::test]
async fn a_deleted_index_keeps_what_is_served() {
    let api = FakeApi::start().await;
    let snapshot = set(&[("a", "aa")]);
    publish(&api, &snapshot, 1);
    let mut proxy = Proxy::start(&api);
    proxy.serves(1).await;
    api.delete_index();
    proxy.counted(Outcome::Missing, 1).await;
    assert_eq!(proxy.served.borrow().as_ref().unwrap().snapshot, snapshot);
    publish(&api, &set(&[("a", "ab")]), 2);
    assert_eq!(proxy.serves(2).await, set(&[("a", "ab")]));
    proxy.stop().await;
}
