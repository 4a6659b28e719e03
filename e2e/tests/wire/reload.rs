//! A new configuration holds for new requests at once, and touches no request that runs.

use relay_e2e::provider::script;
use relay_snapshot::{Provider, Snapshot};

use crate::config::{self, backend, route};
use crate::house::{CHAT, House, SPEECH, chat, named, provider, speech};
use crate::raw::End;

#[tokio::test]
async fn a_running_stream_goes_on_and_new_requests_use_the_new_table() {
    let (old, new) = (named("old").await, named("new").await);
    let house = House::new(&config::simple(old.addr())).await;
    let mut client = house.open(CHAT, &chat("fake-tokens-100-gap-2ms")).await;
    let head = client.read_text("x-relay-revision: ").await;
    assert!(head.contains("x-relay-revision: aaaaaaaaaaaa"));
    house.swap(&config::simple(new.addr()), "bbbbbbbbbbbb");
    let answer = house.chat("fake-ok").await;
    assert_eq!(
        (answer.header("x-fake-identity"), answer.header("x-relay-revision")),
        (Some("new"), Some("bbbbbbbbbbbb"))
    );
    let answer = client.answer().await;
    assert_eq!((answer.header("x-fake-identity"), answer.end), (Some("old"), End::Clean));
    assert_eq!(answer.chat(), (script::text(100), "[DONE]".to_owned()));
    assert_eq!(house.ends(2).await, vec!["200 Complete"; 2]);
}

#[tokio::test]
async fn streams_of_a_route_or_tenant_that_is_gone_finish() {
    let provider = provider().await;
    let house = House::new(&config::simple(provider.addr())).await;
    for (gone, status) in [(config::snapshot(Vec::new()), 404), (Snapshot::default(), 401)] {
        house.swap(&config::simple(provider.addr()), "aaaaaaaaaaaa");
        let mut client = house.open(CHAT, &chat("fake-tokens-50-gap-2ms")).await;
        client.read_text("data: ").await;
        house.swap(&gone, "cccccccccccc");
        assert_eq!(house.chat("fake-ok").await.status, status);
        assert_eq!(client.answer().await.chat(), (script::text(50), "[DONE]".to_owned()));
    }
}

#[tokio::test]
async fn a_request_before_its_head_keeps_the_table_that_it_began_with() {
    let (old, new) = (named("old").await, named("new").await);
    let house = House::new(&config::simple(old.addr())).await;
    let client = house.open(CHAT, &chat("fake-slow-first-100ms")).await;
    crate::house::wait_for(&old, |requests| !requests.is_empty()).await;
    house.swap(&config::simple(new.addr()), "bbbbbbbbbbbb");
    let answer = client.answer().await;
    assert_eq!(
        (answer.header("x-fake-identity"), answer.header("x-relay-revision")),
        (Some("old"), Some("aaaaaaaaaaaa"))
    );
}

#[tokio::test]
async fn the_watch_tells_each_revision() {
    let (house, provider) = House::simple().await;
    let mut watch = house.proxy.serving.watch();
    assert_eq!(watch.borrow_and_update().revision, "aaaaaaaaaaaa");
    house.swap(&config::simple(provider.addr()), "bbbbbbbbbbbb");
    watch.changed().await.expect("the proxy serves");
    assert_eq!((watch.borrow().revision.as_str(), watch.borrow().sequence), ("bbbbbbbbbbbb", 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_streams_under_a_hundred_reloads_are_whole() {
    let (a, b) = (provider().await, provider().await);
    let both = |first: &relay_e2e::provider::Provider, second: &relay_e2e::provider::Provider| {
        let backends = vec![backend(Provider::OpenAI, first.addr()), backend(Provider::OpenAI, second.addr())];
        config::snapshot(vec![route("r", "/", backends)])
    };
    let house = std::sync::Arc::new(House::new(&both(&a, &b)).await);
    let mut streams = tokio::task::JoinSet::new();
    for n in 0..200 {
        let house = std::sync::Arc::clone(&house);
        streams.spawn(async move {
            let (path, body) = if n % 2 == 0 {
                (CHAT, chat("fake-tokens-40-gap-5ms"))
            } else {
                (SPEECH, speech("fake-bytes-80k-gap-5ms"))
            };
            let answer = house.post(path, &body).await;
            assert_eq!((answer.status, answer.end), (200, End::Clean));
            if n % 2 == 0 {
                assert_eq!(answer.chat(), (script::text(40), "[DONE]".to_owned()));
            } else {
                assert_eq!(answer.sha256(), script::audio_sha256(80 << 10));
            }
        });
    }
    let mut reloads = 0;
    while !streams.is_empty() {
        tokio::select! {
            Some(done) = streams.join_next() => done.expect("a whole answer"),
            () = tokio::task::yield_now(), if reloads < 100 => {
                reloads += 1;
                house.swap(&if reloads % 2 == 0 { both(&a, &b) } else { both(&b, &a) }, &format!("{reloads:012}"));
            }
        }
    }
    assert_eq!(reloads, 100);
    assert_eq!(house.ends(200).await, vec!["200 Complete"; 200]);
}
