use super::*;
use crate::config::{Source, Update};
use relay_snapshot::shards::{Shards, config_name, secrets_name, shard_of, split};
use relay_snapshot::{KeyDigest, ObjectId, Snapshot, Tenant};
use std::sync::Arc;
use tokio::sync::watch as channel;

mod fake_api;
mod outages;
use fake_api::FakeApi;

const BOUND: Duration = Duration::from_secs(20);

fn tenant(name: &str, digest: &str) -> Tenant {
    let keys = vec![KeyDigest { name: "ci".into(), sha256: digest.repeat(32), not_after: None }];
    Tenant { keys, ..Tenant::new(ObjectId::new("team-a", name)) }
}

fn set(tenants: &[(&str, &str)]) -> Snapshot {
    let mut tenants: Vec<_> = tenants.iter().map(|(name, digest)| tenant(name, digest)).collect();
    tenants.sort_by(|a, b| a.id.cmp(&b.id));
    Snapshot { routes: vec![], tenants }
}

fn index(shards: &Shards, sequence: u64) -> String {
    serde_json::to_string(&shards.index(sequence)).unwrap()
}

/// As the operator writes: the shards first, the index last.
fn publish(api: &FakeApi, snapshot: &Snapshot, sequence: u64) -> Shards {
    let shards = split(snapshot).unwrap();
    api.put_shards(&shards);
    api.put_index(&index(&shards, sequence));
    shards
}

struct Proxy {
    sink: Sink,
    served: channel::Receiver<Option<Update>>,
    synced: channel::Receiver<Synced>,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    fn start(api: &FakeApi) -> Self {
        let (sender, served) = channel::channel(None);
        let sink = Sink::new(Arc::new(move |update| _ = sender.send(Some(update))));
        let (sender, synced) = channel::channel(Synced::default());
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run(api.client(), "relay".into(), sink.clone(), sender, shutdown.clone()));
        Self { sink, served, synced, shutdown, task }
    }

    async fn serves(&mut self, sequence: u64) -> Snapshot {
        let reached = self.served.wait_for(|update| update.as_ref().is_some_and(|update| update.sequence >= sequence));
        let update = tokio::time::timeout(BOUND, reached).await.expect("served in time").unwrap().clone().unwrap();
        assert_eq!(update.sequence, sequence);
        update.snapshot
    }

    async fn listed(&mut self) {
        assert_eq!(first_sync(&mut self.synced, BOUND).await, Synced::Listed);
    }

    async fn counted(&self, outcome: Outcome, times: u64) {
        let counted = async {
            while self.sink.stats()[outcome as usize].1 < times {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(BOUND, counted).await.expect("counted in time");
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(BOUND, self.task).await.expect("ends with shutdown").unwrap();
    }
}

#[tokio::test]
async fn the_first_set_is_served_before_the_list_counts_as_synced() {
    let api = FakeApi::start().await;
    let snapshot = set(&[("a", "aa"), ("b", "bb")]);
    publish(&api, &snapshot, 7);
    let mut proxy = Proxy::start(&api);
    proxy.listed().await;
    assert_eq!(proxy.served.borrow().as_ref().map(|update| update.sequence), Some(7));
    assert_eq!(proxy.serves(7).await, snapshot);
    assert_eq!(api.take_gets().len(), 32);
    proxy.stop().await;
}

#[tokio::test]
async fn a_list_without_a_set_counts_as_synced_too() {
    let api = FakeApi::start().await;
    let mut proxy = Proxy::start(&api);
    proxy.listed().await;
    api.put_index("");
    let snapshot = set(&[("a", "aa")]);
    publish(&api, &snapshot, 1);
    assert_eq!(proxy.serves(1).await, snapshot);
    proxy.stop().await;
}

#[tokio::test]
async fn only_the_shards_that_changed_are_read() {
    let api = FakeApi::start().await;
    publish(&api, &set(&[("a", "aa"), ("b", "bb")]), 1);
    let mut proxy = Proxy::start(&api);
    proxy.serves(1).await;
    api.take_gets();
    let snapshot = set(&[("a", "aa"), ("b", "cc")]);
    publish(&api, &snapshot, 2);
    assert_eq!(proxy.serves(2).await, snapshot);
    assert_eq!(api.take_gets(), [secrets_name(shard_of(&ObjectId::new("team-a", "b")))]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_shard_that_is_behind_its_index_is_read_again_until_it_fits() {
    let api = FakeApi::start().await;
    publish(&api, &set(&[("a", "aa")]), 1);
    let mut proxy = Proxy::start(&api);
    proxy.serves(1).await;
    let changed = secrets_name(shard_of(&ObjectId::new("team-a", "a")));
    api.answer_stale(&changed, 3);
    api.take_gets();
    let snapshot = set(&[("a", "ab")]);
    publish(&api, &snapshot, 2);
    assert_eq!(proxy.serves(2).await, snapshot);
    assert_eq!(api.take_gets(), vec![changed; 4]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_set_that_never_fits_is_refused_and_the_next_one_heals() {
    let api = FakeApi::start().await;
    publish(&api, &set(&[("a", "aa")]), 1);
    let mut proxy = Proxy::start(&api);
    proxy.serves(1).await;
    let torn = split(&set(&[("a", "ab")])).unwrap();
    api.put_index(&index(&torn, 2));
    proxy.counted(Outcome::Mismatch, 1).await;
    assert_eq!(proxy.served.borrow().as_ref().unwrap().sequence, 1);
    let snapshot = set(&[("a", "ac")]);
    publish(&api, &snapshot, 3);
    assert_eq!(proxy.serves(3).await, snapshot);
    proxy.stop().await;
}

#[tokio::test]
async fn a_burst_of_writes_ends_at_the_last_one() {
    let api = FakeApi::start().await;
    let mut proxy = Proxy::start(&api);
    proxy.listed().await;
    for sequence in 1..=100 {
        publish(&api, &set(&[("a", &format!("{:02x}", sequence % 256))]), sequence);
        tokio::task::yield_now().await;
    }
    let last = proxy.served.wait_for(|update| update.as_ref().is_some_and(|update| update.sequence == 100));
    let last = tokio::time::timeout(BOUND, last).await.unwrap().unwrap().clone().unwrap();
    assert_eq!(last.snapshot, set(&[("a", "64")]));
    proxy.stop().await;
}

#[tokio::test]
async fn weird_objects_are_refused_and_never_end_the_watch() {
    let api = FakeApi::start().await;
    let mut proxy = Proxy::start(&api);
    api.put_index("{\"format\": [");
    proxy.counted(Outcome::Unreadable, 1).await;
    api.put_index(r#"{"format":9,"minReader":9,"sequence":1,"revision":"x","shards":{}}"#);
    proxy.counted(Outcome::TooNew, 1).await;
    api.put_index(r#"{"format":1,"minReader":1,"sequence":2,"revision":"x","shards":{"kube-root-ca.crt":"00"}}"#);
    proxy.counted(Outcome::Missing, 1).await;
    assert!(api.take_gets().is_empty());
    let shards = split(&set(&[("a", "aa")])).unwrap();
    api.put_shards(&shards);
    api.put_raw("configmaps", &config_name(0), serde_json::json!({"data": null, "binaryData": {"shard.json": "AAAA"}}));
    api.put_raw("secrets", &secrets_name(1), serde_json::json!({"data": {"shard.json": "/////w=="}}));
    api.put_raw("secrets", &secrets_name(2), serde_json::json!({"data": {"shard.json": "no base64: sk-canary"}}));
    api.put_index(&index(&shards, 3));
    proxy.counted(Outcome::Missing, 2).await;
    api.put_raw(
        "configmaps",
        &config_name(0),
        serde_json::json!({"data": {"shard.json": shards.configs[&config_name(0)]}}),
    );
    proxy.counted(Outcome::Unreadable, 2).await;
    let snapshot = set(&[("a", "ab")]);
    publish(&api, &snapshot, 4);
    assert_eq!(proxy.serves(4).await, snapshot);
    proxy.stop().await;
}

#[tokio::test]
async fn an_index_from_before_what_is_served_is_not_taken() {
    let api = FakeApi::start().await;
    publish(&api, &set(&[("a", "aa")]), 3);
    let mut proxy = Proxy::start(&api);
    let newer = Update { snapshot: set(&[("a", "ab")]), revision: "newer".into(), sequence: 9 };
    proxy.sink.offer(Source::Mount, newer.clone());
    proxy.listed().await;
    assert_eq!(proxy.served.borrow().clone(), Some(newer));
    assert_eq!(proxy.sink.stats()[Outcome::Stale as usize].1, 1);
    proxy.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_the_first_list_has_a_bound() {
    let (sender, mut synced) = channel::channel(Synced::Pending);
    let start = Instant::now();
    assert_eq!(first_sync(&mut synced, Duration::from_secs(2)).await, Synced::Pending);
    assert_eq!(start.elapsed(), Duration::from_secs(2));
    sender.send_replace(Synced::Unreachable { error: "refused".into() });
    assert_eq!(first_sync(&mut synced, Duration::ZERO).await, Synced::Unreachable { error: "refused".into() });
    sender.send_replace(Synced::Listed);
    assert_eq!(first_sync(&mut synced, Duration::ZERO).await, Synced::Listed);
}

#[tokio::test(start_paused = true)]
async fn the_pauses_grow_to_their_bound_and_begin_anew_after_a_quiet_time() {
    let mut pauses = Reconnect::default();
    let grown: Vec<_> = pauses.by_ref().take(12).collect();
    assert!(grown[0] <= RECONNECT_MIN && grown[0] >= RECONNECT_MIN / 2);
    assert!(grown[11] <= RECONNECT_MAX && grown[11] >= RECONNECT_MAX / 2);
    tokio::time::advance(4 * RECONNECT_MAX).await;
    assert!(pauses.next().unwrap() <= RECONNECT_MIN);
}
