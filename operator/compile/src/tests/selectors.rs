//! Label selectors.

use super::manifests::labels;
use crate::selector::parse;
use kube::core::SelectorExt;
use serde_json::{Value, json};

fn matches(selector: Value, on: [(&str, &str); 2]) -> bool {
    parse("spec.x", &serde_json::from_value(selector).unwrap()).unwrap().matches(&labels(on))
}

fn expression(key: &str, operator: &str, values: Value) -> Value {
    let mut expression = json!({"key": key, "operator": operator});
    if !values.is_null() {
        expression["values"] = values;
    }
    json!({"matchExpressions": [expression]})
}

#[test]
fn the_four_operators_mean_what_kubernetes_means() {
    let on = [("tier", "gold"), ("example.com/env", "")];
    for (selector, expected) in [
        (expression("tier", "In", json!(["gold", "silver"])), true),
        (expression("tier", "In", json!(["silver"])), false),
        (expression("none", "In", json!(["silver"])), false),
        (expression("tier", "NotIn", json!(["silver"])), true),
        (expression("tier", "NotIn", json!(["gold"])), false),
        (expression("none", "NotIn", json!(["gold"])), true),
        (expression("example.com/env", "Exists", Value::Null), true),
        (expression("none", "Exists", json!([])), false),
        (expression("none", "DoesNotExist", Value::Null), true),
        (expression("tier", "DoesNotExist", Value::Null), false),
        (expression("example.com/env", "In", json!([""])), true),
    ] {
        assert_eq!(matches(selector.clone(), on), expected, "{selector}");
    }
}

#[test]
fn all_requirements_must_hold() {
    let on = [("a", "1"), ("b", "2")];
    let both =
        json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "In", "values": ["2"]}]});
    assert!(matches(both, on));
    let one = json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "In", "values": ["3"]}]});
    assert!(!matches(one, on));
    assert!(!matches(json!({"matchLabels": {"a": "1", "b": "3"}}), on));
    assert!(matches(json!({}), on));
}

#[test]
fn what_is_no_selector_is_told_by_field() {
    for (selector, field) in [
        (expression("a", "in", json!(["x"])), "spec.x.matchExpressions[0].operator"),
        (expression("a", "", json!(["x"])), "spec.x.matchExpressions[0].operator"),
        (expression("a", "In", json!([])), "spec.x.matchExpressions[0].values"),
        (expression("a", "NotIn", Value::Null), "spec.x.matchExpressions[0].values"),
        (expression("a", "Exists", json!(["x"])), "spec.x.matchExpressions[0].values"),
        (expression("a", "DoesNotExist", json!(["x"])), "spec.x.matchExpressions[0].values"),
        (expression("a", "In", json!(["not a value"])), "spec.x.matchExpressions[0].values"),
        (expression("", "Exists", Value::Null), "spec.x.matchExpressions[0].key"),
        (expression("a/b/c", "Exists", Value::Null), "spec.x.matchExpressions[0].key"),
        (json!({"matchLabels": {"not a key": "x"}}), "spec.x.matchLabels"),
        (json!({"matchLabels": {"a": "x".repeat(64)}}), "spec.x.matchLabels"),
    ] {
        let problem = parse("spec.x", &serde_json::from_value(selector.clone()).unwrap()).unwrap_err();
        assert_eq!(problem.field, field, "{selector}");
    }
}
