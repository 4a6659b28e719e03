//! Durations and sizes.

use crate::rules;
use crate::{ByteSize, Duration, ScalarError};
use kube::core::cel::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};

fn duration(text: &str) -> Result<u128, ScalarError> {
    Duration(text.to_owned()).parse().map(|duration| duration.as_millis())
}

fn size(text: &str) -> Result<u64, ScalarError> {
    ByteSize(text.to_owned()).parse()
}

fn cel_accepts(rule: rules::CelRule, value: &Value) -> bool {
    let schema = json!({"x-kubernetes-validations": [{"rule": rule.0, "message": rule.1}]});
    Validator::new().validate(&schema, value, None).is_ok()
}

#[test]
fn durations_are_sums_of_numbers_with_units() {
    for (text, milliseconds) in [
        ("0s", 0),
        ("0h0m0s0ms", 0),
        ("90s", 90_000),
        ("5m", 300_000),
        ("500ms", 500),
        ("1h30m", 5_400_000),
        ("1m30s500ms", 90_500),
        ("24h", 86_400_000),
        ("23h59m59s999ms", 86_399_999),
        ("86400s", 86_400_000),
        ("007s", 7000),
    ] {
        assert_eq!(duration(text), Ok(milliseconds), "{text}");
    }
}

#[test]
fn durations_have_one_form_and_one_bound() {
    for text in [
        "",
        "5",
        "s",
        "5x",
        "-5s",
        "+5s",
        "5 s",
        " 5s",
        "5s ",
        "1.5s",
        "5S",
        "1d",
        "100000s",
        "1h1h1h1h1h",
        "5s5",
        "5min",
        "٣s",
        "5us",
    ] {
        assert_eq!(duration(text), Err(ScalarError::Form), "{text:?}");
    }
    for text in ["25h", "24h1ms", "99999h", "99999h99999h99999h99999h"] {
        assert_eq!(duration(text), Err(ScalarError::Bound), "{text}");
    }
}

#[test]
fn sizes_are_kubernetes_quantities_of_bytes() {
    for (text, bytes) in [
        ("1", 1),
        ("1048576", 1 << 20),
        ("1k", 1000),
        ("1M", 1_000_000),
        ("1G", 1_000_000_000),
        ("1Ki", 1024),
        ("10Mi", 10 << 20),
        ("1Gi", 1 << 30),
        ("0010Mi", 10 << 20),
    ] {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
    for text in ["", "Mi", "1.5Mi", "-1", "+1", "1MB", "1K", "1m", "1Ti", "1e3", "1 Mi", "0x10", "1234567890123"] {
        assert_eq!(size(text), Err(ScalarError::Form), "{text:?}");
    }
    for text in ["0", "0Gi", "2Gi", "1073741825", "999999999999G", "999999999999Gi"] {
        assert_eq!(size(text), Err(ScalarError::Bound), "{text}");
    }
}

#[test]
fn sizes_may_stand_as_integers_in_json_and_yaml() {
    for (yaml, text) in [("1048576", "1048576"), ("'1048576'", "1048576"), ("10Mi", "10Mi"), ("-1", "-1"), ("0", "0")] {
        assert_eq!(serde_saphyr::from_str::<ByteSize>(yaml).unwrap().0, text, "{yaml}");
    }
    for (value, text) in [
        (json!(1_048_576), "1048576"),
        (json!("10Mi"), "10Mi"),
        (json!(-1), "-1"),
        (json!(u64::MAX), "18446744073709551615"),
    ] {
        assert_eq!(serde_json::from_value::<ByteSize>(value).unwrap().0, text);
    }
    for value in [json!(1.5), json!(true), json!([1]), json!({})] {
        let message = serde_json::from_value::<ByteSize>(value).unwrap_err().to_string();
        assert!(message.contains("a size in bytes, such as 10Mi or 1048576"), "{message}");
    }
    assert_eq!(serde_json::to_value(ByteSize("1048576".into())).unwrap(), json!("1048576"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_parsers_panic(text in ".*") {
        let _ = (duration(&text), size(&text));
    }

    #[test]
    fn no_text_that_is_almost_right_makes_them_panic(text in "[0-9hmsMKGik]{0,24}") {
        prop_assert!(duration(&text).is_ok_and(|ms| ms <= 86_400_000) || duration(&text).is_err());
        prop_assert!(size(&text).is_ok_and(|bytes| bytes <= rules::BODY_MAX_BYTES) || size(&text).is_err());
    }

    #[test]
    fn the_schema_and_the_parser_agree_on_durations(text in "([0-9]{1,5}(h|m|s|ms)){1,4}") {
        let parsed = duration(&text);
        prop_assert_ne!(parsed, Err(ScalarError::Form));
        prop_assert_eq!(parsed.is_ok(), cel_accepts(rules::DURATION_BOUND, &json!(text)));
    }

    #[test]
    fn the_schema_and_the_parser_agree_on_sizes(text in "[0-9]{1,12}(k|M|G|Ki|Mi|Gi)?") {
        let parsed = size(&text);
        prop_assert_ne!(parsed, Err(ScalarError::Form));
        prop_assert_eq!(parsed.is_ok(), cel_accepts(rules::BODY_BOUND, &json!(text)));
    }
}
