use super::{Event, units};
use crate::provider::behaviour::Behaviour;
use crate::provider::plan::Kind;

fn written(name: &str) -> String {
    let behaviour = Behaviour::parse(name).expect("a known name");
    let event = |kind, name, data: &str| Event { kind, name, data: data.to_owned() };
    let events = [
        event(Kind::Token, Some("a"), "{\"n\":1}"),
        event(Kind::Token, None, "{\"n\":2}"),
        event(Kind::Tail, None, "[DONE]"),
    ];
    let bytes: Vec<u8> = units(events.into_iter(), 2, &behaviour).flat_map(|unit| unit.bytes).collect();
    String::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn events_are_written_with_the_line_ends_asked_for() {
    let lf = "event: a\ndata: {\"n\":1}\n\ndata: {\"n\":2}\n\ndata: [DONE]\n\n";
    assert_eq!(written("fake-ok"), lf);
    assert_eq!(written("fake-crlf"), lf.replace('\n', "\r\n"));
    assert_eq!(written("fake-cr"), lf.replace('\n', "\r"));
    assert_eq!(written("fake-bom"), format!("\u{feff}{lf}"));
}

#[test]
fn comments_stand_between_and_inside_events_and_change_no_data() {
    let written = written("fake-comments");
    assert!(written.starts_with(": between events\n\n: inside an event\nevent: a\n"), "{written}");
    let data: Vec<_> = written.lines().filter(|line| line.starts_with("data")).collect();
    assert_eq!(data, ["data: {\"n\":1}", "data: {\"n\":2}", "data: [DONE]"]);
}

#[test]
fn one_event_is_blown_up_and_stays_json() {
    let written = written("fake-big-event-1k-at-9");
    let event = written.lines().find(|line| line.contains("\"n\":2")).expect("the last token");
    assert!(event.len() > 1024);
    let json: serde_json::Value = serde_json::from_str(&event["data: ".len()..]).expect("JSON");
    assert_eq!(json["obfuscation"].as_str().map(str::len), Some(1024));
    assert!(written.len() < 1024 + 150);
}
