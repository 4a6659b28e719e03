//! The API server and this crate refuse the same specs with the same words.

use super::manifests::{route, tenant};
use super::refusals::{by_rule, refusal};
use crate::Kind;
use kube::core::cel::ValidationErrors;
use std::collections::BTreeSet;

fn rule_messages(schema: &serde_json::Value, found: &mut BTreeSet<String>) {
    match schema {
        serde_json::Value::Object(map) => {
            for rule in map.get("x-kubernetes-validations").and_then(|rules| rules.as_array()).into_iter().flatten() {
                found.insert(rule["message"].as_str().unwrap().to_owned());
            }
            map.values().for_each(|value| rule_messages(value, found));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| rule_messages(item, found)),
        _ => {}
    }
}

#[test]
fn both_refuse_with_the_same_message_at_the_same_place() {
    for fault in by_rule() {
        let refused: Result<(), ValidationErrors> = match fault.kind {
            Kind::Route => route("team-a/x", &fault.changes).validate_cel(),
            Kind::Tenant => tenant("team-a/x", &fault.changes).validate_cel(),
        };
        let errors = refused.expect_err(&format!("CEL accepts {:?}", fault.changes));
        let messages: BTreeSet<&str> = errors.iter().map(|error| error.message.as_str()).collect();
        let here = refusal(&fault);
        assert_eq!(messages, BTreeSet::from([here.message.as_str()]), "{:?}", fault.changes);
        assert!(here.field.starts_with(&errors[0].field_path), "{} is not in {}", here.field, errors[0].field_path);
    }
}

#[test]
fn every_rule_of_the_schema_has_a_fault_in_the_table() {
    let mut rules = BTreeSet::new();
    for (_, definition) in relay_crds::definitions() {
        rule_messages(&serde_json::to_value(definition).unwrap(), &mut rules);
    }
    let tried: BTreeSet<String> = by_rule().iter().map(|fault| fault.message.to_owned()).collect();
    assert_eq!(rules, tried);
}
