use crate::proxy::model::{ModelScanner, Scanned};
use proptest::prelude::*;
use serde_json::{Map, Value};

/// What the scanner learns of a text in these pieces; `None`: it ended without an answer.
fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<Scanned> {
    let mut scanner = ModelScanner::default();
    pieces.into_iter().map(|piece| scanner.push(piece)).find(|scanned| *scanned != Scanned::More)
}

fn model_of(text: &str) -> Option<String> {
    let at_once = scan([text.as_bytes()]);
    assert_eq!(scan(text.as_bytes().chunks(1)), at_once, "bytewise, {text}");
    match at_once {
        Some(Scanned::Found(model)) => Some(model),
        _ => None,
    }
}

#[test]
fn finds_the_model_of_the_outermost_object_alone() {
    for (text, model) in [
        (r#"{"model":"m"}"#, Some("m")),
        (" \r\n\t{ \"model\" : \"m\" , \"x\":1}", Some("m")),
        (r#"{"a":1,"b":-1.5e+3,"c":true,"d":null,"e":"x","f":[],"g":{},"model":"m"}"#, Some("m")),
        (r#"{"a":{"model":"no"},"b":[{"model":"no"},"model"],"model":"m"}"#, Some("m")),
        (r#"{"a":"model","b":"\"model\":\"no\"","model":"m"}"#, Some("m")),
        (r#"{"a":"}]","b":["}","]","\\\"}"],"model":"m"}"#, Some("m")),
        (r#"{"mod\u0065l":"\u006d\n"}"#, Some("m\n")),
        (r#"{"model":"größer 🌊"}"#, Some("größer 🌊")),
        (r#"{"model":""}"#, Some("")),
        (r#"{"model":1,"x":"y"}"#, None),
        (r#"{"model":null}"#, None),
        (r#"{"model":["m"]}"#, None),
        (r#"{"model":{"model":"no"}}"#, None),
        (r#"{"Model":"no","models":"no"}"#, None),
        (r#"{"a":{"model":"no"}}"#, None),
        (r#"[{"model":"no"}]"#, None),
        (r#""model""#, None),
        ("{}", None),
        ("", None),
        ("null", None),
        ("model=m", None),
        (r#"{"model":"\ud800"}"#, None),
    ] {
        assert_eq!(model_of(text).as_deref(), model, "{text}");
    }
}

#[test]
fn knows_early_that_there_is_no_model() {
    for text in ["[", "x", "{}", "{\"a\":1}", "\u{FEFF}{\"model\":\"m\"}", "--boundary"] {
        assert_eq!(scan([text.as_bytes()]), Some(Scanned::Without), "{text}");
    }
    for text in ["", "  ", "{", "{\"model\"", "{\"model\":\"m", "{\"a\":[{\"b\":[1,"] {
        assert_eq!(scan([text.as_bytes()]), None, "{text}");
    }
}

#[test]
fn looks_at_no_name_that_is_too_long() {
    let of = |length: usize| format!(r#"{{"{}":1,"model":"{}","x":1}}"#, "k".repeat(100_000), "m".repeat(length));
    assert_eq!(model_of(&of(256)).map(|model| model.len()), Some(256));
    assert_eq!(model_of(&of(257)), None);
}

fn json() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["[a-z\"\\\\{}\\[\\],: ]{0,8}", Just("model".to_owned()), any::<String>()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        let key = prop_oneof![2 => text.clone(), 1 => Just("model".to_owned())];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..5).prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

proptest! {
    #[test]
    fn agrees_with_a_parser_on_any_json(value in json(), pretty in any::<bool>(), cuts in prop::collection::vec(0_usize..500, 0..6)) {
        let text = if pretty { serde_json::to_vec_pretty(&value).unwrap() } else { serde_json::to_vec(&value).unwrap() };
        let model = value.as_object().and_then(|object| object.get("model")).and_then(Value::as_str);
        let expected = model.filter(|model| serde_json::to_string(model).unwrap().len() <= 258).map(str::to_owned);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (text.len() + 1)).chain([0, text.len()]).collect();
        cuts.sort_unstable();
        let found = match scan(cuts.windows(2).map(|pair| &text[pair[0]..pair[1]])) {
            Some(Scanned::Found(model)) => Some(model),
            _ => None,
        };
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn never_panics_and_does_not_depend_on_the_pieces(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\",:\\ model1".to_vec())], 0..200),
    ) {
        prop_assert_eq!(scan([bytes.as_slice()]), scan(bytes.chunks(1)));
    }
}
