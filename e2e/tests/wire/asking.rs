//! Chats that are asked for their usage where their clients did not ask.

use relay_e2e::provider::{Config, Provider, script};
use relay_snapshot::{Provider as Kind, Snapshot};
use serde_json::Value;

use crate::config::{self, backend, route, snapshot};
use crate::house::{CHAT, House, chat, not_streamed};
use crate::raw::{Answer, End};

/// A provider that keeps what it sends, and a route of one kind that asks.
async fn asking(kind: Kind) -> (House, Provider) {
    let provider = Provider::start(Config { keep: 1 << 20, ..Config::default() }).await.expect("a free port");
    (House::new(&asks(vec![route("openai", "/", vec![backend(kind, provider.addr())])])).await, provider)
}

fn asks(routes: Vec<relay_snapshot::Route>) -> Snapshot {
    let mut snapshot = snapshot(routes);
    for route in &mut snapshot.routes {
        route.policy.ask_usage = true;
    }
    snapshot
}

/// What the provider said without the event that tells its usage, which it said once. `end`: of a line.
fn less_usage(sent: &[u8], end: &str) -> String {
    let text = std::str::from_utf8(sent).expect("UTF-8");
    let is_usage = |event: &&str| event.contains(r#""choices":[],"usage":{"#);
    let events: Vec<&str> = text.split_inclusive(&end.repeat(2)).collect();
    assert_eq!(events.iter().copied().filter(is_usage).count(), 1, "{text}");
    events.into_iter().filter(|event| !is_usage(event)).collect()
}

/// The tokens of the request as metrics tell them, all told by the provider.
fn told(house: &House) -> Vec<(String, u64)> {
    let samples = house.samples("relay_tokens_total").into_iter().map(|(labels, value)| {
        assert_eq!((labels["estimated"].as_str(), labels["model"].as_str()), ("false", "other"), "{labels:?}");
        (labels["direction"].clone(), value)
    });
    samples.collect()
}

fn tokens(input: u64, output: u64) -> Vec<(String, u64)> {
    vec![("input".to_owned(), input), ("output".to_owned(), output)]
}

async fn is_asked_and_hidden(model: &str, end: &str) -> Answer {
    let (house, provider) = asking(Kind::OpenAI).await;
    let answer = house.chat(model).await;
    assert_eq!((answer.status, answer.end), (200, End::Clean), "{model}");
    house.ended(200, "Complete", None).await;
    let recorded = provider.requests().remove(0);
    assert_eq!(answer.text(), less_usage(&recorded.outcome.body(), end), "{model}");
    let up: Value = serde_json::from_str(&recorded.request.body_text).expect("JSON");
    assert_eq!(up["stream_options"]["include_usage"], true, "{model}");
    let without = recorded.request.body_text.replacen(r#""stream_options":{"include_usage":true},"#, "", 1);
    assert_eq!(without, chat(model), "all else goes up as it came");
    assert_eq!(told(&house), tokens(3, 9), "{model}");
    answer
}

#[tokio::test]
async fn the_event_that_tells_usage_is_taken_out_again_and_all_else_passes_byte_for_byte() {
    for (words, end) in [
        ("", "\n"),
        ("-crlf", "\r\n"),
        ("-cr", "\r"),
        ("-comments", "\n"),
        ("-comments-crlf", "\r\n"),
        ("-bom", "\n"),
        ("-bytewise", "\n"),
        ("-bytewise-crlf", "\r\n"),
        ("-flush", "\n"),
        ("-big-event-100k", "\n"),
    ] {
        let answer = is_asked_and_hidden(&format!("fake-tokens-9{words}"), end).await;
        assert!(answer.text().contains("[DONE]"), "{words}");
    }
    let answer = is_asked_and_hidden("fake-tokens-9", "\n").await;
    assert_eq!(answer.chat(), (script::text(9), "[DONE]".to_owned()));
}

#[tokio::test]
async fn wherever_writes_are_cut() {
    for size in (1..=64).chain([100, 231, 700, 1500]) {
        let end = if size % 2 == 0 { "\n" } else { "\r\n" };
        let words = if size % 2 == 0 { "" } else { "-crlf" };
        is_asked_and_hidden(&format!("fake-tokens-9-split-{size}{words}"), end).await;
    }
}

#[tokio::test]
async fn who_asks_gets_it_and_who_does_not_stream_is_left_alone() {
    for body in [
        chat("fake-tokens-9").replace(r#""stream":true"#, r#""stream":true,"stream_options":{"include_usage":true}"#),
        not_streamed(&chat("fake-tokens-9")),
    ] {
        let (house, provider) = asking(Kind::OpenAI).await;
        let answer = house.post(CHAT, &body).await;
        house.ended(200, "Complete", None).await;
        let recorded = provider.requests().remove(0);
        assert_eq!(answer.body, recorded.outcome.body());
        assert_eq!(recorded.request.body_text, body);
        assert!(answer.text().contains(r#""prompt_tokens":3"#));
        assert_eq!(told(&house), tokens(3, 9));
    }
}

#[tokio::test]
async fn running_counts_and_first_events_without_choices_stay() {
    let (house, provider) = asking(Kind::SiliconFlow).await;
    let answer = house.post("/siliconflow/v1/chat/completions", &chat("fake-tokens-9")).await;
    house.ended(200, "Complete", None).await;
    assert_eq!(answer.text(), std::str::from_utf8(&provider.requests()[0].outcome.body()).expect("UTF-8"));
    assert!(answer.text().contains(r#""prompt_tokens":3"#));
    assert_eq!(told(&house), tokens(3, 9));

    let (house, provider) = asking(Kind::AzureOpenAI).await;
    let path = "/openai/deployments/fake-tokens-9/chat/completions?api-version=2024-10-21";
    let answer = house.post(path, &chat("fake-tokens-9")).await;
    house.ended(200, "Complete", None).await;
    assert!(answer.text().starts_with("data: {\"choices\":[]"), "{}", answer.text());
    assert_eq!(answer.text(), less_usage(&provider.requests()[0].outcome.body(), "\n"));
    assert_eq!(told(&house), tokens(3, 9));
}

#[tokio::test]
async fn other_formats_and_routes_that_do_not_ask_go_up_as_they_came() {
    let (house, provider) = asking(Kind::Custom).await;
    let body = crate::house::message("fake-tokens-9");
    assert_eq!(house.post("/v1/messages", &body).await.status, 200);
    assert_eq!(provider.requests()[0].request.body_text, body);

    let (house, provider) = House::simple().await;
    assert_eq!(house.chat("fake-tokens-9").await.status, 200);
    assert_eq!(provider.requests()[0].request.body_text, chat("fake-tokens-9"));
}

#[tokio::test]
async fn a_model_is_replaced_in_the_same_body() {
    let provider = Provider::start(Config::default()).await.expect("a free port");
    let mut only = backend(Kind::OpenAI, provider.addr());
    only.model = relay_snapshot::ModelRewrite::To("fake-tokens-7".to_owned());
    let house = House::new(&asks(vec![config::route("openai", "/", vec![only])])).await;
    let answer = house.chat("another").await;
    assert_eq!(answer.chat(), (script::text(7), "[DONE]".to_owned()));
    house.ended(200, "Complete", None).await;
    let up: Value = serde_json::from_str(&provider.requests()[0].request.body_text).expect("JSON");
    assert_eq!((&up["model"], &up["stream_options"]["include_usage"]), (&"fake-tokens-7".into(), &true.into()));
    assert_eq!(told(&house), tokens(3, 7));
}
