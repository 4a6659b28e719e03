//! What misbehaviour looks like on the wire.

use relay_e2e::provider::{Ended, script};

use crate::client::{ANTHROPIC, Answer, End, OPENAI, chat, post, provider, stream, wait_for};

/// Whether the body stops inside an event.
fn inside_an_event(answer: &Answer) -> bool {
    !answer.body().ends_with(b"\n\n")
}

#[tokio::test]
async fn a_truncated_stream_ends_cleanly_without_its_terminal_event() {
    let answer = stream(&provider().await, "fake-truncated").await;
    assert_eq!(answer.end, End::Clean);
    assert!(!inside_an_event(&answer));
    assert_eq!(answer.events().len(), 1 + 8);
    assert!(!answer.text().contains("[DONE]"));
}

#[tokio::test]
async fn half_an_event_comes_with_a_clean_end_a_cut_or_a_reset() {
    let provider = provider().await;
    let half = stream(&provider, "fake-half-event").await;
    let cut = stream(&provider, "fake-cut").await;
    let reset = stream(&provider, "fake-reset").await;
    assert_eq!((&half.end, &cut.end, &reset.end), (&End::Clean, &End::Cut, &End::Reset));
    for answer in [half, cut, reset] {
        assert!(inside_an_event(&answer));
        let text = answer.text();
        let (_, last) = text.rsplit_once("\n\n").expect("whole events before it");
        assert!(last.starts_with("data: {\"id\""), "{last}");
    }
    let ended = wait_for(&provider, |requests| requests.iter().all(|one| one.outcome.ended.is_some())).await;
    let ended: Vec<_> = ended.iter().filter_map(|one| one.outcome.ended).collect();
    assert_eq!(ended, [Ended::Complete, Ended::Aborted, Ended::Aborted]);
}

#[tokio::test]
async fn a_cut_after_done_loses_nothing_but_the_last_chunk() {
    let answer = stream(&provider().await, "fake-cut-after-done").await;
    assert_eq!(answer.end, End::Cut);
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn errors_in_the_stream_have_the_shape_of_the_family() {
    let provider = provider().await;
    let first = stream(&provider, "fake-error-first").await;
    assert_eq!((first.status, &first.end, first.data().len()), (200, &End::Clean, 1));
    assert_eq!(first.events()[0]["error"]["type"], "server_error");
    let midway = stream(&provider, "fake-error-midway").await;
    assert_eq!((midway.events().len(), &midway.end), (1 + 8 + 1, &End::Clean));
    assert!(midway.events()[9]["error"]["message"].is_string());
    let vllm = stream(&provider, "fake-error-then-done").await;
    assert!(vllm.events()[9]["error"].is_object());
    assert_eq!(vllm.data()[10], "[DONE]");
    let body =
        r#"{"model":"fake-error-midway","max_tokens":99,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let anthropic = post(provider.addr(), "/v1/messages", ANTHROPIC, body).await;
    let text = anthropic.text();
    let (_, last) = text.trim_end().rsplit_once("\n\n").expect("events");
    assert!(last.starts_with("event: error\ndata: {"), "{last}");
    assert_eq!(anthropic.events().last().expect("events")["error"]["type"], "overloaded_error");
}

#[tokio::test]
async fn a_json_answer_is_cut_short_of_its_content_length() {
    let provider = provider().await;
    let json = |model: &str| chat(model).replace("\"stream\":true", "\"stream\":false");
    let path = "/v1/chat/completions";
    let cut = post(provider.addr(), path, OPENAI, &json("fake-cut")).await;
    assert_eq!(cut.end, End::Cut);
    let length: usize = cut.header("content-length").and_then(|length| length.parse().ok()).expect("a length");
    assert_eq!(cut.body().len(), length / 2);
    assert_eq!(post(provider.addr(), path, OPENAI, &json("fake-reset")).await.end, End::Reset);
    let half = post(provider.addr(), path, OPENAI, &json("fake-truncated")).await;
    assert_eq!((half.end, half.header("content-length")), (End::Clean, None));
    assert_eq!(post(provider.addr(), path, OPENAI, &json("fake-error-midway")).await.status, 500);
}

#[tokio::test]
async fn speech_is_cut_and_reset_inside_a_piece() {
    let provider = provider().await;
    for (word, end) in [("cut", End::Cut), ("reset", End::Reset), ("error-midway", End::Cut)] {
        let body = format!(r#"{{"model":"fake-bytes-40k-{word}","input":"x","voice":"alloy"}}"#);
        let answer = post(provider.addr(), "/v1/audio/speech", OPENAI, &body).await;
        let length = answer.body().len();
        assert_eq!(answer.end, end, "{word}");
        assert_eq!(answer.body(), script::audio(0, length), "{word}");
        assert!((5 * 4096..6 * 4096).contains(&length), "{word}: {length}");
    }
}

#[tokio::test]
async fn odd_writes_carry_the_same_text() {
    let provider = provider().await;
    // Only the id and the second differ between two answers.
    let text = |answer: &Answer| {
        let first = &answer.events()[0];
        let (id, created) = (first["id"].to_string(), format!("\"created\":{}", first["created"]));
        answer.text().replace(&id, "ID").replace(&created, "CREATED")
    };
    let usual = stream(&provider, "fake-ok").await;
    let model = |name: &str| text(&usual).replace("fake-ok", name);
    let bytewise = stream(&provider, "fake-bytewise").await;
    assert!(bytewise.chunks.iter().all(|chunk| chunk.len() == 1));
    assert_eq!(text(&bytewise), model("fake-bytewise"));
    let split = stream(&provider, "fake-split-1000").await;
    let (last, full) = split.chunks.split_last().expect("chunks");
    assert!(full.iter().all(|chunk| chunk.len() == 1000) && last.len() <= 1000);
    assert_eq!(text(&split), model("fake-split-1000"));
    let crlf = stream(&provider, "fake-crlf").await;
    assert_eq!(text(&crlf), model("fake-crlf").replace('\n', "\r\n"));
    let bom = stream(&provider, "fake-bom").await;
    assert!(bom.body().starts_with(b"\xEF\xBB\xBFdata: {"));
    let big = stream(&provider, "fake-big-event").await;
    assert_eq!(big.chunks.iter().filter(|chunk| chunk.len() > 2 << 20).count(), 1);
    assert!(big.text().ends_with("data: [DONE]\n\n"));
    let gzip = stream(&provider, "fake-gzip").await;
    assert_eq!((gzip.header("content-encoding"), &gzip.body()[..2]), (Some("gzip"), b"\x1f\x8b".as_slice()));
}
