//! Shutting down: no new work, running streams go on, and those that can't are told why.

use std::time::Duration;

use relay_dataplane::listener::{FIRST_HEAD, HEAD, KEEP_ALIVE};
use relay_e2e::provider::{Ended, script};
use relay_snapshot::Provider as Kind;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::config::{self, KEY, backend, route};
use crate::house::{CHAT, House, MESSAGES, SPEECH, chat, headers, message, provider, speech, wait_for};
use crate::raw::{Client, End, LIMIT};

#[tokio::test]
async fn closing_takes_no_connection_closes_idle_ones_and_lets_streams_finish() {
    let (house, _provider) = House::simple().await;
    let mut idle = Client::connect(house.addr).await;
    idle.send("POST", CHAT, &headers(KEY), chat("fake-ok").as_bytes()).await;
    assert_eq!(idle.next_answer().await.header("connection"), None);
    let mut running = Client::connect(house.addr).await;
    running.send("POST", CHAT, &headers(KEY), chat("fake-tokens-60-gap-2ms").as_bytes()).await;
    running.read_text("data: ").await;
    let mut before_head = Client::connect(house.addr).await;
    before_head.send("POST", CHAT, &headers(KEY), chat("fake-slow-first-500ms").as_bytes()).await;
    crate::house::eventually("it is taken", || house.proxy.metrics.active_connections.get() == 3).await;

    house.proxy.drain.closing.cancel();
    assert!(idle.closes().await, "an idle connection is closed");
    let answer = before_head.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(running.answer().await.chat(), (script::text(60), "[DONE]".to_owned()));
    timeout(LIMIT, house.accepting).await.expect("the listener ends").expect("without a panic");
    assert!(TcpStream::connect(house.addr).await.is_err());
}

#[tokio::test]
async fn a_lame_duck_still_serves_and_asks_its_clients_to_go() {
    let (house, _provider) = House::simple().await;
    house.proxy.drain.unready.cancel();
    let mut client = Client::connect(house.addr).await;
    client.send("POST", CHAT, &headers(KEY), chat("fake-ok").as_bytes()).await;
    let answer = client.next_answer().await;
    assert_eq!((answer.status, answer.header("connection"), answer.end), (200, Some("close"), End::Clean));
    assert!(client.closes().await);
}

/// A chat, a message and speech, each begun and now silent: between events, inside one, and in audio.
pub(crate) async fn stalled(house: &House) -> Vec<Client> {
    let mut clients = Vec::new();
    for (path, body) in [
        (CHAT, chat("fake-stall-at-2")),
        (MESSAGES, message("fake-stall-inside-at-2")),
        (SPEECH, speech("fake-stall-at-2")),
    ] {
        let mut client = house.open(path, &body).await;
        client.read_until(|bytes| bytes.len() > 1000).await;
        clients.push(client);
    }
    clients
}

#[tokio::test]
async fn cut_ends_streams_in_their_formats_words() {
    let (house, provider) = House::simple().await;
    let clients = stalled(&house).await;
    wait_for(&provider, |requests| requests.len() == 3).await;
    house.proxy.drain.closing.cancel();
    house.proxy.drain.cut.cancel();
    let mut answers = Vec::new();
    for client in clients {
        answers.push(client.answer().await);
    }
    assert_eq!((answers[0].end, &answers[0].last_event().1["error"]["code"]), (End::Clean, &"draining".into()));
    assert_eq!((answers[1].end, answers[1].last_event().0), (End::Clean, Some("error")));
    assert_eq!(answers[1].last_event().1["error"]["code"], "draining");
    assert_ne!(answers[2].end, End::Clean);
    assert_eq!(house.ends(3).await, vec!["200 Drained"; 3]);
    assert_eq!(house.reasons(), vec!["draining"; 3]);
    let requests = wait_for(&provider, |requests| requests.iter().all(|one| one.outcome.ended.is_some())).await;
    assert!(requests.iter().all(|one| one.outcome.ended == Some(Ended::ClientGone)));
    timeout(LIMIT, house.accepting).await.expect("the listener ends").expect("without a panic");
}

#[tokio::test]
async fn cut_also_ends_what_waits_for_its_first_byte() {
    let (house, provider) = House::simple().await;
    let client = house.open(CHAT, &chat("fake-slow-first-1h")).await;
    wait_for(&provider, |requests| !requests.is_empty()).await;
    house.proxy.drain.closing.cancel();
    house.proxy.drain.cut.cancel();
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (503, Some("draining")));
    house.ended(503, "Drained", Some("draining")).await;
    timeout(LIMIT, house.accepting).await.expect("the listener ends").expect("without a panic");
}

#[tokio::test]
async fn what_waits_for_its_first_byte_is_told_in_the_shape_of_its_route() {
    let provider = provider().await;
    let mut route = route("r", "/own", vec![backend(Kind::Anthropic, provider.addr())]);
    route.policy.rewrite_prefix = Some("/v1/messages".to_owned());
    let house = House::new(&config::snapshot(vec![route])).await;
    let client = house.open("/own", &message("fake-slow-first-1h")).await;
    wait_for(&provider, |requests| !requests.is_empty()).await;
    house.proxy.drain.cut.cancel();
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (503, Some("draining")));
    assert_eq!(answer.json()["type"], "error", "{}", answer.text());
}

/// No bytes are under way while the clock is paused and jumps from timer to timer.
#[tokio::test]
async fn a_first_head_that_does_not_come_closes_the_connection() {
    for sent in ["", "P", "POST /v1/chat/completions HTTP/1.1\r\nhost: rel", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let (house, _provider) = House::simple().await;
        let mut client = Client::connect(house.addr).await;
        client.write(sent).await;
        crate::house::eventually("it is taken", || house.proxy.metrics.active_connections.get() == 1).await;
        tokio::time::pause();
        let begun = Instant::now();
        client.read_to_end().await;
        let waited = begun.elapsed();
        tokio::time::resume();
        assert!(
            waited <= FIRST_HEAD + Duration::from_secs(1) && waited + Duration::from_secs(1) >= FIRST_HEAD,
            "{waited:?}"
        );
        crate::house::eventually("it is closed", || house.proxy.metrics.active_connections.get() == 0).await;
    }
}

#[tokio::test]
async fn a_next_request_that_does_not_come_closes_the_connection() {
    for (sent, limit) in [("", KEEP_ALIVE), ("POST /v1/chat/completions HTTP/1.1\r\nhost: rel", HEAD)] {
        let (house, _provider) = House::simple().await;
        let mut client = Client::connect(house.addr).await;
        client.send("POST", CHAT, &headers(KEY), chat("fake-ok").as_bytes()).await;
        client.next_answer().await;
        client.write(sent).await;
        tokio::time::pause();
        let begun = Instant::now();
        client.read_to_end().await;
        let waited = begun.elapsed();
        tokio::time::resume();
        assert!(waited <= limit + Duration::from_secs(1) && waited + Duration::from_secs(5) >= limit, "{waited:?}");
    }
}
