//! Realtime: a WebSocket through the relay, with a client that speaks it and one that shows the bytes.

mod endings;
mod refused;
mod spent;
mod talk;

use relay_e2e::provider::{Ended, script};
use relay_snapshot::{ModelRewrite, PathRule, Provider as Kind};
use serde_json::json;
use tokio_tungstenite::tungstenite::Error;

use self::talk::{PATH, Talk, bearer, dial};
use crate::config::{self, CREDENTIAL, KEY, backend, matching, route, snapshot};
use crate::house::{House, eventually, wait_for};
use crate::logged::Logged;

fn active(house: &House) -> Vec<u64> {
    house.samples("relay_active_streams").into_iter().map(|(_, value)| value).collect()
}

#[tokio::test]
async fn a_session_passes_and_its_tokens_are_summed() {
    let logged = Logged::begin();
    let (house, provider) = House::simple().await;
    let mut talk = Talk::to(&house, "fake-tokens-20").await;
    assert_eq!(talk.answer.headers()["x-relay-revision"], "aaaaaaaaaaaa");
    assert!(talk.answer.headers().contains_key("x-request-id"));
    assert!(!talk.answer.headers().contains_key("openai-organization"));
    assert_eq!(talk.event().await["type"], "session.created");
    assert_eq!(active(&house), [1]);
    assert!(house.proxy.metrics.active_connections.get() == 1);
    let words = json!([{"type": "input_text", "text": "one two three"}]);
    talk.say(
        json!({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": words}}),
    )
    .await;
    talk.until("conversation.item.created").await;
    for _ in 0..3 {
        let (text, done) = talk.response().await;
        assert_eq!((text, &done["response"]["status"]), (script::text(20), &"completed".into()));
    }
    talk.leave().await;
    house.ended(101, "Complete", None).await;
    assert_eq!(active(&house), Vec::<u64>::new());
    let line = logged.request();
    assert_eq!((&line["kind"], &line["code"], &line["end"]), (&"websocket".into(), &101.into(), &"Complete".into()));
    for time in ["duration_ms", "first_byte_ms"] {
        let text = line[time].to_string();
        let places = text.split_once('.').map_or("", |(_, places)| places);
        assert!(!places.is_empty() && places.len() <= 3, "{time} is {text}");
    }
    // Three responses of 20 tokens for 3 words; the second had 1 token in the cache, the third 2.
    assert_eq!((&line["tokens_in"], &line["tokens_out"], &line["tokens_cached"]), (&9.into(), &60.into(), &3.into()));
    assert_eq!((&line["messages_in"], &line["messages_out"]), (&4.into(), &(2 + 3 * 22).into()));
    let sent = provider.requests()[0].outcome.bytes_sent;
    assert!(line["bytes_out"].as_u64() > Some(sent) && line["bytes_in"].as_u64() > Some(100), "{line}");
    let seen = wait_for(&provider, |requests| requests[0].outcome.ended.is_some()).await;
    assert_eq!(seen[0].outcome.ended, Some(Ended::Complete));
    assert!(!logged.text().contains(KEY) && !logged.text().contains(CREDENTIAL));
}

#[tokio::test]
async fn the_key_comes_by_header_or_by_subprotocol_and_never_goes_up() {
    let protocol = format!("realtime, openai-insecure-api-key.{KEY}, openai-beta.realtime-v1");
    for (headers, chosen, offered) in [
        (bearer(), None, None),
        (vec![("api-key", KEY.to_owned())], None, None),
        (
            vec![("sec-websocket-protocol", protocol.clone())],
            Some("realtime"),
            Some("realtime, openai-beta.realtime-v1"),
        ),
        (
            [bearer(), vec![("sec-websocket-protocol", "realtime".to_owned())]].concat(),
            Some("realtime"),
            Some("realtime"),
        ),
        (
            [bearer(), vec![("sec-websocket-protocol", protocol)]].concat(),
            Some("realtime"),
            Some("realtime, openai-beta.realtime-v1"),
        ),
    ] {
        let logged = Logged::begin();
        let (house, provider) = House::simple().await;
        let beta = vec![
            ("openai-beta", "realtime=v1".to_owned()),
            ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits".to_owned()),
            ("x-forwarded-for", "192.0.2.1".to_owned()),
        ];
        let headers = [headers, beta].concat();
        let mut talk = dial(&house, &format!("{PATH}fake-ok"), &headers).await.expect("a session");
        let protocol = talk.answer.headers().get("sec-websocket-protocol").map(|value| value.to_str().expect("ASCII"));
        assert_eq!(protocol, chosen);
        assert!(!talk.answer.headers().contains_key("sec-websocket-extensions"));
        talk.until("session.created").await;
        talk.leave().await;
        house.ended(101, "Complete", None).await;
        let up = &provider.requests()[0].request;
        assert_eq!((up.query.as_str(), up.header("openai-beta")), ("model=fake-ok", Some("realtime=v1")));
        assert_eq!((up.header("sec-websocket-protocol"), up.header("sec-websocket-extensions")), (offered, None));
        assert_eq!(
            (up.header("authorization"), up.header("x-forwarded-for")),
            (Some(&*format!("Bearer {CREDENTIAL}")), None)
        );
        assert!(!format!("{up:?}").contains(KEY), "{up:?}");
        assert!(!logged.text().contains(KEY), "{}", logged.text());
    }
}

#[tokio::test]
async fn messages_in_many_frames_and_long_ones_pass_unchanged_and_are_read() {
    for (model, tokens) in
        [("fake-split-7-tokens-9", 9), ("fake-split-70k-big-event-900k-tokens-3", 3), ("fake-big-event-2m-tokens-5", 5)]
    {
        let logged = Logged::begin();
        let (house, _provider) = House::simple().await;
        let mut talk = Talk::to(&house, model).await;
        let (text, _) = talk.response().await;
        assert_eq!(text, script::text(tokens));
        talk.leave().await;
        house.ended(101, "Complete", None).await;
        assert_eq!(logged.request()["tokens_out"], tokens, "{model}");
    }
}

#[tokio::test]
async fn the_model_of_the_query_chooses_the_route_and_is_rewritten() {
    let (one, two) = (crate::house::named("one").await, crate::house::named("two").await);
    let mut small = route("small", "/v1", vec![backend(Kind::OpenAI, one.addr())]);
    small.matches = vec![matching(PathRule::Prefix("/v1".into()), &["small*"])];
    small.backends[0].model = ModelRewrite::To("fake-tokens-2".into());
    let large = route("large", "/v1", vec![backend(Kind::OpenAI, two.addr())]);
    let house = House::new(&snapshot(vec![small, large])).await;
    let mut talk = Talk::to(&house, "small%2D1&x=y").await;
    assert_eq!(talk.response().await.0, script::text(2));
    talk.leave().await;
    let mut talk = Talk::to(&house, "fake-tokens-3").await;
    assert_eq!(talk.response().await.0, script::text(3));
    talk.leave().await;
    assert_eq!(one.requests()[0].request.query, "model=fake-tokens-2&x=y");
    assert_eq!(two.requests().len(), 1);
    let twice = dial(&house, &format!("{PATH}a&model=b"), &bearer()).await.err().expect("refused");
    assert!(matches!(&*twice, Error::Http(answer) if answer.status() == 400), "{twice:?}");
}

#[tokio::test]
async fn a_dead_backend_is_passed_over() {
    let provider = crate::house::provider().await;
    let dead = { std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address") };
    let backends = vec![backend(Kind::OpenAI, dead), backend(Kind::OpenAI, provider.addr())];
    let mut route = route("r", "/", backends);
    route.policy.retries = config::retrying(1);
    let house = House::new(&snapshot(vec![route])).await;
    for _ in 0..2 {
        Talk::to(&house, "fake-ok").await.leave().await;
    }
    assert_eq!(house.ends(2).await, ["101 Complete"; 2]);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_its_upstream_back() {
    let (house, provider) = House::simple().await;
    let mut talk = Talk::to(&house, "fake-tokens-1000000").await;
    talk.say(json!({"type": "response.create"})).await;
    talk.until("response.output_text.delta").await;
    let sent = || provider.requests()[0].outcome.bytes_sent;
    let mut before = 0;
    while sent() != before {
        before = sent();
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }
    assert!(before < 32 << 20, "{before} bytes are held");
    drop(talk);
    assert_eq!(house.ends(1).await, ["101 ClientGone"]);
    eventually("the provider knows", || provider.live() == 0).await;
}
