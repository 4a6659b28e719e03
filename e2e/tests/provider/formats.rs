//! The wire formats beside those of `families`, whole.

use relay_e2e::provider::{Provider, script};
use serde_json::{Value, json};

use crate::client::{Answer, End, OPENAI, post, provider, wait_for};

const JSON: &str = "content-type: application/json\r\n";

fn with_key(header: &str) -> String {
    format!("{header}: k\r\n{JSON}")
}

fn responses(model: &str, more: &str) -> String {
    format!(r#"{{"model":"{model}","input":"one two three"{more}}}"#)
}

async fn responses_stream(provider: &Provider, model: &str, more: &str) -> Answer {
    let body = responses(model, &format!(r#","stream":true{more}"#));
    post(provider.addr(), "/v1/responses", OPENAI, &body).await
}

#[tokio::test]
async fn a_responses_stream_has_named_and_numbered_events_and_its_terminal_event_has_the_usage() {
    let provider = provider().await;
    let answer = responses_stream(&provider, "fake-tokens-5-reasoning-3-cached-2", "").await;
    assert_eq!((answer.status, answer.end), (200, End::Clean));
    let events = answer.events();
    let names: Vec<_> = answer.text().lines().filter_map(|l| l.strip_prefix("event: ")).map(str::to_owned).collect();
    let kinds: Vec<_> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(names, kinds, "the event field repeats the type");
    let deltas = vec!["response.output_text.delta"; 5];
    let lead =
        ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"];
    let close = ["response.output_text.done", "response.content_part.done", "response.output_item.done"];
    assert_eq!(kinds, [&lead[..], &deltas, &close, &["response.completed"]].concat());
    let numbers: Vec<_> = events.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
    assert_eq!(numbers, (0..13).collect::<Vec<_>>());
    let text: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(text, script::text(5));
    let response = &events[12]["response"];
    assert_eq!(
        (&response["status"], &response["output"][0]["content"][0]["text"]),
        (&json!("completed"), &text.into())
    );
    let usage = &response["usage"];
    assert_eq!(
        (&usage["input_tokens"], &usage["output_tokens"], &usage["total_tokens"]),
        (&json!(3), &json!(8), &json!(11))
    );
    assert_eq!(usage["input_tokens_details"]["cached_tokens"], 2);
    assert_eq!(usage["output_tokens_details"]["reasoning_tokens"], 3);
    assert!(events[..12].iter().all(|event| event["response"]["usage"].is_null()));
}

#[tokio::test]
async fn a_response_that_is_bounded_is_incomplete_and_one_that_is_not_streamed_is_whole() {
    let provider = provider().await;
    let answer = responses_stream(&provider, "gpt-4o", r#","max_output_tokens":4"#).await;
    let events = answer.events();
    let last = events.last().expect("events");
    assert_eq!((&last["type"], &last["response"]["status"]), (&json!("response.incomplete"), &json!("incomplete")));
    assert_eq!(last["response"]["incomplete_details"]["reason"], "max_output_tokens");
    let whole = post(provider.addr(), "/v1/responses", OPENAI, &responses("gpt-4o", "")).await.json();
    assert_eq!((&whole["object"], &whole["status"]), (&json!("response"), &json!("completed")));
    assert_eq!(whole["output"][0]["content"][0]["text"], script::text(16));
    let missing = post(provider.addr(), "/v1/responses", OPENAI, r#"{"model":"gpt-4o"}"#).await;
    assert_eq!((missing.status, &missing.json()["error"]["param"]), (400, &json!("input")));
}

const CHAT: &str =
    r#"{"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"one two three"}]}"#;

#[tokio::test]
async fn an_azure_stream_begins_with_its_filter_and_the_deployment_is_the_model() {
    let provider = provider().await;
    let path = "/openai/deployments/fake-tokens-3/chat/completions";
    let answer = post(provider.addr(), &format!("{path}?api-version=2024-10-21"), &with_key("api-key"), CHAT).await;
    assert_eq!((answer.status, answer.end), (200, End::Clean));
    assert!(answer.header("apim-request-id").is_some());
    let events = answer.events();
    assert_eq!((&events[0]["id"], &events[0]["choices"]), (&json!(""), &json!([])));
    assert_eq!(events[0]["prompt_filter_results"][0]["prompt_index"], 0);
    assert!(events[0].get("usage").is_none_or(Value::is_null));
    assert_eq!(events[1]["choices"][0]["delta"]["role"], "assistant");
    assert!(events[2]["choices"][0]["content_filter_results"].is_object());
    let usage = events.last().expect("events");
    assert_eq!((&usage["choices"], &usage["usage"]["completion_tokens"]), (&json!([]), &json!(3)));
    assert_eq!(answer.data().last().map(String::as_str), Some("[DONE]"));
    let requests = provider.requests();
    assert_eq!(requests[0].request.model.as_deref(), Some("fake-tokens-3"));

    let unversioned = post(provider.addr(), path, &with_key("api-key"), CHAT).await;
    assert_eq!((unversioned.status, &unversioned.json()["error"]["code"]), (404, &json!("404")));
    let v1 = CHAT.replace("{\"stream\"", r#"{"model":"gpt-4o","stream""#);
    for (path, body) in [("/openai/v1/chat/completions", v1.as_str()), ("/openai/v1/responses", &responses("d", ""))] {
        let answer = post(provider.addr(), path, OPENAI, body).await;
        assert_eq!(answer.status, 200, "{path}: a Bearer token is a key, too");
    }
    let refused = post(provider.addr(), path, JSON, CHAT).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (401, &json!("401")));
}

#[tokio::test]
async fn siliconflow_tells_usage_in_every_chunk_and_shows_its_reasoning() {
    let provider = provider().await;
    let body = CHAT.replace("{\"stream\"", r#"{"model":"fake-tokens-3-reasoning-2","stream""#);
    let answer = post(provider.addr(), "/siliconflow/v1/chat/completions", OPENAI, &body).await;
    let events = answer.events();
    let counts: Vec<_> = events.iter().map(|event| event["usage"]["completion_tokens"].as_u64()).collect();
    assert_eq!(counts, [0, 1, 2, 3, 4, 5, 5].map(Some));
    let of = |name: &str| -> String {
        events.iter().filter_map(|event| event["choices"][0]["delta"][name].as_str().map(str::to_owned)).collect()
    };
    assert_eq!((of("reasoning_content"), of("content")), (script::text(2), script::text(3)));
    let last = events.last().expect("events");
    assert_eq!(last["usage"]["completion_tokens_details"]["reasoning_tokens"], 2);
    assert_eq!(answer.data().last().map(String::as_str), Some("[DONE]"));
    for (model, status, error) in [
        (
            "fake-400",
            400,
            json!({"code": 20012, "message": "The request was refused, as the model name asked for.", "data": null}),
        ),
        ("fake-503", 503, json!("Overloaded")),
    ] {
        let body = body.replace("fake-tokens-3-reasoning-2", model);
        let answer = post(provider.addr(), "/siliconflow/v1/chat/completions", OPENAI, &body).await;
        assert_eq!((answer.status, answer.json()), (status, error));
    }
}

const CONTENTS: &str = r#"{"contents":[{"role":"user","parts":[{"text":"one two three"}]}]}"#;

#[tokio::test]
async fn gemini_streams_crlf_events_with_running_usage_and_its_last_chunk_says_so() {
    let provider = provider().await;
    let key = with_key("x-goog-api-key");
    let model = "/v1beta/models/fake-tokens-4-reasoning-2";
    let answer = post(provider.addr(), &format!("{model}:streamGenerateContent?alt=sse"), &key, CONTENTS).await;
    assert_eq!((answer.status, answer.end), (200, End::Clean));
    let text = answer.text();
    assert!(text.ends_with("}\r\n\r\n") && text.matches("\r\n\r\n").count() == 5, "{text}");
    let events = answer.events();
    let counts: Vec<_> = events.iter().map(|event| event["usageMetadata"]["candidatesTokenCount"].as_u64()).collect();
    assert_eq!(counts, [1, 2, 3, 4, 4].map(Some));
    assert_eq!(events[4]["usageMetadata"]["thoughtsTokenCount"], 2);
    let part = |event: &Value| event["candidates"][0]["content"]["parts"][0]["text"].as_str().map(str::to_owned);
    assert_eq!(events.iter().filter_map(part).collect::<String>(), script::text(4));
    let reasons: Vec<_> = events.iter().filter_map(|event| event["candidates"][0]["finishReason"].as_str()).collect();
    assert_eq!(reasons, ["STOP"]);
    assert_eq!(provider.requests()[0].request.model.as_deref(), Some("fake-tokens-4-reasoning-2"));

    let array = post(provider.addr(), &format!("{model}:streamGenerateContent"), &key, CONTENTS).await;
    assert_eq!(array.header("content-type"), Some("application/json; charset=UTF-8"));
    assert_eq!(array.json().as_array().map(Vec::len), Some(5));
    let whole = post(provider.addr(), &format!("{model}:generateContent"), &key, CONTENTS).await.json();
    assert_eq!(part(&whole), Some(script::text(4)));
    let limited = post(provider.addr(), "/v1beta/models/fake-429:generateContent", &key, CONTENTS).await;
    let error = &limited.json()["error"];
    assert_eq!((&error["code"], &error["status"]), (&json!(429), &json!("RESOURCE_EXHAUSTED")));
    assert_eq!(error["details"][0]["retryDelay"], "1s");
}

#[tokio::test]
async fn elevenlabs_tells_what_it_costs_before_the_audio() {
    let provider = provider().await;
    let key = with_key("xi-api-key");
    let body = |model: &str| format!(r#"{{"text":"Grüße, Welt","model_id":"{model}"}}"#);
    let path = "/v1/text-to-speech/JBFqnCBsd6RMkjVDRZzb";
    let stream = post(provider.addr(), &format!("{path}/stream"), &key, &body("fake-bytes-40000")).await;
    assert_eq!((stream.status, stream.header("content-type")), (200, Some("audio/mpeg")));
    assert_eq!((stream.header("character-cost"), stream.header("content-length")), (Some("11"), None));
    assert!(stream.header("request-id").is_some());
    assert_eq!(script::sha256(&stream.body()), script::audio_sha256(40_000));
    let whole = post(provider.addr(), path, &key, &body("fake-bytes-40000")).await;
    assert_eq!((whole.header("content-length"), whole.body().len()), (Some("40000"), 40_000));
    let refused = post(provider.addr(), path, JSON, &body("m")).await;
    assert_eq!((refused.status, &refused.json()["detail"]["status"]), (401, &json!("invalid_api_key")));
    let cut = post(provider.addr(), &format!("{path}/stream"), &key, &body("fake-cut")).await;
    assert_eq!((cut.body().len(), cut.end), (8 * 4096 + 2048, End::Cut));
    assert_eq!(provider.requests()[0].request.model.as_deref(), Some("fake-bytes-40000"));
}

#[tokio::test]
async fn ollama_streams_lines_unless_told_not_to_and_wants_no_key() {
    let provider = provider().await;
    let chat = |model: &str, more: &str| {
        format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"one two three"}}]{more}}}"#)
    };
    let answer = post(provider.addr(), "/api/chat", JSON, &chat("fake-tokens-4", "")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")));
    let lines: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let text: String = lines.iter().filter_map(|line| line["message"]["content"].as_str()).collect();
    assert_eq!((lines.len(), text), (5, script::text(4)));
    assert!(lines[..4].iter().all(|line| line["done"] == false));
    let last = &lines[4];
    assert_eq!((&last["done"], &last["done_reason"]), (&json!(true), &json!("stop")));
    assert_eq!((&last["prompt_eval_count"], &last["eval_count"]), (&json!(3), &json!(4)));

    let body = r#"{"model":"fake-tokens-4","prompt":"one two","stream":false}"#;
    let whole = post(provider.addr(), "/api/generate", JSON, body).await;
    assert_eq!(
        (whole.header("content-type"), &whole.json()["response"]),
        (Some("application/json"), &script::text(4).into())
    );
    let error = post(provider.addr(), "/api/chat", JSON, &chat("fake-tokens-4-error-midway", "")).await;
    let text = error.text();
    let (lines, last) = text.trim_end().rsplit_once('\n').expect("lines");
    assert_eq!(
        (lines.lines().count(), serde_json::from_str::<Value>(last).ok()),
        (2, Some(json!({"error": "The server had an error while processing your request. Sorry about that!"})))
    );
    let cut = post(provider.addr(), "/api/chat", JSON, &chat("fake-tokens-4-cut", "")).await;
    assert_eq!((cut.text().lines().count(), cut.text().ends_with('\n'), cut.end), (3, false, End::Cut));
    wait_for(&provider, |requests| requests.iter().all(|one| one.outcome.ended.is_some())).await;
}
