//! Budgets that end running streams.

use relay_dataplane::limits::Limiter;
use relay_e2e::provider::{Ended, Provider, script};

use crate::config::{simple, stopping};
use crate::house::{CHAT, House, SPEECH, chat, not_streamed, speech, spend, wait_for};
use crate::raw::End;

/// Tokens a day.
const BUDGET: u64 = 200;

async fn house() -> (House, Provider) {
    let provider = crate::house::provider().await;
    let mut snapshot = simple(provider.addr());
    snapshot.tenants = vec![stopping("a", BUDGET)];
    (House::limited(&snapshot, Limiter::memory()).await, provider)
}

fn quarters(text: &str) -> u64 {
    text.chars().map(|c| if c.is_ascii() { 1 } else { 4 }).sum()
}

#[tokio::test]
async fn the_event_that_crosses_it_is_the_last_before_the_formats_error() {
    let (house, provider) = house().await;
    // Tokens of its own writes, so that each is seen for itself.
    let answer = house.chat("fake-tokens-100000-flush-gap-1ms").await;
    assert_eq!((answer.status, answer.end), (200, End::Clean));
    let error = &answer.last_event().1["error"];
    assert_eq!((&error["code"], &error["type"]), (&"budget_spent".into(), &"insufficient_quota".into()));
    assert!(error["message"].as_str().is_some_and(|text| text.contains("daily") && text.contains("team/a")), "{error}");
    let (text, _) = answer.chat();
    let count = text.split(' ').count();
    assert_eq!(text, script::text(count));
    house.ended(200, "LimitReached", Some("budget_spent")).await;
    let tokens = |direction: &str| {
        let samples = house.samples("relay_tokens_total").into_iter();
        samples.filter(|(labels, _)| labels["direction"] == direction).map(|(_, value)| value).sum::<u64>()
    };
    let (input, output) = (tokens("input"), tokens("output"));
    assert_eq!(output, quarters(&text).div_ceil(4));
    assert!(input + output >= BUDGET, "{input} and {output}");
    let before = quarters(&script::text(count - 1)).div_ceil(4);
    assert!(input + before < BUDGET, "{input} and {before}: the event before had crossed it");
    let requests = wait_for(&provider, |requests| requests.iter().all(|one| one.outcome.ended.is_some())).await;
    assert_eq!(requests[0].outcome.ended, Some(Ended::ClientGone));
    // What comes later is refused.
    let refused = house.chat("fake-ok").await;
    assert_eq!((refused.status, refused.header("x-relay-error")), (429, Some("budget_spent")));
}

#[tokio::test]
async fn all_streams_of_the_tenant_end_and_whole_answers_do_not() {
    let (house, provider) = house().await;
    let mut clients = Vec::new();
    for (path, body) in [
        (CHAT, chat("fake-tokens-9-stall-1h-at-3")),
        ("/v1/messages", crate::house::message("fake-tokens-9-stall-1h-at-3")),
        (SPEECH, speech("fake-bytes-24k-chunk-4k-flush-stall-1h-at-3")),
    ] {
        clients.push(house.open(path, &body).await);
    }
    for client in &mut clients {
        client.read_until(|seen| seen.windows(4).any(|part| part == b"\r\n\r\n")).await;
    }
    let whole = house.open(CHAT, &not_streamed(&chat("fake-tokens-9-slow-body-300ms"))).await;
    wait_for(&provider, |requests| requests.len() == 4 && requests.iter().all(|one| one.outcome.head_ms.is_some()))
        .await;
    spend(&house, &stopping("a", BUDGET), BUDGET).await;
    let mut ends = Vec::new();
    for client in clients {
        ends.push(client.answer().await);
    }
    assert_eq!((ends[0].end, &ends[0].last_event().1["error"]["code"]), (End::Clean, &"budget_spent".into()));
    assert_eq!((ends[1].end, ends[1].last_event().0), (End::Clean, Some("error")));
    assert_ne!(ends[2].end, End::Clean);
    let whole = whole.answer().await;
    assert_eq!((whole.status, whole.end), (200, End::Clean));
    assert_eq!(whole.json()["choices"][0]["message"]["content"], script::text(9));
    assert_eq!(house.ends(4).await, ["200 Complete", "200 LimitReached", "200 LimitReached", "200 LimitReached"]);
}

#[tokio::test]
async fn a_stream_that_waits_for_its_first_byte_is_refused_at_once_and_a_whole_answer_is_awaited() {
    let (house, provider) = house().await;
    let stream = house.open(CHAT, &chat("fake-slow-first-1h")).await;
    let whole = house.open(CHAT, &not_streamed(&chat("fake-tokens-9-slow-first-300ms"))).await;
    wait_for(&provider, |requests| requests.len() == 2).await;
    spend(&house, &stopping("a", BUDGET), BUDGET).await;
    let refused = stream.answer().await;
    assert_eq!((refused.status, refused.header("x-relay-error")), (429, Some("budget_spent")));
    assert_eq!((refused.header("retry-after"), refused.header("x-should-retry")), (None, Some("false")));
    assert!(refused.text().contains("budget daily of tenant team/a is spent"), "{}", refused.text());
    assert_eq!(whole.answer().await.json()["choices"][0]["message"]["content"], script::text(9));
    let requests = wait_for(&provider, |requests| requests.iter().all(|one| one.outcome.ended.is_some())).await;
    assert!(requests.iter().any(|one| one.outcome.ended == Some(Ended::ClientGone)));
    assert_eq!(house.ends(2).await, ["200 Complete", "429 LimitReached"]);
    // The provider may have begun with its prompt.
    let mut samples = house.samples("relay_tokens_total").into_iter();
    assert!(samples.any(|(labels, _)| labels["direction"] == "input" && labels["estimated"] == "true"));
}
