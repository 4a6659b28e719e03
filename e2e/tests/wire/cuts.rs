//! Tenants that are suspended while they stream.

use relay_e2e::provider::{Ended, script};
use relay_snapshot::Snapshot;

use crate::config;
use crate::drain::stalled;
use crate::house::{CHAT, House, chat, wait_for};
use crate::raw::{Client, End};

fn suspended(mut snapshot: Snapshot, cut: bool) -> Snapshot {
    snapshot.tenants[0].suspended = true;
    snapshot.tenants[0].cut = cut;
    snapshot
}

#[tokio::test]
async fn cut_ends_running_streams_in_their_formats_words_and_the_provider_is_cancelled() {
    let (house, provider) = House::simple().await;
    let calm = config::simple(provider.addr());
    let clients = stalled(&house).await;
    // Streams outlive the table that they began with.
    house.swap(&calm, "bbbbbbbbbbbb");
    house.swap(&suspended(calm.clone(), true), "cccccccccccc");
    let mut answers = Vec::new();
    for client in clients {
        answers.push(client.answer().await);
    }
    assert_eq!((answers[0].end, &answers[0].last_event().1["error"]["code"]), (End::Clean, &"tenant_suspended".into()));
    assert!(answers[0].text().contains("suspended"));
    assert_eq!((answers[1].end, answers[1].last_event().0), (End::Clean, Some("error")));
    assert_eq!(answers[1].last_event().1["error"]["code"], "tenant_suspended");
    assert_ne!(answers[2].end, End::Clean);
    assert_eq!(house.ends(3).await, vec!["200 Suspended"; 3]);
    assert_eq!(house.reasons(), vec!["tenant_suspended"; 3]);
    let requests = wait_for(&provider, |requests| requests.iter().all(|one| one.outcome.ended.is_some())).await;
    assert!(requests.iter().all(|one| one.outcome.ended == Some(Ended::ClientGone)));

    assert_eq!(house.chat("fake-ok").await.status, 403);
    house.swap(&calm, "dddddddddddd");
    assert_eq!(house.chat("fake-ok").await.chat().1, "[DONE]");
}

#[tokio::test]
async fn cut_ends_what_waits_for_its_first_byte() {
    let (house, provider) = House::simple().await;
    let client = house.open(CHAT, &chat("fake-slow-first-1h")).await;
    wait_for(&provider, |requests| !requests.is_empty()).await;
    house.swap(&suspended(config::simple(provider.addr()), true), "bbbbbbbbbbbb");
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (403, Some("tenant_suspended")));
    house.ended(403, "Suspended", Some("tenant_suspended")).await;
    let requests = wait_for(&provider, |requests| requests[0].outcome.ended.is_some()).await;
    assert_eq!(requests[0].outcome.ended, Some(Ended::ClientGone));
}

#[tokio::test]
async fn without_cut_running_streams_finish() {
    let (house, provider) = House::simple().await;
    let mut running = house.open(CHAT, &chat("fake-tokens-60-gap-2ms")).await;
    running.read_text("data: ").await;
    house.swap(&suspended(config::simple(provider.addr()), false), "bbbbbbbbbbbb");
    assert_eq!(house.chat("fake-ok").await.status, 403);
    assert_eq!(running.answer().await.chat(), (script::text(60), "[DONE]".to_owned()));
    assert_eq!(house.ends(2).await, ["200 Complete", "403 Refused"]);
}

#[tokio::test]
async fn cut_is_of_one_tenant() {
    let provider = crate::house::provider().await;
    let mut both = config::simple(provider.addr());
    both.tenants.push(config::tenant("b"));
    for route in &mut both.routes {
        route.tenants.push(both.tenants[1].id.clone());
    }
    let house = House::new(&both).await;
    let headers = crate::house::headers(&config::key_of("b"));
    let body = chat("fake-tokens-60-gap-2ms");
    let mut other = Client::request(house.addr, "POST", CHAT, &headers, body.as_bytes()).await;
    let mut cut = house.open(CHAT, &chat("fake-stall-at-2")).await;
    other.read_text("data: ").await;
    cut.read_text("data: ").await;
    house.swap(&suspended(both, true), "bbbbbbbbbbbb");
    assert!(cut.answer().await.text().contains("tenant_suspended"));
    assert_eq!(other.answer().await.chat(), (script::text(60), "[DONE]".to_owned()));
    assert_eq!(house.ends(2).await, ["200 Complete", "200 Suspended"]);
}
