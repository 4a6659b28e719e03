//! Label selectors: from what users write to what can be matched.

use crate::lexical::{is_label_key, is_label_value};
use crate::problem::{Problem, ensure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::core::{Expression, Selector};
use std::collections::BTreeSet;

const KEY_FORM: &str =
    "is not a label key: write name or example.com/name, letters, digits, -, _ and ., the name at most 63";
const VALUE_FORM: &str = "is not a label value: at most 63 letters, digits, -, _ and .";

/// Parses the selector in field `at`. The API server does not check operators and values inside of custom resources.
pub(crate) fn parse(at: &str, raw: &LabelSelector) -> Result<Selector, Problem> {
    let mut selector = Selector::default();
    for (key, value) in raw.match_labels.iter().flatten() {
        ensure(is_label_key(key), at, ".matchLabels", &format!("{key:?} {KEY_FORM}"))?;
        ensure(is_label_value(value), at, ".matchLabels", &format!("{value:?} {VALUE_FORM}"))?;
        selector.extend(Expression::Equal(key.clone(), value.clone()));
    }
    for (index, requirement) in raw.match_expressions.iter().flatten().enumerate() {
        selector.extend(expression(&format!("{at}.matchExpressions[{index}]"), requirement)?);
    }
    Ok(selector)
}

fn expression(at: &str, raw: &LabelSelectorRequirement) -> Result<Expression, Problem> {
    ensure(is_label_key(&raw.key), at, ".key", KEY_FORM)?;
    let values: BTreeSet<String> = raw.values.iter().flatten().cloned().collect();
    ensure(values.iter().all(|value| is_label_value(value)), at, ".values", VALUE_FORM)?;
    let some = || ensure(!values.is_empty(), at, ".values", "must not be empty with operator In or NotIn");
    let none = || ensure(values.is_empty(), at, ".values", "must be empty with operator Exists or DoesNotExist");
    let key = raw.key.clone();
    Ok(match raw.operator.as_str() {
        "In" => {
            some()?;
            Expression::In(key, values)
        }
        "NotIn" => {
            some()?;
            Expression::NotIn(key, values)
        }
        "Exists" => {
            none()?;
            Expression::Exists(key)
        }
        "DoesNotExist" => {
            none()?;
            Expression::DoesNotExist(key)
        }
        _ => return Err(Problem::invalid(format!("{at}.operator"), "must be In, NotIn, Exists or DoesNotExist")),
    })
}
