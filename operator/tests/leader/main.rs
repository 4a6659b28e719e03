//! The whole operator against an API server in memory and a proxy that answers like one: writes, conditions, repair, election.

// The world of a test, unlike its code, has no errors to pass on.
#![allow(clippy::unwrap_used)]

mod api;
mod election;
mod proxy;
mod world;

use serde_json::json;
use world::{World, route, tenant};

#[tokio::test]
async fn an_object_goes_all_the_way_to_ready() {
    let world = World::new().await;
    world.proxy("p");
    let _operator = world.operator("one").await;
    world.until_ready("relayroutes", "a", 1).await;
    world.until_ready("relaytenants", "t", 1).await;
    let status = world.api.get("relayroutes", "team", "a").unwrap()["status"].clone();
    assert_eq!(status["proxies"], json!({"ready": 1, "serving": 1, "summary": "1/1"}));
    assert_eq!(status["providers"], "OpenAI");
    let revision = world.proxy.revision();
    assert_eq!(status["revision"], revision);
    let ready = world::condition(&status, "Ready").unwrap();
    assert_eq!(ready["message"], format!("1/1 proxies serve revision {revision}"));

    let writes = world.api.writes();
    let index = writes.iter().position(|write| write == "configmaps relay/relay-config").unwrap();
    let shards = writes.iter().filter(|write| write.contains("relay-config-") || write.contains("relay-secrets-"));
    assert_eq!(shards.count(), 32);
    assert!(
        writes[index + 1..].iter().all(|write| !write.contains("relay/relay-")),
        "the index comes last: {writes:?}"
    );
}

#[tokio::test]
async fn a_change_writes_its_shard_and_tells_pending_before_true() {
    let world = World::new().await;
    world.proxy("p");
    let _operator = world.operator("one").await;
    world.until_ready("relayroutes", "a", 1).await;
    world.until_ready("relaytenants", "t", 1).await;
    let tenant_before = world.api.get("relaytenants", "team", "t").unwrap();
    world.api.forget();

    world.proxy.hold(true);
    world.api.put("relayroutes", route("a", 2, "/v2"));
    world.until("pending", || world.programmed("relayroutes", "a", 2) == "Unknown").await;
    world.until("written", || world.api.writes().iter().any(|write| write == "configmaps relay/relay-config")).await;
    assert_eq!(world.programmed("relayroutes", "a", 2), "Unknown", "the proxy does not have it");
    world.proxy.hold(false);
    world.until_ready("relayroutes", "a", 2).await;

    let writes = world.api.writes();
    let config: Vec<_> = writes.iter().filter(|write| write.contains("relay/relay-")).collect();
    assert_eq!(config.len(), 2, "one shard and the index: {writes:?}");
    let statuses = writes.iter().filter(|write| *write == "relayroutes team/a");
    assert_eq!(statuses.count(), 2, "pending and true: {writes:?}");
    assert_eq!(world.api.get("relaytenants", "team", "t").unwrap(), tenant_before, "untouched");
}

#[tokio::test]
async fn a_bad_object_is_told_so_and_the_good_one_serves_on() {
    let world = World::new().await;
    world.proxy("p");
    let _operator = world.operator("one").await;
    world.until_ready("relayroutes", "a", 1).await;
    let mut bad = route("bad", 1, "/v3");
    bad["spec"]["backends"][0]["url"] = json!("ftp://nowhere");
    world.api.put("relayroutes", bad);
    let mut unreadable = route("worse", 1, "/v4");
    unreadable["spec"]["matches"] = json!(7);
    world.api.put("relayroutes", unreadable);
    for name in ["bad", "worse"] {
        world.until("refused", || world.says("relayroutes", name, 1, "Accepted") == "False").await;
    }
    let status = world.api.get("relayroutes", "team", "bad").unwrap()["status"].clone();
    let message = world::condition(&status, "Ready").unwrap()["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("spec.backends[0].url: "), "{message}");
    assert_eq!(world.programmed("relayroutes", "a", 1), "True");
}

#[tokio::test]
async fn a_rotated_secret_reaches_the_proxies() {
    let world = World::new().await;
    world.proxy("p");
    let _operator = world.operator("one").await;
    world.until_ready("relayroutes", "a", 1).await;
    let before = world.proxy.revision();
    world.api.put("secrets", world::secret("rotated-provider-key"));
    world
        .until("served", || world.proxy.revision() != before && world.programmed("relayroutes", "a", 1) == "True")
        .await;
    let revision = || world.api.get("relayroutes", "team", "a").unwrap()["status"]["revision"].clone();
    world.until("told", || revision() == world.proxy.revision()).await;
}

#[tokio::test]
async fn what_another_hand_changes_or_deletes_is_repaired() {
    let world = World::new().await;
    world.proxy("p");
    let _operator = world.operator("one").await;
    world.until_ready("relayroutes", "a", 1).await;
    let name = World::shard_of("a");
    let written = world.api.get("configmaps", "relay", &name).unwrap()["data"].clone();
    let mut changed = world.api.get("configmaps", "relay", &name).unwrap();
    changed["data"] = json!({"shard.json": "{}"});
    world.api.put("configmaps", changed);
    world.until("repaired", || world.api.get("configmaps", "relay", &name).is_some_and(|o| o["data"] == written)).await;
    world.api.delete("configmaps", "relay", "relay-config");
    world.until("made anew", || world.api.get("configmaps", "relay", "relay-config").is_some()).await;
}

#[tokio::test]
async fn without_a_ready_proxy_nothing_is_programmed_and_a_new_one_that_serves_changes_that() {
    let world = World::new().await;
    let _operator = world.operator("one").await;
    world.until("no proxy", || world.programmed("relayroutes", "a", 1) == "False").await;
    world.proxy("p");
    world.until_ready("relayroutes", "a", 1).await;
}

#[tokio::test]
async fn a_second_replica_takes_over_and_writes_nothing_that_is_there() {
    let world = World::new().await;
    world.proxy("p");
    let first = world.operator("one").await;
    world.until_ready("relayroutes", "a", 1).await;
    world.until_ready("relaytenants", "t", 1).await;
    let second = world.operator("two").await;
    assert_eq!(world.holder(), "one");
    world.api.forget();
    first.end().await;
    world.until("taken over", || world.holder() == "two").await;

    world.api.put("relaytenants", tenant("u", 1));
    world.until_ready("relaytenants", "u", 1).await;
    let writes = world.api.writes();
    assert!(writes.iter().all(|write| write != "relaytenants team/t"), "{writes:?}");
    second.end().await;
    assert_eq!(world.holder(), "");
}

#[tokio::test]
async fn a_deleted_object_leaves_the_set() {
    let world = World::new().await;
    world.proxy("p");
    let _operator = world.operator("one").await;
    world.until_ready("relayroutes", "a", 1).await;
    let name = World::shard_of("a");
    world.api.delete("relayroutes", "team", "a");
    let text = || world.api.get("configmaps", "relay", &name).unwrap()["data"]["shard.json"].to_string();
    world.until("gone", || !text().contains("team/a")).await;
}
