//! Errors inside an answer in each shape, and framing that breaks.

use relay_e2e::provider::Ended;
use serde_json::{Value, json};

use crate::client::{ANTHROPIC, Answer, End, OPENAI, chat, post, provider, stream, wait_for};

async fn last_of_chat(model: &str) -> Value {
    stream(&provider().await, model).await.events().pop().expect("events")
}

#[tokio::test]
async fn an_error_in_a_chat_has_the_shape_that_the_name_says() {
    let nested = &last_of_chat("fake-error-midway").await["error"];
    assert_eq!(nested["type"], "server_error");
    assert!(last_of_chat("fake-error-string").await["error"].is_string());
    let flat = last_of_chat("fake-error-flat").await;
    assert_eq!((&flat["object"], &flat["type"], flat.get("error")), (&json!("error"), &json!("server_error"), None));
    let dual = last_of_chat("fake-error-dual").await;
    assert_eq!((&dual["message"], &dual["error"]), (&nested["message"], nested));
    let chunk = last_of_chat("fake-error-chunk").await;
    assert_eq!((&chunk["choices"][0]["finish_reason"], &chunk["error"]["code"]), (&json!("error"), &json!(502)));
    let first = stream(&provider().await, "fake-error-first-error-string").await;
    assert_eq!((first.data().len(), first.end), (1, End::Clean));
    let json = stream(&provider().await, "fake-error-json").await;
    assert_eq!((json.status, json.header("content-type")), (200, Some("application/json")));
    assert!(json.json()["error"].is_object());
}

#[tokio::test]
async fn an_error_in_a_response_is_numbered_like_the_event_whose_place_it_takes() {
    let provider = provider().await;
    let last = async |model: &str| {
        let body = format!(r#"{{"model":"{model}","stream":true,"input":"hi"}}"#);
        let answer = post(provider.addr(), "/v1/responses", OPENAI, &body).await;
        let text = answer.text();
        let (_, last) = text.trim_end().rsplit_once("event: ").expect("a name");
        let name = last.split('\n').next().unwrap_or_default().to_owned();
        (name, answer.events().pop().expect("events"))
    };
    let (name, usual) = last("fake-error-midway-at-3").await;
    assert_eq!((name.as_str(), &usual["type"], &usual["sequence_number"]), ("error", &json!("error"), &json!(7)));
    assert_eq!(usual["error"]["type"], "server_error");
    let (_, flat) = last("fake-error-first-error-flat").await;
    assert_eq!((&flat["type"], &flat["sequence_number"], flat.get("error")), (&json!("error"), &json!(0), None));
    assert!(flat["message"].is_string());
    let (_, dual) = last("fake-error-dual").await;
    assert_eq!((&dual["type"], &dual["message"]), (&json!("error"), &dual["error"]["message"]));
    let (name, failed) = last("fake-error-failed").await;
    assert_eq!((name.as_str(), &failed["response"]["status"]), ("response.failed", &json!("failed")));
    assert_eq!(failed["response"]["error"]["code"], "server_error");
    let (_, done) = last("fake-error-then-done").await;
    assert_eq!(done["type"], "response.completed");
}

#[tokio::test]
async fn an_error_in_a_message_keeps_its_type() {
    let provider = provider().await;
    let body =
        r#"{"model":"fake-error-flat","max_tokens":99,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let flat = post(provider.addr(), "/v1/messages", ANTHROPIC, body).await.events().pop().expect("events");
    assert_eq!((&flat["type"], &flat["message"], flat.get("error")), (&json!("error"), &json!("Overloaded"), None));
}

#[tokio::test]
async fn a_short_content_length_promises_the_whole_and_gives_half() {
    let provider = provider().await;
    let length = |answer: &Answer| answer.header("content-length").and_then(|length| length.parse::<usize>().ok());
    let short = stream(&provider, "fake-short-length").await;
    assert_eq!(short.end, End::Cut);
    assert!(length(&short).is_some_and(|length| length > short.body().len()), "{}", short.head);
    let audio = r#"{"model":"fake-bytes-40k-short-length","input":"x","voice":"alloy"}"#;
    let audio = post(provider.addr(), "/v1/audio/speech", OPENAI, audio).await;
    assert_eq!((length(&audio), audio.body().len(), audio.end), (Some(40 << 10), 5 * 4096 + 2048, End::Cut));
    let ended = wait_for(&provider, |requests| requests.iter().all(|one| one.outcome.ended.is_some())).await;
    assert!(ended.iter().all(|one| one.outcome.ended == Some(Ended::Aborted)));
}

#[tokio::test]
async fn a_bad_chunk_comes_behind_all_that_was_good() {
    let provider = provider().await;
    let answer = stream(&provider, "fake-bad-chunk").await;
    assert_eq!((answer.end, answer.events().len()), (End::Cut, 1 + 8));
    assert!(!answer.text().ends_with("\n\n"));
    let json = chat("fake-bad-chunk").replace("\"stream\":true", "\"stream\":false");
    let json = post(provider.addr(), "/v1/chat/completions", OPENAI, &json).await;
    assert_eq!((json.end, json.header("content-length")), (End::Cut, None));
}

#[tokio::test]
async fn retry_after_may_be_a_date() {
    let answer = stream(&provider().await, "fake-503-after-date-60s").await;
    assert!(answer.header("retry-after").is_some_and(|date| date.ends_with(" GMT")), "{}", answer.head);
}
