//! Streams that fail: the client is told in its format's words, at the end of an event, and the framing tells the rest.

use serde_json::Value;

use crate::config::{self, backend, route, snapshot};
use crate::house::{CHAT, House, MESSAGES, SPEECH, chat, message, not_streamed, speech};
use crate::raw::{Answer, End};
use crate::stub::{Stub, Then};

/// The stream failed in words that OpenAI's SDKs raise; what came before is whole events.
fn is_chat_failure(answer: &Answer, code: &str) {
    assert_eq!((answer.status, answer.end), (200, End::Clean));
    let (_, last) = answer.last_event();
    assert_eq!(last["error"]["code"], code, "{}", answer.text());
    assert_eq!(last["error"]["type"], "server_error");
    assert!(last["error"]["message"].is_string());
    are_whole_events(answer);
    assert!(!answer.text().contains("[DONE]"));
}

/// The same for Anthropic's.
fn is_message_failure(answer: &Answer, code: &str) {
    assert_eq!((answer.status, answer.end), (200, End::Clean));
    let (name, last) = answer.last_event();
    assert_eq!(name, Some("error"));
    assert_eq!((&last["type"], &last["error"]["type"]), (&Value::from("error"), &Value::from("api_error")));
    assert_eq!(last["error"]["code"], code);
    assert_eq!(last["request_id"].as_str().map(str::len), Some(32));
    are_whole_events(answer);
    assert!(!answer.text().contains("message_stop"));
}

fn are_whole_events(answer: &Answer) {
    let text = answer.text();
    assert!(text.ends_with("\n\n"), "{text:?}");
    for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        assert!(serde_json::from_str::<Value>(data).is_ok(), "half an event: {data}");
    }
}

/// How a stream breaks off, and the reason that says so.
const BREAKS: [(&str, &str); 4] = [
    ("truncated", "upstream_protocol"),
    ("half-event", "upstream_protocol"),
    ("cut", "upstream_reset"),
    ("reset", "upstream_reset"),
];

#[tokio::test]
async fn a_chat_that_breaks_off_ends_with_an_error_event_wherever_that_is() {
    for (how, reason) in BREAKS {
        for at in [0, 1, 8, 15, 16] {
            let (house, _provider) = House::simple().await;
            let answer = house.chat(&format!("fake-{how}-at-{at}-flush")).await;
            is_chat_failure(&answer, reason);
            assert_eq!(answer.text().matches("\n\n").count(), 1 + at + 1, "{how} at {at}: {}", answer.text());
            house.ended(200, "UpstreamError", Some(reason)).await;
        }
    }
}

#[tokio::test]
async fn a_message_that_breaks_off_ends_with_an_error_event_wherever_that_is() {
    for (how, reason) in BREAKS {
        for at in [0, 1, 8, 15, 16] {
            let (house, _provider) = House::simple().await;
            let answer = house.message(&format!("fake-{how}-at-{at}-flush")).await;
            is_message_failure(&answer, reason);
            assert_eq!(answer.text().matches("\n\n").count(), 3 + at + 1, "{how} at {at}: {}", answer.text());
            house.ended(200, "UpstreamError", Some(reason)).await;
        }
    }
}

#[tokio::test]
async fn other_line_ends_do_not_hide_where_an_event_ends() {
    for way in ["crlf", "cr", "comments", "bytewise", "crlf-bytewise", "cr-bytewise", "split-5"] {
        let (house, _provider) = House::simple().await;
        let answer = house.chat(&format!("fake-{way}-cut-at-4")).await;
        assert_eq!((answer.status, answer.end), (200, End::Clean));
        let text = answer.text().replace("\r\n", "\n").replace('\r', "\n");
        let last = text.trim_end().rsplit("\n\n").next().expect("an event");
        let last: Value = serde_json::from_str(last.strip_prefix("data: ").expect("data")).expect("JSON");
        assert_eq!(last["error"]["code"], "upstream_reset", "{way}");
        for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
            assert!(serde_json::from_str::<Value>(data).is_ok(), "{way}: half an event: {data}");
        }
        house.ended(200, "UpstreamError", Some("upstream_reset")).await;
    }
}

#[tokio::test]
async fn an_upstream_that_breaks_off_behind_its_own_end_is_complete() {
    let (house, _provider) = House::simple().await;
    let answer = house.chat("fake-cut-after-done").await;
    assert_eq!((answer.end, answer.text().ends_with("data: [DONE]\n\n")), (End::Clean, true));
    house.ended(200, "Complete", None).await;
    let (house, _provider) = House::simple().await;
    let answer = house.message("fake-cut-after-done").await;
    assert_eq!((answer.end, answer.text().ends_with("{\"type\":\"message_stop\"}\n\n")), (End::Clean, true));
    house.ended(200, "Complete", None).await;
}

#[tokio::test]
async fn an_error_in_the_stream_is_the_providers_and_passes_on() {
    for model in ["fake-error-first", "fake-error-midway", "fake-error-then-done"] {
        let (house, _provider) = House::simple().await;
        let answer = house.chat(model).await;
        assert_eq!((answer.status, answer.end), (200, End::Clean));
        let text = answer.text();
        assert_eq!(text.matches("\"error\"").count(), 1, "{text}");
        assert!(text.contains("The server had an error"), "{text}");
        assert_eq!(text.contains("[DONE]"), model.ends_with("done"));
        house.ended(200, "UpstreamError", Some("upstream_error")).await;

        let (house, _provider) = House::simple().await;
        let answer = house.message(model).await;
        assert_eq!((answer.status, answer.end), (200, End::Clean));
        assert_eq!(answer.text().matches("event: error").count(), 1);
        assert!(answer.text().contains("overloaded_error"));
        house.ended(200, "UpstreamError", Some("upstream_error")).await;
    }
}

#[tokio::test]
async fn audio_that_breaks_off_breaks_the_framing() {
    for model in ["fake-bytes-64k-cut-at-5", "fake-bytes-64k-reset-at-5", "fake-bytes-64k-error-midway-at-5"] {
        let (house, _provider) = House::simple().await;
        let answer = house.post(SPEECH, &speech(model)).await;
        assert_eq!(answer.status, 200);
        assert_ne!(answer.end, End::Clean, "{model}");
        let all = relay_e2e::provider::script::audio(0, 64 << 10);
        assert!(all.starts_with(&answer.body), "{model}: only audio");
        assert!(answer.body.len() >= 5 * 4096, "{model}: {}", answer.body.len());
        house.ended(200, "UpstreamError", Some("upstream_reset")).await;
    }
}

#[tokio::test]
async fn json_that_breaks_off_breaks_the_framing() {
    for (model, path, body) in [("fake-cut", CHAT, chat("fake-cut")), ("fake-reset", MESSAGES, message("fake-reset"))] {
        let (house, _provider) = House::simple().await;
        let answer = house.post(path, &not_streamed(&body)).await;
        assert_eq!(answer.status, 200);
        assert_ne!(answer.end, End::Clean, "{model}");
        let length: usize = answer.header("content-length").expect("a length").parse().expect("a number");
        assert!(answer.body.len() < length);
        house.ended(200, "UpstreamError", Some("upstream_reset")).await;
    }
}

#[tokio::test]
async fn nothing_is_injected_into_an_encoded_stream() {
    let (house, _provider) = House::simple().await;
    let answer = house.chat("fake-gzip-cut-at-4").await;
    assert_eq!((answer.status, answer.header("content-encoding")), (200, Some("gzip")));
    assert_ne!(answer.end, End::Clean);
    assert!(!String::from_utf8_lossy(&answer.body).contains("upstream_reset"));
    house.ended(200, "UpstreamError", Some("upstream_reset")).await;
}

#[tokio::test]
async fn an_event_too_long_to_hold_has_no_clean_end_inside() {
    let (house, _provider) = House::simple().await;
    // The long event is on its way when the upstream breaks off in its middle.
    let answer = house.chat("fake-big-event-300k-at-4-cut").await;
    assert_eq!(answer.status, 200);
    assert_ne!(answer.end, End::Clean);
    assert!(answer.body.len() > 100 << 10, "{}", answer.body.len());
    house.ended(200, "UpstreamError", Some("upstream_reset")).await;
}

/// The answer to `sse`, sent as the whole body of a chunked stream that then ends by `rest`.
async fn through(path: &str, provider: relay_snapshot::Provider, sse: &str, rest: &str) -> (Answer, House) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let stub = Stub::answering(format!("{head}{:x}\r\n{sse}\r\n{rest}", sse.len()), Then::Close).await;
    let house = House::new(&snapshot(vec![route("r", "/", vec![backend(provider, stub.addr)])])).await;
    let answer = house.post(path, &chat("m")).await;
    (answer, house)
}

const EVENT: &str = "data: {\"choices\":[]}\n\n";

#[tokio::test]
async fn half_of_the_providers_own_error_event_is_not_shown_and_not_its_word() {
    use relay_snapshot::Provider::{Anthropic, OpenAI};
    for rest in ["", "0\r\n\r\n"] {
        let reason = if rest.is_empty() { "upstream_reset" } else { "upstream_protocol" };
        let (answer, house) = through(CHAT, OpenAI, &format!("{EVENT}data: {{\"error\":{{\"mess"), rest).await;
        is_chat_failure(&answer, reason);
        house.ended(200, "UpstreamError", Some(reason)).await;
        for half in ["event: error\ndata: {\"type\"", "event: message_stop\ndata: {\"type\":\"mess"] {
            let (answer, house) = through(MESSAGES, Anthropic, &format!("event: ping\n{EVENT}{half}"), rest).await;
            is_message_failure(&answer, reason);
            house.ended(200, "UpstreamError", Some(reason)).await;
        }
    }
}

#[tokio::test]
async fn done_counts_without_its_blank_line() {
    use relay_snapshot::Provider::OpenAI;
    for done in ["data: [DONE]", "data: [DONE]\n", "data:[DONE]\r\n", "data: [DONE]\r"] {
        for rest in ["", "0\r\n\r\n"] {
            let (answer, house) = through(CHAT, OpenAI, &format!("{EVENT}{done}"), rest).await;
            assert_eq!((answer.text(), answer.end), (format!("{EVENT}{done}").as_str(), End::Clean));
            house.ended(200, "Complete", None).await;
        }
    }
    for half in ["data: [DON", "data: [DONE", "data"] {
        let (answer, house) = through(CHAT, OpenAI, &format!("{EVENT}{half}"), "").await;
        is_chat_failure(&answer, "upstream_reset");
        house.ended(200, "UpstreamError", Some("upstream_reset")).await;
    }
}

#[tokio::test]
async fn a_clone_that_never_says_done_is_complete_where_its_framing_is() {
    use relay_snapshot::Provider::Custom;
    let stop = format!("{EVENT}data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n");
    let (answer, house) = through(CHAT, Custom, &stop, "0\r\n\r\n").await;
    assert_eq!((answer.text(), answer.end), (stop.as_str(), End::Clean));
    house.ended(200, "Complete", None).await;
    let (answer, house) = through(CHAT, Custom, &stop, "").await;
    is_chat_failure(&answer, "upstream_reset");
    house.ended(200, "UpstreamError", Some("upstream_reset")).await;
}

#[tokio::test]
async fn responses_and_gemini_end_in_their_own_words() {
    use relay_snapshot::Provider::{Gemini, OpenAI};
    let (responses, gemini) = ("/v1/responses", "/v1beta/models/m:streamGenerateContent");
    let event = "event: response.in_progress\ndata: {\"type\":\"response.in_progress\",\"sequence_number\":4}\n\n";
    let done = "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":5}\n\n";
    let (answer, house) = through(responses, OpenAI, &format!("{event}{done}"), "").await;
    assert_eq!((answer.text(), answer.end), (format!("{event}{done}").as_str(), End::Clean));
    house.ended(200, "Complete", None).await;
    let (answer, house) = through(responses, OpenAI, event, "0\r\n\r\n").await;
    let (name, last) = answer.last_event();
    assert_eq!(
        (name, &last["sequence_number"], &last["code"]),
        (Some("error"), &5.into(), &"upstream_protocol".into())
    );
    assert_eq!((&last["error"]["code"], answer.end), (&"upstream_protocol".into(), End::Clean));
    house.ended(200, "UpstreamError", Some("upstream_protocol")).await;

    let (text, stop) =
        ("data: {\"candidates\":[{}]}\r\n\r\n", "data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\r\n\r\n");
    let (answer, house) = through(gemini, Gemini, &format!("{text}{stop}"), "0\r\n\r\n").await;
    assert_eq!((answer.text(), answer.end), (format!("{text}{stop}").as_str(), End::Clean));
    house.ended(200, "Complete", None).await;
    let (answer, house) = through(gemini, Gemini, text, "").await;
    let failure = answer.text().strip_prefix(text).and_then(|rest| rest.strip_prefix("data: ")).expect("an event");
    let failure: serde_json::Value =
        serde_json::from_str(failure.strip_suffix("\r\n\r\n").expect("CRLF")).expect("JSON");
    assert_eq!((&failure["error"]["status"], answer.end), (&"UNAVAILABLE".into(), End::Clean));
    house.ended(200, "UpstreamError", Some("upstream_reset")).await;
}

#[tokio::test]
async fn words_of_the_end_inside_a_text_are_no_end() {
    use relay_snapshot::Provider::OpenAI;
    let sse = "data: {\"choices\":[{\"delta\":{\"content\":\"data: [DONE] \\n data: {\\\"error\\\"\"}}]}\n\n";
    let (answer, house) = through(CHAT, OpenAI, sse, "0\r\n\r\n").await;
    assert_eq!((answer.text().starts_with(sse), answer.end), (true, End::Clean));
    assert_eq!(answer.last_event().1["error"]["code"], "upstream_protocol");
    house.ended(200, "UpstreamError", Some("upstream_protocol")).await;
}

#[tokio::test]
async fn a_long_event_cut_at_the_words_of_the_end_is_no_end() {
    use relay_snapshot::Provider::OpenAI;
    // The first chunk ends inside the event, past what is held; the next begins with what would end a stream.
    let first = format!("data: {{\"x\":\"{}", "x".repeat(65 << 10));
    let second = "data: [DONE]\"}\n\n";
    let chunked = format!("{second_length:x}\r\n{second}\r\n0\r\n\r\n", second_length = second.len());
    let (answer, house) = through(CHAT, OpenAI, &first, &chunked).await;
    assert!(answer.text().starts_with(&first));
    let (_, last) = answer.last_event();
    assert_eq!(last["error"]["code"], "upstream_protocol");
    house.ended(200, "UpstreamError", Some("upstream_protocol")).await;
}

#[tokio::test]
async fn an_error_that_comes_as_an_event_stream_is_not_a_stream_that_failed() {
    let body = "data: {\"detail\":\"busy\"}\n\n";
    let head =
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let stub = Stub::answering(format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()), Then::Stay).await;
    let backend = backend(relay_snapshot::Provider::OpenAI, stub.addr);
    let house = House::new(&snapshot(vec![route("r", "/", vec![backend])])).await;
    let answer = house.chat("m").await;
    assert_eq!((answer.status, answer.text(), answer.end), (503, body, End::Clean));
    house.ended(503, "Complete", Some("upstream_status")).await;
}

#[tokio::test]
async fn a_stream_without_any_event_did_not_end() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let stub = Stub::answering(head, Then::Stay).await;
    let backend = backend(relay_snapshot::Provider::OpenAI, stub.addr);
    let house = House::new(&snapshot(vec![route("r", "/", vec![backend])])).await;
    is_chat_failure(&house.chat("m").await, "upstream_protocol");
    house.ended(200, "UpstreamError", Some("upstream_protocol")).await;
}

#[tokio::test]
async fn an_event_stream_of_no_known_format_ends_as_its_framing_ends() {
    use relay_snapshot::Provider::Custom;
    let (answer, house) = through("/v1/other", Custom, "data: 1\n\ndata: 2", "0\r\n\r\n").await;
    assert_eq!((answer.text(), answer.end), ("data: 1\n\ndata: 2", End::Clean));
    house.ended(200, "Complete", None).await;
    let (answer, house) = through("/v1/other", Custom, "data: 1\n\ndata: 2", "").await;
    assert_ne!(answer.end, End::Clean);
    assert!(answer.text().starts_with("data: 1\n\n"), "{}", answer.text());
    house.ended(200, "UpstreamError", Some("upstream_reset")).await;
}

#[tokio::test]
async fn a_provider_that_breaks_http_is_told_from_one_that_goes_away() {
    let answers = [
        (
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
            502,
            "upstream_protocol",
        ),
        ("SSH-2.0-OpenSSH_9.9\r\n\r\n", 502, "upstream_protocol"),
        ("", 502, "upstream_reset"),
        (
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
            502,
            "upstream_reset",
        ),
    ];
    for (bytes, status, reason) in answers {
        let stub = Stub::answering(bytes, Then::Close).await;
        let house = House::new(&config::snapshot(vec![route(
            "r",
            "/",
            vec![backend(relay_snapshot::Provider::OpenAI, stub.addr)],
        )]))
        .await;
        let answer = house.chat("m").await;
        assert_eq!((answer.status, answer.header("x-relay-error")), (status, Some(reason)), "{bytes}");
        assert_eq!(answer.json()["error"]["code"], reason);
        house.ended(status, "UpstreamError", Some(reason)).await;
    }
}
