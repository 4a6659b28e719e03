use super::*;

const LINE: &str = "{\"model\":\"m\",\"message\":{\"content\":\"x\"},\"done\":false}\n";
const LAST: &str = "{\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":11,\"eval_count\":22}\n";

#[test]
fn lines_end_with_done_and_fail_with_an_error() {
    for (lines, said) in [
        (LINE.to_owned(), "c"),
        (format!("{LINE}{LAST}"), "tc"),
        (format!("{LINE}\r\n\n{LAST}"), "tc"),
        ("{\"error\":\"model not found\"}\n".to_owned(), "e"),
        (format!("{LINE}{{\"error\":\"out of memory\"}}\n"), "ec"),
        ("{\"x\":1,\"done\" : true}\r\n".to_owned(), "tc"),
        ("{\"message\":{\"content\":\"{\\\"done\\\":true}\",\"done\":true},\"done\":false}\n".to_owned(), "c"),
        ("{\"message\":{\"error\":\"deep down\"},\"done\":false}\n".to_owned(), "c"),
        ("{\"done\":false,\"error\":\"\"}\n".to_owned(), "c"),
        ("data: [DONE]\n".to_owned(), "c"),
    ] {
        assert_eq!(told(Format::Ndjson, &lines), said, "{lines:?}");
    }
    assert!(!watched(Format::Ndjson, LINE).is_whole(true));
    assert!(!watched(Format::Ndjson, "").is_whole(true));
    assert!(watched(Format::Ndjson, LAST).is_whole(false));
}

#[test]
fn lines_of_another_api_end_with_their_framing() {
    let observer = watched(Format::Ndjson, "{\"a\":1}\n{\"a\":2}\n");
    assert!(observer.is_whole(true) && !observer.is_whole(false));
    assert!(!watched(Format::Ndjson, &format!("{{\"status\":\"loading\"}}\n{LINE}")).is_whole(true));
}

#[test]
fn a_last_line_needs_no_line_end_but_must_be_whole() {
    for (tail, terminal, error) in [
        (LAST.trim_end(), true, false),
        ("{\"error\":\"text\"}", false, true),
        ("{\"done\":true", false, false),
        ("{\"done\":true,\"context\":[1,2", false, false),
        ("{\"x\":{\"done\":true}", false, false),
        ("{\"error\":\"te", false, false),
        ("", false, false),
    ] {
        let mut observer = watched(Format::Ndjson, LINE);
        observer.end(tail.as_bytes());
        assert_eq!((observer.seen().terminal, observer.seen().error), (terminal, error), "{tail}");
        assert_eq!(Format::Ndjson.ends_in(tail.as_bytes()), terminal, "{tail}");
    }
}

#[test]
fn counts_stand_in_the_last_line_or_in_the_whole_answer() {
    let counts = usage([Some(11), Some(22), None, None, None]);
    assert_eq!(seen(Format::Ndjson, &format!("{LINE}{LAST}")).usage, counts);
    assert_eq!(seen(Format::Ndjson, &format!("{LINE}{{\"done\":true}}\n")).usage, usage([None; 5]));
    let seen = body(Format::Ndjson, LAST.trim_end());
    assert_eq!((seen.usage, seen.error), (counts, false));
    assert!(body(Format::Ndjson, "{\"error\":\"text\"}").error);
}

#[test]
fn a_failure_is_one_line() {
    for reason in REASONS {
        let text = Format::Ndjson.failure_event(reason, "two\nlines", "id-1").unwrap();
        let line = std::str::from_utf8(&text).unwrap();
        assert_eq!((line.matches('\n').count(), line.ends_with('\n')), (1, true));
        assert_eq!(serde_json::from_str::<Value>(line).unwrap(), serde_json::json!({"error": "two\nlines"}));
        assert_eq!(told(Format::Ndjson, line), "e");
    }
}
