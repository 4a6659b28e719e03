use super::*;
use crate::format::characters::{of_answer, of_request};
use Format::{AzureSpeech, ElevenLabsSpeech, OpenAISpeech};
use http::{HeaderMap, HeaderValue};

#[test]
fn the_input_of_speech_is_counted_by_code_points() {
    for (body, count) in [
        (r#"{"model":"tts","input":"Hello.","voice":"alloy"}"#, Some(6)),
        (r#"{"input":""}"#, Some(0)),
        // Only Azure counts Han twice.
        (r#" { "input" : "é語😀" } "#, Some(3)),
        (r#"{"input":"\u00e9\u8A9E"}"#, Some(2)),
        (r#"{"input":"\ud83d\ude00!"}"#, Some(2)),
        // Halves of a pair, each alone, or the wrong way round.
        (r#"{"input":"\ud83d"}"#, Some(1)),
        (r#"{"input":"\ud83dx\ude00"}"#, Some(3)),
        (r#"{"input":"\ude00\ud83d"}"#, Some(2)),
        (r#"{"input":"\ud83d\ud83d\ude00"}"#, Some(2)),
        (r#"{"input":"\ud83d\u0041"}"#, Some(2)),
        (r#"{"input":"\"\\\/\b\n\\u0041"}"#, Some(11)),
        (r#"{"input":"\\\\u0041\\"}"#, Some(8)),
        // No other `input`, and of several the last.
        (r#"{"x":{"input":"12345"},"input":"1","y":["input"]}"#, Some(1)),
        (r#"{"input":"1","input":"123"}"#, Some(3)),
        (r#"{"input":"1","\u0069nput":"123"}"#, Some(3)),
        (r#"{"Input":"1","inputs":"1","x":"\"input\":\"1\""}"#, None),
        (r#"{"input":null}"#, None),
        (r#"{"input":7}"#, None),
        (r#"{"input":["a","b"]}"#, None),
        (r#"{"model":"tts"}"#, None),
        (r#"["input","a"]"#, None),
        (r#"{"input":"not whole"#, None),
        ("input", None),
        ("", None),
    ] {
        assert_eq!(of_request(OpenAISpeech, body.as_bytes()), count, "{body}");
    }
}

#[test]
fn tags_of_speak_and_voice_are_not_billed_and_everything_else_is() {
    for (ssml, count) in [
        ("Hello.", 6),
        ("<speak>Hi</speak>", 2),
        ("<speak version='1.0' xml:lang=\"en-US\">\n<voice name='a'>Hi, é😀</voice>\n</speak >\t", 9),
        ("<speak><voice name='a'>1</voice><voice name='b'>2</voice></speak>", 2),
        // Inside attributes, quotes of the other kind and ends of tags are text.
        ("<voice name='a>b' x=\"it's >\" y='\"'>12</voice>", 2),
        ("<voice\n\tname='a'\n/>1<voice/>2<speak />3", 3),
        ("<SPEAK><Voice name='a'>1</VOICE></Speak>", 1),
        // Other markup.
        ("<speak><p>1</p></speak>", 8),
        ("<voice><mstts:express-as style='sad'>1</mstts:express-as></voice>", 50),
        ("<mstts:voice>1</mstts:voice><voices/><speaker/>", 47),
        ("<break time='<voice>'/>1", 24),
        ("<sub alias='x > <speak>'>1</sub>", 32),
        ("a &lt;voice&gt; b", 17),
        // Text, whatever stands in it.
        ("<?xml version='1.0'?><speak>1</speak>", 22),
        ("<?x ' <voice> ?><speak>1</speak>", 17),
        ("<!-- it's <voice> --><voice>1</voice>", 22),
        ("<![CDATA[<voice>'</voice>]]><voice>1</voice>", 29),
        ("\u{FEFF}<speak>1</speak>", 1),
        // Markup without end.
        ("<speak>1</speak><voice name='a>", 16),
        ("1<voice", 7),
        ("1<!-- <voice>", 13),
        ("<", 1),
        ("<>", 2),
        ("</>", 3),
        (" ", 1),
    ] {
        assert_eq!(of_request(AzureSpeech, ssml.as_bytes()), Some(count), "{ssml}");
    }
    assert_eq!(of_request(AzureSpeech, b""), None);
}

#[test]
fn han_counts_twice_in_ssml_wherever_it_is_billed() {
    for (ssml, count) in [
        ("你好", 4),
        ("<speak><voice name='晓晓'>你好, a</voice></speak>", 7),
        ("<sub alias='漢'>x</sub>", 23),
        // Kanji and hanja, but neither kana, hangul nor punctuation.
        ("日本語のテキスト。", 3 * 2 + 6),
        ("漢字한글", 6),
        ("，。「」", 4),
        // The first and last of the blocks: extensions A to H, compatibility, radicals.
        ("\u{3400}\u{4DBF}\u{4E00}\u{9FFF}\u{F900}\u{FAD9}", 12),
        ("\u{20000}\u{2A6DF}\u{2A700}\u{2B81D}\u{2CEB0}\u{2EE5D}\u{2F800}\u{2FA1D}\u{30000}\u{323AF}", 20),
        ("\u{2E80}\u{2FD5}\u{3005}\u{3007}\u{303B}", 10),
        // Their neighbours.
        ("\u{2E7F}\u{2E9A}\u{3006}\u{303C}\u{33FF}\u{4DC0}\u{A000}\u{F8FF}\u{FAFF}\u{1FFFF}\u{2FA1E}\u{323B0}", 12),
    ] {
        assert_eq!(of_request(AzureSpeech, ssml.as_bytes()), Some(count), "{ssml}");
    }
}

#[test]
fn broken_utf8_counts_like_what_decoders_put_in_its_place() {
    for (format, body, count) in [
        (OpenAISpeech, &b"{\"input\":\"a\xFFb\xC3\"}"[..], 4),
        (OpenAISpeech, b"{\"input\":\"\\u\xFFxyz\"}", 5),
        (OpenAISpeech, b"{\"x\":\"\xFF\",\"input\":\"\xE8\xAA\"}", 1),
        (AzureSpeech, b"<speak>\xFF\xE8\xAA</speak>", 2),
        (AzureSpeech, b"<voice name='\xFF>'>a</voice>", 1),
    ] {
        assert_eq!(of_request(format, body), Some(count), "{format:?} {body:?}");
    }
}

#[test]
fn only_elevenlabs_tells_them_in_its_answer_and_only_whole_numbers_count() {
    for (value, count) in [
        ("27", Some(27)),
        (" 0 ", Some(0)),
        ("", None),
        ("1.5", None),
        ("-1", None),
        ("many", None),
        ("99999999999999999999", None),
    ] {
        let head = HeaderMap::from_iter([("character-cost".parse().unwrap(), HeaderValue::from_str(value).unwrap())]);
        for format in Format::ALL {
            let told = if *format == ElevenLabsSpeech { count } else { None };
            assert_eq!(of_answer(*format, &head), told, "{format:?} {value:?}");
        }
    }
    assert_eq!(of_answer(ElevenLabsSpeech, &HeaderMap::new()), None);
}

#[test]
fn no_other_format_counts_the_request() {
    for format in Format::ALL {
        let counts = matches!(format, OpenAISpeech | AzureSpeech);
        assert_eq!(format.counts_requests(), counts, "{format:?}");
        assert_eq!(of_request(*format, br#"{"input":"a"}"#).is_some(), counts, "{format:?}");
    }
}
