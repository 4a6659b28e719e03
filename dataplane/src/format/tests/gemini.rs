use super::*;

fn chunk(inner: &str) -> String {
    format!("data: {{{inner}}}\r\n\r\n")
}

#[test]
fn gemini_ends_with_a_reason_for_every_candidate_and_a_clean_end() {
    let text = chunk(r#""candidates":[{"content":{"parts":[{"text":"finishReason"}]},"index":0}]"#);
    let stop = chunk(r#""candidates":[{"finishReason":"STOP"}]"#);
    for (events, is_whole) in [
        (String::new(), false),
        (text.clone(), false),
        (format!("{text}{stop}"), true),
        (chunk(r#""candidates":[{"finishReason":"FINISH_REASON_UNSPECIFIED"}]"#), false),
        (chunk(r#""candidates":[{"finishReason":"MAX_TOKENS","index":0},{"index":1}]"#), false),
        (chunk(r#""candidates":[{"finishReason":"STOP","index":0},{"finishReason":"STOP","index":1}]"#), true),
        (chunk(r#""promptFeedback":{"blockReason":"SAFETY"}"#), true),
        (chunk(r#""promptFeedback":{"safetyRatings":[]}"#), false),
        // A tool's own JSON, deeper down.
        (chunk(r#""candidates":[{"content":{"parts":[{"functionCall":{"args":{"finishReason":"STOP"}}}]}}]"#), false),
    ] {
        let observer = watched(Format::GeminiStream, &events);
        assert_eq!((observer.is_whole(true), observer.is_whole(false)), (is_whole, false), "{events}");
    }
}

#[test]
fn gemini_fails_with_an_error_chunk() {
    for (events, said) in [
        (chunk(r#""error":{"code":503,"status":"UNAVAILABLE"}"#), "e"),
        (chunk(r#""responseId":"x","error":{"code":429}"#), "e"),
        (chunk(r#""candidates":[{"content":{"parts":[{"functionCall":{"args":{"error":{}}}}]}}]"#), "c"),
        (chunk(r#""usageMetadata":{"promptTokenCount":1}"#), ""),
    ] {
        assert_eq!(told(Format::GeminiStream, &events), said, "{events}");
    }
}

#[test]
fn the_last_usage_counts_and_thoughts_are_output() {
    let running = chunk(r#""usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":1}"#);
    let last = chunk(
        r#""usageMetadata":{"promptTokenCount":5,"toolUsePromptTokenCount":2,"candidatesTokenCount":6,"thoughtsTokenCount":30,"cachedContentTokenCount":4,"totalTokenCount":43}"#,
    );
    assert_eq!(seen(Format::GeminiStream, &running).usage, usage([Some(5), Some(1), None, None, None]));
    let counts = usage([Some(7), Some(36), Some(4), None, Some(30)]);
    assert_eq!(seen(Format::GeminiStream, &format!("{running}{last}")).usage, counts);
    let thinking = chunk(r#""usageMetadata":{"promptTokenCount":5,"thoughtsTokenCount":9}"#);
    assert_eq!(seen(Format::GeminiStream, &thinking).usage, usage([Some(5), Some(9), None, None, Some(9)]));
}

#[test]
fn an_array_of_chunks_counts_like_a_stream() {
    let chunks = r#"[{"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":1}},
        {"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":8}}]"#;
    assert_eq!(body(Format::GeminiStream, chunks).usage, usage([Some(5), Some(8), None, None, None]));
    assert!(body(Format::GeminiStream, r#"[{"error":{"code":400}}]"#).error);
    assert!(body(Format::GeminiStream, r#"{"error":{"code":400}}"#).error);
}

#[test]
fn a_failure_is_one_chunk_with_a_code_that_sdks_take_for_the_servers_or_for_a_limit() {
    for reason in REASONS {
        let text = Format::GeminiStream.failure_event(reason, "m", "id-1").unwrap();
        let (name, json) = event(&text, "\r\n\r\n");
        let error = &json["error"];
        let is_limit = reason.status().as_u16() == 429;
        let (code, status) = if is_limit { (429, "RESOURCE_EXHAUSTED") } else { (503, "UNAVAILABLE") };
        assert_eq!((name, &error["code"], &error["status"]), (None, &code.into(), &status.into()));
        assert_eq!((&error["message"], &error["details"][0]["reason"]), (&"m".into(), &reason.name().into()));
        assert_eq!(told(Format::GeminiStream, std::str::from_utf8(&text).unwrap()), "e");
    }
}
