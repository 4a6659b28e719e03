use super::*;

const DELTA: &str = "data: {\"type\":\"speech.audio.delta\",\"audio\":\"AAAA\"}\n\n";
const DONE: &str = "data: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":3,\"output_tokens\":40}}\n\n";

#[test]
fn speech_as_events_ends_with_done_and_counts_there() {
    let events = format!("{DELTA}{DELTA}{DONE}");
    assert_eq!(told(Format::OpenAISpeech, DELTA), "c");
    assert_eq!(told(Format::OpenAISpeech, &events), "tc");
    assert_eq!(seen(Format::OpenAISpeech, &events).usage, usage([Some(3), Some(40), None, None, None]));
    assert!(!watched(Format::OpenAISpeech, DELTA).is_whole(true));
    assert!(!watched(Format::OpenAISpeech, "").is_whole(true));
    assert!(watched(Format::OpenAISpeech, &events).is_whole(false));
    for error in ["data: {\"error\":{\"message\":\"m\"}}\n\n", "data: {\"type\":\"error\",\"message\":\"m\"}\n\n"] {
        assert_eq!(told(Format::OpenAISpeech, error), "e");
        assert_eq!(told(Format::OpenAISpeech, &format!("{DELTA}{error}")), "ec");
    }
}

#[test]
fn events_of_another_maker_end_with_their_framing() {
    let observer = watched(Format::OpenAISpeech, "data: {\"audio\":\"AAAA\"}\n\ndata: {\"audio\":\"AAAA\"}\n\n");
    assert!(observer.seen().content && observer.is_whole(true) && !observer.is_whole(false));
}

#[test]
fn only_breaking_the_framing_tells_that_audio_is_not_whole() {
    for format in
        [Format::OpenAISpeech, Format::AzureSpeech, Format::ElevenLabsSpeech, Format::Opaque, Format::OpenAIRealtime]
    {
        assert!(format.failure_event(Reason::UpstreamReset, "m", "r").is_none());
    }
}

#[test]
fn formats_that_are_not_looked_into_tell_only_that_something_came() {
    for format in [Format::Opaque, Format::AzureSpeech, Format::ElevenLabsSpeech, Format::OpenAIRealtime] {
        assert_eq!(told(format, ""), "");
        assert_eq!(told(format, "data: [DONE]\n\nevent: error\n\ndata: {\"error\":{}}\n\n"), "c");
        let mut observer = Observer::new(format);
        observer.push(b"\0", false);
        assert!(observer.seen().content && observer.is_whole(true) && !observer.is_whole(false));
        assert!(!format.ends_in(b"data: [DONE]"));
    }
}
