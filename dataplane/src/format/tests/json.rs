use crate::format::json::{elements, is_something, is_whole, member, members, number, text};
use proptest::prelude::*;
use serde_json::{Value, json};

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i16>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
        r#"[a-z"\\{}\[\]:, \u{1}é]{0,8}"#.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{0,3}", inner, 0..5).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// What the module finds, built up again.
fn built(json: &[u8]) -> Value {
    let parsed = || serde_json::from_slice(json).unwrap();
    match json.first() {
        Some(b'{') => {
            members(json).map(|(key, value)| (String::from_utf8_lossy(key).into_owned(), built(value))).collect()
        }
        Some(b'[') => elements(json).map(built).collect(),
        _ => parsed(),
    }
}

proptest! {
    #[test]
    fn all_members_and_elements_are_found(value in values()) {
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            prop_assert_eq!(built(text.as_bytes()), value.clone(), "{}", text);
            prop_assert_eq!(is_whole(text.as_bytes()), value.is_object());
        }
    }

    #[test]
    fn a_text_that_breaks_off_yields_a_part_of_what_the_whole_yields(value in values(), cut in any::<prop::sample::Index>()) {
        let text = json!({"a": value, "b": 1}).to_string();
        let half = &text.as_bytes()[..cut.index(text.len())];
        prop_assert!(!is_whole(half));
        let whole: Vec<_> = members(text.as_bytes()).collect();
        let found: Vec<_> = members(half).collect();
        prop_assert!(whole.starts_with(&found), "{:?}", String::from_utf8_lossy(half));
    }

    #[test]
    fn bytes_that_are_no_json_do_no_harm(bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(br#"{}[]",:\ "#.to_vec())], 0..64)) {
        prop_assert!(members(&bytes).count() <= bytes.len());
        prop_assert!(elements(&bytes).count() <= bytes.len());
        let _ = is_whole(&bytes);
    }
}

#[test]
fn values_are_taken_as_they_stand() {
    assert_eq!(member(br#"{"a":1,"b":{"a":2}}"#, b"b"), Some(&br#"{"a":2}"#[..]));
    // The last one counts, as in SDKs.
    assert_eq!(member(br#"{"a":1,"a":2}"#, b"a"), Some(&b"2"[..]));
    assert_eq!(member(br#"{"a":1}"#, b"b"), None);
    assert_eq!((number(b"0"), number(b"18446744073709551615")), (Some(0), Some(u64::MAX)));
    for none in ["null", "-1", "1.5", "1e3", "\"1\"", "{}", ""] {
        assert_eq!(number(none.as_bytes()), None, "{none}");
    }
    assert_eq!((text(br#""a\"b""#), text(b"1"), text(b"\"")), (&br#"a\"b"#[..], &b""[..], &b""[..]));
    for (value, says) in
        [("null", false), ("false", false), ("\"\"", false), ("{}", true), ("\"x\"", true), ("0", true)]
    {
        assert_eq!(is_something(value.as_bytes()), says, "{value}");
    }
}

#[test]
fn depth_has_no_bound_and_costs_no_stack() {
    let deep = format!("{{\"a\":{}{},\"b\":1}}", "[".repeat(1 << 20), "]".repeat(1 << 20));
    assert_eq!(member(deep.as_bytes(), b"b"), Some(&b"1"[..]));
}
