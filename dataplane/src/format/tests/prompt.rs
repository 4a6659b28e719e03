//! What a prompt weighs before anybody has counted it.

use crate::format::{Content, Prompt};
use proptest::prelude::*;
use std::fmt::Write;

fn tokens(body: &str) -> u64 {
    Prompt::of(Content::Json, body.as_bytes()).tokens()
}

fn quarters(body: &str) -> u64 {
    Prompt::of(Content::Json, body.as_bytes()).quarters()
}

#[test]
fn of_json_only_strings_that_are_values_weigh_something() {
    for (body, expected) in [
        ("", 0),
        ("{}", 0),
        (r#"{"a long name of a member":1234567890}"#, 0),
        (r#"{"a long name of a member"  :  "abcd"}"#, 4),
        (r#"{"a":["abcd","efgh"],"b":{"c":"ij"}}"#, 10),
        (r#"["abcd" , "ef"]"#, 6),
        // Not over yet, so nobody knows whether it is a key.
        (r#"{"a":"abcd""#, 0),
        (r#"{"a":"abcd"#, 0),
    ] {
        assert_eq!(quarters(body), expected, "{body}");
    }
}

#[test]
fn four_ascii_characters_are_a_token_and_so_is_any_other_code_point() {
    for (text, expected) in [
        ("abcd", 4),
        ("hello, world", 12),
        ("ü", 4),
        ("日本語", 12),
        ("a日", 5),
        ("🙂", 4),
        (r"\n", 1),
        (r#"\""#, 1),
        (r"\\", 1),
        (r"\\u65e5", 6),
        (r"\u0041", 1),
        (r"\u00fc", 4),
        (r"\u65E5\u672c", 8),
        (r"\ud83d\ude42", 4),
        (r"ab\ud83d\ude42cd", 8),
    ] {
        assert_eq!(quarters(&format!(r#"{{"a":"{text}"}}"#)), expected, "{text}");
    }
    assert_eq!(tokens(r#"{"a":"abcde"}"#), 2, "parts of a token count as one");
}

#[test]
fn files_in_base64_weigh_a_thousand_tokens_each() {
    let data = "QUJD".repeat(300);
    let url = format!("data:image/png;base64,{data}");
    for (text, expected) in [
        (data.clone(), 1_000),
        (format!("{data}=="), 1_000),
        (data.replace('Q', "-").replace('J', "_"), 1_000),
        (data.replace('U', r"\/").replace("DQ", r"D\nQ"), 1_000),
        (url.clone(), 1_000),
        (url.replace("image/png", r"image\/png"), 1_000),
        // Short ones may as well be words.
        (data[..1024].to_owned(), 256),
        // Text.
        (format!("{data}."), 301),
        (format!("{data} and more"), 303),
        (format!(r"{data}\u00fc"), 301),
        (format!("data: {}", "a b, c ".repeat(200)), 352),
        (format!("data:{},{data}", "x".repeat(200)), 352),
    ] {
        assert_eq!(tokens(&format!(r#"{{"a":"{text}"}}"#)), expected, "{text}");
    }
    let two = format!(r#"{{"a":[{{"url":"{url}"}},{{"data":"{data}"}}],"b":"abcd"}}"#);
    assert_eq!(tokens(&two), 2_001);
}

#[test]
fn what_is_no_json_weighs_by_its_length_and_files_by_their_number() {
    let json = br#"{"a":"abcdefgh"}"#;
    for (kind, is_compressed, body, expected) in [
        ("application/json", false, &json[..], 2),
        ("Application/JSON; charset=utf-8", false, json, 2),
        ("application/vnd.api+json", false, json, 2),
        ("application/json", true, &[0x1F; 400], 100),
        // What clients forget to say, or say wrong, providers see.
        ("", false, json, 2),
        ("text/plain", false, b" \n{\"a\":\"abcdefgh\"}", 2),
        ("text/plain", false, b"eight by", 2),
        ("application/ssml+xml", false, "<speak>日本</speak>".as_bytes(), 6),
        ("multipart/form-data; boundary=x", false, &[b'x'; 8_000], 1_000),
        ("audio/wav", false, &[b'x'; 8_000], 1_000),
        ("application/octet-stream", false, b"x", 1_000),
        ("application/octet-stream", false, b"", 0),
    ] {
        let weight = Prompt::of(Content::of(kind.as_bytes(), is_compressed), body);
        assert_eq!(weight.tokens(), expected, "{kind}");
    }
}

/// The same by the rules as they stand, of parsed JSON.
fn slowly(value: &serde_json::Value) -> u64 {
    match value {
        serde_json::Value::String(text) => text.chars().map(|c| if c.is_ascii() { 1 } else { 4 }).sum(),
        serde_json::Value::Array(values) => values.iter().map(slowly).sum(),
        serde_json::Value::Object(members) => members.values().map(slowly).sum(),
        _ => 0,
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<String>().prop_map(serde_json::Value::String),
        any::<i64>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A JSON text with every character beyond ASCII escaped, as Python writes it.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if c.is_ascii() {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(escaped, "\\u{unit:04x}").unwrap();
            }
        }
    }
    escaped
}

proptest! {
    #[test]
    fn any_json_weighs_what_its_parsed_strings_do(value in json()) {
        // In a list, so that a string alone is over too.
        let list = serde_json::json!([value]);
        prop_assert_eq!(quarters(&list.to_string()), slowly(&list));
        prop_assert_eq!(quarters(&escaped(&list.to_string())), slowly(&list));
    }

    #[test]
    fn cuts_change_nothing(text in any::<String>(), count in 0_usize..3, cuts in prop::collection::vec(0_usize..10_000, 0..40)) {
        let data = ["", "QUJD", "data:a/b;base64,QUJD"][count].to_owned() + &"QUJD".repeat(300 * count);
        let list = serde_json::json!([text, {text.clone(): data}, data]).to_string();
        for body in [escaped(&list).into_bytes(), list.into_bytes()] {
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
            ends.extend([0, body.len()]);
            ends.sort_unstable();
            let mut prompt = Prompt::new(Content::Json);
            ends.windows(2).for_each(|pair| prompt.push(&body[pair[0]..pair[1]]));
            prop_assert_eq!(prompt.weight(), Prompt::of(Content::Json, &body));
            let mut bytewise = Prompt::new(Content::Json);
            body.chunks(1).for_each(|byte| bytewise.push(byte));
            prop_assert_eq!(bytewise.weight(), prompt.weight());
        }
    }

    #[test]
    fn no_bytes_are_too_strange(body in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Prompt::of(Content::Json, &body).quarters() <= 4 * body.len() as u64);
    }
}
