//! Each family's wire format, whole.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use relay_e2e::provider::{Config, Provider, script};
use serde_json::{Value, json};

use crate::client::{ANTHROPIC, Answer, End, OPENAI, chat, get, post, provider, stream};

/// The text that the chunks of a chat stream make.
fn chat_text(answer: &Answer) -> String {
    answer
        .events()
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn a_chat_stream_is_openais() {
    let provider = provider().await;
    let body = chat("gpt-4o").replace("\"stream\":true", r#""stream":true,"stream_options":{"include_usage":true}"#);
    let answer = post(provider.addr(), "/v1/chat/completions", OPENAI, &body).await;
    assert_eq!((answer.status, &answer.end), (200, &End::Clean));
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    for name in ["x-request-id", "openai-processing-ms", "openai-version", "x-ratelimit-remaining-tokens"] {
        assert!(answer.header(name).is_some(), "{name}");
    }
    let events = answer.events();
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(chat_text(&answer), script::text(16));
    let finish = &events[events.len() - 2];
    assert_eq!((&finish["choices"][0]["finish_reason"], &finish["usage"]), (&json!("stop"), &Value::Null));
    let usage = &events[events.len() - 1];
    assert_eq!((&usage["choices"], &usage["usage"]["total_tokens"]), (&json!([]), &json!(3 + 16)));
    assert_eq!(answer.data().last().map(String::as_str), Some("[DONE]"));
    let id = &events[0]["id"];
    assert!(events.iter().all(|event| event["id"] == *id && event["model"] == "gpt-4o"));
}

#[tokio::test]
async fn usage_comes_unasked_in_every_chunk_or_not_at_all() {
    let provider = provider().await;
    let plain = stream(&provider, "fake-tokens-4").await;
    assert!(plain.events().iter().all(|event| event.get("usage").is_none()));
    let running = stream(&provider, "fake-tokens-4-usage-every-chunk").await;
    let counts: Vec<_> = running.events().iter().map(|event| event["usage"]["completion_tokens"].as_u64()).collect();
    assert_eq!(counts, [0, 1, 2, 3, 4, 4].map(Some));
}

#[tokio::test]
async fn a_chat_that_is_not_streamed_is_bounded_by_max_tokens() {
    let provider = provider().await;
    let body = r#"{"model":"fake-tokens-9","max_tokens":5,"messages":[{"role":"user","content":[{"type":"text","text":"a b"}]}]}"#;
    let answer = post(provider.addr(), "/v1/chat/completions", OPENAI, body).await;
    let json = answer.json();
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(json["choices"][0]["message"]["content"], script::text(5));
    assert_eq!(json["choices"][0]["finish_reason"], "length");
    assert_eq!((&json["usage"]["prompt_tokens"], &json["usage"]["completion_tokens"]), (&json!(2), &json!(5)));
}

#[tokio::test]
async fn a_message_stream_is_anthropics() {
    let provider = provider().await;
    let body = r#"{"model":"claude-sonnet-4-5","max_tokens":100,"stream":true,"system":"be brief","messages":[{"role":"user","content":"hi"}]}"#;
    let answer = post(provider.addr(), "/v1/messages", ANTHROPIC, body).await;
    assert_eq!((answer.status, &answer.end), (200, &End::Clean));
    assert!(answer.header("request-id").is_some_and(|id| id.starts_with("req_")));
    assert!(answer.header("anthropic-ratelimit-requests-reset").is_some_and(|time| time.ends_with('Z')));
    let events = answer.events();
    let kinds: Vec<_> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    let names: Vec<_> = answer.text().lines().filter_map(|l| l.strip_prefix("event: ")).map(str::to_owned).collect();
    assert_eq!(names, kinds, "the event field repeats the type");
    let mut want = vec!["message_start", "content_block_start", "ping"];
    want.extend(
        [["content_block_delta"; 16].as_slice(), &["content_block_stop", "message_delta", "message_stop"]].concat(),
    );
    assert_eq!(kinds, want);
    let text: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(text, script::text(16));
    assert_eq!(events[0]["message"]["usage"]["input_tokens"], 3);
    let delta = &events[events.len() - 2];
    assert_eq!((&delta["usage"]["output_tokens"], &delta["delta"]["stop_reason"]), (&json!(16), &json!("end_turn")));
}

#[tokio::test]
async fn speech_is_the_bytes_of_the_script_in_either_format() {
    let provider = provider().await;
    let body =
        |more: &str| format!(r#"{{"model":"fake-bytes-100000-chunk-3000","input":"two words","voice":"alloy"{more}}}"#);
    let binary = post(provider.addr(), "/v1/audio/speech", OPENAI, &body("")).await;
    assert_eq!((binary.status, &binary.end, binary.header("content-type")), (200, &End::Clean, Some("audio/mpeg")));
    assert_eq!(script::sha256(&binary.body()), script::audio_sha256(100_000));
    let pcm = post(provider.addr(), "/v1/audio/speech", OPENAI, &body(r#","response_format":"pcm""#)).await;
    assert_eq!(pcm.header("content-type"), Some("audio/pcm"));
    let sse = post(provider.addr(), "/v1/audio/speech", OPENAI, &body(r#","stream_format":"sse""#)).await;
    let events = sse.events();
    let audio: Vec<u8> = events
        .iter()
        .filter_map(|event| event["audio"].as_str())
        .flat_map(|audio| BASE64.decode(audio).expect("base64"))
        .collect();
    assert_eq!(script::sha256(&audio), script::audio_sha256(100_000));
    let done = events.last().expect("events");
    assert_eq!((&done["type"], &done["usage"]["input_tokens"]), (&json!("speech.audio.done"), &json!(2)));
}

#[tokio::test]
async fn azure_speech_turns_ssml_into_audio_and_takes_the_voice_as_model() {
    let provider = provider().await;
    let ssml = |voice: &str| format!("<speak version='1.0'><voice name='{voice}'>hello</voice></speak>");
    let headers = "ocp-apim-subscription-key: k\r\ncontent-type: application/ssml+xml\r\nuser-agent: t\r\n";
    let format = |format: &str| format!("{headers}x-microsoft-outputformat: {format}\r\n");
    let path = "/cognitiveservices/v1";
    let good = post(provider.addr(), path, &format("audio-24khz-48kbitrate-mono-mp3"), &ssml("en-US-Ava")).await;
    assert_eq!((good.status, good.header("content-type")), (200, Some("audio/mpeg")));
    assert_eq!(script::sha256(&good.body()), script::audio_sha256(64 << 10));
    let riff = post(provider.addr(), path, &format("riff-24khz-16bit-mono-pcm"), &ssml("fake-bytes-5000")).await;
    assert_eq!((riff.header("content-length"), riff.body().len()), (Some("5000"), 5000));
    let cut = post(provider.addr(), path, &format("raw-24khz-16bit-mono-pcm"), &ssml("fake-cut")).await;
    assert_eq!((cut.body().len(), cut.end), (8 * 4096 + 2048, End::Cut));
    assert_eq!(post(provider.addr(), path, headers, &ssml("x")).await.status, 400);
    let text = headers.replace("ssml+xml", "json");
    assert_eq!(post(provider.addr(), path, &text, &ssml("x")).await.status, 415);
}

#[tokio::test]
async fn errors_have_the_shape_of_the_family() {
    let config = Config { keys: vec!["right".into(), "k".into()], identity: Some("one".into()), ..Config::default() };
    let provider = Provider::start(config).await.expect("a free port");
    let addr = provider.addr();
    let wrong = OPENAI.replace(" k\r", " wrong\r");
    let refused = post(addr, "/v1/chat/completions", &wrong, &chat("gpt-4o")).await;
    assert_eq!((refused.status, refused.json()["error"]["code"].clone()), (401, json!("invalid_api_key")));
    assert!(!refused.text().contains("wrong"), "the key is not told back");
    assert_eq!(refused.header("x-fake-identity"), Some("one"));
    let refused = post(addr, "/v1/messages", "anthropic-version: 2023-06-01\r\n", "{}").await;
    assert_eq!((refused.status, refused.json()["error"]["type"].clone()), (401, json!("authentication_error")));
    assert_eq!(refused.json()["request_id"].as_str(), refused.header("request-id"));
    let unversioned = post(addr, "/v1/messages", "x-api-key: right\r\ncontent-type: application/json\r\n", "{}").await;
    assert_eq!(
        (unversioned.status, unversioned.json()["error"]["type"].clone()),
        (400, json!("invalid_request_error"))
    );
    let unknown = get(addr, "/v1/nothing").await;
    assert_eq!(
        (unknown.status, unknown.json()["error"]["message"].clone()),
        (404, json!("Invalid URL (GET /v1/nothing)"))
    );
    let slip = post(addr, "/v1/chat/completions", OPENAI, &chat("fake-cutt")).await;
    assert_eq!((slip.status, slip.json()["error"]["code"].clone()), (404, json!("model_not_found")));
    let empty = post(addr, "/v1/chat/completions", OPENAI, r#"{"model":"x"}"#).await;
    assert_eq!((empty.status, empty.json()["error"]["param"].clone()), (400, json!("messages")));
    let models = get(addr, "/v1/models").await;
    assert_eq!((models.status, models.json()["object"].clone()), (200, json!("list")));
}

#[tokio::test]
async fn statuses_on_demand_have_their_headers() {
    let provider = provider().await;
    let limited = stream(&provider, "fake-429-after-7s").await;
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("7")));
    assert_eq!(limited.json()["error"]["code"], "rate_limit_exceeded");
    assert_eq!(stream(&provider, "fake-429-after-none").await.header("retry-after"), None);
    for status in [500, 503, 529] {
        let failed = stream(&provider, &format!("fake-{status}")).await;
        assert_eq!((failed.status, failed.json()["error"]["type"].clone()), (status, json!("server_error")));
    }
    let page = stream(&provider, "fake-html-502").await;
    assert_eq!((page.status, page.header("content-type")), (502, Some("text/html")));
    let body = r#"{"model":"fake-529","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}"#;
    let overloaded = post(provider.addr(), "/v1/messages", ANTHROPIC, body).await;
    assert_eq!((overloaded.status, overloaded.json()["error"]["type"].clone()), (529, json!("overloaded_error")));
}
