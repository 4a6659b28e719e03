use super::*;

fn chat(usage: &str) -> String {
    format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\n")
}

#[test]
fn the_last_number_of_each_field_counts_and_nothing_is_summed() {
    let full = r#"{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":1},"completion_tokens_details":{"reasoning_tokens":8}}"#;
    for (chunks, counts) in [
        (vec!["null"], [None; 5]),
        (vec!["{}"], [None; 5]),
        (vec![full], [Some(10), Some(20), Some(4), Some(1), Some(8)]),
        (vec![full, "null"], [Some(10), Some(20), Some(4), Some(1), Some(8)]),
        (vec![r#"{"prompt_tokens":10,"completion_tokens":0}"#, full], [Some(10), Some(20), Some(4), Some(1), Some(8)]),
        (
            vec![
                r#"{"completion_tokens":1}"#,
                r#"{"completion_tokens":2}"#,
                r#"{"completion_tokens":null,"prompt_tokens":3}"#,
            ],
            [Some(3), Some(2), None, None, None],
        ),
        (vec![r#"{"prompt_tokens":"7","completion_tokens":-2}"#], [None; 5]),
        (vec![r#"{"prompt_tokens":1.5,"completion_tokens":99999999999999999999}"#], [None; 5]),
        (
            vec![r#"{"prompt_tokens":{"prompt_tokens":3},"prompt_tokens_details":5,"completion_tokens":6}"#],
            [None, Some(6), None, None, None],
        ),
        (vec!["[1,2]"], [None; 5]),
        (vec!["\"text\""], [None; 5]),
    ] {
        let events: String = chunks.iter().map(|usage| chat(usage)).collect();
        assert_eq!(seen(Format::OpenAIChat, &events).usage, usage(counts), "{chunks:?}");
    }
}

#[test]
fn usage_is_found_behind_text_and_only_where_the_provider_puts_it() {
    let text = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}],\"usage\":null}\n\n";
    let count = r#"{"prompt_tokens":1,"completion_tokens":2}"#;
    let counts = usage([Some(1), Some(2), None, None, None]);
    // In every chunk, as SiliconFlow sends it.
    let running = text.replace("null", count);
    assert_eq!(seen(Format::OpenAIChat, &format!("{text}{}", chat(count))).usage, counts);
    assert_eq!(seen(Format::OpenAIChat, &format!("{text}{running}")).usage, counts);
    assert_eq!(
        seen(Format::OpenAIChat, &format!("{text}data: {{\"x_groq\":{{\"usage\":{count}}}}}\n\n")).usage,
        counts
    );
    for fake in [
        r#"{"choices":[{"delta":{"content":"\"usage\":{\"prompt_tokens\":9}"}}]}"#.to_owned(),
        format!(r#"{{"choices":[{{"usage":{count}}}]}}"#),
        format!(r#"{{"choices":[{{"delta":{{"tool":{{"usage":{count}}}}}}}]}}"#),
        format!("[{{\"usage\":{count}}}]"),
        format!("{{\"usage\":{}", &count[..20]),
    ] {
        let events = format!("{text}data: {fake}\n\n");
        assert_eq!(seen(Format::OpenAIChat, &events).usage, Usage::default(), "{fake}");
    }
}

#[test]
fn a_whole_answer_tells_its_usage_at_its_end() {
    let counts = usage([Some(1), Some(2), None, None, None]);
    let answer = r#"{"choices":[{"message":{"content":"usage"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    assert_eq!(body(Format::OpenAIChat, answer).usage, counts);
    // DeepSeek begins with blank lines.
    assert_eq!(body(Format::OpenAIChat, &format!("\n\n\n{answer}\n")).usage, counts);
    let embeddings = r#"{"data":[{"embedding":[0.1,-2e-3]}],"usage":{"prompt_tokens":8,"total_tokens":8}}"#;
    assert_eq!(body(Format::Opaque, embeddings).usage, usage([Some(8), None, None, None, None]));
    let transcription = r#"{"text":"x","usage":{"type":"tokens","input_tokens":3,"output_tokens":4}}"#;
    assert_eq!(body(Format::Opaque, transcription).usage, usage([Some(3), Some(4), None, None, None]));
    for not_json in ["", "<html>", "[]", "null", "{\"usage\":"] {
        let seen = body(Format::OpenAIChat, not_json);
        assert_eq!((seen.usage, seen.error), (Usage::default(), false), "{not_json}");
    }
    for error in [r#"{"error":{"message":"m"}}"#, r#"{"object":"error","message":"m"}"#] {
        assert!(body(Format::OpenAIChat, error).error);
    }
}

#[test]
fn a_whole_answer_of_more_than_can_be_kept_tells_nothing() {
    let answer = |fill: usize| format!(r#"{{"x":"{}","usage":{{"prompt_tokens":1}}}}"#, "x".repeat(fill));
    let known = answer(0).len();
    assert_eq!(body(Format::OpenAIChat, &answer((1 << 20) - known)).usage.input, Some(1));
    assert_eq!(body(Format::OpenAIChat, &answer((1 << 20) - known + 1)).usage.input, None);
}

#[test]
fn an_event_is_read_up_to_what_can_be_kept_and_the_next_one_again() {
    let event = |fill: usize| format!("data: {{\"x\":\"{}\",\"usage\":{{\"prompt_tokens\":1}}}}\n\n", "x".repeat(fill));
    let known = event(0).len();
    for (fill, input) in [((1 << 20) - known, Some(1)), ((1 << 20) - known + 1, None)] {
        let mut observer = Observer::new(Format::OpenAIChat);
        event(fill).as_bytes().chunks(64 << 10).for_each(|piece| observer.push(piece, false));
        assert_eq!(observer.seen().usage.input, input, "{fill}");
        observer.push(chat(r#"{"completion_tokens":5}"#).as_bytes(), true);
        observer.push(b"data: [DONE]\n\n", true);
        assert_eq!((observer.seen().usage.output, observer.seen().terminal), (Some(5), true));
    }
    // What is whole needs not be kept.
    assert_eq!(seen(Format::OpenAIChat, &event(2 << 20)).usage.input, Some(1));
}
