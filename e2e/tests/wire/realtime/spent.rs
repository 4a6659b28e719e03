//! A budget that ends running sessions.

use relay_dataplane::limits::Limiter;
use relay_e2e::provider::script;
use serde_json::json;

use super::talk::Talk;
use crate::config::{simple, stopping};
use crate::house::House;

#[tokio::test]
async fn a_session_ends_behind_the_message_that_crosses_it_with_close_1008() {
    let provider = crate::house::provider().await;
    let mut snapshot = simple(provider.addr());
    snapshot.tenants = vec![stopping("a", 50)];
    let house = House::limited(&snapshot, Limiter::memory()).await;
    let mut talk = Talk::to(&house, "fake-tokens-20").await;
    talk.until("session.created").await;
    for _ in 0..2 {
        let (text, _) = talk.response().await;
        assert_eq!(text, script::text(20));
    }
    talk.say(json!({"type": "response.create"})).await;
    let (error, before) = talk.until("error").await;
    let code = talk.close().await;
    let text: String = before.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert!(!text.is_empty() && script::text(20).starts_with(&text), "{text}");
    assert_eq!((&error["error"]["code"], code), (&json!("budget_spent"), Some(1008)));
    assert!(error["error"]["message"].as_str().is_some_and(|text| text.contains("daily")), "{error}");
    drop(talk);
    house.ended(101, "LimitReached", Some("budget_spent")).await;
    // What the provider told of two answers, and the text of the third, which nobody counted.
    let quarters: u64 = text.chars().map(|c| if c.is_ascii() { 1 } else { 4 }).sum();
    let output = house.samples("relay_tokens_total").into_iter().find(|(labels, _)| labels["direction"] == "output");
    let output = output.map(|(labels, value)| (labels["estimated"].clone(), value));
    assert_eq!(output, Some(("true".to_owned(), 40 + quarters.div_ceil(4))));
}
